"""Originals are replaced only by checked copies, and never lost, whenever the process is killed."""

import errno
import os
import shutil
import signal
import subprocess
import sys
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import av
import pytest

import gvcodec
from gvcodec.edit import replace as module
from gvcodec.edit.copy_check import ReplaceRules, check_copy
from gvcodec.edit.replace import open_waiting, replace_checked, replace_original, target_path
from gvcodec.errors import NotReplacedError, UsageError
from gvcodec.input_options import InputOptions
from tests.batch.test_batch import table_of, write_video
from tests.clips import ffmpeg
from tests.conftest import run

QUICK = ("--fit", "off", "--preset", "10")
FRAMES = 20


@pytest.fixture(scope="module")
def film(tmp_path_factory) -> Path:
    return write_video(tmp_path_factory.mktemp("film") / "a.mp4", frames=FRAMES, sound=True)


@pytest.fixture(scope="module")
def coded(film: Path) -> Path:
    path = film.with_name("coded.gvc")
    run("encode", film, path, *QUICK)
    return path


@pytest.fixture
def source(film: Path, tmp_path) -> Path:
    path = tmp_path / "films" / "a.mp4"
    path.parent.mkdir()
    shutil.copy(film, path)
    path.chmod(0o640)
    os.utime(path, (1_000_000_000, 1_100_000_000))
    return path


def test_an_original_is_moved_or_deleted_after_the_check(source: Path, tmp_path) -> None:
    whole, target = source.read_bytes(), source.with_suffix(".gvc")
    keep = tmp_path / "old"
    report = run("encode", source, "--replace", "--keep-originals", keep, *QUICK).err
    assert f"hashes right, {FRAMES} frames, 0.80 s, 1 track of sound" in report
    assert (keep / "a.mp4").read_bytes() == whole and list(source.parent.iterdir()) == [target]
    status = target.stat()
    assert status.st_mtime == 1_100_000_000 and status.st_mode & 0o777 == 0o640
    assert gvcodec.verify(target).frames == FRAMES
    # An original with a name that is there already gets another one.
    target.unlink()
    source.write_bytes(write_video(tmp_path / "other.mp4", seed=3, frames=FRAMES).read_bytes())
    run("encode", source, target, "--replace", "--keep-originals", keep, *QUICK)
    assert sorted(path.name for path in keep.iterdir()) == ["a.mp4", "a~1.mp4"]
    # The same name: a file that every player shows.
    shutil.copy(keep / "a.mp4", source)
    target.unlink()
    run("encode", source, source, "--replace", "--delete-originals", *QUICK)
    assert list(source.parent.iterdir()) == [source] and gvcodec.verify(source).frames == FRAMES
    again = run("encode", source, source, "--replace", "--delete-originals", *QUICK, code=2).err
    assert "is a gvcodec file already" in again


@pytest.mark.parametrize(
    ("words", "reason", "code"),
    [
        ([], "needs --keep-originals DIR or --delete-originals", 2),
        (["--delete-originals", "--to", "0.4"], "whole files", 2),
        (["--delete-originals", "--fps", "10"], "keeps every frame", 2),
        (["--delete-originals", "--floor", "vmaf=3"], "no floor", 2),
        (["--delete-originals", "--floor", "psnr=60"], "not replaced: its psnr is", 10),
        (["--delete-originals", "--min-gain", "99%"], "saves less than 99 %", 7),
        (["--delete-originals", "-q", "0"], "saves -", 10),
    ],
)
def test_what_is_not_replaced_stays(source: Path, words: list[str], reason: str, code: int) -> None:
    before = source.read_bytes()
    report = run("encode", source, "--replace", *words, *QUICK, code=code).err
    assert reason in report and source.read_bytes() == before
    assert list(source.parent.iterdir()) == [source]


