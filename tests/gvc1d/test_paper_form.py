"""The paper's form of GVC1D: its networks."""

from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.torch import load_file

from gvcodec.gvc1d.paper.decoder import TokenDecoder
from gvcodec.gvc1d.paper.encoder import TokenEncoder, quantise
from gvcodec.gvc1d.paper.layers import Context
from gvcodec.gvc1d.paper.windows import from_patches, to_patches

WEIGHTS = Path(__file__).resolve().parents[2] / "training/gvc1d/paper-form.safetensors"
#: What these weights gave when they were trained, without and with a context: value 5 of rows 0,
#: 21, 42, 63 of the second window, and the deviation of all, of tokens and patches.
GOLDEN = {
    False: (
        ((-3.1372, -3.115, -3.1504, -3.1618), 6.964610),
        ((-114.8019, -100.6779, -88.6072, 98.5045), 65.138428),
    ),
    True: (
        ((-3.1357, -3.116, -3.1516, -3.162), 6.962112),
        ((-90.4029, -14.3913, -125.3681, 104.7893), 69.481918),
    ),
}


def _loaded(network: torch.nn.Module, part: str) -> torch.nn.Module:
    tensors = load_file(WEIGHTS)
    network.load_state_dict(
        {k.removeprefix(part): v.float() for k, v in tensors.items() if k.startswith(part)}
    )
    return network.eval()


@pytest.mark.parametrize("with_context", [False, True])
def test_shipped_weights_give_what_they_gave_in_training(with_context: bool) -> None:
    encoder = _loaded(TokenEncoder(), "encoder.")
    decoder = _loaded(TokenDecoder(), "decoder.")
    rng = np.random.default_rng(5)
    shapes = ((2, 64, 96), (2, 64, 96))
    x, before = (torch.from_numpy(rng.normal(0, 40, s).astype(np.float32)) for s in shapes)
    last = torch.from_numpy(rng.integers(-3, 4, (2, 64, 16)).astype(np.float32))
    context, rate = Context(before, last) if with_context else None, torch.tensor([-0.5, 0.75])
    with torch.no_grad():
        made = encoder.encode(x, context, rate), decoder.decode(last, context, rate)
    for found, (values, deviation) in zip(made, GOLDEN[with_context], strict=True):
        assert found[1, ::21, 5].tolist() == pytest.approx(values, abs=2e-3)
        assert float(found.std()) == pytest.approx(deviation, rel=1e-4)


def test_patches_are_a_window_again() -> None:
    y, uv = torch.rand(3, 64, 64), torch.rand(3, 2, 32, 32)
    patches = to_patches(y, uv)
    assert patches.shape == (3, 64, 96)
    assert torch.equal(patches[1, 9, :8], y[1, 8, 8:16])  # the second patch of the second row
    assert torch.equal(patches[1, 9, 80:84], uv[1, 1, 4, 4:8])
    for made, given in zip(from_patches(patches), (y, uv), strict=True):
        assert torch.equal(made, given)


def test_quantising_rounds_towards_zero() -> None:
    found = quantise(torch.tensor([-2.5, -0.6, 0.2, 0.6, 0.95, 3.5]))
    assert found.tolist() == [-2, 0, 0, 0, 1, 3]
