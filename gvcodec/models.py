"""Every weight file: name, id and form, and where it is looked for.

| row | file in `checkpoints/` | what it is |
|---|---|---|
| `GVC1D` | gvc1d-small | base gvc1d: the network of the papers, for natural video |
| `GVC1D_MINI` | gvc1d-mini | the same, for the miniature world |
| `PAINTER` | painter | the painter's integers |
| `PAINTER_TOKENS` | painter-tokens | the same, which tokens can steer |
| `GUIDE` | perceptual | small network of VGG16's form for perceptual losses |
| `TOKEN_METRIC` | perceptual-both | the same form, of LPIPS on VGG16 and AlexNet: leads tokens |
| `TOKEN_ENCODER` | token-encoder | finds tokens that steer the painter |
| `ROUTER` | router | InfoTok's prediction of the ELBO |
| `SUMMARY`, `LP_COMP` | summary, lp_comp | compressors of search embedders |

A stream names a file by its `model_id`, the first 8 bytes of its SHA-256. Looked through, in this
order: files and folders given by the caller (`--model`), those in $GVCODEC_MODELS (separated like
$PATH), the checkpoint of $GVCODEC_CHECKPOINT, `checkpoints/` of the checkout and of the installed
package, models that this process encodes with or that files read so far brought along. In a folder
every `*.safetensors` counts. Models are safetensors only: nothing in them is executed.
"""

from __future__ import annotations

import atexit
import hashlib
import os
import tempfile
import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cache, lru_cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

from gvcodec.errors import DamagedStreamError, FormatVersionError, MediaError, WrongModelError
from gvcodec.util.signals import OnAbort

if TYPE_CHECKING:
    from numpy.typing import NDArray
    from torch import Tensor

MODELS_VARIABLE = "GVCODEC_MODELS"
#: Environment variable that names a checkpoint for encoding instead of that next to the package.
CHECKPOINT_VARIABLE = "GVCODEC_CHECKPOINT"
_ID_BYTES = 8


@dataclass(frozen=True, slots=True)
class WeightFile:
    """A kind of weight file: `name` in the shipped folders, `what` errors call it, `form` of its
    metadata (changes with the meaning of the numbers), `variable`: the environment variable that
    names another file."""

    name: str
    what: str
    form: str = ""
    variable: str = ""

    def find(self, path: str | Path | None = None) -> Path:
        """The file at `path`, that of `variable`, or the shipped one. Raises `WrongModelError`."""
        override = path or os.environ.get(self.variable)
        places = (
            [Path(override)] if override else [folder / self.name for folder in shipped_folders()]
        )
        for place in places:
            if place.is_file():
                return place
        searched = ", ".join(map(str, places))
        other = f" (${self.variable} names another file)" if self.variable else ""
        raise WrongModelError(
            f"{self.what} is missing; searched {searched}{other}", code="model-missing"
        )


GVC1D = WeightFile("gvc1d-small.safetensors", "the network of base gvc1d", form="gvc1d-6")
GVC1D_MINI = WeightFile(
    "gvc1d-mini.safetensors", "the network of the miniature world", form="gvc1d-6"
)
PAINTER = WeightFile("painter.safetensors", "the painter", variable=CHECKPOINT_VARIABLE)
PAINTER_TOKENS = WeightFile("painter-tokens.safetensors", "the painter that tokens steer")
GUIDE = WeightFile("perceptual.safetensors", "the small perceptual network")
TOKEN_METRIC = WeightFile(
    "perceptual-both.safetensors", "the small perceptual network that leads tokens"
)
TOKEN_ENCODER = WeightFile("token-encoder.safetensors", "the encoder of the painter's tokens")
ROUTER = WeightFile("router.safetensors", "the router")
SUMMARY = WeightFile("summary.safetensors", "the checkpoint of embedder small")
LP_COMP = WeightFile("lp_comp.safetensors", "the checkpoint of embedder lp")
#: Every kind of weight file.
WEIGHT_FILES = (
    *(GVC1D, GVC1D_MINI, PAINTER, PAINTER_TOKENS, GUIDE, TOKEN_METRIC, TOKEN_ENCODER),
    *(ROUTER, SUMMARY, LP_COMP),
)


def painter_of(uses_tokens: bool = False) -> WeightFile:
    """The painter; `uses_tokens`: the painter that tokens can steer."""
    return PAINTER_TOKENS if uses_tokens else PAINTER


def shipped_folders() -> list[Path]:
    """Folders of the models that come with the code: of a checkout, of an installed package."""
    package = Path(__file__).resolve().parent
    return [package.parent / "checkpoints", package / "checkpoints"]


