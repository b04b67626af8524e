"""Judges of pictures and their changes under noise, in the table of `noise_response`."""

from fractions import Fraction

import numpy as np

from eval.experiments import noise_response
from eval.noise import add_noise
from gvcodec.types import Colour, VideoFormat
from tests.conftest import moving_texture

FORMAT = VideoFormat(96, 80, Fraction(25), Fraction(1, 25), 8, Colour(6, 6, 6))


def pair():
    """Two frames of 8 bits."""
    return [
        tuple((p >> 2).astype(np.uint8) for p in planes) for planes in moving_texture(96, 80, 2)
    ]


def test_judges_of_the_encoder_see_no_difference_of_equal_frames_and_one_of_noise():
    source = pair()
    judges = list(noise_response.encoder_judges(source, FORMAT))
    assert len({name for name, _, _ in judges}) == 4
    noisy = list(add_noise(source, 4.0))
    for name, _, judge in judges:
        assert abs(judge(source)) < 1e-6, name
        assert judge(noisy) > 1e-4, name


def test_changes_are_of_the_frames_that_one_quantizer_gives(monkeypatch):
    asked = []

    def code(codec, frames, fmt, q):
        asked.append((codec, q))
        return 0, {"": lambda: list(add_noise(frames, q))}

    monkeypatch.setattr(noise_response, "code", code)
    source = pair()
    versions = noise_response.change_frames(source, FORMAT, 2.0)
    assert asked == [("svt", 2.0), ("svt", 8.0)]
    assert set(versions) == {"base", *noise_response.CHANGES}
    base = versions["base"][-1][0].astype(float)
    errors = {n: np.square(v[-1][0] - base).mean() for n, v in versions.items()}
    assert 0 == errors["base"] < errors["noise_0.5"] < errors["noise_1"] < errors["noise_2"]
    assert versions["blur"][-1][0].std() < base.std()


def test_the_report_names_the_farthest_clip(tmp_path, capsys):
    path = tmp_path / "x.csv"
    rows = [
        ["a", "x", "0", "1", "-2", "+1", "0", "9", "9"],
        ["b", "x", "0", "1", "1", "-5", "0", "9", "9"],
    ]
    path.write_text("\n".join(",".join(r) for r in (noise_response.FIELDS, *rows)))
    noise_response.report(path)
    (line,) = [row for row in capsys.readouterr().out.splitlines() if row.startswith("| x ")]
    cells = [cell.strip() for cell in line.split("|")[1:-1]]
    assert cells == ["x", "0", "2", "-0.5", "-2.0", "+0.0", "+9.0", "+9.0", "-2.0", "-5.0"]
