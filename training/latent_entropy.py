"""Trains the entropy network of latent tokens, from zero in minutes (`training.integer_network`).

    python -m training latent_entropy material CLIPS FOLDER [--model gvc1d-small.safetensors]
    python -m training latent_entropy train FOLDER NETWORK.safetensors [--minutes 10]
    python -m training latent_entropy card FOLDER NETWORK.safetensors [--minutes 10]

`train` writes the integers of the float twin. `card` prints bits a window on clips held out by
source: beside static tables and networks trained without the values before (AR), without the frames
before (memory) and without both; and with these inputs zeroed or shuffled.

Parts of clips are coded at random rates with a model over base av1, and the integers kept:
`NAME.N.npz` with `values` (T, W, K, C) int16, `counts` (T, W), `rate`, `grid` (rows, columns) and
`phases`.
"""

from __future__ import annotations

import argparse
import json
import zlib
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

import gvcodec
from gvcodec.entropy import streams
from gvcodec.entropy.network import Layer
from gvcodec.entropy.network_file import read_network, write_network
from gvcodec.errors import GvcodecError
from gvcodec.gvc1d.codec import window_grid
from gvcodec.gvc1d.entropy_model import BACK, MEMORY, SIDE, Counts, EntropyModel, Memory, Values
from gvcodec.gvc1d.files import read_sizes
from gvcodec.gvc1d.frame_options import TokenSettings
from gvcodec.gvc1d.token_encoder import LatentEncoder
from gvcodec.gvc1d.token_places import KINDS
from gvcodec.media.reader import VideoReader
from gvcodec.models import GVC1D_ENTROPY, GVC1D_SMALL
from gvcodec.types import Planes, VideoFormat
from training.integer_network import NONE, Material, files_of, make_card, network_of, train

INPUTS = SIDE + BACK
#: Frames and samples of a part at most, and parts of a clip.
_FRAMES, _HEIGHT, _WIDTH, _PARTS = 10, 512, 768, 2
#: Qualities of the base.
_QUALITIES = (45, 50, 54, 57, 60, 62)
#: Values that are held in memory at most: a gigabyte of what the network sees goes by in training.
_MOST_VALUES = 6_000_000
_NO_MEMORY = [NONE, NONE, *[0] * (MEMORY.stop - MEMORY.start - 5), NONE, NONE, 0]
_CUTS = {
    "AR": (slice(SIDE, INPUTS), torch.zeros(BACK, dtype=torch.uint8)),
    "memory": (MEMORY, torch.tensor(_NO_MEMORY, dtype=torch.uint8)),
}


def collect(clip: Path, folder: Path, model: Path) -> None:
    """Writes the tokens of parts of a clip, `CLIP.N.npz`. Raises `MediaError`."""
    with VideoReader(clip, frames=_FRAMES * _PARTS) as reader:
        fmt = reader.format
        frames = [_crop(frame.planes) for frame in reader]
    rng = np.random.default_rng(zlib.crc32(clip.name.encode()))
    for number in range(_PARTS):
        part = frames[number * _FRAMES : (number + 1) * _FRAMES]
        if not part:
            break
        height, width = part[0][0].shape
        cut = VideoFormat(width, height, fmt.frame_rate, fmt.time_base, fmt.bit_depth, fmt.colour)
        rate, q = int(rng.integers(8)), int(rng.choice(_QUALITIES))
        values, grid = code(part, cut, model, rate, q)
        most = values.shape[2]
        n = most if rng.random() < 0.6 else int(rng.integers(1, most + 1))
        values[:, :, n:] = 0
        found: dict[str, Any] = {"values": values, "counts": np.full(values.shape[:2], n, np.uint8)}
        found |= {"rate": rate, "grid": np.array(grid), "phases": read_sizes(model).phases}
        with open(folder / f"{clip.stem}.{number}.npz", "wb") as file:
            np.savez_compressed(file, **found)


