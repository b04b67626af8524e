"""Sanity of the metrics: coarser is smaller and worse, identical is perfect, grey is worst."""

import dataclasses
import json
import re
import subprocess
import tempfile
from fractions import Fraction

import numpy as np
import pytest
from scipy import ndimage

from eval.metrics import DITHERED, METRICS, Measurer, missing, pixel, sample
from eval.metrics.filters import apply_filter, vmaf, xpsnr
from eval.points.bd import bd_rate, bootstrap
from eval.rd.encoding import decode, encode
from eval.tools import EvalError, ffmpeg
from tests.eval_helpers import altered, quick_x264, small_clip

#: Every metric that can be measured here and is perfect for equal pictures, the networks on two
#: frames.
EVERY = {name: 1 for name in METRICS if name not in ("lpips_vgg", *DITHERED)} | {
    "lpips_alex": 4,
    "dists": 4,
}
EVERY = {name: n for name, n in EVERY.items() if name not in missing(EVERY)}


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return tmp_path_factory.mktemp("eval")


@pytest.fixture(scope="module")
def clip(folder):
    return small_clip(folder)


@pytest.fixture(scope="module")
def measure(clip):
    return Measurer(clip, EVERY)


@pytest.fixture(scope="module")
def coded(clip, folder, measure):
    """crf → (bytes, metrics, decoded video) of quick x264 streams."""
    codec, found = quick_x264(), {}
    for crf in (24, 32, 40):
        encoded = encode(codec, clip, crf, folder / "streams")
        place = folder / str(crf)
        place.mkdir()
        decoded, _ = decode(codec, "", encoded, clip, place)
        found[crf] = encoded.size, measure(decoded), decoded
    return found


def test_higher_crf_is_smaller_and_worse(coded):
    sizes = [coded[crf][0] for crf in (24, 32, 40)]
    assert sizes == sorted(sizes, reverse=True) and len(set(sizes)) == 3
    for name in set(EVERY) - {"flicker"}:
        means = [coded[crf][1][name]["mean"] for crf in (24, 32, 40)]
        assert means == sorted(means, reverse=METRICS[name].higher_is_better), name


def test_identical_video_is_perfect(clip, measure):
    for name, result in measure(clip.raw).items():
        best = 100.0 if METRICS[name].higher_is_better else 0.0
        near_best = {
            "ms_ssim": 1.0,
            "cvvdp": 10.0,
            "vmaf": result["mean"],
            "vmaf_neg": result["mean"],
        }
        perfect = near_best.get(name, best)
        assert result["mean"] == pytest.approx(perfect, abs=1e-6), name
        near = 25 if name.startswith("vmaf") else 1e-6
        assert result["worst"] == pytest.approx(result["mean"], abs=near), name


def test_grey_ranks_last(clip, measure, coded, folder):
    def greyed(frames):
        return [[np.full_like(p, 128) for p in f] for f in frames]

    grey = measure(altered(clip, folder / "grey", greyed))
    for name in set(EVERY) - {"flicker"}:  # a still picture does not flicker
        worse = (lambda a, b: a < b) if METRICS[name].higher_is_better else (lambda a, b: a > b)
        assert worse(grey[name]["mean"], coded[40][1][name]["mean"]), name


def test_swapped_frames_are_noticed(clip, measure, folder):
    def swap(frames):
        return [*frames[:2], frames[5], frames[3], frames[4], frames[2], *frames[6:]]

    swapped = measure(altered(clip, folder / "swapped", swap))
    assert swapped["psnr_y"]["worst"] < 30 and swapped["psnr_y"]["worst_frame"] in (2, 5)
    assert swapped["flicker"]["mean"] > 1
    equal = [i for i, value in enumerate(swapped["psnr_y"]["values"]) if value == 100]
    assert equal == [0, 1, 3, 4, 6, 7]


def test_flicker_sees_pumping_and_forgives_smoothing(clip, measure, folder):
    def pump(frames):
        pairs = zip(frames, brighter(frames), strict=True)
        return [pair[number % 2 == 0] for number, pair in enumerate(pairs)]

    def brighter(frames):
        return [[(np.minimum(p, 249) + 6).astype(np.uint8) for p in f] for f in frames]

    assert measure(altered(clip, folder / "pump", pump))["flicker"]["mean"] > 3
    assert measure(altered(clip, folder / "bright", brighter))["flicker"]["mean"] < 0.1


@pytest.mark.skipif("vmaf_neg" in missing(METRICS), reason="this ffmpeg has no libvmaf")
def test_vmaf_neg_gives_no_credit_for_sharpening(clip, folder):
    def sharpened(frames):
        def sharpen(plane):
            blur = ndimage.gaussian_filter(plane.astype(float), 1)
            return np.clip(plane + 0.3 * (plane - blur), 0, 255).astype(np.uint8)

        return [(sharpen(y), u, v) for y, u, v in frames]

    video = altered(clip, folder / "sharp", sharpened)
    means = {n: r["mean"] for n, r in Measurer(clip, {"vmaf": 1, "vmaf_neg": 1})(video).items()}
    assert means["vmaf_neg"] < means["vmaf"] - 1


