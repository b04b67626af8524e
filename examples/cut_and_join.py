"""Scenes out of a stream, joined, without coding anything again: `python
examples/cut_and_join.py [VIDEO]`"""

import numpy as np
from made_clip import given_or_made

import gvcodec

source = given_or_made()
whole, last, both = (source.with_suffix(f".{name}.gvc") for name in ("whole", "last", "both"))
options = {"overwrite": True}
gvcodec.encode_file(source, whole, q=45, fit=0, preset=8, keyint=10, **options)

with gvcodec.open(whole) as video:
    begin = float(video.get_frame_at(video.key_frames[-1]).pts_seconds)
piece = gvcodec.cut(whole, last, begin, **options)  # pieces begin and end at keyframes
print(
    f"frames {piece.first} to {piece.first + piece.frames - 1}: {piece.begin:g} to {piece.end:g} s"
)

joined = gvcodec.cat([last, whole], both, **options)
print(f"{both}: {joined.frames} frames")
gvcodec.verify(both)  # checksums and hashes are right, or it raises

with gvcodec.open(whole) as video, gvcodec.open(both) as other:
    assert np.array_equal(video[piece.first], other[0])  # sample by sample
