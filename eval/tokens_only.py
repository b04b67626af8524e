"""The ablation without a structure layer (GVC1D's form): `python -m eval tokens MODEL…`.

Models are those of `gvcodec.train.tokens_only`. Every clip is coded by each of them with several numbers of tokens a window, written, read back and painted from what
was read; the first frame is the only keyframe. Curves over the numbers of tokens are compared with that of the first model by BD-rate. More tables follow:
budgets of the windows drawn by the router against equal ones, for models trained with either; and what the memory and the neighbouring value are worth to the entropy
model, in bytes of the same tokens. A last one sets parts of the first model to zero.
"""

from __future__ import annotations

import copy
import hashlib
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from statistics import fmean
from typing import TYPE_CHECKING, Any

import numpy as np
from tqdm import tqdm

from eval.ablate import ten_bits
from eval.bd import bd_rate
from eval.codecs.ours import content_version
from eval.metrics import METRICS, Measurer, looked_at
from eval.report.tables import markdown
from eval.tools import EvalError, read_json, write_json, write_text
from eval.video import Clip, RawVideo, stand_in
from gvcodec.bitstream.varint import Cursor, encode_var
from gvcodec.media.planes import to_eight_bits

if TYPE_CHECKING:
    from torch import Tensor

    from gvcodec.appearance.tokens_only import Picture, TokensOnly

#: Tokens a window.
COUNTS = (4, 8, 16, 32)
#: Mean numbers of tokens at which budgets are compared: below the most, or there is nothing to share out.
ROUTED = (4, 8, 16)
#: Of the windows: the same for all, by the router, and the router's in random places, as a control.
EQUAL, ROUTER, CONTROL = "equal", "router", "router's in random places"
#: Parts of the entropy model that are left out.
ENTROPY = {
    "without memory": {"memory": False},
    "without neighbour": {"neighbour": False},
    "without either": {"memory": False, "neighbour": False},
}
JUDGED = ("psnr_y", "lpips_alex", "dists")


def _silence(*layers: Any) -> None:
    """Zero what linear layers and convolutions give out."""
    for layer in layers:
        layer.weight.zero_()
        layer.bias.zero_()


def _without_local(model: TokensOnly) -> None:
    for layer in model.encoder.local:
        _silence(layer.attention.out, layer.project)


def _without_motion(model: TokensOnly) -> None:
    model.move.weight[:2] = 0
    model.move.bias[:2] = 0


def _unwritten(model: TokensOnly) -> None:
    model.reader.blend.weight.zero_()
    model.reader.blend.bias.fill_(-100.0)


MEMORY = "decoder: memory never rewritten"
#: What is set to zero in the first model, by the name of its row.
PARTS: dict[str, Callable[[TokensOnly], None]] = {
    "encoder: local layers": _without_local,
    "encoder: global layer": lambda model: _silence(model.encoder.overall.attention.out, model.encoder.overall.project),
    "encoder: all but the transform": lambda model: _silence(model.encoder.out),
    "decoder: reading of tokens and memory by attention": lambda model: _silence(model.reader.read.out),
    MEMORY: _unwritten,
    "decoder: motion of the picture before": _without_motion,
    "decoder: drawing": lambda model: _silence(model.leave),
}


def _without(part: str, model: TokensOnly) -> TokensOnly:
    """A copy that lacks one of the `PARTS`."""
    other = copy.deepcopy(model)
    PARTS[part](other)
    return other


_ALL_RATES = (1e-6, 100.0)

Row = dict[str, Any]


def measure(clips: Sequence[Clip], models: Sequence[Path], every: dict[str, int], out: Path) -> str:
    """Encodes, measures, writes `tokens.json` and `.md` below `out`; returns the Markdown. Points that are there already, of the same clips,
    models and metrics, are kept. Raises EvalError."""
    from gvcodec.appearance.tokens_only import load_tokens_only
    from gvcodec.errors import MediaError

    settings = {"every": every, "version": content_version()}
    before = read_json(out / "tokens.json") or {}
    usable = before.get("rows", []) if all(before.get(name) == value for name, value in settings.items()) else []
    known = {(r["clip"], r["sha256"], r["model_sha256"], r["count"], r["budgets"], r["without"]): r for r in usable}
    rows: list[Row] = []
    for clip in clips:
        measurer = Measurer(clip, every)
        for path in tqdm(models, desc=clip.name, unit="model", disable=None):
            try:
                model, sha256 = load_tokens_only(path), hashlib.sha256(path.read_bytes()).hexdigest()
            except MediaError as error:
                raise EvalError(str(error)) from None
            points = [*((n, EQUAL, "") for n in COUNTS), *((n, b, "") for b in (ROUTER, CONTROL) for n in ROUTED)]
            if path == models[0]:
                points += [(COUNTS[-1], EQUAL, part) for part in PARTS if part != MEMORY or model.config.memory == "1d"]
            for count, budgets, without in points:
                key = (clip.name, clip.sha256, sha256, count, budgets, without)
                if key not in known:
                    used = _without(without, model) if without else model
                    told = {
                        "clip": clip.name,
                        "sha256": clip.sha256,
                        "model": path.stem,
                        "model_sha256": sha256,
                        "count": count,
                        "budgets": budgets,
                        "without": without,
                    }
                    known[key] = told | _point(clip, used, count, budgets, measurer, out)
                rows.append(known[key])
                write_json(out / "tokens.json", {**settings, "rows": [*known.values()]})
    text = to_markdown(rows, clips, [path.stem for path in models], every)
    write_text(out / "tokens.md", text + "\n")
    return text


