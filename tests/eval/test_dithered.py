"""Dithered LPIPS and DISTS: noise on the decoded picture counts for little, blur and a coarser
quantizer for much."""

from fractions import Fraction

import numpy as np
import pytest
import torch
from PIL import Image, ImageDraw
from scipy import ndimage

from eval import quick
from eval.frames import Loaded, clip_of
from eval.metrics import DITHER_SEEDS, DITHERED, Measurer, missing, need, network
from eval.noise import add_noise
from eval.tools import EvalError
from gvcodec import perceptual
from gvcodec.perceptual.dither import SIGMA, dither
from gvcodec.types import VideoFormat
from tests.clips import texture

SIDE = 192
GREY = np.full((SIDE // 2, SIDE // 2), 128, np.uint8)
FORMAT = VideoFormat(SIDE, SIDE, Fraction(25), Fraction(1, 25))


def luma_of(kind: str) -> np.ndarray:
    """A picture of 8 bits: `flat` (smooth areas with edges), `textured` or `drawn`."""
    if kind == "textured":
        return np.rint(40 + 170 * texture(3, SIDE, SIDE)).astype(np.uint8)
    if kind == "drawn":
        page = Image.new("L", (4 * SIDE, 4 * SIDE), 225)
        pen = ImageDraw.Draw(page)
        for n in range(9):
            pen.ellipse((60 * n, 50 * n, 60 * n + 260, 50 * n + 200), 210 - 20 * n, 40, 8)
            pen.line((30, 740 - 70 * n, 740, 600 - 40 * n), 60 + 12 * n, 6)
        return np.asarray(page.resize((SIDE, SIDE), Image.Resampling.BOX))
    y, x = np.mgrid[:SIDE, :SIDE]
    scene = 110 + 0.3 * x + 30 * np.sin(y / 40)
    for top, left, radius, step in ((60, 60, 38, 50), (120, 130, 45, -45), (50, 150, 20, 30)):
        distance = np.hypot(y - top, x - left)
        scene += step * (distance < radius) - 25 * (abs(distance - radius / 2) < 1)
    grain = np.random.default_rng(1).normal(0, 1.5, scene.shape)
    return np.rint(scene + ndimage.gaussian_filter(grain, 0.7)).clip(0, 255).astype(np.uint8)


def decoded(luma: np.ndarray, q: float) -> np.ndarray:
    """The luma as SVT-AV1 codes it at a CRF."""
    return quick.code("svt:p8", [(luma, GREY, GREY)], FORMAT, q)[1][""]()[0][0]


def distances(kind: str, metrics: dict[str, int]) -> dict[str, dict[str, float]]:
    """Of a decoded picture, and of the same with noise, blurred, and at a coarser quantizer."""
    luma, q = luma_of(kind), 56 if kind == "drawn" else 44
    base = decoded(luma, q)
    versions = {"base": base, "coarser": decoded(luma, q + 6)}
    versions["blurred"] = np.rint(ndimage.gaussian_filter(base.astype(float), 1)).astype(np.uint8)
    for sigma in (0.5, 1.0):
        versions[f"noise {sigma:g}"] = next(add_noise([(base, GREY, GREY)], sigma))[0]
    measure = Measurer(clip_of([(luma, GREY, GREY)], Fraction(25)), metrics)
    return {
        name: {m: r["mean"] for m, r in measure(Loaded([(y, GREY, GREY)])).items()}
        for name, y in versions.items()
    }


@pytest.fixture(params=["shipped", "published"])
def metrics(request) -> dict[str, int]:
    """DISTS of the shipped network, and both metrics where others' weights are found."""
    if request.param == "shipped":
        request.getfixturevalue("made_weights")
        return {"dists_dithered": 1}
    if perceptual.find_weights() is None:
        pytest.skip("no weights of the perceptual metrics here")
    network.cache_clear()
    return {"lpips_alex_dithered": 1, "dists_dithered": 1}


@pytest.mark.parametrize("kind", ["flat", "textured", "drawn"])
def test_noise_counts_for_little_and_lost_detail_for_much(kind, metrics):
    values = distances(kind, metrics)
    for name in metrics:
        change = {version: v[name] / values["base"][name] - 1 for version, v in values.items()}
        assert abs(change["noise 0.5"]) < 0.01 and abs(change["noise 1"]) < 0.01, (name, change)
        assert change["blurred"] > 0.05 and change["coarser"] > 0.05, (name, change)


def test_plain_dists_takes_noise_for_texture(made_weights):
    """Why there is a control: the same noise moves the plain metric by far more."""
    values = distances("textured", {"dists": 1, "dists_dithered": 1})
    plain, dithered = (values["noise 1"][n] / values["base"][n] - 1 for n in values["base"])
    assert plain < -0.1 and abs(dithered) < 0.01


def test_noise_is_grey_fixed_and_another_for_each_seed():
    pictures = torch.rand(2, 3, 40, 60)
    added = dither(pictures, [1, 0]) - pictures
    assert torch.allclose(added[:, :1].expand_as(added), added, atol=1e-6)
    assert float(added.std()) == pytest.approx(SIGMA / 255, rel=0.05)
    assert torch.equal(dither(pictures, [1, 0]), dither(pictures, [1, 0]))
    other = dither(pictures, [1, 1]) - pictures
    for pair in ((added[0, 0], other[0, 0]), (added[0, 0], added[1, 0])):
        assert abs(float(torch.corrcoef(torch.stack([p.flatten() for p in pair]))[0, 1])) < 0.1
    assert float(dither(torch.zeros(1, 3, 8, 8), 3, sigma=0.0).abs().max()) == 0


def test_it_is_the_mean_over_seeds_and_their_range_is_the_spread(made_weights):
    clip = clip_of([(luma_of("flat"), GREY, GREY)] * 2, Fraction(25))
    shown = Loaded(list(add_noise([clip.raw.planes(i) for i in range(2)], 3.0)))
    net = perceptual.dists()

    def distance(seed: int, index: int) -> float:
        rgb = (clip.rgb(video.planes(index)) for video in (shown, clip.raw))
        tensors = (torch.from_numpy(x.copy())[None] for x in rgb)
        return float(net(*(dither(x, [seed, side, index]) for side, x in enumerate(tensors))))

    means = [np.mean([distance(seed, index) for index in range(2)]) for seed in DITHER_SEEDS]
    result = Measurer(clip, {"dists_dithered": 1})(shown)["dists_dithered"]
    assert result["mean"] == pytest.approx(np.mean(means), rel=1e-3)
    assert result["spread"] == pytest.approx(np.ptp(means), abs=1e-4) and result["spread"] > 0
    assert "spread" not in Measurer(clip, {"dists": 1})(shown)["dists"]


def test_without_weights_it_is_named(monkeypatch, tmp_path):
    monkeypatch.setenv(perceptual.WEIGHTS_VARIABLE, str(tmp_path))
    monkeypatch.setattr("eval.metrics.judges.published", lambda name: (None, "not here"))
    assert set(missing([*DITHERED, "psnr_y"])) == set(DITHERED)
    with pytest.raises(EvalError, match="LPIPS-Alex dithered, .*DISTS dithered cannot be measured"):
        need(DITHERED)
