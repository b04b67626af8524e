"""Tokens that steer the painter: bytes, levels, painting in every form of the core."""

import io
from dataclasses import replace
from fractions import Fraction
from pathlib import Path

import numpy as np
import pytest
import torch

import gvcodec
from gvcodec._core import cpu, cpu_forms, use_cpu
from gvcodec.bitstream import Kind, Reader
from gvcodec.bitstream.header import NEEDS, NEEDS_PAINTER_TOKENS
from gvcodec.codec.decoder import Decoder
from gvcodec.errors import DamagedStreamError, MediaError, UsageError
from gvcodec.models import PAINTER_TOKENS, read_arrays, save_weights
from gvcodec.painter import strength as strength_module
from gvcodec.painter.cpu import CpuPainter
from gvcodec.painter.model import Model, Strength, condition
from gvcodec.painter.paint_strength import set_payload_strength
from gvcodec.painter.payload import (
    BASE,
    IDENTITY,
    FitExtras,
    join_extras,
    split_extras,
)
from gvcodec.painter.token_coding import (
    LARGEST,
    MAX_STYLE_OFFSET,
    Tokens,
    decompose,
    grid_of,
    keep_kinds,
    no_tokens,
    pack,
    style_offsets_of,
    unpack,
    values_of,
)
from gvcodec.painter.tokens.encoder import EncodedTokens
from gvcodec.painter.tokens.samples import RUNS, GopSample, TokenSampler
from gvcodec.painter.tokens.search import TokenSearch, interpolate_offsets
from gvcodec.painter.tokens.stage import GopTokens, add_tokens
from gvcodec.painter.torch_twin.network import PainterNetwork
from gvcodec.painter.torch_twin.objective import fresh
from gvcodec.types import Planes, VideoFormat
from tests.clips import write_clip
from tests.conftest import clips_equal, moving_texture, planes_equal, run
from tests.errors import raises

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
    assert not any(pack(nothing, TOKENS, 50)) and not style_offsets_of(nothing).any()


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
    with raises(DamagedStreamError, "painter-tokens"):
        unpack(bytes([data[0] | 0x80]) + data[1:], TOKENS, 40, *size)
    with raises(DamagedStreamError, "painter-tokens"):
        unpack(b"\0" + data[1:], TOKENS, 40, *size)