def find_model(identity: bytes, what: str, extra_places: Sequence[str | Path] = ()) -> Path:
    """The file whose SHA-256 begins with these 8 bytes. Raises `WrongModelError`."""
    places = list_models(extra_places)
    for _, files in places:
        for file in files:
            if model_id(file) == identity:
                return file
    searched = ", ".join(str(place) for place, _ in places)
    raise WrongModelError(
        f"{what} {identity.hex()} is missing; searched {searched} "
        f"(--model PATH or ${MODELS_VARIABLE} names another place)",
        code="model-missing",
    )


def list_models(extra_places: Sequence[str | Path] = ()) -> list[tuple[Path, list[Path]]]:
    """Files and folders in the order in which they are looked through, each with its model files.
    Raises `MediaError` for one of `extra_places` that does not exist."""
    return [(place, _files(place)) for place in _places(extra_places)]


@cache
def _embedded_folder() -> Path:
    """The folder of models that files brought along; gone when the process ends."""
    folder = tempfile.TemporaryDirectory(prefix="gvcodec-models-")
    atexit.register(folder.cleanup)
    OnAbort(folder.cleanup)
    return Path(folder.name)


def load_embedded_model(data: bytes, expected_id: bytes | None) -> None:
    """Let `find_model` find a model that a file brings along, under `expected_id`. Raises
    `DamagedStreamError` for another model. Its content is checked when it is opened, as of every
    file."""
    digest = hashlib.sha256(data).digest()
    if digest[:_ID_BYTES] != expected_id:
        raise DamagedStreamError("model: not the one that the header names", code="model-packet")
    place = _embedded_folder() / f"{digest.hex()}.safetensors"
    if not place.exists():
        partial = place.with_suffix(f".{threading.get_ident()}")
        partial.write_bytes(data)
        os.replace(partial, place)


#: Models that this process encodes with.
_registered: dict[Path, None] = {}


def register_model(path: Path) -> None:
    """Let `find_model` find a model that this process encodes with: it can read its own output."""
    _registered[path] = None


@contextmanager
def report_embedded_damage(path: Path) -> Iterator[None]:
    """Around the loading of a model: one that a file brought along and that cannot be read is
    damage of that file. Raises `DamagedStreamError`."""
    try:
        yield
    except FormatVersionError:
        raise
    except MediaError as error:
        if not _embedded_folder.cache_info().currsize or path.parent != _embedded_folder():
            raise
        raise DamagedStreamError(
            f"model: {str(error).removeprefix(f'{path}: ')}", code="model-packet"
        ) from None


def model_id(path: Path) -> bytes:
    """First 8 bytes of the SHA-256 of a file. Raises `MediaError`."""
    try:
        status = path.stat()
        return _digest(str(path.resolve()), status.st_size, status.st_mtime_ns)
    except OSError as error:
        raise MediaError(f"{path}: {error.strerror}") from error


def read_arrays(
    path: Path, prefixes: tuple[str, ...] = ("",)
) -> tuple[dict[str, NDArray[Any]], dict[str, str]]:
    """Arrays of a weight file whose names begin with one of `prefixes`, and its metadata. Raises
    `ValueError` for another kind of file, `OSError`."""
    from safetensors import SafetensorError, safe_open

    try:
        with safe_open(path, "np") as file:
            names = [name for name in file.keys() if name.startswith(prefixes)]  # noqa: SIM118
            return {name: file.get_tensor(name) for name in names}, file.metadata() or {}
    except SafetensorError as error:
        raise ValueError(str(error)) from None


def read_weights(path: Path) -> dict[str, Tensor]:
    """Tensors of a weight file, for torch. Raises `ValueError` for another kind of file,
    `OSError`."""
    from safetensors import SafetensorError
    from safetensors.torch import load_file

    try:
        return load_file(path)
    except SafetensorError as error:
        raise ValueError(str(error)) from None


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
def _digest(path: str, size: int, mtime_ns: int) -> bytes:
    with open(path, "rb") as file:
        return hashlib.file_digest(file, "sha256").digest()[:_ID_BYTES]


def _places(extra_places: Sequence[str | Path]) -> Iterator[Path]:
    for path in map(Path, extra_places):
        if not path.exists():
            raise MediaError(f"{path}: no such model file or folder", code="file-missing")
        yield path
    for name in (
        *os.environ.get(MODELS_VARIABLE, "").split(os.pathsep),
        os.environ.get(CHECKPOINT_VARIABLE, ""),
    ):
        if name:
            yield Path(name)
    yield from shipped_folders()
    yield from _registered
    if _embedded_folder.cache_info().currsize:
        yield _embedded_folder()


def _files(place: Path) -> list[Path]:
    if place.is_dir():
        return sorted(path for path in place.glob("*.safetensors") if path.is_file())
    return [place] if place.is_file() else []
