"""Finds the model files that a stream names by their hash.

Looked through, in this order: files and folders given by the caller (`--model`), those in
$GVCODEC_MODELS (separated like $PATH), the checkpoint of $GVCODEC_CHECKPOINT, `checkpoints/` of the
checkout and of the installed package. In a folder every `*.safetensors` counts. Models are
safetensors only: nothing in them is executed.
"""

from __future__ import annotations

import hashlib
import os
from collections.abc import Iterator, Sequence
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

from gvcodec.errors import MediaError, WrongModelError

if TYPE_CHECKING:
    from numpy.typing import NDArray
    from torch import Tensor

MODELS_VARIABLE = "GVCODEC_MODELS"
#: Environment variable that names another checkpoint for encoding than the one beside the package.
CHECKPOINT_VARIABLE = "GVCODEC_CHECKPOINT"
#: Of the shipped models: a network of VGG16's form that was taught by it
#: (`training.perceptual`).
SMALL_NETWORK = "perceptual.safetensors"
_ID_BYTES = 8


def shipped_folders() -> list[Path]:
    """Folders of the models that come with the code: of a checkout, of an installed package."""
    package = Path(__file__).resolve().parent.parent
    return [package.parent / "checkpoints", package / "checkpoints"]


def find_model(identity: bytes, what: str, given: Sequence[str | Path] = ()) -> Path:
    """The file whose SHA-256 begins with these 8 bytes. Raises `WrongModelError`."""
    places = list_models(given)
    for _, files in places:
        for file in files:
            if model_id(file) == identity:
                return file
    looked = ", ".join(str(place) for place, _ in places)
    raise WrongModelError(
        f"{what} {identity.hex()} is missing; looked in {looked} (--model PATH names another place)"
    )


def list_models(given: Sequence[str | Path] = ()) -> list[tuple[Path, list[Path]]]:
    """Files and folders in the order in which they are looked through, each with its model files.
    Raises `MediaError` for one in `given` that is not there."""
    return [(place, _files(place)) for place in _places(given)]


def model_id(path: Path) -> bytes:
    """First 8 bytes of the SHA-256 of a file. Raises `MediaError`."""
    try:
        status = path.stat()
        return _digest(str(path.resolve()), status.st_size, status.st_mtime_ns)
    except OSError as error:
        raise MediaError(f"{path}: {error.strerror}") from error


def save_weights(
    weights: dict[str, Tensor],
    path: Path,
    metadata: dict[str, str] | None = None,
    integers: dict[str, NDArray[Any]] | None = None,
) -> None:
    """Write tensors as fp16, and `integers` as they are, to a temporary name first."""
    import torch
    from safetensors.torch import save

    partial = path.with_suffix(".part")
    halves = {name: tensor.detach().half().cpu().contiguous() for name, tensor in weights.items()}
    whole = {
        name: torch.from_numpy(values).contiguous() for name, values in (integers or {}).items()
    }
    partial.write_bytes(save(halves | whole, metadata=metadata))
    os.replace(partial, path)


@lru_cache(maxsize=64)
def _digest(path: str, size: int, changed: int) -> bytes:
    with open(path, "rb") as file:
        return hashlib.file_digest(file, "sha256").digest()[:_ID_BYTES]


def _places(given: Sequence[str | Path]) -> Iterator[Path]:
    for path in map(Path, given):
        if not path.exists():
            raise MediaError(f"{path}: no such model file or folder")
        yield path
    for name in (
        *os.environ.get(MODELS_VARIABLE, "").split(os.pathsep),
        os.environ.get(CHECKPOINT_VARIABLE, ""),
    ):
        if name:
            yield Path(name)
    yield from shipped_folders()


def _files(place: Path) -> list[Path]:
    if place.is_dir():
        return sorted(path for path in place.glob("*.safetensors") if path.is_file())
    return [place] if place.is_file() else []
