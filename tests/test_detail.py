"""Lent detail: what it does to a picture, how it is chosen and coded, and that streams carry it."""

import io
from collections.abc import Callable
from fractions import Fraction
from pathlib import Path

import numpy as np
import pytest

pytest.importorskip("torch")

from conftest import planes_equal
from gvcodec._core import lend_detail
from hypothesis import given, settings
from hypothesis import strategies as st
from test_cli import gvcodec

from gvcodec import layers
from gvcodec.appearance.coder import Encoder as ValueEncoder
from gvcodec.appearance.detail import Borrower, Distances, choose, lend, pack
from gvcodec.bitstream import LEND_REACH, Kind, Packet, Reader, Salvage, Writer
from gvcodec.decoder import DecodedFrame, Decoder
from gvcodec.encoder import Encoder, EncoderConfig
from gvcodec.errors import DamagedStreamError
from gvcodec.samples import Part
from gvcodec.types import Plane, Planes, VideoFormat

FORMAT = VideoFormat(150, 102, Fraction(25), Fraction(1, 25))
KEYINT = 12


def texture(seed: int, height: int, width: int, scales: int = 3) -> np.ndarray:
    """Noise of several scales, the finest last, 10 bits, float."""
    rng = np.random.default_rng(seed)
    picture = np.full((height, width), 500.0)
    for side, strength in ((32, 120), (8, 40), (2, 8))[:scales]:
        coarse = rng.normal(0, strength, (height // side + 2, width // side + 2))
        rows, columns = np.arange(height) / side, np.arange(width) / side
        across = np.array([np.interp(columns, np.arange(coarse.shape[1]), row) for row in coarse])
        picture += np.array([np.interp(rows, np.arange(coarse.shape[0]), column) for column in across.T]).T
    return picture


def low_passed(picture: np.ndarray) -> np.ndarray:
    """A Gaussian of 1.5 samples, edges repeated."""
    taps = np.exp(-0.5 * (np.arange(-5, 6) / 1.5) ** 2)
    taps /= taps.sum()
    for axis in (0, 1):
        edges = [(5, 5) if a == axis else (0, 0) for a in (0, 1)]
        picture = np.apply_along_axis(np.convolve, axis, np.pad(picture, edges, mode="edge"), taps, "valid")
    return picture


def plane(picture: np.ndarray) -> Plane:
    return np.ascontiguousarray(picture.round().clip(0, 1023).astype(np.uint16))


@pytest.mark.parametrize(("height", "width"), [(1, 1), (9, 70), (70, 9), (140, 67)])
def test_the_filter_is_what_the_text_says(height: int, width: int) -> None:
    luma, moved = (plane(texture(seed, height, width) + 30 * seed) for seed in (1, 2))
    moved = (luma * 0.9 + moved * 0.1).astype(np.uint16)
    difference = moved.astype(float) - luma
    low = low_passed(difference)
    wanted = luma + np.exp(-((low_passed(np.abs(low)) / 8) ** 2)) * (difference - low)
    assert np.abs(lend_detail(luma, moved, 2) - wanted.clip(0, 1023)).max() <= 0.51


def test_a_better_frame_elsewhere_gives_its_detail() -> None:
    scene, smooth = texture(3, 160, 220), texture(3, 160, 220, scales=2)
    sharp, dull, better = scene[20:130, 30:190], plane(smooth[20:130, 30:190]), plane(scene[17:127, 37:197])
    lent = lend(dull, better)
    before, after = (np.abs(p - sharp)[16:-16, 16:-16].mean() for p in (dull, lent))
    assert after < 0.7 * before
    assert np.array_equal(lent, lend(dull, better, threads=3))
    stranger = plane(texture(9, 110, 160) + 200)
    assert np.abs(lend(dull, stranger).astype(float) - dull).mean() < 0.2 * before


def test_the_best_frame_in_reach_is_chosen() -> None:
    assert choose([30, 30.5, 30, 30.6], 0) == 0, "none is clearly better"
    assert choose([30, 31, 30, 33], 0) == 3 and choose([30, 31, 30, 33], 2) == 1
    assert choose([33, 30, 33.2], 1) == 1 and choose([33, 30, 30, 33.1], 1) == -1, "distance counts"
    assert choose([33, 30, 33.2], 1, behind=True) == -1
    assert choose([30] * 9 + [40], 0) == 0 and choose([30] * 8 + [40], 0) == 8, "out of reach"
    assert choose([30, float("inf")], 0) == 1 and choose([float("inf")] * 2, 1) == 0


@given(st.lists(st.integers(-LEND_REACH, LEND_REACH), max_size=60))
def test_distances_come_back(distances: list[int]) -> None:
    reader = Distances(pack(distances))
    assert [reader.next() for _ in distances] == distances


def test_what_repeats_costs_next_to_nothing() -> None:
    """A pattern as of a hierarchy of eight frames."""
    pattern = [8 - n % 8 if n % 8 else 0 for n in range(96)]
    assert len(pack(pattern)) <= 20


@given(st.binary(max_size=40))
def test_any_bytes_give_distances_in_reach_or_an_error(payload: bytes) -> None:
    try:
        reader = Distances(payload)
        for _ in range(2000):
            assert abs(reader.next()) <= LEND_REACH
    except DamagedStreamError:
        pass


@given(
    st.lists(st.tuples(st.integers(60, 80), st.booleans()), min_size=1, max_size=70),
    st.booleans(),
)
@settings(max_examples=60, deadline=None)
def test_choosing_on_the_way_is_choosing_with_all_known(frames: list[tuple[int, bool]], behind: bool) -> None:
    borrower = Borrower(behind)
    planes = [np.full((1, 1), n, np.uint16) for n in range(len(frames))]
    begins = [n == 0 or begin for n, (_, begin) in enumerate(frames)]
    loans = []
    for luma, (half, _), first in zip(planes, frames, begins, strict=True):
        loans += borrower.send(luma, half / 2, first)
    loans += borrower.flush()
    assert [loan.number for loan in loans] == list(range(len(frames)))
    starts = [n for n, first in enumerate(begins) if first]
    for start, end in zip(starts, [*starts[1:], len(frames)], strict=True):
        qualities = [half / 2 for half, _ in frames[start:end]]
        wanted = [choose(qualities, place, behind) for place in range(end - start)]
        for place, distance in enumerate(wanted):
            better = loans[start + place].better
            assert (better is None and not distance) or better is planes[start + place + distance]
        assert (start in borrower.payloads) == any(wanted)
        if any(wanted):
            reader = Distances(borrower.payloads[start])
            last = max(place for place, distance in enumerate(wanted) if distance)
            assert [reader.next() for _ in wanted[: last + 1]] == wanted[: last + 1]


def moving(frames: int) -> list[Planes]:
    """A texture that moves under a camera, noisier in two frames of three: these are coded worse."""
    rng = np.random.default_rng(6)
    scene = texture(5, FORMAT.height + 2 * frames, FORMAT.width + 3 * frames)
    half = np.full((FORMAT.height // 2, FORMAT.width // 2), 512, np.uint16)
    windows = (scene[2 * t : 2 * t + FORMAT.height, 3 * t : 3 * t + FORMAT.width] for t in range(frames))
    noisy = (window + rng.normal(0, 12, window.shape) * (t % 3 > 0) for t, window in enumerate(windows))
    return [(plane(window) >> 2 << 2, half, half) for window in noisy]


Coded = tuple[bytes, list[Part]]


@pytest.fixture
def coded(monkeypatch: pytest.MonkeyPatch) -> Callable[..., Coded]:
    """Encodes with lent detail, whatever it is worth, and without tuning; gives the file and the parts that tuning got."""

    def encode(base: str, **options: object) -> Coded:
        asked: list[Part] = []

        def tune(parts: list[Part], *rest: object) -> tuple[dict[int, bytes], set[int], str]:
            asked.extend(parts)
            return {}, {part.first for part in parts}, ""

        monkeypatch.setattr(layers, "tune", tune)
        options = {"lend": True, **options}
        config = EncoderConfig(q=46, base=base, keyint=KEYINT, threads=1, **options)  # type: ignore[arg-type]
        return stream(Encoder(FORMAT, config)), asked

    return encode


def same(left: list[Planes], right: list[Planes]) -> bool:
    return len(left) == len(right) and all(map(planes_equal, left, right))


def stream(encoder: Encoder) -> bytes:
    file = io.BytesIO()
    writer = Writer(file, encoder.header)
    for planes in moving(30):
        encoder.send_frame(planes)
    encoder.flush()
    while (packet := encoder.receive_packet()) is not None:
        writer.write(packet)
    writer.finish(encoder.loop_hash)
    return file.getvalue()


def decoded(data: bytes, fidelity: bool = False) -> list[DecodedFrame]:
    reader = Reader(io.BytesIO(data))
    decoder = Decoder(reader.header, fidelity, threads=1)
    return list(decoder.frames_of(reader.packets()))


def by_hand(data: bytes) -> list[Planes]:
    """Painted frames from loop frames and what the packets say."""
    header = Reader(io.BytesIO(data)).header
    loops, first, shown = [frame.planes for frame in decoded(data, fidelity=True)], 0, []
    details: dict[int, bytes] = {}
    starts = []
    for packet in Reader(io.BytesIO(data)).packets():
        if packet.kind is Kind.DETAIL:
            details[first] = packet.payload
        starts += [first] * (packet.kind is Kind.KEY)
        first += packet.is_frame
    painter = layers.painter(header, 1)
    for start, end in zip(starts, [*starts[1:], len(loops)], strict=True):
        painter.start_gop(None)
        reader = Distances(details[start]) if start in details else None
        for number in range(start, end):
            distance = reader.next() if reader else 0
            shown.append(painter.paint(loops[number], None, loops[number + distance][0] if distance else None))
    return shown


@pytest.mark.parametrize(("base", "low_delay"), [("av1", False), ("av1", True), ("hevc", False), ("vvc", False)])
def test_streams_carry_it(coded: Callable[..., Coded], base: str, low_delay: bool) -> None:
    data, parts = coded(base, low_delay=low_delay)
    kinds = [packet.kind for packet in Reader(io.BytesIO(data)).packets()]
    assert Kind.DETAIL in kinds and Kind.DETAIL not in [
        packet.kind for packet in Reader(io.BytesIO(coded(base, low_delay=low_delay, lend=False)[0])).packets()
    ]
    shown = decoded(data)
    assert same([frame.planes for frame in shown], by_hand(data))
    changed = [a for a, b in zip(shown, decoded(data, True), strict=True) if not np.array_equal(a.loop[0], b.planes[0])]
    assert not changed, "the loop stays as it is"
    # Tuning sees the frames of its runs as they will be painted.
    lent = [loop[0] for part in parts for run in part.lent for loop, _ in run]
    plain = [loop[0] for part in parts for run in part.samples for loop, _ in run]
    assert len(lent) == len(plain) and any(not np.array_equal(a, b) for a, b in zip(lent, plain, strict=True))
    first, packets = Reader(io.BytesIO(data)).seek(17)
    decoder = Decoder(Reader(io.BytesIO(data)).header, threads=1)
    decoder.restart(first)
    assert first and same([frame.planes for frame in decoder.frames_of(packets)], [f.planes for f in shown[first:]])


def test_a_later_pass_takes_over_what_was_found(coded: Callable[..., Coded]) -> None:
    data, _ = coded("av1")
    details: dict[int, bytes] = {}
    frame = 0
    for packet in Reader(io.BytesIO(data)).packets():
        if packet.kind is Kind.DETAIL:
            details[frame] = packet.payload
        frame += packet.is_frame
    config = EncoderConfig(q=46, keyint=KEYINT, threads=1, tune=0)
    assert details and stream(Encoder(FORMAT, config, tuned={}, detail=details)) == data


def test_streams_with_it_are_cut_and_joined(coded: Callable[..., Coded], tmp_path: Path) -> None:
    (tmp_path / "a.bin").write_bytes(coded("av1")[0])
    gvcodec("cut", tmp_path / "a.bin", tmp_path / "1.bin", "--to", "0.4")
    gvcodec("cut", tmp_path / "a.bin", tmp_path / "2.bin", "--from", "0.5")
    gvcodec("cat", tmp_path / "1.bin", tmp_path / "2.bin", "-o", tmp_path / "b.bin")
    assert (tmp_path / "b.bin").read_bytes() == (tmp_path / "a.bin").read_bytes()


def rewritten(data: bytes, change: Callable[[Packet], list[Packet]]) -> bytes:
    file, reader = io.BytesIO(), Reader(io.BytesIO(data))
    writer = Writer(file, reader.header)
    for packet in reader.packets():
        for other in change(packet):
            writer.write(other)
    assert reader.loop_hash is not None
    writer.finish(reader.loop_hash)
    return file.getvalue()


def test_a_packet_that_is_wrong_costs_its_detail_only(coded: Callable[..., Coded]) -> None:
    data, _ = coded("av1")
    whole = [frame.planes for frame in decoded(data)]
    far = ValueEncoder()
    far.put(LEND_REACH + 1)
    for payload in (far.finish(), b"\xff" * 3):
        broken = rewritten(data, lambda p, b=payload: [Packet(p.kind, b) if p.kind is Kind.DETAIL else p])  # type: ignore[misc]
        with pytest.raises(DamagedStreamError, match="lent detail|coded value"):
            decoded(broken)
        decoder = Decoder(Reader(io.BytesIO(broken)).header, threads=1)
        frames = [frame.planes for frame in decoder.frames_despite(Salvage(io.BytesIO(broken)))]
        assert len(frames) == len(whole) and decoder.losses and not decoder.concealed
        assert same(frames, [f.planes for f in decoded(rewritten(data, without))])


def without(packet: Packet) -> list[Packet]:
    return [] if packet.kind is Kind.DETAIL else [packet]


def test_nothing_is_lent_from_beyond_the_gop(coded: Callable[..., Coded]) -> None:
    data, _ = coded("av1")
    everywhere = {reach: pack([reach] * KEYINT) for reach in (LEND_REACH, -LEND_REACH)}
    for reach, payload in everywhere.items():
        changed = rewritten(data, lambda p, b=payload: [Packet(p.kind, b) if p.kind is Kind.DETAIL else p])  # type: ignore[misc]
        shown, reader = decoded(changed), Reader(io.BytesIO(changed))
        first, packets = reader.seek(KEYINT)
        decoder = Decoder(reader.header, threads=1)
        decoder.restart(first)
        assert first == KEYINT and len(shown) == 30
        alone = [frame.planes for frame in decoder.frames_of(packets)]
        assert same(alone, [frame.planes for frame in shown[KEYINT:]]), reach


def test_it_has_its_place_in_the_order(coded: Callable[..., Coded]) -> None:
    data, _ = coded("av1")
    frames = (n for n, packet in enumerate(Reader(io.BytesIO(data)).packets()) if packet.kind is Kind.INTER)
    third, count = list(frames)[2], iter(range(1000))
    # The writer holds it back until the next frame packet, so it lands inside the GOP.
    inside = rewritten(data, lambda p: [Packet(Kind.DETAIL, b""), p] if next(count) == third else [p])
    with pytest.raises(DamagedStreamError, match="detail inside a GOP"):
        list(Reader(io.BytesIO(inside)).packets())
    writer = Writer(io.BytesIO(), Reader(io.BytesIO(data)).header)
    writer.write(Packet(Kind.DETAIL, b""))
    with pytest.raises(ValueError, match="detail"):
        writer.finish(bytes(8))
