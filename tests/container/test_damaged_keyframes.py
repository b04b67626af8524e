"""One rule for damaged keyframes of a one-file: gvcodec, libgvc and the page show the same frames
(docs/spec/one-file.md)."""

import json
from pathlib import Path

import pytest

from conformance.readers.library import UnitHost
from conformance.reference import frames_of_damaged
from tests.conftest import run
from tests.player_helpers import needs_node, run_node

DAMAGED = Path(__file__).parents[2] / "conformance" / "damaged"
NAMES = ("one-file-damaged-key", "one-file-damaged-stateless")
#: GOPs of three frames that show base frames.
LOST = {NAMES[0]: [1], NAMES[1]: [1, 2]}
PAGE = """
import fs from "node:fs";
const [folder, path] = process.argv.slice(2);
const { loadReader } = await import(folder + "/stream.js");
const { OneFile } = await import(folder + "/one_file.js");
await loadReader({ wasmBinary: fs.readFileSync(folder + "/built/reader.wasm") });
const data = new Uint8Array(fs.readFileSync(path));
const read = async (at, size) => data.slice(at, at + size);
const file = await OneFile.open({ size: data.length, read });
const found = [];
for (let gop = 0; gop < file.gops.length; ++gop) {
  const { units, problem, fit } = await file.read(gop), inForce = await file.fitOf(gop);
  const same = String(fit) === String(inForce.fit);
  found.push({ frames: units.length, problem, fit: fit && [...fit], same });
}
console.log(JSON.stringify(found));
"""


def expected(name: str) -> dict[str, list[str]]:
    return json.loads((DAMAGED / f"{name}.json").read_text())


@pytest.mark.parametrize("name", NAMES)
def test_gvcodec_paints_the_other_gops(name: str, tmp_path: Path) -> None:
    path, wanted = DAMAGED / f"{name}.mp4", expected(name)
    found = frames_of_damaged(path.read_bytes())
    assert {key: found[key] for key in wanted} == wanted
    is_base = [a == b for a, b in zip(wanted["base"], wanted["painted"], strict=True)]
    assert is_base == [frame // 3 in LOST[name] for frame in range(15)]
    said = run("decode", path, tmp_path / "a.y4m", code=3).err
    assert f"{3 * len(LOST[name])} of them without painting, from 0:00.1 on" in said


@pytest.mark.parametrize("name", NAMES)
def test_the_library_shows_the_same_frames(name: str) -> None:
    host = UnitHost((DAMAGED / f"{name}.mp4").read_bytes())
    host.run()
    assert host.painted == expected(name)["painted"]


@needs_node
@pytest.mark.parametrize("name", NAMES)
def test_the_page_shows_the_same_frames(name: str, tmp_path: Path) -> None:
    """Weights that leave base frames, with a line, in the same GOPs; all frames are shown."""
    gops = json.loads(run_node(PAGE, tmp_path, DAMAGED / f"{name}.mp4"))
    assert [gop["frames"] for gop in gops] == [3] * 5 and all(gop["same"] for gop in gops)
    assert [n for n, gop in enumerate(gops) if gop["fit"] == [0]] == LOST[name]
    lines = [n for n, gop in enumerate(gops) if "its base frames are shown" in gop["problem"]]
    assert lines == LOST[name]
