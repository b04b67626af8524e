"""Painting in the page: exact by WebAssembly and WebGPU, hashes checked, fallbacks."""

import json
import os
from collections.abc import Callable
from fractions import Fraction
from pathlib import Path

import numpy as np
import pytest

import gvcodec
from gvcodec import _core
from gvcodec.models import PAINTER as SHIPPED
from gvcodec.player import http_answers
from gvcodec.types import Colour, VideoFormat
from tests.browser import Page
from tests.conftest import moving_texture
from tests.player_helpers import (
    DIGEST,
    PAINTED,
    PIXELS,
    SHADERS,
    Play,
    as_mp4,
    changed_page,
    digest_of,
    flat,
    go,
    needs_node,
    painted_digest,
    painted_stream,
    run_node,
    running,
)

PAINT = """
import fs from "node:fs";
const [, , folder, form, look, model, given, fitted, width, height, q, base] = process.argv;
const { Model, Painter } = await import(folder + "/painter.js");
const { loadCore, samplesOf } = await import(folder + "/core.js");
const header = { width: Number(width), height: Number(height), base, scale: 1, q: Number(q) };
const relaxed = form === "core-relaxed";
const core = await loadCore({ wasmBinary: fs.readFileSync(`${folder}/built/${form}.wasm`) }, 1, relaxed);
const numbers = new Model(core, fs.readFileSync(model), header);
numbers.look = look === "none" ? null : Number(look);
const painter = new Painter(core, numbers, header);
const payload = fs.readFileSync(fitted);
painter.startGop(payload.length ? new Uint8Array(payload) : null);
const base_frames = new Uint16Array(new Uint8Array(fs.readFileSync(given)).buffer);
const samples = samplesOf(header.width, header.height), out = new Uint16Array(samples);
const began = performance.now();
for (let n = 0; n < base_frames.length / samples; ++n) {
  await painter.paint(base_frames.subarray(n * samples, (n + 1) * samples), 1000 * n, out);
  fs.appendFileSync(given + ".painted", new Uint8Array(out.buffer));
}
console.log((base_frames.length / samples / (performance.now() - began)) * 1000);
"""
READ = """
import fs from "node:fs";
const [, , folder, data, scale, count] = process.argv;
const { loadCore, numbersIn } = await import(folder + "/core.js");
const { Calls } = await import(folder + "/calls.js");
const core = await loadCore({ wasmBinary: fs.readFileSync(folder + "/built/core.wasm") }, 1, false);
const out = core._malloc(4 * count);
const finished = new Calls(core).with(fs.readFileSync(data), (at, size) => core._vector_integers(at, size, scale, 0, 0, count, out));
console.log(JSON.stringify([Array.from(numbersIn(core, out, Number(count))), finished === 1]));
"""


@needs_node
def test_the_page_reads_integers_of_the_core(tmp_path: Path) -> None:
    """Tables of every width, small values and some far beyond the table."""
    rng = np.random.default_rng(1)
    for scale in (3, 28, 58):
        values = np.round(rng.laplace(0, 2 ** ((scale - 27) / 6), 60)).astype(np.int32)
        values[::20] = (40_000, -(1 << 31), 700)
        models = np.full(60, scale, np.uint8), np.zeros(60, np.int16)
        coded = _core.cdf_encode(values, *models)
        for data, whole in ((coded, True), (coded[:-1], False), (coded + b"\1", False)):
            (tmp_path / "coded").write_bytes(data)
            read, finished = json.loads(run_node(READ, tmp_path, tmp_path / "coded", scale, 60))
            assert finished is whole and (not whole or read == values.tolist())


START = """
import fs from "node:fs";
const [, , folder, model, ...kinds] = process.argv;
const { Model, Painter } = await import(folder + "/painter.js");
const { loadCore } = await import(folder + "/core.js");
const core = await loadCore({ wasmBinary: fs.readFileSync(folder + "/built/core.wasm") }, 1, false);
const header = { width: 64, height: 48, base: "av1", scale: 1, q: 40 };
const painter = new Painter(core, new Model(core, fs.readFileSync(model), header), header);
const printed = kinds.map((kind) => {
  try {
    return String(painter.startGop(Uint8Array.of(Number(kind))));
  } catch ({ message, code }) {
    return `${code} ${message}`;
  }
});
console.log(JSON.stringify(printed));
"""


@needs_node
def test_fitted_weights_of_kinds_to_come_are_newer_and_not_damaged(tmp_path: Path) -> None:
    printed = json.loads(run_node(START, tmp_path, SHIPPED.find(), 1, 0x18, 2, 0x30, 0x20))
    assert "release 0.7.0" in printed[0] and "a factor is missing" in printed[1]
    assert "ends early" in printed.pop()
    for kind, line in zip((2, 0x30), printed[2:], strict=True):
        assert f"the file needs fitted weights of kind {kind}" in line


