"""Starts other programs, and guards where Python imports from: never the working directory.

`python -m` and relative entries of $PYTHONPATH put the working directory on `sys.path`, so a file
`numpy.py` next to somebody's videos would be run. The command line takes it off before it imports
anything else: this module uses only modules that Python loads at its start.
"""

import os
import sys

#: Why `gvcodec._core` is not there: a checkout lies in front of the installed package.
NOT_COMPILED = (
    f"the compiled part of gvcodec is not in {os.path.dirname(os.path.dirname(__file__))}: Python "
    "took the source there, not the package that is installed. Start it in another folder, or "
    "install the checkout by pip install -e ."
)


def leave_working_directory() -> None:
    """Take the working directory and relative folders off `sys.path`, and off $PYTHONPATH and $PATH
    of processes that are started later."""
    sys.path[:] = safe_path()
    if "PYTHONPATH" in os.environ:
        entries = os.environ["PYTHONPATH"].split(os.pathsep)
        os.environ["PYTHONPATH"] = os.pathsep.join(e for e in entries if not _is_here(e))
    if "PATH" in os.environ:
        os.environ["PATH"] = os.pathsep.join(program_folders())


def safe_path() -> list[str]:
    """`sys.path` without the working directory and relative folders."""
    return [entry for entry in sys.path if not _is_here(entry)]


def python_command(module: str) -> list[str]:
    """Words of `python -m MODULE`, which import nothing from the working directory."""
    return [sys.executable, "-P", "-m", module]


def python_environment(**variables: str) -> dict[str, str]:
    """Environment of another Python that imports the same modules, from the same copy of gvcodec:
    its $PYTHONPATH is `sys.path` without relative folders."""
    package = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
    places = dict.fromkeys([*safe_path(), os.path.dirname(package)])
    return os.environ | variables | {"PYTHONPATH": os.pathsep.join(places)}


def find_program(name: str) -> str | None:
    """Absolute path of a program on $PATH, whose relative and empty entries do not count, or of a
    path with a folder in it. None if there is none."""
    import shutil

    if os.path.dirname(name):
        path = shutil.which(name)
        return os.path.abspath(path) if path else None
    paths = (shutil.which(os.path.join(folder, name)) for folder in program_folders())
    return next(filter(None, paths), None)


def program_folders() -> list[str]:
    """Folders of $PATH without relative and empty entries."""
    return list(filter(os.path.isabs, os.environ.get("PATH", os.defpath).split(os.pathsep)))


def _is_here(entry: str) -> bool:
    """Whether a folder is relative or the working directory, which may have been removed."""
    if not os.path.isabs(entry):
        return True
    try:
        return os.path.realpath(entry) == os.path.realpath(os.curdir)
    except FileNotFoundError:
        return False
