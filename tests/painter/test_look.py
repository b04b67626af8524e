"""The dial: its places, payloads with factors, files of format 1.1."""

import io
from pathlib import Path

import numpy as np
import pytest

import gvcodec
from gvcodec.bitstream import Kind, Reader
from gvcodec.bitstream.header import NEEDS, NEEDS_STRENGTH_FACTORS
from gvcodec.errors import DamagedStreamError, UsageError
from gvcodec.models import PAINTER
from gvcodec.painter.model import Model, Strength
from gvcodec.painter.paint_strength import has_factors, set_payload_strength, with_look
from gvcodec.painter.payload import BASE, IDENTITY, join_strength, split_strength
from gvcodec.painter.video import BOLD, DEFAULT
from tests.conftest import moving_texture
from tests.errors import raises
from tests.networks import read_deltas

FRAMES = moving_texture(96, 64, 10)


def made(**options: object) -> bytes:
    given = {"frame_rate": 25, "q": 45, "preset": 10, "keyint": 5, "threads": 1} | options
    return gvcodec.encode(FRAMES, **given)  # type: ignore[arg-type]


def lumas(data: bytes, **options: object) -> list[np.ndarray]:
    return [planes[0].astype(int) for planes in planes_of(data, **options)]


def planes_of(data: bytes, **options: object) -> list:
    with gvcodec.open(data, **options) as video:
        return [frame.planes for frame in video.decode_range(0, len(video))]


def payloads(data: bytes) -> list[bytes]:
    packets = Reader(io.BytesIO(data)).packets()
    return [packet.payload for packet in packets if packet.kind is Kind.FIT]


def test_places_of_the_dial_go_up_and_the_middle_changes_nothing() -> None:
    places = [with_look(Strength(), look) for look in range(1, BOLD + 1)]
    for parts in ([p.gains for p in places], [p.amplitudes for p in places]):
        assert parts == sorted(parts) and parts[0] < parts[24] < parts[DEFAULT - 1] < parts[-1]
    assert with_look(Strength(), DEFAULT) == Strength() and not has_factors(DEFAULT)
    assert with_look(Strength(), 25).gains == (-8, -8, -8)  # half
    assert with_look(Strength(20, 9), BOLD) == Strength(20, 9, (4, 4, 4), (8, 8, 8))


def test_a_factor_scales_an_output_and_keeps_its_numbers_in_range() -> None:
    head = Model.load(PAINTER.find()).layers["head"]
    for eighths in (-40, -17, -8, -1, 1, 5, 8, 16):
        strong = Strength(gains=(eighths,) * 3, amplitudes=(eighths,) * 3).apply(head)
        before, after = (h.multiplier / 2.0**h.shift for h in (head, strong))
        rows = [0, 1, 2, 6, 7, 8]
        step = 2.0 ** -strong.shift[rows]
        assert (np.abs(after[rows] - before[rows] * 2 ** (eighths / 8)) <= 0.6 * step).all()
        assert strong.multiplier.max() <= 1023 and strong.shift.min() >= 1
        assert np.array_equal(np.delete(after, rows), np.delete(before, rows))
        assert np.array_equal(strong.bias, head.bias)


def test_payloads_with_factors_come_back_and_wrong_ones_are_damaged() -> None:
    for strength in (
        Strength(gains=(1, -2, 3), amplitudes=(-40, 16, 0)),
        Strength(63, 0, (0, 0, 0), (0, 0, 1)),
        Strength(64, 5, (-1, 0, 0), (0, 0, 0)),
    ):
        payload = join_strength(BASE, strength)
        assert split_strength(payload) == (BASE, strength) and read_deltas(payload) == []
        for size in range(1, len(payload)):
            with pytest.raises(DamagedStreamError, match="missing"):
                split_strength(payload[:size])
        for factor in (17, -41 & 255):
            damaged = payload[:-1] + bytes([factor])
            with raises(DamagedStreamError, "fit-payload"):
                split_strength(damaged)
            with pytest.raises(DamagedStreamError, match="factor"):
                read_deltas(damaged)
    assert (
        set_payload_strength(IDENTITY, 70)
        == set_payload_strength(None, 70)
        == set_payload_strength(BASE, 70)
    )
    assert (
        set_payload_strength(set_payload_strength(b"\x14\x20\x07", 70), DEFAULT) == b"\x14\x20\x07"
    )
    assert set_payload_strength(b"\x14\x20\x07", 0) == IDENTITY


@pytest.mark.parametrize("options", [{"low_delay": True}, {}])
def test_the_dial_of_an_encode(options: dict) -> None:
    default = made(**options)
    assert made(look=DEFAULT, **options) == default
    base = lumas(default, fidelity=True)
    own = "enable-restoration=-1:ac-bias=0"
    own_settings = made(**options, encoder_params=own)
    changes = []
    for look in (0, 20, DEFAULT, BOLD):
        data = made(look=look, **options)
        header = Reader(io.BytesIO(data)).header
        assert header.needs == (NEEDS_STRENGTH_FACTORS if has_factors(look) else NEEDS)
        assert data[4:6] == bytes(header.needs)
        assert gvcodec.verify(data).frames == len(FRAMES)
        # What is not painted is coded by the base encoder's own settings.
        expected = base if look else lumas(own_settings, fidelity=True)
        assert all(map(np.array_equal, lumas(data, fidelity=True), expected))
        pairs = zip(lumas(data), expected, strict=True)
        changes.append(sum(np.abs(a - b).sum() for a, b in pairs))
        other = default if look else own_settings
        assert all(map(np.array_equal, lumas(data, look=look), lumas(other, look=look)))
    assert changes[0] == 0 and changes == sorted(set(changes))


def test_what_has_no_dial_is_refused(tmp_path: Path) -> None:
    for options in (
        {"look": 101},
        {"look": -1},
        {"look": 20, "painter": "off"},
    ):
        with pytest.raises(UsageError, match="look"):
            made(**options)
    with raises(UsageError, "format-promise"):
        made(look=70, file_format="1.0")
    assert made(look=DEFAULT, file_format="1.0") and made(look=0, file_format="1.0")
    plain = made(painter="off")
    for data, options in ((plain, {}), (made(), {"fidelity": True})):
        with raises(UsageError, "option-value"):
            gvcodec.open(data, look=30, **options)
    path = tmp_path / "a.gvc"
    path.write_bytes(made())
    done = gvcodec.decode_file(path, tmp_path / "a.y4m", look=30)
    assert "look 30: the file's painted hash is for other pictures" in done.outcome
    with raises(UsageError, "option-value"):
        gvcodec.decode_file(path, tmp_path / "b.y4m", look=101)


def test_joined_streams_keep_their_own_look(tmp_path: Path) -> None:
    parts = [made(), made(look=BOLD), made(look=0), made(look=20)]
    out = io.BytesIO()
    gvcodec.cat(parts, out)
    joined = out.getvalue()
    assert Reader(io.BytesIO(joined)).header.needs == NEEDS_STRENGTH_FACTORS
    wanted = [luma for part in parts for luma in lumas(part)]
    assert all(map(np.array_equal, lumas(joined), wanted))
    out = io.BytesIO()
    gvcodec.cut(joined, out, 0.4, 0.8)
    assert Reader(io.BytesIO(out.getvalue())).header.needs == NEEDS_STRENGTH_FACTORS
    assert all(map(np.array_equal, lumas(out.getvalue()), wanted[10:20]))