FITS = """
import fs from "node:fs";
const [, , folder, file] = process.argv;
const { Stream, loadReader } = await import(folder + "/stream.js");
await loadReader({ wasmBinary: fs.readFileSync(folder + "/built/reader.wasm") });
const data = new Uint8Array(fs.readFileSync(file));
const read = async (offset, size) => data.slice(offset, offset + size);
const stream = await Stream.open({ size: data.length, read });
await stream.read(0);
console.log(await stream.fitOf(0).catch(({ message }) => message));
"""


@needs_node
def test_a_packet_that_painting_must_understand_is_newer(tmp_path: Path) -> None:
    refused = Path(__file__).resolve().parents[2] / "conformance/refused/type-40.gvc"
    assert "the file needs packets of type 40" in run_node(FITS, tmp_path, refused)


def painted_by_page(
    tmp_path: Path,
    form: str,
    model: Path,
    base_frames: bytes,
    payload: bytes,
    *facts: object,
    look: int | None = None,
) -> bytes:
    """Frames that the page's modules paint by this form of the core; `facts`: width, height, q,
    base."""
    tmp_path.mkdir(exist_ok=True)
    given, fitted = tmp_path / "base_frames", tmp_path / "fitted"
    given.write_bytes(base_frames)
    fitted.write_bytes(payload)
    turned = "none" if look is None else look
    words = form, turned, model, given, fitted, *facts
    print("frames/s", run_node(PAINT, tmp_path, *words, relaxed=form == "core-relaxed"))
    return (tmp_path / "base_frames.painted").read_bytes()


@needs_node
@pytest.mark.parametrize(
    ("form", "width", "height"), [("core", 96, 80), ("core", 75, 53), ("core-relaxed", 75, 53)]
)
def test_page_paints_integers_exactly(tmp_path: Path, form: str, width: int, height: int) -> None:
    pytest.importorskip("torch")
    from conformance.deltas import Delta, in_groups, pack
    from gvcodec.painter.cpu import CpuPainter, block_vectors
    from gvcodec.painter.model import Model, Strength, condition, rate
    from gvcodec.painter.paint_strength import set_payload_strength, with_look
    from gvcodec.painter.payload import BASE, IDENTITY, join_strength
    from tests.networks import add_deltas
    from tests.painter.test_painter import twin

    path = tmp_path / "model.safetensors"
    twin().save(path)
    model = Model.load(path)
    base_frames = moving_texture(width, height, 3)
    base_frames.append(base_frames[-1])
    unpainted, facts = b"".join(map(flat, base_frames)), (width, height, 40, "av1")
    rng = np.random.default_rng(0)
    deltas = {}
    tensors = {f"{name}.{part}" for name in model.layers for part in ("weight", "bias")}
    for name in in_groups(0b11, tensors):
        layer, part = name.rsplit(".", 1)
        count = getattr(model.layers[layer], part).size
        values = rng.integers(-20, 21, count) * (rng.random(count) < 0.4)
        deltas[name] = values, 6 if part == "bias" else 1
    payload = pack([Delta(name, values, step) for name, (values, step) in deltas.items()])
    strength = Strength(20, 77)
    strong, bold = join_strength(payload, strength), with_look(strength, 93)
    wild = Strength(64, 0, (16, -40, 5), (-7, 16, 0))
    for name, given, changed, look in (
        ("plain", b"", model, None),
        ("fitted", payload, add_deltas(model, deltas), None),
        ("strength", strong, add_deltas(model, deltas, strength), None),
        ("wild", join_strength(BASE, wild), model.with_strength(wild), None),
        ("bold", set_payload_strength(strong, 93), add_deltas(model, deltas, bold), None),
        ("look", strong, add_deltas(model, deltas, bold), 93),
        ("faint", b"", model.with_strength(with_look(Strength(), 7)), 7),
    ):
        painter = CpuPainter(height, width, 1)
        painter.start(condition("av1", 1, 40), changed)
        wanted, before = b"", None
        for number, planes in enumerate(base_frames):
            vectors = None if before is None else block_vectors(planes[0], before)
            wanted += flat(painter.paint(planes, vectors, rate(1000 * number, width, height)))
            before = planes[0]
        words = form, path, unpainted, given, *facts
        assert painted_by_page(tmp_path / name, *words, look=look) == wanted
    for payload, look in ((IDENTITY, None), (b"", 0)):
        words = form, path, unpainted, payload, *facts
        assert painted_by_page(tmp_path / f"none-{look}", *words, look=look) == unpainted


