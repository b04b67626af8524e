"""One hash for each painted conformance file on every machine: `python scripts/golden_machines.py`.

Paints each file by x86 without vector instructions and with AVX-512 (the whole decoder, by
$GVCODEC_CPU), by ARM (csrc/tests/golden_test.cpp, cross-compiled, under QEMU) and by WebAssembly
(web/built in Node). The last two read base frames, the painter's file and `fit` payloads as
vectors, which the program's first lines specify; they search for motion and paint. Writes
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

from gvcodec.bases import base_of
from gvcodec.bitstream import Kind, Reader
from gvcodec.bitstream.header import SCALES
from gvcodec.bitstream.varint import encode_svar, encode_var
from gvcodec.codec.decoder import Decoder
from gvcodec.models import find_model
from gvcodec.types import Planes

ROOT = Path(__file__).resolve().parents[1]
FOLDER = ROOT / "conformance"
OUT = ROOT / "docs/data/golden-machines.csv"
VECTOR = ROOT / "csrc/tests/golden.vector"
X86 = {"x86 plain": "plain", "x86 AVX-512": "avx512"}
_GREY = 512

#: Sources of the C++ program, as web/build.sh builds the page's core.
SOURCES = (
    "csrc/tests/golden_test.cpp",
    *(f"web/core/{name}.cpp" for name in ("hash", "painter")),
    *(f"csrc/common/{name}.cpp" for name in ("cpu", "pool", "sha256")),
    *(f"csrc/entropy/{name}.cpp" for name in ("cdf", "intnet", "rans")),
    *(str(path.relative_to(ROOT)) for path in sorted(ROOT.glob("csrc/model/*.cpp"))),
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
  const bytes = (count) => {
    const place = core._malloc(count || 1);
    new Uint8Array(wasmMemory.buffer, place, count).set(data.subarray(at, (at += count)));
    return place;
  };
  const refuse = () => { throw new Error(core.UTF8ToString(core._last_text())); };
  const checked = (code) => (code < 0 ? refuse() : code);
  const width = integer(), height = integer(), stream = [integer(), integer(), integer()];
  const size = width * height + 2 * Math.ceil(width / 2) * Math.ceil(height / 2);
  const length = integer(), model = core._model_open(bytes(length), length) || refuse();
  const painter = core._painter_open(model, width, height, ...stream, 1) || refuse();
  const hash = core._hash_open();
  const base = core._malloc(2 * size), out = core._malloc(2 * size), digest = core._malloc(32);
  for (let gops = integer(); gops; --gops) {
    const count = integer() - 1, fit = count < 0 ? 0 : bytes(count);
    const paints = checked(core._painter_start(painter, fit, Math.max(0, count), -1, 1));
    core._free(fit);
    for (let frames = integer(); frames; --frames) {
      const bytesOfFrame = integer(), samples = new Uint16Array(size);
      for (let n = 0, before = 512; n < size; ++n) samples[n] = before += signed();
      for (const to of [base, out]) new Uint16Array(wasmMemory.buffer, to, size).set(samples);
      if (paints) {
        checked(core._painter_move(painter, base));
        checked(core._painter_paint(painter, base, bytesOfFrame, out));
      }
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
    model = find_model(header.painter_id, "the painter", [FOLDER / "models"]).read_bytes()
    gops: list[tuple[bytes | None, list[int]]] = []
    fitted: bytes | None = None
    for packet in reader.packets():
        if packet.kind is Kind.FIT:
            fitted = packet.payload
        if packet.kind is Kind.KEY:
            gops.append((fitted, []))
        if packet.is_frame:
            gops[-1][1].append(0 if header.base == "vvc" else len(packet.payload))
    base = frames(path, painted=False)
    numbers = [header.format.width, header.format.height, base_of(header.base).wire]
    numbers += [SCALES.index(header.scale), header.base_q, len(model)]
    data = bytearray(b"".join(map(encode_var, numbers)) + model + encode_var(len(gops)))
    for payload, sizes in gops:
        data += encode_var(0 if payload is None else 1 + len(payload)) + (payload or b"")
        data += encode_var(len(sizes))
        for size, planes in zip(sizes, base, strict=False):
            samples = np.concatenate([[_GREY], *(plane.ravel() for plane in planes)])
            data += encode_var(size)
            data += b"".join(map(encode_svar, np.diff(samples.astype(np.int64)).tolist()))
    return bytes(data) + bytes.fromhex(painted_hash(path))


def by_x86(form: str, paths: list[Path]) -> list[str]:
    command = [sys.executable, __file__, "--hashes", *map(str, paths)]
    environment = os.environ | {"GVCODEC_CPU": form}
    return output(command, env=environment).split()


def by_arm(vectors: list[Path], folder: Path) -> dict[str, list[str]]:
    """Hashes by form of the loops: plain, neon, dotprod."""
    program = folder / "golden_test"
    compiler = ["aarch64-linux-gnu-g++", "-std=c++17", "-O2", "-static", "-pthread"]
    places = [f"-I{ROOT}/csrc", f"-I{ROOT}", f'-DGV_GOLDEN="{VECTOR}"', "-o", str(program)]
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
        hashes = {machine: by_x86(form, paths) for machine, form in X86.items()}
        hashes |= by_arm(vectors, folder)
        hashes["WebAssembly"] = by_wasm(vectors, folder / "wasm")
    rows = [[path.stem, *digests] for path, *digests in zip(paths, *hashes.values(), strict=True)]
    with OUT.open("w", newline="") as file:
        csv.writer(file, lineterminator="\n").writerows([["file", *hashes], *rows])
    return int(any(len(set(digests)) > 1 for _, *digests in rows))


if __name__ == "__main__":
    sys.exit(main())
