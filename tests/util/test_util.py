"""Memory of large blocks, PSNR in strips."""

import ctypes

import numpy as np
import pytest

from gvcodec.codec.fidelity import psnr
from tests.conftest import in_process

CODE = """
import ctypes, sys
from gvcodec.util.process import keep_large_blocks, map_large_blocks, manage_process
class Info(ctypes.Structure):
    _fields_ = [(name, ctypes.c_size_t) for name in
                ("arena", "ordblks", "smblks", "hblks", "hblkhd", "uu", "fsm", "uo", "fo", "keep")]
libc = ctypes.CDLL(None)
libc.mallinfo2.restype = Info
libc.malloc.restype, libc.malloc.argtypes = ctypes.c_void_p, [ctypes.c_size_t]
libc.free.argtypes = [ctypes.c_void_p]
if sys.argv[1] != "library":
    manage_process()
if sys.argv[1] != "usual":
    map_large_blocks()
if sys.argv[1] == "kept":
    keep_large_blocks()
libc.free(libc.malloc(16 << 20))
before = libc.mallinfo2().hblks
libc.malloc(8 << 20)
print(libc.mallinfo2().hblks - before)
"""


@pytest.mark.skipif(not hasattr(ctypes.pythonapi, "mallinfo2"), reason="needs glibc 2.33")
@pytest.mark.parametrize(
    ("how", "mapped"), [("mapped", 1), ("kept", 0), ("usual", 0), ("library", 0)]
)
def test_a_freed_block_does_not_make_others_share_the_heap(how: str, mapped: int) -> None:
    assert int(in_process("-c", CODE, how).stdout) == mapped


@pytest.mark.parametrize(("height", "width"), [(3, 5), (70, 1000), (2, 40000)])
@pytest.mark.parametrize("bits", [0, 2])
def test_every_sample_counts(height: int, width: int, bits: int) -> None:
    rng = np.random.default_rng(height)
    a = rng.integers(0, 1024, (height, width), np.uint16)
    b = rng.integers(0, 256, (height, width), np.uint8)
    error = np.mean(np.square(a - b.astype(np.float64) * 2**bits))
    assert psnr(a, b, bits=bits) == pytest.approx(10 * np.log10(1023**2 / error), abs=1e-12)
    a[-1, -1] = 1
    assert psnr(a, a) == np.inf
    other = a.copy()
    other[-1, -1] = 0
    assert psnr(a, other) == pytest.approx(10 * np.log10(1023**2 * a.size), abs=1e-12)
