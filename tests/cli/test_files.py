"""Inputs stay, outputs appear whole or not at all; links, pipes, devices and odd names."""

import errno
import fcntl
import os
import threading
from pathlib import Path

import pytest

import gvcodec
from gvcodec.errors import MediaError
from gvcodec.util.file_io import PendingFile, protect_inputs, refuse_input
from tests.clips import format_of, write_clip
from tests.conftest import in_process, moving_texture, run, without_painted_hash

ENCODE = ("--preset", "10", "--fit", "off", "--base-q", 40)


@pytest.fixture(scope="module")
def made(tmp_path_factory) -> Path:
    folder = tmp_path_factory.mktemp("files")
    clip = moving_texture(64, 48, 5)
    write_clip(folder / "in.mp4", clip)
    fast = {"base": "av1", "preset": 10, "base_q": 40, "fit": 0}
    (folder / "av1.gvc").write_bytes(gvcodec.encode(clip, format=format_of(clip), **fast))
    return folder


def copied(made: Path, name: str, folder: Path, as_name: str = "") -> Path:
    path = folder / (as_name or name)
    path.write_bytes((made / name).read_bytes())
    return path


TO_SIZE, BARE = (*ENCODE[:4], "--size", "9k"), "--fidelity"
COMMANDS = {
    "encode": ("in.mp4", "a.gvc", lambda i, o: ("encode", i, o, *ENCODE)),
    "encode to a size": ("in.mp4", "a.gvc", lambda i, o: ("encode", i, o, *TO_SIZE)),
    "decode": ("av1.gvc", "a.y4m", lambda i, o: ("decode", i, o, BARE)),
    "pictures": ("av1.gvc", "a0.png", lambda i, o: ("decode", i, o.with_name("a%d.png"), BARE)),
    "cut": ("av1.gvc", "a.gvc", lambda i, o: ("cut", i, o)),
    "cat": ("av1.gvc", "a.gvc", lambda i, o: ("cat", i, i, "-o", o)),
    "repair": ("av1.gvc", "a.gvc", lambda i, o: ("repair", i, o)),
    "extract": ("av1.gvc", "a.mkv", lambda i, o: ("extract", i, o)),
}


@pytest.mark.parametrize("command", COMMANDS)
def test_no_command_writes_through_a_folder_that_is_missing(made, tmp_path, command):
    """`nodir/../a.gvc` is no other name of `a.gvc`, neither to write nor to read."""
    name, output, arguments = COMMANDS[command]
    target = copied(made, name, tmp_path, output)
    before = target.read_bytes()
    through = tmp_path / "nodir" / ".." / output
    for given in ((target, through), (through, target), (through, through)):
        (line,) = run(*arguments(*given), "-y", code=1).err.splitlines()
        assert "No such file" in line or "is the input" in line
        assert target.read_bytes() == before
    assert len(list(tmp_path.iterdir())) == 1


@pytest.mark.parametrize("command", COMMANDS)
def test_a_name_that_ends_in_a_slash_is_a_folder(made, tmp_path, command):
    name, _, arguments = COMMANDS[command]
    source = copied(made, name, tmp_path)
    for end in ("/", "/."):
        words = map(str, arguments(source, tmp_path / "newdir"))
        folder = f"{tmp_path / 'newdir'}{end}"
        words = [folder if "newdir" in w or "a%d" in w else w for w in words]
        assert "names a folder, and there is none" in run(*words, code=1).err
    assert list(tmp_path.iterdir()) == [source]


def test_a_link_before_two_dots_leads_where_the_system_goes(made: Path, tmp_path) -> None:
    """`link/../a` lies next to the folder that the link leads to: to read, to write, to compare."""
    (tmp_path / "far" / "inner").mkdir(parents=True)
    (tmp_path / "link").symlink_to(tmp_path / "far" / "inner")
    source = copied(made, "in.mp4", tmp_path / "far")
    run("encode", tmp_path / "link" / ".." / "in.mp4", tmp_path / "link" / ".." / "a.gvc", *ENCODE)
    assert (tmp_path / "far" / "a.gvc").is_file()
    stream = copied(made, "av1.gvc", tmp_path / "far")
    run("cut", tmp_path / "link" / ".." / "av1.gvc", stream, "-y", code=1)
    source = source.rename(tmp_path / "far/b.gvc")
    run("encode", f"file://{tmp_path}/link/../in.mp4", source, code=1)
    assert stream.read_bytes() == (made / "av1.gvc").read_bytes()


