"""How strongly GOPs are painted: no more flicker than the base frames where possible, and nothing
where that is nearer to the source."""

from fractions import Fraction

import numpy as np
import pytest

import gvcodec
from gvcodec.models import PAINTER
from gvcodec.painter.cpu import CpuPainter
from gvcodec.painter.model import NEUTRAL, Model, Strength, condition
from gvcodec.painter.payload import BASE, IDENTITY, split_strength
from gvcodec.painter.sample_clips import SampleClips
from gvcodec.painter.samples import Gop, Part, Sample
from gvcodec.painter.strength import STRENGTH_STEPS, choose_strength, choose_strengths
from gvcodec.painter.texture_check import has_texture_mismatch
from gvcodec.types import Planes, VideoFormat
from tests.conftest import clips_equal, moving_texture
from tests.painter.test_painter import twin

STREAM = condition("av1", Fraction(1), 50)
MODEL = Model.load(PAINTER.find())
SIDE = 64


def run(noise: float, seed: int = 0) -> Sample:
    """A texture that moves; base frames without detail, whose errors change."""
    rng = np.random.default_rng(seed)
    ground = rng.normal(512, 60, (SIDE + 16, SIDE + 16))
    smooth = (ground + np.roll(ground, 1, 0) + np.roll(ground, 1, 1) + np.roll(ground, -1, 1)) / 4
    found: Sample = []
    for t in range(3):
        planes: list[Planes] = []
        for picture, error in ((smooth, noise), (ground, 0.0)):
            y = picture[2 * t : 2 * t + SIDE, t : t + SIDE] + rng.normal(0, 1, (SIDE, SIDE)) * error
            grey = np.full((SIDE // 2, SIDE // 2), 512, np.uint16)
            planes.append((y.round().clip(0, 1023).astype(np.uint16), grey, grey))
        found.append((planes[0], planes[1]))
    return found


def part(*gops: tuple[int, int], samples: int = 1, noise: float = 4.0) -> Part:
    """GOPs (first frame, bytes) with `samples` runs each."""
    firsts = [first + 3 * n for first, _ in gops for n in range(samples)]
    runs = [run(noise, first) for first in firsts]
    sizes = [[200] * 3 for _ in runs]
    size = sum(size for _, size in gops)
    return Part(gops[0][0], runs, size, sizes, firsts, [Gop(*gop) for gop in gops])


def test_the_first_strength_within_the_limit_is_taken(monkeypatch: pytest.MonkeyPatch) -> None:
    excess = iter([1.0, 1.2, 1.04])
    monkeypatch.setattr(SampleClips, "excess_of_base", lambda self: next(excess))
    monkeypatch.setattr(SampleClips, "excess_of", lambda self, model, stream, limit: next(excess))
    assert choose_strength(MODEL, STREAM, SampleClips([], [])) == STRENGTH_STEPS[1]
    excess = iter([1.0, 3.0, 3.0])
    assert choose_strength(MODEL, STREAM, SampleClips([], [])) == STRENGTH_STEPS[-1]


def test_excess_is_what_changes_beyond_the_source() -> None:
    loud = Model.of(twin(5).integers())
    calm, restless = (SampleClips([run(error)], [[0, 0, 0]]) for error in (0.0, 8.0))
    base = restless.excess_of_base()
    assert calm.excess_of_base() == 0 < base
    assert calm.excess_of(MODEL, STREAM) == 0  # nothing that moves along changes
    assert restless.excess_of(loud, STREAM) > 4 * base
    assert restless.excess_of(loud.with_strength(Strength(noise=0)), STREAM) < 2 * base
    assert SampleClips([run(9.0)[:1]], [[0]]).excess_of_base() == 0  # one frame changes nothing


def test_pictures_without_a_whole_block_are_painted_as_trained() -> None:
    tiny = [tuple((y[:12, :40], u[:6, :20], v[:6, :20]) for y, u, v in pair) for pair in run(8.0)]
    runs = SampleClips([tiny], [[0, 0, 0]])
    assert runs.excess_of_base() == runs.excess_of(MODEL, STREAM) == 0
    assert choose_strength(MODEL, STREAM, runs) == NEUTRAL


def test_runs_after_the_limit_are_not_painted(monkeypatch: pytest.MonkeyPatch) -> None:
    loud = Model.of(twin(5).integers())
    alone = [
        SampleClips([run(8.0, seed)], [[0, 0, 0]]).excess_of(loud, STREAM) for seed in range(3)
    ]
    runs = SampleClips([run(8.0, seed) for seed in range(3)], [[0, 0, 0]] * 3)
    assert runs.excess_of(loud, STREAM) == pytest.approx(sum(alone) / 3)
    assert runs.excess_of(loud, STREAM, sum(alone)) == runs.excess_of(loud, STREAM)
    painted = []
    paint = CpuPainter.paint
    monkeypatch.setattr(CpuPainter, "paint", lambda *given: painted.append(1) or paint(*given))
    limit = sum(alone[:2]) / 3 - 0.01
    assert runs.excess_of(loud, STREAM, limit) == pytest.approx(sum(alone[:2]) / 3)
    assert len(painted) == 6


def test_strengths_go_with_gops_and_are_sent_only_where_they_pay(monkeypatch):
    chosen = iter([STRENGTH_STEPS[2], NEUTRAL, STRENGTH_STEPS[1]])
    monkeypatch.setattr("gvcodec.painter.strength.choose_strength", lambda *given: next(chosen))
    parts = [part((0, 50_000), (30, 90), (60, 50_000)), part((90, 50))]
    found = choose_strengths(MODEL, STREAM, parts, (SIDE, SIDE))
    # The second GOP is too small for a packet of its own; a part's first GOP never is.
    assert [split_strength(found[n])[1] for n in (0, 30, 60, 90)] == [
        STRENGTH_STEPS[2],
        STRENGTH_STEPS[2],
        NEUTRAL,
        STRENGTH_STEPS[1],
    ]
    assert all(split_strength(payload)[0] == BASE for payload in found.values())


def test_steady_gops_of_shipped_weights_need_no_packet(monkeypatch: pytest.MonkeyPatch) -> None:
    parts = [part((0, 50_000), (30, 50_000)), Part(60, [], 900)]
    monkeypatch.setattr("gvcodec.painter.strength.choose_strength", lambda *given: NEUTRAL)
    assert choose_strengths(MODEL, STREAM, parts, (SIDE, SIDE)) == {}
    monkeypatch.setattr(
        "gvcodec.painter.strength.choose_strength", lambda *given: STRENGTH_STEPS[1]
    )
    found = choose_strengths(MODEL, STREAM, parts, (SIDE, SIDE))
    strengths = {n: split_strength(p) for n, p in found.items()}
    assert strengths == dict.fromkeys((0, 30), (BASE, STRENGTH_STEPS[1]))


def slides(count: int, height: int, width: int) -> list[Planes]:
    """Dark words, of blocks, on white; a mark moves."""
    rng = np.random.default_rng(2)
    page = np.full((height, width), 900, np.uint16)
    for top in range(8, height - 12, 12):
        letters = rng.integers(0, 2, (8, width // 4)).repeat(4, 1)[:, : width - 16]
        page[top : top + 8, 8 : 8 + letters.shape[1]] = np.where(letters, 120, 900)
    grey = np.full((height // 2, width // 2), 512, np.uint16)
    found = []
    for n in range(count):
        y = page.copy()
        y[:6, 4 * n : 4 * n + 6] = 300
        found.append((y, grey, grey))
    return found


def coded_slides() -> Sample:
    rng = np.random.default_rng(3)
    clip = slides(3, SIDE, SIDE)
    return [((y + rng.integers(0, 3, y.shape, np.uint16), u, v), (y, u, v)) for y, u, v in clip]


def test_painted_slides_stray_from_the_source() -> None:
    assert has_texture_mismatch(SampleClips([coded_slides()] * 8, [[0, 0, 0]] * 8), MODEL, STREAM)
    assert not has_texture_mismatch(SampleClips([run(4.0)] * 8, [[0, 0, 0]] * 8), MODEL, STREAM)
    assert not has_texture_mismatch(SampleClips([run(4.0)[:1]], [[0]]), MODEL, STREAM)


def test_gops_of_slides_show_base_frames(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(
        "gvcodec.painter.strength.choose_strength", lambda *given: STRENGTH_STEPS[1]
    )
    gops = part((0, 50_000), (30, 50_000), (60, 50_000))
    gops.samples[1] = coded_slides()
    found = choose_strengths(MODEL, STREAM, [gops], (SIDE, SIDE))
    assert found[30] == IDENTITY
    assert [split_strength(found[n]) for n in (0, 60)] == [(BASE, STRENGTH_STEPS[1])] * 2


def test_a_lecture_is_painted_but_for_its_slides() -> None:
    fmt = VideoFormat(160, 96, Fraction(25), Fraction(1, 25))
    clip = [*slides(9, 96, 160), *moving_texture(160, 96, 9)]
    data = gvcodec.encode(clip, format=fmt, q=35, keyint=9, preset=10, file_format="1.0")
    painted, base = (list(gvcodec.decode_planes(data, fidelity=f)) for f in (False, True))
    assert gvcodec.verify(data).frames == 18 and gvcodec.info(data).unpainted_frames == 9
    assert clips_equal(painted[:9], base[:9])
    assert all(not np.array_equal(a[0], b[0]) for a, b in zip(painted[9:], base[9:], strict=True))
