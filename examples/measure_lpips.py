"""LPIPS of base frames and painted ones, by q: `python examples/measure_lpips.py [VIDEO]`

Needs torch, and once `python -m eval weights`. Tables against other codecs: `python -m eval rd`.
"""

import torch
from made_clip import given_or_made

import gvcodec
from gvcodec.perceptual import Lpips

source = given_or_made()
stream, original = source.with_suffix(".gvc"), source.with_suffix(".q0.gvc")
lpips = Lpips("alex")
numbers = [0, 5, 12]

# A stream of the best quality replaces the source, so that both are read in the same way.
gvcodec.encode_file(source, original, q=0, fit=0, preset=8, frames=20, overwrite=True)


def frames_of(path, fidelity):
    options = {"output": "torch", "dimension_order": "NCHW"}
    with gvcodec.open(path, fidelity=fidelity, **options) as video:
        return video[numbers] / 255


reference = frames_of(original, True)
print("  q    bpp     base   painted   (LPIPS-Alex, smaller is better)")
for q in (40, 50, 60):
    coded = gvcodec.encode_file(source, stream, q=q, fit=0, preset=8, frames=20, overwrite=True)
    with torch.no_grad():
        base, painted = (
            lpips(frames_of(stream, fidelity), reference).mean() for fidelity in (True, False)
        )
    print(f"{q:3}  {coded.bpp:.4f}  {base:.4f}  {painted:.4f}")