def test_levels_are_sums_of_a_region_its_quadrant_and_its_window() -> None:
    tokens = some_tokens(200, 600, 3)
    levels = style_offsets_of(tokens)
    assert levels.shape == (TOKENS.dims, *grid_of(200, 600))
    for row, column in np.ndindex(levels.shape[1:]):
        total = (
            tokens.region[row, column]
            + tokens.quadrant[row // 2, column // 2]
            + tokens.window[row // 4, column // 4]
        )
        wanted = np.clip(8 * total, -MAX_STYLE_OFFSET, MAX_STYLE_OFFSET)
        assert np.array_equal(levels[:, row, column], wanted)


def test_what_is_searched_for_regions_is_what_is_sent() -> None:
    rng = np.random.default_rng(2)
    regions = rng.integers(-3, 4, (4, 10, 8)).astype(np.int32)
    found = decompose(regions, 250, 600)
    assert np.array_equal(
        style_offsets_of(found),
        np.clip(8 * regions, -MAX_STYLE_OFFSET, MAX_STYLE_OFFSET).transpose(2, 0, 1),
    )
    coarse = keep_kinds(found, 1)
    assert coarse.window.any() and not coarse.quadrant.any() and not coarse.region.any()


@pytest.mark.parametrize("form", cpu_forms())
@pytest.mark.parametrize("size", [(48, 80), (208, 336)])
def test_the_core_paints_what_the_network_does(form: str, size: tuple[int, int]) -> None:
    """In double precision the network is the definition."""
    height, width = size
    network = PainterNetwork.load(PAINTER_TOKENS.find()).double()
    entries = condition("av1", Fraction(1), 50)
    tokens = some_tokens(height, width, 7)
    levels = style_offsets_of(tokens)
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
    placed = interpolate_offsets(torch.from_numpy(levels.astype(np.float64))[None], height, width)
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
    for strength in (Strength(), Strength(20, 7), Strength(gains=(1, -2, 3))):
        for data in (b"", b"\1", bytes(300)):
            payload = join_extras(BASE, FitExtras(strength, data))
            assert split_extras(payload) == (BASE, FitExtras(strength, data))
            assert payload[0] & 0x20
            for cut in range(1, len(payload)):
                with pytest.raises(DamagedStreamError):
                    split_extras(payload[:cut])
    payload = join_extras(BASE, FitExtras(Strength(20, 7), b"\1\2"))
    turned = split_extras(set_payload_strength(payload, 70))[1]
    assert (
        turned.tokens == b"\1\2"
        and turned.strength.noise == 20
        and turned.strength.has_strength_factors
    )
    assert set_payload_strength(payload, 0) == IDENTITY


def test_tokens_hold_for_their_gop_alone() -> None:
    strong = join_extras(BASE, FitExtras(Strength(20, 7)))
    tokens = {0: b"a", 25: None, 50: b"b", 75: None, 90: b"c"}
    gops = {first: GopTokens(coded, None, None) for first, coded in tokens.items()}
    found = add_tokens({0: IDENTITY, 50: strong}, gops)
    assert found == {
        0: IDENTITY,
        25: IDENTITY,
        50: join_extras(BASE, FitExtras(Strength(20, 7), b"b")),
        75: strong,
        90: join_extras(BASE, FitExtras(Strength(20, 7), b"c")),
    }
    assert add_tokens({}, {0: gops[25], 10: gops[0]}) == {
        0: BASE,
        10: join_extras(BASE, FitExtras(tokens=b"a")),
    }


def test_runs_of_a_gop_are_spread_over_it() -> None:
    sampler, gops = TokenSampler(), []
    planes = moving_texture(32, 32, 1)[0]
    for number in range(230):
        sampler.send_source(number, planes)
        if number in (0, 5, 6, 8, 150):
            sampler.start_gop(number)
        gops += sampler.send_base(number, planes, number)
    gops += sampler.finish()
    assert [gop.first for gop in gops] == [0, 5, 6, 8, 150]
    # Runs begin at every fourth frame: 4 is alone, 6 and 7 belong to the run of 4.
    assert [gop.sizes for gop in gops[:3]] == [[[0, 1, 2]], [], []]
    for gop, end in ((gops[3], 150), (gops[4], 230)):
        places = [sizes[0] for sizes in gop.sizes]
        assert len(places) == RUNS and gop.first <= places[0] and places[-1] + 3 <= end
        assert all(sizes == [sizes[0] + n for n in range(3)] for sizes in gop.sizes)
        gaps = np.diff([gop.first, *places, end])
        assert gaps.max() <= 0.5 * (end - gop.first)


def test_a_short_gop_has_a_pair() -> None:
    sampler, planes = TokenSampler(), moving_texture(32, 32, 1)[0]
    sampler.start_gop(0)
    for number in range(2):
        sampler.send_source(number, planes)
        assert not list(sampler.send_base(number, planes, number))
    (gop,) = sampler.finish()
    assert gop.sizes == [[0, 1]] and len(gop.runs[0]) == 2


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
        with raises(MediaError, "not-a-model"):
            Model.load(path)


FORMAT = VideoFormat(160, 96, Fraction(25), Fraction(1, 25))
FRAMES = moving_texture(160, 96, 14)


def encoded(**options: object) -> bytes:
    return gvcodec.encode(FRAMES, format=FORMAT, q=50, **{"preset": 10} | options)


def test_a_file_with_tokens_says_what_it_needs_and_decodes(monkeypatch) -> None:
    tokens = some_tokens(96, 160, 9)
    tokens.kinds[:] = 3
    sent = pack(tokens, TOKENS, 50)
    monkeypatch.setattr(TokenSearch, "find", lambda self, gop, size: sent)
    plain, steered = encoded(keyint=7), encoded(keyint=7, tokens="search")
    header = Reader(io.BytesIO(steered)).header
    assert header.needs == NEEDS_PAINTER_TOKENS and Reader(io.BytesIO(plain)).header.needs == NEEDS
    fits = [p.payload for p in Reader(io.BytesIO(steered)).packets() if p.kind is Kind.FIT]
    assert {split_extras(payload)[1].tokens for payload in fits} == {sent}
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


@pytest.mark.parametrize("options", [{"look": 70}, {"base": "vvc", "preset": 4}, {"keyint": 5}])
def test_tokens_go_with_other_options(options: dict, monkeypatch) -> None:
    tokens = some_tokens(96, 160, 9)
    tokens.kinds[:] = 2
    monkeypatch.setattr(TokenSearch, "find", lambda self, gop, size: pack(tokens, TOKENS, self.q))
    data = encoded(tokens="search", **options)
    reader = Reader(io.BytesIO(data))
    besides = [split_extras(p.payload)[1] for p in reader.packets() if p.kind is Kind.FIT]
    sent = pack(tokens, TOKENS, reader.header.base_q)
    assert besides and all(beside.tokens == sent for beside in besides)
    assert all(beside.strength.has_strength_factors == ("look" in options) for beside in besides)
    assert gvcodec.verify(data).frames == len(FRAMES)


def test_every_pass_finds_tokens_for_the_strength_that_the_first_chose(
    tmp_path: Path, monkeypatch
) -> None:
    monkeypatch.setattr(strength_module, "LIMIT", 0.5)
    tokens, strengths = some_tokens(96, 160, 9), []

    def find(self: EncodedTokens, gop: GopSample, size: int) -> bytes:
        strengths.append(self.strength_of(gop))
        return pack(tokens, TOKENS, self.q)

    monkeypatch.setattr(EncodedTokens, "find", find)
    clip, out = tmp_path / "clip.mkv", tmp_path / "out.gvc"
    write_clip(clip, FRAMES)
    run("encode", clip, out, "--size", "6k", "--tokens", "on", "--preset", "10", "--quiet")
    assert out.stat().st_size <= 6000
    assert gvcodec.info(out).tokens and gvcodec.verify(out).frames == len(FRAMES)
    (payload,) = (p.payload for p in Reader(out.open("rb")).packets() if p.kind is Kind.FIT)
    strength = split_extras(payload)[1].strength
    assert strength != Strength() and len(strengths) > 1 and set(strengths) == {strength}


def test_what_cannot_have_tokens_says_so() -> None:
    for options, words in (
        ({"low_delay": True}, "or low_delay$"),
        ({"painter": "off"}, "^tokens needs the painter"),
        ({"look": 0}, "^tokens needs the painter"),
        ({"base": "gvc1d", "preset": None}, "av1 or vvc"),
        ({"tokens": "most"}, "off, on, search"),
        ({"file_format": "1.0"}, "needs format 1.1"),
    ):
        with pytest.raises(UsageError, match=words):
            encoded(**{"tokens": "search", **options})
