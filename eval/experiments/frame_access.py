"""Random, sparse and sequential access to frames in a data loader: `python -m
eval.experiments.frame_access`.

A clip of 250 frames (320×180, a keyframe every 50) is made by ffmpeg's lavfi and encoded as a
one-file. Readers: PyAV and torchcodec give its base frames, `gvcodec.Video` base and painted ones,
all as RGB with one thread. Each is read by a PyTorch data loader with 1, 2 and 16 workers, and the
processor time of all its processes is measured, which a machine's load changes least. A first round
starts the workers and opens the clip; of three more the least time counts.

    random      one frame at a random place
    sparse      8 frames evenly over the clip, as one item
    sequential  25 successive frames, as one item

Rows go to docs/data/frame-access.csv: `seconds` of processors for `frames` frames, `ratio` to
PyAV's time for the same access and workers, `versions`. The table goes to standard output. Linux
only. Raises `EvalError`.
"""

from __future__ import annotations

import argparse
import importlib.util
import math
import os
import tempfile
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import av
import numpy as np
import torch
from torch import Tensor
from torch.utils.data import DataLoader, Dataset

import gvcodec
from eval.tools import append_rows, ffmpeg, fill_marks, log_line, markdown, read_rows, run_command

OUTPUT = Path(__file__).resolve().parents[2] / "docs/data/frame-access.csv"
FIELDS = ("access", "reader", "workers", "frames", "seconds", "ratio", "versions")
#: Slow shades under grain: SVT-AV1 removes the grain, the painter puts it back.
SOURCE = "gradients=s=320x180:r=25:d=10:speed=0.02:seed=7,noise=alls=16:allf=t:all_seed=7"
KEYINT, WORKERS, ROUNDS = 50, (1, 2, 16), 3
ACCESSES = ("random", "sparse", "sequential")

#: Frames by number, (N, 3, H, W) uint8.
Reader = Callable[[Sequence[int]], Tensor]


def make_clip(path: Path, frames: int) -> None:
    """The one-file to read."""
    source = path.with_suffix(".y4m")
    words = ["-f", "lavfi", "-i", SOURCE, "-frames:v", str(frames), "-pix_fmt", "yuv420p"]
    run_command([ffmpeg(), "-y", "-v", "error", *words, str(source)])
    gvcodec.encode_file(source, path, keyint=KEYINT, preset=8, overwrite=True)
    source.unlink()


def open_pyav(path: Path) -> Reader:
    container = av.open(str(path))
    stream = container.streams.video[0]
    stream.codec_context.thread_count = 1
    assert stream.average_rate is not None and stream.time_base is not None
    ticks = 1 / (stream.average_rate * stream.time_base)
    state: dict[str, Any] = {"frames": iter(()), "at": -1}

    def read(numbers: Sequence[int]) -> Tensor:
        pictures = []
        for number in numbers:
            # Decoding goes on where a seek would not save any frame.
            if not 0 <= number - state["at"] <= number % KEYINT:
                container.seek(int(number * ticks), stream=stream)
                state["frames"] = container.decode(stream)
            for frame in state["frames"]:
                state["at"] = round(frame.pts / ticks) + 1
                if state["at"] > number:
                    pictures.append(torch.from_numpy(frame.to_ndarray(format="rgb24")))
                    break
        return torch.stack(pictures).permute(0, 3, 1, 2)

    return read


def open_torchcodec(path: Path) -> Reader:
    from torchcodec.decoders import VideoDecoder

    decoder = VideoDecoder(str(path), num_ffmpeg_threads=1)
    return lambda numbers: decoder.get_frames_at(list(numbers)).data


def open_video(path: Path, fidelity: bool) -> Reader:
    video = gvcodec.open(path, fidelity=fidelity, output="torch", dimension_order="NCHW")
    return lambda numbers: video.get_frames_at(numbers).data


READERS: dict[str, Callable[[Path], Reader]] = {
    "PyAV": open_pyav,
    "torchcodec": open_torchcodec,
    "Video, base": lambda path: open_video(path, True),
    "Video, painted": lambda path: open_video(path, False),
}


