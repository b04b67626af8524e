"""Training material of base tokens in small files, to carry to a machine with a GPU.

    python -m gvcodec.train.shards pack MATERIAL SHARDS [--side 512] [--frames 31] [--mebibytes 28]
    python -m gvcodec.train.shards unpack SHARDS MATERIAL

`pack` takes the middle of each clip, `side`² and so many frames at most. A shard is a tar file of
at most so many MiB; in it a clip is `NUMBER.json` (its line of the index), `NUMBER.yuv.xz`
(differences from frame to frame) and `NUMBER.key.xz` (differences from sample to sample, all low
bytes, then all high ones). `unpack` takes shards in any order, a few now and more later, and gives
a folder as `gvcodec.train.token_material` makes it. 103 clips of 512² and 31 frames are 16 shards,
405 MiB. Like the training itself it needs no PyAV.
"""

from __future__ import annotations

import argparse
import io
import json
import lzma
import os
import re
import tarfile
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from gvcodec.errors import UsageError
from gvcodec.train.token_material import KEY_STEP

#: A tar file ends in a block of so many bytes; each file in it has a header and is rounded up.
_END, _BLOCK = 10_240, 512
#: Of liblzma.
_PRESET = 1
Samples = NDArray[Any]


def _cut(flat: Samples, height: int, width: int, side: int) -> Samples:
    """The middle of 4:2:0 frames (frames, samples), `side`² of luma at most."""
    h, w = min(side, height) // 2 * 2, min(side, width) // 2 * 2
    top, left = (height - h) // 4 * 2, (width - w) // 4 * 2
    halves = (height + 1) // 2, (width + 1) // 2
    luma = flat[:, : height * width].reshape(-1, height, width)
    chroma = flat[:, height * width :].reshape(-1, 2, *halves)
    y, x = top // 2, left // 2
    parts = (
        luma[:, top : top + h, left : left + w],
        chroma[:, :, y : y + h // 2, x : x + w // 2],
    )
    return np.concatenate([part.reshape(len(flat), -1) for part in parts], 1)


def _packed(samples: Samples, axis: int) -> bytes:
    """Differences along `axis`, 1 = within a frame, 0 = from frame to frame."""
    away = np.diff(samples, axis=axis, prepend=samples.dtype.type(0))
    planes = away.view(np.uint8).reshape(-1, samples.dtype.itemsize).T
    return lzma.compress(planes.tobytes(), preset=_PRESET)


def _unpacked(data: bytes, dtype: str, count: int, axis: int) -> Samples:
    """The inverse, for `count` frames. Raises `UsageError`."""
    try:
        raw = np.frombuffer(lzma.decompress(data), np.uint8)
        planes = raw.reshape(np.dtype(dtype).itemsize, -1)
        away = np.ascontiguousarray(planes.T).view(dtype).reshape(count, -1)
    except (lzma.LZMAError, ValueError) as error:
        raise UsageError(f"a damaged shard ({error})") from None
    return np.cumsum(away, axis=axis, dtype=dtype)


def _clip(
    material: Path, number: int, entry: dict[str, Any], side: int, frames: int
) -> list[tuple[str, bytes]]:
    """The three files of a clip in a shard."""
    height, width = int(entry["height"]), int(entry["width"])
    size = height * width + 2 * ((height + 1) // 2) * ((width + 1) // 2)
    taken = min(frames, int(entry["frames"]))
    keys = entry["keys"][: -(-taken // KEY_STEP)]
    stem = material / entry["name"]
    pictures = np.memmap(f"{stem}.yuv", np.uint8, "r").reshape(-1, size)[:taken]
    intra = np.memmap(f"{stem}.key", "<u2", "r").reshape(-1, size)[: len(keys)]
    told = entry | {"frames": taken, "keys": keys}
    told |= {"height": min(side, height) // 2 * 2, "width": min(side, width) // 2 * 2}
    return [
        (f"{number:04}.yuv.xz", _packed(_cut(pictures, height, width, side), 0)),
        (f"{number:04}.key.xz", _packed(_cut(intra, height, width, side), 1)),
        (f"{number:04}.json", json.dumps(told).encode()),
    ]


def pack(
    material: Path, shards: Path, side: int = 512, frames: int = 31, most: int = 28 << 20
) -> list[Path]:
    """Write shards of at most `most` bytes. A clip that is larger alone is left out and said.
    Raises `UsageError` where there is no material, or where there are shards."""
    index = material / "index.jsonl"
    if not index.is_file():
        raise UsageError(f"{material}: no material here")
    if any(shards.glob("*.tar")):
        raise UsageError(f"{shards}: there are shards here")
    shards.mkdir(parents=True, exist_ok=True)
    written: list[Path] = []
    held: list[tuple[str, bytes]] = []

    def close() -> None:
        if held:
            written.append(_write(shards / f"shard-{len(written):03}.tar", held))
            held.clear()

    for number, line in enumerate(index.read_text().splitlines()):
        entry = json.loads(line)
        clip = _clip(material, number, entry, side, frames)
        if _size(clip) > most:
            print(f"left out: {entry['name']}: {_size(clip)} bytes", flush=True)
            continue
        if _size([*held, *clip]) > most:
            close()
        held += clip
    close()
    return written


def _size(files: Sequence[tuple[str, bytes]]) -> int:
    """Bytes of a tar file of these, at most."""
    total = sum(_BLOCK + -(-len(data) // _BLOCK) * _BLOCK for _, data in files) + 2 * _BLOCK
    return -(-total // _END) * _END


def _write(path: Path, files: Sequence[tuple[str, bytes]]) -> Path:
    partial = path.with_suffix(".part")
    with tarfile.open(partial, "w", format=tarfile.USTAR_FORMAT) as shard:
        for name, data in files:
            member = tarfile.TarInfo(name)
            member.size = len(data)
            shard.addfile(member, io.BytesIO(data))
    os.replace(partial, path)
    return path


def unpack(shards: Path, material: Path) -> list[str]:
    """Add the clips of all shards in a folder to the material, but for those that are there; their
    names. Raises `UsageError` for damaged shards and folders without any."""
    material.mkdir(parents=True, exist_ok=True)
    index = material / "index.jsonl"
    lines = index.read_text().splitlines() if index.is_file() else []
    known = {json.loads(line)["name"] for line in lines}
    paths = sorted(shards.glob("*.tar"))
    if not paths:
        raise UsageError(f"{shards}: no shards here")
    added = []
    for path in paths:
        for entry, pictures, intra in _clips(path):
            name = entry["name"]
            if name in known:
                continue
            samples = _unpacked(pictures, "u1", int(entry["frames"]), 0)
            keys = _unpacked(intra, "<u2", len(entry["keys"]), 1)
            (material / f"{name}.yuv").write_bytes(samples.tobytes())
            (material / f"{name}.key").write_bytes(keys.tobytes())
            with open(index, "a") as file:
                file.write(json.dumps(entry) + "\n")
            known.add(name)
            added.append(name)
    return added


def _clips(path: Path) -> Iterator[tuple[dict[str, Any], bytes, bytes]]:
    try:
        with tarfile.open(path) as shard:
            files = {m.name: m for m in shard.getmembers() if m.isfile()}
            for number in [n.removesuffix(".json") for n in files if n.endswith(".json")]:
                told, pictures, intra = (
                    shard.extractfile(files[f"{number}{end}"]).read()  # type: ignore[union-attr]
                    for end in (".json", ".yuv.xz", ".key.xz")
                )
                entry = json.loads(told)
                if not re.fullmatch(r"[^./\\][^/\\]*", entry["name"]):
                    raise UsageError(f"{path}: a clip's name is a path")
                yield entry, pictures, intra
    except (tarfile.TarError, KeyError, OSError, TypeError, ValueError) as error:
        raise UsageError(f"{path}: not a shard ({error})") from None


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    commands = parser.add_subparsers(dest="command", required=True)
    packing = commands.add_parser("pack", help="material into shards")
    packing.add_argument("material", type=Path)
    packing.add_argument("shards", type=Path)
    packing.add_argument("--side", type=int, default=512, help="(default %(default)s)")
    packing.add_argument("--frames", type=int, default=31, help="(default %(default)s)")
    packing.add_argument("--mebibytes", type=float, default=28, help="(default %(default)s)")
    unpacking = commands.add_parser("unpack", help="shards into material")
    unpacking.add_argument("shards", type=Path)
    unpacking.add_argument("material", type=Path)
    options = parser.parse_args()
    try:
        if options.command == "pack":
            most = int(options.mebibytes * (1 << 20))
            pack(options.material, options.shards, options.side, options.frames, most)
        else:
            unpack(options.shards, options.material)
    except UsageError as error:
        parser.error(str(error))


if __name__ == "__main__":
    main()
