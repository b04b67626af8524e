"""The map of tokens over the picture: what it says of a GOP, where it lies, when there is none."""

import json
from fractions import Fraction
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import gvcodec
from gvcodec.bitstream import Kind, Packet
from gvcodec.models import PAINTER_TOKENS
from gvcodec.painter.model import Model
from gvcodec.painter.payload import FitExtras, join_extras, split_extras
from gvcodec.painter.token_coding import SIDES, Tokens, no_tokens, pack, style_offsets_of
from gvcodec.types import VideoFormat
from tests.browser import Page
from tests.conftest import moving_texture, packets_in, rewritten
from tests.player_helpers import (
    PAINTED,
    Play,
    go,
    middle,
    painted_stream,
)

WIDTH, HEIGHT, GOP = 520, 300, 2
FORMAT = VideoFormat(WIDTH, HEIGHT, Fraction(25), Fraction(1, 25))
MODEL = Model.load(PAINTER_TOKENS.find()).tokens
assert MODEL is not None
BUTTON, FACTS = (f"document.getElementById('{name}')" for name in ("tokens", "token-facts"))
SHOWN = f"window.player?.shown?.painted && !{BUTTON}.hidden"


def tokens_of(kinds: list[list[int]]) -> Tokens:
    """Random ones of windows with these kinds."""
    rng, tokens = np.random.default_rng(3), no_tokens(HEIGHT, WIDTH, MODEL.dims)
    tokens.kinds[:] = kinds
    for kind, part in enumerate(tokens[:3]):
        times = SIDES[0] // SIDES[kind]
        coded = (tokens.kinds > kind).repeat(times, 0).repeat(times, 1)
        part[:] = rng.integers(-2, 3, part.shape)
        part *= coded[: part.shape[0], : part.shape[1], None]
    return tokens


#: Of the GOPs of a file; None: without any. The last row and column of windows stick out.
BY_GOP = [tokens_of([[0, 1, 2], [3, 2, 0]]), None, tokens_of([[3, 0, 3], [0, 1, 1]])]
COUNTS = [1 + 3 + 7 + 3, 0, 21 + 7 + 1 + 1]
Q = 50
SIZES = [0 if tokens is None else len(pack(tokens, MODEL, Q)) for tokens in BY_GOP]


def steered_stream(path: Path, **options: object) -> Path:
    """A stream whose encoder chooses `BY_GOP`."""
    pytest.importorskip("torch")
    gops = iter(BY_GOP)

    def find(search: Any, gop: object, size: int) -> bytes | None:
        tokens = next(gops)
        return None if tokens is None else pack(tokens, MODEL, search.q)

    frames = moving_texture(WIDTH, HEIGHT, GOP * len(BY_GOP))
    config = {"q": Q, "preset": 10, "keyint": GOP, "tokens": "search"} | options
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("gvcodec.painter.tokens.search.TokenSearch.find", find)
        path.write_bytes(gvcodec.encode(frames, format=FORMAT, **config))
    return path


