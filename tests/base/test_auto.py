"""`--base auto`: which base is chosen, by trials that are made up and by real ones."""

from __future__ import annotations

import dataclasses
import io
import math
import os
import re
from collections.abc import Sequence
from fractions import Fraction
from pathlib import Path

import numpy as np
import pytest

from gvcodec import api
from gvcodec.bases import AUTO
from gvcodec.batch.ledger import make_settings
from gvcodec.bitstream import Reader
from gvcodec.codec import encoder
from gvcodec.config import EncoderConfig
from gvcodec.container.opening import open_stream
from gvcodec.media.reader import VideoReader
from gvcodec.rate import auto
from gvcodec.rate.one_pass import Budget, Open
from gvcodec.rate.quality import error_change, structure_error
from gvcodec.rate.size import encode_to
from gvcodec.types import Colour, Planes, VideoFormat
from tests.base.test_base_motion import clip as sliding
from tests.cli.test_cli import gvcodec
from tests.clips import make_clip, write_clip
from tests.conftest import clips_equal, moving_texture
from tests.rate.test_rate import opener, unwatched

pytest.importorskip("torch")
SAMPLES = 1_000_000


class Made:
    """Trials that follow curves: log bytes fall with the index, `distance` is that of motion over
    that of AV1 at equal bytes."""

    def __init__(
        self, distance: float, bpp: float = 0.006, slope: float = 0.08, loss: float = 0.5
    ) -> None:
        self.distance, self.bytes, self.slope = distance, bpp * SAMPLES / 8, slope
        self.loss = loss
        self.tried: list[EncoderConfig] = []
        self.judged = 0

    def attempt(self, config: EncoderConfig, paint: bool) -> auto.Trial:
        self.tried.append(config)
        assert paint == (config.preset is None)
        if config.base == "av1":
            return auto.Trial(config.q, round(self.bytes * (1.1 if config.preset else 1)), 30.0)
        index = config.q if config.base_q is None else config.base_q
        more = self.slope * (57.3 - index)
        return auto.Trial(index, round(self.bytes * math.exp(more)), 30 - self.loss + 2 * more)

    def judge(self, trials: Sequence[auto.Trial]) -> list[float]:
        self.judged += 1
        ours, *theirs = trials
        log = [math.log(trial.size / ours.size) for trial in theirs]
        return [0.4, *(0.4 * self.distance * math.exp(-0.5 * more) for more in log)]

    def choose(self, q: float = 60) -> auto.Choice:
        return auto.compare(EncoderConfig(q=q), SAMPLES, self.attempt, self.judge)


def test_the_nearer_base_is_chosen_at_equal_bytes() -> None:
    nearer, farther = Made(0.9).choose(), Made(1.1).choose()
    assert (nearer.config.base, farther.config.base) == ("motion", "av1")
    assert nearer.config.base_q == 57.25  # where motion takes AV1's bytes
    gains = []
    for choice, word in ((nearer, "nearer to"), (farther, "farther from")):
        found = re.search(rf"painted ([0-9.]+)% {word} the source .*at 0.0060 ", choice.reason)
        assert found
        gains.append(float(found[1]))
    assert gains == pytest.approx([10, 10], abs=0.3)
    assert farther.config == EncoderConfig(q=60, base="av1")


def test_more_than_a_decibel_has_to_be_paid_for() -> None:
    assert Made(0.99, loss=0.9).choose().config.base == "motion"
    assert Made(0.8, loss=1.5).choose().config.base == "motion"
    choice = Made(0.9, loss=1.5).choose()
    assert choice.config.base == "av1"
    assert "nearer to the source but lose 1.5 dB of PSNR-Y" in choice.reason


@pytest.mark.parametrize(("torn", "change", "word"), [(0.3, 5, "torn"), (0.2, 7, "unsteady")])
def test_motion_that_tears_or_flickers_is_not_taken(torn: float, change: float, word: str) -> None:
    made = Made(0.8)

    def attempt(config: EncoderConfig, paint: bool) -> auto.Trial:
        found = dataclasses.replace(made.attempt(config, paint), torn=0.2, change=5.0)
        motion = dataclasses.replace(found, torn=torn, change=change)
        return motion if config.base == "motion" else found

    choice = auto.compare(EncoderConfig(q=60), SAMPLES, attempt, made.judge)
    assert choice.config.base == "av1" and f"nearer to the source but {word}" in choice.reason


