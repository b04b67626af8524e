"""What a target is of: metrics, pools over frames and scenes, a largest size next to it."""

import contextlib
import dataclasses
import io
from statistics import fmean

import numpy as np
import pytest

import gvcodec
import gvcodec as api
from gvcodec.api.job import Job
from gvcodec.bitstream import Reader
from gvcodec.config import EncoderConfig
from gvcodec.errors import UsageError
from gvcodec.input_options import InputOptions
from gvcodec.planes import Scaler
from gvcodec.rate import quality
from gvcodec.rate.one_pass import EncodePass, VideoStats, encode_pass
from gvcodec.rate.quality import METRICS, QualityMetric, missing_package
from gvcodec.rate.target import Target, encode_to_target, parse_target
from gvcodec.types import Planes
from tests.clips import make_clip, write_clip
from tests.conftest import psnr
from tests.conftest import run as command
from tests.errors import raises
from tests.rate.test_rate import FAST, Clip, opener, unwatched

#: A scene that is easy and one that is hard.
EASY, HARD = make_clip(96, 80, 14, seed=1), make_clip(96, 80, 14, seed=9)


def scenes() -> list[Planes]:
    return [(np.full_like(y, 300), u, v) for y, u, v in EASY] + HARD


@pytest.fixture(scope="module")
def coded() -> EncodePass:
    clip = scenes()
    return encode_pass(
        opener(clip), dataclasses.replace(FAST, keyint=240, q=45), "", unwatched, len(clip)
    )


def judged(coded: EncodePass, metric: str, pool: str) -> float:
    clip = scenes()
    return QualityMetric(metric, pool, opener(clip), VideoStats(Clip(clip).format, len(clip), 0))(
        coded
    )


def test_pools_are_those_of_the_frames(coded: EncodePass) -> None:
    shown = api.decode_planes(coded.data)
    frames = [psnr(a, b) for a, b in zip(scenes(), shown, strict=True)]
    assert judged(coded, "psnr", "mean") == pytest.approx(fmean(frames))
    assert judged(coded, "psnr", "p5") in [pytest.approx(x) for x in sorted(frames)[:3]]
    assert judged(coded, "psnr", "worst-scene") == pytest.approx(fmean(frames[14:]))
    assert fmean(frames[:14]) > fmean(frames[14:]) + 5


@pytest.mark.parametrize("metric", ["ssimulacra2", "cvvdp"])
def test_judges_put_qualities_in_their_order(metric: str) -> None:
    if reason := missing_package(metric):
        pytest.skip(reason)
    clip, extent = EASY, VideoStats(Clip(EASY).format, len(EASY), 0)
    judge = QualityMetric(metric, "mean", opener(clip), extent)
    configs = (dataclasses.replace(FAST, q=q) for q in (10, 40, 60))
    values = [judge(encode_pass(opener(clip), c, "", unwatched, len(clip))) for c in configs]
    assert values == sorted(values, reverse=True) and values[0] <= METRICS[metric].best
    wanted = round((values[0] + values[1]) / 2, 2)
    reached = encode_to_target(opener(clip), FAST, Target(metric, wanted), unwatched)
    assert wanted <= reached.value < values[0]


def test_a_run_of_frames_is_judged_as_one(
    coded: EncodePass, monkeypatch: pytest.MonkeyPatch
) -> None:
    runs: list[int] = []

    def stand_in(pair, frames, fps, device) -> float:
        runs.append(len(frames))
        return 10 - 100 * float(np.mean([np.abs(np.subtract(*pair(n))).mean() for n in frames]))

    monkeypatch.setattr(quality, "cvvdp", stand_in)
    mean, worst = (judged(coded, "cvvdp", pool) for pool in ("mean", "worst-scene"))
    assert runs == [28, 14, 14] and worst < mean


def test_the_worst_scene_takes_more_bytes_than_the_mean() -> None:
    clip, config = scenes(), dataclasses.replace(FAST, keyint=240)
    mean, worst = (
        encode_to_target(opener(clip), config, Target("psnr", 30.0, of), unwatched)
        for of in ("mean", "worst-scene")
    )
    assert len(worst.encoded_pass.data) > len(mean.encoded_pass.data)
    assert worst.value >= 30 and judged(worst.encoded_pass, "psnr", "worst-scene") == worst.value


