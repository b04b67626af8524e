"""The klt structure plug: equal loops on both sides, key frames, quality, refusals, and a stream
that must decode forever."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from clips import make_clip
from conftest import planes_equal as same
from conftest import psnr
from hypothesis import given, settings
from hypothesis import strategies as st
from safetensors.numpy import save_file

from gvcodec.errors import DamagedStreamError, UsageError, WrongModelError
from gvcodec.structure import CodedFrame
from gvcodec.structure.klt.codec import MIN_GOP, KltDecoder, KltEncoder, KltTools, load_model
from gvcodec.train.fit import first_model
from gvcodec.types import Planes


def encode(
    clip: list[Planes], q: int, **options: int | bool
) -> tuple[list[CodedFrame], list[Planes]]:
    height, width = clip[0][0].shape
    encoder = KltEncoder(width, height, q, **options)  # type: ignore[arg-type]
    packets, loops = [], []
    for planes in clip:
        coded = encoder.send(planes)
        packets += coded.packets
        loops += coded.loops
    end = encoder.flush()
    assert len(packets) == len(clip) and not end.packets and not end.loops
    return packets, loops


def decode(packets: list[CodedFrame], width: int, height: int, threads: int = 1) -> list[Planes]:
    decoder = KltDecoder(width, height, threads=threads)
    return [
        frame for p in packets for frame in decoder.send(p.payload, p.keyframe)
    ] + decoder.flush()


@settings(max_examples=25, deadline=None)
@given(
    st.integers(1, 90), st.integers(1, 70), st.integers(0, 63), st.integers(1, 5), st.integers(0, 5)
)
def test_loops_are_equal_at_any_size(
    width: int, height: int, q: int, frames: int, keyint: int
) -> None:
    packets, loops = encode(make_clip(width, height, frames, seed=q), q, keyint=keyint, threads=1)
    decoded = decode(packets, width, height)
    assert len(decoded) == frames
    assert all(same(a, b) for a, b in zip(decoded, loops, strict=True))
    for y, u, v in decoded:
        assert y.shape == (height, width) and u.shape == v.shape == (
            (height + 1) // 2,
            (width + 1) // 2,
        )
        assert y.dtype == np.uint16 and max(int(p.max()) for p in (y, u, v)) <= 1023


@pytest.mark.parametrize("q", [12, 44])
def test_threads_change_nothing(q: int) -> None:
    clip = make_clip(300, 280, 4, seed=2)  # more than one window either way
    one, loops = encode(clip, q, threads=1)
    two, _ = encode(clip, q, threads=2)
    assert [p.payload for p in one] == [p.payload for p in two]
    for threads in (1, 2):
        assert all(same(a, b) for a, b in zip(decode(one, 300, 280, threads), loops, strict=True))


def test_key_frames() -> None:
    clip = make_clip(64, 48, 7, seed=4)
    packets, _ = encode(clip, 40, keyint=3)
    assert [p.keyframe for p in packets] == [True, False, False, True, False, False, True]
    encoder = KltEncoder(64, 48, 40)
    keys = [encoder.send(p, force_key=i == 2).packets[0].keyframe for i, p in enumerate(clip)]
    assert keys == [True, False, True, False, False, False, False]
    # A key frame needs nothing from before it.
    whole, part = decode(packets, 64, 48), decode(packets[3:], 64, 48)
    assert all(same(a, b) for a, b in zip(whole[3:], part, strict=True))


def test_what_comes_back_is_predicted_from_the_golden_frame() -> None:
    here, there = make_clip(96, 64, 1, seed=3)[0], make_clip(96, 64, 1, seed=4)[0]
    clip = [here, here, there, here]

    def sizes(golden: bool) -> list[int]:
        encoder = KltEncoder(96, 64, 30, scene_cut=False, tools=KltTools(golden=golden))
        packets = [encoder.send(p).packets[0] for p in clip]
        decode(packets, 96, 64)
        assert packets[0].payload[0] >> 6 == (3 if golden else 1)
        return [len(p.payload) for p in packets]

    with_golden, without = sizes(True), sizes(False)
    assert with_golden[3] < without[3] / 4 and with_golden[2] < 1.02 * without[2]


def test_scene_cut() -> None:
    cut = MIN_GOP + 2
    clip = make_clip(80, 64, cut + 3, seed=6, cut=cut)
    packets, loops = encode(clip, 36)
    assert [i for i, p in enumerate(packets) if p.keyframe] == [0, cut]
    assert all(same(a, b) for a, b in zip(decode(packets, 80, 64), loops, strict=True))
    assert [p.keyframe for p in encode(clip, 36, scene_cut=False)[0][1:]] == [False] * (cut + 2)


def test_rate_and_quality_follow_q() -> None:
    clip = make_clip(112, 80, 4, seed=9)
    results = {}
    for q in (0, 16, 32, 48, 63):
        packets, loops = encode(clip, q)
        results[q] = (
            sum(len(p.payload) for p in packets),
            float(np.mean([psnr(a, b) for a, b in zip(clip, loops, strict=True)])),
        )
        assert all(p.q == p.payload[0] & 63 for p in packets)
    sizes, qualities = [s for s, _ in results.values()], [p for _, p in results.values()]
    assert sizes == sorted(sizes, reverse=True) and qualities == sorted(qualities, reverse=True)
    assert sizes[-1] < sizes[0] / 30


def test_best_quality_exceeds_40_db_even_on_noise() -> None:
    rng = np.random.default_rng(1)
    y = rng.integers(0, 1024, (64, 64)).astype(np.uint16)
    u, v = (rng.integers(0, 1024, (32, 32)).astype(np.uint16) for _ in range(2))
    for clip in ([(y, u, v), (y[::-1].copy(), v, u)], make_clip(112, 80, 3, seed=9)):
        _, loops = encode(clip, 0)
        for source, loop in zip(clip, loops, strict=True):
            assert psnr(source, loop) >= 40


def test_still_picture_costs_next_to_nothing() -> None:
    planes = make_clip(96, 64, 1, seed=3)[0]
    packets, _ = encode([planes] * 12, 40)
    assert sum(len(p.payload) for p in packets[6:]) <= 6 * 8


def test_lambda_map_moves_quality_between_regions() -> None:
    clip = make_clip(160, 96, 5, seed=12)

    def run(left: float | None, right: float = 1.0) -> tuple[int, float, float]:
        scales = (
            None
            if left is None
            else np.repeat(np.array([[left] * 5 + [right] * 5], np.float32), 6, axis=0)
        )
        encoder, decoder, halves, size = KltEncoder(160, 96, 34), KltDecoder(160, 96), [], 0
        for planes in clip:
            coded = encoder.send(planes, lambda_map=scales)
            frame = decoder.send(coded.packets[0].payload, coded.packets[0].keyframe)[0]
            assert same(frame, coded.loops[0])
            square = (frame[0].astype(float) - planes[0]) ** 2
            halves.append([square[:, :80].mean(), square[:, 80:].mean()])
            size += len(coded.packets[0].payload)
        return size, *np.mean(halves, axis=0)

    size, left, right = run(None)
    assert run(1.0) == (size, left, right)
    finer, coarser = run(0.25, 4.0), run(4.0, 4.0)
    assert finer[1] < 0.97 * left and finer[2] > 1.15 * right
    assert coarser[0] < 0.8 * size and coarser[1] > 1.15 * left
    encoder = KltEncoder(160, 96, 34)
    for bad in (np.ones((6, 9)), np.ones(60), np.zeros((6, 10)), np.full((6, 10), np.nan)):
        with pytest.raises(UsageError, match="lambda map"):
            encoder.send(clip[0], lambda_map=bad)


def test_refusals(tmp_path: Path) -> None:
    packets, _ = encode(make_clip(48, 32, 2, seed=1), 40)
    decoder = KltDecoder(48, 32)
    inter, key = packets[1].payload, packets[0].payload
    for payload, keyframe in (
        (inter, False),
        (b"", True),
        (key, False),
        (inter, True),
        (b"\x80", False),
        (key[:-2], True),
        (key + b"\1", True),
    ):
        with pytest.raises(DamagedStreamError):
            decoder.send(payload, keyframe)
    assert decoder.send(key, True)
    with pytest.raises(UsageError, match="q is"):
        KltEncoder(48, 32, 64)
    (tmp_path / "junk.safetensors").write_bytes(b"not a model")
    with pytest.raises(WrongModelError, match="junk"):
        load_model(tmp_path / "junk.safetensors")
    part = {name: tensor for name, tensor in first_model().items() if name != "entropy.counts"}
    save_file(part, tmp_path / "part.safetensors")
    with pytest.raises(WrongModelError, match=r"part.*entropy\.counts"):
        load_model(tmp_path / "part.safetensors")