@pytest.mark.parametrize("kind", ["same name", "symbolic link", "hard link"])
@pytest.mark.parametrize("command", COMMANDS)
def test_no_command_overwrites_its_input(made, tmp_path, command, kind):
    name, output, arguments = COMMANDS[command]
    source = copied(made, name, tmp_path, output)
    before, target = source.read_bytes(), source
    if kind != "same name":
        source = tmp_path / "given"
        (source.symlink_to if kind == "symbolic link" else source.hardlink_to)(target)
    said = run(*arguments(source, target), "-y", code=1)
    assert "is the input" in said.err and target.read_bytes() == before
    assert len(list(tmp_path.iterdir())) == (1 if kind == "same name" else 2)


@pytest.mark.parametrize("side", ["stdin", "stdout"])
def test_an_input_on_a_standard_stream_is_safe(made: Path, tmp_path, side: str) -> None:
    source = copied(made, "av1.gvc", tmp_path)
    files = ("-", source, "-y") if side == "stdin" else (source, "-")
    with open(source, "rb" if side == "stdin" else "ab") as stream:
        done = in_process("-m", "gvcodec", "cut", *files, code=1, **{side: stream})
    assert source.read_bytes() == (made / "av1.gvc").read_bytes()
    refusals = {"stdin": b"is the input standard input", "stdout": b"standard output: is the input"}
    assert refusals[side] in done.stderr


def test_a_link_as_output_is_followed(made: Path, tmp_path) -> None:
    (tmp_path / "far").mkdir()
    link, target = tmp_path / "link.gvc", tmp_path / "far" / "a.gvc"
    link.symlink_to(target)
    run("cut", made / "av1.gvc", link)  # leads to nothing yet
    assert link.is_symlink()
    assert target.read_bytes() == without_painted_hash((made / "av1.gvc").read_bytes())
    target.write_bytes(b"old")
    run("cut", made / "av1.gvc", link, code=1)
    assert target.read_bytes() == b"old"
    run("cut", made / "av1.gvc", link, "-y")
    assert link.is_symlink()
    assert target.read_bytes() == without_painted_hash((made / "av1.gvc").read_bytes())
    assert [path.name for path in (tmp_path / "far").iterdir()] == ["a.gvc"]


@pytest.mark.parametrize("suffix", ["gvc", "y4m"])
def test_a_pipe_as_output_is_written_to(made: Path, tmp_path, suffix: str) -> None:
    pipe = tmp_path / f"pipe.{suffix}"
    os.mkfifo(pipe)
    found: list[bytes] = []
    reader = threading.Thread(target=lambda: found.append(pipe.read_bytes()))
    reader.start()
    run(*(["cut"] if suffix == "gvc" else ["decode", BARE]), made / "av1.gvc", pipe)
    reader.join(60)
    assert found[0].startswith(b"\x89GVC" if suffix == "gvc" else b"YUV4MPEG2")
    assert [path.name for path in tmp_path.iterdir()] == [pipe.name] and pipe.is_fifo()


def test_a_stream_is_not_named_like_a_video(made: Path, tmp_path) -> None:
    message = run("encode", made / "in.mp4", tmp_path / "out.avi", *ENCODE, code=2).err
    assert message.count("\n") == 1 and ".gvc" in message
    run("cut", made / "av1.gvc", tmp_path / "out.MOV", code=2)
    for name in ("out.gvc", "out.bin", "out"):
        run("encode", made / "in.mp4", tmp_path / name, *ENCODE)


@pytest.mark.parametrize("links", [True, False], ids=["links", "no hard links"])
def test_without_y_nothing_that_appears_meanwhile_is_replaced(tmp_path, monkeypatch, links):
    def no_links(*_: object) -> None:
        raise OSError(errno.EPERM, "no links here")

    if not links:
        monkeypatch.setattr(os, "link", no_links)
    path = tmp_path / "a"
    with PendingFile(path, False) as pending:
        pending.temporary.write_bytes(b"new")
    assert path.read_bytes() == b"new"
    path.unlink()
    with pytest.raises(MediaError, match="a: was created meanwhile"), PendingFile(path, False):
        path.write_bytes(b"foreign")
    assert path.read_bytes() == b"foreign" and list(tmp_path.iterdir()) == [path]


