"""Bits shared among scenes, and zones with a quality of their own."""

import io
from fractions import Fraction
from statistics import fmean

import numpy as np
import pytest

import gvcodec
import gvcodec as api
from gvcodec.api.decoded_frames import decode_planes
from gvcodec.base.scene_cuts import GopStarts
from gvcodec.base.standard.decoders import StandardDecoder
from gvcodec.base.standard.encoder import StandardEncoder
from gvcodec.base.standard.encoders import Settings
from gvcodec.bitstream import Kind
from gvcodec.config import EncoderConfig
from gvcodec.errors import UsageError
from gvcodec.rate.scenes import STEPS, Scene, choose_offsets, gop_offsets, measure_scenes
from gvcodec.types import Planes, VideoFormat
from gvcodec.zones import Zone, parse_zones, zone_at
from tests.clips import make_clip, write_clip
from tests.conftest import clips_equal, packets_in, psnr, send_all

FORMAT = VideoFormat(96, 64, Fraction(25), Fraction(1, 25))
USUAL = STEPS.index(0.0)


def two_scenes() -> list[Planes]:
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
    found = choose_offsets(made, "elbo")
    clipped = np.clip(expected, -9, 9)
    assert found[1:] == pytest.approx(clipped[1:] + (found[1] - clipped[1]), abs=0.3)
    assert found[0] == pytest.approx(min(9, max(-9, expected[0])), abs=0.3)
    assert bytes_of(made, found) == pytest.approx(9000, rel=0.03)


@pytest.mark.parametrize("method", ["elbo", "uniqueness", "both", "rd"])
def test_the_sum_of_bytes_stays(method: str) -> None:
    for seed in range(3):
        sizes = np.random.default_rng(seed).uniform(1000, 3000, 6).tolist()
        made = scenes(sizes, np.random.default_rng(seed + 9).uniform(10, 60, 6).tolist(), seed)
        found = choose_offsets(made, method)
        assert max(map(abs, found)) <= 9 and any(found)
        assert bytes_of(made, found) == pytest.approx(sum(sizes), rel=0.05)


def test_a_scene_unlike_the_others_gets_more() -> None:
    made = scenes([1000] * 4, [20] * 4)
    for scene in made[:3]:
        scene.features = np.ones(8) + 0.01 * scene.features
    made[3].features = -np.ones(8)
    found = choose_offsets(made, "uniqueness")
    assert found[3] == min(found) < 0 < max(found)


def test_bytes_go_by_a_power_of_the_trial() -> None:
    """In proportion to (bytes a frame)^0.6, the same in sum."""
    made = scenes([1000, 2000, 4000], [30, 10, 50])
    made[0].frames = 5
    sizes, frames = np.array([1000, 2000, 4000]), np.array([5, 10, 10])
    wanted = frames * (sizes / frames) ** 0.6
    wanted *= sizes.sum() / wanted.sum()
    assert choose_offsets(made, "rd") == pytest.approx(10 * np.log(sizes / wanted), abs=0.2)


def test_the_trial_has_the_scenes_of_the_encode() -> None:
    frames = two_scenes()
    config = EncoderConfig(q=45, base="av1", threads=1, alloc="elbo").resolve()
    busy, still = measure_scenes(frames, FORMAT, config)
    assert (busy.frames, still.frames) == (14, 14)
    assert busy.size[0] > busy.size[1] > busy.size[2] > 0 and busy.error[0] < busy.error[2]
    assert busy.size[USUAL] > still.size[USUAL] > 0
    starts = GopStarts(96, 64, config.keyint)
    assert [i for i, planes in enumerate(frames) if starts.is_gop_start(planes[0])] == [0, 14]
    first, second = gop_offsets(frames, FORMAT, config)
    assert first * second < 0 and gop_offsets(frames[:14], FORMAT, config) == ()


def test_gops_of_other_qualities_are_one_stream() -> None:
    frames = two_scenes()

    def code(gop_q: tuple[float, ...]) -> tuple[list[int], bool]:
        encoder = StandardEncoder(
            FORMAT, "av1", Settings(40, threads=1, preset=10), 240, gop_q=gop_q
        )
        packets, shown = send_all(encoder, frames)
        decoder = StandardDecoder(FORMAT, "av1")
        again = [x for p in packets for x in decoder.send(p.payload, p.keyframe)] + decoder.flush()
        same = clips_equal(shown, again)
        sizes = [len(p.payload) for p in packets]
        assert [i for i, p in enumerate(packets) if p.keyframe] == [0, 14] and len(shown) == 28
        return [sum(sizes[:14]), sum(sizes[14:])], same

    plain, changed = code(()), code((6.0, -10.0))
    assert plain[1] and changed[1]
    assert changed[0][0] < 0.8 * plain[0][0] and changed[0][1] > 1.2 * plain[0][1]
    assert code((0.0, 0.0))[0] == plain[0]


def test_a_file_with_scenes_of_other_qualities(tmp_path) -> None:
    source = write_clip(tmp_path / "in.y4m", two_scenes())
    usual = {"base": "av1", "q": 45, "fit": 0, "threads": 1, "preset": 10}
    gvcodec.encode_file(source, tmp_path / "plain.gvc", **usual)
    states: list[gvcodec.State] = []
    how = {"alloc": "elbo", "progress": states.append, **usual}
    made = gvcodec.encode_file(source, tmp_path / "elbo.gvc", **how)
    assert made.frames == 28
    stages = list(dict.fromkeys(state.stage for state in states))
    assert stages[0] == "probe" and "encode" in stages
    shares_done = [state.share for state in states if state.stage == "probe"]
    assert shares_done == sorted(shares_done) and shares_done[-1] > 0
    plain, elbo = ((tmp_path / name).read_bytes() for name in ("plain.gvc", "elbo.gvc"))
    assert plain != elbo
    assert len(list(decode_planes(io.BytesIO(elbo)))) == 28  # verified to the end
    size = len(plain) * 3 // 4
    usual.pop("q")
    gvcodec.encode_file(source, tmp_path / "sized.gvc", alloc="elbo", size=size, **usual)
    assert 0.7 * size < (tmp_path / "sized.gvc").stat().st_size <= size


