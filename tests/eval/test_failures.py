"""The model card's picture: the squares that painting moves furthest from their source."""

import numpy as np
from PIL import Image

from eval.__main__ import main
from eval.report import failures
from eval.report.panels import LABEL


def test_the_part_that_lost_most_comes_first(tmp_path, weights_folder, monkeypatch, capsys):
    """Of four squares, one flat: noise is painted, most of it on the lower left."""
    monkeypatch.setenv("GVCODEC_METRIC_WEIGHTS", str(weights_folder))
    side, rng = failures._SIDE, np.random.default_rng(1)
    source = np.tile(np.uint8(rng.integers(60, 180, (side, side, 3))), (2, 2, 1))
    source[:side, :side] = 99
    noise = rng.integers(0, 2, source.shape)
    harm = np.ones_like(source)
    harm[side:, :side] = 20
    shown = {True: source + 1, False: np.uint8(source + harm * noise)}
    video = [source] * (failures._FRAME + 1)
    monkeypatch.setattr(failures, "rgb_frames", lambda *_: (video, 25))
    monkeypatch.setattr(failures.gvcodec, "encode", lambda *_, **options: b"")
    decode = lambda _, fidelity: [shown[fidelity]] * len(video)
    monkeypatch.setattr(failures.gvcodec, "decode", decode)
    out = tmp_path / "out.webp"
    assert main(["failures", str(out), "clip.mp4", "--each", "2"]) == 0
    first, second = capsys.readouterr().out.splitlines()
    assert first.startswith(f"clip, 0,{side}: 48.13 dB") and second.startswith(f"clip, {side},")
    with Image.open(out) as picture:
        assert picture.size == (3 * (2 * side + 4) - 4, 2 * (2 * side + LABEL + 4) - 4)
    assert out.stat().st_size <= failures._MOST_BYTES