def _point(clip: Clip, model: TokensOnly, count: int, budgets: str, measurer: Measurer, out: Path) -> Row:
    import torch

    with torch.inference_mode():
        frames = list(_encoded(clip, model, count, budgets))
        plain = _packed(frames)
        path = out / "stream.bin"
        path.write_bytes(plain)
        data = path.read_bytes()
        path.unlink()
        yuv = out / "decoded.yuv"
        with yuv.open("wb") as file:
            for picture in _decoded(data, model, clip):
                file.write(_samples(picture, clip))
    raw = clip.raw
    found = measurer(RawVideo(yuv, raw.width, raw.height, raw.frames, raw.depth))
    yuv.unlink()
    return {
        "bytes": len(data),
        **{name: len(_packed(frames, **parts)) for name, parts in ENTROPY.items() if budgets == EQUAL},
        "bpp": 8 * len(data) / clip.pixels,
        "metrics": {name: m["mean"] for name, m in found.items()},
    }


def _encoded(clip: Clip, model: TokensOnly, count: int, budgets: str) -> Iterable[np.ndarray]:
    """Tokens of each frame, `(rows, columns, K, C)` int64; what was not sent is zero."""
    import torch

    from gvcodec.appearance.planes import to_tensors
    from gvcodec.appearance.tokens_only import take
    from gvcodec.train.tokens_only import evidence, routed_counts

    before, memory, rng = None, None, np.random.default_rng(0)
    for planes in ten_bits(clip):
        source = to_tensors(planes)
        exact = model.encode(source, before, memory)
        counts = torch.full(exact.shape[:3], count)
        if budgets != EQUAL:
            counts = routed_counts(evidence(model, before, exact, memory, source), count, exact.shape[3])
        if budgets == CONTROL:
            counts = counts.flatten()[torch.from_numpy(rng.permutation(counts.numel()))].view_as(counts)
        tokens = take(exact, counts)
        yield tokens.values[0].long().numpy()
        # Zeros at the end of a window are not sent: paint what the decoder will know.
        before, memory = _painted(model, before, memory, tokens.values, source[0])


def _painted(
    model: TokensOnly, before: Picture | None, memory: Tensor | None, values: Tensor, like: Tensor
) -> tuple[Picture, Tensor | None]:
    import torch

    from gvcodec.appearance.tokens import Tokens

    places = torch.arange(1, values.shape[3] + 1)
    counts = ((values != 0).any(4) * places).amax(3)
    (luma, chroma), memory = model(before, Tokens(values, counts), memory, like)
    return (luma.clamp(0, 1), chroma.clamp(0, 1)), memory


def _packed(frames: Iterable[np.ndarray], **parts: bool) -> bytes:
    """The file: of each frame the length of its tokens, and these."""
    from gvcodec.appearance.token_coder import TokenCoder
    from gvcodec.appearance.tokens import LIMIT

    stream, coder = b"", None
    for values in frames:
        coder = coder or TokenCoder(values.shape, LIMIT, **parts)  # type: ignore[arg-type]
        data = coder.pack(values)
        stream += encode_var(len(data)) + data
    return stream


