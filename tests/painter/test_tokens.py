"""Tokens that steer the painter: bytes, levels, painting in every form of the core, search."""

import io
from dataclasses import replace
from fractions import Fraction
from pathlib import Path

import numpy as np
import pytest
import torch

import gvcodec
from gvcodec._core import cpu, cpu_forms, use_cpu
from gvcodec.base import open_encoder
from gvcodec.bitstream import Kind, Reader
from gvcodec.bitstream.header import NEEDS, NEEDS_STEERING
from gvcodec.codec.decoder import Decoder
from gvcodec.config import EncoderConfig
from gvcodec.errors import DamagedStreamError, MediaError, UsageError
from gvcodec.models import PAINTER_TOKENS, read_arrays, save_weights
from gvcodec.painter import token_trial
from gvcodec.painter.fit_pool import prepare
from gvcodec.painter.look import turn_payload, turned
from gvcodec.painter.model import NEUTRAL, Model, Strength, condition
from gvcodec.painter.network import PainterNetwork
from gvcodec.painter.objective import fresh
from gvcodec.painter.open import add_tokens
from gvcodec.painter.payload import BASE, IDENTITY, Beside, join, read, split
from gvcodec.painter.steady import choose_strength
from gvcodec.painter.token_encoder import EncodedTokens, energies
from gvcodec.painter.token_samples import PAIRS, GopSample, TokenSampler
from gvcodec.painter.token_search import TokenSearch
from gvcodec.painter.token_trial import TokenTrial, best_of, spread
from gvcodec.painter.tokens import (
    LARGEST,
    MOST_LEVEL,
    STEP,
    Tokens,
    decompose,
    grid_of,
    keep,
    levels_of,
    no_tokens,
    pack,
    unpack,
    values_of,
)
from gvcodec.painter.video import CpuPainter, block_vectors
from gvcodec.types import Planes, VideoFormat
from tests.clips import write_clip
from tests.conftest import clips_equal, moving_texture, planes_equal, run

MODEL = Model.load(PAINTER_TOKENS.find())
assert MODEL.tokens is not None
TOKENS = MODEL.tokens


def some_tokens(height: int, width: int, seed: int = 0) -> Tokens:
    rng = np.random.default_rng(seed)
    tokens = no_tokens(height, width, TOKENS.dims)
    for part in tokens[:3]:
        part[:] = np.rint(rng.laplace(0, 1.5, part.shape)).clip(-LARGEST, LARGEST)
    tokens.kinds[:] = rng.integers(0, 4, tokens.kinds.shape)
    return tokens


@pytest.mark.parametrize("size", [(16, 16), (70, 118), (256, 256), (257, 513), (720, 1280)])
def test_tokens_come_back_from_their_bytes(size: tuple[int, int]) -> None:
    for seed in range(3):
        tokens = some_tokens(*size, seed)
        data = pack(tokens, TOKENS, 50)
        again = unpack(data, TOKENS, 50, *size)
        assert np.array_equal(again.kinds, tokens.kinds)
        assert np.array_equal(values_of(again)[1], values_of(tokens)[1])
        assert pack(again, TOKENS, 50) == data
    nothing = no_tokens(*size, TOKENS.dims)
    assert not any(pack(nothing, TOKENS, 50)) and not levels_of(nothing).any()


def test_a_token_is_coded_in_its_own_place_alone() -> None:
    """An integer of a region that is left out, or outside of what its window sends, is 0."""
    tokens = some_tokens(200, 300)
    tokens.kinds[:] = [[1, 3]]
    again = unpack(pack(tokens, TOKENS, 10), TOKENS, 10, 200, 300)
    assert np.array_equal(again.window, tokens.window)
    assert not again.quadrant[:, :2].any() and not again.region[:, :4].any()
    assert np.array_equal(again.region[:, 4:], tokens.region[:, 4:])


