"""Regions that show base frames in painted pictures: bytes, the encoder's choice, files."""

import io
from fractions import Fraction

import numpy as np
import pytest

import gvcodec
from gvcodec.bitstream import Reader
from gvcodec.errors import DamagedStreamError
from gvcodec.models import PAINTER_TOKENS
from gvcodec.painter.model import NEUTRAL, Model, Strength, condition
from gvcodec.painter.payload import (
    BASE,
    IDENTITY,
    FitExtras,
    join_extras,
    join_strength,
    split_extras,
)
from gvcodec.painter.sample_clips import SampleClips
from gvcodec.painter.texture_check import find_unpainted_regions
from gvcodec.painter.tokens.stage import GopTokens, add_tokens, without_tokens
from gvcodec.painter.unpainted_regions import pack_regions, show_base, unpack_regions
from gvcodec.painter.video import VideoPainter
from gvcodec.types import Planes, VideoFormat
from tests.conftest import moving_texture
from tests.painter.test_strength import slides
from tests.painter.test_tokens import shown

MODEL = Model.load(PAINTER_TOKENS.find())
FORMAT = VideoFormat(150, 70, Fraction(25), Fraction(1, 25))


def some_regions(rows: int, columns: int) -> np.ndarray:
    return np.random.default_rng(4).integers(0, 2, (rows, columns)).astype(np.bool_)


