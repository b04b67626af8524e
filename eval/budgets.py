"""Budgets (`--alloc`) against each other: `python -m eval budgets CLIP… --what motion --out FILE`.

`scenes`: the clips, made 640×360 and joined, are one video of as many scenes, coded by base `av1`
with nothing fitted; each arm gives the GOPs other qualities (`gvcodec.rate.scenes`). `shuffled`
gives the offset by ELBO of each scene to the one before.

`latents`: base `none`, so that tokens are all there is; clips are made 512×512 (four windows).
`uniform` at several numbers of tokens is the curve that the other arms, of `--tokens` on average,
are compared with at equal bytes. `router`: ELBO as the shipped router predicts it, without a
decode. `shuffled`: the counts by ELBO, at random places. `oracle`: the best counts of all for the
errors that `rd` measures (dynamic programming).

With several clips `latents` and `windows` do all of them together, too: budgets among scenes.

`windows`: no files. The tokenizer decodes windows of single pictures from prefixes of 0, 1, 2, 3 …
tokens, and each arm is a choice among them, those between interpolated: PSNR-Y at equal numbers of
tokens, as InfoTok's table has it. `elbo` and `router` go by -ELBO of all tokens, measured or
predicted; `oracle` by the squared errors themselves; `uniqueness` (of the encoder's outputs, and of
its keys) without fusion of frames, which needs what was shown before.

`motion`: base `motion`, nothing fitted. Clips are made smaller to `--width`; every arm codes the
same frames at the same q, and the file's bytes, LPIPS-Alex and PSNR-Y of the base frames and the
processor time of the encode are written as one row. `shuffled` gives each frame's budgets by ELBO
to its windows in random order, so it shows what knowing the place is worth; `half` searches every
window to level 4.
"""

from __future__ import annotations

import argparse
import csv
import itertools
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from fractions import Fraction
from pathlib import Path
from statistics import fmean
from typing import Any
from unittest import mock

import numpy as np

from eval.colour import to_rgb
from eval.frames import psnr_y, read_frames
from eval.metrics import network, sample
from gvcodec.allocation.budget import allocate
from gvcodec.allocation.patches import WINDOW
from gvcodec.allocation.router import Router, negative_elbo
from gvcodec.allocation.uniqueness import compress
from gvcodec.api.frames import decode_planes, encode
from gvcodec.base.motion import budgets
from gvcodec.config import EncoderConfig
from gvcodec.gvc1d import token_encoder
from gvcodec.gvc1d.tokenizer import Tokenizer
from gvcodec.models import GVC1D_SMALL, model_id
from gvcodec.rate.scenes import gop_offsets
from gvcodec.types import Planes, VideoFormat

EVERY = 8
#: Tokens that windows are decoded with.
_PREFIXES = (0, 1, 2, 3, 4, 6, 8, 10, 12, 16, 20, 24, 28, 32)
_BT709 = 1
FIELDS = ("what", "clip", "size", "base q", "budgets", "bytes", "bpp", "LPIPS-Alex", "PSNR-Y")
MORE = ("windows without nodes", "mean budget", "seconds")
SCENE_FIELDS = (
    *FIELDS, "DISTS", "worst LPIPS-Alex", "LPIPS-Alex painted", "worst LPIPS-Alex painted",
    "seconds", "trial seconds", "offsets",
)  # fmt: skip
SCENE_ARMS = ("uniform", "elbo", "uniqueness", "both", "rd", "shuffled")
SCENE, LATENT = (640, 360), (512, 512)


@dataclass
class Seen:
    """Budgets that an arm gave: nodes of each window of each frame."""

    nodes: list[np.ndarray]


def arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("clips", type=Path, nargs="+")
    parser.add_argument(
        "--what", choices=("motion", "scenes", "latents", "windows"), default="motion"
    )
    parser.add_argument("--tokens", type=int, default=8, help="tokens a window (latents)")
    parser.add_argument("--model", help="weights of gvc1d (latents; the shipped ones)")
    parser.add_argument("--frames", type=int, default=48)
    parser.add_argument("--width", type=int, default=480, help="wider clips are made smaller")
    parser.add_argument("--q", type=int, nargs="+", default=[56, 59, 62])
    parser.add_argument("--out", type=Path, default=Path("budgets.csv"), help="rows are added")


