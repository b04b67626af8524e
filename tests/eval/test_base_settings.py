"""Settings of SVT-AV1 compared at equal quality, and coded."""

from fractions import Fraction

import numpy as np
import pytest

from eval.experiments.base_settings import SETTINGS, Source, at_rate, change, code
from eval.quick import narrow
from gvcodec.types import VideoFormat
from tests.conftest import moving_texture


def rows(factor: float, flicker: float = 1.0) -> list[dict[str, str]]:
    """Points of a curve that takes `factor` times the bits."""
    return [
        {"bpp": f"{factor * bpp}", "psnr_y": f"{30 + 6 * np.log2(bpp / 0.01)}"}
        | {"lpips_alex": f"{0.01 / bpp}", "flicker": f"{flicker * 0.1}"}
        for bpp in (0.01, 0.02, 0.04)
    ]


def test_a_tenth_more_bits_are_ten_per_cent() -> None:
    anchor, other = rows(1), rows(1.1, flicker=1.5)
    assert change(anchor, other, "psnr_y") == pytest.approx(10, abs=0.1)
    for point in other:
        assert at_rate(anchor, point, "psnr_y") == pytest.approx(10, abs=0.1)
        assert at_rate(anchor, point, "lpips_alex") == pytest.approx(10, abs=0.1)
    assert np.exp(change(anchor, other, "flicker")) == pytest.approx(1.5)


def test_each_setting_is_another_file_than_the_encoders_own() -> None:
    frames = [narrow(planes) for planes in moving_texture(96, 80, 8)]
    source = Source("texture", frames, VideoFormat(96, 80, Fraction(25), Fraction(1, 25)))
    sizes = {}
    for name in ("default", "ac4"):
        sizes[name], shown = code("gvcodec", source, SETTINGS[name], 40, ["base", "painted"])
        assert [len(frames) for frames in shown.values()] == [8, 8]
    alone, shown = code("svt", source, SETTINGS["default"], 40, [""])
    assert sizes["default"] != sizes["ac4"] and alone < sizes["default"] and len(shown[""]) == 8
