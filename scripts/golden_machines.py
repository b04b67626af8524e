"""One hash for each painted conformance file on every machine: `python scripts/golden_machines.py`.

Paints each file by x86 without vector instructions and with AVX-512 (the whole decoder, by
$GVCODEC_CPU), by ARM (csrc/tests/golden_test.cpp, cross-compiled, under QEMU) and by WebAssembly
(web/built in Node). The last two read base frames and the painter's numbers as vectors, which the
program's first lines specify; they search for motion and paint. Writes
docs/data/golden-machines.csv, and with `--vector NAME` the vector of a file for the C++ tests.

Debian: apt-get install g++-aarch64-linux-gnu qemu-user-static nodejs.
"""

from __future__ import annotations

import argparse
import csv
import hashlib
import io
import os
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np

from gvcodec.bitstream import Kind, Reader, SequenceHeader
from gvcodec.bitstream.varint import encode_svar, encode_var
from gvcodec.codec.decoder import Decoder
from gvcodec.models import find_model
from gvcodec.painter.cpu import _NAMES
from gvcodec.painter.model import Layer, Model, condition, rate
from gvcodec.painter.payload import BASE, read_deltas, split_extras, split_strength
from gvcodec.painter.token_coding import style_offsets_of, unpack
from gvcodec.types import Planes

ROOT = Path(__file__).resolve().parents[1]
FOLDER = ROOT / "conformance"
OUT = ROOT / "docs/data/golden-machines.csv"
VECTOR = ROOT / "csrc/tests/golden.vector"
X86 = {"x86 plain": "plain", "x86 AVX-512": "avx512"}
_GREY = 512
_LAYER = ("weight", "bias", "multiplier", "shift", "step")

#: Sources of the C++ program, as web/build.sh builds the page's core.
SOURCES = (
    "csrc/tests/golden_test.cpp",
    *(f"web/core/{name}.cpp" for name in ("hash", "painter")),
    *(f"csrc/common/{name}.cpp" for name in ("cpu", "pool")),
    *(f"csrc/motion/{name}.cpp" for name in ("block_motion", "motion_search")),
    *(f"csrc/painter/{name}.cpp" for name in ("painter", "forms", "input")),
)

#: Paints vectors by the page's core.
PAINT = """
import fs from "node:fs";
const [, , built, ...paths] = process.argv;
const { default: load } = await import(built + "/core.mjs");
const wasmMemory = new WebAssembly.Memory({ initial: 256, maximum: 16384 });
const core = await load({ wasmMemory, wasmBinary: fs.readFileSync(built + "/core.wasm") });
for (const path of paths) {
  const data = fs.readFileSync(path);
  let at = 0;
  const integer = () => {
    for (let value = 0, unit = 1; ; unit *= 128) {
      const byte = data[at++];
      value += (byte & 127) * unit;
      if (byte < 128) return value;
    }
  };
  const signed = () => ((v) => (v % 2 ? -(v + 1) / 2 : v / 2))(integer());
  const width = integer(), height = integer();
  const size = width * height + 2 * Math.ceil(width / 2) * Math.ceil(height / 2);
  const painter = core._painter_open(width, height, 1), hash = core._hash_open();
  const base = core._malloc(2 * size), out = core._malloc(2 * size), digest = core._malloc(32);
  const refuse = () => { throw new Error(core.UTF8ToString(core._painter_error())); };
  for (let gops = integer(); gops; --gops) {
    const count = integer(), numbers = Int32Array.from({ length: count }, signed);
    const place = core._malloc(4 * count);
    new Int32Array(wasmMemory.buffer, place, count).set(numbers);
    if (count && !core._painter_start(painter, place, count)) refuse();
    core._free(place);
    for (let frames = integer(); frames; --frames) {
      const own = signed(), samples = new Uint16Array(size);
      for (let n = 0, before = 512; n < size; ++n) samples[n] = before += signed();
      for (const to of [base, out]) new Uint16Array(wasmMemory.buffer, to, size).set(samples);
      if (count && !core._painter_move(painter, base)) refuse();
      if (count && !core._painter_paint(painter, base, own, out)) refuse();
      core._hash_take(hash, out, 2 * size);
    }
  }
  core._hash_digest(hash, digest);
  console.log(Buffer.from(new Uint8Array(wasmMemory.buffer, digest, 8)).toString("hex"));
}
"""


def painted_files() -> list[Path]:
    """Conformance files with a painter whose pictures are painted frames."""
    paths = []
    for path in sorted(FOLDER.glob("files/*.gvc")):
        header = Reader(io.BytesIO(path.read_bytes())).header
        if header.painter_id is not None and header.gvc1d_id is None:
            paths.append(path)
    return paths


def painted_hash(path: Path) -> str:
    """Hash of all painted frames, by the whole decoder."""
    return hashlib.sha256(b"".join(map(flat, frames(path, painted=True)))).digest()[:8].hex()


def frames(path: Path, painted: bool) -> Iterator[Planes]:
    reader = Reader(io.BytesIO(path.read_bytes()))
    decoder = Decoder(reader.header, not painted, threads=1, models=[FOLDER / "models"])
    for frame in decoder.frames_of(reader.packets()):
        yield frame.planes


def flat(planes: Planes) -> bytes:
    return b"".join(plane.astype("<u2").tobytes() for plane in planes)


