"""The network of these tests, as a file."""

from pathlib import Path

import pytest

from gvcodec.models import GVC1D
from tests.condense.networks import write_network


@pytest.fixture(scope="session")
def weights(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_network(tmp_path_factory.mktemp("models") / GVC1D.name)
