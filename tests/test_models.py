"""Weight files: one table, one way to find and load them."""

from pathlib import Path

import pytest

from gvcodec import models
from gvcodec.errors import WrongModelError
from gvcodec.models import WEIGHT_FILES, WeightFile

ROOT = Path(__file__).parents[1]


def test_the_table_names_every_shipped_file() -> None:
    shipped = {path.name for path in (ROOT / "checkpoints").glob("*.safetensors")}
    assert shipped == {weights.name for weights in WEIGHT_FILES}


@pytest.mark.parametrize("weights", WEIGHT_FILES, ids=lambda weights: weights.name)
def test_every_shipped_file_loads_by_its_row(weights: WeightFile, tmp_path: Path) -> None:
    pytest.importorskip("torch")
    assert weights.load() is not None
    with pytest.raises(WrongModelError, match=f"{weights.what} is missing; looked for .*nothing"):
        weights.load(tmp_path / "nothing")


def test_a_missing_shipped_file_names_the_folders(tmp_path, monkeypatch):
    folders = [tmp_path / "first", tmp_path / "second"]
    monkeypatch.setattr(models, "shipped_folders", lambda: folders)
    with pytest.raises(WrongModelError, match=r"first.*gvc1d\.safetensors, .*second"):
        models.GVC1D.find()