@pytest.mark.parametrize("painted", [False, True])
def test_seeks_that_come_fast_do_not_disturb_each_other(tab, tmp_path, painted):
    # There is one painter: a seek that came while another was painted mixed their frames.
    path = painted_stream(tmp_path / "a.gvc", 96, 80)
    with (
        running(path, *[] if painted else ["--fidelity"]) as server,
        gvcodec.open(path, fidelity=not painted) as video,
    ):
        page = tab(server.address + "?gpu=off")
        page.until("window.player?.shown?.painted" if painted else "window.player?.shown")
        page.run("""(async () => { for (let n = 0; n < 60; ++n) {
            player.go((7 * n) % 12); await new Promise((done) => setTimeout(done, n % 4)); } })()""")
        go(page, 10)
        assert page.run("Boolean(player.shown.painted)") == painted
        shown = painted_digest(page) if painted else page.run(DIGEST)
        assert shown == digest_of(video, 10)
        assert not any("keyframe" in note for note in page.run("player.errors"))


def test_browser_paints_exactly_and_checks_the_painted_hash(play, tmp_path):
    path = painted_stream(tmp_path / "a.gvc", 96, 80)
    with play(path, query="?gpu=off", shown=PAINTED) as page, gvcodec.open(path) as video:
        assert page.run("player.paintsByPage")
        for number in (11, 4, 7):
            go(page, number)
            assert painted_digest(page) == digest_of(video, number)
        page.run("player.go(0)")
        page.until("player.wanted === undefined")
        page.run("player.insists = true")  # a slow machine is to paint all of it
        page.run("player.play()")
        page.until("player.verified !== null")
        assert page.run("player.verified") == {"base": True, "painted": True}
        page.until("!document.getElementById('exact').hidden")


@pytest.mark.parametrize(("kind", "bit_depth"), [("mp4", 8), ("mp4", 10), ("gvc", 10)])
def test_browser_paints_one_files_and_ten_bits_exactly(
    play: Play, tmp_path: Path, kind: str, bit_depth: int
) -> None:
    path = painted_stream(tmp_path / "a.gvc", 96, 80, bit_depth)
    shown = path if kind == "gvc" else as_mp4(path)
    with play(shown, query="?gpu=off", shown=PAINTED) as page, gvcodec.open(path) as video:
        assert page.run("player.paintsByPage")
        for number in (11, 4, 7):
            go(page, number)
            assert painted_digest(page) == digest_of(video, number)


def test_the_first_picture_waits_for_no_model(tab: Callable[[str], Page], tmp_path: Path) -> None:
    # A page that fetched the painter before it showed anything began seconds later.
    path = painted_stream(tmp_path / "a.gvc", 96, 80)
    with running(path) as server:
        name = next(name for name in server.files if name.startswith("/models/"))
        pipe = tmp_path / "pipe"
        os.mkfifo(pipe)
        server.files[name] = pipe
        page = tab(server.address)
        page.until("window.player?.shown")
        assert page.run("player.shown.painted === null && player.painter === undefined")
        writer = os.open(pipe, os.O_RDWR | os.O_NONBLOCK)  # lets the server go on
        page.until("player.painter !== undefined")
        os.close(writer)


@pytest.mark.parametrize(("threads", "relaxed"), [(False, True), (True, False), (False, False)])
def test_without_threads_or_relaxed_simd_another_form_paints(
    play: Play, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, threads: bool, relaxed: bool
) -> None:
    if not relaxed:
        unknown = "253, 146, 2, 11]", "253, 255, 127, 11]"
        changed_page("core.js", *unknown, tmp_path, monkeypatch)
    if not threads:
        monkeypatch.delitem(http_answers.HEADERS, "Cross-Origin-Embedder-Policy")
    path = painted_stream(tmp_path / "a.gvc", 96, 80)
    with play(path, query="?gpu=off", shown=PAINTED) as page, gvcodec.open(path) as video:
        assert page.run("crossOriginIsolated") == threads
        assert threads or page.run("player.painter.name") == "WebAssembly"
        assert relaxed or not page.run('import("./core.js").then((core) => core.hasRelaxed)')
        go(page, 8)
        assert painted_digest(page) == digest_of(video, 8)


