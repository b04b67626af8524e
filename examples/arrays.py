"""Arrays and tensors in and out: `python examples/arrays.py`"""

import numpy as np
import torch
from made_clip import RATE, pictures

import gvcodec

frames = pictures()  # (T, H, W, 3) uint8
fast = {"q": 40, "fit": 0, "preset": 8}
data = gvcodec.encode(frames, frame_rate=RATE, **fast)

# (T, 3, H, W), floats from 0 to 1, lists and generators are the same stream.
tensors = torch.from_numpy(frames).permute(0, 3, 1, 2) / 255
assert gvcodec.encode(tensors, frame_rate=RATE, **fast) == data
print(f"{frames.nbytes:,} bytes of pictures, {len(data):,} bytes of stream")

for number, image in enumerate(gvcodec.decode(data, start=15), 15):
    error = np.abs(image.astype(int) - frames[number]).mean()
    print(f"frame {number}: {image.shape} {image.dtype}, mean error {error:.2f}")

# At random: only GOPs that hold wanted frames are decoded.
video = gvcodec.open(data, output="torch", dimension_order="NCHW")
print(video, video[3].shape, video[2:18:5].shape)
print(video.get_frames_played_at([0.25, 1.5]))
