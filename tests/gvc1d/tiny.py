"""A tiny network of GVC1D with random weights and a hand-made entropy network, for tests."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from gvcodec.entropy.network_file import write_network
from gvcodec.gvc1d.config import GVC1DConfig, Transformer
from gvcodec.gvc1d.files import entropy_beside
from gvcodec.models import GVC1D_ENTROPY
from gvcodec.types import Planes, VideoFormat
from tests.networks import make_latent_network

if TYPE_CHECKING:
    from gvcodec.gvc1d.frame_options import TokenSettings
    from gvcodec.gvc1d.payload import Latent

CONFIG = GVC1DConfig(
    encoder=Transformer(32, 2, 1, 1),
    decoder=Transformer(32, 2, 1, 1),
    window=64,
    tokens=8,
    memory=2,
    queries=2,
    head_width=8,
    head_blocks=1,
    phases=2,
)


def write_model(folder: Path, name: str = "tiny", seed: int = 1) -> Path:
    """Both files of a model, in the folder."""
    import torch

    from gvcodec.gvc1d.checkpoint import save_model
    from gvcodec.gvc1d.token_network import GVC1D

    torch.manual_seed(seed)
    path = folder / f"{name}.safetensors"
    network = GVC1D(CONFIG)
    assert network.direct is not None
    torch.nn.init.ones_(network.direct.gate)  # tokens say all they can, over a base too
    save_model(network, path)
    write_network(entropy_beside(path), make_latent_network(), GVC1D_ENTROPY.form)
    return path


def code_and_show(
    fmt: VideoFormat, path: Path, settings: TokenSettings, clip: Sequence[Planes]
) -> list[Latent]:
    """Tokens of a clip without a base, as a decoder reads them; it shows what the encoder saw."""
    from gvcodec.gvc1d.codec import LatentReader, Restorer, open_entropy_model
    from gvcodec.gvc1d.token_encoder import LatentEncoder
    from gvcodec.util.torch_settings import torch_threads

    encoder = LatentEncoder(fmt, False, path, settings, 0.0, 1)
    seen, take = [], encoder._take

    def watched(option) -> None:
        assert option.picture is not None
        seen.append(encoder._frames.planes(option.picture))
        take(option)

    encoder._take = watched
    with torch_threads(1):  # as the restorer's
        for planes in clip:
            encoder.send(planes, planes, planes)
        payloads = encoder.finish_gop()
    reader = LatentReader(open_entropy_model(fmt, False, path))
    restorer, found = Restorer(fmt, False, path, 1), []
    for payload, wanted in zip(payloads, seen, strict=True):
        assert payload is not None
        found.append(reader.read(payload))
        shown = restorer.restore(clip[0], clip[0], found[-1])
        assert all((a == b).all() for a, b in zip(shown, wanted, strict=True))
    return found
