"""The two files of a model of latent tokens, network and entropy network, and the id by which
streams name them.

`NAME.safetensors` holds the network (`gvcodec.gvc1d.checkpoint`), `NAME-entropy.safetensors` the
integer network of its entropy model (`gvcodec.entropy.network_file`), without which the shipped one
serves. A stream names both by eight
bytes: the first of the SHA-256 of the two files' ids (`gvcodec.models`), joined. Nothing here
needs torch.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from pathlib import Path

from gvcodec.entropy.network import Layer
from gvcodec.entropy.network_file import read_network
from gvcodec.errors import MediaError, NewerModelError, WrongModelError
from gvcodec.gvc1d.checkpoint import read_config
from gvcodec.gvc1d.config import GVC1DConfig
from gvcodec.gvc1d.entropy_model import BACK, MOST_TOKENS, SIDE
from gvcodec.gvc1d.payload import RATES
from gvcodec.gvc1d.token_places import CHANNELS
from gvcodec.models import GVC1D_ENTROPY, GVC1D_SMALL, list_models, model_id, shipped_folders

WHAT = "the model of latent tokens"


def entropy_beside(model: Path) -> Path:
    """Where the integer network of a model is, if it has its own."""
    return model.with_name(f"{model.stem}-entropy.safetensors")


def entropy_file(model: Path) -> Path:
    """The file of the integer network that goes with a model: its own, else the shipped one."""
    beside = entropy_beside(model)
    places = [beside, *(folder / GVC1D_ENTROPY.name for folder in shipped_folders())]
    return next((place for place in places if place.is_file()), beside)


def pair_id(model: Path) -> bytes:
    """What streams name a model and its entropy network by. Raises `MediaError`."""
    ids = model_id(model) + model_id(entropy_file(model))
    return hashlib.sha256(ids).digest()[:8]


def find_pair(identity: bytes, given: Sequence[str | Path] = ()) -> Path:
    """The model that a stream names; `given`: files and folders to look in first. Raises
    `WrongModelError` that says where it was looked for."""
    places = []
    for place, files in list_models(given):
        places.append(str(place))
        for file in files:
            if entropy_file(file).is_file() and pair_id(file) == identity:
                return file
    raise WrongModelError(
        f"{WHAT} {identity.hex()} is missing; looked in {', '.join(places)} (--model PATH names "
        f"another place, --fidelity does without)"
    )


def choose_pair(given: str = "") -> Path:
    """The model to encode with: `given`, or the shipped one. Raises `MediaError`."""
    model = Path(given) if given else GVC1D_SMALL.find()
    for path in (model, entropy_file(model)):
        if not path.is_file():
            raise MediaError(
                f"{path}: no such file, which belongs to {WHAT} (python -m training "
                f"latent_entropy makes the entropy network)"
            )
    return model


def read_sizes(model: Path) -> GVC1DConfig:
    """The configuration of a model whose tokens a stream can hold. Raises `NewerModelError` for
    other sizes, `MediaError` for another file."""
    config = read_config(model)
    if config.channels != CHANNELS or config.tokens > MOST_TOKENS or config.rates > RATES:
        raise NewerModelError(
            f"{model}: streams hold up to {MOST_TOKENS} tokens of {CHANNELS} integers, not "
            f"{config.tokens} of {config.channels}"
        )
    return config


def read_entropy(model: Path) -> list[Layer]:
    """The integer network that belongs to a model. Raises `MediaError`."""
    return read_network(
        entropy_file(model), GVC1D_ENTROPY.form, SIDE + BACK, "the entropy network of a model"
    )
