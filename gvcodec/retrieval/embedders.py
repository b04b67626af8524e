"""Embedders: pictures or words to vectors. A plug-in is an `Embedder`; files name it by eight
bytes.

    small   the shipped small perceptual network: pictures and clips as queries, no
        download, NumPy alone
    lp      LP-Comp of XComp on the tokenizer's latent tokens (`gvcodec.retrieval.lp_comp`),
        torch
    clip    a CLIP model of open_clip_torch (extra `clip`), weights by path:
        `clip:ViT-B-32:/models/vit-b-32.safetensors`; words too

`register` adds a maker of another one. What one needs is imported when it is made. Raises
`WrongModelError` (exit code 4) for a missing file or package, `UsageError` for a query that it
cannot take.
"""

from __future__ import annotations

import contextlib
import hashlib
from collections.abc import Callable
from pathlib import Path
from typing import Any, Protocol, runtime_checkable

import numpy as np
from numpy.typing import NDArray

from gvcodec.errors import INSTALL_TORCH, UsageError, WrongModelError
from gvcodec.media.planes import planes_from_rgb
from gvcodec.models import GUIDE, GVC1D_SMALL, LP_COMP, SUMMARY, model_id
from gvcodec.retrieval.compressor import DIM, Compressor, lengthen
from gvcodec.retrieval.ranking import Attention
from gvcodec.util.torch_settings import usual_torch

DEFAULT = "small"
#: Pixels of the pictures that it looks at.
SMALL_SIDE = 128

Pictures = NDArray[np.uint8]
Vectors = NDArray[np.float32]


@runtime_checkable
class Embedder(Protocol):
    """`id`: eight bytes. `dim`: numbers of a vector. `side`: pixels of the square pictures it looks
    at. `step`: of its integers in a file, 2^(-step / 8)."""

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

    def query(self, asked: Pictures | str) -> Vectors:
        """Vectors (M, dim) of length √dim: of pictures (M, side, side, 3), a clip being several, or
        of words."""
        ...


class _OfPictures:
    """An embedder that takes no words; `name` as users say it."""

    name: str

    def query(self: Any, asked: Pictures | str) -> Vectors:
        if isinstance(asked, str):
            raise UsageError(
                f"embedder {self.name} takes pictures, not words; "
                "summaries made with --summary clip:MODEL:WEIGHTS take both"
            )
        vectors: Vectors = self.compress(self.frames(asked))
        return vectors


class Small(_OfPictures):
    """Means and deviations of the small perceptual network's maps in 4 × 4 regions, compressed
    (`gvcodec.retrieval.compressor`)."""

    name, side = "small", SMALL_SIDE
    #: A length of √64 as 64 integers of about 3: finer ones cost bytes and find no more.
    step = 13

    def __init__(self, checkpoint: str | Path | None = None) -> None:
        """`checkpoint`: another one than what is shipped."""
        from safetensors import SafetensorError, safe_open

        from gvcodec.retrieval.features import PatchTokens

        path = SUMMARY.find(checkpoint)
        network = GUIDE.find()
        try:
            with safe_open(path, "numpy") as file:
                metadata = file.metadata() or {}
                compressor = Compressor({key: file.get_tensor(key) for key in file.keys()})  # noqa: SIM118
        except (OSError, SafetensorError, KeyError, ValueError) as error:
            raise WrongModelError(f"{path}: not a checkpoint of embedder small ({error})") from None
        if metadata.get("network") != model_id(network).hex():
            raise WrongModelError(f"{path}: made for another network than {network}")
        self.id, self.dim = model_id(path), DIM
        self.frames: Callable[[Pictures], Any] = PatchTokens(network)
        self.compress: Callable[[Any], Vectors] = compressor
        #: (N, 16, dim): tokens before they are pooled.
        self.narrow: Callable[[Any], Vectors] = compressor.narrow


class FrameTokens:
    """What LP-Comp makes one token of, of RGB (N, 256, 256, 3) uint8: `patches` (N, 16, features)
    of the small perceptual network, and features of `latents` (N, 32, features). `tokenizer`:
    another one than what is shipped."""

    def __init__(self, tokenizer: Any = None) -> None:
        if tokenizer is None:
            from gvcodec.gvc1d.tokenizer import Tokenizer

            tokenizer = Tokenizer()
        self._tokenizer, self.small = tokenizer, Small()

    def patches(self, rgb: Pictures) -> Any:
        half = rgb.reshape(len(rgb), SMALL_SIDE, 2, SMALL_SIDE, 2, 3).mean((2, 4))
        return self.small.frames(np.rint(half).astype(np.uint8))

    def latents(self, rgb: Pictures) -> NDArray[np.float32]:
        return self._tokenizer.encode([planes_from_rgb(picture) for picture in rgb]).features[:, 0]


