"""Training of GVC1D: `train` (the program), `data` (clips), `losses` (perceptual, adversarial)."""

from __future__ import annotations


def main(words: list[str]) -> None:
    """`python -m training gvc1d`."""
    from training.gvc1d.train import main as train

    train(words)
