"""One generated source video: drawn, encoded and told in a worker process, and kept in the store."""

import hashlib
import itertools
import tempfile
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from fractions import Fraction
from pathlib import Path
from typing import Any

import av
import cv2
import numpy as np
from av.video.frame import PictureType
from av.video.reformatter import ColorPrimaries, ColorRange, Colorspace, ColorTrc

from tasks.keys import StoredFunction, canonical_json, key_of
from tasks.stage import item_rng
from tasks.store import Store
from tasks.video.captions import centre_frames
from tasks.video.encoding import ColorTags, add_h264, open_mp4, samples, shape
from tasks.video.picture_facts import Look, look_at
from tasks.video.scenario import draw_scene
from tasks.video.scene_captions import clip_caption, clip_facts, segment_caption, segment_facts
from tasks.video.scene_pictures import frames_of
from tasks.video.scenes import Clip, Scene, Settings
from tasks.workers import reporter

STORED = StoredFunction(
    "video.scene", "4", __name__, libraries=("av", "matplotlib", "numpy", "opencv-python-headless", "pillow")
)
_H264 = {"bf": "0", "forced-idr": "1", "g": "600"}  # I-frames where a clip begins, and there alone
_TICKS = 1024  # of the file's clock, a frame
_LOOKS = 2  # a second, as of film
_COLOURS = ColorTags(Colorspace.ITU709, ColorPrimaries.BT709, ColorTrc.BT709, ColorRange.MPEG)


@dataclass(frozen=True)
class Encoding:
    """How sources are encoded: H.264 by libx264."""

    crf: float
    preset: str


@dataclass(frozen=True)
class Job:
    """One source for a worker. `picture` is a JPEG of the film to draw it on, or None."""

    name: str
    split: str
    seed: int
    picture: bytes | None
    settings: Settings
    encoding: Encoding
    store_url: str

    @property
    def params(self) -> dict[str, Any]:
        """What every source depends on."""
        return {**asdict(self.settings), **asdict(self.encoding)}

    @property
    def input_hash(self) -> str:
        """What this source depends on besides: its seed, its split, and the picture."""
        picture = hashlib.sha256(self.picture).hexdigest() if self.picture else ""
        return hashlib.sha256(canonical_json([self.name, self.split, self.seed, picture]).encode()).hexdigest()

    @property
    def key(self) -> str:
        """Return the store's key."""
        return key_of(STORED.name, STORED.version, self.params, self.input_hash)


def scene_of(job: Job) -> Scene:
    """Draw what happens in a source, the same each time."""
    rng = item_rng(job.seed, "make_clips", job.name)
    return draw_scene(rng, job.settings, job.split, film=job.picture is not None)


def make_source(job: Job) -> int:
    """Draw, encode and tell one source, and keep it; return how many frames it has."""
    scene = scene_of(job)
    store = Store(job.store_url)
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "source.mp4"
        looks = encode_scene(scene, job, path)
        with path.open("rb") as file:
            blob = store.put_blob(file)
        size = path.stat().st_size
    value = {
        "frames": scene.frames,
        "bytes": size,
        "typeface": scene.typeface.name,
        "background": asdict(scene.background),
        "clips": [told(clip, scene, job.settings.fps, look) for clip, look in zip(scene.clips, looks, strict=True)],
    }
    with store.writer() as writer:
        writer.put(STORED.name, STORED.version, job.params, job.input_hash, value, [blob])
    return scene.frames


def told(clip: Clip, scene: Scene, fps: int, look: Look) -> dict[str, Any]:
    """Return what captions.CLIPS has of a clip: its span in ticks of 1 / (1024 fps) s, caption, facts, segments."""
    at = centre_frames(clip.frames)
    return {
        "start_pts": clip.start * _TICKS,
        "end_pts": (clip.start + clip.frames) * _TICKS,
        "time_base_num": 1,
        "time_base_den": fps * _TICKS,
        "frames": clip.frames,
        "start_s": clip.start / fps,
        "end_s": (clip.start + clip.frames) / fps,
        "caption": clip_caption(clip, scene.background, look),
        "facts": [fact._asdict() for fact in clip_facts(clip, scene.background, look)],
        "segments": [
            {
                "frame_s": frame / fps,
                "caption": segment_caption(clip, frame, before),
                "facts": [fact._asdict() for fact in segment_facts(clip, frame)],
            }
            for frame, before in zip(at, [None, *at], strict=False)
        ],
    }


