"""Frames of two fields made whole: one picture for each frame, at its time, without combs (bwdif)."""

from collections.abc import Iterator
from fractions import Fraction
from typing import Any

import av
import av.filter


def progressive(frames: Iterator[tuple[int, Any]], time_base: Fraction) -> Iterator[tuple[int, Any]]:
    """Yield the same frames at the same times, those of two fields without their combs (bwdif)."""
    graph: Any = None
    times: list[int] = []
    for pts, frame in frames:
        if graph is None and not frame.interlaced_frame:
            yield pts, frame
            continue
        graph = graph or _deinterlacer(frame, time_base)
        times.append(pts)
        frame.pts, frame.time_base = pts, time_base
        graph.vpush(frame)
        yield from _pulled(graph, times)
    if graph is not None:
        graph.vpush(None)
        yield from _pulled(graph, times)


def _deinterlacer(frame: av.VideoFrame, time_base: Fraction) -> Any:
    graph = av.filter.Graph()
    graph.threads = 1
    source = graph.add_buffer(
        width=frame.width, height=frame.height, format=frame.format, time_base=time_base, name="in"
    )
    graph.link_nodes(source, graph.add("bwdif", "mode=send_frame:deint=interlaced"), graph.add("buffersink"))
    graph.configure()
    return graph


def _pulled(graph: Any, times: list[int]) -> Iterator[tuple[int, Any]]:
    """Yield what the filter has ready: one frame for each that went in, in their order."""
    while times:
        try:
            frame = graph.vpull()
        except (av.error.BlockingIOError, av.error.EOFError):
            return
        yield times.pop(0), frame
