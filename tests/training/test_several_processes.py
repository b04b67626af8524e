"""Training of GVC1D in two processes, as torchrun starts them, and the random places of crops."""

from __future__ import annotations

import csv
import os
import re
import subprocess
import sys
from pathlib import Path

import av
import numpy as np
import pytest

torch = pytest.importorskip("torch")

from training.gvc1d.data import Source, read_crop

ROOT = Path(__file__).parents[2]
CONFIGS = ROOT / "training/configs"
SIDE = 64


def write_counted_clip(path: Path, frames: int, keyint: int) -> None:
    """Frame n is flat, of luma 16 + 4 n."""
    with av.open(str(path), "w") as container:
        stream = container.add_stream("libx264", 25, {"g": str(keyint), "qp": "0", "bf": "2"})
        stream.width = stream.height = SIDE
        stream.pix_fmt = "yuv420p"
        for number in range(frames):
            samples = np.full((SIDE * 3 // 2, SIDE), 128, np.uint8)
            samples[:SIDE] = 16 + 4 * number
            frame = av.VideoFrame.from_ndarray(samples, format="yuv420p")
            container.mux(stream.encode(frame))
        container.mux(stream.encode())


def first_frame(crop: tuple[np.ndarray, ...]) -> int:
    return round(float(crop[0][0].mean()) * 219 / 4)


@pytest.mark.parametrize("name", ["a.mkv", "a.mp4", "a.ts"])
@pytest.mark.parametrize("frames", [1, 5])
def test_every_frame_is_as_likely_to_begin_a_crop(name: str, frames: int, tmp_path: Path) -> None:
    write_counted_clip(tmp_path / name, 40, keyint=40)
    rng, source = np.random.default_rng(1), Source(tmp_path / name, name)
    crops = [read_crop(source, rng, frames, SIDE) for _ in range(200)]
    counts = np.bincount([first_frame(crop) for crop in crops], minlength=40)
    starts = 40 - frames + 1
    assert counts[starts:].sum() == 0
    # Chi-squared of a uniform law: its mean is starts - 1, its spread the root of twice that.
    expected = len(crops) / starts
    chi = ((counts[:starts] - expected) ** 2 / expected).sum()
    assert chi < starts - 1 + 4 * (2 * (starts - 1)) ** 0.5
    for crop in crops[:10]:
        levels = crop[0].mean((1, 2)) * 219 / 4
        assert np.allclose(levels, first_frame(crop) + np.arange(frames), atol=0.3)


def test_a_clip_with_too_few_frames_is_read_from_its_start(tmp_path: Path) -> None:
    write_counted_clip(tmp_path / "a.mkv", 3, keyint=2)
    crop = read_crop(Source(tmp_path / "a.mkv", "a.mkv"), np.random.default_rng(1), 5, SIDE)
    assert np.rint(crop[0].mean((1, 2)) * 219 / 4).tolist() == [0, 1, 2, 2, 2]


def shorten(config: Path, folder: Path, **values: str) -> Path:
    """The configuration with other values of its keys, ten steps in each of its first two stages
    and few clips a step."""
    text = config.read_text()
    for key, value in (values | {"clips": "2"}).items():
        text = re.sub(rf"^{key} = .*$", f"{key} = {value}", text, flags=re.MULTILINE)
    head, *stages = text.split("[[stage]]")
    stages = [re.sub(r"steps = \S+", "steps = 10", stage) for stage in stages[:2]]
    path = folder / config.name
    path.write_text("[[stage]]".join([head, *stages]))
    return path


def train_in_two_processes(config: Path, out: Path) -> list[dict[str, str]]:
    command = [sys.executable, "-m", "torch.distributed.run", "--nproc-per-node", "2"]
    command += ["--master-port", str(20_000 + os.getpid() % 20_000)]
    command += ["-m", "training", "gvc1d", str(config), "--out", str(out)]
    environment = os.environ | {"OMP_NUM_THREADS": "1", "CUDA_VISIBLE_DEVICES": ""}
    run = subprocess.run(
        command, cwd=ROOT, env=environment, capture_output=True, text=True, timeout=500, check=False
    )
    assert run.returncode == 0, run.stdout[-1500:] + run.stderr[-6000:]
    state = torch.load(out / "state.pt", weights_only=True)
    assert state["step"] == 20
    return list(csv.DictReader((out / "curve.csv").open())) if (out / "curve.csv").exists() else []


def test_the_miniature_trains_in_two_processes(tmp_path: Path) -> None:
    """Single frames first: memory and short-term buffer get no gradient then."""
    config = shorten(CONFIGS / "mini.toml", tmp_path)
    train_in_two_processes(config, tmp_path / "out")


def test_the_large_network_trains_in_two_processes(tmp_path: Path) -> None:
    """Its configuration, cut to width 64 and one layer of each kind."""
    clips = tmp_path / "clips"
    clips.mkdir()
    for name in ("trained", "other", "validated"):
        write_counted_clip(clips / f"{name}.mkv", 12, keyint=12)
    held_out = tmp_path / "held_out.txt"
    held_out.write_text("validated\n")
    config = shorten(
        CONFIGS / "large.toml",
        tmp_path,
        width="64",
        heads="2",
        window="64",
        tokens="8",
        encoder='"LG"',
        decoder='"LG"',
        entropy_layers="1",
        memory="8",
        memory_layers="1",
        grid="4",
        path=f'"{clips}"\nheld_out = "{held_out}"',
        size="64",
        workers="0",
        accumulate="2",
        warm_up="2",
    )
    train_in_two_processes(config, tmp_path / "out")
