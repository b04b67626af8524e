"""Condensed data sets: the file, its reader, what is chosen, and the command."""

import json
import zlib
from pathlib import Path

import numpy as np
import pytest

from gvcodec.bitstream.varint import encode_var
from gvcodec.condense import CondensedSet, gvset
from gvcodec.condense.clip_streams import decode, encode, sizes
from gvcodec.condense.clips import Clips, evenly, in_folders, pictures_of
from gvcodec.errors import DamagedStreamError, LimitError, MediaError, UsageError
from tests.clips import write_pictures
from tests.conftest import in_process, run
from tests.errors import raises


def moving(count: int, seed: int) -> Clips:
    """Blobs that go left or right, or stay: order of frames tells."""
    rng = np.random.default_rng(seed)
    pictures = np.empty((count, 8, 32, 32, 3), np.uint8)
    labels = np.arange(count) % 3
    for clip, label in zip(pictures, labels, strict=True):
        base = np.kron(rng.integers(40, 215, (8, 8, 3)), np.ones((4, 4, 1), np.int64))
        for t in range(8):
            clip[t] = np.roll(base, (label - 1) * 2 * t, 1)
    return Clips(pictures, labels, ("left", "still", "right"), tuple(f"{n}" for n in range(count)))


def test_clips_of_a_stream_come_back_and_bytes_are_real() -> None:
    clips = [moving(3, 0).pictures[n][: n + 2] for n in range(3)]
    stream = encode(clips, 20)
    found = decode(stream)
    assert [len(clip) for clip in found] == [2, 3, 4]
    assert max(np.abs(a.astype(int) - b).mean() for a, b in zip(found, clips, strict=True)) < 16
    assert 0 < len(stream) - sizes(stream).sum() < 96 and len(encode(clips, 50)) < len(stream)


def made(tmp_path: Path, labels: list[int] | None = None) -> Path:
    clips = [clip[evenly(8, 4)] for clip in moving(3, 1).pictures]
    path = tmp_path / "a.gvset"
    facts = ["a", "b", "c"], labels or [2, 0, 1], 8, {"note": 1}
    path.write_bytes(gvset.pack(encode(clips, 30), *facts))
    return path


def test_the_reader_gives_all_frames_and_labels(tmp_path) -> None:
    data = CondensedSet(made(tmp_path), transform=lambda pictures: pictures.mean())
    assert (len(data), data.classes, data.labels, data.frames) == (3, ("a", "b", "c"), [2, 0, 1], 8)
    assert data.info == {"note": 1} and data.size == len((tmp_path / "a.gvset").read_bytes())
    assert isinstance(data[0][0], float) and data[1][1] == 0
    pictures, _ = CondensedSet(tmp_path / "a.gvset")[0]
    assert pictures.shape == (8, 32, 32, 3)
    assert np.array_equal(pictures[0], pictures[4]) and not np.array_equal(pictures[0], pictures[3])


def test_the_reader_loads_neither_torch_nor_training(tmp_path) -> None:
    code = """import sys; from gvcodec.condense import CondensedSet; CondensedSet(sys.argv[1])[0]
sys.exit(any(n == "torch" or n.startswith("training") for n in sys.modules))"""
    in_process("-c", code, made(tmp_path))


