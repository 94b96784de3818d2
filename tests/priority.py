"""Keeps encoders from real-time priority: SVT-AV1 gives it to the thread that calls it where it may, as root it may.

A process that has it starves all others on the machine for the rest of its life, and so do its children.
"""

import ctypes
import os
from pathlib import Path

_CAP_SYS_NICE = 23
_PR_CAPBSET_DROP = 24
_VERSION_3 = 0x20080522  # of the structures of capget(2)


def give_up_real_time() -> None:
    """Drop the right to real-time priority from this thread and all that it starts; nothing where there is none."""
    libc = ctypes.CDLL(None, use_errno=True)
    libc.prctl(_PR_CAPBSET_DROP, _CAP_SYS_NICE, 0, 0, 0)
    header = (ctypes.c_uint32 * 2)(_VERSION_3, 0)
    sets = (ctypes.c_uint32 * 6)()  # effective, permitted, inheritable: the low 32, then the high 32
    if libc.capget(header, sets) == 0:
        for place in range(3):
            sets[place] &= ~(1 << _CAP_SYS_NICE) & 0xFFFFFFFF
        libc.capset(header, sets)


def has_real_time() -> bool:
    """Say whether any thread of this process runs at real-time priority."""
    threads = (int(thread.name) for thread in Path("/proc/self/task").iterdir())
    return any(os.sched_getscheduler(thread) in (os.SCHED_FIFO, os.SCHED_RR) for thread in threads)
