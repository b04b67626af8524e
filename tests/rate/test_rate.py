"""Rate control: real bytes fit the budget, use it, and are no worse than constant quality."""

import contextlib
import dataclasses
import io
import math
import re
from collections.abc import Callable, Iterable, Iterator
from fractions import Fraction

import numpy as np
import pytest

import gvcodec as api
from gvcodec.bitstream import Reader
from gvcodec.bitstream.metadata import Metadata
from gvcodec.codec.encoder import EncoderConfig
from gvcodec.errors import UsageError
from gvcodec.perceptual import find_weights
from gvcodec.rate import size as sizes
from gvcodec.rate.one_pass import Budget, EncodePass, SourceFactory, encode_pass
from gvcodec.rate.size import RatedFile, Scale, Search, encode_to_budget
from gvcodec.rate.target import Target, encode_to_target, make_bracket, next_q, parse_target
from gvcodec.source.reader import Frame
from gvcodec.types import Planes, VideoFormat
from tests.clips import make_clip, write_clip
from tests.conftest import packets_in, piped, psnr
from tests.conftest import run as command
from tests.errors import raises
from tests.media.test_media import with_audio

FAST = EncoderConfig(fit=0, keyint=0, threads=1, preset=10)


class Clip:
    """A video in memory as rate control reads it."""

    tracks = None
    metadata = Metadata()
    attachments = ()
    start_pts = 0
    incomplete = ""
    end = None

    def __init__(self, planes: list[Planes]) -> None:
        self.notes: list[str] = []
        height, width = planes[0][0].shape
        self.format = VideoFormat(width, height, Fraction(25), Fraction(1, 25), 10)
        self._planes = planes

    def __iter__(self) -> Iterator[Frame]:
        return (Frame(planes, pts) for pts, planes in enumerate(self._planes))


def opener(planes: list[Planes]) -> SourceFactory:
    return lambda: contextlib.nullcontext(Clip(planes))


def unwatched(frames: Iterable[Frame], what: str, total: int | None) -> Iterable[Frame]:
    return frames


def fit(planes: list[Planes], config: EncoderConfig, **budget: float) -> RatedFile:
    return encode_to_budget(opener(planes), config, Budget(**budget), unwatched)


def coded_by(planes: list[Planes], config: EncoderConfig, **changes: object) -> EncodePass:
    config = dataclasses.replace(config, **changes)
    return encode_pass(opener(planes), config, "", unwatched, len(planes))


@pytest.fixture
def curve(monkeypatch) -> Callable[[Callable[..., float]], None]:
    """Passes get their sizes from a function of q, trim and preset; no frame is coded."""

    def install(size_of: Callable[..., float]) -> None:
        def code(search: Search, q: float, trim: float, trial: int | None = None) -> EncodePass:
            size = round(size_of(q, trim, trial))
            search.full_passes += trial is None
            return search.add_container(
                EncodePass(
                    search.stats.format, bytes(size + 90), [size], 0, 0, 30, {}, [], q, "av1"
                )
            )

        monkeypatch.setattr(sizes, "_run_pass", code)
        monkeypatch.setattr("gvcodec.rate.size.add_painted", lambda data, *given: data)

    return install


def test_budgets() -> None:
    fmt = VideoFormat(100, 50, Fraction(25), Fraction(1, 25))
    assert Budget(size=1234.5).file_bytes(fmt, 50, 99) == 1234
    assert Budget(bitrate=8000).file_bytes(fmt, 50, 99) == 2000
    assert Budget(bitrate=8000).file_bytes(fmt, 50, 99, 4.0) == 4000
    assert Budget(bpp=0.1).file_bytes(fmt, 50, 99) == 3125 + 99
    assert Budget(video_bitrate=8000).file_bytes(fmt, 50, 99, 4.0) == 4000 + 99
    for wrong in ({}, {"size": 1, "bpp": 1}, {"size": 0}, {"bpp": math.inf}):
        with pytest.raises(UsageError):
            Budget(**wrong)


@pytest.mark.parametrize(
    ("fastest", "bpp", "slope"), [(0.7, 0.003, 0.2), (1.0, 0.0045, 0.2), (1.4, 0.003, 0.25)]
)
def test_a_slower_preset_settles_what_the_fastest_is_off_by(curve, fastest, bpp, slope):
    """Presets whose bytes differ: two full passes are enough."""
    clip = make_clip(1280, 720, 1, seed=1) * 100
    presets: list[int | None] = []

    def size_of(q: float, trim: float, preset: int | None) -> float:
        presets.append(preset)
        factor = fastest if preset == 10 else 0.99 if preset else 1.0
        return factor * 9e4 * math.exp(-slope * (q - 58) - 0.39 * (trim + 0.2))

    curve(size_of)
    size = 100 * bpp * 1280 * 720 / 8
    assert (
        0.95 * size
        <= len(fit(clip, EncoderConfig(base="av1"), size=size).encoded_pass.data)
        <= size
    )
    assert presets.count(None) <= 2 and 1 <= presets.count(6) <= 2


