"""Codes of clips by a GVC1D network: where frames lie, what is written, and damage to it."""

import zlib
from dataclasses import asdict, replace
from pathlib import Path

import numpy as np
import pytest
import torch

from gvcodec.condense import CondensedSet, codes, gvset
from gvcodec.errors import DamagedStreamError, FormatVersionError, WrongModelError
from gvcodec.gvc1d.model import initial_weights
from gvcodec.gvc1d.tokenizer import Tokenizer
from gvcodec.models import GVC1D_MINI, MODELS_VARIABLE, PAINTER, model_id
from gvcodec.planes import planes_from_rgb
from tests.condense.networks import CHANNELS, RUN, SMALL, write_network
from tests.errors import raises


@pytest.fixture(scope="module")
def space(weights: Path) -> codes.WindowCodes:
    return codes.WindowCodes(Tokenizer(weights, rate=5))


def values_of(clips: int, count: int, seed: int = 0) -> codes.Values:
    shape = clips, count * RUN, CHANNELS
    return np.rint(np.random.default_rng(seed).laplace(0, 2, shape)).astype(np.int16)


def clips_of(clips: int, count: int) -> np.ndarray:
    """Ramps of their own direction and brightness."""
    pictures = np.empty((clips, count, 32, 32, 3), np.uint8)
    ramp = np.linspace(30, 220, 32)
    for n, clip in enumerate(pictures):
        for k, picture in enumerate(clip):
            along = ramp[:, None, None] if (n + k) % 2 else ramp[None, :, None]
            picture[:] = along / (1 + k / 3)
    return pictures


@pytest.mark.parametrize("count", [1, 2, 4])
def test_codes_of_clips_come_back(space: codes.WindowCodes, count: int) -> None:
    values = space.tokenize(clips_of(3, count))
    assert values.shape == (3, count * RUN, CHANNELS) and values.any()
    assert np.array_equal(space.unpack(space.pack(values), 3, count), values)
    others = values_of(2 * codes.GROUP + 3, count)
    assert np.array_equal(space.unpack(space.pack(others), len(others), count), others)


def test_predictions_do_not_depend_on_the_other_clips(weights: Path) -> None:
    values = values_of(codes.GROUP + 2, 2)
    together, alone = (codes.WindowCodes(Tokenizer(weights, rate=5)) for _ in range(2))
    data = together.pack(values)
    for clip in values[::-1]:
        alone._predict(clip[None])
    assert alone.pack(values) == data
    each = [together.unpack(alone.pack(clip[None]), 1, 2)[0] for clip in values]
    assert np.array_equal(np.stack(each), values)
    assert np.array_equal(together.unpack(data, len(values), 2), values)


def test_the_estimate_of_bits_is_close_to_the_bytes(space: codes.WindowCodes) -> None:
    values = values_of(40, 4)
    given = torch.from_numpy(values).float().requires_grad_(True)
    bits = space.bits(given)
    assert float(bits.detach()) == pytest.approx(8 * len(space.pack(values)), rel=0.03)
    bits.backward()
    assert given.grad is not None and float(given.grad.abs().sum()) > 0


@pytest.mark.parametrize("count", [1, 3, 16])
def test_frames_lie_in_tiles_of_their_window(
    space: codes.WindowCodes, monkeypatch: pytest.MonkeyPatch, count: int
) -> None:
    clip = clips_of(1, count)[0]
    window = space.lay_out(clip)
    assert (window == 128).all(2).sum() >= 64 * 64 - count * 16 * 16
    planes = [torch.from_numpy(p.astype(np.float32))[None] / 1020 for p in planes_from_rgb(window)]
    given = []

    def decode(tokens: torch.Tensor, *_: int) -> tuple[torch.Tensor, torch.Tensor]:
        given.append(tokens)
        return planes[0][:, None], torch.stack(planes[1:], 1)

    monkeypatch.setattr(space._tokenizer, "decode", decode)
    values = torch.from_numpy(values_of(1, count)).float()
    shown = space.synthesise(values, count, 16)[0].numpy()
    wanted = torch.from_numpy(clip).permute(0, 3, 1, 2).float()
    wanted = torch.nn.functional.interpolate(wanted, (16, 16), mode="bilinear", antialias=True)
    assert np.abs(shown - wanted.permute(0, 2, 3, 1).numpy()).mean() < 4
    grey = np.full((64, 64, 3), 128, np.uint8)
    tokens = space._tokenizer.encode([planes_from_rgb(grey)]).values[0, 0]
    assert np.array_equal(given[0][0, 0, : count * RUN], values[0])
    assert np.abs(given[0][0, 0, count * RUN :].numpy() - tokens[count * RUN :]).sum() <= 1


