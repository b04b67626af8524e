"""Single flipped bytes: no command loses or changes anything with exit code 0
(`python -m tests.container.flips` tries more of them)."""

from pathlib import Path

import pytest

import gvcodec
from tests.clips import ffmpeg
from tests.container.flips import COMMANDS, judge

_SOURCE = (
    "-f lavfi -i testsrc2=s=64x48:r=25:d=0.4 -f lavfi -i sine=440:r=8000:d=0.4 -c:v ffv1 -c:a aac"
)


@pytest.fixture(scope="module")
def source(tmp_path_factory) -> Path:
    path = tmp_path_factory.mktemp("flips") / "source.mkv"
    ffmpeg(*_SOURCE.split(), path)
    return path


@pytest.mark.parametrize("suffix", [".gvc", ".mp4", ".mkv"])
def test_flipped_bytes_are_noticed_or_harmless(source: Path, suffix: str) -> None:
    path = source.with_name(f"film{suffix}")
    gvcodec.encode_file(source, path, fit=0, preset=10, q=45, keyint=5, threads=1)
    found = judge(path.read_bytes(), suffix, count=6, seed=3)
    for command in COMMANDS:
        assert found[command]["missed"] == 0
        assert found[command].total() == 6
    assert found["verify"]["noticed"] > 0