def run(options: argparse.Namespace) -> None:
    new = not options.out.exists()
    with open(options.out, "a", newline="") as file:
        fields = {
            "scenes": SCENE_FIELDS,
            "latents": FIELDS,
            "windows": FIELDS,
            "motion": FIELDS + MORE,
        }[options.what]
        writer = csv.DictWriter(file, fields, lineterminator="\n")
        if new:
            writer.writeheader()
        if options.what == "scenes":
            parts = [read_scaled(path, options.frames) for path in options.clips]
            starts = list(itertools.accumulate(map(len, parts), initial=0))[:-1]
            frames = [planes for part in parts for planes in part]
            for q, arm in itertools.product(options.q, SCENE_ARMS):
                writer.writerow({"what": "scenes"} | scenes_row(frames, starts, q, arm))
                file.flush()
            return
        if options.what in ("windows", "latents"):
            rows = window_rows if options.what == "windows" else latent_rows
            parts = [read_scaled(path, options.frames, LATENT) for path in options.clips]
            videos = [(path.stem, part) for path, part in zip(options.clips, parts, strict=True)]
            if len(parts) > 1:  # a number of scenes, which differ more than windows of one do
                videos.append((f"{len(parts)} clips", list(itertools.chain(*parts))))
            for name, frames in videos:
                for found in rows(frames, options.tokens, options.model):
                    writer.writerow({"what": options.what, "clip": name} | found)
                    file.flush()
            return
        for path in options.clips:
            fmt, frames = read(path, options.frames, options.width)
            for q, arm in itertools.product(options.q, ARMS):
                writer.writerow({"what": "motion", "clip": path.stem} | row(fmt, frames, q, arm))
                file.flush()


def read_scaled(path: Path, count: int, size: tuple[int, int] = SCENE) -> list[Planes]:
    """The first frames at this size, 10 bits."""
    return read_frames(path, count, lambda *_: size, 10)[0]