def test_tokens_of_a_frame_belong_to_its_tile(weights: Path) -> None:
    """The regions that tokens begin with: runs of the Z-order."""
    space, near = codes.WindowCodes(Tokenizer(weights)), initial_weights(SMALL, 0)["pool"] > 0
    for number, (top, left) in enumerate(space._corners(16)):
        rows, columns = np.divmod(np.flatnonzero(near[:, number * RUN]), 8)
        assert set(rows * 8 // 16) == {top // 16} and set(columns * 8 // 16) == {left // 16}


def test_pictures_can_be_differentiated(space: codes.WindowCodes) -> None:
    values = torch.from_numpy(values_of(2, 4)).float().requires_grad_(True)
    shown = space.synthesise(values, 4, 32)
    assert shown.shape == (2, 4, 32, 32, 3)
    shown.mean().backward()
    assert values.grad is not None and bool((values.grad.abs().sum((1, 2)) > 0).all())


def test_damaged_codes_are_refused(space: codes.WindowCodes) -> None:
    values = values_of(3, 4)
    good = space.pack(values)
    rng = np.random.default_rng(0)
    for at in range(300):
        data = bytearray(good)
        data[at % len(data)] ^= int(rng.integers(1, 256))
        with raises(DamagedStreamError, "condensed-set"):
            space.unpack(bytes(data), 3, 4)
    for cut in (0, 3, 4, 5, len(good) // 2, len(good) - 1):
        with raises(DamagedStreamError, "condensed-set"):
            space.unpack(good[:cut], 3, 4)
    for clips in (2, 4, 1 << 20):
        with raises(DamagedStreamError, "condensed-set"):
            space.unpack(good, clips, 4)


def test_made_up_codes_with_a_checksum_are_read_or_refused(space: codes.WindowCodes) -> None:
    good, rng, refused = space.pack(values_of(3, 4))[:-4], np.random.default_rng(0), 0
    for number in range(300):
        data = bytearray(good[: int(rng.integers(0, len(good) + 1)) if number % 3 == 0 else None])
        if data:
            data[int(rng.integers(len(data)))] ^= int(rng.integers(1, 256))
        try:
            found = space.unpack(bytes(data) + zlib.crc32(data).to_bytes(4, "little"), 3, 4)
            assert found.shape == (3, 4 * RUN, CHANNELS)
        except DamagedStreamError as error:
            refused += error.code == "condensed-set"
    assert refused > 200


def test_manifests_out_of_range_are_refused() -> None:
    known = asdict(codes.Form("00" * 8, 3, 3, 4, 32, 4 * RUN))
    assert asdict(codes.Form.of(known)) == known
    for change in (
        {"clips": 0}, {"clips": 1 << 40}, {"count": 17}, {"side": 1 << 20}, {"tokens": True},
        {"tokens": 9.5}, {"network": "zz"}, {"network": 3}, {"rate": -1}, {"rate": 8},
        {"more": 1}, {"clips": 1 << 20}, {"clips": 1 << 17, "side": 256},
    ):  # fmt: skip
        with raises(DamagedStreamError, "condensed-set"):
            codes.Form.of(known | change)
    for value in (None, [], 3, {}):
        with raises(DamagedStreamError, "condensed-set"):
            codes.Form.of(value)


def write_set(path: Path, space: codes.WindowCodes, values: codes.Values, form: codes.Form) -> None:
    labels = [n % 2 for n in range(len(values))]
    path.write_bytes(gvset.pack(space.pack(values), ["a", "b"], labels, 8, {}, form))


def test_a_set_of_codes_names_its_network(tmp_path, monkeypatch, weights, space) -> None:
    monkeypatch.setenv(MODELS_VARIABLE, str(weights.parent))
    values, path = values_of(2, 4), tmp_path / "a.gvset"
    form = codes.Form(model_id(weights).hex(), 5, 2, 4, 32, 4 * RUN)
    write_set(path, space, values, form)
    assert path.read_bytes()[4] == 3
    data = CondensedSet(path)
    with torch.no_grad():
        wanted = space.synthesise(torch.from_numpy(values).float(), 4, 32)
    assert np.abs(data[1][0][:4].astype(float) - wanted[1].numpy()).max() <= 0.51
    assert np.array_equal(data[1][0][4:], data[1][0][:4])
    for change in ({"tokens": 3}, {"count": 2}, {"clips": 3}):
        write_set(path, space, values, replace(form, **change))
        with raises(DamagedStreamError, "condensed-set"):
            CondensedSet(path)
    for other in (PAINTER, GVC1D_MINI):  # no network of GVC1D; no tokens of tiles
        write_set(path, space, values, replace(form, network=model_id(other.find()).hex()))
        with raises(DamagedStreamError, "condensed-set"):
            CondensedSet(path)
    write_set(path, space, values, replace(form, network="00" * 8))
    with pytest.raises(
        WrongModelError, match="a.gvset: the network of a condensed set 0000"
    ) as why:
        CondensedSet(path)
    assert why.value.code == "model-missing"
    assert gvset.unpack(gvset.pack(b"", ["a"], [0], 8, {}))[0]["codes"] is None


def test_codes_of_release_1_0_are_refused_in_one_line(tmp_path) -> None:
    data = bytearray(gvset.pack(b"codes", ["a"], [0], 8, {}))
    data[4] = 2
    path = tmp_path / "old.gvset"
    path.write_bytes(data)
    with pytest.raises(FormatVersionError, match=r"old\.gvset: .*release 1\.0") as caught:
        CondensedSet(path)
    assert caught.value.code == "header-version" and "\n" not in str(caught.value)


def test_networks_without_tokens_of_tiles_are_refused(tmp_path) -> None:
    for config in (replace(SMALL, tokens=24), replace(SMALL, tokens=128), replace(SMALL, patch=32)):
        path = write_network(tmp_path / "w.safetensors", config)
        with raises(WrongModelError, "model"):
            codes.WindowCodes(Tokenizer(path))