def test_the_fourth_pass_fits_where_three_are_too_large(curve) -> None:
    """Bytes that fall by less and less of what the scale expects."""
    full: list[float] = []

    def size_of(q: float, trim: float, preset: int | None) -> float:
        size = 2e5 * math.exp(-0.2 * (q - 58) - 0.39 * (trim + 0.2))
        if preset is None:
            full.append(q)
            size *= 1 + 0.02 * len(full)
        return size

    curve(size_of)
    coded = fit(make_clip(1280, 720, 1, seed=1) * 20, EncoderConfig(base="av1"), size=90_000)
    assert len(full) == coded.passes <= 4 and 0.85 * 90_000 <= len(coded.encoded_pass.data) <= 9e4


@pytest.mark.parametrize("added", [2_000, -2_000])
def test_what_a_container_adds_is_part_of_the_search(curve, added: int) -> None:
    full: list[float] = []

    def size_of(q: float, trim: float, preset: int | None) -> float:
        full.extend([q] * (preset is None))
        return 2e5 * math.exp(-0.2 * (q - 58) - 0.39 * (trim + 0.2))

    curve(size_of)
    planes = make_clip(1280, 720, 1, seed=1) * 20
    coded = encode_to_budget(
        opener(planes),
        EncoderConfig(base="av1"),
        Budget(size=90_000),
        unwatched,
        container=lambda data: (len(data) + added, 0),
    )
    file_bytes = len(coded.encoded_pass.data) + added
    assert 0.97 * 90_000 <= file_bytes <= 90_000 and len(full) == coded.passes <= 4


def test_a_file_that_plays_everywhere_has_its_size_after_four_encodes(tmp_path) -> None:
    source, output = tmp_path / "in.mp4", tmp_path / "out.mkv"
    with_audio(source, make_clip(96, 80, 75, seed=4))
    states: list[api.State] = []
    done = api.encode_file(
        source, output, size="52k", preset=10, fit=0, threads=1, progress=states.append
    )
    stages = [stage for stage in dict.fromkeys(s.stage for s in states) if "pass" in stage]
    assert stages == [f"pass {n} of at most 4" for n in range(1, done.passes + 1)]
    assert done.passes <= 4 and 0.98 * 52_000 <= output.stat().st_size <= 52_000
    assert done.limit == 52_000


@pytest.mark.parametrize(("size", "full_passes"), [(3_000, 0), (9_500, 1)])
def test_a_limit_out_of_reach_is_refused_after_one_pass_at_its_end(curve, size, full_passes):
    """Far out of reach: a trial says so. Little: one full pass, and none of finer quality."""
    tried: list[tuple[float, float, int | None]] = []

    def size_of(q: float, trim: float, preset: int | None) -> float:
        tried.append((q, trim, preset))
        return 3e5 * math.exp(-0.2 * (q - 58) - 0.9 * (trim + 0.2))

    curve(size_of)
    with pytest.raises(UsageError, match="smallest possible size is"):
        fit(make_clip(1280, 720, 1, seed=1) * 20, EncoderConfig(base="av1"), size=size)
    assert [pass_[2] for pass_ in tried].count(None) == full_passes
    assert tried[-1][:2] == pytest.approx((67, 1.6)) and all(q > 50 for q, _, _ in tried)


def test_a_size_below_that_of_the_coarsest_quality_is_met_by_a_trim() -> None:
    planes = make_clip(192, 128, 16)
    config = EncoderConfig(base="av1", fit=0, keyint=0, threads=1)
    coarsest = coded_by(planes, config, q=67)
    fitted = fit(planes, config, size=0.8 * len(coarsest.data))
    assert len(fitted.encoded_pass.data) <= 0.8 * len(coarsest.data) and fitted.passes <= 3
    assert fitted.encoded_pass.base_q == 63


