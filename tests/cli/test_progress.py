"""A bar for each stage counts coded frames and fitting steps."""

import io
import json
import re
import types
from functools import partial
from pathlib import Path

import pytest

from gvcodec.batch.driver import FrameCount
from gvcodec.batch.ledger import Job
from gvcodec.batch.tasks import make_settings
from gvcodec.config import EncoderConfig
from gvcodec.source.reader import VideoReader
from gvcodec.util import messages, progress
from gvcodec.util.progress import ProgressBar, State
from tests.clips import ffmpeg, write_clip
from tests.conftest import moving_texture, run


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
    monkeypatch.setattr(progress, "is_terminal", lambda: True)
    monkeypatch.setattr(progress, "_REDRAW", 0.0)
    return terminal


@pytest.fixture(scope="module")
def source(tmp_path_factory) -> Path:
    return write_clip(tmp_path_factory.mktemp("progress") / "in.mp4", moving_texture(96, 80, 30))


class Clock:
    now = 0.0

    def __call__(self) -> float:
        return self.now


def test_each_stage_has_its_share_and_its_time() -> None:
    clock, seen = Clock(), list[State]()
    with ProgressBar(seen.append, clock=clock) as bar:
        for stage in ("probe", "encode"):
            bar.begin(stage, 20)
            for frame in range(1, 21):
                clock.now += 1
                bar.coded(frame, 0)
    stages = list(dict.fromkeys(state.stage for state in seen))
    assert stages == ["probe", "encode"]
    for stage in stages:
        its = [state for state in seen if state.stage == stage]
        shares = [state.share for state in its]
        assert shares[0] < 0.3 and shares == sorted(shares) and shares[-1] == 1
        known = [state for state in its[1:-1] if state.seconds_left is not None]
        assert known
        for state in known:
            assert state.seconds_left == pytest.approx(20 * (1 - state.share))


def test_the_time_left_is_shown_once_frames_are_coded() -> None:
    """Not while all of them wait inside the encoder, whose pace says nothing afterwards."""
    clock, seen = Clock(), list[State]()
    with ProgressBar(seen.append, clock=clock) as bar:
        for fed, _ in enumerate(bar(range(100), "encode", 100), 1):
            clock.now += 1
            bar.coded(max(0, fed - 60), 0)
    early = [state for state in seen[:-1] if not state.frames]
    assert len(early) > 50 and all("estimating…" in state.summary_line for state in early)
    late = [state for state in seen[:-1] if state.frames and state.frames > 2]
    assert late and all(state.seconds_left == pytest.approx(100 - state.frames) for state in late)


@pytest.mark.parametrize("options", [("-q", "40"), ("--size", "4k")])
def test_a_bar_for_each_stage(source, tmp_path, terminal, options):
    common = ("--preset", "10", "--frames", "12")
    run("encode", source, tmp_path / "a.gvc", *common, *options)
    shown = terminal.shown()
    assert len(shown) > 10 and all(0 <= share <= 100 for _, share in shown)
    stages = {what for what, _ in shown}
    assert "paint" in stages and len(stages) >= (2 if options[0] == "-q" else 3)


def without_terminal(capsys: pytest.CaptureFixture[str], mode: str) -> list[str]:
    """What a bar says in 35 seconds, in which a frame a second is coded, of 100."""
    clock = Clock()
    rate = {"rate": lambda frames, size: (8 * size / frames, f"{8 * size / frames:.0f} kb/s")}
    with ProgressBar(mode, clock=clock, **rate) as bar:
        for frame in bar(range(35), "encode", 100):
            clock.now += 1
            # The encoder holds five frames back.
            bar.coded(max(0, frame - 4), 10 * max(0, frame - 4))
    return capsys.readouterr().err.splitlines()


def test_a_line_every_ten_seconds(capsys) -> None:
    lines = without_terminal(capsys, "auto")
    assert [int(re.findall(r" (\d+)/100 frames", line)[0]) for line in lines] == [5, 15, 25]
    shares = [int(re.findall(r"(\d+) %", line)[0]) for line in lines]
    assert shares == [5, 15, 25] and "1:35 left" in lines[0]
    # Of the coded frames, not of the frames that went in.
    assert all("80 kb/s" in line for line in lines)


def test_json_is_an_object_a_second(capsys) -> None:
    lines = [json.loads(line) for line in without_terminal(capsys, "json")]
    assert 30 <= len(lines) <= 40 and lines[20]["stage"] == "encode"
    assert (lines[20]["total"], lines[20]["kbps"]) == (100, 80)
    # A frame a second since the first one; 84 or 85 are left.
    assert lines[20]["seconds_left"] == pytest.approx(85, abs=1)
    shares = [line["share"] for line in lines]
    assert shares == sorted(shares) and shares[-1] == 1 and shares[-2] < 1


