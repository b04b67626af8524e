"""Held-out clips, the check against earlier measurements, smaller sizes on a curve."""

import argparse
import csv
import itertools

import pytest

from eval.experiments import kept_out
from eval.report.data import load
from eval.sequences import KEPT_OUT, kept_out_sources
from eval.tools import EvalError, write_json

CURVE = [(0.006, 0.4), (0.02, 0.2), (0.06, 0.1)]


def put(folder, row, curve, family="gvcodec", **codec):
    """A row's curve of one clip: LPIPS-Alex, DISTS and PSNR-Y that mean the same."""
    targets = {}
    for number, (bpp, value) in enumerate(curve):
        metrics = {"lpips_alex": value, "dists": value, "psnr_y": 40 - 10 * value}
        means = {name: {"mean": mean} for name, mean in metrics.items()}
        clip = {"name": "a", "frames": 48, "set": "kept-out", "stand_in": False}
        name = f"a__{row}__{number}.json"
        write_json(folder / "runs" / name, {"bpp": bpp, "metrics": means, "clip": clip})
        targets[str(bpp)] = {"q": number, "run": name}
    about = {"name": row, "label": row, "family": family, "output": "", **codec}
    curve_file = folder / "curves" / f"a__{row}.json"
    write_json(curve_file, {"clip": "a", "codec": about, "targets": targets})


def test_every_kept_out_clip_has_its_reason(tmp_path):
    with open(KEPT_OUT, newline="", encoding="utf-8") as file:
        rows = list(csv.DictReader(file))
    assert len({row["clip"] for row in rows}) == len(rows) == 12
    assert all(row["kept"] in ("source", "clip") and len(row["why"]) > 40 for row in rows)
    with pytest.raises(EvalError, match=f"{rows[0]['clip']}.mp4, .* missing"):
        kept_out_sources(tmp_path)


@pytest.mark.parametrize(("factor", "worse"), [(1.0, False), (1.015, False), (1.05, True)])
def test_more_bits_than_before_fail(tmp_path, factor, worse):
    paths = [tmp_path / name for name in ("0.8.csv", "0.9.csv")]
    for path, times in zip(paths, (1.0, factor), strict=True):
        with open(path, "w", newline="") as file:
            rows = csv.DictWriter(file, kept_out.FIELDS)
            rows.writeheader()
            for output, (bpp, value) in itertools.product(("base", "painted"), CURVE):
                row = {"clip": "a", "codec": "gvcodec", "output": output, "bpp": bpp * times}
                row |= {"samples": 640 * 360, "lpips_alex": value, "dists": value}
                rows.writerow(row | {"psnr_y": 40 - 10 * value})
    options = argparse.Namespace(out=paths[1], releases=tmp_path)
    if worse:
        with pytest.raises(SystemExit, match="480p painted DISTS: more than 2 % more bits"):
            kept_out.check(options)
    else:
        kept_out.check(options)


def test_smaller_sizes_belong_to_the_curve_of_their_codec(tmp_path):
    put(tmp_path, "svtav1-ra", CURVE, "svtav1")
    put(tmp_path, "svtav1-0.5-ra", [(0.004, 0.45)], "svtav1", part_of="svtav1-ra")
    results = load(tmp_path)
    assert list(results.rows) == ["svtav1-ra"]
    assert results.curve("a", "svtav1-ra", "dists") == [(0.004, 0.45), *CURVE]


def row_of(codec: str, clip: str, samples: int, bpp: float, lpips: float, flicker: float) -> str:
    cells = {"clip": clip, "codec": codec, "output": "", "bpp": bpp, "lpips_alex": lpips}
    cells |= {"flicker": flicker, "seconds": 2.0, "samples": samples}
    return ",".join(str(cells.get(name, "")) for name in kept_out.FIELDS)


def test_the_report_has_a_row_for_each_size_and_band(tmp_path, capsys):
    """Half the bytes at equal distance are -50 %, whatever the size; flicker is a ratio."""
    path = tmp_path / "1.0.csv"
    lines = [",".join(kept_out.FIELDS)]
    for clip, samples in (("a", 640 * 360), ("b", 1280 * 720)):
        for bpp in (0.004, 0.016, 0.064):
            distance = bpp**-0.5 / 40
            lines.append(row_of("svtav1", clip, samples, bpp, distance, 1.0))
            lines.append(row_of("gvcodec", clip, samples, bpp / 2, distance, 1.5))
    path.write_text("\n".join(lines) + "\n")
    kept_out.report(argparse.Namespace(out=path, bands=True, anchor="svtav1"))
    printed = capsys.readouterr().out.splitlines()
    table = [[cell.strip() for cell in line.split("|")] for line in printed]
    rows = {(cells[1], cells[2]): cells for cells in table if "svtav1" in cells}
    bands = (".003–.01", ".01–.03", ".03–.08")
    assert set(rows) == {(size, band) for size in ("480p", "720p") for band in bands}
    for cells in rows.values():
        assert abs(float(cells[7].split(" ")[0]) + 50) < 4 and "×1.50" in cells, cells


def test_every_release_before_can_be_compared_with():
    for path in sorted(kept_out.RELEASES.glob("*.csv")):
        rows = list(csv.DictReader(path.open(newline="", encoding="utf-8")))
        assert rows and set(rows[0]) == set(kept_out.FIELDS), path
        assert {row["codec"] for row in rows} >= {"gvcodec", "svtav1"}
        assert all(kept_out.size_of(row) in kept_out.SIZES for row in rows)
