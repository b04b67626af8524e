"""`examples/codec/gvc_rt.py` with a stand-in for the script of GVC-RT's benchmark."""

import os
import subprocess
import sys
from pathlib import Path

import av
import numpy as np

from tests.clips import write_pictures

ROOT = Path(__file__).parents[2]
#: Takes what the script of GVC-RT's repository takes, and writes where it writes: a stream, and the
#: decoded frames, here those of the source turned upside down.
SCRIPT = """
import argparse, json, pathlib
from PIL import Image
parser = argparse.ArgumentParser()
names = "model_path_i model_path_p test_config stream_path output_path force_zero_thres".split()
names += "cuda worker write_stream save_decoded_frame calc_ssim reset_interval".split()
names += "force_intra_period force_frame_num rate_num".split()
for name in names:
    parser.add_argument("--" + name, required=True)
for name in ("qp_i", "qp_p"):
    parser.add_argument("--" + name, type=int, nargs="+")
given = parser.parse_args()
assert given.qp_i == given.qp_p and len(given.qp_i) == int(given.rate_num) == 1
assert given.write_stream == given.save_decoded_frame == "true"
config = json.loads(pathlib.Path(given.test_config).read_text())
for name, one in config["test_classes"].items():
    for clip, facts in one["sequences"].items():
        source = pathlib.Path(config["root_path"]) / one["base_path"] / clip
        target = pathlib.Path(given.stream_path) / name / clip
        target.mkdir(parents=True)
        (target / f"{clip}_q{given.qp_i[0]}.bin").write_bytes(bytes(10 * (given.qp_i[0] + 1)))
        for number in range(facts["frames"]):
            image = Image.open(source / f"im{number + 1:05d}.png")
            assert image.size == (facts["width"], facts["height"])
            image.transpose(Image.FLIP_TOP_BOTTOM).save(target / f"im{number + 1:05d}.png")
"""


def test_a_clip_goes_through_the_benchmark(tmp_path: Path) -> None:
    (tmp_path / "test_video_gvcrt_1088.py").write_text(SCRIPT)
    rows = np.linspace(40, 200, 48).astype(np.uint8)[:, None].repeat(64, 1)
    frames = [np.concatenate([rows + n, np.full((24, 64), 128, np.uint8)]) for n in range(3)]
    source, stream, shown = (tmp_path / n for n in ("in.mkv", "a.bin", "out.y4m"))
    stored = (av.VideoFrame.from_ndarray(planes, format="yuv420p") for planes in frames)
    write_pictures(source, stored, "ffv1")
    sizes = []
    for q in (2, 5):
        for word in ("encode", source, stream, "--q", str(q)), ("decode", stream, shown):
            command = [sys.executable, ROOT / "examples/codec/gvc_rt.py", *word]
            subprocess.run(command, env=os.environ | {"GVC_RT": str(tmp_path)}, check=True)
        sizes.append(stream.stat().st_size)
    assert sizes == [80, 50]
    with av.open(str(shown)) as container:
        decoded = [frame.to_ndarray()[:48] for frame in container.decode(video=0)]
        assert container.streams.video[0].average_rate == 25
    assert len(decoded) == 3
    for planes, found in zip(frames, decoded, strict=True):
        assert np.abs(found.astype(int) - planes[:48][::-1]).max() <= 2
