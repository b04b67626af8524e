"""1-D tokens and memory: windows, coding, what reaches the picture, and what training does with them."""

import sys
import types
from fractions import Fraction
from pathlib import Path

import numpy as np
import pytest

torch = pytest.importorskip("torch")

from hypothesis import given, settings
from hypothesis import strategies as st

from gvcodec.appearance.checkpoint import save_checkpoint
from gvcodec.appearance.painter import Painter, TokenMaker
from gvcodec.appearance.renderer import RendererConfig, new_renderer
from gvcodec.appearance.token_coder import TokenCoder
from gvcodec.appearance.tokens import LIMIT, from_windows, quantise, to_windows, window_grid
from gvcodec.errors import DamagedStreamError, UsageError
from gvcodec.types import Planes, VideoFormat

FORMAT = VideoFormat(310, 118, Fraction(25), Fraction(1, 25))
SHAPE = (1, 2, 4, 3)


def picture(seed: int) -> Planes:
    rng = np.random.default_rng(seed)
    luma = rng.normal(500, 60, (FORMAT.height, FORMAT.width)).clip(0, 1023)
    chroma = [rng.normal(512, 20, (FORMAT.height // 2, FORMAT.width // 2)).clip(0, 1023) for _ in range(2)]
    return luma.astype(np.uint16), chroma[0].astype(np.uint16), chroma[1].astype(np.uint16)


@pytest.fixture(scope="module", params=[0, 2], ids=["no memory", "memory"])
def model(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, int]:
    """A renderer with tokens whose zero layers are not zero, and its number of memory vectors."""
    config = RendererConfig(16 + 16, 2, 8, 8, tokens=4, token_channels=3, token_width=32, memory=request.param)
    renderer = new_renderer(config, 1)
    with torch.no_grad():
        for weight in (renderer.head.weight, renderer.reader.read.out.weight, renderer.encoder.out.weight):
            weight.copy_(0.3 * torch.randn(weight.shape, generator=torch.Generator().manual_seed(2)))
    path = tmp_path_factory.mktemp("model") / "model.safetensors"
    save_checkpoint(renderer, path)
    return path, request.param


@given(st.integers(1, 70), st.integers(1, 70), st.integers(1, 40))
@settings(max_examples=30, deadline=None)
def test_windows_and_back(height: int, width: int, side: int) -> None:
    x = torch.arange(2 * 3 * height * width).float().reshape(2, 3, height, width) + 1
    windows, inside = to_windows(x, side)
    assert windows.shape[:3] == (2, -(-height // side), -(-width // side))
    assert torch.equal(from_windows(windows, side, height, width), x)
    assert inside.sum() == height * width and (windows[:, ~inside] == 0).all()


@given(st.lists(st.lists(st.integers(-LIMIT, LIMIT), min_size=24, max_size=24), min_size=1, max_size=4))
@settings(max_examples=50, deadline=None)
def test_coded_tokens_come_back(frames: list[list[int]]) -> None:
    sender, receiver = TokenCoder(SHAPE, LIMIT), TokenCoder(SHAPE, LIMIT)
    for frame in frames:
        values = np.array(frame).reshape(SHAPE)
        decoded, counts = receiver.unpack(sender.pack(values))
        assert np.array_equal(decoded, values)
        for window, count in zip(values.reshape(2, 4, 3), counts.ravel(), strict=True):
            assert not window[count:].any() and (count == 0 or window[count - 1].any())


def test_statistics_of_a_gop_are_learned() -> None:
    coder, values = TokenCoder(SHAPE, LIMIT), np.tile([[3, 0, -1]], (1, 2, 4, 1))
    sizes = [len(coder.pack(values)) for _ in range(40)]
    assert sizes[-1] < 0.6 * sizes[0]


@given(st.binary(max_size=40))
@settings(max_examples=200, deadline=None)
def test_any_bytes_are_tokens_or_refused(data: bytes) -> None:
    try:
        values, counts = TokenCoder(SHAPE, LIMIT).unpack(data)
    except DamagedStreamError:
        return
    assert np.abs(values).max() <= LIMIT and counts.max() <= 4


def test_quantised_values_are_whole_and_let_gradients_through() -> None:
    x = torch.tensor([0.4, 1.6, -99.0], requires_grad=True)
    y = quantise(x)
    y.sum().backward()
    assert y.tolist() == [0, 2, -LIMIT] and x.grad.tolist() == [1, 1, 1]


def test_tokens_reach_their_frame_and_memory_the_next(model: tuple[Path, int]) -> None:
    path, memory = model
    loops = [picture(0)] * 3
    maker = TokenMaker(FORMAT, path)
    maker.start_gop()
    tokens = maker.make(picture(1), loops[0])
    painter = Painter(FORMAT, "av1", Fraction(1), 40, checkpoint=path, threads=1)

    def paint(*sent: bytes | None) -> list[np.ndarray]:
        painter.start_gop(None)
        return [painter.paint(loop, t)[0] for loop, t in zip(loops, sent, strict=True)]

    plain, told = paint(None, None, None), paint(tokens, None, None)
    assert not np.array_equal(plain[0], told[0])
    if memory:
        assert not np.array_equal(plain[1], told[1])
    # A new GOP has forgotten everything, the statistics of the coder too.
    assert all(np.array_equal(a, b) for a, b in zip(told, paint(tokens, None, None), strict=True))
    assert all(np.array_equal(a, b) for a, b in zip(plain, paint(None, None, None), strict=True))


def test_a_window_hears_its_own_tokens_only(model: tuple[Path, int]) -> None:
    path, _ = model
    painter = Painter(FORMAT, "av1", Fraction(1), 40, checkpoint=path, threads=1)
    assert window_grid(FORMAT.height, FORMAT.width) == (1, 2)
    values = np.zeros((1, 2, 4, 3), np.int64)

    def paint() -> np.ndarray:
        painter.start_gop(None)
        return painter.paint(picture(0), TokenCoder(SHAPE, LIMIT).pack(values))[0]

    before = paint()
    values[0, 1] = 9
    changed = (paint() != before).nonzero()[1]
    # The trunk's 5×5 filters after the reading carry a little beyond the border.
    assert changed.max() > 290 and changed.min() >= 256 - 64


def test_a_renderer_without_tokens_says_so(tmp_path: Path) -> None:
    save_checkpoint(new_renderer(RendererConfig(16 + 16, 1, 8, 8)), tmp_path / "plain.safetensors")
    with pytest.raises(UsageError, match="knows no tokens"):
        TokenMaker(FORMAT, tmp_path / "plain.safetensors")
    painter = Painter(FORMAT, "av1", Fraction(1), 40, checkpoint=tmp_path / "plain.safetensors", threads=1)
    painter.start_gop(None)
    with pytest.raises(DamagedStreamError):
        painter.paint(picture(0), b"\1")


def test_compressai_contract(model: tuple[Path, int], monkeypatch: pytest.MonkeyPatch) -> None:
    from gvcodec.appearance.compressai import AppearanceModel, register

    net = AppearanceModel.load(model[0]).eval()
    x = torch.rand(2, 3, 96, 272, generator=torch.Generator().manual_seed(0))
    loop = torch.nn.functional.avg_pool2d(torch.nn.functional.pad(x, (2, 2, 2, 2), mode="replicate"), 5, 1)
    out = net(x, loop)
    likelihoods = out["likelihoods"]["tokens"]
    assert out["x_hat"].shape == x.shape and likelihoods.shape == (2, 1, 2, 4, 3)
    assert (likelihoods > 0).all() and (likelihoods <= 1).all() and net.update() is False
    coded = net.compress(x, loop)
    decoded = net.decompress(coded["strings"], coded["shape"], loop)["x_hat"]
    assert torch.allclose(decoded, out["x_hat"].clamp(0, 1), atol=1e-5)
    with pytest.raises(UsageError, match="multiples of 16"):
        net(x[..., :50], loop[..., :50])
    with pytest.raises(UsageError, match="belong together"):
        net.decompress(coded["strings"], (3, 3), loop)

    known = {}
    registry = types.ModuleType("compressai.registry")
    registry.register_model = lambda name: lambda cls: known.setdefault(name, cls)
    monkeypatch.setitem(sys.modules, "compressai", types.ModuleType("compressai"))
    monkeypatch.setitem(sys.modules, "compressai.registry", registry)
    assert register() and known == {"gvcodec-appearance": AppearanceModel}
