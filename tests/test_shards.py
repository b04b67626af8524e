"""Training material in shards: what comes out is what went in, cut, and nothing lands elsewhere."""

from __future__ import annotations

import io
import json
import lzma
import subprocess
import sys
import tarfile
from pathlib import Path

import numpy as np
import pytest

from gvcodec.errors import UsageError

torch = pytest.importorskip("torch")

from gvcodec.train.shards import pack, unpack
from gvcodec.train.token_material import Clip

SIZES = {"wide": (50, 91), "small": (33, 20)}  # height, width
FRAMES = 23


@pytest.fixture
def material(tmp_path: Path) -> Path:
    folder = tmp_path / "material"
    folder.mkdir()
    rng = np.random.default_rng(1)
    for name, (h, w) in SIZES.items():
        size = h * w + 2 * ((h + 1) // 2) * ((w + 1) // 2)
        frames = rng.integers(0, 256, (FRAMES, size), np.uint8)
        keys = rng.integers(0, 1024, (3, size)).astype("<u2")
        (folder / f"{name}.yuv").write_bytes(frames.tobytes())
        (folder / f"{name}.key").write_bytes(keys.tobytes())
        entry = {"name": name, "width": w, "height": h, "frames": FRAMES, "keys": [50, 40, 60]}
        with open(folder / "index.jsonl", "a") as index:
            index.write(json.dumps(entry | {"held_out": name == "small"}) + "\n")
    return folder


def test_shards_bring_back_the_middle_of_clips(material: Path, tmp_path: Path) -> None:
    shards = pack(material, tmp_path / "shards", side=32, frames=12, most=45_000)
    assert [path.stat().st_size <= 45_000 for path in shards] == [True] * 2
    out = tmp_path / "out"
    assert sorted(unpack(tmp_path / "shards", out)) == sorted(SIZES)
    assert unpack(tmp_path / "shards", out) == []  # they are there
    before, after = (
        {e["name"]: e for e in map(json.loads, (f / "index.jsonl").read_text().splitlines())}
        for f in (material, out)
    )
    for name, (h, w) in SIZES.items():
        cut = min(32, h), min(32, w)
        there = after[name]
        assert (there["height"], there["width"], there["frames"]) == (*cut, 12)
        assert there["keys"] == [50, 40] and there["held_out"] == before[name]["held_out"]
        one, other = Clip(material, before[name]), Clip(out, there)
        place = (h - cut[0]) // 4 * 2, (w - cut[1]) // 4 * 2
        for number in range(12):
            pair = one.frame(number, *place, *cut), other.frame(number, 0, 0, *cut)
            assert all(torch.equal(a, b) for a, b in zip(*pair, strict=True))
        for number in range(2):
            pair = one.key(number, *place, *cut), other.key(number, 0, 0, *cut)
            assert all(torch.equal(a, b) for a, b in zip(*pair, strict=True))


def test_a_clip_that_is_too_large_is_left_out_and_said(
    material: Path, tmp_path: Path, capsys
) -> None:  # type: ignore[no-untyped-def]
    assert len(pack(material, tmp_path / "shards", most=60_000)) == 1
    assert "left out: wide" in capsys.readouterr().out


def _shard(folder: Path, name: str, frames: bytes = lzma.compress(bytes(6))) -> Path:
    folder.mkdir(exist_ok=True)
    entry = {"name": name, "width": 2, "height": 2, "frames": 1, "keys": [50], "held_out": False}
    with tarfile.open(folder / "shard-000.tar", "w") as shard:
        parts = {"json": json.dumps(entry).encode(), "yuv.xz": frames}
        for end, data in (parts | {"key.xz": lzma.compress(bytes(12))}).items():
            member = tarfile.TarInfo(f"0000.{end}")
            member.size = len(data)
            shard.addfile(member, io.BytesIO(data))
    return folder


@pytest.mark.parametrize("name", ["../other", "/tmp/other", "a/b", "", ".hidden", 7])
def test_names_that_lead_elsewhere_are_refused(tmp_path: Path, name: str) -> None:
    with pytest.raises(UsageError, match="path|not a shard"):
        unpack(_shard(tmp_path / "shards", name), tmp_path / "in" / "out")
    assert [path.name for path in tmp_path.rglob("*") if path.suffix in (".yuv", ".key")] == []


def test_damaged_shards_are_told(material: Path, tmp_path: Path) -> None:
    assert unpack(_shard(tmp_path / "good", "a"), tmp_path / "out") == ["a"]
    with pytest.raises(UsageError, match="damaged"):
        unpack(_shard(tmp_path / "bad", "b", frames=b"no frames"), tmp_path / "out")
    (tmp_path / "bad" / "shard-000.tar").write_bytes(b"no tar file")
    with pytest.raises(UsageError, match="not a shard"):
        unpack(tmp_path / "bad", tmp_path / "out")
    for empty in (tmp_path, material):
        with pytest.raises(UsageError, match="no shards"):
            unpack(empty, tmp_path / "out")
    with pytest.raises(UsageError, match="no material"):
        pack(tmp_path, tmp_path / "none")
    with pytest.raises(UsageError, match="there are shards"):
        pack(material, tmp_path / "good")


def test_neither_shards_nor_training_need_pyav() -> None:
    code = "import sys; sys.modules['av'] = None\n"
    code += "import gvcodec.train.shards, gvcodec.train.base_tokens"
    subprocess.run([sys.executable, "-c", code], check=True, timeout=120)
