"""`python -m eval modules`: every part of the painter can be taken away, and without all of them
it paints nothing."""

from fractions import Fraction

import pytest

torch = pytest.importorskip("torch")
pytest.importorskip("imageio_ffmpeg")

from eval.__main__ import main
from eval.modules import PARTS
from gvcodec.painter.model import find_painter
from gvcodec.painter.noise import tile
from gvcodec.painter.twin import PainterTwin, condition


def second_frame(renderer):
    """Detail that is added to the second of two pictures, (luma, chroma)."""
    generator = torch.Generator().manual_seed(0)
    codes = torch.randint(300, 700, (2, 64, 96), generator=generator)
    luma = (codes / 1023)[:, None, None]
    chroma = torch.full((1, 2, 32, 48), 0.5)
    noise, redraw = (part[None, None, :64, :96] for part in tile())
    given = condition("av1", Fraction(1), 45)
    first = renderer.step(luma[0], chroma, None, (noise, redraw), None, given)
    vectors = torch.zeros(1, 2, 4, 6)
    out = renderer.step(luma[1], chroma, vectors, (noise, redraw), first[2], given)
    return torch.cat([(out[0] - luma[1]).flatten(), (out[1] - chroma).flatten()])


def test_parts_are_all_there_is():
    with torch.inference_mode():
        whole = second_frame(PainterTwin.load(find_painter()))
        bare = PainterTwin.load(find_painter())
        for name, take_away in PARTS.items():
            renderer = PainterTwin.load(find_painter())
            take_away(renderer)
            take_away(bare)
            assert torch.equal(second_frame(renderer), whole) == (name == "nothing"), name
        assert second_frame(bare).abs().max() < 1e-6 < whole.abs().max()


def test_table(tmp_path, capsys, made_weights):
    words = ["modules", "--set", "procedural", "--only", "pan", "--frames", "3", "--rate", "0.05"]
    assert main([*words, "--out", str(tmp_path)]) == 0
    lines = [line for line in capsys.readouterr().out.splitlines() if line.startswith("| ")]
    assert len(lines) == 2 + len(PARTS) and "| nothing | +0.0 % | +0.0 %" in lines[2]
    assert main([*words, "--rate", "20", "--out", str(tmp_path)]) == 1
    assert "no clip reaches" in capsys.readouterr().err
