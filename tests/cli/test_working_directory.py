"""Nothing that lies in the working directory is run: not next to videos, not in a checkout."""

import os
import shutil
import signal
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

import pytest

import gvcodec
from gvcodec.util import programs
from tests.clips import write_pictures
from tests.conftest import in_process, moving_texture

ROOT = Path(__file__).resolve().parents[2]
QUICK = ("--fit", "off", "--preset", "10", "-y")
#: Modules that the program imports sooner or later, some of the standard library.
MODULES = (
    *("numpy", "av", "torch", "safetensors", "json", "fsspec", "tqdm", "typing", "argparse"),
    *("tempfile", "socket", "subprocess", "struct", "multiprocessing", "pickle", "PIL", "ray"),
    *("imageio_ffmpeg", "matplotlib", "site", "sitecustomize", "usercustomize"),
)
PROGRAMS = ("ffmpeg", "strace", "xdg-open", "python", "python3")


@pytest.fixture
def folder(tmp_path) -> Path:
    """A video among decoys that leave their names in `mark`."""
    made = tmp_path / "films"
    made.mkdir()
    _write_decoys(made, tmp_path / "mark")
    write_pictures(made / "a.mkv", moving_texture(64, 48, 4), "ffv1")
    return made


def _write_decoys(folder: Path, mark: Path) -> None:
    code = f"open({str(mark)!r}, 'a').write(__name__ + '\\n')\n"
    for name in MODULES:
        (folder / f"{name}.py").write_text(code)
    (folder / "decoy.pth").write_text(f"import os; {code}")
    for program in PROGRAMS:
        file = folder / program
        file.write_text(f"#!/bin/sh\necho {program} >> {mark}\nexit 1\n")
        file.chmod(0o755)


def _write_package(folder: Path) -> None:
    """A checkout that was never built."""
    ignored = shutil.ignore_patterns("__pycache__", "*.so", "*.pyd")
    shutil.copytree(ROOT / "gvcodec", folder / "gvcodec", ignore=ignored)
    init = folder / "gvcodec" / "__init__.py"
    init.write_text(f"open({str(folder.parent / 'mark')!r}, 'a').write(__name__)\n")


def _program(*words: object) -> list[str]:
    """The program `gvcodec`, as its installed script starts it: found by its own place."""
    places = [place for place in sys.path if os.path.isabs(place)]
    code = f"import sys; sys.path[:] = {places!r}; sys.argv[0] = 'gvcodec'; "
    code += "from gvcodec.__main__ import run; sys.exit(run())"
    return [sys.executable, "-P", "-c", code, *map(str, words)]


def _run(
    command: Sequence[object], folder: Path, code: int = 0, **variables: str
) -> subprocess.CompletedProcess[str]:
    path = os.pathsep.join([".", "", os.environ["PATH"]])
    environment = os.environ | {"PATH": path} | variables
    done = in_process(*command[1:], code=code, cwd=folder, env=environment, text=True)
    marked = folder.parent / "mark"
    assert not marked.exists(), f"{command[-1]}: {marked.read_text()} ran"
    return done


def test_no_command_runs_what_lies_beside_the_videos(folder: Path) -> None:
    _write_package(folder)
    for words in (("encode", "a.mkv", "a.gvc", *QUICK), ("decode", "a.gvc", "a.y4m", "-y")):
        _run(_program(*words), folder)
    command = [*_program("play", "a.gvc", "--no-browser")]
    path = os.pathsep.join(["", os.environ["PATH"]])
    how = {"cwd": folder, "env": os.environ | {"PATH": path}, "text": True}
    with subprocess.Popen(command, stderr=subprocess.PIPE, **how) as player:
        assert player.stderr is not None and "http://" in player.stderr.readline()
        player.send_signal(signal.SIGTERM)
    assert not (folder.parent / "mark").exists()


def test_python_dash_m_runs_no_module_of_the_working_directory(folder: Path) -> None:
    """Python itself imports some of the standard library before the package can forbid it."""
    place = str(Path(programs.__file__).parents[2])
    for words in (
        ("gvcodec", "batch", "a.mkv", "-o", "out", "--fit", "off", "--preset", "10"),
        ("training", "--help"),
        ("eval", "rd", "--help"),
    ):
        _run([sys.executable, "-m", *words], folder, PYTHONPATH=place)


def test_relative_entries_of_pythonpath_do_not_count(folder: Path) -> None:
    """`PYTHONPATH=$PYTHONPATH:/more` names the working directory where the variable was empty."""
    for name in ("site", "sitecustomize", "usercustomize"):  # Python's own business
        (folder / f"{name}.py").unlink()
    script = folder.parent / "bin" / "gvcodec"
    script.parent.mkdir()
    places = [place for place in sys.path if os.path.isabs(place)]
    code = "from gvcodec.__main__ import run\nsys.exit(run())\n"
    script.write_text(f"import sys; sys.path += {places!r}\n{code}")
    words = ("batch", "a.mkv", "-o", "out", "--fit", "off", "--preset", "10")
    _run([sys.executable, script, *words], folder, PYTHONPATH=os.pathsep.join(["", ".", "/more"]))


def test_another_python_imports_what_this_one_does(folder: Path, monkeypatch) -> None:
    """Also where the package was imported from a place that is on no path."""
    monkeypatch.chdir(folder)
    monkeypatch.syspath_prepend("")
    assert "" in sys.path and "" not in programs.safe_path()
    show = folder.parent / "show"
    show.mkdir()
    (show / "shown.py").write_text("import gvcodec, sys; print(gvcodec.__file__, sys.path)\n")
    monkeypatch.syspath_prepend(str(show))
    environment = programs.python_environment()
    done = _run(programs.python_command("shown"), folder, PYTHONPATH=environment["PYTHONPATH"])
    path = list(dict.fromkeys(place for place in sys.path if place))
    assert done.stdout.startswith(f"{gvcodec.__file__} {path!r}".removesuffix("]"))


def test_programs_are_found_by_absolute_folders(folder: Path, tmp_path, monkeypatch) -> None:
    monkeypatch.chdir(folder)
    monkeypatch.setenv("PATH", os.pathsep.join(["", ".", "films"]))
    assert programs.find_program("ffmpeg") is None
    assert programs.find_program("./ffmpeg") == str(folder / "ffmpeg")  # named with its folder
    monkeypatch.setenv("PATH", os.pathsep.join(["", str(folder)]))
    assert programs.find_program("ffmpeg") == str(folder / "ffmpeg")
