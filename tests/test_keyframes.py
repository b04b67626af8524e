"""Choosing keyframes: the draw and its gradient, the choice, the command."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from clips import make_clip

import gvcodec
from gvcodec import cli
from gvcodec.errors import WrongModelError

torch = pytest.importorskip("torch")

from gvcodec.condense.keyframes import Chooser, drawn, load, select


def test_a_draw_takes_k_frames_and_prefers_good_ones() -> None:
    torch.manual_seed(0)
    scores = torch.tensor([[0.0, 0, 6, 0, 0, 6, 0, 0]]).repeat(200, 1)
    weights = drawn(scores, 2, 0.3)
    assert torch.allclose(weights.sum(1), torch.full((200,), 2.0))
    assert weights[:, [2, 5]].mean() > 0.9 and weights[:, [0, 1, 3]].mean() < 0.1
    assert drawn(scores, 99, 0.3).sum(1).allclose(torch.full((200,), 8.0))


def test_a_draw_has_a_gradient_towards_what_pays() -> None:
    torch.manual_seed(0)
    scores = torch.zeros(64, 6, requires_grad=True)
    (drawn(scores, 2, 1.0)[:, 4].sum() * -1).backward()
    gradient = scores.grad.mean(0)
    assert gradient[4] < 0 and all(gradient[n] > 0 for n in range(6) if n != 4)


def test_training_moves_scores_to_the_frames_that_tell() -> None:
    torch.manual_seed(0)
    scores = torch.zeros(1, 8, requires_grad=True)
    value = torch.tensor([0.0, 0, 0, 1, 0, 0, 1, 0])
    optimiser = torch.optim.Adam([scores], 0.2)
    for _ in range(60):
        loss = -(drawn(scores, 2, 0.7) * value).sum()
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()
    assert select(scores.detach().numpy()[0], 2) == [3, 6]


def test_chosen_frames_are_apart_and_as_many_as_asked() -> None:
    scores = np.zeros(64)
    scores[10:20] = 5 + np.arange(10)
    assert len(select(scores, 4)) == 4 and np.diff(select(scores, 4)).min() >= 4
    assert select(scores, 100) == list(range(64))
    assert select(np.array([1.0]), 8) == [0]


def test_the_shipped_network_scores_frames_and_another_file_is_refused(tmp_path: Path) -> None:
    chooser = load()
    pictures = torch.randint(0, 256, (2, 5, 64, 64, 3), dtype=torch.uint8)
    features, scores = chooser(pictures)
    assert tuple(features.shape) == (2, 5, 32) and tuple(scores.shape) == (2, 5)
    assert sum(p.numel() for p in Chooser().parameters()) < 50_000
    other = tmp_path / "other.safetensors"
    other.write_bytes(b"nothing")
    with pytest.raises(WrongModelError, match="other.safetensors"):
        load(other)


def test_keyframes_from_the_command_line(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    stream = tmp_path / "a.gvc"
    frames = [*make_clip(64, 48, 12, 1), *make_clip(64, 48, 12, 5)]
    stream.write_bytes(
        gvcodec.encode(frames, frame_rate=10, base="av1", preset=10, base_q=30, fit=0)
    )
    assert (
        cli.main(
            ["keyframes", str(stream), "-k", "3", "-o", str(tmp_path / "out"), "--threads", "1"]
        )
        == 0
    )
    numbers = [int(line.split()[0]) for line in capsys.readouterr().out.splitlines()]
    assert len(numbers) == 3 and numbers == sorted(numbers)
    assert sorted(p.name for p in (tmp_path / "out").iterdir()) == [
        f"frame{n:05d}.png" for n in numbers
    ]
    assert cli.main(["keyframes", str(stream), "-k", "3", "-o", str(tmp_path / "out")]) == 1
    assert cli.main(["keyframes", str(tmp_path / "none.gvc")]) == 1
    assert cli.main(["keyframes", "-"]) == 2
