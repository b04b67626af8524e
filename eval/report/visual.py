"""Pictures of the visual comparison: the same crop from the source and from every codec at a
matched rate."""

from __future__ import annotations

from typing import Any

from eval.report.data import Results

#: Frames shown of each clip and rate.
FRAMES = 2


def leading_row(results: Results) -> str:
    """The row whose worst frames come first: gvcodec's rendered output, or whatever comes
    first."""
    ours = [row for row, codec in results.rows.items() if codec["output"] == "rendered"]
    return (ours or list(results.rows))[0]


def shots(results: Results) -> list[dict[str, Any]]:
    """One entry a clip and frame: {clip, target, frame, score, box, images: [{row, label, note,
    webp}]}, worst LPIPS-Alex of the leading row first, clips it is missing on last; the source is
    the image with row "source". The score is None where LPIPS-Alex was not measured: such frames
    stay in order."""
    leader, found = leading_row(results), []
    for clip in results.runs:
        source = {crop["frame"]: crop for crop in results.source_crops.get(clip, [])}
        target = _rate_to_show(results, clip, leader)
        if target is None:
            continue
        runs = _runs_with_crops(results, clip, target)
        crops = {row: {c["frame"]: c for c in run["crops"]} for row, run in runs.items()}
        first = leader if leader in runs else next(iter(runs))
        frames = sorted(
            set(source) & set(crops[first]), key=lambda i: -(_score(runs[first], i) or 0)
        )
        for index in frames[:FRAMES]:
            images = [
                {"row": "source", "label": "source", "note": "", "webp": source[index]["webp"]}
            ]
            for row in (r for r in results.rows if index in crops.get(r, {})):
                images.append(_image(results, row, runs[row], crops[row][index]))
            shot = {
                "clip": clip,
                "target": target,
                "frame": index,
                "box": source[index]["box"],
                "images": images,
            }
            found.append(shot | {"score": _score(runs[first], index), "led": first == leader})
    return sorted(found, key=lambda shot: (not shot["led"], -(shot["score"] or 0)))


def _runs_with_crops(results: Results, clip: str, target: float) -> dict[str, Any]:
    runs = {row: points.get(target) for row, points in results.runs[clip].items()}
    return {row: run for row, run in runs.items() if run and run["crops"]}


def _rate_to_show(results: Results, clip: str, leader: str) -> float | None:
    """The rate at which most codecs can be shown, the leading row among them if possible; the
    lowest of equals."""
    counts = {target: _runs_with_crops(results, clip, target) for target in results.targets}
    filled = [target for target, runs in counts.items() if runs]
    return max(filled, key=lambda t: (leader in counts[t], len(counts[t]), -t), default=None)


def _score(run: Any, index: int) -> float | None:
    """LPIPS-Alex of one frame, None where it was not measured."""
    metric = run["metrics"].get("lpips_alex")
    return (
        metric["values"][metric["frames"].index(index)]
        if metric and index in metric["frames"]
        else None
    )


def _image(results: Results, row: str, run: Any, crop: dict[str, Any]) -> dict[str, Any]:
    score = _score(run, crop["frame"])
    note = f"{run['bpp']:.4f} bpp" + ("" if score is None else f", LPIPS-Alex {score:.3f}")
    return {"row": row, "label": results.rows[row]["label"], "note": note, "webp": crop["webp"]}