def test_the_quality_or_the_best_at_the_size() -> None:
    clip = make_clip(128, 96, 12, seed=6)
    free = encode_to_target(opener(clip), FAST, Target("psnr", 33.0), unwatched)
    for room in (2.0, 0.6):
        most = int(room * len(free.encoded_pass.data))
        reached = encode_to_target(
            opener(clip), FAST, Target("psnr", 33.0, most_bytes=most), unwatched
        )
        assert len(reached.encoded_pass.data) <= most
        if room > 1:
            assert reached.limit is None and reached.value >= 33
        else:
            assert reached.limit == most and reached.value < 33
            assert len(reached.encoded_pass.data) >= 0.9 * most


def test_smaller_pictures_are_judged_at_the_size_of_the_source() -> None:
    clip = make_clip(192, 128, 8, seed=2)
    scaler = Scaler(Clip(clip).format, (96, 0))
    small = [scaler.apply(planes) for planes in clip]
    whole = opener(clip)
    reached = encode_to_target(
        opener(small), FAST, Target("psnr", 22.0), unwatched, open_original=whole
    )
    up = Scaler(Reader(io.BytesIO(reached.encoded_pass.data)).header.format, (192, 128))
    shown = [up.apply(planes) for planes in api.decode_planes(reached.encoded_pass.data)]
    measured = fmean(psnr(a, b) for a, b in zip(clip, shown, strict=True))
    assert 22 <= reached.value == pytest.approx(measured)
    assert (
        "psnr compares with the source's 192×128: 96×64 is enlarged to it"
        in reached.encoded_pass.notes
    )


def test_the_command_says_which_of_both_it_was(tmp_path) -> None:
    source, stream = tmp_path / "in.mkv", tmp_path / "out.gvc"
    write_clip(source, make_clip(96, 80, 12, seed=3))
    common = ("--preset", 10, "--fit", "off", "--threads", 1, "--base", "av1", "-y")
    wanted = ("--target", "psnr=34", "--target-of", "p5")
    done = command("encode", source, stream, *wanted, "--max-size", "100k", *common)
    assert "psnr (worst 5 %) 34." in done.err
    assert "of 100000 bytes at most" in done.err
    done = command("encode", source, stream, *wanted, "--max-size", "1200", *common)
    assert "too few for psnr (worst 5 %) 34" in done.err
    assert stream.stat().st_size <= 1200
    done = command("encode", source, stream, "--target", "psnr=24", "--scale", "1/2", *common)
    assert "compares with the source's 96×80" in done.err
    options = {"base": "av1", "preset": 10, "fit": 0, "overwrite": True}
    done = gvcodec.encode_file(source, stream, target="psnr=34", max_size=1200, **options)
    assert done.limit == 1200 and done.reached.value < done.target.value == 34


def test_verify_compares_a_smaller_stream_at_the_size_of_the_source(tmp_path) -> None:
    source, stream = tmp_path / "in.mkv", tmp_path / "out.gvc"
    write_clip(source, make_clip(96, 80, 12, seed=3))
    small = {"base": "av1", "preset": 10, "fit": 0, "input_options": InputOptions(scale=(48, 0))}
    done = gvcodec.encode_file(source, stream, target="psnr=22", **small)
    found = gvcodec.verify(stream, source)
    assert found.enlarged_to == (96, 80) and found.compared == 12
    assert found.painted_psnr[0] == pytest.approx(done.reached.value)
    verified = command("verify", stream, "--source", source, code=10)
    command("verify", stream, "--source", source, "--scale", "48x")
    assert "compared at the source's 96×80" in verified.out
    write_clip(tmp_path / "wide.mkv", make_clip(192, 80, 12, seed=3))
    with raises(UsageError, "streams-differ"):
        gvcodec.verify(stream, tmp_path / "wide.mkv")


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"target": "cvvdp=9", "target_of": "p5"}, "cvvdp measures runs of frames"),
        ({"target_of": "p5"}, "--target-of needs --target"),
        ({"target": "psnr=30", "max_size": 0}, "a largest size is above 0"),
        ({"target": "ssimulacra2=101"}, "is not psnr=DECIBEL or lpips=DISTANCE"),
    ],
)
def test_what_does_not_go_together_is_refused(options: dict, words: str) -> None:
    with pytest.raises(UsageError, match=words):
        _ = Job("in", "out", EncoderConfig(), InputOptions(), **options).rate


def test_packages_that_are_missing_are_named_before_anything_is_read(monkeypatch) -> None:
    monkeypatch.setattr(quality, "missing_package", lambda name: f"{name} is not installed")
    with pytest.raises(UsageError, match="cvvdp is not installed"):
        encode_to_target(
            lambda: contextlib.nullcontext(None), FAST, parse_target("cvvdp=9"), unwatched
        )
