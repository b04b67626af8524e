"""What turns pictures into vectors. A plug-in is an `Embedder`; files name it by eight bytes.

    small   the shipped small perceptual network, NumPy alone
    lp      LP-Comp of XComp on the tokenizer's latent tokens (`gvcodec.retrieval.lp_comp`),
        torch

What one needs is imported when it is made. Raises `WrongModelError` (exit code 4) for a missing
file or package.
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
from gvcodec.gvc1d.checkpoint import NAME as TOKENIZER
from gvcodec.media.planes import planes_from_rgb
from gvcodec.retrieval.compressor import DIM, Compressor
from gvcodec.retrieval.ranking import Attention
from gvcodec.util.models import SMALL_NETWORK, model_id, shipped_folders
from gvcodec.util.torch_settings import usual_torch

#: The checkpoints of embedders `small` and `lp`.
CHECKPOINT, LP_CHECKPOINT = "summary.safetensors", "lp_comp.safetensors"
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


class Small:
    """Means and deviations of the small perceptual network's maps in 4 × 4 regions, compressed
    (`gvcodec.retrieval.compressor`)."""

    side = SMALL_SIDE
    #: A length of √64 as 64 integers of about 3: finer ones cost bytes and find no more.
    step = 13

    def __init__(self) -> None:
        from safetensors import SafetensorError, safe_open

        from gvcodec.retrieval.features import PatchTokens

        path = find_shipped(CHECKPOINT)
        network = shipped_network()
        try:
            with safe_open(path, "numpy") as file:
                said = file.metadata() or {}
                self._compressor = Compressor({key: file.get_tensor(key) for key in file.keys()})  # noqa: SIM118
        except (OSError, SafetensorError, KeyError, ValueError) as error:
            raise WrongModelError(f"{path}: not a checkpoint of embedder small ({error})") from None
        if said.get("network") != model_id(network).hex():
            raise WrongModelError(f"{path}: made for another network than {network}")
        self.id, self.dim = model_id(path), DIM
        self._features = PatchTokens(network)

    def frames(self, rgb: Pictures) -> Any:
        return self._features(rgb)

    def compress(self, tokens: Any) -> Vectors:
        return self._compressor(tokens)

    def narrow(self, tokens: Any) -> Vectors:
        """(N, 16, dim): tokens before they are pooled."""
        return self._compressor.narrow(tokens)


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


class Lp:
    """LP-Comp (`gvcodec.retrieval.lp_comp`) on pictures squeezed to one window of the tokenizer."""

    side = 2 * SMALL_SIDE
    dim, step = DIM, Small.step

    def __init__(self) -> None:
        import torch

        from gvcodec.retrieval.lp_comp import load

        self.model, self.id = load(find_shipped(LP_CHECKPOINT)), lp_id()
        self._read, self._torch = FrameTokens(), torch

    def frames(self, rgb: Pictures) -> Any:
        read = self._read
        with usual_torch(), self._torch.inference_mode():
            given = read.small.narrow(read.patches(rgb)), read.latents(rgb)
            return self.model.tokens(*map(self._torch.from_numpy, given)).numpy()

    def compress(self, tokens: Any) -> Vectors:
        with usual_torch(), self._torch.inference_mode():
            return self.model(self._torch.as_tensor(np.asarray(tokens, np.float32))).numpy()


def make(name: str) -> Embedder:
    """The embedder of this name. Raises `UsageError`, `WrongModelError`."""
    if name not in _SHIPPED:
        raise UsageError(f"embedder {name} is unknown, there are {', '.join(_SHIPPED)}")
    try:
        return _SHIPPED[name][0]()
    except ImportError as error:
        remedy = f" ({INSTALL_TORCH})" if error.name == "torch" else ""
        missing = f"embedder {name}: {error.name or error} is not installed{remedy}"
        raise WrongModelError(missing) from None


def shipped_network() -> Path:
    """The small perceptual network."""
    return find_shipped(SMALL_NETWORK)


def lp_id() -> bytes:
    """Id of embedder `lp`: of its checkpoint and of the tokenizer that it reads with, since its
    vectors depend on both. Raises `WrongModelError`."""
    files = find_shipped(LP_CHECKPOINT), find_shipped(TOKENIZER)
    return hashlib.sha256(b"".join(map(model_id, files))).digest()[:8]


#: By name: the embedder, and what files name it by, which loads nothing.
_SHIPPED: dict[str, tuple[Callable[[], Embedder], Callable[[], bytes]]] = {
    "small": (Small, lambda: model_id(find_shipped(CHECKPOINT))),
    "lp": (Lp, lp_id),
}


def shipped_ids() -> dict[bytes, str]:
    """Names of the embedders by what files name them by."""
    found = {}
    for name, (_, identity) in _SHIPPED.items():
        with contextlib.suppress(WrongModelError):
            found[identity()] = name
    return found


def attention_of(identity: bytes) -> Attention:
    """The attention that ranks an embedder's vectors: LP-Comp's is trained, any other one's works
    on the vectors themselves. Raises `WrongModelError`."""
    from safetensors.numpy import load_file

    if shipped_ids().get(identity) != "lp":
        return Attention()
    weights = load_file(find_shipped(LP_CHECKPOINT))
    ask, look = (weights[name].astype(np.float64) for name in ("ask", "look"))
    return Attention(ask, look, float(weights["sharpness"]))


def find_shipped(name: str) -> Path:
    """A file of the shipped checkpoints. Raises `WrongModelError`."""
    found = next((folder / name for folder in shipped_folders() if (folder / name).is_file()), None)
    if found is None:
        raise WrongModelError(
            f"{name} is missing; looked in {', '.join(map(str, shipped_folders()))}"
        )
    return found
