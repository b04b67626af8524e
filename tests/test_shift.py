"""Source shift: gradients that lower the loss, their way along motion, and the encoder that is
given a shifted source."""

from dataclasses import replace
from fractions import Fraction

import numpy as np
import pytest

torch = pytest.importorskip("torch")


from gvcodec import factory
from gvcodec import shifted as module
from gvcodec.api import decode_planes
from gvcodec.appearance.shift import carried, shaped, shifted
from gvcodec.config import EncoderConfig
from gvcodec.encoder import Encoder
from gvcodec.errors import UsageError
from gvcodec.types import Colour, VideoFormat

WIDTH, HEIGHT = 96, 80
FORMAT = VideoFormat(WIDTH, HEIGHT, Fraction(25), Fraction(1, 25), 8, Colour(matrix=6))


def _texture(seed: int, height: int = HEIGHT, width: int = WIDTH) -> np.ndarray:
    """Smooth noise, 8 bits as 10."""
    coarse = np.random.default_rng(seed).uniform(200, 800, (height // 4 + 3, width // 4 + 3))
    rows, columns = np.arange(height) / 4, np.arange(width) / 4
    part = coarse[rows.astype(int)][:, columns.astype(int)]
    below = coarse[rows.astype(int) + 1][:, columns.astype(int) + 1]
    return (0.5 * (part + below)).astype(np.uint16) & ~np.uint16(3)


def _planes(luma: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    grey = np.full((luma.shape[0] // 2, luma.shape[1] // 2), 512, np.uint16)
    return luma, grey, grey


def _video(count: int) -> list:
    wide = _texture(1, HEIGHT, WIDTH + 2 * count)
    return [_planes(np.ascontiguousarray(wide[:, 2 * n : 2 * n + WIDTH])) for n in range(count)]


def _coded(frames: list, **settings: object) -> tuple[bytes, Encoder]:
    import io

    from gvcodec import session

    config = EncoderConfig(q=50, preset=10, tune=0.0, tune_by="small", **{"threads": 1, **settings})
    encoder, stream = Encoder(FORMAT, config), io.BytesIO()
    session.run(encoder, stream, ((planes, None) for planes in frames))
    return stream.getvalue(), encoder


def test_a_step_against_the_gradient_lowers_the_loss_on_other_crops():
    critic, reason = factory.critic(FORMAT, "small")
    assert critic is not None and not reason
    source = _planes(_texture(3))
    blurred = _planes(
        sum(np.roll(source[0], n, 1).astype(np.float32) / 5 for n in range(-2, 3)).astype(np.uint16)
    )
    move = shaped([critic(blurred, source, 0)], 2.0)[0]
    with torch.no_grad():
        losses = [
            float(critic.loss(shifted(blurred, k * move), source, 99)) for k in (0.0, 1.0, -1.0)
        ]
    assert losses[1] < losses[0] < losses[2]


def test_the_same_seed_gives_the_same_gradient():
    critic, _ = factory.critic(FORMAT, "small")
    pair = _planes(_texture(4)), _planes(_texture(5))
    assert np.array_equal(critic(*pair, 7), critic(*pair, 7))
    assert not np.array_equal(critic(*pair, 7), critic(*pair, 8))


def test_odd_sizes_have_gradients_too():
    odd = replace(FORMAT, width=101, height=85)
    critic, _ = factory.critic(odd, "small")
    luma = [_texture(seed, 85, 101) for seed in (7, 8)]
    pair = [(y, *(np.full((43, 51), 512, np.uint16),) * 2) for y in luma]
    gradient = critic(*pair, 1)
    assert gradient.shape == (85, 101) and np.isfinite(gradient).all() and gradient[40:80].any()
    assert carried([gradient, None], luma)[1].shape == (85, 101)


def test_gradients_move_with_the_picture():
    frames = [planes[0] for planes in _video(4)]
    spot = np.zeros((HEIGHT, WIDTH), np.float32)
    spot[32:48, 48:64] = 1
    maps = carried([spot, None, None, None], frames)
    for number in (1, 2, 3):  # the texture moves two samples to the left with every frame
        row, column = (
            np.average(n, weights=maps[number].clip(0)) for n in np.mgrid[:HEIGHT, :WIDTH]
        )
        assert abs(row - 39.5) < 2 and abs(column - (55.5 - 2 * number)) < 2


def test_nothing_is_carried_over_a_cut():
    dark, bright = (
        np.full((HEIGHT, WIDTH), 100, np.uint16),
        np.full((HEIGHT, WIDTH), 900, np.uint16),
    )
    ones = np.ones((HEIGHT, WIDTH), np.float32)
    maps = carried([ones, None, None], [dark, dark, bright])
    assert maps[1].mean() > 0.9 and abs(maps[2]).max() < 1e-3


def test_still_pictures_get_the_mean_of_all_gradients():
    luma = [_texture(6)] * 3
    maps = carried([np.full((HEIGHT, WIDTH), v, np.float32) for v in (1, 1, -2)], luma)
    assert all(abs(m).max() < 0.5 for m in maps)


def test_a_shift_has_the_size_that_was_asked_for():
    noise = np.random.default_rng(0).standard_normal((3, HEIGHT, WIDTH)).astype(np.float32)
    maps = shaped(list(noise), 0.8)
    assert np.sqrt(np.mean(np.square(maps))) == pytest.approx(0.8, rel=0.02)
    assert abs(np.array(maps)).max() <= 3 * 0.8
    assert not np.any(shaped([np.zeros((HEIGHT, WIDTH), np.float32)], 0.8))


def test_shift_changes_the_stream_and_its_quality_is_that_of_the_source():
    frames = _video(10)
    plain, _ = _coded(frames)
    data, encoder = _coded(frames, shift=1.0)
    assert data != plain and not encoder.notes
    loops = list(decode_planes(data, fidelity=True))  # raises where the loop hash is another
    assert len(loops) == len(frames)
    errors = [
        np.mean(np.square(a[0].astype(float) - b[0])) for a, b in zip(loops, frames, strict=True)
    ]
    assert encoder.psnr_y == pytest.approx(
        float(np.mean(10 * np.log10(1023**2 / np.array(errors)))), abs=0.01
    )


def test_shifted_streams_do_not_depend_on_threads():
    frames = _video(10)
    assert _coded(frames, shift=1.0)[0] == _coded(frames, shift=1.0, threads=3)[0]


def test_parts_leave_no_frame_out(monkeypatch):
    monkeypatch.setattr(module, "_PART", 8)
    frames = _video(19)
    data, _ = _coded(frames, shift=1.0)
    assert len(list(decode_planes(data))) == 19


def test_what_cannot_be_shifted_is_coded_as_it_is():
    small = replace(FORMAT, width=48, height=48)
    encoder = Encoder(small, EncoderConfig(shift=1.0, preset=10))
    assert encoder.notes == ["the source is not shifted: its pictures are too small"]
    for settings in ({"low_delay": True}, {"shift": -1.0}, {"shift": 9.0}):
        with pytest.raises(UsageError, match="shift"):
            Encoder(FORMAT, EncoderConfig(**{"shift": 1.0, **settings}))


def test_a_shifted_file_fits_its_size(monkeypatch):
    """Trials that only look for the quality are not shifted: that would cost several times their
    time."""
    from test_rate import fit

    made = []

    class Counted(module.ShiftedEncoder):
        def __init__(self, config: EncoderConfig, *rest: object) -> None:
            made.append(config)
            super().__init__(config, *rest)

    monkeypatch.setattr("gvcodec.encoder.ShiftedEncoder", Counted)
    config = EncoderConfig(preset=10, tune=0.0, tune_by="small", threads=1, shift=1.0)
    fitted = fit(_video(9), config, size=1500)
    assert len(fitted.coded.data) <= 1500 and len(made) == fitted.full_passes
