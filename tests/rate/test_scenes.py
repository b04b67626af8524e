"""Bytes shared among scenes: the budgets of a trial, and files whose GOPs have them."""

from __future__ import annotations

import io
from fractions import Fraction

import numpy as np
import pytest

import gvcodec
from gvcodec.api.frames import decode_planes
from gvcodec.base.standard.codec import StandardDecoder, StandardEncoder
from gvcodec.config import EncoderConfig
from gvcodec.errors import UsageError
from gvcodec.media.planes import frame_from_planes
from gvcodec.rate.scenes import STEPS, Scene, gop_offsets, share, shares, try_scenes
from gvcodec.types import Planes, VideoFormat
from gvcodec.util.scene_cuts import GopStarts
from tests.clips import make_clip

FORMAT = VideoFormat(96, 64, Fraction(25), Fraction(1, 25))
USUAL = STEPS.index(0.0)


def two_scenes() -> list[Planes]:
    """Fourteen frames of moving texture, and as many of a still one."""
    return make_clip(96, 64, 14, seed=1) + make_clip(96, 64, 1, seed=4) * 14


def scenes(sizes: list[float], errors: list[float], seed: int = 0) -> list[Scene]:
    """Ten frames each; a step of quality changes bytes by a tenth and errors by a twentieth."""
    rng = np.random.default_rng(seed)
    steps = np.array(STEPS)
    return [
        Scene(10, rng.normal(size=8), size * np.exp(-steps / 10), error * np.exp(steps / 20))
        for size, error in zip(sizes, errors, strict=True)
    ]


def bytes_of(made: list[Scene], offsets: list[float]) -> float:
    return sum(s.size[USUAL] * np.exp(-x / 10) for s, x in zip(made, offsets, strict=True))


def test_offsets_by_elbo_are_the_formula() -> None:
    """-ELBO = bits / mean + error / mean; bytes in proportion to it, the same in sum."""
    made = scenes([1000, 2000, 6000], [30, 10, 50])
    bits, errors = np.array([1000, 2000, 6000]) / 3000, np.array([30, 10, 50]) / 30
    wanted = (bits + errors) / 2
    expected = [-10 * np.log(w / b) for w, b in zip(wanted, bits, strict=True)]
    found = share(made, "elbo")
    clipped = np.clip(expected, -9, 9)
    assert found[1:] == pytest.approx(clipped[1:] + (found[1] - clipped[1]), abs=0.3)
    assert found[0] == pytest.approx(min(9, max(-9, expected[0])), abs=0.3)
    assert bytes_of(made, found) == pytest.approx(9000, rel=0.03)


@pytest.mark.parametrize("method", ["elbo", "uniqueness", "both", "rd"])
def test_the_sum_of_bytes_stays(method: str) -> None:
    for seed in range(3):
        sizes = np.random.default_rng(seed).uniform(1000, 3000, 6).tolist()
        errors = np.random.default_rng(seed + 9).uniform(10, 60, 6).tolist()
        made = scenes(sizes, errors, seed)
        found = share(made, method)
        assert max(map(abs, found)) <= 9 and any(found)
        assert bytes_of(made, found) == pytest.approx(sum(sizes), rel=0.05)


def test_a_scene_unlike_the_others_gets_more() -> None:
    made = scenes([1000] * 4, [20] * 4)
    for scene in made[:3]:
        scene.features = np.ones(8) + 0.01 * scene.features
    made[3].features = -np.ones(8)
    found = share(made, "uniqueness")
    assert found[3] == min(found) < 0 < max(found)


def test_bytes_go_by_a_power_of_the_trial() -> None:
    """In proportion to (bytes a frame)^0.6, the same in sum."""
    made = scenes([1000, 2000, 4000], [30, 10, 50])
    made[0].frames = 5
    sizes, frames = np.array([1000, 2000, 4000]), np.array([5, 10, 10])
    wanted = frames * (sizes / frames) ** 0.6
    wanted *= sizes.sum() / wanted.sum()
    assert share(made, "rd") == pytest.approx(10 * np.log(sizes / wanted), abs=0.2)