def test_a_line_is_written_above_the_bar(terminal: Terminal) -> None:
    """Nothing is printed into the bar: it goes, the line is written, it comes back."""
    with ProgressBar(clock=Clock()) as bar:
        bar.begin("encode", 100)
        bar.coded(40, 0)
        messages.log_line("a note")
        before, _, after = terminal.getvalue().rpartition("gvcodec: a note\n")
        last = before.split("\r")
        assert last[-1] == "" and not last[-2].strip()
        assert "encode" in after and "40/100 frames" in after
    messages.log_line("later")
    assert "later" not in terminal.getvalue()


@pytest.mark.parametrize("columns", [40, 80])
def test_the_bar_fits_the_terminal(terminal: Terminal, monkeypatch, columns: int) -> None:
    monkeypatch.setattr("tqdm.std._screen_shape_wrapper", lambda: lambda file: (columns, 24))
    with ProgressBar(rate=lambda *_: (80.0, "80.0 kb/s, 0.01234 bpp"), clock=Clock()) as bar:
        bar.begin("encode", 100)
        bar.coded(90, 100)
    drawn = [line for line in re.split(r"[\r\n]", terminal.getvalue()) if "|" in line]
    assert drawn and max(map(len, drawn)) <= columns and "estim" in drawn[0]


def test_quiet_and_verbose(source: Path, tmp_path) -> None:
    words = ["encode", str(source), str(tmp_path / "a.gvc"), "--preset", "10", "--fit", "off"]
    assert not run(*words, "--quiet").err
    assert "exists" in run(*words, "--quiet", code=1).err
    assert re.search(r"encode: [\d.]+ s", run(*words, "-y", "--verbose").err)
    said = run("decode", tmp_path / "a.gvc", str(tmp_path / "a.y4m"), "--progress", "json")
    lines = [line for line in said.err.splitlines() if line.startswith("{")]
    assert json.loads(lines[-1]) == {"stage": "decode", "share": 1.0, "seconds_left": 0.0}


def test_a_batch_counts_frames_and_its_share_does_not_jump(capsys, tmp_path) -> None:
    clock = Clock()
    jobs = []
    for name, size in (("a.mp4", 100), ("b.mp4", 300), ("c.mp4", 50), ("d.mp4", 50)):
        (tmp_path / name).write_bytes(bytes(size))
        jobs.append(Job(str(tmp_path / name), make_settings(EncoderConfig())))
    done, small, failed, planned = jobs
    with ProgressBar("json", clock=clock) as bar:
        count = FrameCount(bar, jobs)
        for step in (
            partial(count.finish, done),  # by an earlier run: it was not planned
            partial(count.plan, small, 100),
            partial(count.add, small, 50),
            partial(count.plan, planned, 10_000),
            partial(count.add, small, 50),
            partial(count.finish, small),
            partial(count.finish, failed),
            partial(count.add, planned, 5000),
            partial(count.finish, planned),
        ):
            clock.now += 30
            step()
    states = list(map(json.loads, capsys.readouterr().err.splitlines()))
    shares = [state["share"] for state in states]
    assert shares == sorted(shares) and shares[-1] == 1
    assert {0.375, 0.75} <= set(shares) and all("total" not in state for state in states)
    assert max(state.get("frames", 0) for state in states) == 5100


def test_one_file_in_chunks_has_a_total_of_frames(capsys) -> None:
    clock = Clock()
    job = Job("a.mp4", make_settings(EncoderConfig()))
    with ProgressBar("json", clock=clock) as bar:
        count = FrameCount(bar, [job])
        count.plan(job, 200)
        clock.now += 30
        count.add(job, 60)
    *_, second, last = map(json.loads, capsys.readouterr().err.splitlines())
    assert (second["frames"], second["total"], second["seconds_left"]) == (60, 200, 70)
    assert last["share"] == 1


def test_frames_are_those_of_the_video_not_of_a_longer_sound(tmp_path) -> None:
    film = tmp_path / "a.mkv"
    sound = ("-f", "lavfi", "-i", "sine=d=3")
    video = ("-f", "lavfi", "-i", "testsrc2=s=64x48:r=25:d=1")
    ffmpeg(*video, *sound, "-c:v", "libx264", "-c:a", "aac", film)
    with VideoReader(film) as reader:
        assert reader.expected_frames == 25
