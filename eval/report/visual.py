"""Pictures of the visual comparison: the same crop from the source and from every codec at a matched rate."""

from __future__ import annotations

from typing import Any

from eval.report.data import Results

#: Frames shown of each clip and rate.
FRAMES = 2


def leading_row(results: Results) -> str:
    """The row whose worst frames come first: gvcodec's rendered output, or whatever stands first."""
    ours = [row for row, codec in results.rows.items() if codec["output"] == "rendered"]
    return (ours or list(results.rows))[0]


def shots(results: Results) -> list[dict[str, Any]]:
    """One entry a clip, rate and frame: {clip, target, frame, score, images: [{row, label, bpp, score, webp}]}, worst
    LPIPS-Alex of the leading row first; the source is the image with row "source"."""
    leader, found = leading_row(results), []
    for clip, rows in results.runs.items():
        source = {crop["frame"]: crop for crop in results.source_crops.get(clip, [])}
        for target in results.targets:
            runs = {row: points[target] for row, points in rows.items() if points.get(target)}
            crops = {row: {c["frame"]: c for c in run["crops"]} for row, run in runs.items() if run and run["crops"]}
            first = leader if leader in crops else next(iter(crops), None)
            if first is None:
                continue
            frames = sorted(set(source) & set(crops[first]), key=lambda i: -_score(runs[first], i))
            for index in frames[:FRAMES]:
                images = [{"row": "source", "label": "source", "note": "", "webp": source[index]["webp"]}]
                for row in (r for r in results.rows if index in crops.get(r, {})):
                    images.append(_image(results, row, runs[row], crops[row][index]))
                score = _score(runs[first], index)
                box = source[index]["box"]
                found.append(
                    {"clip": clip, "target": target, "frame": index, "score": score, "box": box, "images": images}
                )
    return sorted(found, key=lambda shot: -shot["score"])


def _score(run: Any, index: int) -> float:
    """LPIPS-Alex of one frame; 0 where it was not measured."""
    metric = run["metrics"].get("lpips_alex")
    return metric["values"][metric["frames"].index(index)] if metric and index in metric["frames"] else 0.0


def _image(results: Results, row: str, run: Any, crop: dict[str, Any]) -> dict[str, Any]:
    score = _score(run, crop["frame"])
    note = f"{run['bpp']:.4f} bpp" + (f", LPIPS-Alex {score:.3f}" if score else "")
    return {"row": row, "label": results.rows[row]["label"], "note": note, "webp": crop["webp"]}
