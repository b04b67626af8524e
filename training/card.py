"""Files that training writes next to weights: material, a card (JSON) and sheets of pictures."""

from __future__ import annotations

import hashlib
import json
import os
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from torch import nn


def write_arrays(path: Path, **arrays: NDArray[Any]) -> None:
    """An `.npz` file, complete or absent, also where several processes write it."""
    partial = path.with_suffix(f".{os.getpid()}.part")
    with open(partial, "wb") as file:
        np.savez(file, **arrays)  # type: ignore[arg-type]
    partial.replace(path)


def write_card(weights: Path, model: nn.Module, steps: int, minutes: float, **more: Any) -> None:
    """Writes the model card, a .json next to the weights: SHA-256, parameters, steps, minutes,
    `more`, the log's curve."""
    path = weights.with_suffix(".json")
    log = path.with_name("log.jsonl")
    lines = log.read_text().splitlines() if log.is_file() else []
    entries = (entry for entry in map(json.loads, lines) if "validation" in entry)
    curve = [{"step": e["step"], "minutes": e["minutes"], **e["validation"]} for e in entries]
    card: dict[str, Any] = {"sha256": hashlib.sha256(weights.read_bytes()).hexdigest()}
    card |= {"parameters": sum(p.numel() for p in model.parameters()), **more}
    card |= {"steps": steps, "minutes": round(minutes, 1), "curve": curve}
    path.write_text(json.dumps(card, indent=1) + "\n")


def write_sheet(out: Path, picture: NDArray[np.uint8]) -> None:
    """`sheet-NUMBER.png` of (H, W, 3), numbered on."""
    from PIL import Image

    number = len(list(out.glob("sheet-*.png")))
    Image.fromarray(picture).save(out / f"sheet-{number:04d}.png")
