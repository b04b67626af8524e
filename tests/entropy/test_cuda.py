"""Stream coder and integer network as CUDA code, emulated where no device is."""

from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from conformance.decoder.entropy import Rans
from conformance.decoder.networks import Inputs, integers
from eval.rd import device
from gvcodec import _core
from gvcodec.entropy import streams
from gvcodec.entropy.network import Layer
from gvcodec.errors import UsageError
from tests.networks import forward, make_layers, of_second_decoder

MISSING = streams.cuda_missing()
needs_device = pytest.mark.skipif(MISSING is not None, reason=str(MISSING))
on_each = pytest.mark.parametrize("backend", ["emulated", pytest.param("cuda", marks=needs_device)])


def make_batch(rng: np.random.Generator, count: int, steps: int) -> tuple[NDArray[np.generic], ...]:
    """Values near their means, far from them and at the ends of int32; scales, means, counts."""
    mean = rng.integers(-(2**15), 2**15, (count, steps)).astype(np.int16)
    reach = rng.choice([2, 60, 2000, 2**30], (count, steps))
    values = np.clip(mean // 8 + rng.integers(-reach, reach), -(2**31), 2**31 - 1).astype(np.int32)
    values[rng.random(values.shape) < 0.02] = -(2**31)
    values[rng.random(values.shape) < 0.02] = 2**31 - 1
    scale = rng.integers(0, 64, (count, steps)).astype(np.uint8)
    return values, scale, mean, rng.integers(0, steps + 1, count).astype(np.int32)


def read_predicted(
    layers: list[Layer], side: NDArray[np.generic], data: bytes, back: Any = None
) -> tuple[list[int], bool]:
    """What the second decoder reads, as many values as `side` has rows, and whether all is read."""
    network, rans = of_second_decoder(layers), Rans(data)
    if back is None:
        back = np.tile(np.arange(1, network.inputs - side.shape[1] + 1), (len(side), 1))
    return integers(network, rans, side, back), rans.is_whole()


def behind(values: NDArray[np.int32], counts: NDArray[np.int32]) -> NDArray[np.int32]:
    return np.where(np.arange(values.shape[1]) < counts[:, None], values, 0)


def damaged(rng: np.random.Generator, packets: list[bytes]) -> list[bytes]:
    """Packets cut, lengthened, flipped, exchanged for others or made up."""
    out = []
    for packet in packets:
        made_up = rng.integers(0, 256, int(rng.integers(0, 60))).astype(np.uint8).tobytes()
        flipped = bytearray(packet)
        if flipped:
            flipped[int(rng.integers(len(flipped)))] ^= 1 << int(rng.integers(8))
        cut = packet[: int(rng.integers(0, len(packet) + 1))]
        kinds = [packet, made_up, bytes(flipped), cut, packet + made_up, packets[0], b""]
        kinds += [b"\xff" * len(packet)]
        out.append(kinds[int(rng.integers(len(kinds)))])
    return out


@on_each
def test_network_equals_reference(backend: streams.Backend) -> None:
    for seed in range(30):
        rng = np.random.default_rng(seed)
        sizes = rng.integers(1, 70, int(rng.integers(2, 6))).tolist()
        rows = int(rng.integers(0, 40))
        layers = make_layers(rng, sizes)
        x = rng.integers(0, 256, (rows, sizes[0])).astype(np.uint8)  # above 127 counts as 127
        assert (streams.forward(layers, x, backend) == streams.forward(layers, x)).all()


@pytest.mark.parametrize("backend", ["cpu", "emulated", pytest.param("cuda", marks=needs_device)])
def test_network_at_its_extremes(backend: streams.Backend) -> None:
    n = 1536
    x = np.full((5, n), 127, np.uint8)
    for weight in (-128, 127):
        for bias in (-(2**30), 2**30):
            multiplier = np.array([2**31 - 1, -(2**31)], np.int32)
            weights = np.full((2, n), weight, np.int8)
            layer = Layer(weights, np.full(2, bias, np.int32), multiplier, 31, -(2**31), 2**31 - 1)
            assert (streams.forward([layer], x, backend) == forward([layer], x)).all()
    weights, zeros, ones = np.array([[1], [-1]], np.int8), *np.int32([[0, 0], [1, 1]])
    found = streams.forward([Layer(weights, zeros, ones, 1, -100, 100)], [[1], [3], [4]], backend)
    assert found.tolist() == [[1, 0], [2, -1], [2, -2]]


@on_each
def test_layers_beyond_a_block_are_refused(backend: streams.Backend) -> None:
    layers = make_layers(np.random.default_rng(1), [1537, 2])
    with pytest.raises(UsageError, match="1536"):
        streams.forward(layers, np.zeros((1, 1537), np.uint8), backend)


@on_each
def test_streams_equal_reference_and_come_back(backend: streams.Backend) -> None:
    for seed in range(30):
        values, scale, mean, counts = make_batch(np.random.default_rng(seed), seed * 5, seed)
        packets = streams.encode(values, scale, mean, counts, backend)
        assert packets == streams.encode(values, scale, mean, counts)
        found, whole = streams.decode(packets, scale, mean, counts, backend)
        assert whole.all() and (found == behind(values, counts)).all()


def make_predicted(
    rng: np.random.Generator, count: int, steps: int
) -> tuple[list[Layer], NDArray[np.generic], ...]:
    """A predicting network, side information, values of which a few are far off, counts."""
    side_count, history = int(rng.integers(0, 6)), int(rng.integers(0, 4))
    sizes = [max(1, side_count + history), int(rng.integers(1, 40)), int(rng.integers(1, 40))]
    layers = device.predictor(rng, sizes, int(rng.integers(2, 4)))
    if rng.random() < 0.3:  # scales and means that no table is made for
        wide = {"multiplier": layers[-1].multiplier * 50, "low": -(2**31), "high": 2**31 - 1}
        layers[-1] = layers[-1]._replace(**wide)
    side = rng.integers(0, 128, (count, steps, side_count)).astype(np.uint8)
    values = np.round(rng.laplace(0, 6, (count, steps))).astype(np.int32)
    values[rng.random(values.shape) < 0.03] = rng.integers(-(2**31), 2**31)
    return layers, side, values, rng.integers(0, steps + 1, count).astype(np.int32)


@on_each
def test_predicted_streams_equal_reference(backend: streams.Backend) -> None:
    for seed in range(30):
        layers, side, values, counts = make_predicted(np.random.default_rng(seed), seed, 20)
        packets = streams.encode_predicted(layers, side, values, counts, backend)
        assert packets == streams.encode_predicted(layers, side, values, counts)
        for s in range(0, len(packets), 17):
            expected = values[s, : counts[s]].tolist()
            found = read_predicted(layers, side[s, : counts[s]], packets[s])
            assert found == (expected, True)
        for machine in ("cpu", backend):
            found, whole = streams.decode_predicted(layers, side, packets, counts, machine)
            assert whole.all() and (found == behind(values, counts)).all()


@on_each
def test_spans_of_values_before_equal_reference(backend: streams.Backend) -> None:
    """Entries of `back` above 0 are values, below 0 mean magnitudes of spans, some too long."""
    rng = np.random.default_rng(8)
    count, steps, before = 5, 24, 4
    layers = device.predictor(rng, [before, 12])
    side = np.zeros((count, steps, 0), np.uint8)
    values = np.round(rng.laplace(0, 9, (count, steps))).astype(np.int32)
    values[rng.random(values.shape) < 0.1] = -(2**31)
    far, length = rng.integers(0, steps, (2, count, steps, before))
    back = np.where(rng.random(far.shape) < 0.3, far, -(far << 14 | length)).astype(np.int32)
    packets = streams.encode_predicted(layers, side, values, None, backend, back)
    for s in range(count):
        row = values[s].tolist()
        inputs = Inputs()
        for value, entries, seen in zip(
            row, back[s].tolist(), streams.contexts(side[s], values[s], back[s]), strict=True
        ):
            assert seen.tolist() == [inputs.of(entry) for entry in entries]
            inputs.add(value)
    found, whole = streams.decode_predicted(layers, side, packets, None, backend, back)
    assert whole.all() and (found == values).all()


@on_each
def test_damaged_predicted_streams_are_decoded_alike(backend: streams.Backend) -> None:
    for seed in range(30):
        rng = np.random.default_rng(seed)
        layers, side, values, counts = make_predicted(rng, seed + 1, 20)
        packets = damaged(rng, streams.encode_predicted(layers, side, values, counts))
        found, whole = streams.decode_predicted(layers, side, packets, counts, backend)
        expected, expected_whole = streams.decode_predicted(layers, side, packets, counts)
        assert (found == expected).all() and (whole == expected_whole).all()
        values_of_first, whole_of_first = read_predicted(layers, side[0, : counts[0]], packets[0])
        assert found[0, : counts[0]].tolist() == values_of_first
        assert bool(whole[0]) == whole_of_first


@pytest.mark.skipif(MISSING is None, reason="there is a device")
def test_no_device_is_an_error() -> None:
    with pytest.raises(UsageError, match="built without CUDA|no CUDA device"):
        layers = make_layers(np.random.default_rng(0), [2, 2])
        streams.forward(layers, np.zeros((1, 2), np.uint8), "cuda")
    assert _core.cuda_device() == ""


def test_batches_that_cannot_be_are_refused() -> None:
    good = np.zeros((2, 3), np.int32)
    network = device.predictor(np.random.default_rng(0), [4, 4])
    side = np.zeros((2, 3, 2), np.uint8)
    calls = {
        "back-ends are": lambda: streams.encode(good, good, good, backend="gpu"),
        "as many scales": lambda: streams.encode(good, good[:1], good),
        "as many means": lambda: streams.encode(good, good, good[:, :2]),
        "scale is": lambda: streams.encode(good, good + 64, good),
        "counts are": lambda: streams.encode(good, good, good, [0, 4]),
        "as many counts": lambda: streams.encode(good, good, good, [0]),
        "as many packets": lambda: streams.decode([b""], good, good),
        "whole numbers": lambda: streams.encode(good + 0.5, good, good),
        "values are": lambda: streams.encode(good, good - 1, good),
        "streams and steps": lambda: streams.encode(good[0], good, good),
        "incompatible": lambda: streams.encode(good, good[0], good),
        "two or three outputs": lambda: streams.encode_predicted(
            make_layers(np.random.default_rng(0), [4, 5]), side, good
        ),
        "more side": lambda: streams.encode_predicted(network, np.zeros((2, 3, 5), np.uint8), good),
        "another shape": lambda: streams.encode_predicted(network, side[:, :2], good),
    }
    for message, call in calls.items():
        with pytest.raises(UsageError, match=message):
            call()


def test_comparison_of_back_ends() -> None:
    text, equal = device.measure(1, "emulated", 64)
    assert equal and text.count("| equal |") == 5
