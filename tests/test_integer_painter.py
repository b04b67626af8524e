"""The integer painter: its definition against the twin that is trained; what the definition
promises."""

from __future__ import annotations

from fractions import Fraction

import numpy as np
import pytest

torch = pytest.importorskip("torch")

from gvcodec.appearance import integer, torch_painter
from gvcodec.appearance.block_motion import block_grid
from gvcodec.appearance.integer_core import CorePainter
from gvcodec.appearance.integer_model import Model, log8
from gvcodec.appearance.integer_twin import IntegerRenderer, Layer, Numbers
from gvcodec.appearance.renderer import condition
from gvcodec.appearance.texture import fresh
from gvcodec.errors import MediaError
from gvcodec.types import Planes

no_cuda = not torch.cuda.is_available()
SIZES = {"channels": 24, "style": 16, "residual": 8, "stem": 8, "wide": 32, "depth": 2}


def twin(seed: int = 0, wild: float = 1.0, middle: int = 0) -> IntegerRenderer:
    """A painter with weights of any size, with the layer `middle` or without."""
    torch.manual_seed(seed)
    made = IntegerRenderer({**SIZES, "middle": middle})
    with torch.no_grad():
        for module in made.modules():
            if isinstance(module, Layer):
                module.weight.copy_(torch.randn_like(module.weight) * 40 * wild)
                module.bias.copy_(torch.randn_like(module.bias) * 1000 * wild)
            if isinstance(module, Numbers):
                for part, low, high in (
                    ("multiplier", 300, 1024),
                    ("shift", 12, 18),
                    ("step", 9, 13),
                ):
                    setattr(module, part, torch.randint(low, high, module.step.shape).float())
        for block in made.blocks:
            block.condition.copy_(torch.randn_like(block.condition) * 300)
    return made.requires_grad_(False)


def frames(width: int, height: int, count: int) -> list[Planes]:
    """A texture that drifts."""
    rng = np.random.default_rng(0)
    ground = rng.normal(0, 1, (height + count, width + 2 * count))
    for axis in (0, 1):
        ground = sum(np.roll(ground, s, axis) for s in range(-2, 3)) / 5
    found = []
    for t in range(count):
        y = 500 + 400 * ground[t : t + height, 2 * t : 2 * t + width]
        u = 512 + 100 * ground[t : t + height : 2, t : t + width : 2]
        planes = (y, u, 1023 - u)
        found.append(tuple(p.clip(0, 1023).astype(np.uint16) for p in planes))
    return found


@pytest.mark.parametrize("middle", [0, 1])
def test_the_twin_paints_what_the_definition_says(middle: int) -> None:
    width, height = 64, 48
    rng, renderer = np.random.default_rng(1), twin(middle=middle).double()
    painter = integer.IntegerPainter(Model.of(renderer.integers()), height, width)
    painter.start(integer.condition("av1", Fraction(1), 45), painter.model)
    stream, state = condition("av1", Fraction(1), 45).double(), None
    for t, loop in enumerate(frames(width, height, 3)):
        vectors = (
            rng.integers(-9, 9, (2, *block_grid(height, width))).astype(np.int16) if t else None
        )
        own = integer.rate(300 + t, width, height)
        wanted = painter.paint(loop, vectors, own)
        luma, chroma = (
            torch.from_numpy(np.stack(p).astype(float) / 1023)[None] for p in (loop[:1], loop[1:])
        )
        entries = torch.cat([stream, torch.tensor([[own / 256]]).double()], 1)
        noise, redraw = fresh(height, width, t)
        moved = None if vectors is None else torch.from_numpy(vectors)[None]
        y, uv, state = renderer.step(luma, chroma, moved, (noise.double(), redraw), state, entries)
        found = [(p * 1023).round().clamp(0, 1023).int().numpy() for p in (y[0, 0], *uv[0])]
        assert np.abs(wanted[0].astype(int) - loop[0]).mean() > 5
        for a, b in zip(wanted, found, strict=True):
            assert np.array_equal(a, b), t


def test_detail_bands_and_maps_fit_16_bits_whatever_the_weights_are() -> None:
    """What the C++ forms rely on: the definition computes in 32 bits and would hide it."""
    model = Model.of(twin(3, wild=100).integers())
    painter = integer.IntegerPainter(model, 32, 48)
    painter.start(integer.condition("av1", Fraction(1), 63), model)
    rng, widest = np.random.default_rng(0), 0
    for t in range(3):
        y, u, v = (
            rng.choice([0, 1023], s).astype(np.uint16) for s in ((32, 48), (16, 24), (16, 24))
        )
        vectors = rng.integers(-40, 40, (2, 2, 3)).astype(np.int16) if t else None
        painted = painter.paint((y, u, v), vectors)
        assert all(p.max() <= 1023 for p in painted)
        assert painter.state is not None
        widest = max(widest, int(np.abs(painter.state.detail).max()))
    assert 1000 < widest <= integer.DETAIL


@pytest.mark.usefixtures("form")
@pytest.mark.parametrize(
    "size", [(64, 48), (118, 70), (17, 33), (16, 16), (15, 1), (333, 100)], ids=str
)
def test_the_core_paints_what_the_definition_says(size: tuple[int, int]) -> None:
    """In every form of the loops, on one thread and on three, whatever vectors and weights are."""
    width, height = size
    for wild, middle in ((1.0, 0), (1.0, 1), (30.0, 0), (30.0, 1)):
        model = Model.of(twin(5, wild, middle).integers())
        stream = integer.condition("av1", Fraction(1, 2), 40)
        painters = [integer.IntegerPainter(model, height, width)]
        painters += [CorePainter(height, width, threads) for threads in (1, 3)]
        for painter in painters:
            painter.start(stream, model)
        rng = np.random.default_rng(2)
        for t, loop in enumerate(frames(width, height, 4)):
            reach = 32000 if t == 3 else 20
            grid = block_grid(height, width)
            vectors = rng.integers(-reach, reach, (2, *grid)).astype(np.int16) if t else None
            if t == 2:
                loop = tuple(rng.choice([0, 1023], p.shape).astype(np.uint16) for p in loop)
            wanted, *found = (painter.paint(loop, vectors, 17 * t) for painter in painters)
            for planes in found:
                for plane, (a, b) in enumerate(zip(wanted, planes, strict=True)):
                    assert np.array_equal(a, b), (wild, middle, t, plane, np.argwhere(a != b)[:5])


