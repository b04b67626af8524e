"""The painter: its definition against C++ and the trained twin; noise, motion, payloads."""

import hashlib
from fractions import Fraction
from itertools import product
from typing import Any

import numpy as np
import pytest
import torch
from safetensors.numpy import save_file

from conformance.decoder import painter as second
from conformance.decoder.fit import GROUPS
from conformance.decoder.header import Header
from conformance.deltas import Delta, pack
from gvcodec.errors import (
    DamagedStreamError,
    FormatVersionError,
    MediaError,
    UsageError,
    WrongModelError,
)
from gvcodec.models import CHECKPOINT_VARIABLE, PAINTER
from gvcodec.painter.cpu import CpuPainter, block_vectors
from gvcodec.painter.model import DETAIL, Model, Strength, condition, rate
from gvcodec.painter.payload import (
    BASE,
    IDENTITY,
    join_strength,
    split_strength,
)
from gvcodec.painter.torch_twin.filters import Layer, Requantiser
from gvcodec.painter.torch_twin.network import PainterNetwork
from gvcodec.painter.torch_twin.network import condition as condition_row
from gvcodec.painter.torch_twin.objective import REFRESH, fresh
from gvcodec.painter.video import VideoPainter
from gvcodec.perceptual.losses import FilterBank
from gvcodec.types import Planes, VideoFormat
from gvcodec.util.tensors import open_device, warp
from tests.conftest import clips_equal, moving_texture, planes_equal
from tests.errors import raises
from tests.networks import add_deltas, read_deltas


class SecondPainter(second.Painter):
    """The second decoder's painter, with vectors and numbers of frames from outside."""

    def __init__(self, tensors: dict[str, Any], width: int, height: int, q: int, scale: int = 1):
        wide = {name: values.astype(np.int64) for name, values in tensors.items()}
        header = Header(width=width, height=height, base="av1", scale=Fraction(1, scale), q=q)
        super().__init__(wide, header)

    def _vectors(self, luma: np.ndarray, before: np.ndarray) -> np.ndarray:
        return self.given.transpose(1, 2, 0).astype(int)

    def _frame_entry(self, size: int) -> int:
        return size

    def paint_at(self, planes: Planes, vectors: np.ndarray | None, own: int = 0) -> Planes:
        if vectors is None:
            self.number, self.before = 0, None
        self.given = vectors
        return self.paint(planes, own)


SIZES = {"channels": 24, "style": 16, "stem": 8, "wide": 32, "depth": 2}


def twin(seed: int = 0, wild: float = 1.0) -> PainterNetwork:
    torch.manual_seed(seed)
    made = PainterNetwork(SIZES)
    with torch.no_grad():
        for module in made.modules():
            if isinstance(module, Layer):
                module.weight.copy_(torch.randn_like(module.weight) * 40 * wild)
                module.bias.copy_(torch.randn_like(module.bias) * 1000 * wild)
            if isinstance(module, Requantiser):
                ranges = ("multiplier", 300, 1024), ("shift", 12, 18), ("step", 9, 13)
                for part, low, high in ranges:
                    setattr(module, part, torch.randint(low, high, module.step.shape).float())
        made.head.shift.fill_(8.0)
        for block in made.blocks:
            block.condition.copy_(torch.randn_like(block.condition) * 300)
    return made.requires_grad_(False)