@pytest.mark.parametrize("base", ["av1", "vvc", "gvc1d"])
def test_places_on_the_scale_come_back(base: str) -> None:
    config = EncoderConfig(base=base)
    scale = Scale(config)
    for x in np.linspace(scale.low, scale.high, 200):
        q, trim = scale.settings_at(x)
        assert 0 <= q <= config.max_base_q
        # Steps of the index of gvc1d are 2 to 4 % of the bytes, and the first is at 0.
        assert scale.position_of(q, trim) == pytest.approx(x, abs=0.02 if base == "gvc1d" else 1e-9)


def test_a_budget_that_cannot_be_met_names_the_one_that_can() -> None:
    clip = make_clip(96, 80, 8, seed=1)
    with pytest.raises(UsageError, match="smallest possible size is about") as refused:
        fit(clip, FAST, size=100)
    smallest = int(re.findall(r"(\d+) bytes", str(refused.value))[1])
    assert (
        100 < smallest < 2000 and len(fit(clip, FAST, size=smallest).encoded_pass.data) <= smallest
    )


def test_a_budget_and_a_largest_rate_do_not_go_together() -> None:
    with raises(UsageError, "option-conflict"):
        fit(make_clip(48, 32, 3), dataclasses.replace(FAST, maxrate=10**6), size=1000)


def test_more_than_the_finest_quality_needs_is_not_filled() -> None:
    fitted = fit(make_clip(48, 32, 4, seed=1), FAST, size=10**6)
    assert len(fitted.encoded_pass.data) < 20_000 and fitted.encoded_pass.psnr_y > 50


def test_bytes_of_fit_packets_count(monkeypatch) -> None:
    clip = make_clip(128, 96, 26, seed=2)
    answers = [{0: b"payload" * 100}, {}]
    monkeypatch.setattr("gvcodec.codec.encoder.painter_id", lambda *given: (b"12345678", ""))
    monkeypatch.setattr("gvcodec.codec.encode_stream.paints_exactly", lambda *given: False)
    monkeypatch.setattr(
        "gvcodec.codec.painter_stage.choose_strengths", lambda *given: answers.pop(0)
    )
    config = dataclasses.replace(FAST, fit=None)
    least = 6000 * 0.97  # so small a stream has coarse steps
    fitted = fit(clip, config, size=6000)
    assert least <= len(fitted.encoded_pass.data) <= 6000 and len(answers) == 1
    assert packets_in(fitted.encoded_pass.data)[0].payload == b"payload" * 100
    fitted = fit(clip, config, size=6000)
    assert least <= len(fitted.encoded_pass.data) <= 6000 and not answers


@pytest.mark.parametrize(("base", "preset"), [("av1", None), ("vvc", 4)])
def test_standard_file_fits(base: str, preset: int | None) -> None:
    clip = make_clip(160, 128, 12, seed=2)
    fitted = fit(clip, dataclasses.replace(FAST, base=base, preset=preset), bpp=0.15)
    assert 0.96 * fitted.limit <= len(fitted.encoded_pass.data) <= fitted.limit
    assert len(list(api.decode_planes(fitted.encoded_pass.data, fidelity=True))) == len(clip)


def test_command_line(tmp_path) -> None:
    source, stream = tmp_path / "in.mkv", tmp_path / "out.bin"
    write_clip(source, make_clip(96, 80, 30, seed=3))
    common = ("--preset", 10, "--fit", "off", "--threads", 1, "-y")
    # From about 4,000 bytes on a file also has a copy of its header.
    done = command("encode", source, stream, "--size", "5k", *common)
    assert 4950 <= stream.stat().st_size <= 5000
    assert f"{stream.stat().st_size} bytes" in done.err
    piped("encode", "-", stream, "--bitrate", "40k", *common, data=source.read_bytes())
    # Pictures as small as these answer to the trim in leaps.
    assert 0.93 * 6000 <= stream.stat().st_size <= 6000
    command("decode", stream, tmp_path / "out.mkv", "--fidelity")
    stream.unlink()
    done = command("encode", source, stream, "--bpp", "0.0005", *common, code=2)
    refusal = "gvcodec: 14 bytes are not enough: the smallest possible size is "
    assert done.err.startswith(refusal) and not stream.exists()
    command("encode", source, stream, "--bpp", "0.1", "-q", 3, *common, code=2)