@pytest.mark.parametrize(
    "device", ["cpu", pytest.param("cuda", marks=pytest.mark.skipif(no_cuda, reason="no CUDA"))]
)
@pytest.mark.parametrize("size", [(118, 70), (16, 16), (15, 1)], ids=str)
def test_torch_paints_on_any_device_what_the_core_does(
    size: tuple[int, int], device: str, tmp_path
) -> None:
    """In double precision, tuned too, whatever vectors and weights are."""
    width, height = size
    rng = np.random.default_rng(3)
    for wild, middle in ((1.0, 1), (30.0, 0)):
        path = tmp_path / "painter.safetensors"
        twin(5, wild, middle).save(path)
        model = Model.load(path)
        head = rng.integers(-30, 30, model.layers["head"].weight.size)
        tuned = model.tuned({"head.weight": (head, 1), "head.bias": (np.full(15, 9), 6)})
        painters = (
            CorePainter(height, width, 2),
            torch_painter.IntegerNetworkPainter(path, device),
        )
        for changed in (model, tuned, model):
            for painter in painters:
                painter.start(integer.condition("vvc", Fraction(1), 33), changed)
            for t, loop in enumerate(frames(width, height, 3)):
                grid = block_grid(height, width)
                vectors = rng.integers(-90, 90, (2, *grid)).astype(np.int16) if t else None
                wanted, found = (p.paint(loop, vectors, 21 * t) for p in painters)
                for a, b in zip(wanted, found, strict=True):
                    assert np.array_equal(a, b), (wild, middle, t, np.argwhere(a != b)[:5])


def test_a_file_comes_back_and_others_are_refused(tmp_path) -> None:
    path = tmp_path / "painter.safetensors"
    renderer = twin()
    renderer.save(path)
    again, wanted = IntegerRenderer.load(path).integers(), renderer.integers()
    assert again.keys() == wanted.keys()
    assert all(np.array_equal(again[name], wanted[name]) for name in wanted)
    for name, value in (
        ("head.shift", 31),
        ("gate.multiplier", 1024),
        ("blocks.1.condition", 70000),
    ):
        broken = {**wanted, name: np.full_like(wanted[name], value)}
        with pytest.raises(ValueError, match="range"):
            Model.of(broken)
    with pytest.raises(ValueError, match="fit"):
        Model.of({name: values for name, values in wanted.items() if not name.startswith("gate")})
    path.write_bytes(path.read_bytes()[:1000])
    with pytest.raises(MediaError, match="not an integer painter"):
        Model.load(path)


def test_tuned_weights_are_cut_to_their_range() -> None:
    model = Model.of(twin().integers())
    n = model.layers["head"].weight.size
    deltas = {"head.weight": (np.full(n, 127), 3), "head.bias": (np.full(15, -127), 20)}
    changed = model.tuned(deltas).layers["head"]
    assert (changed.weight == 127).all()
    assert (changed.bias == model.layers["head"].bias - (127 << 20)).all()
    assert model.layers["head"].weight.max() < 127 or (model.layers["head"].weight != 127).any()


def test_bands_answer_to_waves_of_any_direction_alike() -> None:
    """N alike, (P, Q) as (cos, sin) of twice the angle: nothing prefers rows or columns."""
    y, x = np.mgrid[:64, :64]
    for turn in range(8):
        angle = turn * np.pi / 8
        wave = 512 + 300 * np.cos(0.9 * (x * np.cos(angle) + y * np.sin(angle)))
        found = integer.bands(wave.round().astype(np.int32), fine=True)
        inner = (slice(8, -8),) * 2
        carrier = (wave[inner] - 512) / 300
        n, p, q = (float((b[inner] * carrier).mean() * 2) for b in (found.iso, found.p, found.q))
        if turn == 0:
            first = n
        assert abs(n / first - 1) < 0.06
        assert abs(p - np.hypot(p, q) * np.cos(2 * angle)) < 0.12 * first
        assert abs(q - np.hypot(p, q) * np.sin(2 * angle)) < 0.12 * first
        assert 0.6 < np.hypot(p, q) / n < 1.05


def test_directions_are_those_of_the_picture() -> None:
    y, x = np.mgrid[:64, :64]
    for angle in (0.0, 0.6, 1.2, 2.0, 2.9):
        wave = 2000 + 800 * np.cos(0.8 * (x * np.cos(angle) + y * np.sin(angle)))
        c, s = (part[2:-2, 2:-2].mean() for part in integer.directions(wave.astype(np.int32)))
        assert np.hypot(c - 64 * np.cos(2 * angle), s - 64 * np.sin(2 * angle)) < 6
    flat = integer.directions(np.full((32, 32), 900, np.int32))
    assert not flat[0].any() and not flat[1].any()


def test_a_logarithm_of_integers() -> None:
    for value in (8, 9, 15, 16, 103, 1000, (1 << 24) - 1):
        assert abs(int(log8(np.array(value))) - 8 * np.log2(value)) < 1.7