def test_other_bytes_are_damaged_or_other_tokens() -> None:
    size, rng = (200, 300), np.random.default_rng(5)
    tokens = some_tokens(*size)
    tokens.kinds[:] = 3
    data = pack(tokens, TOKENS, 40)
    wrong = [data[:cut] for cut in range(len(data))] + [data + b"\0", data + b"\x55"]
    for _ in range(300):
        changed = bytearray(data)
        changed[int(rng.integers(1, len(data)))] ^= 1 << int(rng.integers(8))
        wrong.append(bytes(changed))
    refused = 0
    for given in wrong:
        try:
            found = unpack(given, TOKENS, 40, *size)
        except DamagedStreamError as error:
            assert "tokens of the painter" in str(error)
            refused += 1
        else:
            assert not np.array_equal(values_of(found)[1], values_of(tokens)[1])
    assert refused > 0.97 * len(wrong)
    with pytest.raises(DamagedStreamError, match="more windows"):
        unpack(bytes([data[0] | 0x80]) + data[1:], TOKENS, 40, *size)
    with pytest.raises(DamagedStreamError, match="after the last one"):
        unpack(b"\0" + data[1:], TOKENS, 40, *size)


def test_levels_are_sums_of_a_region_its_quadrant_and_its_window() -> None:
    tokens = some_tokens(200, 600, 3)
    levels = levels_of(tokens)
    assert levels.shape == (TOKENS.dims, *grid_of(200, 600))
    for row, column in np.ndindex(levels.shape[1:]):
        total = (
            tokens.region[row, column]
            + tokens.quadrant[row // 2, column // 2]
            + tokens.window[row // 4, column // 4]
        )
        wanted = np.clip(8 * total, -MOST_LEVEL, MOST_LEVEL)
        assert np.array_equal(levels[:, row, column], wanted)


def test_what_is_searched_for_regions_is_what_is_sent() -> None:
    rng = np.random.default_rng(2)
    regions = rng.integers(-3, 4, (4, 10, 8)).astype(np.int32)
    found = decompose(regions, 250, 600)
    assert np.array_equal(
        levels_of(found), np.clip(8 * regions, -MOST_LEVEL, MOST_LEVEL).transpose(2, 0, 1)
    )
    coarse = keep(found, 1)
    assert coarse.window.any() and not coarse.quadrant.any() and not coarse.region.any()


@pytest.mark.parametrize("form", cpu_forms())
@pytest.mark.parametrize("size", [(48, 80), (160, 272), (208, 336)])
def test_the_core_paints_what_the_network_does(form: str, size: tuple[int, int]) -> None:
    """In double precision the network is the definition."""
    height, width = size
    network = PainterNetwork.load(PAINTER_TOKENS.find()).double()
    entries = condition("av1", Fraction(1), 50)
    tokens = some_tokens(height, width, 7)
    levels = levels_of(tokens)
    (planes,) = moving_texture(width, height, 1)
    before = cpu()
    try:
        use_cpu(form)
        painter = CpuPainter(height, width, 2)
        painter.start(entries, MODEL)
        plain = painter.paint(planes, None, 30)
        painter.start(entries, MODEL, levels)
        painted = painter.paint(planes, None, 30)
        painter.start(entries, MODEL, np.zeros_like(levels))
        assert planes_equal(painter.paint(planes, None, 30), plain)
    finally:
        use_cpu(before)
    assert not planes_equal(painted, plain)
    table = torch.from_numpy(TOKENS.weight.astype(np.float64))
    placed = spread(torch.from_numpy(levels.astype(np.float64))[None], height, width)
    luma = torch.from_numpy(planes[0].astype(np.float64))[None, None] / 1023
    chroma = torch.from_numpy(np.stack(planes[1:]).astype(np.float64))[None] / 1023
    row = torch.from_numpy(entries.astype(np.float64))[None]
    row[0, -1] = 30
    seen = network.trunk(luma, chroma, None, fresh(height, width, 0), None, row)
    shifts = torch.einsum("sd,bdhw->bshw", table, placed)
    shown, _, _ = network.paint(replace(seen, shifts=shifts), None)
    wanted = (shown * 1023).round().clamp(0, 1023)[0, 0].numpy()
    assert np.array_equal(painted[0], wanted.astype(np.uint16))


def test_levels_that_do_not_fit_are_refused() -> None:
    painter = CpuPainter(48, 80, 1)
    entries = condition("av1", Fraction(1), 50)
    for levels in (
        np.zeros((8, 1, 1), np.int8),
        np.zeros((4, 1, 2), np.int8),
        np.full((8, 1, 2), 64, np.int8),
        np.full((8, 1, 2), -128, np.int8),
    ):
        with pytest.raises(ValueError, match="level|steers"):
            painter.start(entries, MODEL, levels)


def test_payloads_with_tokens_come_back() -> None:
    sizes = MODEL.sizes()
    for strength in (Strength(), Strength(20, 7), Strength(gains=(1, -2, 3))):
        for data in (b"", b"\1", bytes(300)):
            payload = join(BASE, Beside(strength, data))
            assert split(payload) == (BASE, Beside(strength, data)) and read(payload, sizes) == []
            assert payload[0] & 0x20
            for cut in range(1, len(payload)):
                with pytest.raises(DamagedStreamError):
                    read(payload[:cut], sizes)
    payload = join(BASE, Beside(Strength(20, 7), b"\1\2"))
    turned = split(turn_payload(payload, 70))[1]
    assert turned.tokens == b"\1\2" and turned.strength.noise == 20 and turned.strength.is_turned
    assert turn_payload(payload, 0) == IDENTITY


def test_tokens_hold_for_their_gop_alone() -> None:
    strong = join(BASE, Beside(Strength(20, 7)))
    found = add_tokens({0: IDENTITY, 50: strong}, {0: b"a", 25: None, 50: b"b", 75: None, 90: b"c"})
    assert found == {
        0: IDENTITY,
        25: IDENTITY,
        50: join(BASE, Beside(Strength(20, 7), b"b")),
        75: strong,
        90: join(BASE, Beside(Strength(20, 7), b"c")),
    }
    assert add_tokens({}, {0: None, 10: b"a"}) == {0: BASE, 10: join(BASE, Beside(tokens=b"a"))}


def test_pairs_of_a_gop_are_spread_over_it() -> None:
    sampler, gops = TokenSampler(), []
    planes = moving_texture(32, 32, 1)[0]
    for number in range(230):
        sampler.send_source(number, planes)
        if number in (0, 5, 6, 150):
            sampler.start_gop(number)
        gops += [
            (gop.first, [sizes[0] for sizes in gop.sizes])
            for gop in sampler.send_base(number, planes, number)
        ]
    gops += [(gop.first, [sizes[0] for sizes in gop.sizes]) for gop in sampler.finish()]
    assert [first for first, _ in gops] == [0, 5, 6, 150]
    assert gops[0][1] == [0] and gops[1][1] == []
    for first, places, end in ((6, gops[2][1], 150), (150, gops[3][1], 230)):
        assert len(places) == PAIRS and first <= places[0] and places[-1] + 1 < end
        gaps = np.diff([first, *places, end])
        assert gaps.max() <= 0.5 * (end - first)


def test_a_painter_with_wrong_tensors_of_tokens_is_refused(tmp_path: Path) -> None:
    arrays, metadata = read_arrays(PAINTER_TOKENS.find())
    wide = np.full_like(arrays["tokens.weight"], 509)
    for name, wrong in (
        ("tokens.weight", wide),
        ("tokens.weight", arrays["tokens.weight"].astype(np.int32)),
        ("tokens.weight", arrays["tokens.weight"][:, :6]),
        ("tokens.weight", arrays["tokens.weight"][:-4]),
        ("tokens.weight", None),
        ("tokens.0.weight", arrays["tokens.0.weight"][:, 1:]),
        ("tokens.2.weight", None),
        ("tokens.1.bias", None),
    ):
        changed = {**arrays, name: wrong}
        path = tmp_path / "painter.safetensors"
        save_weights({}, path, metadata, {n: a for n, a in changed.items() if a is not None})
        with pytest.raises(MediaError, match="not a painter"):
            Model.load(path)


FORMAT = VideoFormat(160, 96, Fraction(25), Fraction(1, 25))
FRAMES = moving_texture(160, 96, 14)


def encoded(**options: object) -> bytes:
    return gvcodec.encode(FRAMES, format=FORMAT, q=50, **options)


def test_a_file_with_tokens_says_what_it_needs_and_decodes(monkeypatch) -> None:
    tokens = some_tokens(96, 160, 9)
    tokens.kinds[:] = 3
    sent = pack(tokens, TOKENS, 50)
    monkeypatch.setattr(TokenSearch, "find", lambda self, gop, size: sent)
    plain, steered = encoded(keyint=7), encoded(keyint=7, tokens="search")
    header = Reader(io.BytesIO(steered)).header
    assert header.needs == NEEDS_STEERING and Reader(io.BytesIO(plain)).header.needs == NEEDS
    fits = [p.payload for p in Reader(io.BytesIO(steered)).packets() if p.kind is Kind.FIT]
    assert {split(payload)[1].tokens for payload in fits} == {sent}
    assert gvcodec.verify(steered).frames == len(FRAMES)
    facts = gvcodec.info(steered)
    assert facts.token_bytes == len(sent) and facts.tokens == 1 + 2 + 2 * 3
    assert f"steered by {facts.tokens} tokens in {len(sent)} bytes" in str(facts)
    assert not gvcodec.info(plain).tokens
    before = shown(plain)
    assert not clips_equal(shown(steered), before)
    assert clips_equal(shown(steered, steers=False), before)
    assert clips_equal(shown(steered, fidelity=True), shown(plain, fidelity=True))


def shown(data: bytes, **options: bool) -> list[Planes]:
    reader = Reader(io.BytesIO(data))
    decoder = Decoder(reader.header, **options)
    return [frame.planes for frame in decoder.frames_of(reader.packets())]


def rough_clip(count: int, height: int = 128, width: int = 192) -> list[Planes]:
    """A field of fine texture that moves."""
    rng = np.random.default_rng(1)
    fine = rng.normal(0, 1, (height + 64, width + 64))
    smooth = fine
    for axis in (0, 1):
        smooth = sum(
            weight * np.roll(smooth, place - 2, axis)
            for place, weight in enumerate(np.array([1, 4, 6, 4, 1]) / 16)
        )
    slope = np.add.outer(np.linspace(420, 580, height), np.linspace(-60, 60, width))
    chroma = np.full((height // 2, width // 2), 512, np.uint16)
    texture = 160 * smooth + 30 * fine
    found = []
    for n in range(count):
        part = texture[8 + n : 8 + n + height, 8 + 2 * n : 8 + 2 * n + width]
        found.append((np.clip(slope + part, 0, 1023).astype(np.uint16), chroma, chroma))
    return found


def searched_gop(monkeypatch) -> tuple[VideoFormat, GopSample, TokenSearch, bytes]:
    """What a search finds in a rough GOP where bytes and flicker cost nothing."""
    monkeypatch.setattr(token_trial, "STEADY", 0.0)
    monkeypatch.setattr(token_trial, "TEMPORAL", 0.0)
    fmt, sample = rough_gop()
    search = TokenSearch(fmt, "av1", Fraction(1), 50, 50, True, True)
    found = search.find(sample, 10**9)
    assert found is not None
    return fmt, sample, search, found


def test_a_search_lowers_what_judges_frames_that_it_did_not_see(monkeypatch) -> None:
    fmt, sample, search, found = searched_gop(monkeypatch)
    tokens = unpack(found, TOKENS, 50, 128, 192)
    trial = search.trial
    painter = trial.painter_at(search.encoded.strength_of(sample))
    run, moves = prepare([sample.pairs[1]])[0], trial.moves_of(sample, 1)
    look = trial.look(painter, run, moves, trial.windows[0], 99)
    levels = torch.from_numpy(levels_of(tokens).astype(np.float32))[None]
    with torch.no_grad():
        (placed,) = trial.spread(levels, trial.windows)
        steered, plain = (trial.weigh(painter, look, x, exact=True) for x in (placed, None))
    assert steered.loss < plain.loss
    with pytest.raises(UsageError, match="8388608 samples"):
        TokenSearch(replace(fmt, width=4098, height=2304), "av1", Fraction(1), 50, 50, True, True)
    assert search.find(GopSample(0), 10**9) is None
    assert search.find(sample, 1) is None


def rough_gop() -> tuple[VideoFormat, GopSample]:
    """A GOP of twelve frames of it."""
    fmt = replace(FORMAT, width=192, height=128)
    clip = rough_clip(12)
    config = EncoderConfig(q=50, preset=8, threads=1).resolve()
    encoder = open_encoder(fmt, config)
    parts = [*(encoder.send(planes) for planes in clip), encoder.flush()]
    base = [planes for part in parts for planes in part.base_frames]
    pairs = [[(base[n + i], clip[n + i]) for i in range(2)] for n in (0, 4, 8)]
    return fmt, GopSample(0, pairs, [[0, 0]] * 3)


@pytest.mark.parametrize("kinds", [[3], [1, 2, 3]])
def test_a_trial_sends_what_serves_and_no_harm(kinds: list[int], monkeypatch) -> None:
    _, sample, search, found = searched_gop(monkeypatch)
    trial, painter = search.trial, search.trial.painter_at(search.encoded.strength_of(sample))
    run, moves = trial.runs(sample)[1], trial.moves_of(sample, 1)
    # As the search has judged.
    held = [[trial.look(painter, run, moves, trial.windows[0], seed) for seed in (64, 65)]]
    regions = levels_of(unpack(found, TOKENS, 50, 128, 192)).transpose(1, 2, 0) // STEP
    good = regions.astype(np.float32)
    assert trial.choose([good], painter, held, 10**9, kinds).kinds.any()
    for harmful in (np.full_like(good, 7), np.full_like(good, -7)):
        tokens = trial.choose([harmful], painter, held, 10**9, kinds)
        levels = torch.from_numpy(levels_of(tokens).astype(np.float32))[None]
        kept, plain = (
            trial.weigh(painter, held[0][0], x, exact=True)
            for x in (trial.spread(levels, trial.windows)[0], None)
        )
        assert kept.loss <= plain.loss
    assert not trial.choose([good], painter, held, 1, kinds).kinds.any()
    coarse, one = no_tokens(128, 192, 8), np.full_like(good, 1)
    assert trial.choose([], painter, held, 10**9, kinds).kinds.tolist() == coarse.kinds.tolist()
    # Where change costs all, what changes less is sent, or nothing.
    monkeypatch.setattr(token_trial, "STEADY", 1e6)
    for found in (good, one, -one):
        tokens = trial.choose([found], painter, held, 10**9, kinds)
        levels = torch.from_numpy(levels_of(tokens).astype(np.float32))[None]
        (placed,) = trial.spread(levels, trial.windows)
        kept, plain = (trial.weigh(painter, held[0][0], x, exact=True) for x in (placed, None))
        assert kept.flicker <= plain.flicker


def test_flicker_gets_dearer_until_a_gop_has_little_more() -> None:
    plain = [(1.0, 1e-3)] * 10
    # The first option gains most and flickers most in the first windows.
    bold = [((0.8, 1e-3 * (1.5 - 0.05 * n)), 1.0) for n in range(10)]
    mild = [((0.95, 1e-3), 1.0)] * 10
    chosen = best_of(plain, [bold, mild], 10**6)
    assert chosen[0] == 1 and chosen[9] == 0 and chosen == sorted(chosen, reverse=True)
    flicker = sum((bold, mild)[option][n][0][1] for n, option in enumerate(chosen))
    assert 1e-2 < flicker <= 1.1e-2 + 10 * 5e-5
    # Bytes cost what they would earn elsewhere, and what only harms is not sent.
    assert best_of(plain, [bold, mild], 1) == [None] * 10
    assert best_of(plain, [[((1.01, 1e-3), 0.0)] * 10], 10**6) == [None] * 10
    assert best_of(plain, [], 10**6) == [None] * 10


def test_tokens_are_found_for_the_strength_of_the_gop() -> None:
    fmt, sample = rough_gop()
    found = {
        (steadies, dial): EncodedTokens(fmt, "av1", Fraction(1), 50, dial, steadies, 1)
        for steadies, dial in ((False, 50), (True, 50), (False, 90))
    }
    stream = condition("av1", Fraction(1), 50)
    strength = choose_strength(MODEL, stream, BASE, sample.pairs, [[0, 0]] * 3)
    strengths = {key: encoded.strength_of(sample) for key, encoded in found.items()}
    bold = turned(NEUTRAL, 90)
    assert strengths == {(False, 50): NEUTRAL, (True, 50): strength, (False, 90): bold}
    trial = TokenTrial(fmt, "av1", Fraction(1), 50)
    heads = [trial.painter_at(strengths[False, dial]).head for dial in (50, 90)]
    assert not torch.equal(heads[0].multiplier, heads[1].multiplier)


def test_matched_tokens_bring_energies_nearer_to_the_source_s() -> None:
    fmt, sample = rough_gop()
    encoded = EncodedTokens(fmt, "av1", Fraction(1), 50, 50, False, 1)
    _, matched = encoded.parts(sample, NEUTRAL)
    assert matched.shape == (2, 3, TOKENS.dims)
    tokens = keep(decompose(np.rint(matched).astype(np.int32), 128, 192), 3)
    painter, stream = CpuPainter(128, 192, 1), condition("av1", Fraction(1), 50)
    pair = sample.pairs[1]
    vectors = block_vectors(pair[1][0][0], pair[0][0][0])
    misses = []
    for levels in (None, levels_of(tokens)):
        painter.start(stream, MODEL, levels)
        painter.paint(pair[0][0], None)
        painted = painter.paint(pair[1][0], vectors)[0]
        misses.append(float(np.abs(energies(painted) - energies(pair[1][1][0])).mean()))
    assert misses[1] < misses[0]


@pytest.mark.parametrize("options", [{"fit": 0}, {"look": 70}, {"base": "vvc"}, {"keyint": 5}])
def test_tokens_go_with_other_options(options: dict, monkeypatch) -> None:
    tokens = some_tokens(96, 160, 9)
    tokens.kinds[:] = 2
    monkeypatch.setattr(TokenSearch, "find", lambda self, gop, size: pack(tokens, TOKENS, self.q))
    data = encoded(tokens="search", **options)
    reader = Reader(io.BytesIO(data))
    besides = [split(p.payload)[1] for p in reader.packets() if p.kind is Kind.FIT]
    sent = pack(tokens, TOKENS, reader.header.base_q)
    assert besides and all(beside.tokens == sent for beside in besides)
    assert all(beside.strength.is_turned == ("look" in options) for beside in besides)
    assert gvcodec.verify(data).frames == len(FRAMES)


def test_a_size_is_kept_with_tokens(tmp_path: Path, monkeypatch) -> None:
    tokens = some_tokens(96, 160, 9)
    tokens.kinds[:] = 2
    monkeypatch.setattr(TokenSearch, "find", lambda self, gop, size: pack(tokens, TOKENS, self.q))
    clip, out = tmp_path / "clip.mkv", tmp_path / "out.gvc"
    write_clip(clip, FRAMES)
    run("encode", clip, out, "--size", "4k", "--tokens", "on", "--quiet")
    assert out.stat().st_size <= 4000
    assert gvcodec.info(out).tokens and gvcodec.verify(out).frames == len(FRAMES)


def test_what_cannot_have_tokens_says_so() -> None:
    for options, words in (
        ({"low_delay": True}, "low delay"),
        ({"fit": 5}, "not both"),
        ({"painter": "off"}, "steer a painter"),
        ({"look": 0}, "steer a painter"),
        ({"base": "gvc1d"}, "av1 and vvc"),
        ({"tokens": "most"}, "off, on, search"),
        ({"file_format": "1.0"}, "needs format 1.1"),
    ):
        with pytest.raises(UsageError, match=words):
            encoded(**{"tokens": "search", **options})