def test_size_and_bitrate_count_the_sound(tmp_path) -> None:
    source, stream = tmp_path / "in.mp4", tmp_path / "out.bin"
    with_audio(source, make_clip(96, 80, 30, seed=4))
    common = ("--preset", 10, "--fit", "off", "--threads", 1, "-y")
    copied = "more than half: --sound opus:24k"  # of the budget is sound
    done = command("encode", source, stream, "--size", "20k", *common)
    assert 19_800 <= stream.stat().st_size <= 20_000 and copied in done.err
    done = command("encode", source, stream, "--bitrate", "120k", *common)  # 1.2 s
    assert copied in done.err
    with stream.open("rb") as file:
        reader = Reader(file)
        list(reader.packets())
    assert reader.track_size > 3000 and 0.98 * 18_000 <= reader.size <= 18_000
    done = command("encode", source, stream, "-b:v", "40k", *common)
    assert copied not in done.err
    video_bytes = api.info(stream).video_bytes
    assert 0.93 * 6000 <= video_bytes <= 6000 and api.info(stream).track_bytes > 3000
    for words in (("--size", "40k"), ("--size", "9k", "--sound", "opus:32k")):
        assert copied not in command("encode", source, stream, *words, *common).err
    # The bitrate of pictures bounds no file, whose container has bytes of its own.
    done = command("encode", source, stream.with_suffix(".mp4"), "-b:v", "40k", *common)
    assert " % of " not in done.err
    command("encode", source, stream.with_suffix(".mp4"), "--bitrate", "140k", *common)
    assert 0.95 * 21_000 <= stream.with_suffix(".mp4").stat().st_size <= 21_000


@pytest.mark.parametrize("keyint", [0, 30])
def test_the_mean_rate_stays_below_maxrate(keyint: int) -> None:
    """Of a hard clip: grain that is new in every frame."""
    rng = np.random.default_rng(1)
    grain = lambda y: np.clip(y + rng.normal(0, 60, y.shape), 0, 1023).astype(np.uint16)
    clip = [(grain(y), u, v) for y, u, v in make_clip(192, 128, 75, seed=2)]
    free = dataclasses.replace(FAST, q=30, keyint=keyint)
    capped = dataclasses.replace(free, maxrate=200_000, threads=2)
    most = 200_000 * len(clip) / 25 / 8
    assert len(api.encode(clip, frame_rate=25, config=free)) > 2 * most
    data = api.encode(clip, frame_rate=25, config=capped)
    assert 0.5 * most < len(data) < most
    if keyint:
        capped = dataclasses.replace(capped, threads=1)
        assert api.encode(clip, frame_rate=25, config=capped) == data


def test_a_rate_out_of_reach_changes_nothing_and_a_wrong_one_is_refused() -> None:
    clip = make_clip(96, 80, 20, seed=2)
    limited = dataclasses.replace(FAST, maxrate=10**9)
    sizes = [len(api.encode(clip, config=config)) for config in (limited, FAST)]
    assert abs(sizes[0] - sizes[1]) < 0.03 * sizes[1]
    for wrong in (
        *({"maxrate": rate} for rate in (-1, 999, math.nan, math.inf)),
        {"maxrate": 9e5, "low_delay": True},
        {"maxrate": 9e5, "base": "vvc", "preset": None},
        {"maxrate": 9e5, "base": "gvc1d", "preset": None},
    ):
        with pytest.raises(UsageError, match="maxrate"):
            api.encode(clip, config=dataclasses.replace(FAST, **wrong))


def test_target_is_met_by_no_more_than_needed() -> None:
    clip = make_clip(128, 96, 12, seed=6)
    reached = encode_to_target(opener(clip), FAST, parse_target("psnr=33.3"), unwatched)
    assert 33.3 <= shown_psnr(clip, reached.encoded_pass.data) == pytest.approx(reached.value)
    coarser = coded_by(clip, FAST, base_q=reached.base_q + 1)
    assert shown_psnr(clip, coarser.data) < 33.3


def shown_psnr(clip: list[Planes], data: bytes) -> float:
    """Mean PSNR-Y in dB of the painted frames."""
    return float(np.mean([*map(psnr, clip, api.decode_planes(data))]))


