"""Files of models, and which one a stream paints with (Models; tracks: model)."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path

import numpy as np

from conformance.decoder.container import Stream
from conformance.decoder.wire import Damaged, Newer, require

FOLDER = Path(__file__).resolve().parents[1] / "models"
TYPES = {"I8": np.int8, "I16": np.int16, "I32": np.int32, "F16": np.float16, "F32": np.float32}
PAINTER, BASE = 0, 1
Tensors = dict[str, np.ndarray]


def model_file(stream: Stream, role: int, identity: str) -> bytes | None:
    """The model of this `identity`, from the stream, else from the folder; None if missing."""
    embedded = None
    for payload in stream.models:
        if payload[0] == role:
            embedded = payload[1:]
    path = FOLDER / f"{identity}.safetensors"
    return path.read_bytes() if embedded is None and path.exists() else embedded


def check_models(stream: Stream) -> None:
    """Checks that the models of a stream are those of its header."""
    names = {PAINTER: stream.header.painter_id, BASE: stream.header.base_id}
    for role, data in ((payload[0], payload[1:]) for payload in stream.models):
        same = role not in names or hashlib.sha256(data).hexdigest()[:16] == names[role]
        require(same, "a model that the header does not name")


def safetensors(data: bytes) -> tuple[dict[str, str], Tensors]:
    """Texts and tensors of a safetensors file."""
    size = int.from_bytes(data[:8], "little")
    try:
        head = json.loads(data[8 : 8 + size])
        texts = head.pop("__metadata__", {})
        tensors = {}
        for name, entry in head.items():
            if entry["dtype"] in TYPES:
                begin, end = entry["data_offsets"]
                values = np.frombuffer(
                    data[8 + size + begin : 8 + size + end], TYPES[entry["dtype"]]
                )
                tensors[name] = values.reshape(entry["shape"])
    except (ValueError, TypeError, KeyError, AttributeError) as error:
        raise Damaged(f"a model: {error}") from None
    return texts, tensors


def of_form(data: bytes, form: str) -> Tensors:
    """Tensors of a model whose `form` is this one."""
    texts, tensors = safetensors(data)
    if texts.get("form") != form:
        raise Newer(f"a model of form {texts.get('form')}")
    return tensors


def painter(data: bytes) -> Tensors:
    """Tensors of a painter, checked by type, shape and range, as int64; `tokens.…` are neither."""
    texts, tensors = safetensors(data)
    try:
        form = json.loads(texts["painter"]).get("form")
    except (ValueError, TypeError, KeyError, AttributeError):
        raise Damaged("no painter") from None
    if form != 2:
        raise Newer(f"painter of form {form}")
    for name, (shape, kind, low, high) in _schema(tensors).items():
        require(name in tensors, f"no tensor {name}")
        tensor = tensors[name]
        require(tensor.shape == shape and tensor.dtype == kind, f"tensor {name}")
        require(low <= tensor.min() and tensor.max() <= high, f"values of {name}")
    return {name: _widened(name, tensor) for name, tensor in tensors.items()}


def _widened(name: str, tensor: np.ndarray) -> np.ndarray:
    """The tensor in int64; tensors of tokens keep their types, which their readers check."""
    return tensor if name.startswith("tokens.") else tensor.astype(np.int64)


def _schema(tensors: Tensors) -> dict[str, tuple]:
    """Shape, type and range of each tensor; sizes are those of the file's own tensors."""

    def outputs(layer: str) -> int:
        require(f"{layer}.weight" in tensors, f"no layer {layer}")
        size = len(tensors[f"{layer}.weight"])
        require(size % 4 == 0 and 0 < size <= 512, f"outputs of {layer}")
        return size

    q, s = outputs("stem"), outputs("style")
    c = outputs("stem2") + 16
    layers = {"stem": (q, 12, 3, 3), "stem2": (c - 16, q, 3, 3), "statistics": (16, 16, 1, 1)}
    blocks = 0
    while f"blocks.{blocks}.condition" in tensors:
        blocks += 1
    require(c <= 512 and blocks <= 64, "size of a painter")
    for block in (f"blocks.{n}" for n in range(blocks)):
        w = outputs(f"{block}.expand")
        layers[f"{block}.depthwise"] = c, 1, 5, 5
        layers[f"{block}.expand"], layers[f"{block}.project"] = (w, c, 1, 1), (c, w, 1, 1)
    layers |= {"style": (s, c, 1, 1), "head": (15, s, 1, 1)}
    schema: dict[str, tuple] = {}
    for layer, shape in layers.items():
        schema[f"{layer}.weight"] = shape, np.int8, -127, 127
        schema[f"{layer}.bias"] = shape[:1], np.int32, -(2**28), 2**28
        schema |= _scaling(layer, shape[0]) | {f"{layer}.step": (shape[:1], np.int16, 7, 14)}
    for n in range(blocks):
        schema[f"blocks.{n}.condition"] = (c, 10), np.int32, -65536, 65536
    return schema | _scaling("view", c)


def _scaling(layer: str, outputs: int) -> dict[str, tuple]:
    return {
        f"{layer}.multiplier": ((outputs,), np.int16, 0, 1023),
        f"{layer}.shift": ((outputs,), np.int16, 1, 30),
    }
