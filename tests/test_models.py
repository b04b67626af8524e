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
def test_a_file_that_is_not_there_is_called_what_it_is(weights: WeightFile, tmp_path: Path) -> None:
    assert weights.find().is_file()
    with pytest.raises(WrongModelError, match=f"{weights.what} is missing; searched .*nothing"):
        weights.find(tmp_path / "nothing")


def test_a_missing_shipped_file_names_the_folders(tmp_path, monkeypatch):
    folders = [tmp_path / "first", tmp_path / "second"]
    monkeypatch.setattr(models, "shipped_folders", lambda: folders)
    with pytest.raises(WrongModelError, match=r"first.*gvc1d-small\.safetensors, .*second"):
        models.GVC1D.find()
