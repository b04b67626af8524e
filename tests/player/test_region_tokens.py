"""Tokens of a `fit` in the page: read as the second decoder reads them."""

import base64
import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import gvcodec
from conformance.decoder import models
from conformance.decoder.decode import Hash
from conformance.decoder.fit import read_fit
from conformance.decoder.header import Header
from conformance.decoder.painter import Painter
from conformance.decoder.wire import Refused
from tests.conftest import moving_texture
from tests.player.test_painting import painted_by_page
from tests.player_helpers import (
    PAINTED,
    SHADERS,
    Play,
    digest_of,
    flat,
    go,
    needs_node,
    painted_digest,
    painted_stream,
    run_node,
)
from tests.region_tokens import coded, fit_of, header_of, order_of, painter_with_tokens

CONFORMANCE = Path(__file__).resolve().parents[2] / "conformance"
CORE = """
import fs from "node:fs";
const folder = process.argv[2];
const { loadCore, numbersIn } = await import(folder + "/core.js");
const core = await loadCore({ wasmBinary: fs.readFileSync(folder + "/built/core.wasm") }, 1, false);
"""
VECTORS = f"""{CORE}
const {{ Calls }} = await import(folder + "/calls.js");
const vectors = JSON.parse(fs.readFileSync(process.argv[3])), calls = new Calls(core);
console.log(JSON.stringify(vectors.map(({{ scale, mean, inflation, values, bytes }}) => {{
  const out = core._malloc(4 * values.length), read = (at, size) => core._vector_integers(at, size, scale, mean, inflation, values.length, out);
  const finished = calls.with(Buffer.from(bytes, "hex"), read) === 1;
  return [Array.from(numbersIn(core, out, values.length)), finished];
}})));
"""
#: Levels at blocks that each payload gives, or why it is refused.
LEVELS = f"""{CORE}
const [, , , model, width, height, q, look, ...payloads] = process.argv;
const {{ Model, Painter }} = await import(folder + "/painter.js");
const header = {{ width: Number(width), height: Number(height), q: Number(q), base: "av1", scale: 1 }};
const numbers = new Model(core, fs.readFileSync(model), header), painter = new Painter(core, numbers, header);
numbers.look = look === "none" ? null : Number(look);
console.log(JSON.stringify(payloads.map((payload) => {{
  try {{
    painter.startGop(Uint8Array.from(Buffer.from(payload, "hex")), false);
    const {{ levels }} = painter.identity ? {{ levels: null }} : painter.numbers();
    return levels && Array.from(levels);
  }} catch ({{ message }}) {{
    return message;
  }}
}})));
"""
#: Frames that a page paints by WebGPU with tokens and after them without; why it does not.
PAINT = """(async () => {
  const bytes = (text) => Uint8Array.from(atob(text), (letter) => letter.charCodeAt(0));
  const [{ openGpu }, { Model }, { loadCore }] = await Promise.all(["gpu", "painter", "core"].map((name) => import(`./${name}.js`)));
  const header = HEADER, core = await loadCore(), model = new Model(core, bytes("MODEL"), header);
  const { painter, reason } = await openGpu(core, model, header, true);
  if (reason) return (window.painted = { reason });
  const samples = header.width * header.height * 3 / 2, frames = new Uint16Array(bytes("FRAMES").buffer), painted = [];
  for (const payload of [bytes("PAYLOAD"), null]) {
    painter.startGop(payload);
    for (let n = 0; n * samples < frames.length; ++n) {
      const out = new Uint16Array(samples);
      await painter.paint(frames.subarray(n * samples, (n + 1) * samples), 300 + n, out);
      const digest = await crypto.subtle.digest("SHA-256", out);
      painted.push(Array.from(new Uint8Array(digest).subarray(0, 8), (byte) => byte.toString(16).padStart(2, "0")).join(""));
    }
  }
  window.painted = { painted };
})().catch(({ message }) => (window.painted = { reason: message, failed: true }))"""


@needs_node
def test_the_page_reads_integers_of_every_mean_and_inflation(tmp_path: Path) -> None:
    vectors = json.loads((CONFORMANCE / "rans.json").read_text())
    found = json.loads(run_node(VECTORS, tmp_path, CONFORMANCE / "rans.json"))
    assert found == [[vector["values"], True] for vector in vectors]