def test_what_cannot_wait_for_a_trial_is_refused(tmp_path) -> None:
    assert not EncoderConfig(base="av1", alloc="uniform").allocates_by_scene
    assert not EncoderConfig(base="gvc1d", alloc="elbo").allocates_by_scene
    assert EncoderConfig(base="vvc", alloc="rd").allocates_by_scene
    source = write_clip(tmp_path / "in.y4m", two_scenes()[:3])
    output = tmp_path / "out.gvc"
    for options in ({"low_delay": True}, {"maxrate": 50000}, {"jobs": 2}, {"target": "psnr=30"}):
        if "target" not in options:
            options = options | {"q": 45}
        with pytest.raises(UsageError, match="alloc"):
            gvcodec.encode_file(source, output, base="av1", alloc="elbo", **options)
    with pytest.raises(UsageError, match="alloc is uniform"):
        gvcodec.encode_file(source, output, base="av1", alloc="best", fit=0)
    assert not output.exists()


CLIP = make_clip(96, 80, 75, seed=3)  # 3 s
FAST = {"fit": 0, "threads": 1, "base": "av1", "preset": 10}


def qualities(data: bytes, source=CLIP) -> list[float]:
    shown = api.decode_planes(data, fidelity=True)
    values = [psnr(a, b) for a, b in zip(source, shown, strict=True)]
    return [fmean(values[n : n + 12]) for n in range(0, len(values) - 11, 12)]


def keyframes(data: bytes) -> list[int]:
    packets = [p for p in packets_in(data) if p.is_frame]
    return [n for n, packet in enumerate(packets) if packet.kind is Kind.KEY]


def test_zones_are_read_as_they_are_written() -> None:
    found = parse_zones("1:00-:q=40; 0:10-0:20.5:q=+8")
    assert found == (Zone(10, 20.5, 8, True), Zone(60, float("inf"), 40, False))
    assert zone_at(found, 20.5) is None and zone_at(found, 1e6) == found[1]
    assert [zone.apply(30) for zone in found] == [38, 40]


@pytest.mark.parametrize(
    "text",
    ["0-1", "0-1:q=", "1-0:q=3", "0-1:q=+8;0.5-2:q=3", "a-b:q=3", "0-1:crf=3", "0-1:q=3,2-3:q=4"],
)
def test_what_is_no_zone_is_refused(text: str) -> None:
    with pytest.raises(UsageError, match="is not zones like 0:10-0:20:q"):
        gvcodec.encode(CLIP[:2], zones=text, **FAST)


@pytest.mark.parametrize(
    ("settings", "words"),
    [
        ({"alloc": "rd"}, "^zones cannot be combined with alloc rd"),
        ({"base": "gvc1d", "preset": None}, "^zones needs base av1 or vvc"),
    ],
)
def test_what_does_not_go_with_zones_is_refused(settings: dict, words: str) -> None:
    with pytest.raises(UsageError, match=words):
        gvcodec.encode(CLIP[:2], zones="0-1:q=+3", **(FAST | settings))


@pytest.mark.parametrize("low_delay", [False, True])
def test_a_zone_has_its_quality_and_nothing_else_changes(low_delay: bool) -> None:
    options = FAST | {"q": 40, "frame_rate": 25, "low_delay": low_delay}
    plain = gvcodec.encode(CLIP, **options)
    zoned = gvcodec.encode(CLIP, zones="1-2:q=+20", **options)
    assert keyframes(zoned) == [0, 25, 50] != keyframes(plain)
    a, b = qualities(plain), qualities(zoned)
    assert b[0] == pytest.approx(a[0], abs=0.5) and b[5] == pytest.approx(a[5], abs=1)
    assert b[2] < a[2] - 3 and b[3] < a[3] - 3
    assert gvcodec.encode(CLIP, zones="1-2:q=60", **options) == zoned


def test_zones_are_of_the_source_with_start_chunks_and_budgets(tmp_path) -> None:
    source = write_clip(tmp_path / "in.mkv", CLIP)
    fast = FAST | {"q": 40, "overwrite": True, "zones": "2-:q=60"}
    out = tmp_path / "out.gvc"
    gvcodec.encode_file(source, out, start=1.0, **fast)
    assert keyframes(out.read_bytes()) == [0, 25]
    first, second = out.read_bytes(), tmp_path / "second.gvc"
    del fast["threads"]
    gvcodec.encode_file(source, second, start=1.0, jobs=1, **fast)
    assert keyframes(second.read_bytes()) == [0, 25]
    assert qualities(second.read_bytes(), CLIP[25:])[3] == qualities(first, CLIP[25:])[3]
    del fast["q"]
    done = gvcodec.encode_file(source, out, size=6000, **fast)
    assert 5500 <= done.size <= 6000 and keyframes(out.read_bytes()) == [0, 50]
    found = qualities(out.read_bytes())
    assert found[5] < found[0] - 1.5
