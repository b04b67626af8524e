"""The progress bar counts coded frames and steps of fitting, never goes back, and is full only at
the end."""

from __future__ import annotations

import io
import json
import re
import types
from fractions import Fraction
from pathlib import Path

import pytest

from gvcodec import cli
from gvcodec.batch.task import Outcome, Task
from gvcodec.batch.watch import Bar
from gvcodec.codec import encoder
from gvcodec.codec.durations import work_of
from gvcodec.config import EncoderConfig
from gvcodec.media.writer import open_writer
from gvcodec.types import Colour, VideoFormat
from gvcodec.util import progress
from gvcodec.util.estimate import Estimate, Work
from gvcodec.util.progress import ProgressBar, minutes
from tests.conftest import moving_texture, run

FORMAT = VideoFormat(96, 80, Fraction(25), Fraction(1, 12800), 8, Colour(1, 1, 1))


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True

    def shown(self) -> list[tuple[str, int]]:
        """What the bar said: stage and per cent."""
        return [
            (what, int(share))
            for what, share in re.findall(r"(\w[\w ]*?) +(\d+)%\|", self.getvalue())
        ]


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
    with open_writer(path, FORMAT) as writer:
        for number, planes in enumerate(moving_texture(96, 80, 30)):
            writer.write(planes, 512 * number)
    return path


class Machine:
    """A clock, and a processor of which this process has a part, 0…1 and more."""

    def __init__(self, part: float = 1.0) -> None:
        self.now = self.spent = 0.0
        self.part = part

    def clock(self) -> float:
        return self.now

    def processor(self) -> float:
        return self.spent

    def pass_seconds(self, seconds: float) -> None:
        self.now += seconds
        self.spent += seconds * self.part

    def work(self, seconds: float) -> None:
        self.pass_seconds(seconds / self.part)

    def estimate(self, plan: list[str], work: Work) -> Estimate:
        return Estimate(plan, work, self.clock, self.processor)


def test_nothing_is_foretold_in_the_first_second() -> None:
    machine = Machine()
    estimate = machine.estimate(["code", "fit"], Work(frame=0.1, fit=50))
    estimate.begin("code", "encode", 100)
    machine.pass_seconds(0.9)
    assert estimate.remaining() is None
    machine.pass_seconds(0.2)
    assert estimate.remaining() == pytest.approx(100 * 0.1 + 50 - 1.1)


@pytest.mark.parametrize("part", [0.5, 1.0, 1.9])
@pytest.mark.parametrize("video", [0.6, 1.0, 2.0])
def test_time_left_while_the_encoder_is_silent(part: float, video: float) -> None:
    """An encoder takes 72 of 100 frames and works on all of them before the first comes out: a
    video that is easier or harder than that of the kept costs, on a machine that has other work."""
    machine = Machine(part)
    estimate = machine.estimate(["code", "fit", "paint"], Work(0.4, 0.03, 50))
    stage = estimate.begin("code", "encode", 100)
    whole = (40 * video + 50 + 3) / part
    errors, shares = [], []

    def look() -> None:
        left = estimate.remaining()
        shares.append(estimate.share())
        if left is not None:
            errors.append(abs(machine.now + left - whole) / whole)

    for step in range(100):
        machine.work(0.2 * video)
        stage.fed = min(72, step + 1)
        look()
    for frame in range(100):
        machine.work(0.2 * video)
        stage.done, stage.fed = frame + 1, max(stage.fed, min(100, frame + 30))
        look()
    for kind, seconds in (("fit", 50), ("paint", 3)):
        stage = estimate.begin(kind, kind, 100)
        for step in range(100):
            machine.work(seconds / 100)
            stage.fed = stage.done = (step + 1) / 100 * (stage.total or 0)
            look()
    assert shares == sorted(shares) and 0.9 < shares[-1] < 1
    assert max(errors) < (0.15 if video == 1 else 0.5)
    # Known once all is coded, but for what follows.
    assert max(errors[200:]) < (0.01 if video == 1 else 0.3)
    assert max(errors[-100:]) < 0.02


def test_kept_costs_give_way_to_what_is_measured() -> None:
    """Ten times as slow as expected: the bar does not reach the end early, nor turn back."""
    machine = Machine()
    estimate = machine.estimate(["code", "fit"], Work(frame=0.1, fit=10))
    shares = []
    for kind, seconds in (("code", 100), ("fit", 100)):
        stage = estimate.begin(kind, kind, 100)
        for step in range(100):
            machine.work(seconds / 100)
            stage.fed = stage.done = (step + 1) / 100 * (stage.total or 0)
            shares.append(estimate.share())
    assert shares == sorted(shares)
    assert shares[150] < 0.8 and shares[-1] < 1


