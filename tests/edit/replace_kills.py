"""Kills `gvcodec encode --replace` at random moments: nothing may be lost.

    python -m tests.edit.replace_kills 100 FOLDER [SEED]

After each kill the original is where it was or in the folder of originals, byte for byte, or, if it
is to be deleted, the whole, verified file stands in its place. The same command then finishes."""

import contextlib
import hashlib
import importlib
import os
import pkgutil
import random
import shutil
import signal
import sys
import time
from pathlib import Path

import gvcodec
from gvcodec.cli import main
from tests.batch.test_batch import write_video

FRAMES = 20
QUICK = ("--fit", "off", "--preset", "10", "--quiet")
#: Ending of the original, of the new file, and whether the original is kept.
KINDS = [
    (old, new, keep)
    for old, new in ((".mp4", ".gvc"), (".mov", ".mp4"), (".mp4", ".mp4"))
    for keep in (True, False)
]


def import_all() -> None:
    """Load the package once, so that processes are killed at work and not at their imports."""
    for module in pkgutil.walk_packages(gvcodec.__path__, "gvcodec."):
        with contextlib.suppress(ImportError):
            if not module.name.endswith("__main__"):
                importlib.import_module(module.name)


def start(words: list[str]) -> int:
    """The command in a process of its own, without the time of its imports."""
    process = os.fork()
    if process == 0:
        code = 99
        try:
            code = main(words)
        finally:
            os._exit(code)
    return process


def end(process: int) -> int:
    return os.waitstatus_to_exitcode(os.waitpid(process, 0)[1])


def hash_of(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest() if path.exists() else ""


def is_whole(path: Path) -> bool:
    """Whether a file is a gvcodec stream that decodes in full, with its hashes."""
    try:
        return gvcodec.verify(path).frames == FRAMES
    except gvcodec.GvcodecError:
        return False


def describe(source: Path, target: Path, kept: Path, original: str) -> str:
    """Where the film is. Raises `AssertionError` if it is lost."""
    places = [str(place.name) for place in (source, kept) if hash_of(place) == original]
    if target != source and target.exists():
        assert is_whole(target), f"{target} is not whole"
    if not places:
        assert not kept.parent.exists(), "an original that is to be kept is gone"
        assert is_whole(target), "the original is gone, and the new file is not whole"
        return "replaced"
    if hash_of(source) == original and not target.exists():
        return "original"
    return "both" if target != source and source.exists() else "original"


def run(kills: int, folder: Path, seed: int) -> None:
    import_all()
    randomly = random.Random(seed)
    film = write_video(folder / "film.mp4", frames=FRAMES, sound=True)
    movie = write_video(folder / "film.mov", frames=FRAMES, sound=True)
    seconds: dict[int, float] = {}
    kinds = KINDS[:kills]
    for number in range(-len(kinds), kills):
        kind = number % len(kinds)
        old, new, keep = kinds[kind]
        place = folder / "films"
        place.mkdir()
        source, target = place / f"a{old}", place / f"a{new}"
        shutil.copy(movie if old == ".mov" else film, source)
        original, kept = hash_of(source), folder / "kept" / source.name
        how = ["--keep-originals", str(kept.parent)] if keep else ["--delete-originals"]
        words = ["encode", str(source), str(target), "--replace", *how, *QUICK]
        began = time.monotonic()
        process = start(words)
        state = ""
        if number >= 0:
            moment = randomly.uniform(0, 1.1 * seconds[kind])
            time.sleep(moment)
            os.kill(process, signal.SIGKILL)
            code = end(process)
            state = describe(source, target, kept, original)
            print(f"{number:3} {old}→{new} keep {keep!s:5} at {moment:.2f} s: {code}, {state}")
            if state != "replaced" and code != 0:
                process = start(words)
                code = end(process)
        else:
            code = end(process)
            seconds[kind] = time.monotonic() - began
        assert code in (0, -signal.SIGKILL), code
        if target != source:
            assert not source.exists()
        assert is_whole(target) and [path.name for path in place.iterdir()] == [target.name]
        assert not keep or hash_of(kept) == original
        for path in (place, kept.parent):
            shutil.rmtree(path, ignore_errors=True)
    print(f"{kills} kills, nothing lost")


if __name__ == "__main__":
    run(int(sys.argv[1]), Path(sys.argv[2]), int(sys.argv[3]) if len(sys.argv) > 3 else 1)