def choose_items(access: str, frames: int) -> list[list[int]]:
    """Numbers of the frames of each item."""
    rng = np.random.default_rng(1)
    if access == "random":
        return [[int(number)] for number in rng.integers(frames, size=16)]
    if access == "sparse":
        begins = rng.integers(max(1, frames // 8), size=4)
        return [[int(begin) + step * (frames // 8) for step in range(8)] for begin in begins]
    return [list(range(at, min(at + 25, frames))) for at in range(0, min(100, frames), 25)]


class Items(Dataset[Tensor]):
    """Items of a clip; each worker opens it once."""

    def __init__(self, path: Path, reader: str, items: list[list[int]]) -> None:
        self._path, self._reader, self._items = path, reader, items
        self._open: Reader | None = None

    def __len__(self) -> int:
        return len(self._items)

    def __getitem__(self, index: int) -> Tensor:
        if self._open is None:
            torch.set_num_threads(1)
            self._open = READERS[self._reader](self._path)
        return self._open(self._items[index])


def list_readers() -> list[str]:
    """Readers that can be imported here."""
    if importlib.util.find_spec("torchcodec") is None:
        log_line("torchcodec is not installed: left out (pip install torchcodec)")
        return [name for name in READERS if name != "torchcodec"]
    return list(READERS)


def processor_seconds(pids: Sequence[int]) -> float:
    """Time that processes have had, in user and kernel mode."""
    ticks = 0
    for pid in pids:
        fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
        ticks += int(fields[11]) + int(fields[12])
    return ticks / os.sysconf("SC_CLK_TCK")


def measure(path: Path, frames: int, access: str, workers: int) -> dict[str, float]:
    """Processor seconds of each reader for all items of an access."""
    items = choose_items(access, frames)
    seconds: dict[str, float] = {}
    for name in list_readers():
        data = Items(path, name, items)
        loader = DataLoader(data, batch_size=None, num_workers=workers, persistent_workers=True)
        assert sum(len(batch) for batch in loader) == sum(map(len, items))
        pids = [os.getpid(), *(worker.pid for worker in loader._iterator._workers)]
        seconds[name] = math.inf
        for _ in range(ROUNDS):
            begin = processor_seconds(pids)
            for _ in loader:
                pass
            seconds[name] = min(seconds[name], processor_seconds(pids) - begin)
    return seconds


def versions() -> str:
    names = [f"gvcodec {gvcodec.__version__}", f"PyAV {av.__version__}"]
    if importlib.util.find_spec("torchcodec"):
        import torchcodec

        names.append(f"torchcodec {torchcodec.__version__}")
    return ", ".join([*names, f"torch {torch.__version__}"])


def ratio_table(rows: Sequence[Mapping[str, str]]) -> str:
    """Markdown of the rows of a CSV: a line for each access and number of workers."""
    readers = list(dict.fromkeys(row["reader"] for row in rows))
    ratios = {(r["access"], r["workers"], r["reader"]): r["ratio"] for r in rows}
    places = dict.fromkeys((row["access"], row["workers"]) for row in rows)
    lines = [[*place, *(ratios[(*place, name)] for name in readers)] for place in places]
    return markdown(("access", "workers", *readers), lines)


def main(words: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser(prog="frame_access", description=__doc__)
    parser.formatter_class = argparse.RawDescriptionHelpFormatter
    parser.add_argument("--frames", type=int, default=250, help="of the clip (%(default)s)")
    parser.add_argument("--workers", type=int, nargs="+", default=WORKERS)
    parser.add_argument("--access", nargs="+", choices=ACCESSES, default=ACCESSES)
    parser.add_argument("--out", type=Path, default=OUTPUT)
    parser.add_argument("--page", type=Path, help="put the table between the marks of this page")
    options = parser.parse_args(words)
    rows: list[list[str]] = []
    with tempfile.TemporaryDirectory() as folder:
        clip = Path(folder, "clip.mp4")
        make_clip(clip, options.frames)
        for access in options.access:
            count = sum(map(len, choose_items(access, options.frames)))
            for workers in options.workers:
                measured = measure(clip, options.frames, access, workers)
                for name, seconds in measured.items():
                    ratio = f"{seconds / max(measured['PyAV'], 0.01):.2f}"
                    row = [access, name, str(workers), str(count), f"{seconds:.2f}", ratio]
                    rows.append([*row, versions()])
                log_line(f"{access}, {workers} workers: {measured}")
    others = [r for r in read_rows(options.out) if r["access"] not in options.access]
    rows = [*([row[name] for name in FIELDS] for row in others), *rows]
    options.out.unlink(missing_ok=True)
    append_rows(options.out, FIELDS, sorted(rows, key=lambda row: ACCESSES.index(row[0])))
    table = ratio_table(read_rows(options.out))
    if options.page:
        fill_marks(options.page, {"frame-access": table})
    print(table)


if __name__ == "__main__":
    main()