def test_the_twin_paints_what_the_definition_says() -> None:
    width, height = 64, 48
    rng, painted_twin = np.random.default_rng(1), twin().double()
    painter = SecondPainter(painted_twin.integers(), width, height, 45)
    stream, state = condition_row("av1", Fraction(1), 45).double(), None
    for t, base_frame in enumerate(moving_texture(width, height, 3)):
        grid = -(-height // 16), -(-width // 16)
        vectors = rng.integers(-9, 9, (2, *grid)).astype(np.int16) if t else None
        own = rate(300 + t, width, height)
        wanted = painter.paint_at(base_frame, vectors, own)
        parts = (np.stack(p).astype(float) / 1023 for p in (base_frame[:1], base_frame[1:]))
        luma, chroma = (torch.from_numpy(part)[None] for part in parts)
        entries = torch.cat([stream[:, :-1], torch.tensor([[own]]).double()], 1)
        noise, redraw = fresh(height, width, t)
        moved = None if vectors is None else torch.from_numpy(vectors)[None]
        noise = noise.double(), redraw
        y, uv, state = painted_twin.step(luma, chroma, moved, noise, state, entries)
        found = [(p * 1023).round().clamp(0, 1023).int().numpy() for p in (y[0, 0], *uv[0])]
        assert np.abs(wanted[0].astype(int) - base_frame[0]).mean() > 5
        for a, b in zip(wanted, found, strict=True):
            assert np.array_equal(a, b), t


def test_detail_bands_and_maps_fit_16_bits_whatever_the_weights_are() -> None:
    """What the C++ forms rely on: the definition computes in 32 bits and would hide it."""
    painter = SecondPainter(twin(3, wild=100).integers(), 48, 32, 63)
    rng, widest = np.random.default_rng(0), 0
    for t in range(3):
        shapes = (32, 48), (16, 24), (16, 24)
        y, u, v = (rng.choice([0, 1023], shape).astype(np.uint16) for shape in shapes)
        vectors = rng.integers(-40, 40, (2, 2, 3)).astype(np.int16) if t else None
        painted = painter.paint_at((y, u, v), vectors)
        assert all(p.max() <= 1023 for p in painted)
        widest = max(widest, int(np.abs(painter.before["details"][0]).max()))
    assert 1000 < widest <= DETAIL


@pytest.mark.usefixtures("form")
@pytest.mark.parametrize("size", [(118, 70), (17, 33), (15, 1), (333, 100), (20, 590)], ids=str)
def test_the_core_paints_what_the_definition_says(size: tuple[int, int]) -> None:
    """In every form of the loops, on one thread and on three, whatever vectors and weights are."""
    width, height = size
    for wild in (1.0, 30.0):
        integers = twin(5, wild).integers()
        definition = SecondPainter(integers, width, height, 40, 2)
        painters = [CpuPainter(height, width, threads) for threads in (1, 3)]
        for painter in painters:
            painter.start(condition("av1", Fraction(1, 2), 40), Model.of(integers))
        rng = np.random.default_rng(2)
        for t, base_frame in enumerate(moving_texture(width, height, 4)):
            reach = 32000 if t == 3 else 20
            grid = (-(-height // 16), -(-width // 16))
            vectors = rng.integers(-reach, reach, (2, *grid)).astype(np.int16) if t else None
            if t == 2:
                noise = (rng.choice([0, 1023], p.shape) for p in base_frame)
                base_frame = tuple(plane.astype(np.uint16) for plane in noise)
            wanted = definition.paint_at(base_frame, vectors, 17 * t)
            for planes in [painter.paint(base_frame, vectors, 17 * t) for painter in painters]:
                for plane, (a, b) in enumerate(zip(wanted, planes, strict=True)):
                    assert np.array_equal(a, b), (wild, t, plane, np.argwhere(a != b)[:5])


@pytest.mark.usefixtures("form")
def test_what_stays_in_the_base_frame_stays_painted() -> None:
    """Noise is renewed and detail made again only where the base frame changes."""
    width, height = 96, 64
    integers = twin(5).integers()
    definition, painter = SecondPainter(integers, width, height, 45), CpuPainter(height, width, 1)
    painter.start(condition("av1", Fraction(1), 45), Model.of(integers))
    first = moving_texture(width, height, 1)[0]
    changed = (first[0].copy(), *first[1:])
    changed[0][:16, :16] ^= 64
    vectors = np.zeros((2, 4, 6), np.int16)
    frames = [(first, None), (first, vectors), (first, vectors), (changed, vectors)]
    given = [(*frame, 90 * number) for number, frame in enumerate(frames)]
    found, wanted = ([p(*x) for x in given] for p in (painter.paint, definition.paint_at))
    assert clips_equal(found, wanted)
    one, two, three, four = found
    assert planes_equal(one, two) and planes_equal(one, three)
    assert not np.array_equal(three[0], four[0])
    assert np.array_equal(three[0][32:, 32:], four[0][32:, 32:])
    noise = fresh(height, width, 0)[0][0, 0].numpy()  # of the GOP's first frame
    assert (definition.before["noise"][16:] == noise[16:]).all()


@pytest.mark.usefixtures("form")
def test_only_what_is_near_a_change_is_painted_anew() -> None:
    """A changed block reaches as far as the network and the filters do, in rows and in columns,
    also where work is left out by groups of columns (32 blocks); the rest moves along."""
    width, height = 400, 200
    integers = twin(5).integers()
    definition, painter = SecondPainter(integers, width, height, 45), CpuPainter(height, width, 2)
    painter.start(condition("av1", Fraction(1), 45), Model.of(integers))
    base_frame = moving_texture(width, height, 1)[0]
    vectors = np.zeros((2, 13, 25), np.int16)
    assert clips_equal([painter.paint(base_frame, None)], [definition.paint_at(base_frame, None)])
    for t, column in enumerate(range(24, 36)):
        y = base_frame[0].copy()
        y[80:88, 8 * column : 8 * column + 8] ^= 128
        base_frame = (y, *base_frame[1:])
        found, wanted = (
            p(base_frame, vectors, 50 * t) for p in (painter.paint, definition.paint_at)
        )
        assert planes_equal(found, wanted), column


def test_strength_scales_noise_and_keeps_more() -> None:
    model = Model.of(twin(5).integers())
    head, none = model.layers["head"], model.with_strength(Strength(0, 0)).layers["head"]
    assert (none.multiplier[6:9] == 0).all() and (head.multiplier[6:9] > 0).all()
    others = (np.delete(layer.multiplier, [6, 7, 8]) for layer in (none, head))
    assert np.array_equal(*others)
    half = model.with_strength(Strength(32, 255)).layers["head"]
    assert np.array_equal(half.multiplier[6:9], (head.multiplier[6:9] + 1) >> 1)
    more = (half.bias - head.bias)[14] * head.multiplier[14] / 2.0 ** head.shift[14]
    assert 254 < more <= 255 and (np.delete(half.bias - head.bias, 14) == 0).all()
    payload = pack(some_deltas((0, 1)))
    strong = join_strength(payload, Strength(40, 90))
    assert split_strength(strong) == (payload, Strength(40, 90))
    assert join_strength(payload, Strength()) == payload and len(strong) == len(payload) + 2
    assert [d.name for d in read_deltas(strong)] == [d.name for d in read_deltas(payload)]
    painter = VideoPainter(SHOWN, "av1", Fraction(1), 40, PAINTER.find(), 1)
    pictures = []
    for fitted in (None, join_strength(BASE, Strength(0, 0))):
        painter.start_gop(fitted)
        pictures.append(painter.paint(moving_texture(118, 70, 1)[0])[0])
    assert not np.array_equal(*pictures)


def test_a_file_comes_back_and_others_are_refused(tmp_path) -> None:
    path = tmp_path / "painter.safetensors"
    made = twin()
    made.save(path)
    again, wanted = PainterNetwork.load(path).integers(), made.integers()
    assert again.keys() == wanted.keys()
    assert all(np.array_equal(again[name], wanted[name]) for name in wanted)
    ends = ("head.shift", 31), ("style.multiplier", 1024), ("blocks.1.condition", 70000)
    for name, value in ends:
        broken = {**wanted, name: np.full_like(wanted[name], value)}
        with pytest.raises(ValueError, match="range"):
            Model.of(broken)
    with pytest.raises(ValueError, match="fit"):
        Model.of({name: values for name, values in wanted.items() if not name.startswith("head")})
    save_file({"x": np.zeros(1)}, path, {"painter": '{"channels": 24}'})
    for load in (Model.load, PainterNetwork.load):
        with pytest.raises(MediaError, match="a painter of form 1, not 2"):
            load(path)
    path.write_bytes(path.read_bytes()[:100])
    with raises(MediaError, "not-a-model"):
        Model.load(path)


def test_fitted_weights_are_cut_to_their_range() -> None:
    model = Model.of(twin().integers())
    n = model.layers["head"].weight.size
    deltas = {"head.weight": (np.full(n, 127), 3), "head.bias": (np.full(15, -127), 20)}
    changed = add_deltas(model, deltas).layers["head"]
    assert (changed.weight == 127).all()
    assert (changed.bias == model.layers["head"].bias - (127 << 20)).all()
    assert model.layers["head"].weight.max() < 127 or (model.layers["head"].weight != 127).any()


SHOWN = VideoFormat(118, 70, Fraction(25), Fraction(1, 25))


@pytest.fixture
def lively(tmp_path):
    twin(4, 0.3).save(tmp_path / "lively.safetensors")
    return tmp_path / "lively.safetensors"


def painted(path, base="av1", scale=Fraction(1), q=40):
    painter = VideoPainter(SHOWN, base, scale, q, path, 1)
    painter.start_gop(None)
    return [painter.paint(planes) for planes in moving_texture(118, 70, 3)]


def test_painting_starts_anew_with_each_gop(lively):
    painter = VideoPainter(SHOWN, "av1", Fraction(1), 40, lively, 1)
    passes = []
    for _ in range(2):
        painter.start_gop(None)
        passes.append([painter.paint(planes) for planes in moving_texture(118, 70, 3)])
    assert clips_equal(*passes) and not clips_equal(passes[0], moving_texture(118, 70, 3))


def test_the_condition_matters(lively):
    streams = (("av1", 1, 40), ("vvc", 1, 40), ("av1", 2, 40), ("av1", 1, 10))
    found = {painted(lively, b, Fraction(1, scale), q)[0][0].tobytes() for b, scale, q in streams}
    assert len(found) == 4


def test_a_painter_refuses_arguments_and_frames_of_another_size(lively):
    for base, q in (("vp9", 40), ("av1", 64), ("av1", -1)):
        with pytest.raises(UsageError):
            VideoPainter(SHOWN, base, Fraction(1), q, lively, 1)
    painter = VideoPainter(SHOWN, "av1", Fraction(1), 40, lively, 1)
    painter.start_gop(None)
    with pytest.raises(UsageError, match="96×64"):
        painter.paint(moving_texture(96, 64, 1)[0])


@pytest.mark.parametrize("device", ["warp:9", "meta", "cuda:99", "mkldnn"])
def test_a_device_that_is_not_there_is_named(device):
    with pytest.raises(UsageError, match=f"no device {device} here"):
        open_device(device)


def test_the_painters_file_is_found_or_named(tmp_path, monkeypatch):
    monkeypatch.setattr("gvcodec.models.shipped_folders", lambda: [tmp_path / "none", tmp_path])
    monkeypatch.delenv(CHECKPOINT_VARIABLE, raising=False)
    with pytest.raises(WrongModelError, match=f"the painter is missing.*{CHECKPOINT_VARIABLE}"):
        PAINTER.find()
    (tmp_path / "painter.safetensors").write_bytes(b"shipped")
    (tmp_path / "other").write_bytes(b"named")
    assert PAINTER.find().read_bytes() == b"shipped"
    monkeypatch.setenv(CHECKPOINT_VARIABLE, str(tmp_path / "other"))
    assert PAINTER.find().read_bytes() == b"named"
    with raises(MediaError, "not-a-model"):
        Model.load(PAINTER.find())


def test_bands_add_up_to_the_picture():
    bank, x = FilterBank(), torch.rand(1, 1, 96, 96, generator=torch.Generator().manual_seed(0))
    fine, coarse, rest = bank(torch.nn.functional.pixel_unshuffle(x, 2))
    assert fine.shape == (1, 12, 48, 48) and coarse.shape == (1, 6, 48, 48)
    taps = torch.tensor([1.0, 4, 6, 4, 1]) / 16
    low = torch.nn.functional.conv2d(x, torch.outer(taps, taps)[None, None], padding=2)
    high = torch.nn.functional.pixel_shuffle(fine.unflatten(1, (3, 4)).sum(1), 2)
    assert torch.allclose((high + low)[..., 4:-4, 4:-4], x[..., 4:-4, 4:-4], atol=1e-6)
    taps = torch.tensor([1.0, 3, 3, 1]) / 8
    half = torch.nn.functional.conv2d(x, torch.outer(taps, taps)[None, None], stride=2, padding=1)
    sums = coarse.sum(1, keepdim=True) + rest
    assert torch.allclose(sums[..., 8:-8, 8:-8], half[..., 8:-8, 8:-8], atol=1e-6)


def test_noise_is_white_and_the_same_everywhere():
    noise, redraw = fresh(256, 256, 5)
    assert abs(float(noise.mean()) - 512) < 4 and abs(float(noise.std()) / 147.8 - 1) < 0.02
    spectrum = torch.fft.rfft2(noise[0, 0]).abs().square().mean(0)[1:]
    assert float(spectrum.max() / spectrum.min()) < 2
    assert abs(float(redraw.float().mean()) * REFRESH - 1) < 0.2
    assert not torch.equal(fresh(256, 256, 6)[0], noise)
    digest = hashlib.sha256((noise - 2).to(torch.int16).numpy().tobytes()).hexdigest()
    assert digest[:16] == "fa62e43f52fee6cc"
    for number in (0, 5):
        wanted, bits = second.tile(number, (256, 256))
        noise, redraw = fresh(256, 256, number)
        assert np.array_equal(noise[0, 0], wanted)
        assert np.array_equal(redraw[0, 0], bits % REFRESH == 0)


def test_motion_is_found_and_followed():
    texture = np.random.default_rng(0).integers(300, 700, (100, 130)).astype(np.uint16)
    corners = texture[:-1, :-1] + texture[1:, :-1] + texture[:-1, 1:] + texture[1:, 1:]
    smooth = (corners >> 2).astype(np.uint16)
    parts = smooth[10:74, 10:106], smooth[7:71, 15:111]
    before, after = map(np.ascontiguousarray, parts)
    vectors = torch.from_numpy(block_vectors(after, before))
    assert vectors.shape == (2, 4, 6)
    assert vectors[:, 1:-1, 1:-1].flatten(1).float().median(1).values.tolist() == [-3, 5]
    moved, inside = warp(torch.from_numpy(before.astype(np.float32))[None, None], vectors[None])
    good = inside[0, 0, 16:48, 16:80].numpy()
    assert np.abs(moved[0, 0, 16:48, 16:80].numpy() - after[16:48, 16:80])[good].mean() < 5


def test_no_lattice_in_flat_areas(lively):
    """A slow gradient shows no pattern of the sampling grids (2, 4, 8 pixels)."""
    y, x = np.mgrid[0:128, 0:128]
    flat = (400 + x + y).astype(np.uint16)  # y // 2 would be a pattern of its own
    chroma = np.full((64, 64), 512, np.uint16)
    for path in (lively, PAINTER.find()):
        fmt = VideoFormat(128, 128, Fraction(25), Fraction(1, 25))
        painter = VideoPainter(fmt, "av1", Fraction(1), 50, path, 1)
        total = np.zeros((64, 64))
        for _ in range(3):
            painter.start_gop(None)
            for _ in range(3):
                error = painter.paint((flat, chroma, chroma))[0].astype(float) - flat
            window = np.outer(np.hanning(64), np.hanning(64))
            for top, left in product((16, 32, 48), repeat=2):
                crop = error[top : top + 64, left : left + 64]
                total += np.abs(np.fft.fft2((crop - crop.mean()) * window)) ** 2
        for line in (32, 16, 48, 8, 56):
            neighbours = [np.roll(total, s, 0)[line].mean() for s in (-3, 3)]
            for axis in (total[line], total[:, line]):
                assert axis.mean() < 4 * max(*neighbours, 1e-3 * total.mean()), (path, line)


SHIPPED = PainterNetwork.load(PAINTER.find())


def some_deltas(groups, scale=3.0):
    weights, rng = dict(SHIPPED.named_parameters()), np.random.default_rng(0)
    names = [name for i in groups for name in GROUPS[i] if name in weights]
    values = (rng.normal(0, scale, weights[name].numel()) for name in names)
    whole = (np.round(v).clip(-127, 127).astype(np.int64) for v in values)
    return [Delta(name, v, 4) for name, v in zip(names, whole, strict=True)]


@pytest.mark.parametrize("groups", [(0,), (1,), (0, 1)])
def test_payload_round_trip(groups):
    deltas = some_deltas(groups)
    read = read_deltas(pack(deltas))
    for delta, again in zip(deltas, read, strict=True):
        assert (delta.name, delta.exponent) == (again.name, again.exponent)
        assert np.array_equal(delta.values, again.values)
    assert read_deltas(IDENTITY) is None
    assert read_deltas(pack([Delta(d.name, d.values * 0, 4) for d in deltas])) == []


def test_fitted_weights_paint_and_do_not_stay():
    base_frame, path = moving_texture(118, 70, 1)[0], PAINTER.find()
    painter = VideoPainter(SHOWN, "av1", Fraction(1), 40, path, 1)
    painter.start_gop(None)
    plain = painter.paint(base_frame)
    painter.start_gop(pack(some_deltas((0, 1))))
    assert not np.array_equal(painter.paint(base_frame)[0], plain[0])
    painter.start_gop(IDENTITY)
    assert np.array_equal(painter.paint(base_frame)[0], base_frame[0])
    painter.start_gop(None)
    assert np.array_equal(painter.paint(base_frame)[0], plain[0])


def test_cut_and_extended_payloads_are_refused():
    payload = pack(some_deltas((0, 1)))
    kinds = (b"", bytes([17, 252]) + payload[2:])
    strong = join_strength(payload, Strength(40, 90))
    kinds += (strong[:2], strong[:1] + b"\x41" + strong[2:], b"\x14")
    for damaged in (payload[:-8], payload + b"\1", payload[:5], *kinds):
        with pytest.raises(DamagedStreamError):
            read_deltas(damaged)
    with pytest.raises(FormatVersionError, match="0.7.0"):
        read_deltas(b"\1" + payload[1:])
    for unknown in (b"\0", b"\2", b"\x30", b"\x38"):
        with pytest.raises(FormatVersionError, match="newer"):
            read_deltas(unknown + payload[1:])


@pytest.mark.parametrize("spread", [0.4, 5.0])
def test_payloads_come_close_to_entropy(spread):
    """Values next to the order-0 entropy of what they are drawn from."""
    deltas = some_deltas((1,), spread)
    _, counts = np.unique(deltas[0].values, return_counts=True)
    bits = -(counts * np.log2(counts / counts.sum())).sum()
    assert len(pack(deltas)) < 1.06 * bits / 8 + 4
