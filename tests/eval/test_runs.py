"""`python -m eval` on a small clip: resumes, repeats exactly, reports failures."""

import contextlib
import io
import json
import re
import shutil
import subprocess
import sys
from pathlib import Path
from xml.etree import ElementTree

import pytest

from eval.__main__ import COMMANDS, main
from eval.rd import runs
from eval.rd.runs import Plan
from eval.tools import EvalError
from tests.conftest import wait_for
from tests.eval_helpers import GREY, PAN

ROOT = Path(__file__).resolve().parents[2]


def run_eval(*arguments, code=0):
    """What a command says on standard error, in this process."""
    with contextlib.redirect_stderr(io.StringIO()) as printed:
        assert main([*map(str, arguments)]) == code, printed.getvalue()
    assert "Traceback" not in printed.getvalue()
    return printed.getvalue()


@pytest.fixture(scope="module")
def results(tmp_path_factory):
    folder = tmp_path_factory.mktemp("rd")
    (folder / "grey.toml").write_text(GREY)
    rd(folder)
    return folder


def words(folder, out):
    words = ["rd", *PAN, "--frames", "4", "--codecs", "x264-ld,x265-ld,grey", "--codec-file"]
    words += [str(folder / "grey.toml"), "--presets", "fast", "--metrics", "psnr_y,flicker"]
    return [*words, "--targets", "0.02,0.04,0.08,0.16", "--jobs", "1", "--out", str(out)]


def rd(folder, **more):
    return run_eval(*words(folder, folder / "out"), **more)


def tables(out):
    return {p.name: p.read_bytes() for f in ("tables", "figures") for p in (out / f).iterdir()}


def test_a_folder_has_one_run_at_a_time(tmp_path):
    plan = Plan(tmp_path, (0.1,), {})
    (tmp_path / "tmp").mkdir()
    (tmp_path / "tmp" / "decoded").write_text("of the other run")
    with runs._lock_folder(tmp_path), pytest.raises(EvalError, match="another run"):
        runs.run_all([], [], plan, 1)
    assert (tmp_path / "tmp" / "decoded").exists() and runs.run_all([], [], plan, 1) == []
    assert not (tmp_path / "tmp").exists()


def test_runs_resume_and_repeat_exactly(results):
    out = results / "out"
    first = tables(results / "out")
    assert {"points.csv", "bd.csv", "psnr_y.svg"} <= set(first)
    streams = {p.name: p.stat().st_mtime_ns for p in (out / "streams").iterdir()}
    # As after a kill: some runs and curves are missing, one is cut in half, a temporary file is
    # left over.
    runs = sorted((out / "runs").iterdir())
    runs[0].unlink()
    runs[1].write_text(runs[1].read_text()[:100])
    next((out / "curves").iterdir()).unlink()
    (out / "tmp").mkdir(exist_ok=True)
    (out / "tmp" / "left").write_text("over")
    rd(results)
    assert tables(results / "out") == first
    assert {p.name: p.stat().st_mtime_ns for p in (out / "streams").iterdir()} == streams
    assert not (out / "tmp").exists()


@pytest.fixture
def no_weights(tmp_path, monkeypatch):
    monkeypatch.setenv("GVCODEC_METRIC_WEIGHTS", str(tmp_path / "none"))


def test_without_weights_the_rest_is_measured_and_nothing_else_is_shown(
    results, tmp_path, no_weights
):
    given = words(results, tmp_path / "out")
    fewer = {"--codecs": "x264-ld,grey", "--targets": "0.04,0.08", "--frames": "2"}
    for name, value in fewer.items():
        given[given.index(name) + 1] = value
    at = given.index("--metrics")
    log = run_eval(*given[:at], *given[at + 2 :])
    assert "eval: LPIPS-Alex, DISTS cannot be measured: no weights" in log
    assert "python -m eval weights" in log.splitlines()[1] and "reading procedural-pan" in log
    assert "PSNR-Y, PSNR-YUV, PSNR-RGB, MS-SSIM, VMAF, XPSNR, Flicker" in log
    assert "1 clips × 2 codecs × 2 rates = 4 points" in log and "eval: 4/4 procedural-pan" in log
    text = (tmp_path / "out/report.md").read_text()
    assert "Not measured: LPIPS-Alex, DISTS." in text and "| VMAF | XPSNR | Flicker |" in text
    assert not re.search(r"(LPIPS|DISTS)[^.]{0,12}(\d|–|no overlap)", text)


def test_what_needs_weights_says_so_before_any_work(tmp_path, no_weights, capsys):
    out = tmp_path / "out"
    words = ["rd", "--metrics", "psnr_y,lpips_alex"]
    assert main([*words, "--set", "procedural", "--only", "pan", "--out", str(out)]) == 1
    printed = capsys.readouterr().err
    assert "no weights for LPIPS and DISTS" in printed and "python -m eval weights" in printed
    assert "reading" not in printed and not out.exists()