def test_permissions_of_a_replaced_file_stay(made: Path, tmp_path) -> None:
    path = tmp_path / "a.gvc"
    for mode in (0o600, 0o640, 0o444, 0o755):
        path.unlink(missing_ok=True)
        path.write_bytes(b"old")
        path.chmod(mode)
        run("cut", made / "av1.gvc", path, "-y")
        assert path.stat().st_mode & 0o7777 == mode
    before = os.umask(0o027)
    try:
        run("cut", made / "av1.gvc", tmp_path / "b.gvc")
    finally:
        os.umask(before)
    assert (tmp_path / "b.gvc").stat().st_mode & 0o7777 == 0o640


def test_names_with_colons_and_very_long_ones(made: Path, tmp_path, monkeypatch) -> None:
    monkeypatch.chdir(tmp_path)
    copied(made, "in.mp4", tmp_path, "http:in:1.mp4")
    run("encode", "http:in:1.mp4", "a:b.gvc", *ENCODE)
    run("decode", "a:b.gvc", "pipe:1.mkv", "--fidelity")
    run("encode", "a%02d.png", "x.gvc", *ENCODE, code=1)
    run("extract", made / "av1.gvc", "tcp:x.mp4")
    run("verify", "a:b.gvc", "--source", "http:in:1.mp4")
    long = "ß" * 125 + ".gvc"
    run("cut", "a:b.gvc", long)
    names = {"http:in:1.mp4", "a:b.gvc", "pipe:1.mkv", "tcp:x.mp4", long}
    assert {path.name for path in tmp_path.iterdir()} == names


def test_where_chunks_are_kept_is_a_folder_of_one_encode(made: Path, tmp_path) -> None:
    part, foreign = tmp_path / "o.gvc.part", tmp_path / "foreign"
    words = ["encode", made / "in.mp4", tmp_path / "o.gvc", *ENCODE[:4], "--resume", "--jobs", 1]
    foreign.mkdir()
    part.symlink_to(foreign)
    assert f"{part}: is no folder" in run(*words, code=1).err
    part.unlink()
    part.write_bytes(b"film")
    run(*words, code=1)
    assert part.read_bytes() == b"film" and not list(foreign.iterdir())
    part.unlink()
    part.mkdir()
    with open(part / "lock", "wb") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        assert "another encode is writing it" in run(*words, code=1).err
    run(*words)
    assert not part.exists()


@pytest.mark.skipif(not os.path.exists("/dev/full"), reason="no device that is full")
def test_messages_that_cannot_be_written_end_no_work(made: Path, tmp_path) -> None:
    for progress in ("auto", "json"):
        words = ["encode", made / "in.mp4", tmp_path / "a.gvc", *ENCODE, "-y"]
        words += ["--progress", progress]
        with open("/dev/full", "w") as full:
            in_process("-m", "gvcodec", *words, stderr=full)
        assert gvcodec.info(tmp_path / "a.gvc").frames == 5


@pytest.mark.parametrize("scheme", ["file://", "file://localhost", "local://"])
def test_an_input_given_as_a_uri_is_safe(made: Path, tmp_path, scheme: str) -> None:
    source = copied(made, "in.mp4", tmp_path, "a b.mkv")
    said = run("encode", f"{scheme}{tmp_path}/a%20b.mkv", source, "-y", *ENCODE, code=1)
    assert "is the input" in said.err
    assert source.read_bytes() == (made / "in.mp4").read_bytes()


def test_inputs_are_protected_as_long_as_somebody_reads_them(tmp_path) -> None:
    """Blocks may overlap, as those of two threads do, and name the same file."""
    names = []
    for name in ("a.mp4", "b.mp4"):
        (tmp_path / name).write_bytes(b"")
        names.append(str(tmp_path / name))
    first, second, third = protect_inputs(names[:1]), protect_inputs(names), protect_inputs(names)

    def refused() -> list[bool]:
        outcomes = []
        for name in names:
            try:
                refuse_input(name)
                outcomes.append(False)
            except MediaError:
                outcomes.append(True)
        return outcomes

    first.__enter__()
    assert refused() == [True, False]
    second.__enter__()
    third.__enter__()
    assert refused() == [True, True]
    second.__exit__(None, None, None)
    assert refused() == [True, True]
    third.__exit__(None, None, None)
    assert refused() == [True, False]
    first.__exit__(None, None, None)
    assert refused() == [False, False]
