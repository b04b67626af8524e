"""Starts other programs, and guards where Python imports from: never the working directory.

`python -m` and `python -c` put the working directory first on `sys.path`, so a file `numpy.py`
beside somebody's videos would be run. `leave_working_directory` takes it off, `python_command`
starts another Python that imports what this one does, `find_program` finds other programs.

The package imports this module before anything else: it uses only what Python itself loads when it
starts.
"""

import os
import sys


def leave_working_directory() -> None:
    """Take the working directory and relative folders off `sys.path`, and off $PYTHONPATH and $PATH
    for what is started later. Where Python or its packages are installed in the working directory,
    it becomes the last entry of `sys.path`."""
    sys.path[:] = safe_path()
    if "PYTHONPATH" in os.environ:
        entries = os.environ["PYTHONPATH"].split(os.pathsep)
        os.environ["PYTHONPATH"] = os.pathsep.join(e for e in entries if not _is_here(e))
    if "PATH" in os.environ:
        os.environ["PATH"] = os.pathsep.join(program_folders())


def safe_path() -> list[str]:
    """`sys.path` without the working directory and relative folders."""
    safe = [entry for entry in sys.path if not _is_here(entry)]
    return safe + [place for place in _list_installed() if _is_here(place)][:1]


def installed_package(folder: str) -> str | None:
    """Where gvcodec is installed whole, asked for by the `folder` of a checkout that was never
    built, which lies before it on `sys.path`. None where the folder is whole, or an editable
    install completes it, or nothing is installed."""
    from importlib.machinery import EXTENSION_SUFFIXES

    def is_whole(place: str) -> bool:
        return any(os.path.exists(os.path.join(place, "_core" + end)) for end in EXTENSION_SUFFIXES)

    name = os.path.basename(folder)
    finders = (finder for finder in sys.meta_path if hasattr(finder, "known_wheel_files"))
    if is_whole(folder) or any(f"{name}._core" in f.known_wheel_files for f in finders):
        return None
    places = (os.path.join(entry, name) for entry in sys.path)
    return next((place for place in places if is_whole(place)), None)


def is_ours() -> bool:
    """Whether this process is the program `gvcodec` or `python -m gvcodec…`, asked while Python
    imports the package. Others that import it keep their `sys.path`, as do workers, which
    `python_command` starts."""
    if sys.flags.safe_path:
        return False
    if sys.argv[:1] == ["-m"]:
        return any(word.removeprefix("-m").split(".")[0] == "gvcodec" for word in sys.orig_argv[1:])
    return os.path.splitext(os.path.basename("".join(sys.argv[:1])))[0] == "gvcodec"


def python_command(module: str) -> list[str]:
    """Words of `python -m MODULE`, whatever the working directory holds."""
    return [sys.executable, "-P", "-m", module]


def python_environment(**variables: str) -> dict[str, str]:
    """Environment of another Python that imports what this one does, from the same copy of gvcodec:
    its $PYTHONPATH is `sys.path` without relative folders."""
    package = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
    places = dict.fromkeys([*safe_path(), os.path.dirname(package)])
    return os.environ | variables | {"PYTHONPATH": os.pathsep.join(places)}


def find_program(name: str) -> str | None:
    """Absolute path of a program on $PATH, whose relative and empty entries do not count, or of a
    path with a folder in it. None where there is none."""
    import shutil

    if os.path.dirname(name):
        found = shutil.which(name)
        return os.path.abspath(found) if found else None
    paths = (shutil.which(os.path.join(folder, name)) for folder in program_folders())
    return next(filter(None, paths), None)


def program_folders() -> list[str]:
    """Folders of $PATH without relative and empty entries."""
    return list(filter(os.path.isabs, os.environ.get("PATH", os.defpath).split(os.pathsep)))


def _is_here(entry: str) -> bool:
    """Whether a folder is relative or the working directory."""
    if not os.path.isabs(entry):
        return True
    try:
        return os.path.samefile(entry, os.curdir)
    except OSError:
        return False


def _list_installed() -> list[str]:
    folders = [os.path.dirname(os.__file__)]
    site = sys.modules.get("site")
    if site and not sys.flags.no_site:
        folders += [*site.getsitepackages(), site.getusersitepackages()]
    return folders