def encode_scene(scene: Scene, job: Job, path: Path) -> list[Look]:
    """Write the source as MP4, H.264 in 4:2:0 of BT.709, in one thread; each clip begins with an I-frame.

    Return what was seen of each clip on the way.
    """
    settings, report = job.settings, reporter()
    starts = {clip.start for clip in scene.clips}
    base = Fraction(1, settings.fps)
    looked_at = [range(clip.start, clip.start + clip.frames, max(1, settings.fps // _LOOKS)) for clip in scene.clips]
    looks = dict.fromkeys(itertools.chain(*looked_at))
    with open_mp4(path, {"video_track_timescale": str(settings.fps * _TICKS)}) as out:
        stream = add_h264(out, 1 / base, **asdict(job.encoding), more=_H264)
        shape(stream, (settings.width_px, settings.height_px), "yuv420p", base, _COLOURS)
        for number, (frame, picture) in enumerate(_yuv_frames(scene, job)):
            if number in looks:
                looks[number] = look_at(cv2.cvtColor(picture, cv2.COLOR_RGB2BGR))
            frame.pts, frame.time_base = number, base
            frame.pict_type = PictureType.I if number in starts else PictureType.NONE
            out.mux(stream.encode(frame))
            report(number / scene.frames)
        out.mux(stream.encode(None))
    return [Look(*map(np.stack, zip(*(looks[number] for number in of), strict=True))) for of in looked_at]


def _yuv_frames(scene: Scene, job: Job) -> Iterator[tuple[av.VideoFrame, np.ndarray]]:
    """Yield each frame as it is encoded and as it was drawn; two objects, of which what has changed is written anew."""
    film = None
    if job.picture is not None:
        film = cv2.imdecode(np.frombuffer(job.picture, np.uint8), cv2.IMREAD_COLOR_RGB)
    frame = av.VideoFrame(job.settings.width_px, job.settings.height_px, "yuv420p")
    planes = [samples(plane) for plane in frame.planes]
    for drawn in frames_of(scene, job.settings, film):
        for box in drawn.boxes:
            for plane, new in zip(planes, yuv420(drawn.picture[box.slices]), strict=True):
                scale = planes[0].shape[0] // plane.shape[0]
                top, left = box.top // scale, box.left // scale
                plane[top : top + new.shape[0], left : left + new.shape[1]] = new
        for _ in range(drawn.times):
            yield frame, drawn.picture


def yuv420(picture: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Return an RGB picture, uint8 (H, W, 3) with even sides, as Y, Cb and Cr of BT.709 in 4:2:0."""
    height, width = picture.shape[:2]
    halved = cv2.resize(picture, (width // 2, height // 2), interpolation=cv2.INTER_AREA)
    luma, chroma = cv2.transform(picture, _TO_YUV), cv2.transform(halved, _TO_YUV)  # all three: one is slower
    return luma[..., 0], chroma[..., 1], chroma[..., 2]


_RED, _BLUE = 0.2126, 0.0722  # shares of luma (BT.709)
_LUMA = np.array([_RED, 1 - _RED - _BLUE, _BLUE])
_TO_YUV = np.array(
    [
        [*(219 / 255 * _LUMA), 16],
        [*(112 / 255 * (np.array([0, 0, 1]) - _LUMA) / (1 - _BLUE)), 128],
        [*(112 / 255 * (np.array([1, 0, 0]) - _LUMA) / (1 - _RED)), 128],
    ]
)  # studio range, from full range