def _crop(planes: Planes) -> Planes:
    y, u, v = planes
    half = slice(0, _HEIGHT // 2), slice(0, _WIDTH // 2)
    return tuple(np.ascontiguousarray(p) for p in (y[:_HEIGHT, :_WIDTH], u[half], v[half]))  # type: ignore[return-value]


def code(
    frames: Sequence[Planes], fmt: VideoFormat, model: Path, rate: int, q: int
) -> tuple[NDArray[np.int16], tuple[int, int]]:
    """Tokens of a part (T, W, K, C), as files have them, over av1 at `q`; rows and columns."""
    options = {"base": "av1", "fit": 0, "q": q, "threads": 1, "preset": 8}
    data = gvcodec.encode(frames, frame_rate=25, format=fmt, **options)  # type: ignore[arg-type]
    base = list(gvcodec.decode_planes(data, fidelity=True, threads=1))
    shown = list(gvcodec.decode_planes(data, threads=1))
    sizes = read_sizes(model)
    grid = window_grid(fmt, sizes.window)
    kept = _Kept([], *grid, sizes.tokens, rates=sizes.rates, phases=sizes.phases)
    settings = TokenSettings(sizes.tokens, rate)
    encoder = LatentEncoder(fmt, model, settings, 1.0, threads=1, entropy=kept)
    for planes in zip(frames, shown, base, strict=True):
        encoder.send(*planes)
    return np.stack(kept.coded), grid


class _Kept(EntropyModel):
    """Keeps what it is given to code, since there is no network yet."""

    def __init__(self, *sizes: Any, **others: Any) -> None:
        super().__init__(*sizes, **others)
        self.coded: list[Values] = []

    def encode(self, values: Values, counts: Counts, memory: Memory, rate: int) -> list[bytes]:
        self.coded.append(values)
        return []


def load(folder: Path, kept_out: bool, most: int = _MOST_VALUES) -> Material:
    """Inputs for at most `most` values, kept out or not. Raises `UsageError` if there are none."""
    files = files_of(folder, kept_out)
    order = np.random.default_rng(1).permutation(len(files))
    seen, value, windows, taken, total = [], [], 0, 0, 0
    for number in order:
        if total >= most:
            break
        taken += 1
        for inputs, row, coded in _frames(files[number]):
            seen.append(inputs)
            value.append(row)
            windows += coded
            total += len(row)
    both = torch.from_numpy(np.concatenate(seen)), torch.from_numpy(np.concatenate(value))
    return Material(*both, windows, taken)


def _frames(file: Path) -> Iterator[tuple[NDArray[np.uint8], NDArray[np.int16], int]]:
    """Of each frame of a run: inputs (S, INPUTS), values (S,), windows."""
    with np.load(file) as found:
        values, counts = found["values"].astype(np.int16), found["counts"]
        rate, grid, phases = int(found["rate"]), found["grid"], int(found["phases"])
    rows, columns = (int(n) for n in grid)
    model = EntropyModel([], rows, columns, values.shape[2], phases=phases)
    memory = Memory.empty(model.windows, model.tokens)
    for frame, kept in zip(values, counts, strict=True):
        batch = model.contexts(kept, memory, rate)
        for i, count in enumerate(batch.counts):
            row = frame.reshape(-1)[batch.place[i, :count]]
            # Windows of a frame are counted with its first stream.
            seen = streams.contexts(batch.side[i, :count], row, batch.back[i, :count])
            yield seen, row, len(kept) * (i == 0)
        memory = memory.after(frame, kept)


def read(path: Path) -> list[Layer]:
    """The network in a file. Raises `MediaError`."""
    return read_network(path, GVC1D_ENTROPY.form, INPUTS, "the entropy network of a model")


def main(words: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser(prog="latent_entropy", description=__doc__.splitlines()[0])
    add = parser.add_argument
    add("what", choices=("material", "train", "card"))
    add("source", type=Path, help="clips, or the folder of material")
    add("target", type=Path, help="the folder of material, or the network")
    add("--clips", type=int, default=0, help="most clips of the folder (all)")
    add("--minutes", type=float, default=10, help="minutes of one core (10)")
    add("--model", type=Path, help="network that makes the tokens (the shipped one)")
    options = parser.parse_args(words)
    torch.set_num_threads(1)
    source, target, minutes = options.source, options.target, options.minutes
    if options.what == "material":
        target.mkdir(parents=True, exist_ok=True)
        clips = sorted(source.glob("*.mp4"))
        every = -(-len(clips) // options.clips) if options.clips else 1
        for clip in clips[:: max(1, every)]:
            if any(target.glob(f"{clip.stem}.?.npz")):
                continue
            try:
                collect(clip, target, options.model or GVC1D_SMALL.find())
            except GvcodecError as error:
                print(f"left out: {error}", flush=True)
    elif options.what == "train":
        network = network_of(train(load(source, False), 60 * minutes))
        write_network(target, network, GVC1D_ENTROPY.form)
    else:
        halves = load(source, False), load(source, True)
        text = json.dumps(make_card(read(target), *halves, KINDS, _CUTS, minutes), indent=2)
        print(text)
        target.with_suffix(".json").write_text(text + "\n")
