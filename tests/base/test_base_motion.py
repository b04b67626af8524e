"""Base motion: integers from end to end, with the shipped network or a random one."""

from __future__ import annotations

import dataclasses
import io
from fractions import Fraction
from functools import partial
from typing import Any

import numpy as np
import pytest

from conformance.decoder.header import Header
from conformance.decoder.motion import Frame, MotionBase
from gvcodec import _core, models
from gvcodec._core import TREE_BACK, TREE_LEVELS, TREE_SIDE, TREE_VALUES, MotionFrame
from gvcodec.api.frames import decode_planes, encode
from gvcodec.base import CodedFrame
from gvcodec.base.motion import checkpoint, payload
from gvcodec.base.motion.decoder import MotionDecoder
from gvcodec.base.motion.drift import Drift
from gvcodec.base.motion.encoder import MotionEncoder
from gvcodec.base.motion.payload import REFRESH, WAITING, Entropy, MotionStatistics, Times
from gvcodec.bitstream import Kind, Reader
from gvcodec.entropy.network import Layer
from gvcodec.errors import (
    DamagedStreamError,
    FormatVersionError,
    MediaError,
    UsageError,
    WrongModelError,
)
from gvcodec.models import MOTION
from gvcodec.types import Planes, VideoFormat
from tests.conftest import clips_equal, planes_equal, run
from tests.networks import make_layers

FORMAT = VideoFormat(290, 120, Fraction(25), Fraction(1, 25))
SOURCES = payload._SOURCES