def latent_arms(tokens: int) -> list[tuple[str, int]]:
    """Names, and tokens a window on average."""
    curve = sorted({max(1, tokens * part // 4) for part in (2, 3, 4, 5, 6)})
    others = ("uniqueness", "elbo", "router", "both", "rd", "shuffled", "oracle")
    return [("uniform", n) for n in curve] + [(name, tokens) for name in others]


def latent_rows(
    frames: Sequence[Planes], tokens: int, model: str | None
) -> Iterator[dict[str, Any]]:
    """Files of each arm."""
    for arm, count in latent_arms(tokens):
        yield latents_row(frames, count, arm, model)


def latents_row(
    frames: Sequence[Planes], tokens: int, arm: str, model: str | None
) -> dict[str, Any]:
    fmt = VideoFormat(*LATENT, Fraction(25), Fraction(1, 25))
    method = {"router": "elbo", "shuffled": "elbo", "oracle": "rd"}.get(arm, arm)
    config = EncoderConfig(base="none", tokens=tokens, alloc=method, fit=0, threads=1, model=model)
    plain, find = token_encoder.allocate, Router.find

    def give(*given: Any) -> np.ndarray:
        if arm == "oracle":
            return best_counts(given[1], given[3])
        counts = plain(*given)
        if arm == "shuffled":
            counts = np.random.default_rng(1).permutation(counts.ravel()).reshape(counts.shape)
        return counts

    with (
        mock.patch.object(token_encoder, "allocate", give),
        mock.patch.object(Router, "find", find if arm == "router" else lambda _: None),
    ):
        data = encode(frames, format=fmt, config=config)
    shown = list(decode_planes(data, threads=1))
    return {
        "size": "x".join(map(str, LATENT)),
        "budgets": arm,
        "base q": tokens,
        "bytes": len(data),
        "bpp": f"{8 * len(data) / len(frames) / fmt.width / fmt.height:.5f}",
        "LPIPS-Alex": f"{judged('lpips_alex', frames, shown, 2):.4f}",
        "PSNR-Y": f"{psnr_y(frames, shown):.3f}",
    }


def window_rows(
    frames: Sequence[Planes], tokens: int, model: str | None
) -> Iterator[dict[str, Any]]:
    """PSNR-Y of each arm at `tokens` a window on average."""
    path = Path(model) if model else GVC1D_SMALL.find()
    tokenizer = Tokenizer(path)
    values, features, keys = look(tokenizer, frames)
    count = values.shape[2]
    prefixes = [n for n in _PREFIXES if n <= count]
    squared, absolute = [], []
    for n in prefixes:
        kept = values * (np.arange(count) < n)[:, None]
        shown = tokenizer.decode(kept, *LATENT)[0].numpy()[:, 0]
        missed = np.stack([planes[0] for planes in frames]) / 1020 - shown
        squared.append(_by_window(missed**2))
        absolute.append(_by_window(np.abs(missed)))
    curves = np.stack(squared, -1), np.stack(absolute, -1)  # F, W, prefixes
    error, missed = (
        np.apply_along_axis(lambda c: np.interp(np.arange(count + 1), prefixes, c), -1, curve)
        for curve in curves
    )
    bits = tokenizer.bits(values).numpy().astype(np.float64)
    price = float(missed[..., -1].mean() / max(bits.mean(), 1e-9))
    elbo = negative_elbo(bits, missed[..., -1], price)
    router = Router.find(model_id(path))
    total = tokens * bits.size
    arms = {name: allocate(features, elbo, name, total) for name in ("uniform", "elbo")}
    for name, seen in (("uniqueness", features), ("uniqueness of keys", keys)):
        flat = seen.reshape(len(seen), -1, seen.shape[-1])
        kept = compress(flat, total, frame_threshold=-1.0).mask
        arms[name] = kept.reshape(values.shape[:3]).sum(-1)
    arms["rd (L1)"] = allocate(features, missed, "rd", total)
    shuffled = np.random.default_rng(1).permutation(arms["elbo"].ravel())
    arms["shuffled"] = shuffled.reshape(bits.shape)
    arms["oracle"] = best_counts(error, total)
    if router is not None:
        predicted = router.predict(values, tokens / count)
        arms["router"] = allocate(features, predicted, "elbo", total)
    for name, counts in arms.items():
        left = np.take_along_axis(error, counts[..., None], -1).mean()
        yield {
            "size": "x".join(map(str, LATENT)),
            "base q": tokens,
            "budgets": name,
            "PSNR-Y": f"{-10 * np.log10(left):.3f}",
        } | {"bytes": "", "bpp": f"{counts.mean():.2f} tokens"}


def look(
    tokenizer: Tokenizer, frames: Sequence[Planes]
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Of frames by themselves: tokens (F, W, K, C), the encoder's outputs and the keys of its last
    local layer (F, W, K, D)."""
    found = []
    for planes in frames:
        values, features = tokenizer.encode([planes])
        assert tokenizer.model.features is not None
        found.append((values[0], features[0], tokenizer.model.features.keys[0].numpy()))
    values, features, keys = map(np.stack, zip(*found, strict=True))
    return values, features, keys


def _by_window(values: np.ndarray) -> np.ndarray:
    """Means of pictures (F, H, W) by window, (F, windows)."""
    frames, height, width = values.shape
    split = values.reshape(frames, height // WINDOW, WINDOW, width // WINDOW, WINDOW)
    return split.mean((2, 4)).reshape(frames, -1)


def best_counts(errors: np.ndarray, total: int) -> np.ndarray:
    """The counts (F, W) of least sum of errors (F, W, K + 1), of all that come to `total` tokens at
    most."""
    flat = errors.reshape(-1, errors.shape[-1])
    least = np.zeros(total + 1)  # by tokens that are left, of the windows so far
    chosen = np.zeros((len(flat), total + 1), np.int64)
    for i, window in enumerate(flat):
        options = np.full((flat.shape[1], total + 1), np.inf)
        for n, error in enumerate(window[: total + 1]):
            options[n, n:] = least[: total + 1 - n] + error
        chosen[i], least = options.argmin(0), options.min(0)
    counts, left = np.zeros(len(flat), np.int64), total
    for i in reversed(range(len(flat))):
        counts[i] = chosen[i, left]
        left -= counts[i]
    return counts.reshape(errors.shape[:-1])


def scenes_row(
    frames: Sequence[Planes], starts: Sequence[int], q: float, arm: str
) -> dict[str, Any]:
    """`starts`: where the clips begin."""
    fmt = VideoFormat(*SCENE, Fraction(25), Fraction(1, 25))
    method = "elbo" if arm == "shuffled" else arm
    config = EncoderConfig(q=q, base="av1", fit=0, threads=1, keyint=240, alloc=method).resolve()
    began = time.process_time()
    offsets = () if arm == "uniform" else gop_offsets(frames, fmt, config)
    tried = time.process_time() - began
    offsets = offsets[1:] + offsets[:1] if arm == "shuffled" else offsets
    data = encode(frames, format=fmt, config=replace(config, gop_q=offsets))
    seconds = time.process_time() - began
    found: dict[str, Any] = {"size": "x".join(map(str, SCENE)), "base q": q, "budgets": arm}
    found |= {"clip": f"{len(starts)} scenes", "bytes": len(data)}
    found["bpp"] = f"{8 * len(data) / len(frames) / fmt.width / fmt.height:.5f}"
    for fidelity in (True, False):
        shown = list(decode_planes(data, fidelity=fidelity, threads=1))
        ends = [*starts[1:], len(frames)]
        each = [lpips(frames[a:b], shown[a:b]) for a, b in zip(starts, ends, strict=True)]
        name = "LPIPS-Alex" if fidelity else "LPIPS-Alex painted"
        found |= {name: f"{fmean(each):.4f}", f"worst {name}": f"{max(each):.4f}"}
        if fidelity:
            found["PSNR-Y"] = f"{psnr_y(frames, shown):.2f}"
            found["DISTS"] = f"{judged('dists', frames, shown, 16):.4f}"
    return found | {
        "seconds": f"{seconds:.2f}",
        "trial seconds": f"{tried:.2f}",
        "offsets": " ".join(f"{x:g}" for x in offsets),
    }


def read(path: Path, count: int, width: int) -> tuple[VideoFormat, list[Planes]]:
    """The first frames, a whole part of their size, so that they are `width` wide at most."""

    def size(wide: int, high: int) -> tuple[int, int]:
        part = 2 * -(-wide // width)
        return wide // part * 2, high // part * 2

    frames, rate = read_frames(path, count, size, 10)
    height, across = frames[0][0].shape
    return VideoFormat(across, height, rate, 1 / rate), frames


def row(fmt: VideoFormat, frames: Sequence[Planes], q: int, arm: str) -> dict[str, Any]:
    seen = Seen([])
    with ARMS[arm](seen):
        began = time.process_time()
        data = encode(frames, format=fmt, q=q, base="motion", fit=0, threads=1, keyint=0)
        seconds = time.process_time() - began
    shown = list(decode_planes(data, fidelity=True, threads=1))
    nodes = np.stack(seen.nodes) if seen.nodes else np.full((1, 1), budgets.NODES)
    size = len(data)
    return {
        "size": f"{fmt.width}x{fmt.height}",
        "base q": q,
        "budgets": arm,
        "bytes": size,
        "bpp": f"{8 * size / len(frames) / fmt.width / fmt.height:.5f}",
        "LPIPS-Alex": f"{lpips(frames, shown):.4f}",
        "PSNR-Y": f"{psnr_y(frames, shown):.2f}",
        "windows without nodes": f"{(nodes == 0).mean():.3f}",
        "mean budget": f"{nodes.mean():.1f}",
        "seconds": f"{seconds:.2f}",
    }


def lpips(source: Sequence[Planes], shown: Sequence[Planes]) -> float:
    """LPIPS-Alex, mean over one frame in `EVERY`."""
    return judged("lpips_alex", source, shown, EVERY)


def judged(name: str, source: Sequence[Planes], shown: Sequence[Planes], every: int) -> float:
    import torch

    judge = network(name, "cpu")

    def picture(planes: Planes) -> torch.Tensor:
        return torch.from_numpy(to_rgb(planes, _BT709, False, 10))[None]

    with torch.no_grad():
        return fmean(
            float(judge(picture(shown[i]), picture(source[i]))) for i in sample(len(source), every)
        )


def arm(method: str, change: Callable[[np.ndarray], np.ndarray] | None = None) -> Callable:
    """Runs an encode with a method whose levels `change` alters."""

    @contextmanager
    def give(seen: Seen) -> Iterator[None]:
        plain = budgets.Budgets

        class Watched(plain):  # type: ignore[misc, valid-type]
            def __init__(self, _: str, price: float) -> None:
                super().__init__(method, price)

            def levels(self, *given: Any) -> np.ndarray:
                found = super().levels(*given)
                found = found if change is None else change(found)
                seen.nodes.append((1 << found.astype(int)) - 1)
                return found

        with mock.patch("gvcodec.base.motion.encoder.Budgets", Watched):
            yield

    return give


ARMS = {
    "uniform": arm("uniform"),
    "elbo": arm("elbo"),
    "uniqueness": arm("uniqueness"),
    "both": arm("both"),
    "shuffled": arm("elbo", np.random.default_rng(1).permutation),
    "half": arm("uniform", lambda levels: np.minimum(levels, 4)),
}
