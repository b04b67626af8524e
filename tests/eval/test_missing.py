"""What is missing is said before a measurement; tables claim no more than was measured."""

import importlib.util
from pathlib import Path

import pytest

from eval.__main__ import main
from eval.experiments import frontier
from eval.points.bd import LEAST_POINTS, TOO_FEW, bd_rate, bootstrap
from eval.rd import command
from eval.report import tables
from eval.search import interval
from tests.conftest import in_process

ROOT = Path(__file__).resolve().parents[2]


@pytest.fixture
def hide(monkeypatch):
    """A function that hides packages."""
    real = importlib.util.find_spec

    def hide_packages(*names: str) -> None:
        monkeypatch.setattr(
            importlib.util, "find_spec", lambda name, *a: None if name in names else real(name, *a)
        )

    return hide_packages


@pytest.mark.parametrize("name", ["bjontegaard", "matplotlib", "torch"])
def test_rd_names_a_missing_package_before_it_measures(
    name: str, hide, tmp_path: Path, capsys, monkeypatch
) -> None:
    monkeypatch.setattr(command, "_measure", lambda *_: pytest.fail("measured"))
    hide(name)
    assert main(["rd", "--short", "--out", str(tmp_path / "out")]) == 1
    (line,) = capsys.readouterr().err.splitlines()
    assert name in line and "gvcodec[eval]" in line
    assert not (tmp_path / "out").exists()


def test_commands_without_torch_end_with_one_line() -> None:
    script = "import sys; sys.modules['torch'] = None\n"
    script += "from eval.__main__ import main; sys.exit(main(['budgets', 'x']))"
    done = in_process("-c", script, code=1, cwd=ROOT, text=True)
    assert done.stderr.splitlines() == ["eval: torch is not installed: pip install 'gvcodec[eval]'"]


CURVE = [(0.005, 0.30), (0.01, 0.25), (0.02, 0.20), (0.04, 0.15), (0.08, 0.10)]


def test_bd_rates_need_four_points_on_both_sides() -> None:
    assert LEAST_POINTS == 4
    for few in (CURVE[:3], [*CURVE[:3], CURVE[0]]):
        for pair in ((few, CURVE), (CURVE, few)):
            delta = bd_rate(*pair, higher_is_better=False)
            assert delta.percent is None and delta.reason == TOO_FEW
            assert tables.delta_text(delta) == TOO_FEW
    assert bd_rate(CURVE[:4], CURVE[1:], higher_is_better=False).percent == pytest.approx(0, abs=1)


def test_an_interval_is_explained_only_where_there_is_one() -> None:
    assert bootstrap([1.0, 2.0]) is None
    without = tables.Overall(-10.0, None, 2, 2).text()
    within = tables.Overall(-10.0, (-12.0, -8.0), 3, 4).text()
    assert (without, within) == ("-10.0 %", "-10.0 % [-12, -8] (3 of 4 clips)")
    assert "bootstrap" not in tables._explain(f"| a | {without} |", "Averages over 2 clips.")
    assert "bootstrap" in tables._explain(f"| a | {within} |", "Averages over 4 clips.")
    assert interval([0.5]) == "50.0" and "±" in interval([0.5, 0.6])


def test_means_over_fewer_values_than_the_row_says_so() -> None:
    assert interval([0.5, None]) == "50.0 (1)" and not interval([0.5, 0.5]).endswith(")")
    place = frontier.Place("x265", {"a": 2.0, "b": 4.0}, {n: {} for n in frontier._METRICS})
    place.bits["lpips_alex"] |= {"a": -10.0}
    row = frontier.table([place]).splitlines()[-1]
    assert "| x265 | 2 | ×3.00 | -10.0 % (1) |" in row
    place.bits["lpips_alex"] |= {"b": -20.0}
    assert "-15.0 % |" in frontier.table([place])