def test_psnr_and_vmaf_equal_ffmpegs_filters(clip, coded, folder):
    _, measured, decoded = coded[32]
    log = folder / "psnr.txt"
    apply_filter(decoded, clip.raw, f"psnr=stats_file={log}", clip.fps)
    by_ffmpeg = [float(v) for v in re.findall(r"psnr_y:(\S+)", log.read_text())]
    assert np.allclose(measured["psnr_y"]["values"], by_ffmpeg, atol=0.01)
    stream = next((folder / "streams").glob("*x264-ld-32-*.h264"))
    log = folder / "vmaf.json"
    filter_ = f"[0:v][1:v]libvmaf=log_fmt=json:log_path={log}"
    inputs = ["-r", "25", "-i", stream, "-r", "25", "-i", clip.file]
    command = [ffmpeg(), "-v", "error", *inputs, "-lavfi", filter_]
    subprocess.run([*map(str, command), "-f", "null", "-"], check=True)
    direct = [f["metrics"]["vmaf"] for f in json.loads(log.read_text())["frames"]]
    assert measured["vmaf"]["values"] == pytest.approx(direct, abs=0.05)


def test_bd_rate_of_known_curves():
    curve = [(0.005, 0.30), (0.01, 0.25), (0.02, 0.20), (0.04, 0.15), (0.08, 0.10)]
    for times, by, wanted in ((1, 1, 0), (2, 1, 100), (0.5, 1, -50), (1, 0.1, None)):
        found = bd_rate(curve, [(times * r, by * v) for r, v in curve], False).percent
        assert found == (wanted if wanted is None else pytest.approx(wanted, abs=0.1))
    outside = [(r / 100, v) for r, v in curve]  # of 0.005…0.08 bpp
    assert bd_rate(curve, outside, False).percent is None
    rising, other = ([(times * r, -v) for r, v in curve] for times in (1, 2))
    assert bd_rate(rising, other, True).percent == pytest.approx(100, 0.01)


def test_bootstrap_interval_holds_the_mean():
    low, high = bootstrap([-10.0, -20.0, -15.0, -5.0])
    assert -20 <= low < -12.5 < high <= -5 and bootstrap([1.0, 2.0]) is None


def test_sampling_covers_all_phases():
    frames = sample(96, 4)
    assert len(frames) == 24 and {i % 4 for i in frames} == {0, 1, 2, 3}
    assert [i // 4 for i in frames] == list(range(24))
    assert sample(3, 16) == [2] and sample(5, 1) == [0, 1, 2, 3, 4]


@pytest.mark.parametrize("side", [8, 10])
def test_ms_ssim_refuses_pictures_below_its_window(side):
    picture = np.random.default_rng(0).random((3, side, 200), np.float32)
    with pytest.raises(EvalError, match="MS-SSIM needs pictures of 11 samples"):
        pixel.ms_ssim(picture, picture)
    large = np.random.default_rng(0).random((3, 11, 40), np.float32)
    assert pixel.ms_ssim(large, large) == pytest.approx(1)


def test_what_is_no_number_is_no_value(folder, monkeypatch):
    assert np.isnan(pixel.psnr(np.full((4, 4), np.nan), np.ones((4, 4)), 1.0))
    clip = small_clip(folder, frames=1)
    monkeypatch.setattr(pixel, "ms_ssim", lambda *pair: float("nan"))
    with pytest.raises(EvalError, match="MS-SSIM gives no number"):
        Measurer(clip, {"ms_ssim": 1})(clip.raw)


@pytest.mark.skipif("xpsnr" in missing(METRICS), reason="this ffmpeg has no XPSNR")
def test_xpsnr_is_taken_at_the_clips_frame_rate(clip, coded, folder):
    _, _, decoded = coded[32]
    assert len(values := xpsnr(decoded, clip.raw, Fraction(50))) == clip.raw.frames
    assert values != xpsnr(decoded, clip.raw, Fraction(25))  # other weights above 32 a second
    fast = dataclasses.replace(clip, fps=Fraction(50))
    assert Measurer(fast, {"xpsnr": 1})(decoded)["xpsnr"]["values"] == pytest.approx(values)


@pytest.mark.skipif({"vmaf", "xpsnr"} & set(missing(METRICS)), reason="an ffmpeg without filters")
def test_folders_of_any_name_hold_temporary_files(clip, tmp_path, monkeypatch):
    place = tmp_path / 'it\'s C:,[x];"y"'
    place.mkdir()
    monkeypatch.setattr(tempfile, "tempdir", str(place))
    assert min(vmaf(clip.raw, clip.raw, clip.fps)) > 90
    assert min(xpsnr(clip.raw, clip.raw, clip.fps)) == 100
