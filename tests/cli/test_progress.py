"""The progress bar counts coded frames and fitting steps, never goes back, ends full."""

import io
import json
import re
import types
from collections.abc import Iterator
from contextlib import contextmanager
from fractions import Fraction
from pathlib import Path

import pytest

from gvcodec import cli
from gvcodec.batch.driver import FrameCount
from gvcodec.batch.ledger import Job
from gvcodec.batch.tasks import make_settings
from gvcodec.config import EncoderConfig
from gvcodec.types import Colour, VideoFormat
from gvcodec.util import messages, progress
from gvcodec.util.progress import ProgressBar, State
from tests.clips import write_clip
from tests.conftest import moving_texture, run

FORMAT = VideoFormat(96, 80, Fraction(25), Fraction(1, 12800), 8, Colour(1, 1, 1))


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True

    def shown(self) -> list[tuple[str, int]]:
        found = re.findall(r"(\w[\w ]*?) +(\d+)%\|", self.getvalue())
        return [(what, int(share)) for what, share in found]


@pytest.fixture
def terminal(monkeypatch) -> Terminal:
    terminal = Terminal()
    # The bar's alone: pytest has its own standard error.
    monkeypatch.setattr(progress, "sys", types.SimpleNamespace(stderr=terminal))
    monkeypatch.setattr(progress, "_REDRAW", 0.0)
    return terminal


@pytest.fixture(scope="module")
def source(tmp_path_factory) -> Path:
    path = tmp_path_factory.mktemp("progress") / "in.mp4"
    write_clip(path, FORMAT, moving_texture(96, 80, 30), 512)
    return path


class Clock:
    now = 0.0

    def __call__(self) -> float:
        return self.now


@contextmanager
def watched(plan: list[str]) -> Iterator[tuple[ProgressBar, Clock, list[tuple[float, State]]]]:
    clock, seen = Clock(), []
    with ProgressBar(plan, mode=lambda s: seen.append((clock.now, s)), clock=clock) as bar:
        yield bar, clock, seen


def states(plan: list[str], stages: list[tuple[str, float]]) -> tuple[list[State], list[float]]:
    """What a bar over `plan` says while stages of twenty frames take these seconds, and when."""
    with watched(plan) as (bar, clock, seen):
        for kind, seconds in stages:
            if kind != "fit":
                bar.begin(kind, 20)
            for part in range(1, 21):
                clock.now += seconds / 20
                bar.fitted(part / 20) if kind == "fit" else bar.coded(part, 0)
    return [state for _, state in seen[:-1]], [at for at, _ in seen[:-1]]


