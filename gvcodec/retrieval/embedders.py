"""Embedders: pictures or words to vectors. A plug-in is an `Embedder`; files name it by eight
bytes.

    small   the shipped small perceptual network: pictures and clips as queries, no
        download, NumPy alone
    lp      LP-Comp of XComp on latent tokens of GVC1D's network
        (`gvcodec.retrieval.lp_comp`), torch

`register` adds another one, which may take words: `examples/search_by_words.py` has one for CLIP
models. An embedder's packages are imported when it is created. Raises `WrongModelError` (exit code
4) for a missing file or package, `UsageError` for an unsupported query.
"""

from __future__ import annotations

import contextlib
import hashlib
from collections.abc import Callable
from pathlib import Path
from typing import Any, Protocol, runtime_checkable

import numpy as np
from numpy.typing import NDArray
from safetensors import safe_open

from gvcodec.errors import INSTALL_TORCH, UsageError, WrongModelError
from gvcodec.models import GUIDE, GVC1D, LP_COMP, SUMMARY, model_id
from gvcodec.planes import planes_from_rgb
from gvcodec.retrieval.compressor import DIM, Compressor
from gvcodec.retrieval.ranking import Attention
from gvcodec.util.torch_settings import default_torch_settings

_GRID = 4
#: Convolutions of the stages of VGG16's form that are used, by their numbers in the file: the first
#: stage sees edges only, the fifth has eight channels.
_STAGES = (0, 2), (5, 7), (10, 12, 14), (17, 19, 21)
_MEAN, _DEVIATION = (
    np.array(values, np.float32) for values in ((0.485, 0.456, 0.406), (0.229, 0.224, 0.225))
)

Floats = NDArray[np.floating[Any]]