@pytest.mark.parametrize("size", [(70, 150), (64, 64), (65, 513), (720, 1280)])
def test_regions_come_back_and_other_bytes_are_refused(size: tuple[int, int]) -> None:
    rows, columns = (-(-n // 64) for n in size)
    regions = some_regions(rows, columns)
    data = pack_regions(regions)
    assert len(data) == -(-rows * columns // 8)
    assert np.array_equal(unpack_regions(data, *size), regions)
    damaged = [data + b"\0", data[:-1]]
    if rows * columns % 8:
        damaged.append(data[:-1] + bytes([data[-1] | 0x80]))
    for other in damaged:
        with pytest.raises(DamagedStreamError, match="regions"):
            unpack_regions(other, *size)


def test_payloads_with_regions_come_back() -> None:
    for tokens in (None, b"", bytes(200)):
        for strength in (Strength(), Strength(20, 7, gains=(1, 0, -3))):
            extras = FitExtras(strength, tokens, b"\1\2")
            payload = join_extras(BASE, extras)
            assert split_extras(payload) == (BASE, extras)
            assert payload[0] >= 0x50
            for cut in range(1, len(payload)):
                with pytest.raises(DamagedStreamError):
                    split_extras(payload[:cut])


def test_regions_show_base_samples_and_all_else_stays() -> None:
    painted, base = (
        tuple(np.full(shape, value, np.uint16) for shape in ((70, 150), (35, 75), (35, 75)))
        for value in (1, 2)
    )
    regions = np.array([[0, 1, 0], [0, 0, 1]], np.bool_)
    for n, plane in enumerate(show_base(painted, base, regions)):
        side = 32 if n else 64
        expected = np.ones_like(plane)
        expected[:side, side : 2 * side] = 2
        expected[side:, 2 * side :] = 2
        assert np.array_equal(plane, expected)


def paint(payload: bytes, frames: list[Planes], uses_tokens: bool = True) -> list[Planes]:
    painter = VideoPainter(
        FORMAT, "av1", Fraction(1), 50, PAINTER_TOKENS.find(), 1, None, uses_tokens
    )
    painter.start_gop(payload)
    return [painter.paint(frame, 300) for frame in frames]


def test_a_decoder_paints_the_other_regions_as_without() -> None:
    """What is painted, and what is kept of it, is the same in later frames too."""
    frames = moving_texture(150, 70, 3)
    regions = np.array([[1, 0, 0], [0, 0, 1]], np.bool_)
    payload = join_extras(BASE, FitExtras(unpainted_regions=pack_regions(regions)))
    plain = paint(BASE, frames)
    for steered, painted, base in zip(paint(payload, frames), plain, frames, strict=True):
        expected = show_base(painted, base, regions)
        assert all(np.array_equal(a, b) for a, b in zip(steered, expected, strict=True))
        assert not np.array_equal(steered[0], painted[0])
        assert not np.array_equal(steered[0], base[0])
    aside = paint(payload, frames, uses_tokens=False)
    assert all(np.array_equal(a[0], b[0]) for a, b in zip(aside, plain, strict=True))
    with pytest.raises(DamagedStreamError):
        paint(join_extras(BASE, FitExtras(unpainted_regions=b"")), frames)


def slide_with_camera(count: int) -> list[Planes]:
    """(128, 192): words on the left, a moving texture in the right third."""
    camera, clip = moving_texture(64, 128, count), slides(count, 128, 192)
    for (y, u, v), moving in zip(clip, camera, strict=True):
        y[:, 128:] = moving[0]
        for plane, part in ((u, moving[1]), (v, moving[2])):
            plane[:, 64:] = part
    return [(y, u.copy(), v.copy()) for y, u, v in clip]


def test_regions_of_words_are_not_painted_and_those_of_a_camera_are() -> None:
    """Base frames keep the words, and no texture."""
    rng = np.random.default_rng(2)
    sample = []
    for y, u, v in slide_with_camera(3):
        base = y + rng.integers(0, 3, y.shape, np.uint16)
        smooth = y.astype(np.float64)
        for axis in (0, 1, 0, 1):
            smooth = (np.roll(smooth, 1, axis) + 2 * smooth + np.roll(smooth, -1, axis)) / 4
        base[:, 132:] = smooth[:, 132:].round()
        sample.append(((base, u, v), (y, u, v)))
    clips = SampleClips([sample], [[0, 0, 0]])
    regions = find_unpainted_regions(clips, MODEL, condition("av1", Fraction(1), 50))
    assert regions.shape == (2, 3)
    assert regions[:, :2].all() and not regions[:, 2].any()


def test_payloads_of_gops_paint_what_is_no_text() -> None:
    some, none, every = np.array([[1, 0]], bool), np.zeros((1, 2), bool), np.ones((1, 2), bool)
    strong = join_strength(BASE, Strength(keep=12))
    kept, bold = Strength(keep=12), Strength(keep=24)
    gops = {
        0: GopTokens(None, some, kept),
        10: GopTokens(b"a", every, NEUTRAL),
        20: GopTokens(b"a", some, bold),
        30: GopTokens(b"a", none, NEUTRAL),
        40: GopTokens(None, None, None),
    }
    expected = {
        0: join_extras(BASE, FitExtras(kept, None, b"\1")),
        10: IDENTITY,
        20: join_extras(BASE, FitExtras(bold, b"a", b"\1")),
        30: join_extras(BASE, FitExtras(NEUTRAL, b"a")),
        40: BASE,
    }
    found = add_tokens({}, gops)
    assert found == expected
    # An earlier pass showed base frames from the third GOP on.
    whole = {30: IDENTITY, 40: IDENTITY}
    assert add_tokens({0: strong, 20: IDENTITY}, gops) == expected | whole
    assert add_tokens({}, {0: gops[0], 10: gops[40]})[10] == strong
    assert without_tokens(found)[0] == strong


def test_a_file_with_regions_is_of_format_1_1(monkeypatch) -> None:
    fmt = VideoFormat(192, 128, Fraction(25), Fraction(1, 25))
    frames = slide_with_camera(8)
    narrow = [tuple(np.minimum(p >> 2, 255).astype(np.uint8) for p in planes) for planes in frames]
    chosen: list[np.ndarray] = []
    regions = np.array([[1, 1, 0], [1, 1, 0]], np.bool_)

    def choose(*_: object) -> np.ndarray:
        chosen.append(regions)
        return regions

    monkeypatch.setattr("gvcodec.painter.tokens.encoder.find_unpainted_regions", choose)
    data = gvcodec.encode(narrow, format=fmt, q=55, tokens="on")
    assert chosen and gvcodec.verify(data).frames == 8
    assert Reader(io.BytesIO(data)).header.needs == (1, 1)
    facts = gvcodec.info(data)
    assert facts.unpainted_regions == 4 and facts.unpainted_frames == 0
    assert "4 regions shown as base frames" in str(facts)
    base, painted, aside = (
        [planes[0] for planes in shown(data, **options)]
        for options in ({"fidelity": True}, {}, {"uses_tokens": False})
    )
    for a, b, c in zip(base, painted, aside, strict=True):
        words = np.s_[:, :128]
        assert np.array_equal(a[words], b[words]) and not np.array_equal(a[words], c[words])
        assert not np.array_equal(a[:, 128:], b[:, 128:])
    chosen.clear()
    plain = gvcodec.info(gvcodec.encode(narrow, format=fmt, q=55, tokens="off"))
    assert not chosen
    assert plain.unpainted_regions == 0 and "region" not in str(plain)
