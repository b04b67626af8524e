"""The loop filter of base gvc1d: the same integers in NumPy, torch and the second decoder; damaged
models; what the shipped one is worth in files."""

from fractions import Fraction

import numpy as np
import pytest
import torch
from safetensors import safe_open
from safetensors.numpy import save_file

from conformance.decoder.loop_filter import LoopFilter as Second
from gvcodec.errors import MediaError
from gvcodec.gvc1d import filter_network, loop_filter
from gvcodec.gvc1d.encoder import Gvc1dEncoder, squares
from gvcodec.gvc1d.exact import STEPS
from gvcodec.gvc1d.filter_network import LoopFilter
from gvcodec.gvc1d.frame_payload import Predicted
from gvcodec.gvc1d.model_file import load_network, read_loop
from gvcodec.gvc1d.pictures import pad
from gvcodec.models import GVC1D
from gvcodec.types import Planes, VideoFormat
from tests.conftest import planes_equal

ROWS, COLUMNS = 64, 96
CASES = {"first frame": (44, False), "later, coarse": (60, True), "later, fine": (26, True)}


def picture(rng: np.random.Generator) -> Planes:
    whole = rng.integers(0, 1024, (ROWS // 16, COLUMNS // 16)).repeat(16, 0).repeat(16, 1)
    y = (whole + rng.integers(-40, 41, whole.shape)).clip(0, 1023).astype(np.uint16)
    return y, y[::2, ::2].copy(), y[1::2, 1::2].copy()


def discs(side: int, shift: int) -> Planes:
    """Discs of one brightness each on a gradient: edges, around which a coarse transform rings."""
    rng = np.random.default_rng(4)
    rows, columns = np.mgrid[:side, :side]
    y = 300 + rows + columns // 2
    for _ in range(24):
        row, column, radius, level = rng.integers((0, 0, 8, 50), (side, side, 40, 1000))
        y[(rows - row) ** 2 + (columns - column - shift) ** 2 < radius**2] = level
    y = y.astype(np.uint16)
    return y, y[::2, ::2] // 2 + 256, 768 - y[::2, ::2] // 2


def tensors(planes: Planes) -> tuple[torch.Tensor, torch.Tensor]:
    y, u, v = (torch.from_numpy(plane.astype(np.float32)) for plane in planes)
    return y[None, None], torch.stack([u, v])[None]


@pytest.mark.parametrize("case", CASES)
def test_numpy_torch_and_the_second_decoder_agree(case: str) -> None:
    q, predicted = CASES[case]
    rng = np.random.default_rng(1)
    frame, guess = picture(rng), picture(rng)
    irregular = rng.integers(0, 2000, (ROWS // 16, COLUMNS // 16)) if predicted else None
    layers = read_loop(GVC1D.find()).loop_filter
    seen = loop_filter.maps_of(frame, guess, irregular, q)
    step, quality = torch.tensor([STEPS[q] / 16]), torch.tensor([float(q)])
    moved = None if irregular is None else torch.from_numpy(irregular)[None]
    given = tensors(frame), tensors(guess), moved, step, quality
    maps = filter_network.maps_of(*given)
    assert np.array_equal(seen.transpose(2, 0, 1), maps[0].numpy())
    found = loop_filter.apply(layers, frame, guess, irregular, q)
    with torch.no_grad():
        y, uv = load_network(GVC1D.find()).loop_filter(*given)
    for mine, floats in zip(found, (y[0, 0], *uv[0]), strict=True):
        apart = np.abs(mine - floats.clamp(0, 1023).numpy())
        assert apart.mean() < 0.02 * STEPS[q] / 16 + 0.5
    assert not planes_equal(found, frame)
    with safe_open(GVC1D.find(), "np") as file:
        second = Second({name: file.get_tensor(name) for name in file.keys()})  # noqa: SIM118
    wide = [plane.astype(np.int64) for plane in frame], [p.astype(np.int64) for p in guess]
    made = second.filtered(*wide, irregular, STEPS[q], q)
    assert planes_equal(found, made)


def test_rows_at_once_do_not_matter(monkeypatch: pytest.MonkeyPatch) -> None:
    maps = np.random.default_rng(2).integers(0, 128, (37, 9, loop_filter.MAPS)).astype(np.uint8)
    layers = read_loop(GVC1D.find()).loop_filter
    whole = loop_filter.convolve(layers, maps)
    monkeypatch.setattr(loop_filter, "_ROWS", 5)
    assert np.array_equal(loop_filter.convolve(layers, maps), whole)


def test_a_filter_that_begins_changes_nothing() -> None:
    frame = picture(np.random.default_rng(3))
    step, q = torch.tensor([100.0]), torch.tensor([40.0])
    made = LoopFilter()(tensors(frame), tensors(frame), None, step, q)
    assert all(torch.equal(a, b) for a, b in zip(made, tensors(frame), strict=True))


DAMAGE = {
    "a layer that is missing": lambda t: t.pop("filter.2.bias"),
    "another width": lambda t: t.update({"filter.1.weight": t["filter.1.weight"][:, :-9].copy()}),
    "other bounds": lambda t: t.update({"filter.3.bounds": np.array([24, 0, 127], np.int32)}),
}


@pytest.mark.parametrize("damage", DAMAGE)
def test_other_layers_are_no_filter(damage: str, tmp_path) -> None:
    with safe_open(GVC1D.find(), "np") as file:
        found = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
        form = file.metadata()
    DAMAGE[damage](found)
    save_file(found, tmp_path / "model.safetensors", form)
    with pytest.raises(MediaError, match="not a model of base gvc1d"):
        read_loop(tmp_path / "model.safetensors")


def test_the_encoder_filters_where_that_is_nearer(monkeypatch: pytest.MonkeyPatch) -> None:
    """The shipped one brings a first frame nearer; a filter that spoils is left out."""
    side = 256
    fmt = VideoFormat(side, side, Fraction(25), Fraction(1, 25))
    clip = [discs(side, 2 * t) for t in range(3)]
    errors, sizes, flags = {}, {}, {}
    for name in ("shipped", "none", "spoiling"):
        encoder = Gvc1dEncoder(fmt, 46, threads=1)
        if name == "none":
            monkeypatch.setattr("gvcodec.gvc1d.encoder.filtered", lambda _, f, *rest: f)
        elif name == "spoiling":
            monkeypatch.setattr("gvcodec.gvc1d.encoder.filtered", _spoilt)
        made = [encoder.send(planes) for planes in clip]
        sizes[name] = sum(len(one.packets[0].payload) for one in made)
        flags[name] = [one.packets[0].payload[1] >> 6 & 1 for one in made]
        whole = [pad(one.base_frames[0], (side, side)) for one in made]
        errors[name] = [squares(a, b) for a, b in zip(clip, whole, strict=True)]
    assert flags["shipped"][0] == 1 and flags["none"] == flags["spoiling"] == [0] * 3
    assert errors["spoiling"] == errors["none"]
    assert errors["shipped"][0] < 0.99 * errors["none"][0]
    assert sum(errors["shipped"]) < sum(errors["none"])
    assert sizes["shipped"] < 1.01 * sizes["none"]


def _spoilt(model: object, frame: Planes, known: Predicted, q: int) -> Planes:
    y, u, v = frame
    return 1023 - y, u, v