def test_a_page_that_does_not_keep_up_moves_the_detail_of_the_frame_before(
    play: Play, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    always = ("engine.js", "SPARE = 0.9", "SPARE = 0"), ("engine.js", "[0.5, 1]", "[0, 1]")
    changed_page(*always[0], tmp_path, monkeypatch, always[1])
    path = painted_stream(tmp_path / "a.gvc", 96, 80)
    with play(path, query="?gpu=off", shown=PAINTED) as page, gvcodec.open(path) as video:
        page.run("player.setMode('painted')")
        go(page, 0)
        page.run("""(() => { window.seen = []; const shows = player.show.bind(player);
            player.show = (frame, now) => (seen.push([frame.frame, frame.moved]), shows(frame, now));
        })()""")
        page.run("player.play(); player.go(0)")
        page.until("!player.playing && player.shown.frame === 11")
        moved = {number for number, is_moved in page.run("seen") if is_moved}
        assert moved and 0 not in moved and 6 not in moved  # a GOP begins painted
        assert page.run("player.statistics.moved") == len(moved)
        assert any("hashes are not checked" in note for note in page.run("player.errors"))
        go(page, max(moved))  # what stands still is painted
        assert painted_digest(page) == digest_of(video, max(moved))


@pytest.mark.parametrize("location", [0, 3, 5])  # each place across, and each down
def test_pictures_without_a_gpu_are_those_of_webgl(
    play: Play, tmp_path: Path, location: int
) -> None:
    fmt = VideoFormat(75, 53, Fraction(25), Fraction(1, 25), 8, Colour(1, 1, 1, False, location))
    data = gvcodec.encode(moving_texture(75, 53, 2), format=fmt, preset=10, fit=0, threads=1)
    (tmp_path / "a.gvc").write_bytes(data)
    shown = {}
    for view in ("View", "PlainView"):
        query = "?gpu=off&view=webgl" if view == "View" else "?gpu=off"
        with play(tmp_path / "a.gvc", query=query, shown=PAINTED) as page:
            page.until("player.view.core || player.view.gl")
            assert page.run("player.view.constructor.name") == view
            for mode in ("base", "painted", "compare"):
                page.run(f"player.setMode('{mode}')")
                page.until("player.wanted === undefined")
                shown[view, mode] = [int(value) for value in page.run(PIXELS).split(",")]
    for mode in ("base", "painted", "compare"):
        one, other = (np.array(shown[view, mode]) for view in ("View", "PlainView"))
        assert one.std() > 10 and np.abs(one - other).max() <= 1


def test_the_dial_turns_what_the_page_paints(play: Play, tmp_path: Path) -> None:
    path = painted_stream(tmp_path / "a.gvc", 96, 80)
    turn = """(() => {{ const dial = document.getElementById("look");
        dial.value = {}; dial.dispatchEvent(new Event("{}")); }})()"""
    with play(path, query="?gpu=off", shown=PAINTED) as page:
        for look, event in ((0, "input"), (20, "input"), (100, "input"), (None, "dblclick")):
            page.run(turn.format(look or 0, event))
            go(page, 8)
            with gvcodec.open(path, look=look) as video:
                assert painted_digest(page) == digest_of(video, 8)


def test_a_lost_adapter_gives_way_to_the_core(tab, tmp_path, monkeypatch):
    paints = "    const corner = mixed(this.position++);"
    # The clip that it is tried with has three frames.
    lost = '    if (this.position === 4) throw new Error("lost");\n'
    changed_page("gpu.js", paints, lost + paints, tmp_path, monkeypatch)
    path = painted_stream(tmp_path / "a.gvc", 96, 80)
    with running(path) as server, gvcodec.open(path) as video:
        page = tab(server.address + "?gpu=any")
        page.until(
            "window.player?.painter?.reason || window.player?.painter?.name === 'WebGPU'", SHADERS
        )
        if reason := page.run("player.painter.reason"):
            pytest.skip(reason)
        page.run("player.insists = true")
        page.run("player.go(0)")
        page.until("player.wanted === undefined && player.shown.painted")
        page.run("player.play()")
        page.until("!player.playing && player.shown.frame === 11")
        assert any("lost; painted by WebAssembly" in note for note in page.run("player.errors"))
        assert page.run("player.statistics.shown + player.statistics.dropped") >= 12
        assert painted_digest(page) == digest_of(video, 11)


def test_an_adapter_that_counts_wrong_does_not_paint(tab, tmp_path, monkeypatch):
    changed_page("shader.js", "- inner) >> 2u)", "- inner) >> 1u)", tmp_path, monkeypatch)
    path = painted_stream(tmp_path / "a.gvc", 96, 80)
    with running(path) as server:
        page = tab(server.address + "?gpu=any")
        page.until("window.player?.painter?.reason", SHADERS)
        reason = page.run("player.painter.reason")
        if "no" in reason.split():
            pytest.skip(reason)
        assert "differs" in reason and page.run("player.painter.name").startswith("WebAssembly")
        page.until("player.shown?.painted")