def test_work_of_other_processes_is_timed_by_what_comes_out() -> None:
    machine = Machine(part=0.0)
    estimate = machine.estimate(["code"], Work(frame=1.0))
    stage = estimate.begin("code", "encode", 40)
    machine.pass_seconds(20)
    assert estimate.remaining() is None
    stage.fed, stage.done = 20, 10
    assert estimate.remaining() == pytest.approx(60)


def test_fitting_by_the_clock_ends_by_it() -> None:
    machine = Machine(0.5)
    estimate = machine.estimate(["code", "fit"], Work(frame=1, fit=500, fit_limit=30))
    stage = estimate.begin("code", "encode", 10)
    machine.work(5)
    stage.fed = stage.done = 5
    assert estimate.remaining() == pytest.approx(5 / 0.5 + 30)
    estimate.begin("fit", "fit")
    machine.pass_seconds(12)
    assert estimate.remaining() == pytest.approx(18)


def test_passes_share_one_bar() -> None:
    """Three trials of 2 s and three passes of 10 s, the first of which fits for 20 s."""
    machine, shares, off = Machine(), [], []
    plan = ["count", *3 * ["trial"], "code", "fit", "code", "code"]
    estimate = machine.estimate(plan, Work(frame=0.4, fit=20))
    stages = [("count", 0.5), *3 * [("trial", 2)], ("code", 10), ("fit", 20), *2 * [("code", 10)]]
    whole = sum(seconds for _, seconds in stages)
    for kind, seconds in stages:
        stage = estimate.begin(kind, kind, 20)
        for part in range(1, 21):
            machine.work(seconds / 20)
            stage.fed = stage.done = part / 20 * (stage.total or 0)
            shares.append(estimate.share())
            off.append(abs(machine.now + (estimate.remaining() or 0) - whole) / whole)
    assert shares == sorted(shares)
    assert shares[-1] < 1
    # Known as soon as a full pass was seen; not far off before that.
    assert max(off[110:]) < 0.02
    assert max(off[20:]) < 0.5


def test_the_bar_counts_coded_frames_not_those_fed(
    source: Path, tmp_path, terminal: Terminal
) -> None:
    """SVT-AV1 takes all thirty frames before it gives the last ones."""
    told: list[tuple[int, int]] = []
    take = encoder.Encoder.send_frame
    fed = 0

    def send_frame(self: encoder.Encoder, *arguments: object) -> None:
        nonlocal fed
        fed += 1
        take(self, *arguments)

    coded = ProgressBar.coded

    def watched(self: ProgressBar, frames: int, size: int) -> None:
        told.append((fed, frames))
        coded(self, frames, size)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(encoder.Encoder, "send_frame", send_frame)
        patch.setattr(ProgressBar, "coded", watched)
        run("encode", source, tmp_path / "a.gvc", "--fit", "off", "--preset", "10")
    assert [frames for _, frames in told] == list(range(1, 31))
    assert told[0][0] > 5
    assert (
        len([frames for fed, frames in told if fed == 30]) > 5
    )  # one by one while the encoder is flushed
    assert_honest(terminal)


def assert_honest(terminal: Terminal) -> None:
    shares = [share for _, share in terminal.shown()]
    assert len(shares) > 10
    assert shares == sorted(shares)
    assert shares[-1] == 100
    assert max(shares[:-1]) < 100


@pytest.mark.parametrize("options", [("-q", "40"), ("--size", "4k")])
def test_one_bar_over_all_phases(
    source: Path, tmp_path, terminal: Terminal, options: tuple[str, ...], monkeypatch
) -> None:
    pytest.importorskip("torch")
    from gvcodec.painter import fit as fitting

    for name in ("_POOL", "_VALIDATION", "_BATCH"):
        monkeypatch.setattr(fitting, name, 2)
    common = ("--preset", "10", "--fit", "2", "--fit-by", "small", "--frames", "12")
    run("encode", source, tmp_path / "a.gvc", *common, *options)
    assert_honest(terminal)
    stages = list(dict.fromkeys(what for what, _ in terminal.shown()))
    assert "fit" in stages
    assert len(stages) >= (2 if options[0] == "-q" else 3)


def test_decoding_has_a_bar(source: Path, tmp_path, terminal: Terminal) -> None:
    run("encode", source, tmp_path / "a.gvc", "--preset", "10", "--fit", "off")
    terminal.truncate(0)
    run("decode", tmp_path / "a.gvc", tmp_path / "a.y4m", "--fidelity")
    assert_honest(terminal)
    assert terminal.shown()[0][0] == "decode"


def test_without_a_terminal_there_is_no_bar(source: Path, tmp_path, capsys) -> None:
    run("encode", source, tmp_path / "a.gvc", "--preset", "10", "--fit", "off")
    said = capsys.readouterr().err
    assert said.count("\n") == 1
    assert "%" not in said
    assert "\r" not in said