def test_passes_share_one_bar() -> None:
    """Three trials of 2 s and three passes of 10 s, the first of which fits for 20 s."""
    plan = ["count", *3 * ["trial"], "code", "fit", "code", "code"]
    stages = [("count", 0.5), *3 * [("trial", 2.0)], ("code", 10.0), ("fit", 20.0)]
    stages += 2 * [("code", 10.0)]
    seen, at = states(plan, stages)
    shares = [state.share for state in seen]
    assert shares == sorted(shares) and 0.95 < shares[-1] < 1
    whole = sum(seconds for _, seconds in stages)
    off = [abs(t + s.left - whole) / whole for s, t in zip(seen, at, strict=True) if s.left]
    assert max(off[len(off) // 2 :]) < 0.3


def test_the_time_left_is_shown_once_enough_is_coded() -> None:
    """Not while most frames wait inside the encoder."""
    with watched(["code", "fit"]) as (bar, clock, noted):
        done = 0
        for fed, _ in enumerate(bar(range(100), "encode", 100), 1):
            clock.now += 1
            if fed > 60:
                done += 2
                bar.coded(min(done, fed), 0)
        bar.fitted(0.1)
    seen = [state for _, state in noted]
    known = [(state.frames or 0) > 0 and state.left is not None for state in seen]
    first = next(n for n, left in enumerate(known) if left)
    assert 20 <= (seen[first].frames or 0) <= 40 and all(known[first:-2])
    assert all("estimating…" in state.words for state in seen[1:first])


@pytest.mark.parametrize("options", [("-q", "40"), ("--size", "4k")])
def test_one_bar_over_all_phases(source, tmp_path, terminal, options, monkeypatch):
    pytest.importorskip("torch")
    from gvcodec.painter import fit as fitting

    for name in ("_POOL", "_VALIDATION", "_BATCH"):
        monkeypatch.setattr(fitting, name, 2)
    common = ("--preset", "10", "--fit", "2", "--fit-by", "small", "--frames", "12")
    run("encode", source, tmp_path / "a.gvc", *common, *options)
    shares = [share for _, share in terminal.shown()]
    assert len(shares) > 10 and shares == sorted(shares) and max(shares[:-1]) < shares[-1] == 100
    stages = {what for what, _ in terminal.shown()}
    assert "fit" in stages and len(stages) >= (2 if options[0] == "-q" else 3)


def without_terminal(capsys: pytest.CaptureFixture[str], mode: str) -> list[str]:
    """What a bar says in 35 seconds, in which a frame a second is coded, of 100."""
    clock = Clock()
    rate = {"rate": lambda frames, size: (8 * size / frames, f"{8 * size / frames:.0f} kb/s")}
    with ProgressBar(["code"], mode=mode, clock=clock, **rate) as bar:
        for frame in bar(range(35), "encode", 100):
            clock.now += 1
            # The encoder holds five frames back.
            bar.coded(max(0, frame - 4), 10 * max(0, frame - 4))
    return capsys.readouterr().err.splitlines()


def test_a_line_every_ten_seconds(capsys) -> None:
    lines = without_terminal(capsys, "auto")
    assert [int(re.findall(r" (\d+)/100 frames", line)[0]) for line in lines] == [5, 15, 25]
    shares = [int(re.findall(r"(\d+) %", line)[0]) for line in lines]
    assert shares == pytest.approx([10, 20, 30], abs=3) and re.search(r"[12]:\d\d left", lines[0])
    # Of the coded frames, not of the frames that went in.
    assert all("80 kb/s" in line for line in lines)


def test_json_is_an_object_a_second(capsys) -> None:
    lines = [json.loads(line) for line in without_terminal(capsys, "json")]
    assert 30 <= len(lines) <= 40 and lines[20]["stage"] == "encode"
    assert (lines[20]["total"], lines[20]["kbps"]) == (100, 80)
    assert lines[20]["seconds_left"] == pytest.approx(90, abs=15)
    shares = [line["share"] for line in lines]
    assert shares == sorted(shares) and shares[-1] == 1 and shares[-2] < 1


def test_a_line_is_written_above_the_bar(terminal: Terminal) -> None:
    """Nothing is printed into the bar: it goes, the line is written, it comes back."""
    with ProgressBar(["code"], clock=Clock()) as bar:
        bar.begin("encode", 100)
        bar.coded(40, 0)
        messages.say("a note")
        before, _, after = terminal.getvalue().rpartition("gvcodec: a note\n")
        last = before.split("\r")
        assert last[-1] == "" and not last[-2].strip()
        assert "encode" in after and "40/100 frames" in after
    messages.say("later")
    assert "later" not in terminal.getvalue()


@pytest.mark.parametrize("columns", [40, 80])
def test_the_bar_fits_the_terminal(terminal: Terminal, monkeypatch, columns: int) -> None:
    monkeypatch.setattr("tqdm.std._screen_shape_wrapper", lambda: lambda file: (columns, 24))
    with ProgressBar(["code"], lambda *_: (80.0, "80.0 kb/s, 0.01234 bpp"), clock=Clock()) as bar:
        bar.begin("encode", 100)
        bar.coded(90, 100)
    drawn = [line for line in re.split(r"[\r\n]", terminal.getvalue()) if "|" in line]
    assert drawn and max(map(len, drawn)) <= columns and "estim" in drawn[0]


def test_quiet_and_verbose(source: Path, tmp_path, capsys) -> None:
    words = ["encode", str(source), str(tmp_path / "a.gvc"), "--preset", "10", "--fit", "off"]
    run(*words, "--quiet")
    assert not capsys.readouterr().err and cli.main([*words, "--quiet"]) != 0
    assert "exists" in capsys.readouterr().err
    run(*words, "-y", "--verbose")
    assert re.search(r"encode: [\d.]+ s", capsys.readouterr().err)
    run("decode", tmp_path / "a.gvc", str(tmp_path / "a.y4m"), "--progress", "json")
    lines = [line for line in capsys.readouterr().err.splitlines() if line.startswith("{")]
    assert json.loads(lines[-1]) == {"stage": "decode", "share": 1.0, "seconds_left": 0.0}


def test_a_batch_counts_frames(capsys) -> None:
    clock = Clock()
    job = Job("a.mp4", make_settings(EncoderConfig()))
    with ProgressBar(["code"], mode="json", clock=clock) as bar:
        count = FrameCount(bar, 2)
        count.plan(job, 100)
        clock.now += 30
        count.add(60)
    *_, second, last = map(json.loads, capsys.readouterr().err.splitlines())
    assert (second["frames"], second["total"], second["seconds_left"]) == (60, 200, 70)
    assert last["share"] == 1