def levels_of_page(
    tmp_path: Path, model: Path, header: Header, *payloads: bytes, look: int | None = None
) -> list[Any]:
    facts = header.width, header.height, header.q, "none" if look is None else look
    given = [payload.hex() for payload in payloads]
    return json.loads(run_node(LEVELS, tmp_path, model, *facts, *given))


@needs_node
def test_the_page_reads_tokens_as_the_second_decoder(tmp_path: Path) -> None:
    """Of pictures of one window and of several, whole and cut off; of small and of wide networks,
    whose sums need more than 53 bits."""
    rng = np.random.default_rng(5)
    for dimensions, (width, height, depths) in enumerate(
        [
            (75, 53, [3]),
            (300, 200, [1, 3]),
            (513, 263, [3, 0, 3, 2, 1, 3]),
            (130, 700, [0, 3, 2]),
        ],
        1,
    ):
        path, header = painter_with_tokens(tmp_path / "a", 4 * dimensions), header_of(width, height)
        model = models.painter(path.read_bytes())
        if dimensions == 4:
            wide = {
                f"tokens__{i}__multiplier": model[f"tokens.{i}.multiplier"] * 2**20 for i in (0, 1)
            }
            wide["tokens__0__bias"] = model["tokens.0.bias"].copy()
            wide["tokens__0__bias"][0] = 2**30
            for i, shift in enumerate((36, 34)):
                wide[f"tokens__{i}__bounds"] = model[f"tokens.{i}.bounds"].copy()
                wide[f"tokens__{i}__bounds"][0] = shift
            path = painter_with_tokens(path, 4 * dimensions, **wide)
            model = models.painter(path.read_bytes())
        count = len(order_of(width, height, depths))
        values = rng.integers(-7, 8, (count, 4 * dimensions)).astype(np.int32)
        data = coded(path, header, depths, values)
        payloads = fit_of(data), fit_of(b"\0" * -(-len(depths) // 4)), b"\x10"
        wanted = read_fit(payloads[0], model, header).tokens
        assert wanted is not None
        high, across = (-(-side // 16) * 16 for side in (height, width))
        levels = wanted.levels(high, across)
        assert levels.any()
        found = levels_of_page(tmp_path, path, header, *payloads)
        assert found == [levels.ravel().tolist(), [0] * levels.size, None]
        assert levels_of_page(tmp_path, path, header, payloads[0], look=80) == found[:1]
        assert levels_of_page(tmp_path, path, header, payloads[0], look=0) == [None]


@needs_node
def test_the_page_refuses_damaged_tokens_as_the_second_decoder(tmp_path: Path) -> None:
    path, header = painter_with_tokens(tmp_path / "a", 4), header_of(300, 300)
    model, rng = models.painter(path.read_bytes()), np.random.default_rng(6)
    values = rng.integers(-7, 8, (len(order_of(300, 300, [1, 0, 3, 2])), 4)).astype(np.int32)
    whole = fit_of(coded(path, header, [1, 0, 3, 2], values))
    payloads = [b"\x20", b"\x20\x80\0", fit_of(b""), fit_of(b"\0\0"), fit_of(b"\0", rest=b"\1")]
    for _ in range(150):
        changed = bytearray(whole)
        for at in rng.integers(0, len(whole), rng.integers(1, 3)):
            changed[at] ^= 1 << rng.integers(0, 8)
        payloads += [bytes(changed), bytes(changed[: rng.integers(1, len(whole))])]
    wanted: list[Any] = []
    for payload in payloads:
        try:
            tokens = read_fit(payload, model, header).tokens
            wanted.append(tokens.levels(304, 304).ravel().tolist() if tokens else None)
        except Refused:
            wanted.append("refused")
    found = levels_of_page(tmp_path, path, header, *payloads)
    assert ["refused" if isinstance(one, str) else one for one in found] == wanted
    assert wanted.count("refused") > len(wanted) // 2 and wanted.count("refused") < len(wanted)
    plain = levels_of_page(tmp_path, models.FOLDER / "e7cb4299cec0f909.safetensors", header, whole)
    assert "none can steer" in plain[0]


def some_tokens(path: Path, header: Header, depths: list[int]) -> bytes:
    """A payload with random integers."""
    count = len(order_of(header.width, header.height, depths))
    values = np.random.default_rng(8).integers(-7, 8, (count, 8)).astype(np.int32)
    return fit_of(coded(path, header, depths, values))


@needs_node
@pytest.mark.parametrize("form", ["core", "core-relaxed"])
@pytest.mark.parametrize(
    ("width", "height", "depths"), [(300, 72, [3, 2]), (75, 53, [1]), (130, 260, [3, 3])]
)
def test_the_core_paints_by_tokens_as_the_second_decoder(
    tmp_path: Path, form: str, width: int, height: int, depths: list[int]
) -> None:
    path, header = painter_with_tokens(tmp_path / "a", 8), header_of(width, height)
    model, payload = models.painter(path.read_bytes()), some_tokens(path, header, depths)
    fit = read_fit(payload, model, header)
    frames, painters = moving_texture(width, height, 2), [Painter(model, header, fit.tokens)]
    painters += [Painter(model, header)]
    steered, plain = (
        b"".join(
            flat([plane.astype(np.uint16) for plane in painter.paint(planes, 1000 * n)])
            for n, planes in enumerate([[plane.astype(int) for plane in f] for f in frames])
        )
        for painter in painters
    )
    assert steered != plain
    words = form, path, b"".join(map(flat, frames))
    facts = width, height, header.q, "av1"
    assert painted_by_page(tmp_path / "steered", *words, payload, *facts) == steered
    assert painted_by_page(tmp_path / "plain", *words, b"\x10", *facts) == plain


def test_webgpu_paints_by_tokens_as_the_second_decoder(play: Play, tmp_path: Path) -> None:
    width, height, depths = 300, 72, [3, 2]
    path, header = painter_with_tokens(tmp_path / "a", 8), header_of(width, height)
    model, payload = models.painter(path.read_bytes()), some_tokens(path, header, depths)
    frames, wanted = moving_texture(width, height, 2), Hash("painted")
    for tokens in (read_fit(payload, model, header).tokens, None):
        painter = Painter(model, header, tokens)
        for n, frame in enumerate(frames):
            wanted.add([painter.paint([plane.astype(int) for plane in frame], 300 + n)])
    assert len(set(wanted.each)) == 4
    fields = {"width": width, "height": height, "q": header.q, "base": "av1", "scale": 1}
    script = PAINT.replace("HEADER", json.dumps(fields))
    for name, data in (
        ("MODEL", path.read_bytes()),
        ("FRAMES", b"".join(map(flat, frames))),
        ("PAYLOAD", payload),
    ):
        script = script.replace(name, base64.b64encode(data).decode())
    with play(painted_stream(tmp_path / "a.gvc", 96, 80), query="?gpu=off") as page:
        page.run(f"void {script}")
        page.until("window.painted", SHADERS)
        found = page.run("window.painted")
        if "no" in found.get("reason", "").split():
            pytest.skip(found["reason"])
        assert found == {"painted": wanted.each}


@pytest.mark.parametrize("gpu", ["off", "any"])
def test_the_page_paints_a_file_with_tokens(play: Play, gpu: str) -> None:
    """Every frame, whose hash it checks: GOPs with tokens and without, other weights."""
    path, models_folder = CONFORMANCE / "files/tokens.gvc", CONFORMANCE / "models"
    options = "--model", str(models_folder)
    with (
        play(path, *options, query=f"?gpu={gpu}", shown=PAINTED) as page,
        gvcodec.open(path, models=[models_folder]) as video,
    ):
        assert page.run("player.paintsByPage")
        if gpu == "any":
            page.until("player.painter.reason || player.painter.name === 'WebGPU'", SHADERS)
            if (reason := page.run("player.painter.reason")) and "no" in reason.split():
                pytest.skip(reason)
            assert page.run("player.painter") == {"name": "WebGPU"}
        for number in (3, 0, 9, 6, 4):
            go(page, number)
            assert painted_digest(page) == digest_of(video, number)
        page.run("player.go(0)")
        page.until("player.wanted === undefined")
        page.run("player.insists = true")
        page.run("player.play()")
        page.until("player.verified !== null")
        assert page.run("player.verified") == {"base": True, "painted": True}
