"""The control of tables: rows are added once, and the best noise is that of each clip and
metric."""

import argparse
from fractions import Fraction

import numpy as np
import pytest

from eval.experiments import noise_control
from eval.experiments.noise_control import BEST, change, choose_noise, curves_of
from eval.noise import add_noise
from eval.tools import read_rows
from gvcodec.types import Colour, VideoFormat

RATES = (0.004, 0.016, 0.064)
TUNED = "svtav1-tuned"


def rows_of(
    clip: str, codec: str, output: str, noise: float, factor: float
) -> list[dict[str, str]]:
    """A curve that needs `factor` times the bytes for the same distance."""
    about = {"clip": clip, "codec": codec, "output": output, "noise": f"{noise:g}"}
    return [
        about
        | {"q": "50", "bytes": "1", "bpp": str(rate * factor), "samples": "400000"}
        | {"metric": "lpips_alex", "frames": "2", "value": str(0.1 * rate**-0.4), "spread": ""}
        for rate in RATES
    ]


@pytest.fixture
def rows() -> list[dict[str, str]]:
    """Noise 1/2 saves a tenth of the bytes on clip a, noise of any strength costs on clip b."""
    factors = {"a": {0: 1.0, 0.5: 0.9, 1: 0.95, 2: 1.5}, "b": {0: 1.0, 0.5: 1.2, 1: 1.3, 2: 2.0}}
    found = []
    for clip, by_noise in factors.items():
        for noise, factor in by_noise.items():
            found += rows_of(clip, TUNED, "", noise, factor)
        found += rows_of(clip, "gvcodec", "painted", 0, 0.8)
    return found


def test_the_best_noise_is_that_of_each_clip(rows):
    curves = curves_of(rows)
    best = {clip: choose_noise(curves, clip, "lpips_alex", (TUNED, BEST)) for clip in "ab"}
    assert best == {"a": (TUNED, 0.5), "b": (TUNED, 0.0)}
    painted = ("gvcodec painted", 0.0)
    for clip, expected in (("a", 0.8 / 0.9), ("b", 0.8)):
        percent = change(curves, clip, "lpips_alex", painted, (TUNED, BEST))
        assert percent == pytest.approx(100 * (expected - 1), abs=0.5)
    assert change(curves, "a", "dists", painted, (TUNED, 0.0)) is None


def test_the_report_has_a_row_for_each_comparison_and_counts_clips(rows, tmp_path, capsys):
    path = tmp_path / "rows.csv"
    path.write_text(
        "\n".join(",".join(r) for r in (noise_control.FIELDS, *(row.values() for row in rows)))
    )
    noise_control.report(argparse.Namespace(out=path))
    table = [line.split("|")[1:-1] for line in capsys.readouterr().out.splitlines()]
    header, _, *lines = [[cell.strip() for cell in line] for line in table]
    cells = {line[1]: dict(zip(header, line, strict=True)) for line in lines}
    assert cells["painted against tuned"]["LPIPS-Alex"] == "-20.0 % (2)"
    assert cells["tuned + noise 0.5 against tuned"]["LPIPS-Alex"] == "+5.0 % (2)"
    assert cells["tuned + best noise against tuned"]["LPIPS-Alex"] == "-5.0 % (2)"
    assert cells["painted against tuned"]["DISTS†"] == "–"


def test_a_second_run_measures_only_what_is_missing(tmp_path, monkeypatch, made_weights):
    rng = np.random.default_rng(1)
    grey = np.full((24, 24), 128, np.uint8)
    frames = [(rng.integers(0, 255, (48, 48), np.uint8), grey, grey) for _ in range(4)]
    fmt = VideoFormat(48, 48, Fraction(25), Fraction(1, 25), 8, Colour(6, 6, 6))
    encoded = []

    def code(codec, source, _, q):
        encoded.append((codec, q))
        decoded = list(add_noise(source, q))
        outputs = [output for output, _ in noise_control.CODECS[codec]]
        return round(1000 / q), dict.fromkeys(outputs, lambda: decoded)

    monkeypatch.setattr(noise_control, "code", code)
    monkeypatch.setattr(noise_control, "find_clip", lambda folders, clip: clip)
    monkeypatch.setattr(noise_control, "read", lambda path, samples, count: (frames, fmt))
    monkeypatch.setattr(noise_control, "qualities", lambda clip: [3.0, 9.0])
    options = argparse.Namespace(data=[], out=tmp_path / "x.csv", cache=tmp_path / "cache")
    options.clips, options.metrics = ["clip"], ["dists", "dists_dithered"]
    noise_control.measure(options)
    text, count = options.out.read_text(), len(encoded)
    assert count == 2 * len(noise_control.CODECS)
    rows = read_rows(options.out)
    outputs = sum(map(len, noise_control.CODECS.values()))
    assert len({noise_control.Measurement.key(row) for row in rows}) == 2 * outputs * 3
    assert len(rows) == 2 * outputs * 3
    assert all((row["spread"] != "") == row["metric"].endswith("dithered") for row in rows)

    for path in options.cache.iterdir():
        path.unlink()
    noise_control.measure(options)
    assert options.out.read_text() == text and len(encoded) == count

    lines = text.splitlines(keepends=True)
    options.out.write_text("".join(lines[:-5]))
    noise_control.measure(options)
    assert options.out.read_text() == text
    # The lost rows are of the tuned SVT-AV1 at both qualities.
    assert encoded[count:] == [("svtav1-tuned", 3.0), ("svtav1-tuned", 9.0)]


def test_noise_is_fixed_rounded_and_only_on_luma():
    grey = np.full((64, 64), 128, np.uint8)
    planes = np.full((128, 128), 100, np.uint8), grey, grey
    first, second = (list(add_noise([planes] * 2, 2.0)) for _ in range(2))
    assert all(np.array_equal(a[0], b[0]) for a, b in zip(first, second, strict=True))
    assert first[0][0].dtype == np.uint8 and first[0][1] is grey
    assert float(first[0][0].std()) == pytest.approx(2, abs=0.1)
    assert not np.array_equal(first[0][0], first[1][0])
    assert np.array_equal(next(add_noise([planes], 0.0))[0], planes[0])
