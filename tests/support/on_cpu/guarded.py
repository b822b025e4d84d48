"""Arrays that lie before a page that nobody may touch, and arrays larger than memory, of which little is touched."""

import ctypes
import mmap
from math import prod

import numpy as np

PAGE = mmap.PAGESIZE
#: Linux's MAP_NORESERVE, which Python names from 3.13 on.
NO_RESERVE = 0x4000
#: What CuPy's pool aligns arrays to is more; kernels load 16 bytes at once.
ALIGNED = 16
_LIBRARY = ctypes.CDLL(None, use_errno=True)


def guarded(array: np.ndarray) -> np.ndarray:
    """Return a copy between two pages that nobody may touch; what alignment leaves behind its end is 0xff."""
    room = -(-array.nbytes // ALIGNED) * ALIGNED
    inner = max(-(-room // PAGE), 1) * PAGE
    memory = mmap.mmap(-1, inner + 2 * PAGE)
    whole = np.frombuffer(memory, np.uint8)
    whole[PAGE : PAGE + inner] = 0xFF
    at = PAGE + inner - room
    copy = whole[at : at + array.nbytes].view(array.dtype).reshape(array.shape)
    copy[...] = array
    del whole
    for start in (0, PAGE + inner):
        address = ctypes.addressof(ctypes.c_char.from_buffer(memory)) + start
        assert _LIBRARY.mprotect(ctypes.c_void_p(address), ctypes.c_size_t(PAGE), 0) == 0
    return copy


def reserved(shape: tuple[int, ...], dtype: type) -> np.ndarray:
    """Return an array of zeros that takes memory only where it is touched, however large it is."""
    size = prod(shape) * np.dtype(dtype).itemsize
    flags = mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS | NO_RESERVE
    return np.frombuffer(mmap.mmap(-1, size, flags=flags), dtype).reshape(shape)
