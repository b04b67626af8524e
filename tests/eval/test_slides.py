"""Where painting is measured to stray."""

from fractions import Fraction
from pathlib import Path

import pytest

from gvcodec.types import VideoFormat
from tests.conftest import moving_texture
from tests.painter.test_strength import slides


def test_painted_slides_are_farther_from_their_source(
    weights_folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("GVCODEC_METRIC_WEIGHTS", str(weights_folder))
    from eval.experiments.slides import measure
    from eval.quick import narrow
    from gvcodec import perceptual

    fmt = VideoFormat(160, 96, Fraction(25), Fraction(1, 25))
    distance = perceptual.lpips("alex")
    ratio, lost, base, painted = measure([*map(narrow, slides(12, 96, 160))], fmt, 35, distance)
    assert ratio > 1.5 and lost > 0.1 and painted > base > 0
    ratio, _, base, painted = measure(
        [*map(narrow, moving_texture(160, 96, 12))], fmt, 50, distance
    )
    assert ratio < 1.5 and painted != base
