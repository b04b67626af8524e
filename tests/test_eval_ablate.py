"""The ablation table: every switch changes the stream, and the table says what for which clip."""

from fractions import Fraction

import pytest

pytest.importorskip("bjontegaard")
pytest.importorskip("gvcodec._core")

from clips import make_clip
from eval_helpers import small_clip

from eval.ablate import ALL, STATIC, WITHOUT, curve, make_ablation, psnr_y
from eval.tools import EvalError, read_json
from gvcodec.media.writer import open_writer
from gvcodec.types import VideoFormat


def test_every_switch_does_something():
    frames = make_clip(96, 80, 5, seed=3)
    found = {name: curve(frames, tools, [36], psnr_y) for name, tools in WITHOUT.items()}
    full = curve(frames, ALL, [36], psnr_y)
    # What merging tries is only seldom better than what the search found.
    assert all(point != full for name, point in found.items() if "neighbours" not in name)


def test_table(tmp_path):
    clip = small_clip(tmp_path, frames=4)
    train = tmp_path / "train"
    train.mkdir()
    with pytest.raises(EvalError, match="no .mp4"):
        make_ablation([clip], [30, 40, 50], train, tmp_path)
    with open_writer(
        train / "one.mp4", VideoFormat(96, 80, Fraction(25), Fraction(1, 25))
    ) as writer:
        for number, planes in enumerate(make_clip(96, 80, 3, seed=1)):
            writer.write(planes, number)
    with pytest.raises(EvalError, match="three or more"):
        make_ablation([clip], [30, 40], train, tmp_path)
    text = make_ablation([clip], [36, 46, 56], train, tmp_path)
    lines = text.split("\n")
    assert (
        "small-pan" in lines[0]
        and len([line for line in lines if line.startswith("| ")]) == 2 + len(WITHOUT) + 3
    )
    # Tables made from three frames of something else are no match.
    saved = read_json(tmp_path / "ablation.json")["percent"]
    assert saved[STATIC][0] > 20 and saved["RDOQ"][0] is not None
    assert f"{saved[STATIC][0]:+.1f} %" in text
