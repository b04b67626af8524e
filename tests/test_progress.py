"""The progress bar counts coded frames and steps of fitting, never goes back, and is full only at
the end."""

from __future__ import annotations

import io
import re
import types
from fractions import Fraction
from pathlib import Path

import pytest
from conftest import moving_texture

from gvcodec import cli
from gvcodec.codec import encoder
from gvcodec.media.writer import open_writer
from gvcodec.types import Colour, VideoFormat
from gvcodec.util import progress
from gvcodec.util.progress import Estimate, ProgressBar

FORMAT = VideoFormat(96, 80, Fraction(25), Fraction(1, 12800), 8, Colour(1, 1, 1))


class Clock:
    """Time that passes when told to."""

    now = 0.0

    def __call__(self) -> float:
        return self.now


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
def terminal(monkeypatch: pytest.MonkeyPatch) -> Terminal:
    terminal = Terminal()
    # The bar's alone: pytest has its own standard error.
    monkeypatch.setattr(progress, "sys", types.SimpleNamespace(stderr=terminal))
    monkeypatch.setattr(progress, "_REDRAW", 0.0)
    return terminal


@pytest.fixture(scope="module")
def source(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("progress") / "in.mp4"
    with open_writer(path, FORMAT) as writer:
        for number, planes in enumerate(moving_texture(96, 80, 30)):
            writer.write(planes, 512 * number)
    return path


def test_fitting_has_its_share_of_the_bar() -> None:
    """Coding takes 13 s, fitting 104 s, as one encode took: when coding is done an eighth is."""
    clock = Clock()
    estimate = Estimate(["code", "fit"], 104.0, clock)
    stage = estimate.begin("code", "encode", 130)
    shares = []
    for frame in range(1, 131):
        clock.now += 0.1
        stage.share = frame / 130
        shares.append(estimate.share())
        left = estimate.remaining()
        assert left is None or left == pytest.approx(117 - clock.now, abs=1)
    assert shares[-1] == pytest.approx(13 / 117, abs=0.01)
    stage = estimate.begin("fit", "fit")
    for step in range(1, 105):
        clock.now += 1
        stage.share = step / 104
        shares.append(estimate.share())
        assert estimate.remaining() == pytest.approx(117 - clock.now, abs=1)
    assert shares == sorted(shares)
    assert max(shares) < 1


def test_steps_that_take_other_than_expected_do_not_turn_the_bar_back() -> None:
    clock = Clock()
    for seconds in (0.05, 5.0):
        estimate = Estimate(["code", "fit"], 100 * 1.0, clock)
        stage = estimate.begin("code", "encode", 10)
        shares = []
        for frame in range(10):
            clock.now += 1
            stage.share = (frame + 1) / 10
            shares.append(estimate.share())
        stage = estimate.begin("fit", "fit")
        for step in range(100):
            clock.now += seconds
            stage.share = (step + 1) / 100
            shares.append(estimate.share())
        assert shares == sorted(shares)
        assert shares[-1] < 1
        assert shares[60] < 0.9


def test_passes_share_one_bar() -> None:
    """Three trials of 2 s and three passes of 10 s, the first of which fits for 20 s."""
    clock, shares, off = Clock(), [], []
    estimate = Estimate(["count", *3 * ["trial"], "code", "fit", "code", "code"], 20.0, clock)
    stages = [("count", 0.5), *3 * [("trial", 2)], ("code", 10), ("fit", 20), *2 * [("code", 10)]]
    whole = sum(seconds for _, seconds in stages)
    for kind, seconds in stages:
        stage = estimate.begin(kind, kind, 20)
        for part in range(1, 21):
            clock.now += seconds / 20
            stage.share = part / 20
            shares.append(estimate.share())
            off.append(abs(clock.now + (estimate.remaining() or 0) - whole) / whole)
    assert shares == sorted(shares)
    assert shares[-1] < 1
    # Known as soon as a full pass was seen; not far off before that.
    assert max(off[110:]) < 0.02
    assert max(off[20:]) < 0.5


def test_the_bar_counts_coded_frames_not_those_fed(
    source: Path, tmp_path: Path, terminal: Terminal
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
        arguments = [
            "encode",
            str(source),
            str(tmp_path / "a.gvc"),
            "--fit",
            "off",
            "--preset",
            "10",
        ]
        assert cli.main(arguments) == 0
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
    source: Path,
    tmp_path: Path,
    terminal: Terminal,
    options: tuple[str, ...],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    pytest.importorskip("torch")
    from gvcodec.painter import fit as fitting

    for name in ("_POOL", "_VALIDATION", "_BATCH"):
        monkeypatch.setattr(fitting, name, 2)
    common = ("--preset", "10", "--fit", "2", "--fit-by", "small", "--frames", "12")
    assert cli.main(["encode", str(source), str(tmp_path / "a.gvc"), *common, *options]) == 0
    assert_honest(terminal)
    stages = list(dict.fromkeys(what for what, _ in terminal.shown()))
    assert "fit" in stages
    assert len(stages) >= (2 if options[0] == "-q" else 3)


def test_decoding_has_a_bar(source: Path, tmp_path: Path, terminal: Terminal) -> None:
    assert (
        cli.main(["encode", str(source), str(tmp_path / "a.gvc"), "--preset", "10", "--fit", "off"])
        == 0
    )
    terminal.truncate(0)
    assert cli.main(["decode", str(tmp_path / "a.gvc"), str(tmp_path / "a.y4m"), "--fidelity"]) == 0
    assert_honest(terminal)
    assert terminal.shown()[0][0] == "decode"


def test_without_a_terminal_there_is_no_bar(
    source: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert (
        cli.main(["encode", str(source), str(tmp_path / "a.gvc"), "--preset", "10", "--fit", "off"])
        == 0
    )
    said = capsys.readouterr().err
    assert said.count("\n") == 1
    assert "%" not in said
    assert "\r" not in said