def without_terminal(
    capsys: pytest.CaptureFixture[str], mode: str, monkeypatch: pytest.MonkeyPatch
) -> list[str]:
    """What a bar says in 35 seconds, in which a frame a second is coded, of 100."""
    monkeypatch.setattr(progress, "_TICK", 1e6)
    machine = Machine()
    rate = {"rate": lambda frames, size: (8 * size / frames, f"{8 * size / frames:.0f} kb/s")}
    with ProgressBar(
        ["code"], Work(1.0), mode=mode, clock=machine.clock, processor=machine.processor, **rate
    ) as bar:
        for frame in bar(range(35), "encode", 100):
            machine.work(1)
            # The encoder holds five frames back.
            bar.coded(max(0, frame - 4), 10 * max(0, frame - 4))
    return capsys.readouterr().err.splitlines()


def test_a_line_every_ten_seconds(capsys, monkeypatch) -> None:
    said = without_terminal(capsys, "auto", monkeypatch)
    assert len(said) == 3
    assert [int(re.findall(r" (\d+)/100 frames", line)[0]) for line in said] == [5, 15, 25]
    shares = [int(re.findall(r"(\d+) %", line)[0]) for line in said]
    assert shares == pytest.approx([10, 20, 30], abs=3)
    assert re.search(r"1:[123]\d left", said[0])
    # Of the frames that are coded, not of those that went in.
    assert all("80 kb/s" in line for line in said)


def test_json_is_an_object_a_second(capsys, monkeypatch) -> None:
    said = [json.loads(line) for line in without_terminal(capsys, "json", monkeypatch)]
    assert 30 <= len(said) <= 40
    assert said[20]["stage"] == "encode" and said[20]["total"] == 100
    assert said[20]["kbps"] == 80 and said[20]["seconds_left"] == pytest.approx(80, abs=8)
    shares = [line["share"] for line in said]
    assert shares == sorted(shares) and shares[-1] == 1 and shares[-2] < 1


def test_none_says_nothing(capsys, monkeypatch) -> None:
    assert not without_terminal(capsys, "none", monkeypatch)


def test_the_display_goes_on_while_nothing_comes_out(capsys, monkeypatch) -> None:
    """A thread of its own looks meanwhile."""
    monkeypatch.setattr(progress, "_TICK", 0.001)
    monkeypatch.setattr(progress, "_OBJECT", 0.0)
    machine = Machine()
    with ProgressBar(
        ["code"], Work(1.0), mode="json", clock=machine.clock, processor=machine.processor
    ) as bar:
        bar.begin("encode", 100)
        machine.work(20)
        seen = ""
        while '"seconds_left": 80.0' not in seen:
            seen += capsys.readouterr().err


def test_quiet_and_verbose(source: Path, tmp_path, capsys) -> None:
    words = ["encode", str(source), str(tmp_path / "a.gvc"), "--preset", "10", "--fit", "off"]
    run(*words, "--quiet")
    assert not capsys.readouterr().err
    assert cli.main([*words, "--quiet"]) != 0
    assert "exists" in capsys.readouterr().err
    run(*words, "-y", "--verbose")
    assert re.search(r"encode: [\d.]+ s", capsys.readouterr().err)
    out = str(tmp_path / "a.y4m")
    run("decode", tmp_path / "a.gvc", out, "--progress", "json")
    lines = [line for line in capsys.readouterr().err.splitlines() if line.startswith("{")]
    assert json.loads(lines[-1]) == {"stage": "decode", "share": 1.0, "seconds_left": 0.0}


def test_costs_are_known_for_every_base_and_preset() -> None:
    from gvcodec.bases import base_of, names

    for base in names():
        costs = [
            work_of(FORMAT, EncoderConfig(base=base, preset=preset)).frame
            for preset in (range(base_of(base).presets) if base_of(base).presets else [None])
        ]
        assert costs == sorted(costs, reverse=True) and min(costs) > 0


def test_times_are_read_as_times() -> None:
    assert [minutes(s) for s in (0.0, 59.2, 61, 3725)] == ["0:00", "1:00", "1:01", "1:02:05"]


def test_a_batch_counts_frames(capsys) -> None:
    machine = Machine()
    plan = {"chunks": [{"frames": 60}, {"frames": 40}]}
    with Bar(2, "json", clock=machine.clock) as bar:
        arguments = {"uri": "a.mp4"}
        bar.heard(Task("m:plan", arguments), Outcome({"plan": plan}))
        machine.work(30)
        bar.heard(Task("m:encode", {**arguments, "plan": plan}), Outcome({"frames": 60}))
    first, second, last = map(json.loads, capsys.readouterr().err.splitlines())
    assert (first["frames"], first["total"]) == (0, 200)
    assert (second["frames"], second["seconds_left"]) == (60, 70)
    assert last["share"] == 1
