"""The entropy model's network: core = reference with any weights, what models are refused, and that
it is worth its time."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from clips import DATA, make_clip, needs_clips
from decoders import fare_alike, follow
from oracle.klt import GOLDEN, ReferenceDecoder
from safetensors.numpy import load_file, save_file

from gvcodec import _core
from gvcodec.errors import WrongModelError
from gvcodec.structure.klt.codec import KltDecoder, KltEncoder, load_model, model_path
from gvcodec.train.fit import central, read_clip

OLD = model_path().with_name("klt-1.safetensors")


def changed(folder: Path, **changes: np.ndarray) -> Path:
    """The model that ships with other tensors; `_` stands for the dots of names."""
    tensors = load_file(model_path())
    for name, tensor in changes.items():
        assert f"refiner.{name.replace('_', '.')}" in tensors
        tensors[f"refiner.{name.replace('_', '.')}"] = tensor
    save_file(tensors, folder / "changed.safetensors")
    return folder / "changed.safetensors"


def extreme(folder: Path, seed: int) -> Path:
    """A network of random weights at the ends of their ranges."""
    rng = np.random.default_rng(seed)
    changes = {"token_weight": rng.choice([-128, 0, 127], (48, 80)).astype(np.int8)}
    for kind in ("any", "last", "sig", "size"):
        changes[f"{kind}_token"] = rng.integers(-128, 128, (32, 48)).astype(np.int8)
        changes[f"{kind}_decision"] = rng.choice([-128, 127], (32, 16)).astype(np.int8)
        changes[f"{kind}_row"] = rng.choice([-(1 << 24), 0, 1 << 24], (288, 32)).astype(np.int32)
        changes[f"{kind}_multiplier"] = rng.integers(0, 8192, 32).astype(np.int32)
        changes[f"{kind}_out"] = rng.integers(-128, 128, 32).astype(np.int8)
        changes[f"{kind}_scale"] = np.array(
            [rng.integers(8, 24), -(1 << 30), -(2**31), 30], np.int32
        )
    return changed(folder, **changes)


def compare(width: int, height: int, frames: int, q: int, model: Path, keyint: int = 0) -> None:
    encoder = KltEncoder(width, height, q, keyint, threads=2, model=model)
    core = KltDecoder(width, height, threads=1, model=model)
    python = ReferenceDecoder(width, height, model)
    for planes in make_clip(width, height, frames, seed=q):
        coded = encoder.send(planes)
        follow(coded, core, python)
        assert core.window_bits().sum() == pytest.approx(
            8 * len(coded.packets[0].payload) - 8, abs=24, rel=0.01
        )


@pytest.mark.parametrize(
    ("width", "height", "frames", "q"),
    [
        (80, 48, 4, 33),
        (96, 64, 3, 12),
        (300, 40, 3, 45),
        (17, 33, 3, 5),
        (40, 280, 3, 50),
        (1, 1, 3, 30),
        (32, 32, 2, 0),
    ],
)
def test_core_equals_reference(width: int, height: int, frames: int, q: int) -> None:
    compare(width, height, frames, q, model_path())


def test_key_frames_forget_the_memory() -> None:
    compare(64, 48, 6, 28, model_path(), keyint=3)


@pytest.mark.parametrize("seed", [1, 2])
def test_core_equals_reference_with_extreme_weights(tmp_path: Path, seed: int) -> None:
    compare(64, 48, 3, 26, extreme(tmp_path, seed))


def test_memory_where_only_the_golden_frame_is_used() -> None:
    """A picture drifts on, and every other frame is covered with noise: clean ones come from the
    golden frame, far away."""
    width, height = 112, 48
    rng = np.random.default_rng(3)
    ground = rng.normal(0, 1, (height, width + 64))
    for axis in (0, 1):
        ground = sum(np.roll(ground, shift, axis) for shift in range(-3, 4)) / 7
    ground = np.clip(512 + 900 * ground, 0, 1023)
    encoder = KltEncoder(width, height, 24, scene_cut=False, threads=1)
    core, python = KltDecoder(width, height, threads=1), ReferenceDecoder(width, height)
    grey = np.full((height // 2, width // 2), 512, np.uint16)
    furthest = 0
    for t in range(7):
        noise = rng.integers(-250, 251, (height, width)) if t % 2 else 0
        luma = np.clip(ground[:, 8 * t : 8 * t + width] + noise, 0, 1023).astype(np.uint16)
        follow(encoder.send((luma, grey, grey)), core, python)
        assert python.tokens is not None
        motion = python.tokens.motion
        furthest = max(
            furthest, int(np.abs(motion[motion[..., 4] == GOLDEN][:, 2:4]).max(initial=0))
        )
    assert furthest > 64  # a block


def test_streams_of_the_first_model_decode() -> None:
    assert "refiner.token.weight" not in load_file(OLD)
    compare(64, 48, 3, 30, OLD)


def test_number_of_threads_changes_nothing() -> None:
    payloads = []
    for threads in (1, 3):
        encoder = KltEncoder(300, 280, 40, threads=threads)
        payloads.append(
            [encoder.send(planes).packets[0].payload for planes in make_clip(300, 280, 3, seed=4)]
        )
    assert payloads[0] == payloads[1]


def test_damaged_frames_fare_alike() -> None:
    encoder = KltEncoder(48, 32, 30, threads=1)
    packets = [encoder.send(planes).packets[0] for planes in make_clip(48, 32, 3, seed=8)]
    rng = np.random.default_rng(0)

    refused = 0
    for _ in range(30):
        payloads = [bytearray(packet.payload) for packet in packets]
        broken = payloads[rng.integers(3)]
        broken[rng.integers(1, len(broken))] ^= int(rng.integers(1, 256))
        refused += fare_alike([bytes(p) for p in payloads], [p.keyframe for p in packets], 48, 32)
    assert refused > 0


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("token_weight", np.zeros((48, 79), np.int8)),
        ("sig_token", np.zeros((32, 47), np.int8)),
        ("sig_decision", np.zeros((31, 16), np.int8)),
        ("any_row", np.full((288, 32), (1 << 24) + 1, np.int32)),
        ("last_multiplier", np.full(32, 8192, np.int32)),
        ("last_multiplier", np.full(32, -1, np.int32)),
        ("size_scale", np.array([31, 0, 0, 24], np.int32)),
        ("size_scale", np.array([0, 0, 0, 24], np.int32)),
        ("relatives_key", np.zeros((384, 4), np.int16)),
    ],
)
def test_networks_that_cannot_be_are_refused(tmp_path: Path, name: str, value: np.ndarray) -> None:
    with pytest.raises(WrongModelError, match="not a klt model"):
        load_model(changed(tmp_path, **{name: value}))


@needs_clips
@pytest.mark.parametrize("q", [36, 52])
def test_worth_its_time(q: int) -> None:
    """The same tokens: the first model's bits, those of the mixer alone, those with the network."""
    clip = central(read_clip(DATA / "devtest" / "dev6_std_foreman_cif.mp4", 16, 0), 352, 240)
    encoder = KltEncoder(352, 240, q, threads=1, model=OLD)
    recorders = [
        (_core.KltRecorder(load_model(OLD), load_model(model), 352, 240), refines)
        for model, refines in ((OLD, False), (model_path(), False), (model_path(), True))
    ]
    bits = np.zeros(3)
    for planes in clip:
        payload = encoder.send(planes).packets[0].payload
        for number, (recorder, refines) in enumerate(recorders):
            found = recorder.decode(payload, refines)
            bits[number] += found["cost"].sum() + found["raw_bits"]
    assert bits[1] < 0.995 * bits[0]
    assert bits[2] < 0.975 * bits[1]
