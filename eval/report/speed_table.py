"""Frames a second, processor time and memory, with peers, as a table."""

from __future__ import annotations

import statistics
from typing import Any


def speed_table(result: dict[str, Any]) -> tuple[list[str], list[list[str]], str]:
    """(header, rows, measured operations)."""
    peers, frames = result["peers"], result["clip"]["frames"]
    over = [f"speed over {peer}" for peer in peers]
    header = ["step", "frames/s", "processor s a frame", *over, "memory", "bytes"]
    rows = [
        [
            step,
            f"{v['fps']:.2f}",
            f"{statistics.median(v['processor']) / frames:.3f}",
            *(f"×{v['ratio'][peer]:.3g}" for peer in peers),
            f"{v['memory'] / 1e9:.2f} GB",
            f"{v['bytes']:,}" if v["bytes"] else "",
        ]
        for step, v in result["steps"].items()
    ]
    clip = result["clip"]
    note = (
        f"{clip['name']}, {clip['width']}×{clip['height']}, {clip['frames']} frames, q "
        f"{result['q']}, "
        f"{result['threads']} threads on {result['cores']} cores, median of {result['rounds']} "
        f"interleaved rounds; "
        + "; ".join(f"{peer}: {text}" for peer, text in result["peers"].items())
        + ". Start of the program, reading of the lossless source and writing of raw frames "
        "included. Memory: most that the largest process held."
    )
    return header, rows, note
