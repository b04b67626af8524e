"""Python that is started in a checkout which was never built, with gvcodec installed elsewhere."""

from __future__ import annotations

import shutil
import subprocess
import sys
from importlib.machinery import EXTENSION_SUFFIXES
from pathlib import Path

import pytest

import gvcodec
from gvcodec.util.programs import installed_package

SOURCE = Path(gvcodec.__path__[-1])


@pytest.fixture
def places(tmp_path) -> tuple[Path, Path]:
    """A checkout without a core, and a folder where the package is installed whole."""
    for name in ("checkout", "installed"):
        shutil.copytree(SOURCE / "util", tmp_path / name / "gvcodec/util")
        shutil.copy(SOURCE / "__init__.py", tmp_path / name / "gvcodec")
    core = tmp_path / "installed/gvcodec" / ("_core" + EXTENSION_SUFFIXES[0])
    core.write_bytes(b"")
    (core.parent / "only_installed.py").write_text("place = __file__\n")
    return tmp_path / "checkout", tmp_path / "installed"


def imported(*entries: Path) -> str:
    """The folder of a module that only the installed package has, or the error."""
    program = (
        f"import sys; sys.path[:0] = {[str(entry) for entry in entries]!r}\n"
        "from gvcodec.only_installed import place; import gvcodec\n"
        "print(place, gvcodec.__file__, sep='\\n')"
    )
    command = [sys.executable, "-I", "-S", "-c", program]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)
    return done.stdout or done.stderr


def test_the_installed_package_is_used(places: tuple[Path, Path]) -> None:
    checkout, installed = places
    module, package = imported(checkout, installed).split()
    assert Path(module).parent == Path(package).parent == installed / "gvcodec"
    assert "ModuleNotFoundError" in imported(checkout)


def test_a_whole_package_stays_where_it_is(places: tuple[Path, Path], monkeypatch) -> None:
    checkout, installed = places
    monkeypatch.setattr(sys, "meta_path", [])
    monkeypatch.syspath_prepend(installed)
    assert installed_package(str(checkout / "gvcodec")) == str(installed / "gvcodec")
    (checkout / "gvcodec" / ("_core" + EXTENSION_SUFFIXES[-1])).write_bytes(b"")
    assert installed_package(str(checkout / "gvcodec")) is None