def test_guards_see_what_is_doubled_and_what_flickers() -> None:
    clip = [planes[0] for planes in moving_texture(96, 64, 3)]
    source, before = clip[2], clip[1]
    doubled = ((source.astype(int) + np.roll(source, 5, 1)) // 2).astype(np.uint16)
    darker = (source - 40).astype(np.uint16)
    assert structure_error(source, source) == 0
    assert structure_error(darker, source) < 1e-3
    assert structure_error(doubled, source) > 0.05
    still = error_change(darker, (before - 40).astype(np.uint16), source, before)
    assert still == 0 and error_change(darker, before, source, before) == pytest.approx(40)


def test_high_rates_are_av1_without_trials_of_motion() -> None:
    made = Made(0.5, bpp=0.016)
    assert made.choose().config.base == "av1" and not made.judged
    made = Made(0.5, bpp=0.03)
    assert "0.0254" in made.choose().reason
    assert [config.preset for config in made.tried] == [8]  # one of them, with the fast preset


def test_motion_that_does_not_come_near_the_rate_is_not_compared() -> None:
    made = Made(0.5, slope=0.001)
    made.bytes = 700
    flat = made.attempt

    def attempt(config: EncoderConfig, paint: bool) -> auto.Trial:
        trial = flat(config, paint)
        return (
            dataclasses.replace(trial, size=2 * trial.size)
            if paint and made.tried[-1].base == ("motion")
            else trial
        )

    choice = auto.compare(EncoderConfig(q=60), SAMPLES, attempt, made.judge)
    assert choice.config.base == "av1" and not made.judged
    assert "does not come near" in choice.reason
    assert len(made.tried) <= 5


def test_motion_whose_bytes_leap_is_compared_on_both_sides_of_the_rate() -> None:
    """From index 59 on they take a third of the bytes of before, and none come near."""

    class Leaping(Made):
        def attempt(self, config: EncoderConfig, paint: bool) -> auto.Trial:
            trial = super().attempt(config, paint)
            steep = config.base == "motion" and trial.base_q < 59
            more = 1.5 if steep else 0.5 if config.base == "motion" else 1
            return dataclasses.replace(trial, size=round(trial.size * more))

    for distance, base in ((0.9, "motion"), (1.1, "av1")):
        made = Leaping(distance, slope=0.02)
        choice = made.choose()
        tried = sorted(config.base_q or 0.0 for config in made.tried if config.base == "motion")
        assert choice.config.base == base and made.judged == 1 and 2 <= len(tried) <= 3
        if base == "motion":
            assert choice.config.base_q is not None
            assert tried[0] <= choice.config.base_q <= tried[-1]
        assert "10." in choice.reason or "9." in choice.reason


# What excludes motion


@pytest.mark.parametrize(
    ("options", "why"),
    [
        ({"low_delay": True}, "low delay"),
        ({"maxrate": 90_000.0}, "maxrate"),
        ({"eye": True}, "eye"),
        ({"preset": 4}, "preset"),
        ({"base_q": 60.0}, "index is given"),
        ({"q": auto.LEAST_Q - 0.5}, "finer than"),
    ],
)
def test_settings_of_av1_take_av1(options: dict[str, float], why: str, source: Path) -> None:
    config = EncoderConfig(**{"q": 67, **options}, base=AUTO)  # type: ignore[arg-type]
    choice = auto.choose_base(str(source), config)
    assert choice.config == dataclasses.replace(config, base="av1")
    assert why in choice.reason


def test_what_can_be_read_only_once_is_av1(tmp_path: Path) -> None:
    pipe = tmp_path / "pipe"
    os.mkfifo(pipe)
    for name in ("-", "https://example.org/clip.mp4", str(pipe)):
        assert "only once" in auto.choose_base(name, EncoderConfig(q=67)).reason


@pytest.mark.parametrize(
    ("width", "height", "frames", "bits", "why"),
    [
        (800, 480, 12, 8, "more than 307,200"),
        (64, 40, 12, 8, "smaller than 48"),
        (64, 48, 12, 10, "10 bits"),
        (64, 48, 11, 8, "fewer than 12"),
    ],
)
def test_videos_that_motion_is_not_for(
    width: int, height: int, frames: int, bits: int, why: str, tmp_path: Path
) -> None:
    path = write(tmp_path / "in.y4m", make_clip(width, height, frames), bits)
    assert why in auto.choose_base(str(path), EncoderConfig(q=67)).reason


def test_an_encoder_by_itself_chunks_and_one_file_take_av1(tmp_path: Path, source: Path) -> None:
    assert EncoderConfig(base=AUTO).resolve().base == "av1"
    assert make_settings(EncoderConfig(base=AUTO, fit=0)).config.base == "av1"
    api.encode_file(source, tmp_path / "one.mp4", base=AUTO, q=67, fit=0, frames=2)
    assert base_of_file(tmp_path / "one.mp4") == "av1"


# Real clips


def write(path: Path, planes: list[Planes], bits: int = 8) -> Path:
    height, width = planes[0][0].shape
    fmt = VideoFormat(width, height, Fraction(25), Fraction(1, 25), bits, Colour(1, 1, 1))
    write_clip(path, fmt, planes)
    return path


@pytest.fixture(scope="module")
def source(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write(tmp_path_factory.mktemp("auto") / "in.mp4", make_clip(320, 192, 24))


def base_of_file(path: Path) -> str:
    with open_stream(str(path)) as stream:
        return Reader(stream).header.base


def test_a_clip_becomes_motion_that_is_cut_joined_and_verified(tmp_path: Path) -> None:
    """Without --base, as at any low rate, where motion is 14.7 % nearer than AV1. The file is that
    of --base motion, on one thread and on two."""
    source = write(tmp_path / "in.mp4", make_clip(480, 288, 24, seed=1))
    path = tmp_path / "a.gvc"
    words = ["-q", 66, "--fit", "off", "--keyint", 12, "--threads", 1]
    done = gvcodec("encode", source, path, *words)
    (line,) = [line for line in done.stderr.decode().splitlines() if "base motion: " in line]
    assert "nearer to the source than av1 at 0.0" in line
    assert b"motion" in gvcodec("info", path).stdout
    chosen = auto.choose_base(str(source), EncoderConfig(q=66, base=AUTO, keyint=12)).config
    assert chosen.base == "motion" and chosen.base_q is not None
    chosen = dataclasses.replace(chosen, fit=0, threads=2)
    same = api.encode_file(source, tmp_path / "same.gvc", config=chosen)
    assert same.frames == 24 and (tmp_path / "same.gvc").read_bytes() == path.read_bytes()
    parts = [tmp_path / "front.gvc", tmp_path / "rear.gvc"]
    gvcodec("cut", path, parts[0], "--to", 0.48)
    gvcodec("cut", path, parts[1], "--from", 0.48)
    gvcodec("cat", *parts, "-o", tmp_path / "joined.gvc")
    for stream in (path, tmp_path / "joined.gvc"):
        gvcodec("verify", stream)
    whole, joined = (api.decode_planes(p) for p in (path, tmp_path / "joined.gvc"))
    assert clips_equal(whole, joined)


def test_a_clip_that_av1_shows_better_becomes_av1(tmp_path: Path) -> None:
    path = write(tmp_path / "in.mp4", sliding(24, 320, 192))
    words = ["-q", 66, "--fit", "off", "--quiet"]
    gvcodec("encode", path, tmp_path / "auto.gvc", "--base", "auto", *words)
    gvcodec("encode", path, tmp_path / "av1.gvc", "--base", "av1", *words)
    assert (tmp_path / "auto.gvc").read_bytes() == (tmp_path / "av1.gvc").read_bytes()


# Files of a size, and of a quality


def chooser(base: str, asked: list[EncoderConfig]) -> auto.Choose:
    def choose(config: EncoderConfig) -> EncoderConfig:
        asked.append(config)
        assert config.base == "av1" and config.base_q is not None
        # Motion has no presets; AV1's passes are to be fast here.
        return dataclasses.replace(config, base=base, preset=10 if base == "av1" else None)

    return choose


def in_memory(path: Path) -> Open:
    """The frames of a video as rate control reads them."""
    with VideoReader(path) as reader:
        return opener([frame.planes for frame in reader])


RATED = EncoderConfig(base=AUTO, fit=0, threads=1, preset=10)


@pytest.mark.parametrize("base", ["av1", "motion"])
def test_a_size_is_met_in_the_base_that_is_chosen(base: str, source: Path) -> None:
    asked: list[EncoderConfig] = []
    limit = round(0.0115 * 24 * 320 * 192 / 8)
    found = encode_to(
        in_memory(source), RATED, Budget(size=limit), unwatched, choose=chooser(base, asked)
    )
    assert Reader(io.BytesIO(found.coded.data)).header.base == base
    assert 0.9 * limit < len(found.coded.data) <= limit
    assert len(asked) == 1 and 55 < (asked[0].base_q or 0) < 67


def test_a_size_on_the_command_line(source: Path, tmp_path: Path) -> None:
    words = ["--base", "auto", "--size", 1100, "--fit", "off", "--threads", 1, "--verbose"]
    done = gvcodec("encode", source, tmp_path / "out.gvc", *words, "--frames", 12)
    assert 950 < (tmp_path / "out.gvc").stat().st_size <= 1100
    assert f"base {base_of_file(tmp_path / 'out.gvc')}: ".encode() in done.stderr
    assert re.search(rb"base (av1: motion|motion: ).* 0\.0\d+ bits a pixel", done.stderr)


def test_motion_of_a_size_is_fitted_once(source: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    fits: list[int] = []

    def fit(*_: object) -> tuple[dict[int, bytes], str]:
        fits.append(1)
        return {}, "it does not pay"

    monkeypatch.setattr(encoder, "fit_parts", fit)
    config = EncoderConfig(base="motion", scale=Fraction(1), fit=1, threads=1)
    found = encode_to(in_memory(source), config, Budget(bpp=0.05), unwatched)
    assert found.full_passes > 1 and len(fits) == 1
    assert "it does not pay" in found.coded.notes


def test_a_large_size_is_av1_without_trials(source: Path) -> None:
    def choose(config: EncoderConfig) -> EncoderConfig:
        raise AssertionError

    found = encode_to(in_memory(source), RATED, Budget(bpp=0.05), unwatched, choose=choose)
    assert Reader(io.BytesIO(found.coded.data)).header.base == "av1"
