"""Is what a dataset of an HDF5 file declares there at all? Asked before anything is allocated or read.

A header of a few bytes may declare any shape, name another file as the place of its data, or a filter that nobody has.
"""

import math
from typing import NamedTuple

import h5py
import numpy as np

MAX_CHUNK_BYTES = 256 << 20  # a chunk is decompressed whole, so a pass holds one
MAX_RATIO = 4096  # declared bytes to stored ones; deflate reaches 1032
_SLACK_BYTES = 1 << 20  # chunks that hold one value compress without limit: not asked of small data


class Fault(NamedTuple):
    """What is wrong with an object, by a word, for people, and what to do."""

    code: str
    what: str
    remedy: str


def number_type(data: h5py.Dataset) -> np.dtype | None:
    """Return the type of a dataset's numbers (bool, integer or float), None where they are no numbers."""
    try:
        dtype = data.dtype
    except TypeError:  # a type that numpy has not
        return None
    return dtype if dtype.kind in "biuf" and dtype.itemsize <= 8 and dtype.shape == () else None


def extent_fault(data: h5py.Dataset) -> Fault | None:
    """Return why the values of a dataset cannot be read from this file alone, in memory of their size; else None."""
    if data.is_virtual:
        return Fault("virtual", "a virtual data set, whose values lie in other files", "write the values into this one")
    if data.external:
        names = ", ".join(str(name) for name, *_ in data.external)
        return Fault("external_storage", f"its values lie in another file ({names})", "write them into this one")
    dtype = number_type(data)
    if dtype is None:
        return Fault("dtype", "its values are no real numbers of at most 8 bytes", "write them as float32")
    if data.shape is None:
        return Fault("shape", "a data set without a shape", "write its values")
    declared = math.prod(data.shape) * dtype.itemsize
    plist = data.id.get_create_plist()
    for number in range(plist.get_nfilters()):
        code, _, _, name = plist.get_filter(number)
        if not h5py.h5z.filter_avail(code):
            named = f"filter {code}" + (f" ({name.decode(errors='replace')})" if name else "")
            return Fault("filter", f"compressed with {named}, which is not installed", "repack it: h5repack -f GZIP=4")
    if not declared or plist.get_layout() == h5py.h5d.COMPACT:
        return None
    if plist.get_layout() == h5py.h5d.CHUNKED:
        return _chunk_fault(data, declared, dtype.itemsize)
    offset, size = data.id.get_offset(), h5py.h5i.get_file_id(data.id).get_filesize()
    if offset is None:
        return _unwritten("its values were never written")
    if offset + declared > size:
        return Fault("absurd_shape", f"shape {data.shape} is {declared} bytes, the file has {size}", "write it again")
    return None


def _chunk_fault(data: h5py.Dataset, declared: int, itemsize: int) -> Fault | None:
    chunk = math.prod(data.chunks) * itemsize
    if chunk > MAX_CHUNK_BYTES:
        what = f"chunks {data.chunks} are {chunk} bytes each, more than {MAX_CHUNK_BYTES}"
        return Fault("absurd_shape", what, "write it with chunks of one frame")
    stored = data.id.get_storage_size()
    if declared > MAX_RATIO * stored + _SLACK_BYTES:
        what = f"shape {data.shape} is {declared} bytes, but {stored} are stored"
        return Fault("absurd_shape", what, "write all of it, with chunks of one frame")
    chunks = math.prod(-(-size // side) for size, side in zip(data.shape, data.chunks, strict=True))
    written = data.id.get_num_chunks()
    return _unwritten(f"{written} of {chunks} chunks were written") if written < chunks else None


def _unwritten(what: str) -> Fault:
    return Fault("unwritten", what, "run the simulation that writes it to its end")