class Lp(_OfPictures):
    """LP-Comp (`gvcodec.retrieval.lp_comp`) on pictures squeezed to one window of the tokenizer."""

    name, side = "lp", 2 * SMALL_SIDE
    dim, step = DIM, Small.step

    def __init__(self, checkpoint: str | Path | None = None, tokenizer: Any = None) -> None:
        """`checkpoint` and `tokenizer`: others than what is shipped."""
        import torch

        from gvcodec.retrieval.lp_comp import load

        path = LP_COMP.find(checkpoint)
        self.model, self.id, self._torch = load(path), lp_id(path), torch
        self._read = FrameTokens(tokenizer)

    def frames(self, rgb: Pictures) -> Any:
        read = self._read
        with usual_torch(), self._torch.inference_mode():
            given = read.small.narrow(read.patches(rgb)), read.latents(rgb)
            return self.model.tokens(*map(self._torch.from_numpy, given)).numpy()

    def compress(self, tokens: Any) -> Vectors:
        with usual_torch(), self._torch.inference_mode():
            return self.model(self._torch.as_tensor(np.asarray(tokens, np.float32))).numpy()


class Clip:
    """The image and text towers of a CLIP model. A picture has one token."""

    #: Integers of about 5.
    step = 19

    def __init__(self, model: str, weights: str) -> None:
        # Versions of open_clip_torch run what a pickle holds.
        if not Path(weights).is_file() or not weights.endswith(".safetensors"):
            raise WrongModelError(f"{weights}: no such file of weights (.safetensors)")
        try:
            import open_clip
            import torch
        except ImportError:
            raise WrongModelError(
                "open_clip_torch is not installed: pip install 'gvcodec[clip]'"
            ) from None
        self._torch, self._words = torch, open_clip.get_tokenizer(model)
        # Only the file that was named is read.
        self._model, _, _ = open_clip.create_model_and_transforms(model, pretrained=weights)
        self._model.eval()
        self.id = model_id(Path(weights))
        size = self._model.visual.image_size
        self.side = size[0] if isinstance(size, tuple) else size
        self.dim = int(self._model.text_projection.shape[-1])
        self._mean, self._deviation = (
            torch.tensor(values).view(1, 3, 1, 1)
            for values in (self._model.visual.image_mean, self._model.visual.image_std)
        )

    def frames(self, rgb: Pictures) -> Any:
        torch = self._torch
        with torch.inference_mode():
            x = torch.from_numpy(rgb).permute(0, 3, 1, 2).float() / 255
            return self._model.encode_image((x - self._mean) / self._deviation)[:, None]

    def compress(self, tokens: Any) -> Vectors:
        return lengthen(tokens[:, 0].numpy())

    def query(self, asked: Pictures | str) -> Vectors:
        if not isinstance(asked, str):
            return self.compress(self.frames(asked))
        with self._torch.inference_mode():
            return lengthen(self._model.encode_text(self._words([asked])).numpy())


_makers: dict[str, Callable[..., Embedder]] = {"small": Small, "lp": Lp, "clip": Clip}


def register(name: str, maker: Callable[..., Embedder]) -> None:
    """Add an embedder: `maker` gets what follows `name`, between colons."""
    _makers[name] = maker


def make(text: str) -> Embedder:
    """The embedder of a text `NAME[:ARGUMENT…]`. Raises `UsageError`, `WrongModelError`."""
    name, *arguments = text.split(":")
    if name not in _makers:
        raise UsageError(f"embedder {name} is unknown, there are {', '.join(sorted(_makers))}")
    try:
        return _makers[name](*arguments)
    except ImportError as error:
        remedy = f" ({INSTALL_TORCH})" if error.name == "torch" else ""
        missing = f"embedder {name}: {error.name or error} is not installed{remedy}"
        raise WrongModelError(missing) from None
    except TypeError as error:
        raise UsageError(f"embedder {name}: {error}") from None


def shipped_ids() -> dict[bytes, str]:
    """Names of the shipped embedders by what files name them by, without loading any."""
    found = {}
    for name, of in (("small", lambda: model_id(SUMMARY.find())), ("lp", lp_id)):
        with contextlib.suppress(WrongModelError):
            found[of()] = name
    return found


def lp_id(checkpoint: Path | None = None) -> bytes:
    """Id of embedder `lp`: of its checkpoint and of the tokenizer that it reads with, since its
    vectors depend on both. Raises `WrongModelError`."""
    files = LP_COMP.find(checkpoint), GVC1D_SMALL.find()
    return hashlib.sha256(b"".join(map(model_id, files))).digest()[:8]


def attention_of(identity: bytes) -> Attention:
    """The attention that ranks an embedder's vectors: LP-Comp's is trained, any other one's works
    on the vectors themselves. Raises `WrongModelError`."""
    from safetensors.numpy import load_file

    if shipped_ids().get(identity) != "lp":
        return Attention()
    weights = load_file(LP_COMP.find())
    ask, look = (weights[name].astype(np.float64) for name in ("ask", "look"))
    return Attention(ask, look, float(weights["sharpness"]))