def _decoded(data: bytes, model: TokensOnly, clip: Clip) -> Iterable[Picture]:
    import torch

    from gvcodec.appearance.token_coder import TokenCoder
    from gvcodec.appearance.tokens import LIMIT, window_grid

    height, width = (-(-n // 16) * 16 for n in (clip.raw.height, clip.raw.width))
    config = model.config
    coder = TokenCoder((*window_grid(height, width), config.tokens, config.token_channels), LIMIT)
    cursor, like = Cursor(data, "tokens"), torch.zeros(1, 1, height, width)
    before, memory = None, None
    while len(cursor):
        values, _ = coder.unpack(cursor.take(cursor.var()))
        before, memory = _painted(model, before, memory, torch.from_numpy(values).float()[None], like)
        yield before


def _samples(picture: Picture, clip: Clip) -> bytes:
    """As they stand in a raw file of the clip's format."""
    from gvcodec.appearance.planes import to_planes

    planes = to_planes(*picture, clip.raw.planes(0))
    return b"".join((to_eight_bits(p) if clip.raw.depth == 8 else p).tobytes() for p in planes)


def to_markdown(rows: list[Row], clips: Sequence[Clip], models: Sequence[str], every: dict[str, int]) -> str:
    """Four tables: models, the router, the entropy model's parts, parts of the first model."""
    tables = [_models(rows, models), _router(rows, models), _entropy(rows, models), _parts(rows, models[0])]
    note = (
        f"Models are named by memory and by how budgets were drawn in training. Written and decoded files, {len(clips)} clips "
        f"({', '.join(c.name for c in clips)}), first {clips[0].raw.frames} frames, one keyframe; means over clips. BD-rates are over numbers of tokens, against "
        f"`{models[0]}`; negative = fewer bytes. Budgets: equal ones of {', '.join(map(str, ROUTED))} tokens against others of these means. "
        f"{looked_at(every)}. † A loss of training.{stand_in(clips)}"
    )
    return "\n\n".join([*tables, note])


_LABELS = [METRICS[m].marked for m in JUDGED]


def _of(rows: list[Row], model: str, budgets: str = EQUAL) -> list[Row]:
    return [r for r in rows if r["model"] == model and r["budgets"] == budgets and not r["without"]]


def _compared(anchor: list[Row], test: list[Row]) -> list[str]:
    """BD-rates in the judged metrics, means over clips; how many clips where that is not all of them."""
    clips, cells = list(dict.fromkeys(r["clip"] for r in anchor)), []
    for metric in JUDGED:
        found = []
        for clip in clips:
            curves = [[(r["bpp"], r["metrics"][metric]) for r in part if r["clip"] == clip] for part in (anchor, test)]
            found.append(bd_rate(*curves, METRICS[metric].higher_is_better, _ALL_RATES).percent)
        usable = [f for f in found if f is not None]
        shown = f"{fmean(usable):+.1f} %" if usable else "–"
        cells.append(shown + (f" ({len(usable)} of {len(clips)})" if len(usable) < len(clips) else ""))
    return cells


def _models(rows: list[Row], models: Sequence[str]) -> str:
    lines = []
    for model in models:
        points = _of(rows, model)
        for count in COUNTS:
            some = [r for r in points if r["count"] == count]
            values = [f"{fmean(r['metrics'][m] for r in some):.{METRICS[m].digits}f}" for m in JUDGED]
            last = count == COUNTS[-1] and model != models[0]
            deltas = _compared(_of(rows, models[0]), points) if last else [""] * len(JUDGED)
            name = model if count == COUNTS[0] else ""
            lines.append([name, str(count), f"{fmean(r['bpp'] for r in some):.4f}", *values, *deltas])
    return markdown(["model", "tokens a window", "bpp", *_LABELS, *(f"BD-rate, {n}" for n in _LABELS)], lines)


def _router(rows: list[Row], models: Sequence[str]) -> str:
    lines = []
    for model in models:
        equal = [r for r in _of(rows, model) if r["count"] in ROUTED]
        lines += [[model, budgets, *_compared(equal, _of(rows, model, budgets))] for budgets in (ROUTER, CONTROL)]
    return markdown(["model", "budgets, BD-rate against equal ones", *_LABELS], lines)


def _entropy(rows: list[Row], models: Sequence[str]) -> str:
    lines = []
    for model in models:
        points = _of(rows, model)
        whole = sum(r["bytes"] for r in points)
        lines.append([model, *(f"{100 * (sum(r[part] for r in points) / whole - 1):+.1f} %" for part in ENTROPY)])
    return markdown(["bytes of the same tokens", *ENTROPY], lines)


def _parts(rows: list[Row], model: str) -> str:
    whole = [r for r in _of(rows, model) if r["count"] == COUNTS[-1]]
    lines = []
    for name in PARTS:
        parts = [r for r in rows if r["without"] == name]
        if parts:
            pairs = list(zip(parts, whole, strict=True))
            psnr = fmean(p["metrics"]["psnr_y"] - w["metrics"]["psnr_y"] for p, w in pairs)
            more = fmean(100 * (p["bytes"] / w["bytes"] - 1) for p, w in pairs)
            worse = [fmean(100 * (p["metrics"][m] / w["metrics"][m] - 1) for p, w in pairs) for m in JUDGED[1:]]
            lines.append([name, f"{more:+.1f} %", f"{psnr:+.2f} dB", *(f"{change:+.1f} %" for change in worse)])
    return markdown([f"set to zero in {model}, {COUNTS[-1]} tokens", "bytes", *_LABELS], lines)
