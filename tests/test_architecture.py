"""The shape of the package: nothing in it is out of reach."""

from __future__ import annotations

import importlib.util
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent


def test_every_module_is_used_by_what_is_shipped(tmp_path: Path) -> None:
    spec = importlib.util.spec_from_file_location("unreachable", ROOT / "scripts" / "unreachable.py")
    assert spec is not None and spec.loader is not None
    script = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(script)
    assert script.unreachable() == []
    package = tmp_path / "gvcodec"
    package.mkdir()
    for name in script.ROOTS:
        path = tmp_path.joinpath(*name.split("."))
        path.parent.mkdir(exist_ok=True)
        (path / "__init__.py" if name == "gvcodec" else path.with_suffix(".py")).write_text("")
    (package / "train" / "__init__.py").write_text("")
    (package / "demo.py").write_text('"""Not gvcodec.lost."""\nfrom gvcodec import used\nNAMED = "gvcodec.named:thing"\n')
    for name in ("used", "named", "lost"):
        (package / f"{name}.py").write_text("")
    assert script.unreachable(tmp_path) == ["gvcodec.lost"]
