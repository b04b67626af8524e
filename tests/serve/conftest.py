"""A painted stream to serve."""

from pathlib import Path

import pytest

from tests.player_helpers import painted_stream


@pytest.fixture(scope="package")
def painted(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return painted_stream(tmp_path_factory.mktemp("serve") / "a.gvc", 96, 80)
