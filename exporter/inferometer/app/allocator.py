# SPDX-License-Identifier: Apache-2.0
"""Memory by the agent's habits: an allocator that holds little, and a collector of garbage that does not look at what stays."""

import ctypes
import gc
from contextlib import suppress

# glibc's malloc.h. An arena for each thread that allocates is 4 MiB that are reserved by use and never given back.
_M_TRIM_THRESHOLD, _M_MMAP_THRESHOLD, _M_ARENA_MAX = -1, -3, -8
# glibc's own first choice; setting it keeps it from growing to 32 MiB with the pages that are freed.
_LARGE = 128 * 1024


def hold_little() -> None:
    """Use one arena, and give large blocks back. Before the first thread starts; without glibc it does nothing."""
    with suppress(OSError, AttributeError):  # musl has no such knob, and no such arenas
        adjust = ctypes.CDLL(None).mallopt
        adjust(_M_ARENA_MAX, 1)
        adjust(_M_MMAP_THRESHOLD, _LARGE)
        adjust(_M_TRIM_THRESHOLD, _LARGE)


# Containers that are made and not freed until the collector looks. A tick makes some thousands and frees as many, without it:
# at Python's own 700 it would look at them at every tick, for nothing.
_YOUNG = 10_000


def settle() -> None:
    """Take everything that is there for what stays: the collector leaves it out from now on. Once, after the start."""
    gc.collect()
    gc.freeze()
    gc.set_threshold(_YOUNG)