@pytest.fixture(scope="module")
def steered(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return steered_stream(tmp_path_factory.mktemp("steered") / "a.gvc")


def shift_of(page: Page, tokens: Tokens | None) -> int:
    """How much the colours in the middle of regions differ from those of their strengths, at most;
    opacity counts."""
    levels = style_offsets_of(tokens or no_tokens(HEIGHT, WIDTH, MODEL.dims)).astype(float)
    strengths = np.sqrt((levels**2).sum(0)).tolist()
    script = """(async () => {
      const { colourOf } = await import("./token_map.js"), strengths = STRENGTHS;
      const map = document.getElementById("token-map"), often = { willReadFrequently: true };
      const drawn = new OffscreenCanvas(map.width, map.height).getContext("2d", often);
      drawn.drawImage(map, 0, 0);
      const swatch = new OffscreenCanvas(1, 1).getContext("2d", often);
      const differs = strengths.flatMap((row, y) => row.map((strength, x) => {
        // The middle of what is in the picture of a region.
        const [right, bottom] = [Math.min(64 * x + 64, WIDTH), Math.min(64 * y + 64, HEIGHT)];
        const at = [(64 * x + right) / 2 / WIDTH * map.width, (64 * y + bottom) / 2 / HEIGHT * map.height];
        swatch.clearRect(0, 0, 1, 1);
        swatch.fillStyle = colourOf(strength);
        swatch.fillRect(0, 0, 1, 1);
        const [found, wanted] = [drawn.getImageData(...at, 1, 1), swatch.getImageData(0, 0, 1, 1)].map(({ data }) => data);
        return Math.max(...found.map((value, c) => Math.abs(value - wanted[c])));
      }));
      return Math.max(...differs);
    })()"""
    for name, value in (("STRENGTHS", strengths), ("WIDTH", WIDTH), ("HEIGHT", HEIGHT)):
        script = script.replace(name, json.dumps(value))
    return page.run(script)


def test_the_map_shows_the_tokens_of_the_gop_on_screen(play: Play, steered: Path) -> None:
    assert gvcodec.info(steered).tokens == sum(COUNTS)
    with play(steered, query="?gpu=off", shown=SHOWN) as page:
        assert page.run("document.getElementById('token-map').hidden")
        page.key("t")
        page.until(f"{FACTS}.textContent.includes('tokens')")
        assert page.run(f"{BUTTON}.ariaPressed") == "true"
        for frame in (0, 3, 5, 1):
            go(page, frame)
            tokens, count = BY_GOP[frame // GOP], COUNTS[frame // GOP]
            what = f"{count} tokens in {SIZES[frame // GOP]} bytes" if count else "no tokens"
            page.until(f"{FACTS}.textContent.endsWith(': {what}')")
            assert f"GOP {frame // GOP + 1} of 3" in page.run(f"{FACTS}.textContent")
            assert shift_of(page, tokens) <= 1
        for size in ((700, 600), (1200, 900)):
            page.tab.set_viewport_size({"width": size[0], "height": size[1]})
            side = middle(page, "picture")[2]
            page.until(f"document.getElementById('token-map').width === {round(side)}")
            assert middle(page, "token-map") == middle(page, "picture")
            assert shift_of(page, BY_GOP[0]) <= 1
        page.run(f"{BUTTON}.click()")
        page.until("document.getElementById('token-map').hidden")


def test_windows_are_outlined_by_their_kinds(play: Play, steered: Path) -> None:
    """Borders of quadrants and regions are drawn where these have tokens, and nowhere else."""
    with play(steered, query="?gpu=off", shown=SHOWN) as page:
        page.key("t")
        page.until(f"{FACTS}.textContent.includes('tokens')")
        light = """(() => { const map = document.getElementById("token-map"), context = new OffscreenCanvas(map.width, map.height).getContext("2d", { willReadFrequently: true });
            context.drawImage(map, 0, 0);
            const isLight = (x, y) => { const data = context.getImageData(Math.round(x / WIDTH * map.width) - 1, Math.round(y / HEIGHT * map.height) - 1, 3, 3).data;
                return Array.from({ length: 9 }, (_, n) => data.subarray(4 * n, 4 * n + 3).every((value) => value > 170) && data[4 * n + 3] > 150).some(Boolean); };
            return [0, 256].map((left) => [[128, 32], [64, 32]].map(([x, y]) => isLight(left + x, y))); })()"""
        light = light.replace("WIDTH", str(WIDTH)).replace("HEIGHT", str(HEIGHT))
        assert page.run(light) == [[False, False], [False, False]]  # none, one for the window
        go(page, 4)
        page.until(f"{FACTS}.textContent.startsWith('GOP 3')")
        assert page.run(light) == [[True, True], [False, False]]  # of regions, none


def test_what_the_machine_paints_has_a_map_too(play: Play, tmp_path: Path) -> None:
    path = steered_stream(tmp_path / "a.gvc", base="vvc", preset=4)
    first = next(packet for packet in packets_in(path.read_bytes()) if packet.kind is Kind.FIT)
    size = len(split_extras(first.payload)[1].tokens)
    with play(path, shown=SHOWN) as page:
        assert not page.run("player.byPage")
        page.run(f"{BUTTON}.click()")
        page.until(f"{FACTS}.textContent.endsWith(': 14 tokens in {size} bytes')")
        assert shift_of(page, BY_GOP[0]) <= 1


def test_tokens_that_cannot_be_read_are_named(play: Play, tmp_path: Path, steered: Path) -> None:
    def spoil(packets: list[Packet]) -> list[Packet]:
        last = max(n for n, packet in enumerate(packets) if packet.kind is Kind.FIT)
        weights, beside = split_extras(packets[last].payload)
        damaged = join_extras(weights, FitExtras(beside.strength, tokens=b"\xff\xff"))
        packets[last] = Packet(Kind.FIT, damaged)
        return packets

    path = tmp_path / "a.gvc"
    path.write_bytes(rewritten(steered.read_bytes(), spoil))
    with play(path, query="?gpu=off", shown=SHOWN, expected=True) as page:
        page.key("t")
        page.run("player.setMode('base')")
        go(page, 5)
        page.until(f"{FACTS}.textContent.includes('tokens cannot be read: tokens of the painter')")
        go(page, 0)
        page.until(f"{FACTS}.textContent.includes('14 tokens')")


def test_files_without_tokens_offer_no_map(play: Play, tmp_path: Path, steered: Path) -> None:
    """Nor does one that is shown without its painter. Nothing of the map is loaded."""
    frames = moving_texture(96, 80, 3)
    (tmp_path / "turned.gvc").write_bytes(gvcodec.encode(frames, look=70, q=45, preset=10))
    for path, options, shown in (
        (painted_stream(tmp_path / "plain.gvc", 96, 80), (), PAINTED),
        (tmp_path / "turned.gvc", (), PAINTED),
        (steered, ("--fidelity",), "window.player?.shown && player.painter === null"),
    ):
        with play(path, *options, query="?gpu=off", shown=shown) as page:
            page.run("player.go(player.frames - 1)")
            page.until("player.wanted === undefined && player.shown.frame === player.frames - 1")
            assert page.run(f"{BUTTON}.hidden")
            page.key("t")
            page.key("Home")
            page.until("player.wanted === undefined && player.shown.frame === 0")
            assert page.run("document.getElementById('token-map').hidden")
            loaded = "performance.getEntriesByType('resource').map(({ name }) => name)"
            assert not any("token_map" in name for name in page.run(loaded))