def test_report_is_made_from_jsons_alone(results):
    copy = results / "copy"
    for name in ("runs", "curves"):
        shutil.copytree(results / "out" / name, copy / name, dirs_exist_ok=True)
    readme = results / "README.md"
    readme.write_text("# x\n<!-- results:begin -->\nold\n<!-- results:end -->\ntail\n")
    short = results / "SHORT.md"
    short.write_text("<!-- headline:begin --><!-- headline:end -->")
    run_eval("report", copy, "--readme", readme, short)
    assert (copy / "report.md").read_text() == (results / "out" / "report.md").read_text()
    chart = ElementTree.fromstring((copy / "figures/psnr_y.svg").read_text())
    assert any((part.text or "").startswith("grey <b>&") for part in chart.iter())
    text = readme.read_text()
    assert "old" not in text and "BD-rate" in text and text.endswith("<!-- results:end -->\ntail\n")
    assert "no overlap" in text and "stand-in" in text and "headline" not in text
    assert "| against |" in short.read_text() and "results:begin" not in short.read_text()
    short.write_text("<!-- summary:begin --><!-- summary:end -->")
    run_eval("report", copy, "--readme", short)
    assert "| against |" in short.read_text()
    assert not re.search("fidelity|base frames", short.read_text())
    short.write_text("no marks")
    assert "headline:begin" in run_eval("report", copy, "--readme", short, code=1)
    assert short.read_text() == "no marks"


def test_runs_say_how_they_were_made(results):
    runs = [json.loads(p.read_text()) for p in (results / "out" / "runs").glob("*x264*.json")]
    assert runs
    for run in runs:
        stream = next((results / "out" / "streams").glob(f"*x264-ld-{run['q']}-*.h264"))
        assert run["bytes"] == stream.stat().st_size == sum(run["frame_bytes"])
        assert run["bpp"] == 8 * run["bytes"] / (4 * 320 * 192)
        assert f"-crf {run['q']}" in run["encode_command"] and run["versions"]["ffmpeg"]
        assert len(run["metrics"]["psnr_y"]["values"]) == 4


def test_a_failing_codec_does_not_stop_the_others(results):
    codec = '[codec.bad]\nencode = "false {stream}"\ndecode = "true {output}"\nq = [0, 9]\n'
    (results / "bad.toml").write_text(codec)
    words = ["rd", *PAN, "--frames", 4, "--codecs", "bad,x264-ld", "--presets", "fast"]
    words += ["--codec-file", results / "bad.toml", "--metrics", "psnr_y"]
    words += ["--targets", "0.08", "--jobs", 1]
    assert "bad: exit code 1" in run_eval(*words, "--out", results / "bad", code=1)
    assert "x264" in (results / "bad" / "tables" / "points.csv").read_text()
    assert "bad: exit code 1" in (results / "bad" / "report.md").read_text()


@pytest.mark.parametrize(
    ("words", "message"),
    [
        ("--set procedural --codecs h267", "no codec 'h267'"),
        ("--set procedural --metrics beauty", "no beauty"),
        ("--set hevc-b", "BasketballDrive"),
        ("--codecs x264", "say which clips"),
        ("--sequences /nowhere", "no such folder"),
        ("--set procedural --keyint often", "--keyint"),
        ("--set procedural --codecs gvcodec:colour=blue", "no option colour"),
        ("--set procedural --profile gvc1d --frames 48", "already sets --frames"),
        (
            "--set procedural --profile gvc-rt --targets 0.01 --keyint 2s",
            "already sets --targets, --keyint",
        ),
        ("--set procedural --profile gvc1d --codecs vvenc-ra", "vvenc-ld instead of vvenc-ra"),
    ],
)
def test_mistakes_are_named_in_one_line(tmp_path, capsys, words, message):
    assert main(["rd", *words.split(), "--out", str(tmp_path / "out")]) == 1
    printed = capsys.readouterr().err
    assert message in printed and len(printed.strip().splitlines()) == 1
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize("name", COMMANDS)
def test_every_command_explains_its_options(name, capsys):
    with pytest.raises(SystemExit) as end:
        main([name, "--help"])
    assert end.value.code == 0 and f"python -m eval {name}" in capsys.readouterr().out


def test_report_of_nothing(tmp_path, capsys):
    assert main(["report", str(tmp_path)]) == 1 and "no results" in capsys.readouterr().err


def test_a_killed_worker_is_one_line(tmp_path):
    encode = "\"sh -c 'kill -9 $PPID' {stream}\"\ndecode = 'true {output}'"
    (tmp_path / "deadly.toml").write_text(f"[codec.deadly]\nencode = {encode}\nq = [0, 9]\n")
    where = [*PAN, "--frames", 2, "--metrics", "psnr_y", "--jobs", 1, "--codecs", "deadly"]
    where += ["--codec-file", tmp_path / "deadly.toml", "--out", tmp_path / "out"]
    assert "fewer --jobs" in run_eval("rd", *where, code=1)
    assert not (tmp_path / "out" / "tmp").exists()


def test_workers_end_with_a_call_that_is_killed(tmp_path):
    (tmp_path / "slow.toml").write_text(
        f'[codec.slow]\nencode = "{{python}} -c \'import os, time; open(\\"{tmp_path}/pid\\", '
        f'\\"w\\").write(str(os.getppid()) + \\" \\" + str(os.getpid())); time.sleep(90)\' '
        '{stream} {q}"\n'
        'decode = "true {stream} {output}"\nq = [0, 9]\n'
    )
    words = ["rd", *PAN, "--frames", 4, "--codecs", "slow", "--metrics", "psnr_y"]
    words += ["--codec-file", tmp_path / "slow.toml", "--jobs", 1, "--out", tmp_path / "out"]
    call = subprocess.Popen([sys.executable, "-m", "eval", *map(str, words)], cwd=ROOT)
    try:
        pids = wait_for(lambda: (tmp_path / "pid").is_file() and (tmp_path / "pid").read_text())
    finally:
        call.kill()
        call.wait()
    worker, encoder = pids.split()
    assert worker != encoder
    for process in (worker, encoder):
        wait_for(lambda name=process: ended(name))


def ended(process: str) -> bool:
    try:
        return b"zombie" in Path("/proc", process, "status").read_bytes()
    except FileNotFoundError:
        return True