def test_a_target_of_another_origin_is_not_overwritten(source: Path) -> None:
    source.with_suffix(".gvc").write_text("mine")
    words = ["--replace", "--delete-originals", *QUICK]
    assert "exists" in run("encode", source, *words, code=10).err
    assert source.with_suffix(".gvc").read_text() == "mine" and source.exists()
    link = source.with_name("link.mp4")
    link.symlink_to(source)
    assert "is a link" in run("encode", link, *words, code=2).err
    other = source.with_name("b.gvc")
    assert "the new file is" in run("encode", source, other, *words, code=2).err


def check(coded: Path, source: Path, floor: str = "psnr=10") -> None:
    check_copy(str(coded), str(source), ReplaceRules(floor=floor))


def test_a_copy_that_is_not_of_this_film_is_refused(film: Path, coded: Path, tmp_path) -> None:
    check(coded, film)
    longer = write_video(tmp_path / "longer.mp4", frames=FRAMES + 1, sound=True)
    with pytest.raises(NotReplacedError, match=f"has {FRAMES} frames, the original {FRAMES + 1}"):
        check(coded, longer)
    other = write_video(tmp_path / "other.mp4", seed=9, frames=FRAMES, sound=True)
    with pytest.raises(NotReplacedError, match="its psnr is"):
        check(coded, other, "psnr=24")
    silent = tmp_path / "silent.gvc"
    run("encode", film, silent, *QUICK, "--no-sound")
    with pytest.raises(NotReplacedError, match="would lose sound in track 2") as refused:
        check(silent, film)
    assert refused.value.lost == ("sound",)
    damaged = tmp_path / "damaged.gvc"
    data = bytearray(coded.read_bytes())
    data[len(data) // 2] ^= 4
    damaged.write_bytes(data)
    with pytest.raises(NotReplacedError, match="not replaced"):
        check(damaged, film)
    with pytest.raises(UsageError, match="no floor"):
        ReplaceRules(floor="psnr")


#: Calls that change what is on the disk, or wait for it.
CALLS = ("link", "replace", "rename", "unlink", "chown", "utime", "fsync", "makedirs")


def killed_at(number: int, before: bool, work: Callable[[], object]) -> bool:
    """Do the work in a process that is killed before or after its call `number`; whether it was."""
    process = os.fork()
    if process == 0:
        count = 0

        def wrap(real: Callable[..., Any]) -> Callable[..., Any]:
            def call(*given: Any, **named: Any) -> Any:
                nonlocal count
                count += 1
                if count == number and before:
                    os.kill(os.getpid(), signal.SIGKILL)
                try:
                    return real(*given, **named)
                finally:
                    if count == number:
                        os.kill(os.getpid(), signal.SIGKILL)

            return call

        for name in CALLS:
            setattr(os, name, wrap(getattr(os, name)))
        try:
            work()
        except BaseException:  # noqa: BLE001 (a process that must not return to pytest)
            os._exit(1)
        os._exit(0)
    code = os.waitstatus_to_exitcode(os.waitpid(process, 0)[1])
    assert code in (0, -signal.SIGKILL)
    return code != 0


def place_copy(source: str, coded: Path, suffix: str, rules: ReplaceRules) -> None:
    """As `encode_and_replace`, without the encode and the check."""
    target = target_path(source, suffix)
    with open_waiting(source, target, "options") as waiting:
        if waiting != target:
            shutil.copyfile(coded, waiting)
        replace_original(source, waiting, target, rules, "options")


@pytest.mark.parametrize("before", [True, False])
@pytest.mark.parametrize("how", ["keep", "copy", "delete", "same name"])
def test_killed_at_any_step_nothing_is_lost(
    film: Path, coded: Path, tmp_path, monkeypatch, how: str, before: bool
) -> None:
    keep = tmp_path / "old"
    rules = ReplaceRules("" if how == "delete" else str(keep))
    if how == "copy":
        real = os.link

        def link(one: str, other: str) -> None:
            if "old" in str(other) and ".part" not in str(one):
                raise OSError(errno.EXDEV, "another disk")
            real(one, other)

        monkeypatch.setattr(os, "link", link)
    whole, new = film.read_bytes(), coded.read_bytes()
    suffix = ".mp4" if how == "same name" else ".gvc"
    for number in range(1, 100):
        folder = tmp_path / f"{number}"
        folder.mkdir()
        shutil.rmtree(keep, ignore_errors=True)
        source = folder / "a.mp4"
        target = Path(target_path(str(source), suffix))
        work = partial(place_copy, str(source), coded, suffix, rules)
        shutil.copyfile(film, source)
        was_killed = killed_at(number, before, work)
        places = [path.read_bytes() for path in (source, keep / "a.mp4") if path.exists()]
        assert whole in places or (how == "delete" and target.read_bytes() == new)
        if target != source and target.exists():
            assert target.read_bytes() == new
        if source.exists() and source.read_bytes() == whole:
            work()
        assert target.read_bytes() == new
        if how != "delete":
            assert (keep / "a.mp4").read_bytes() == whole
        if not was_killed:
            break
    assert 7 < number < 99


DELETE = ("--replace", "--delete-originals", *QUICK, "--floor", "psnr=5")


def test_an_old_file_of_the_target_is_never_taken_for_the_new_one(source: Path) -> None:
    target = source.with_suffix(".gvc")
    run("encode", source, target, *QUICK, "-q", "66")
    preview, whole = target.read_bytes(), source.read_bytes()
    assert "exists" in run("encode", source, *DELETE, "-q", "20", code=10).err
    assert source.read_bytes() == whole and target.read_bytes() == preview
    assert sorted(source.parent.iterdir()) == sorted([source, target])


def test_a_killed_call_goes_on_with_its_own_file_alone(source: Path, coded: Path, tmp_path) -> None:
    target, rules = source.with_suffix(".gvc"), ReplaceRules()

    def place(options: str = "options") -> None:
        with open_waiting(str(source), str(target), options) as waiting:
            if waiting != str(target):
                shutil.copyfile(coded, waiting)
            replace_original(str(source), waiting, str(target), rules, options)

    whole = source.read_bytes()
    for number in range(1, 100):
        assert killed_at(number, True, place)
        if target.exists():
            break
    source.write_bytes(whole + b"another version")
    with pytest.raises(NotReplacedError, match="exists"):
        place()
    source.write_bytes(whole)
    with pytest.raises(NotReplacedError, match="exists"):
        place("other options")
    assert source.read_bytes() == whole and target.read_bytes() == coded.read_bytes()
    place()
    assert list(source.parent.iterdir()) == [target]


@pytest.mark.parametrize("changed", ["source", "coded file"])
def test_files_that_change_during_the_check_are_not_replaced(
    source: Path, coded: Path, monkeypatch, changed: str
) -> None:
    target, whole = source.with_suffix(".gvc"), source.read_bytes()

    def check(stream_path: str, *_: object) -> None:
        place = source if changed == "source" else Path(stream_path)
        other = place.with_name("other")
        other.write_bytes(place.read_bytes())
        other.replace(place)

    monkeypatch.setattr(module, "check_copy", check)
    options: Any = (ReplaceRules(), "options", InputOptions())
    with open_waiting(str(source), str(target), "options") as waiting:
        shutil.copyfile(coded, waiting)
        with pytest.raises(NotReplacedError, match="changed meanwhile"):
            replace_checked(str(source), waiting, str(target), *options)
    assert source.read_bytes() == whole and not target.exists()


def test_the_folder_of_originals_is_another_one(source: Path, tmp_path) -> None:
    whole = source.read_bytes()
    folder = source.parent
    (tmp_path / "link").symlink_to(folder)
    for keep in (folder, tmp_path / "link"):
        words = ["--replace", "--keep-originals", keep, *QUICK]
        assert "the folder for originals" in run("encode", source, *words, code=2).err
        assert source.read_bytes() == whole and list(folder.iterdir()) == [source]
    # A link in that folder is no kept original.
    keep = tmp_path / "old"
    keep.mkdir()
    (keep / "a.mp4").symlink_to(source)
    run("encode", source, "--replace", "--keep-originals", keep, *QUICK)
    assert (keep / "a~1.mp4").read_bytes() == whole


def test_an_allowed_loss_is_named(source: Path, tmp_path) -> None:
    cameras = source.with_name("b.mkv")
    twice = ("-map", "0:v", "-map", "0:v", "-map", "0:a", "-c", "copy")
    ffmpeg("-i", source, *twice, cameras)
    whole = cameras.read_bytes()
    report = run("encode", cameras, *DELETE, code=10).err
    assert "would lose video in track 2 (--allow-loss video permits it)" in report
    assert cameras.read_bytes() == whole and not cameras.with_suffix(".gvc").exists()
    assert "is no loss to allow" in run("encode", cameras, *DELETE, "--allow-loss", "x", code=2).err
    report = run("encode", cameras, *DELETE, "--allow-loss", "data, video").err
    assert "without video in track 2" in report and not cameras.exists()


@pytest.mark.parametrize("name", ["padded", "last picture", "chapters"])
def test_no_false_refusal(source: Path, name: str) -> None:
    film = source.with_name("b.mov")
    words: list[object] = []
    if name == "padded":
        words = ["-movflags", "use_metadata_tags", "-metadata", "com.apple.quicktime.make=Maker   "]
    elif name == "chapters":
        text = source.with_name("chapters.txt")
        text.write_text(";FFMETADATA1\n[CHAPTER]\nTIMEBASE=1/10\nSTART=0\nEND=5\ntitle=One\n")
        words = ["-f", "ffmetadata", "-i", text, "-map_chapters", "1"]
    if name == "last picture":
        with av.open(str(source)) as one, av.open(str(film), "w") as two:
            stream = two.add_stream_from_template(one.streams.video[0])
            packets = [packet for packet in one.demux(video=0) if packet.size]
            max(packets, key=lambda packet: packet.pts).duration *= 50
            for packet in packets:
                packet.stream = stream
                two.mux(packet)
    else:
        ffmpeg("-i", source, *words, "-c", "copy", film)
    report = run("encode", film, *DELETE).err
    assert not film.exists() and "without" not in report


@pytest.mark.skipif(sys.platform != "linux", reason="forks")
def test_killed_at_random_moments_nothing_is_lost(tmp_path) -> None:
    command = [sys.executable, "-m", "tests.edit.replace_kills", "3", str(tmp_path)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=300, check=False)
    assert done.returncode == 0 and done.stdout.endswith("nothing lost\n"), done.stderr


@pytest.mark.usefixtures("inline_batch")
def test_a_batch_replaces_checked_files_and_says_what_it_refuses(film: Path, tmp_path) -> None:
    folder, keep, out = tmp_path / "in", tmp_path / "old", tmp_path / "out"
    (folder / "sub").mkdir(parents=True)
    shutil.copy(film, folder / "sub" / "a.mp4")
    shutil.copy(film, folder / "b.mp4")
    (folder / "b.gvc").write_text("mine")
    words = ["-o", out, *QUICK, "--jobs", "1", "--replace", "--keep-originals", keep]
    report = run("batch", folder, *words, code=10).err
    assert "1 original was not replaced" in report
    rows = {Path(row["input"]).name: row for row in table_of(out)}
    assert rows["a.mp4"]["status"] == "done" and "moved to" in rows["a.mp4"]["original"]
    assert rows["b.mp4"]["status"] == "refused" and "exists" in rows["b.mp4"]["error"]
    assert (keep / "sub" / "a.mp4").read_bytes() == film.read_bytes()
    assert gvcodec.verify(folder / "sub" / "a.gvc").frames == FRAMES
    assert (folder / "b.mp4").exists() and (folder / "b.gvc").read_text() == "mine"
    # Once the reason is gone the same command goes on.
    (folder / "b.gvc").unlink()
    run("batch", folder, *words)
    assert (keep / "b.mp4").exists() and (folder / "b.gvc").exists()
    assert "no videos among" in run("batch", folder, *words, code=2).err