def clip(frames: int, width: int = 290, height: int = 120) -> list[Planes]:
    """A texture that moves by two pixels a frame, before a ground that stands still."""
    rng = np.random.default_rng(5)
    whole = rng.integers(100, 900, (height // 4 + 2, width // 4 + 80)).repeat(4, 0).repeat(4, 1)
    ground = rng.integers(100, 900, (height // 8 + 2, width // 8 + 2)).repeat(8, 0).repeat(8, 1)
    made = []
    for i in range(frames):
        luma = whole[:height, 2 * i : 2 * i + width].copy()
        luma[: height // 2, : width // 3] = ground[: height // 2, : width // 3]
        half = luma[::2, ::2]
        made.append(tuple(np.ascontiguousarray(p, np.uint16) for p in (luma, half, 1023 - half)))
    return made  # type: ignore[return-value]


def random_picture(rng: np.random.Generator, width: int, height: int) -> Planes:
    sizes = ((height, width), *[((height + 1) // 2, (width + 1) // 2)] * 2)
    return tuple(rng.integers(0, 1024, size).astype(np.uint16) for size in sizes)  # type: ignore[return-value]


def random_values(rng: np.random.Generator, windows: int, most: int) -> np.ndarray:
    values = rng.integers(-most, most + 1, (windows, TREE_VALUES)).astype(np.int16)
    values[:, SOURCES] = rng.integers(0, 3, (windows, 16))
    return values


def network(seed: int = 1) -> list[Layer]:
    """Tables of random deviations, not too wide."""
    layers = make_layers(np.random.default_rng(seed), [TREE_SIDE + TREE_BACK, 8, 3])
    return [layers[0], layers[1]._replace(low=0, high=30)]


# Frames


@pytest.mark.usefixtures("form")
@pytest.mark.parametrize(("width", "height"), [(265, 9), (34, 21)])
def test_frames_are_those_of_the_second_decoder(width: int, height: int) -> None:
    """Whatever the steps are: small, none in a window, as long as they can be."""
    rng = np.random.default_rng(width)
    pictures = [random_picture(rng, width, height) for _ in range(2)]
    near, far = (MotionFrame.still(*planes, i) for i, planes in enumerate(pictures))
    other = MotionBase(Header(width=width, height=height), None)  # type: ignore[arg-type]
    other.a, other.b = pictures
    other_near, other_far = other._picture(0), other._picture(1)
    seen: set[int] = set()
    for most, levels, times in (
        (2, (5, 5), (-1, 3)),
        (9, (5, 0), (2, -1)),
        (127, (5, 5), (-1, 15)),
    ):
        values, given = (
            random_values(rng, near.windows, most),
            np.array(levels[: near.windows], np.uint8),
        )
        values[:, SOURCES] = np.arange(16) % 3  # each along the upper edge
        near = MotionFrame.follow(near, far, *times, values, given, 2)
        cells = other._cells(values.astype(int), given, other_near, other_far, times)
        other_near = Frame(*[np.empty(0)] * 2, -1, *cells, [])
        samples = [other._samples(other_near, i) for i in range(3)]
        comes, place = near.places()
        for p, origin in enumerate(other_near.origin):
            assert np.array_equal(comes >> p & 1, origin)
            assert np.array_equal(place[p][origin], other_near.place[p][origin])
        assert planes_equal(near.planes(), samples)
        seen |= {int(x) for x in np.unique(comes)}
    assert seen == {1, 2, 3} or width < 256


def test_longest_steps_again_and_again_stay_inside() -> None:
    """Places are clamped, so filters read inside the margins (run with sanitizers in CI)."""
    rng = np.random.default_rng(2)
    frame = MotionFrame.still(*random_picture(rng, 70, 50))
    far = MotionFrame.still(*random_picture(rng, 70, 50), 1)
    for sign in (1, 1, 1, -1, -1, -1, -1):
        values = np.full((1, TREE_VALUES), 127 * sign, np.int16)
        values[:, SOURCES] = rng.integers(0, 3, 16)
        frame = MotionFrame.follow(frame, far, 1, -64, values, np.array([5], np.uint8))
        comes, place = frame.places()
        rows, columns = np.mgrid[: comes.shape[0], : comes.shape[1]] * 16
        for p in range(2):
            there = (comes >> p & 1) > 0
            x, y = (place[p, ..., 0] + columns)[there], (place[p, ..., 1] + rows)[there]
            assert not there.any() or (-64 <= min(x.min(), y.min()) and x.max() <= 4 * 86)


def test_search_finds_motion_in_parts_and_charges_for_it() -> None:
    rng = np.random.default_rng(3)
    whole = rng.integers(0, 1024, (80, 80)).repeat(4, 0).repeat(4, 1).astype(np.uint16)
    before = whole[32:288, 32:288]
    now = before.copy()
    now[:, 128:] = whole[30:286, 166:294]
    now[192:, :64] = whole[224:288, 28:92]
    grey = np.full((128, 128), 512, np.uint16)
    near, source = (MotionFrame.still(np.ascontiguousarray(x), grey, grey) for x in (before, now))
    most = np.array([TREE_LEVELS], np.uint8)
    values, levels, bits = _core.tree_search(source, near, None, -1, 0, 300, most)
    frame = MotionFrame.follow(near, None, -1, 0, values, levels)
    place = frame.places()[1][0]
    assert (place[4:-4, 36:-4] == (24, -8)).all()  # quarter samples
    assert (place[52:60, 4:12] == (-16, 0)).all()
    assert (place[4:44, 4:28] == 0).all()
    assert (values != 0).sum() < 30 and 20 < bits[0] < 400
    dear = _core.tree_search(source, near, None, -1, 0, 1 << 20, most)[0]
    assert not dear.any()


def test_search_takes_what_is_uncovered_from_behind() -> None:
    """The left part is seen in the frame after alone, the right one in the frame before."""
    rng = np.random.default_rng(4)
    grey = np.full((128, 128), 512, np.uint16)
    now, one, other = (rng.integers(0, 1024, (256, 256)).astype(np.uint16) for _ in range(3))
    one[:, 128:], other[:, :128] = now[:, 128:], now[:, :128]
    source, near = (MotionFrame.still(x, grey, grey) for x in (now, one))
    far = MotionFrame.still(other, grey, grey, 1)
    most = np.array([TREE_LEVELS], np.uint8)
    values, levels, _ = _core.tree_search(source, near, far, -1, 1, 300, most)
    comes = MotionFrame.follow(near, far, -1, 1, values, levels).places()[0]
    assert (comes[:, :32] == 2).all() and (comes[:, 32:] == 1).all()


@pytest.mark.parametrize(
    ("change", "text"),
    [
        ({"values": np.full((2, TREE_VALUES), 128, np.int16)}, "-127"),
        ({"values": np.full((2, TREE_VALUES), -1, np.int16)}, "sources"),
        ({"values": np.zeros((1, TREE_VALUES), np.int16)}, "each window"),
        ({"levels": np.array([6, 0], np.uint8)}, "levels"),
        ({"near_time": 0}, "times"),
        ({"far_time": 2}, "far"),
    ],
)
def test_impossible_frames_are_refused(change: dict[str, Any], text: str) -> None:
    near = MotionFrame.still(*clip(1)[0])
    given = {"near_time": -1, "far_time": 0, "levels": np.array([5, 5], np.uint8)}
    given |= {"values": np.zeros((2, TREE_VALUES), np.int16)} | change
    with pytest.raises(ValueError, match=text):
        MotionFrame.follow(near, None, **given)


# Payloads


@pytest.mark.parametrize("backend", ["cpu", "emulated"])
@pytest.mark.parametrize("levels", [[5, 5, 5], [0, 5, 0], [2, 0, 4], [1, 1, 0]])
def test_payloads_come_back(levels: list[int], backend: Any) -> None:
    """Coded here, decoded by the code of the device too, with both orders of references."""
    rng = np.random.default_rng(1)
    one, other = Entropy(network(), 3, 2), Entropy(network(), 3, 2, backend)
    given = np.array(levels, np.uint8)
    memory, remembered = MotionStatistics.empty(3), MotionStatistics.empty(3)
    for times in (Times(-1, 0), Times(-1, 4), Times(2, -1)):
        values = np.round(rng.laplace(0, 3, (3, TREE_VALUES))).clip(-127, 127).astype(np.int16)
        values[:, SOURCES] = rng.integers(0, 3, (3, 16)) * (times.far != 0)
        for window, level in enumerate(levels):
            if level < 5:
                values[window, 2 * (2**level - 1) :] = 0
        coded = one.encode(values, given, memory, times)
        found, there = other.decode(coded, remembered, times)
        assert np.array_equal(found, values) and np.array_equal(there, given)
        memory, remembered = (m.after(values, given, times) for m in (memory, remembered))


def test_many_windows_are_several_packets() -> None:
    rng = np.random.default_rng(7)
    coder = Entropy(network(), 35, 7)
    values = rng.integers(-2, 3, (35, TREE_VALUES)).astype(np.int16)
    values[:, SOURCES] = 1
    levels = np.full(35, 5, np.uint8)
    rows = coder.rows(levels, MotionStatistics.empty(35), Times(-1, 1))
    assert [len(row.places) for row in rows] == [
        16 * TREE_VALUES, 16 * TREE_VALUES, 3 * TREE_VALUES
    ]  # fmt: skip
    coded = coder.encode(values, levels, MotionStatistics.empty(35), Times(-1, 1))
    assert np.array_equal(coder.decode(coded, MotionStatistics.empty(35), Times(-1, 1))[0], values)


def test_a_memory_seen_from_the_other_end_of_time_is_turned() -> None:
    values = random_values(np.random.default_rng(9), 2, 9)
    memory = MotionStatistics.empty(2).after(values, np.array([5, 0], np.uint8), Times(-1, 0))
    turned = memory.look_up(Times(3, -1))
    assert np.array_equal(turned[:, SOURCES], memory.values[:, SOURCES])
    steps = np.setdiff1d(np.arange(TREE_VALUES), SOURCES)
    assert np.array_equal(turned[:, steps], -memory.values[:, steps])
    assert memory.values[0].any() and not memory.values[1].any()


@pytest.mark.parametrize(
    ("data", "what"),
    [
        (b"\xff", "impossible levels"),
        (b"\x80\2\xff\xff", "impossible levels"),
        (b"\x45\xff", "impossible levels"),
        (b"\1" + b"\xff" * 40, "no encoder makes"),
    ],
)
def test_made_up_payloads_are_refused(data: bytes, what: str) -> None:
    with pytest.raises(DamagedStreamError, match=what):
        Entropy(network(), 5, 3).decode(data, MotionStatistics.empty(5), Times(-1, 2))


@pytest.mark.parametrize("count", range(18))
def test_every_frame_has_reference_frames_that_are_there(count: int) -> None:
    known = {0, count + 1}
    for turn in payload.schedule(count):
        assert turn.near in known and turn.far in known and abs(turn.near - turn.frame) == 1
        assert min(turn.near, turn.far) < turn.frame < max(turn.near, turn.far)
        known.add(turn.frame)
    assert known == set(range(count + 2))


# Encoder and decoder


def test_file_decodes_to_what_the_encoder_saw() -> None:
    data = encode(clip(5), format=FORMAT, base="motion", fit=0, q=40, keyint=3)
    kinds = [p.kind for p in Reader(io.BytesIO(data)).packets() if p.is_frame]
    assert kinds == [Kind.KEY, Kind.INTER, Kind.INTER, Kind.KEY, Kind.INTER]
    frames = list(decode_planes(data))  # checks the base hash
    assert len(frames) == 5 and frames[4][0].shape == (120, 290) and frames[4][1].shape == (60, 145)
    later = list(decode_planes(data, start=3))
    assert clips_equal(frames[3:], later)


@pytest.mark.usefixtures("form")
def test_same_file_and_frames_with_any_threads_and_form() -> None:
    one, two = (
        encode(clip(6), format=FORMAT, base="motion", fit=0, q=35, threads=n) for n in (1, 2)
    )
    assert one == two
    kept = test_same_file_and_frames_with_any_threads_and_form.__dict__
    assert kept.setdefault("first", one) == one
    for threads in (1, 2):
        assert len(list(decode_planes(one, threads=threads))) == 6


@pytest.mark.parametrize(
    ("options", "scale"),
    [({"q": 40, "scale": Fraction(1, 2)}, "1/2"), ({"q": 64}, "3/4"), ({"q": 67}, "1/2")],
)
def test_smaller_pictures_are_coded_where_that_is_asked_or_pays(
    options: dict[str, Any], scale: str
) -> None:
    """Of an odd size too; seeking finds the same frames."""
    form = dataclasses.replace(FORMAT, width=289, height=119)
    data = encode(clip(5, 289, 119), format=form, base="motion", fit=0, keyint=3, **options)
    header = Reader(io.BytesIO(data)).header
    assert header.scale == Fraction(scale) and header.q <= 63
    frames = list(decode_planes(data))
    assert len(frames) == 5 and {f[0].shape for f in frames} == {(119, 289)}
    assert {f[1].shape for f in frames} == {(60, 145)}
    later = list(decode_planes(data, start=4))
    assert planes_equal(frames[4], later[0])
    rest = data[len(header.pack()) :]
    for other in {Fraction(1), Fraction(3, 4), Fraction(1, 2)} - {header.scale}:
        with pytest.raises(DamagedStreamError, match="header promises"):
            list(decode_planes(dataclasses.replace(header, scale=other).pack() + rest))


def test_other_options_and_missing_models_are_refused(tmp_path, monkeypatch) -> None:
    for options in ({"q": 74}, {"scale": Fraction(1, 2), "q": 64}, {"preset": 3}, {"eye": True}):
        with pytest.raises(UsageError):
            encode(clip(1), format=FORMAT, base="motion", fit=0, **options)
    other = tmp_path / MOTION.name
    checkpoint.write_network(other, network())
    with monkeypatch.context() as patch:
        patch.setattr(models, "shipped_folders", lambda: [tmp_path])
        patch.setenv("GVCODEC_MODELS", str(tmp_path))
        data = encode(clip(1), format=FORMAT, base="motion", fit=0)
    with pytest.raises(WrongModelError):
        list(decode_planes(data))
    monkeypatch.setattr(models, "shipped_folders", lambda: [tmp_path / "none"])
    with pytest.raises(WrongModelError, match="the model of base motion is missing"):
        encode(clip(1), format=FORMAT, base="motion", fit=0)


def test_damaged_model_files_are_refused(tmp_path) -> None:
    whole = MOTION.find().read_bytes()
    path = tmp_path / "m.safetensors"
    older = whole.replace(b'"form":"3"', b'"form":"2"')
    checkpoint.write_network(path, make_layers(np.random.default_rng(1), [7, 3]))
    small = path.read_bytes()
    for data in (b"", whole[:1000], small):
        path.write_bytes(data)
        with pytest.raises(MediaError, match="not a model of base motion"):
            checkpoint.read_network(path)
    assert older != whole
    path.write_bytes(older)
    with pytest.raises(FormatVersionError, match="a model of base motion of form '2'"):
        checkpoint.read_network(path)


def coded(frames: int, **options: Any) -> tuple[list[CodedFrame], list[Planes]]:
    encoder = MotionEncoder(FORMAT, 30, threads=1, **options)
    parts = [*map(encoder.send, clip(frames)), encoder.flush()]
    return [p for x in parts for p in x.packets], [
        base_frame for x in parts for base_frame in x.base_frames
    ]


def decoder() -> MotionDecoder:
    return MotionDecoder(FORMAT, 1, MOTION.find())


@pytest.fixture(scope="module")
def both_sides() -> tuple[list[CodedFrame], list[Planes]]:
    """Packets with frames that wait for a refresh."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("gvcodec.base.motion.encoder._REFRESH_PRICE", 1e-6)
        packets, base_frames = coded(40, keyint=0)
    assert any(packet.payload.startswith(WAITING) for packet in packets)
    return packets, base_frames


def test_frames_come_with_their_refresh_as_they_are_shown(
    both_sides: tuple[list[CodedFrame], list[Planes]],
) -> None:
    packets, base_frames = both_sides
    one = decoder()
    given = [one.send(packet.payload, packet.keyframe) for packet in packets]
    kinds = [packet.payload[:1] for packet in packets]
    turn = kinds.index(WAITING)
    refresh = kinds.index(REFRESH, turn)
    assert [len(x) for x in given[turn:refresh]] == [0] * (refresh - turn)
    assert len(given[refresh]) == refresh - turn + 1
    shown = [planes for x in given for planes in x] + one.flush()
    assert clips_equal(shown, base_frames)


def test_frames_between_two_pictures_come_from_both(
    both_sides: tuple[list[CodedFrame], list[Planes]], monkeypatch
) -> None:
    seen = set()
    follow = MotionFrame.follow

    class Watched:
        still = MotionFrame.still

        @staticmethod
        def follow(*given: Any) -> MotionFrame:
            frame = follow(*given)
            seen.update(np.unique(frame.places()[0]))
            return frame

    monkeypatch.setattr("gvcodec.base.motion.decoder.MotionFrame", Watched)
    one = decoder()
    for packet in both_sides[0]:
        one.send(packet.payload, packet.keyframe)
    assert {1, 2} <= seen


def test_waiting_frames_without_a_refresh_repeat_the_frame_before(
    both_sides: tuple[list[CodedFrame], list[Planes]],
) -> None:
    packets, base_frames = both_sides
    turn = next(i for i, packet in enumerate(packets) if packet.payload.startswith(WAITING))

    def stopped() -> MotionDecoder:
        one = decoder()
        for packet in packets[: turn + 1]:
            one.send(packet.payload, packet.keyframe)
        return one

    one = stopped()
    one.send(b"", False)
    assert all(planes_equal(planes, base_frames[turn - 1]) for planes in one.flush())
    shown = stopped().send(packets[0].payload, True)
    assert len(shown) == 2 and planes_equal(shown[1], base_frames[0])
    one = stopped()
    assert not one.abandon() and len(one.send(packets[0].payload, True)) == 1
    one = stopped()
    for _ in range(payload.MOST_WAITING - 1):
        assert not one.send(b"", False)
    with pytest.raises(DamagedStreamError, match="wait"):
        one.send(b"", False)


def test_a_file_whose_frames_wait(tmp_path, monkeypatch) -> None:
    """Seeking into them, cutting in front of them, and losing their refresh."""
    monkeypatch.setattr("gvcodec.base.motion.encoder._REFRESH_PRICE", 1e-6)
    data = encode(clip(40), format=FORMAT, base="motion", fit=0, q=30, keyint=20)
    payloads = [p.payload for p in Reader(io.BytesIO(data)).packets() if p.is_frame]
    turns = [i for i, one in enumerate(payloads) if one.startswith(WAITING)]
    assert turns and turns[-1] > 20
    frames = list(decode_planes(data))
    assert len(frames) == 40
    later = list(decode_planes(data, start=turns[-1]))
    assert planes_equal(frames[turns[-1]], later[0])
    whole, part, both, mended = (tmp_path / f"{x}.bin" for x in ("whole", "part", "both", "mended"))
    whole.write_bytes(data)
    run("cut", whole, part, "--from", "0.8")
    run("cat", part, whole, "-o", both)
    assert [len(list(decode_planes(path.read_bytes()))) for path in (part, both)] == [20, 60]
    fresh = payloads.index(next(one for one in payloads if one.startswith(REFRESH)))
    place = data.index(payloads[fresh])
    whole.write_bytes(data[: place + 3] + bytes([data[place + 3] ^ 1]) + data[place + 4 :])
    run("repair", whole, mended)
    assert len(list(decode_planes(mended.read_bytes()))) == fresh + 20


def test_low_delay_waits_for_nothing() -> None:
    encoder = MotionEncoder(FORMAT, 30, threads=1, ahead=0)
    one = decoder()
    for planes in clip(12):
        (packet,) = encoder.send(planes).packets
        assert len(one.send(packet.payload, packet.keyframe)) == 1


def test_a_refresh_that_is_none_is_refused(
    both_sides: tuple[list[CodedFrame], list[Planes]],
) -> None:
    packets, _ = both_sides
    fresh = next(packet.payload for packet in packets if packet.payload.startswith(REFRESH))
    for bad in (fresh[:1], fresh[:9], REFRESH + packets[0].payload[1:9], fresh[:1] + bytes(50)):
        one = decoder()
        with pytest.raises(DamagedStreamError):
            one.send(bad, False)
        one.send(packets[0].payload, True)
        with pytest.raises(DamagedStreamError):
            one.send(bad, False)


# When a refresh pays


@pytest.mark.parametrize("rise", [0.1, 0.7, 3.0])
def test_refreshes_come_where_frames_cost_least_on_the_mean(rise: float) -> None:
    """Pictures that are further from the source by `rise` with each frame, after a keyframe of
    4,000 bytes."""
    sizes = [4000, *[20] * 199]
    off = [round(2 + rise * i) for i in range(200)]
    drift, ends = Drift(0.1), []
    for far, size in zip(off, sizes, strict=True):
        drift.add(far, size)
        ends.append(drift.refresh_in(1000, 1) == 1)
    costs = np.array([far + 0.1 * size for far, size in zip(off, sizes, strict=True)])
    mean = np.cumsum(costs) / np.arange(1, 201)
    best = int(mean.argmin())
    found = ends.index(True) if any(ends) else 199
    assert found <= best + 1 + 1 / rise
    assert mean[found] < 1.01 * mean[best]
    assert not any(ends[: best // 2])


@pytest.mark.parametrize(
    ("frames", "known", "place"),
    [(1, 17, 0), (2, 17, 0), (3, 17, 2), (10, 17, 5), (1000, 17, 9), (1000, 4, 4), (1000, 1, 1)],
)
def test_a_refresh_lies_between_frames_that_drift(frames: int, known: int, place: int) -> None:
    """Eight frames have drifted evenly; as many would do so on its other side if there is room."""
    drift = Drift(0.1)
    for i in range(9):
        drift.add(4 * i, 10 if i else 700)
    assert drift.refresh_in(frames, known) == place


# Training of the entropy network


def test_the_shipped_network_uses_what_it_sees(tmp_path) -> None:
    """Values and frames before, zeroed or taken from elsewhere, cost bits; so does a network that
    sees nothing."""
    torch = pytest.importorskip("torch")
    from training import integer_network
    from training import motion as training

    collector = training.Collector()
    encoder = MotionEncoder(FORMAT, 40, 0, 1, trace=collector)
    for planes in clip(24):
        encoder.send(planes)
    encoder.flush()
    for number in range(40):
        name = f"clip{number}"
        if integer_network.held_out(name):
            break
    collector.write(tmp_path / f"{name}.npz")
    material = training.load(tmp_path, True)
    network = checkpoint.read_network(MOTION.find())
    whole = integer_network.bits_a_window(network, material)
    for part, least in ((training.BACK, 1.05), (training.MEMORY, 1.05)):
        for change in (integer_network.without(part), integer_network.shuffle_inputs(part)):
            assert integer_network.bits_a_window(network, material, change) > least * whole
    blind = [layer._replace(weight=0 * layer.weight) for layer in network]
    assert integer_network.bits_a_window(blind, material) > 1.3 * whole
    with pytest.raises(UsageError):
        training.load(tmp_path, False)
    assert torch.get_num_threads() >= 1


def test_training_lowers_bits_and_its_integers_agree_with_the_twin(tmp_path) -> None:
    torch = pytest.importorskip("torch")
    from gvcodec.entropy import streams
    from training import integer_network
    from training import motion as training

    torch.manual_seed(4)
    seen = torch.randint(0, 128, (6000, training.INPUTS), dtype=torch.uint8)
    value = (seen[:, 30].int() - 64).div(8).round().to(torch.int8)
    material = integer_network.Material(seen, value, 100, 1)
    before = integer_network.Twin(training.INPUTS)
    after = integer_network.train(material, 2.0)
    bits = [twin.bits(seen, value.float()).mean().item() for twin in (before, after)]
    assert bits[1] < 0.6 * bits[0]
    network = integer_network.network_of(after)
    checkpoint.write_network(tmp_path / "n.safetensors", network)
    out = streams.forward(checkpoint.read_network(tmp_path / "n.safetensors"), seen.numpy())
    scale, mean, inflation = (t.detach().numpy() for t in after(seen))
    assert np.abs(out[:, 0].clip(0, 63) - scale).mean() < 1
    assert np.abs(out[:, 1] / 8 - mean).mean() < 0.5
    assert np.abs(out[:, 2].clip(0, 127) - inflation).mean() < 4
    real = integer_network.bits_a_window(network, material) / 60
    assert real < 0.7 * bits[0]


@pytest.mark.parametrize("value", [127.0, -127.0, 0.0])
def test_gradients_of_bits_are_finite_far_from_what_is_expected(value: float) -> None:
    torch = pytest.importorskip("torch")
    from training import integer_network

    twin = integer_network.Twin(40)
    seen = torch.full((4, 40), 127, dtype=torch.uint8)
    twin.bits(seen, torch.full((4,), value)).sum().backward()
    assert all(torch.isfinite(p.grad).all() for p in twin.parameters())


def test_a_device_codes_the_same_bytes_and_frames(monkeypatch) -> None:
    """`--device` reaches the coder; here the code of the device runs on the processor."""
    from gvcodec import layers
    from gvcodec.config import EncoderConfig

    def packets(device: str) -> list[Any]:
        config = EncoderConfig(base="motion", q=50, threads=1, device=device).resolve()
        encoder = layers.open_encoder(FORMAT, config)
        made = [encoder.send(planes) for planes in clip(5)] + [encoder.flush()]
        return [packet for part in made for packet in part.packets]

    wanted, (sent, base_frames), asked = packets("cpu"), coded(5), []

    def watched(code: Any, *given: Any) -> Any:
        asked.append(given[4])
        return code(*given[:4], "emulated", *given[5:])

    for name in ("encode_predicted", "decode_predicted"):
        code = getattr(payload.streams, name)
        monkeypatch.setattr(payload.streams, name, partial(watched, code))
    monkeypatch.setattr(payload.streams, "cuda_missing", lambda: None)
    assert packets("cuda:0") == wanted
    one, coding = decoder(), len(asked)
    one.to_device("cuda:0")
    shown = [x for packet in sent for x in one.send(packet.payload, packet.keyframe)]
    shown += one.flush()
    assert clips_equal(shown, base_frames)
    assert 0 < coding < len(asked) and set(asked) == {"cuda"}
    monkeypatch.setattr(payload.streams, "cuda_missing", lambda: "none here")
    other = decoder()
    other.to_device("cuda")
    assert other._entropy.backend == "cpu"