def still(luma: np.ndarray) -> list[Planes]:
    chroma = np.full((luma.shape[0] // 2, luma.shape[1] // 2), 512, np.uint16)
    return [(luma.astype(np.uint16), chroma, chroma)] * 4


def slide() -> list[Planes]:
    luma = np.full((96, 128), 900)
    luma[20:30, 20:100] = luma[50:54, 20:90] = 200
    return still(luma)


@pytest.mark.parametrize("decibels", [30, 48, 120])
@pytest.mark.parametrize("clip", [slide(), still(np.full((64, 64), 64))], ids=["slide", "black"])
def test_a_target_is_met_where_pictures_are_lossless(clip: list[Planes], decibels: float) -> None:
    reached = encode_to_target(opener(clip), FAST, parse_target(f"psnr={decibels}"), unwatched)
    assert reached.value >= decibels
    if decibels <= 48:
        # Not the first that is lossless.
        finest = coded_by(clip, FAST, base_q=0)
        # Of these clips every quality has about the same bytes, lossless ones too.
        assert len(reached.encoded_pass.data) <= len(finest.data) + 8
        assert reached.base_q > 45 or len(finest.data) < 300


@pytest.mark.parametrize(
    "curve",
    [
        lambda q: math.inf if q < 30 else 45 - 0.2 * q,
        lambda q: math.inf if q < 70 else 10.0,
        lambda q: 100 * (q - 5) / (1 + abs(q - 5)) if q < 40 else 60 - 0.5 * (q - 40),
        lambda q: 52 - 0.33 * q - 12 * (q > 33),
    ],
    ids=["lossless when fine", "a cliff", "worse when finer", "a step"],
)
@pytest.mark.parametrize("decibels", [20, 35, 44])
def test_a_target_is_found_on_curves_that_leap(curve, decibels: float) -> None:
    bracket, met = make_bracket(Target("psnr", decibels), 0.0, 75.0), False
    for _ in range(8):
        if (q := next_q(bracket)) is None:
            break
        assert 0 <= q <= 75 and q not in bracket.samples
        bracket.samples[q] = curve(q) - decibels
        met = met or curve(q) >= decibels
    assert met == any(curve(n / 4) >= decibels for n in range(301))


@pytest.mark.skipif(find_weights() is None, reason="no weights of the perceptual losses")
def test_perceptual_target() -> None:
    clip = make_clip(96, 80, 4, seed=6)
    reached = encode_to_target(opener(clip), FAST, parse_target("lpips=0.2"), unwatched)
    assert 0.15 < reached.value <= 0.2


def test_targets_out_of_reach() -> None:
    with raises(UsageError, "target-unreachable"):
        encode_to_target(opener(make_clip(48, 32, 3)), FAST, parse_target("psnr=90"), unwatched)
    for text in ("psnr", "psnr=", "psnr=-3", "vmaf=90", "lpips=nan"):
        with pytest.raises(ValueError):
            parse_target(text)


def test_qualities_beyond_66_are_coded_smaller() -> None:
    config = EncoderConfig(base="av1")
    assert config.max_base_q == 67 and EncoderConfig(base="vvc").max_base_q == 63
    assert EncoderConfig(scale=Fraction(1, 2)).max_base_q == 63
    settled = [dataclasses.replace(config, q=q).resolve() for q in (0, 63, 66, 66.5, 67)]
    wanted = [(1, 0), (1, 63), (1, 66), (Fraction(1, 2), 62.5), (Fraction(1, 2), 63)]
    assert [(c.scale, c.base_q) for c in settled] == wanted
    assert dataclasses.replace(config, scale=Fraction(3, 4), q=50).resolve().base_q == 50
    assert all(one.resolve() == one for one in settled)
    for wrong in (
        {"base_q": 68},
        {"base": "vvc", "preset": None, "base_q": 64},
        {"q": 68},
        {"q": 66.5, "scale": Fraction(1)},
        {"q": 64, "scale": Fraction(1, 2)},
        {"q": math.nan},
    ):
        with raises(UsageError, "option-value"):
            coded_by(make_clip(64, 48, 1), FAST, **wrong)


def test_a_size_below_that_of_66_is_met_at_reduced_size() -> None:
    planes, config = make_clip(192, 128, 16), EncoderConfig(base="av1", fit=0, keyint=0, threads=1)
    floor = coded_by(planes, config, q=66)
    fitted = fit(planes, config, size=0.92 * len(floor.data))
    header = Reader(io.BytesIO(fitted.encoded_pass.data)).header
    assert (
        len(fitted.encoded_pass.data) <= 0.92 * len(floor.data)
        and header.scale < 1
        and header.base_q <= 63
    )


def test_the_smallest_size_of_a_black_clip_is_not_that_of_the_coarsest_quality() -> None:
    """Its bytes do not fall with q."""
    clip = still(np.full((64, 64), 64))
    sizes = [len(coded_by(clip, FAST, base_q=q).data) for q in (0, 67)]
    assert len(fit(clip, FAST, size=min(sizes)).encoded_pass.data) <= min(sizes)
    with pytest.raises(UsageError, match="smallest possible size is") as caught:
        fit(clip, FAST, size=min(sizes) - 12)
    named = re.search(r"size is (\d+) bytes", str(caught.value))
    assert named is None or int(named[1]) <= min(sizes)