def vector_of(path: Path) -> bytes:
    """The vector of a file for csrc/tests/golden_test.cpp."""
    reader = Reader(io.BytesIO(path.read_bytes()))
    header = reader.header
    assert header.painter_id is not None
    model = Model.load(find_model(header.painter_id, "the painter", [FOLDER / "models"]))
    stream = condition(header.base, header.scale, header.base_q)
    width, height = header.format.width, header.format.height
    gops: list[tuple[bytes | None, list[int]]] = []
    fitted: bytes | None = None
    for packet in reader.packets():
        if packet.kind is Kind.FIT:
            fitted = packet.payload
        if packet.kind is Kind.KEY:
            gops.append((fitted, []))
        if packet.is_frame:
            size = 0 if header.base == "vvc" else len(packet.payload)
            gops[-1][1].append(rate(size, width, height))
    base = frames(path, painted=False)
    data = bytearray(encode_var(width) + encode_var(height) + encode_var(len(gops)))
    for payload, entries in gops:
        numbers = numbers_of(model, stream, payload)
        if numbers:
            numbers += offset_numbers_of(model, header, payload)
        data += encode_var(len(numbers)) + b"".join(map(encode_svar, numbers))
        data += encode_var(len(entries))
        for frame_condition, planes in zip(entries, base, strict=False):
            samples = np.concatenate([[_GREY], *(plane.ravel() for plane in planes)])
            data += encode_svar(frame_condition)
            data += b"".join(map(encode_svar, np.diff(samples.astype(np.int64)).tolist()))
    return bytes(data) + bytes.fromhex(painted_hash(path))


def numbers_of(model: Model, stream: Any, payload: bytes | None) -> list[int]:
    """Numbers for `painter_start`; none for GOPs without painting."""
    deltas = [] if payload is None else read_deltas(payload, model.sizes())
    if deltas is None:
        return []
    _, strength = split_strength(payload or BASE)
    model = model.add_deltas({d.name: (d.values, d.exponent) for d in deltas}, strength)
    values = [len(_NAMES), model.depth, len(stream), *map(int, stream)]

    def push(layer: Layer) -> None:
        values.extend((len(layer.bias), *layer.weight.shape[1:3]))
        for part in _LAYER:
            values.extend(map(int, getattr(layer, part).ravel()))

    for name in _NAMES:
        push(model.layers[name])
    for number, table in enumerate(model.conditions):
        for name in ("depthwise", "expand", "project"):
            push(model.layers[f"blocks.{number}.{name}"])
        values.extend(map(int, table.ravel()))
    return values


def offset_numbers_of(model: Model, header: SequenceHeader, payload: bytes | None) -> list[int]:
    """Numbers of a payload's tokens for `painter_start`."""
    _, extras = split_extras(payload or BASE)
    if extras.tokens is None or model.tokens is None:
        return []
    size = header.format.height, header.format.width
    offsets = style_offsets_of(unpack(extras.tokens, model.tokens, header.base_q, *size))
    values = [*offsets.shape]
    for numbers in (model.tokens.weight, offsets):
        values.extend(map(int, numbers.ravel()))
    return values


def by_x86(form: str, paths: list[Path]) -> list[str]:
    command = [sys.executable, __file__, "--hashes", *map(str, paths)]
    environment = os.environ | {"GVCODEC_CPU": form}
    return output(command, env=environment).split()


def by_arm(vectors: list[Path], folder: Path) -> dict[str, list[str]]:
    """Hashes by form of the loops: plain, neon, dotprod."""
    program = folder / "golden_test"
    compiler = ["aarch64-linux-gnu-g++", "-std=c++17", "-O2", "-static", "-pthread"]
    places = [f"-I{ROOT}/csrc", f'-DGV_GOLDEN="{VECTOR}"', "-o", str(program)]
    output([*compiler, *places, *(str(ROOT / source) for source in SOURCES)])
    digests: dict[str, list[str]] = {}
    command = ["qemu-aarch64-static", str(program), *map(str, vectors)]
    for line in output(command).splitlines()[:-1]:
        _, form, digest = line.split()
        digests.setdefault(f"ARM {form}", []).append(digest)
    return digests


def by_wasm(vectors: list[Path], folder: Path) -> list[str]:
    folder.mkdir()
    (folder / "paint.mjs").write_text(PAINT)
    (folder / "core.mjs").write_bytes((ROOT / "web/built/core.js").read_bytes())
    (folder / "core.wasm").write_bytes((ROOT / "web/built/core.wasm").read_bytes())
    command = ["node", str(folder / "paint.mjs"), str(folder), *map(str, vectors)]
    return output(command).split()


def output(command: list[str], **options: Any) -> str:
    return subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True, **options).stdout


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--hashes", nargs="+", type=Path, help="print these files' hashes, and end")
    parser.add_argument("--vector", metavar="NAME", help=f"write {VECTOR.name} of a file, and end")
    options = parser.parse_args()
    if options.hashes:
        print("\n".join(map(painted_hash, options.hashes)))
        return 0
    if options.vector:
        VECTOR.write_bytes(vector_of(FOLDER / f"files/{options.vector}.gvc"))
        return 0
    paths = painted_files()
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        vectors = [folder / f"{path.stem}.vector" for path in paths]
        for path, vector in zip(paths, vectors, strict=True):
            vector.write_bytes(vector_of(path))
        found = {machine: by_x86(form, paths) for machine, form in X86.items()}
        found |= by_arm(vectors, folder)
        found["WebAssembly"] = by_wasm(vectors, folder / "wasm")
    rows = [[path.stem, *digests] for path, *digests in zip(paths, *found.values(), strict=True)]
    with OUT.open("w", newline="") as file:
        csv.writer(file, lineterminator="\n").writerows([["file", *found], *rows])
    return int(any(len(set(digests)) > 1 for _, *digests in rows))


if __name__ == "__main__":
    sys.exit(main())
