"""A tiny network of GVC1D with random weights and a hand-made entropy network, for tests."""

from pathlib import Path

from gvcodec.entropy.network_file import write_network
from gvcodec.gvc1d.checkpoint import save_model
from gvcodec.gvc1d.config import GVC1DConfig, Transformer
from gvcodec.gvc1d.files import entropy_beside
from gvcodec.models import GVC1D_ENTROPY
from tests.networks import make_latent_network

_SIZES = {"window": 64, "tokens": 8, "memory": 2, "queries": 2}
_SIZES |= {"head_width": 8, "head_blocks": 1, "phases": 2}
CONFIG = GVC1DConfig(Transformer(32, 2, 1, 1), Transformer(32, 2, 1, 1), **_SIZES)


def write_model(folder: Path, name: str = "tiny", seed: int = 1) -> Path:
    import torch

    from gvcodec.gvc1d.token_network import TokenNetwork

    torch.manual_seed(seed)
    path = folder / f"{name}.safetensors"
    network = TokenNetwork(CONFIG)
    assert network.direct is not None
    torch.nn.init.ones_(network.direct.gate)  # tokens say all they can, over a base too
    save_model(network, path)
    write_network(entropy_beside(path), make_latent_network(), GVC1D_ENTROPY.form)
    return path
