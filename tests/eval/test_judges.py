"""SSIMULACRA2 and ColorVideoVDP put known pictures in their known order, and are not needed."""

import importlib.util
import itertools
import sys
from fractions import Fraction
from types import ModuleType

import numpy as np
import pytest
import torch
from scipy import ndimage

from eval.frames import Loaded, clip_of
from eval.metrics import DEFAULT, Measurer, looked_at, middle, missing, need
from eval.metrics import reasons as reasons_of
from eval.tools import EvalError
from gvcodec.rate import quality
from tests.eval_helpers import altered, small_clip

JUDGES = ("ssimulacra2", "cvvdp")


def needs(name):
    return pytest.mark.skipif(bool(quality.missing_package(name)), reason=f"no package {name}")


@pytest.fixture(scope="module")
def clip(tmp_path_factory):
    return small_clip(tmp_path_factory.mktemp("judges"), frames=4)


def each(change):
    return lambda frames: [tuple(map(change, planes)) for planes in frames]


def noisy(strength):
    rng = np.random.default_rng(3)
    noise = lambda p: p + rng.normal(0, strength, p.shape)
    return each(lambda p: np.clip(noise(p), 0, 255).astype(np.uint8))


def blurred(strength):
    return each(lambda p: ndimage.gaussian_filter(p, strength))


@pytest.mark.parametrize("name", [pytest.param(name, marks=needs(name)) for name in JUDGES])
@pytest.mark.parametrize("damage", [noisy, blurred])
def test_more_damage_is_worse_and_equal_is_best(clip, tmp_path, name, damage):
    measure = Measurer(clip, {name: 1})
    versions = [lambda frames: frames, *(damage(s) for s in (1.5, 3, 6))]
    videos = (altered(clip, tmp_path / f"{i}.yuv", v) for i, v in enumerate(versions))
    values = [measure(video)[name]["mean"] for video in videos]
    assert values[0] == pytest.approx(100 if name == "ssimulacra2" else 10)
    assert all(better > worse for better, worse in itertools.pairwise(values)), values


@needs("cvvdp")
def test_a_video_that_flickers_is_worse_than_one_that_is_off_by_as_much(clip, tmp_path):
    """It looks at the video, at its own frame rate: not at frames one by one."""

    def lifted(signs):
        return lambda frames: [
            (np.clip(f[0].astype(int) + 6 * s, 0, 255).astype(np.uint8), *f[1:])
            for f, s in zip(frames, signs, strict=True)
        ]

    measure = Measurer(clip, {"cvvdp": 1})
    still, flickering = (
        measure(altered(clip, tmp_path / f"{i}.yuv", lifted(signs)))["cvvdp"]["mean"]
        for i, signs in enumerate([(1, 1, 1, 1), (1, -1, 1, -1)])
    )
    assert flickering < still < 10


@needs("cvvdp")
def test_colorvideovdp_needs_no_torchvision(clip, monkeypatch):
    """One that does not fit torch is common. What was imported before stays."""
    broken = ModuleType("torchvision")
    monkeypatch.setitem(sys.modules, "torchvision", broken)
    quality._colorvideovdp.cache_clear()
    path = list(sys.path)
    pair = clip.rgb(clip.raw.planes(0)), clip.rgb(clip.raw.planes(1))
    assert 3 < quality.cvvdp(lambda i: pair, [0, 1], 25.0, "cpu") < 10
    assert sys.modules["torchvision"] is broken and sys.path == path


@pytest.mark.skipif("tof" in missing(["tof"]), reason="no package opencv-python-headless")
def test_tof_is_the_error_of_motion_in_samples(tmp_path):
    """A texture that moves two samples a frame, decoded one and four samples a frame."""
    texture = ndimage.gaussian_filter(np.random.default_rng(5).random((96, 160)), 3, mode="wrap")
    texture = 255 * (texture - texture.min()) / np.ptp(texture)
    flat = np.full((48, 80), 128, np.uint8)

    def moving(speed):
        lumas = (np.roll(texture, speed * i, 1).astype(np.uint8) for i in range(4))
        return [(luma, flat, flat) for luma in lumas]

    measure = Measurer(clip_of(moving(2), Fraction(25)), {"tof": 1})
    values = [measure(Loaded(moving(speed)))["tof"]["mean"] for speed in (2, 1, 4)]
    assert values[0] == 0 and values[1] == pytest.approx(1, abs=0.15), values
    assert values[2] == pytest.approx(2, abs=0.3), values


def test_without_the_packages_they_are_named_and_the_rest_is_measured(monkeypatch):
    found = importlib.util.find_spec
    find = lambda n: None if n in ("ssimulacra2", "pycvvdp") else found(n)
    monkeypatch.setattr(importlib.util, "find_spec", find)
    lacking = missing(DEFAULT)
    assert set(JUDGES) <= set(lacking) and "psnr_y" not in lacking
    lines = reasons_of({name: lacking[name] for name in JUDGES})
    missing_one = "ssimulacra2 is not installed (pip install ssimulacra2)"
    assert f"SSIMULACRA2 cannot be measured: {missing_one}" in lines
    with pytest.raises(EvalError, match="ColorVideoVDP cannot be measured: cvvdp is not"):
        need(["cvvdp"])


def test_a_video_is_judged_by_its_middle():
    assert middle(96, 4) == list(range(36, 60))
    assert middle(5, 1) == [0, 1, 2, 3, 4] and middle(1, 4) == [0]
    parts = "the middle 1/4 of the frames, DISTS on one frame in 16"
    assert looked_at({"cvvdp": 4, "dists": 16}) == f"ColorVideoVDP on {parts}"


def test_the_blur_is_gaussian():
    x = np.random.default_rng(0).random((2, 3, 20, 31)).astype(np.float32)
    want = ndimage.gaussian_filter(x, 3, radius=6, mode="mirror", axes=(2, 3))
    got = quality.GaussianBlur(13, 3).forward(torch.from_numpy(x)).numpy()
    assert np.abs(got - want).max() < 1e-5