def test_the_trial_has_the_scenes_of_the_encode() -> None:
    frames = two_scenes()
    config = EncoderConfig(q=45, base="av1", threads=1, alloc="elbo").resolve()
    busy, still = try_scenes(frames, FORMAT, config)
    assert (busy.frames, still.frames) == (14, 14)
    assert busy.size[0] > busy.size[1] > busy.size[2] > 0 and busy.error[0] < busy.error[2]
    assert busy.size[USUAL] > still.size[USUAL] > 0
    starts = GopStarts(96, 64, config.keyint)
    assert [i for i, planes in enumerate(frames) if starts.begins(planes[0])] == [0, 14]
    first, second = gop_offsets(frames, FORMAT, config)
    assert first * second < 0
    assert gop_offsets(frames[:14], FORMAT, config) == ()


def test_gops_of_other_qualities_are_one_stream() -> None:
    frames = two_scenes()

    def code(gop_q: tuple[float, ...]) -> tuple[list[int], bool]:
        encoder = StandardEncoder(FORMAT, "av1", 40, 240, threads=1, preset=10, gop_q=gop_q)
        parts = [*(encoder.send(planes) for planes in frames), encoder.flush()]
        packets = [packet for part in parts for packet in part.packets]
        shown = [planes for part in parts for planes in part.base_frames]
        decoder = StandardDecoder(FORMAT, "av1")
        again = [x for p in packets for x in decoder.send(p.payload, p.keyframe)] + decoder.flush()
        same = all(
            np.array_equal(a, b)
            for one, other in zip(shown, again, strict=True)
            for a, b in zip(one, other, strict=True)
        )
        sizes = [len(p.payload) for p in packets]
        assert [i for i, p in enumerate(packets) if p.keyframe] == [0, 14] and len(shown) == 28
        return [sum(sizes[:14]), sum(sizes[14:])], same

    plain, changed = code(()), code((6.0, -10.0))
    assert plain[1] and changed[1]
    assert changed[0][0] < 0.8 * plain[0][0] and changed[0][1] > 1.2 * plain[0][1]
    assert code((0.0, 0.0))[0] == plain[0]


def y4m(path, frames: list[Planes]) -> str:
    with path.open("wb") as file:
        file.write(b"YUV4MPEG2 W96 H64 F25:1 C420jpeg\n")
        for planes in frames:
            made = frame_from_planes(tuple(p >> 2 for p in planes), 8)  # type: ignore[arg-type]
            file.write(b"FRAME\n" + made.to_ndarray().tobytes())
    return str(path)


def test_a_file_with_scenes_of_other_qualities(tmp_path) -> None:
    source = y4m(tmp_path / "in.y4m", two_scenes())
    usual = {"base": "av1", "q": 45, "fit": 0, "threads": 1, "preset": 10}
    gvcodec.encode_file(source, tmp_path / "plain.gvc", **usual)
    states: list[gvcodec.State] = []
    made = gvcodec.encode_file(
        source, tmp_path / "elbo.gvc", alloc="elbo", progress=states.append, **usual
    )
    assert made.frames == 28
    stages = list(dict.fromkeys(state.stage for state in states))
    assert stages[0] == "probe" and "encode" in stages
    shares_done = [state.share for state in states]
    assert shares_done == sorted(shares_done)
    plain, elbo = ((tmp_path / name).read_bytes() for name in ("plain.gvc", "elbo.gvc"))
    assert plain != elbo
    assert len(list(decode_planes(io.BytesIO(elbo)))) == 28  # verified to the end
    size = len(plain) * 3 // 4
    usual.pop("q")
    gvcodec.encode_file(source, tmp_path / "sized.gvc", alloc="elbo", size=size, **usual)
    assert 0.7 * size < (tmp_path / "sized.gvc").stat().st_size <= size


def test_what_cannot_wait_for_a_trial_is_refused(tmp_path) -> None:
    assert not shares(EncoderConfig(base="av1", alloc="uniform"))
    assert not shares(EncoderConfig(base="motion", alloc="elbo"))
    assert shares(EncoderConfig(base="vvc", alloc="rd"))
    source = y4m(tmp_path / "in.y4m", two_scenes()[:3])
    output = tmp_path / "out.gvc"
    for options in ({"low_delay": True}, {"maxrate": 50000}, {"jobs": 2}, {"target": "psnr=30"}):
        if "target" not in options:
            options = options | {"q": 45}
        with pytest.raises(UsageError, match="alloc"):
            gvcodec.encode_file(source, output, base="av1", alloc="elbo", **options)
    with pytest.raises(UsageError, match="alloc is uniform"):
        gvcodec.encode_file(source, output, base="av1", alloc="best", fit=0)
    assert not output.exists()