class PatchTokens:
    """Patch tokens of pictures, from maps of the small perceptual network. NumPy alone: importing
    torch takes longer than a search. Maps RGB (N, H, W, 3) uint8, sides multiples of 32, to (N, 16,
    features) float32: mean and deviation of every channel, region by region."""

    def __init__(self, network: Path) -> None:
        """Raises `OSError`, `SafetensorError`."""
        with safe_open(network, "numpy") as file:
            self._stages = [[_layer(file, number) for number in stage] for stage in _STAGES]

    def __call__(self, rgb: NDArray[np.uint8]) -> Floats:
        return np.stack([self._of(picture) for picture in rgb])

    def _of(self, rgb: NDArray[np.uint8]) -> Floats:
        x: Floats = (rgb.astype(np.float32) / 255 - _MEAN) / _DEVIATION
        maps = []
        for number, layers in enumerate(self._stages):
            if number:
                x = _pool(x)
            for weights, bias in layers:
                x = _convolve(x, weights, bias)
            if number:
                height, width, channels = x.shape
                cells = x.reshape(_GRID, height // _GRID, _GRID, width // _GRID, channels)
                mean, square = cells.mean((1, 3)), np.square(cells).mean((1, 3))
                maps += [mean, np.sqrt(np.maximum(square - mean * mean, 0))]
        return np.concatenate(maps, 2).reshape(_GRID * _GRID, -1)


def _layer(file: Any, number: int) -> tuple[Floats, Floats]:
    """Weights (3 rows, 3 columns · inputs, outputs) and biases of a convolution."""
    weights = file.get_tensor(f"features.{number}.weight").astype(np.float32)
    bias = file.get_tensor(f"features.{number}.bias").astype(np.float32)
    return np.ascontiguousarray(weights.transpose(2, 3, 1, 0)).reshape(3, -1, len(bias)), bias


def _convolve(x: Floats, weights: Floats, bias: Floats) -> Floats:
    """3 × 3, padded with zeros, then ReLU: (H, W, inputs) → (H, W, outputs)."""
    height, width, inputs = x.shape
    # Every sample next to its neighbours: a row of weights is one matrix product.
    padded = np.zeros((height + 2, width, 3, inputs), np.float32)
    padded[1:-1, 1:, 0], padded[1:-1, :, 1], padded[1:-1, :-1, 2] = x[:, :-1], x, x[:, 1:]
    rows = padded.reshape(-1, 3 * inputs)
    out = rows[: height * width] @ weights[0]
    for down in (1, 2):
        out += rows[down * width :][: height * width] @ weights[down]
    out += bias
    return np.maximum(out, 0, out=out).reshape(height, width, -1)


def _pool(x: Floats) -> Floats:
    """DISTS' pooling: root of the Hann-weighted mean of squares, every other sample."""
    x = np.pad(x * x, ((1, 1), (1, 1), (0, 0)))
    x = 0.25 * (x[:-2:2] + x[2::2]) + 0.5 * x[1:-1:2]
    x = 0.25 * (x[:, :-2:2] + x[:, 2::2]) + 0.5 * x[:, 1:-1:2]
    return np.sqrt(x + np.float32(1e-12))


DEFAULT = "small"
#: Embedders of earlier releases that this one lacks, by id.
FORMER = {bytes.fromhex("ac9078445bb7198e"): "lp of gvcodec 1.0.0"}
#: Side of its input pictures, in pixels.
SMALL_SIDE = 128

Pictures = NDArray[np.uint8]
Vectors = NDArray[np.float32]


@runtime_checkable
class Embedder(Protocol):
    """`id`: eight bytes. `dim`: numbers of a vector. `side`: pixels of its square input pictures.
    `step`: of its integers in a file, 2^(-step / 8)."""

    id: bytes
    dim: int
    side: int
    step: int

    def frames(self, rgb: Pictures) -> Any:
        """Patch tokens (N, tokens, features) of pictures (N, side, side, 3)."""
        ...

    def compress(self, tokens: Any) -> Vectors:
        """Vectors (N, dim) of length √dim."""
        ...

    def query(self, content: Pictures | str) -> Vectors:
        """Vectors (M, dim) of length √dim: of pictures (M, side, side, 3), several for a clip, or
        of words."""
        ...


class _OfPictures:
    """An embedder of pictures only; `name` as in options."""

    name: str

    def query(self: Any, content: Pictures | str) -> Vectors:
        if isinstance(content, str):
            raise UsageError(
                f"{content}: there is no such file, and embedder {self.name} takes no words "
                "(one of your own may: gvcodec.retrieval.embedders.register)",
                code="embedder",
            )
        vectors: Vectors = self.compress(self.frames(content))
        return vectors


class Small(_OfPictures):
    """Means and deviations of the small perceptual network's maps in 4 × 4 regions, compressed
    (`gvcodec.retrieval.compressor`)."""

    name, side = "small", SMALL_SIDE
    #: A length of √64 as 64 integers of about 3: finer ones cost bytes without better search.
    step = 13

    def __init__(self, checkpoint: str | Path | None = None) -> None:
        """`checkpoint`: instead of the shipped one."""
        from safetensors import SafetensorError, safe_open

        path = SUMMARY.find(checkpoint)
        network = GUIDE.find()
        try:
            with safe_open(path, "numpy") as file:
                metadata = file.metadata() or {}
                compressor = Compressor({key: file.get_tensor(key) for key in file.keys()})  # noqa: SIM118
        except (OSError, SafetensorError, KeyError, ValueError) as error:
            raise WrongModelError(
                f"{path}: not a checkpoint of embedder small ({error})", code="not-a-model"
            ) from None
        if metadata.get("network") != model_id(network).hex():
            raise WrongModelError(
                f"{path}: made for another network than {network}", code="not-a-model"
            )
        self.id, self.dim = model_id(path), DIM
        self.frames: Callable[[Pictures], Any] = PatchTokens(network)
        self.compress: Callable[[Any], Vectors] = compressor
        #: (N, 16, dim): tokens before pooling.
        self.narrow: Callable[[Any], Vectors] = compressor.narrow


class FrameTokens:
    """Inputs of LP-Comp from RGB (N, 256, 256, 3) uint8: `patches` (N, 16, features) of the small
    perceptual network, and features of `latents` (N, 32, features), of runs of tokens of GVC1D's
    network. `network`: its weights (the shipped ones). Raises `WrongModelError` for a network with
    other windows or too few tokens."""

    def __init__(self, network: Path | None = None) -> None:
        from gvcodec.gvc1d.tokenizer import RUNS, Tokenizer

        self._tokenizer, self.small = Tokenizer(network), Small()
        config = self._tokenizer.config
        if config.window != Lp.side or config.tokens % RUNS:
            raise WrongModelError(
                f"{self._tokenizer.path}: embedder lp reads {RUNS} runs of tokens of windows of "
                f"{Lp.side}×{Lp.side}",
                code="not-a-model",
            )

    def patches(self, rgb: Pictures) -> Any:
        half = rgb.reshape(len(rgb), SMALL_SIDE, 2, SMALL_SIDE, 2, 3).mean((2, 4))
        return self.small.frames(np.rint(half).astype(np.uint8))

    def latents(self, rgb: Pictures) -> NDArray[np.float32]:
        return self._tokenizer.encode([planes_from_rgb(picture) for picture in rgb]).features[:, 0]


class Lp(_OfPictures):
    """LP-Comp (`gvcodec.retrieval.lp_comp`) on pictures scaled to one window of GVC1D's
    network."""

    name, side = "lp", 2 * SMALL_SIDE
    dim, step = DIM, Small.step

    def __init__(
        self, checkpoint: str | Path | None = None, network: str | Path | None = None
    ) -> None:
        """`checkpoint`, and `network` of GVC1D: instead of the shipped ones. Raises
        `WrongModelError` for a checkpoint that was made for another network."""
        import torch

        from gvcodec.retrieval.lp_comp import load

        path, weights = LP_COMP.find(checkpoint), GVC1D.find(network)
        self.model, self.id, self._torch = load(path, weights), lp_id(path, weights), torch
        self._read = FrameTokens(weights)

    def frames(self, rgb: Pictures) -> Any:
        read = self._read
        with default_torch_settings(), self._torch.inference_mode():
            inputs_of_model = read.small.narrow(read.patches(rgb)), read.latents(rgb)
            return self.model.tokens(*map(self._torch.from_numpy, inputs_of_model)).numpy()

    def compress(self, tokens: Any) -> Vectors:
        with default_torch_settings(), self._torch.inference_mode():
            return self.model(self._torch.as_tensor(np.asarray(tokens, np.float32))).numpy()


_makers: dict[str, Callable[..., Embedder]] = {"small": Small, "lp": Lp}


def register(name: str, maker: Callable[..., Embedder]) -> None:
    """Add an embedder: `maker` gets the arguments after `name`, separated by colons."""
    _makers[name] = maker


def make(text: str) -> Embedder:
    """The embedder of a text `NAME[:ARGUMENT…]`. Raises `UsageError`, `WrongModelError`."""
    name, *arguments = text.split(":")
    if name not in _makers:
        raise UsageError(
            f"embedder {name} is unknown, there are {', '.join(sorted(_makers))}", code="embedder"
        )
    try:
        return _makers[name](*arguments)
    except ImportError as error:
        remedy = f" ({INSTALL_TORCH})" if error.name == "torch" else ""
        missing = f"embedder {name}: {error.name or error} is not installed{remedy}"
        raise WrongModelError(missing, code="not-a-model") from None
    except TypeError as error:
        raise UsageError(f"embedder {name}: {error}", code="embedder") from None


def shipped_ids() -> dict[bytes, str]:
    """Names of the shipped embedders by their ids in files, without loading any."""
    names = {}
    for name, of in (("small", lambda: model_id(SUMMARY.find())), ("lp", lp_id)):
        with contextlib.suppress(WrongModelError):
            names[of()] = name
    return names


def lp_id(checkpoint: Path | None = None, network: Path | None = None) -> bytes:
    """Id of embedder `lp`: of its checkpoint and of GVC1D's network, since its vectors depend on
    both. Raises `WrongModelError`."""
    files = LP_COMP.find(checkpoint), GVC1D.find(network)
    return hashlib.sha256(b"".join(map(model_id, files))).digest()[:8]


def attention_of(identity: bytes) -> Attention:
    """The attention that ranks an embedder's vectors: trained for LP-Comp, otherwise on the vectors
    themselves. Raises `WrongModelError`."""
    from safetensors.numpy import load_file

    if shipped_ids().get(identity) != "lp":
        return Attention()
    weights = load_file(LP_COMP.find())
    ask, look = (weights[name].astype(np.float64) for name in ("ask", "look"))
    return Attention(ask, look, float(weights["sharpness"]))
