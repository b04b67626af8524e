"""InfoTok's router on a GVC1D network: `python -m eval.experiments.small_router VIDEOS --model W`.

`--alloc elbo` gives a window tokens in proportion to L = -ELBO, the J of the window with all its
tokens (`gvcodec.gvc1d.budgets.Elbo`), for which it decodes them and predicts their bits. A router
(`training.router.Head`) predicts log L from the encoder's integers alone. Videos of a source are
learned from, decide, or are held out, as for the tokenizer's router. A row has the share of the
variance of log L that the router explains on held-out windows; of the ridge regression; with the
inputs zeroed and shuffled; and the processor time of both ways to L, per window.
"""

from __future__ import annotations

import argparse
import itertools
import time
import zlib
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray

from eval.tools import EvalError, append_rows, read_facts
from gvcodec.allocation.router import magnitudes
from gvcodec.gvc1d import ops_exact
from gvcodec.gvc1d.budgets import cost_of
from gvcodec.gvc1d.frame_coder import RATE_STEPS, Frame, FrameCoder
from gvcodec.gvc1d.weights import read_network
from gvcodec.planes import Scaler
from gvcodec.source.reader import VideoReader
from gvcodec.types import Planes
from gvcodec.util.messages import log_line
from training import router

#: Windows of height that pictures are reduced to; the frames that are coded, one after the other.
_ROWS, FRAMES, STEP = 1, 2, 2
#: Coded rates, in turn: the middle one and two next to it.
RATES = tuple(rate * RATE_STEPS for rate in (3, 4, 5))
#: The router's inputs are means of runs of tokens: as many as the tokenizer has tokens.
RUNS = 32
OUTPUT = Path("docs/data/gvc1d-small-router.csv")
FIELDS = (
    "step", "training seed", "clips", "windows", "held out", "explained", "ridge alone", "zeroed",
    "shuffled", "seconds to L", "seconds of the router",
)  # fmt: skip

Array = NDArray[Any]


class Survey(NamedTuple):
    """Of M windows: integers as inputs (M, RUNS + 1) and log L (M,); seconds to L, of a window."""

    inputs: Array
    costs: Array
    seconds: float


def read_frames(path: Path, window: int) -> Iterator[Planes]:
    """`FRAMES` frames of a video, `STEP` apart, `_ROWS` windows high and with whole windows of
    width."""
    with VideoReader(path, frames=FRAMES * STEP) as reader:
        fmt, height = reader.format, _ROWS * window
        columns = max(1, round(fmt.width * height / fmt.height / window))
        scaler = Scaler(fmt, (columns * window, height))
        for frame in itertools.islice(reader, 0, None, STEP):
            yield scaler.apply(frame.planes)


def survey(coder: FrameCoder, frames: Sequence[Planes], rate: int) -> Survey:
    """All windows of frames that are coded one after the other."""
    config = coder.config
    full = np.full(coder.windows, config.tokens, np.int32)
    inputs, costs, seconds = [], [], 0.0
    for planes in frames:
        analysis = coder.analyse(planes, rate)
        frame = Frame(rate, full, np.rint(analysis.values).astype(np.int32))
        begin = time.process_time()
        costs.append(np.log(np.maximum(cost_of(coder.estimate(frame, analysis), rate), 1e-3)))
        seconds += time.process_time() - begin
        inputs.append(inputs_of(frame.tokens, rate / RATE_STEPS))
        coder.encode(frame)
    windows = len(frames) * coder.windows
    return Survey(np.concatenate(inputs), np.concatenate(costs), seconds / windows)


def inputs_of(tokens: Array, rate: float) -> Array:
    """Mean log magnitudes of runs of tokens [W, T, C], and the rate: (W, RUNS + 1)."""
    logs = magnitudes(tokens, rate)
    runs = min(RUNS, tokens.shape[1])
    means = logs[:, :-1].reshape(len(logs), runs, -1).mean(2)
    return np.concatenate([means, logs[:, -1:]], 1)


def gather(videos: Sequence[Path], model: Path) -> tuple[router.Material, float]:
    """Windows by place in `training.router.Material`, and seconds to L of a window."""
    config, weights = read_network(model)
    surveys, groups = [], []
    for number, path in enumerate(videos):
        frames = list(read_frames(path, config.window))
        height, width = frames[0][0].shape
        coder = FrameCoder(config, weights, ops_exact, (width, height))
        surveys.append(survey(coder, frames, RATES[number % len(RATES)]))
        groups.append(np.full(len(surveys[-1].costs), router.group_of(path)))
        log_line(f"{path.name}: {len(groups[-1])} windows")
    group = np.concatenate(groups) if groups else np.zeros(0)
    if len(np.unique(group)) < len(router.Material._fields):
        raise EvalError("too few videos: some are learned from, some decide, some are held out")
    every = [
        torch.from_numpy(np.concatenate([getattr(one, name) for one in surveys]).astype("f4"))
        for name in ("inputs", "costs")
    ]
    parts = [router.Windows(*(x[torch.from_numpy(group == n)] for x in every)) for n in range(3)]
    return router.Material(*parts), float(np.mean([one.seconds for one in surveys]))


def main(words: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser("python -m eval.experiments.small_router")
    add = parser.add_argument
    add("videos", type=Path, metavar="VIDEOS", help="folder of videos")
    add("--model", type=Path, required=True, help="weights of the GVC1D network")
    add("--count", type=int, default=60, help="videos at most (60)")
    add("--output", type=Path, default=OUTPUT)
    options = parser.parse_args(words)
    torch.set_num_threads(1)
    videos = sorted(options.videos.glob("*.mp4"), key=lambda path: zlib.crc32(path.name.encode()))
    videos = videos[: options.count]
    material, seconds = gather(videos, options.model)
    head, held_out = router.train(material), material.held_out
    begin = time.process_time()
    with torch.no_grad():
        head(held_out.seen)
    router_seconds = (time.process_time() - begin) / len(held_out.wanted)
    figures = [
        router.explained(head, held_out),
        router.explained(router.fit_ridge(material), held_out),
    ]
    figures += [router.explained(head, held_out, change) for change in ("zeroed", "shuffled")]
    counts = [len(videos), sum(len(part.wanted) for part in material), len(held_out.wanted)]
    row = [*read_facts(options.model), *counts, *(round(x, 3) for x in figures)]
    row += [f"{seconds:.4f}", f"{router_seconds:.7f}"]
    append_rows(options.output, FIELDS, [row])
    print(*row)


if __name__ == "__main__":
    main()
