"""A malloc that keeps what it has.

glibc gives large blocks back to the kernel at once; a training step asks for the same blocks again, and the kernel clears each page anew.
"""

import ctypes
import sys

M_TRIM_THRESHOLD, M_TOP_PAD, M_MMAP_MAX, M_ARENA_MAX = -1, -2, -4, -8


def keep_memory() -> bool:
    """Tell glibc to serve large blocks from one heap that it does not shrink. Returns whether this C library could be told."""
    if not sys.platform.startswith("linux"):
        return False
    try:
        library = ctypes.CDLL("libc.so.6")
        settings = ((M_MMAP_MAX, 0), (M_TRIM_THRESHOLD, 2**31 - 1), (M_TOP_PAD, 64 << 20), (M_ARENA_MAX, 1))
        return all(library.mallopt(key, value) for key, value in settings)
    except (OSError, AttributeError):
        return False