def test_damaged_and_hostile_sets_are_refused(tmp_path) -> None:
    good = made(tmp_path).read_bytes()
    path = tmp_path / "bad.gvset"
    for at in (0, 4, 6, 20, len(good) - 200, len(good) - 3):
        data = bytearray(good)
        data[at] ^= 0x10
        path.write_bytes(data)
        with pytest.raises(DamagedStreamError):
            CondensedSet(path)
    for cut in (0, 3, 10, len(good) // 2, len(good) - 1):
        path.write_bytes(good[:cut])
        with pytest.raises(DamagedStreamError):
            CondensedSet(path)
    stream = gvset.unpack(good)[1]
    wrong = [(labels, 8) for labels in ([0, 1], [0, 1, 9], [0, 1, -1], [])]
    for labels, frames in (*wrong, ([0, 1, 2], 0), ([0, 1, 2], 1 << 30)):
        path.write_bytes(gvset.pack(stream, ["a", "b", "c"], labels, frames, {}))
        with pytest.raises(DamagedStreamError, match="bad.gvset"):
            CondensedSet(path)
    with pytest.raises(MediaError):
        CondensedSet(tmp_path / "none.gvset")


@pytest.mark.parametrize("info", [None, 5, "text", [1], True])
def test_info_is_an_object(info: object) -> None:
    with raises(DamagedStreamError, "condensed-set"):
        gvset.unpack(gvset.pack(b"", ["a"], [0], 8, info))  # type: ignore[arg-type]
    assert gvset.unpack(gvset.pack(b"", ["a"], [0], 8, {"any": info}))[0]["info"] == {"any": info}


def test_classes_are_a_list() -> None:
    with raises(DamagedStreamError, "condensed-set"):
        gvset.unpack(_with_classes("abc"))
    assert gvset.unpack(_with_classes(["abc"]))[0]["labels"] == [0]


def _with_classes(classes: object) -> bytes:
    manifest = {"classes": classes, "labels": [0], "frames": 8, "info": {}}
    packed = zlib.compress(json.dumps(manifest).encode())
    head = gvset.MAGIC + bytes([1]) + encode_var(len(packed)) + packed
    return head + zlib.crc32(head).to_bytes(4, "little")


def test_a_set_of_few_bytes_takes_little_memory() -> None:
    """300 black pictures of 768×768 in 972 bytes, which would take half a gigabyte."""
    code = """import resource, sys
from gvcodec.condense import CondensedSet
from gvcodec.errors import LimitError
before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
try:
    CondensedSet(sys.argv[1])
except LimitError as error:
    print(error, resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before)"""
    path = Path(__file__).with_name("black.gvset")
    printed = in_process("-c", code, path, text=True).stdout
    assert "176947200 pixels in 903 bytes" in printed
    assert int(printed.split()[-1]) < 50_000  # KiB


def test_a_limit_of_pixels_can_be_named(tmp_path) -> None:
    path = made(tmp_path)
    pixels = 3 * 4 * 32 * 32
    assert len(CondensedSet(path, max_pixels=pixels)) == 3
    with raises(LimitError, "limit-pixels"):
        CondensedSet(path, max_pixels=pixels - 1)


def test_a_manifest_that_unpacks_to_gigabytes_is_refused(tmp_path) -> None:
    packed = zlib.compress(b"[" + b" " * (1 << 26), 9)
    head = gvset.MAGIC + bytes([1]) + encode_var(len(packed)) + packed
    with raises(DamagedStreamError, "condensed-set"):
        gvset.unpack(head + zlib.crc32(head).to_bytes(4, "little"))


def test_what_is_chosen_fits_and_has_every_class() -> None:
    from eval.condense import k_centre_order, random_order, uniform_order
    from gvcodec.condense import choosing
    from gvcodec.condense.learning import features, fit

    clips = moving(30, 2)
    network = fit(clips.pictures, clips.labels, 3, 5, 0)
    rng = np.random.default_rng(0)
    seen = features(network, clips.pictures)
    orders = [random_order(clips, rng), uniform_order(clips)]
    orders += [choosing.herding_order(clips, seen), k_centre_order(clips, seen)]
    for order in orders:
        assert len(set(order)) == len(order) == 30
        assert {int(clips.labels[n]) for n in order[:3]} == {0, 1, 2}
        choice = choosing.fill_budget(clips, order, evenly(8, 4), 40, 1500)
        more = [clips.pictures[n][evenly(8, 4)] for n in order[: len(choice.clips) + 2]]
        assert len(choice.stream) <= 1500 < len(encode(more, 40))


def test_quality_and_frames_are_those_that_teach_a_network_most(monkeypatch) -> None:
    from gvcodec.condense import choosing

    clips = moving(60, 6)
    asked = []

    def validation_loss(_: Clips, __: Clips, choice: choosing.Choice, *___: int) -> float:
        asked.append((choice.count, choice.q))
        return abs(choice.q - 57) + (0 if choice.count == 4 else 0.5)

    monkeypatch.setattr(choosing, "validation_loss", validation_loss)
    starts = [np.arange(8), evenly(8, 4)]
    lost, choice = choosing.choose_quality(clips, clips, range(len(clips)), 2000, 1, 0, starts)
    assert (lost, choice.count, choice.q) == (2, 4, 55) and len(choice.stream) <= 2000
    assert sorted(asked) == [(4, 51), (4, 55), (4, 59), (8, 55)]


def videos(folder: Path) -> None:
    for number in range(6):
        inner = folder / ("up", "down")[number % 2]
        inner.mkdir(parents=True, exist_ok=True)
        rng = np.random.default_rng(number)
        base = np.kron(rng.integers(0, 255, (8, 8)), np.ones((8, 8), np.int64)).astype(np.uint8)
        moved = (np.roll(base, t * (1, -1)[number % 2], 0) for t in range(10))
        write_pictures(inner / f"{number}.mp4", moved, "mpeg4", 10)


#: Losses by the number of frames, in the order in which they are tried.
LOSSES = [({8: 0.6, 2: 0.5, 4: 0.4}, 4), ({8: 0.6, 2: 0.3, 4: 0.4, 1: 0.2}, 1)]
LOSSES += [({8: 0.1, 2: 0.3, 4: 0.4, 1: 0.5}, 8)]


@pytest.mark.parametrize(("losses", "best"), LOSSES)
def test_as_many_frames_are_stored_as_teach_most(monkeypatch, losses, best) -> None:
    from gvcodec.condense import choosing, making
    from gvcodec.condense.learning import fit

    clips = moving(30, 4)
    network = fit(clips.pictures, clips.labels, 3, 2, 0)
    asked = []

    def search(*given: object) -> tuple[float, choosing.Choice]:
        places = np.atleast_2d(given[-1][-1])
        asked.append(places.shape[1])
        return losses[asked[-1]], choosing.Choice(np.arange(1), places, 40, b"")

    monkeypatch.setattr(making, "choose_quality", search)
    made = making.choose(clips, clips, network, 1500, 0, 1)
    assert (asked, made["whole"].count, made["best"].count) == ([*losses], 8, best)


def test_condense_from_the_command_line(tmp_path, monkeypatch) -> None:
    from gvcodec.condense import choosing, making

    for name, value in (("_STEPS", 3), ("_JUDGED", 3), ("_COUNTS", (2,))):
        monkeypatch.setattr(making, name, value)
    for name, value in (("QUALITIES", (55, 59)), ("_BEGIN", 1)):
        monkeypatch.setattr(choosing, name, value)
    videos(tmp_path / "data")
    out = tmp_path / "set.gvset"
    assert len(in_folders(tmp_path / "data")) == 6
    command = ["condense", tmp_path / "data", out, "--size", "1500", "--side", "48"]
    assert "validation accuracy" in run(*command).err
    data = CondensedSet(out)
    assert out.stat().st_size <= 1500 and data.classes == ("down", "up")
    assert data[0][0].shape == (8, 48, 48, 3)
    run(*command, code=1)  # exists
    small = tmp_path / "c"
    run("condense", tmp_path / "data", small, "--size", "150", code=2)
    assert not small.exists()
    run("condense", tmp_path / "data", small, "--size", "1k", "--side", "33", code=2)
    run("condense", tmp_path / "data" / "up", small, "--size", "1k", code=2)


def test_training_material_is_made_of_8_bit_videos(tmp_path) -> None:
    from training.summary_material import FORMAT, frames_of

    videos(tmp_path)
    frames = frames_of(tmp_path / "up/0.mp4")
    assert len(frames) == 10 and frames[0][0].shape == (FORMAT.height, FORMAT.width)
    assert not any((plane & 3).any() for plane in frames[0])


def test_frames_are_evenly_spaced_over_a_video(tmp_path) -> None:
    assert [evenly(10, n).tolist() for n in (1, 2, 4)] == [[5], [0, 9], [0, 3, 6, 9]]
    videos(tmp_path)
    assert pictures_of(tmp_path / "up/0.mp4", 8, 32).shape == (8, 32, 32, 3)
    with pytest.raises(UsageError):
        in_folders(tmp_path / "up")


@pytest.mark.parametrize("output", ["b/1.gvset", "b/nodir/../1.gvset"])
def test_condense_writes_over_none_of_its_inputs(tmp_path, output: str) -> None:
    for name in ("a/0.mp4", "b/1.mp4"):
        (tmp_path / name).parent.mkdir()
        (tmp_path / name).write_bytes(b"a clip")
    (tmp_path / "b/1.gvset").hardlink_to(tmp_path / "b/1.mp4")
    said = run("condense", tmp_path, tmp_path / output, "--size", "20k", "-y", code=1)
    assert len(said.err.splitlines()) == 1
    assert (tmp_path / "b/1.mp4").read_bytes() == b"a clip" and len(list(tmp_path.rglob("*"))) == 5
    run("condense", tmp_path, tmp_path / "b/1.mp4", "--size", "20k", "-y", code=2)
    assert (tmp_path / "b/1.mp4").read_bytes() == b"a clip"
