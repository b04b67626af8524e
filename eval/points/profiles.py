"""Profiles of `rd`: the test conditions of papers, and what these papers print.

The first 96 frames, one intra frame, low delay, every frame measured, RGB as DCVC's scripts make it
(`--rgb dcvc`), LPIPS-Alex of inputs scaled to [-1, 1], as it is everywhere in this evaluation:
`gvc1d` on HEVC Class B, `gvc-rt` on UVG. A clip with fewer frames is refused. BD-rates go over all
rates that two curves share.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from eval.codecs import peers
from eval.tools import EvalError
from eval.video import Clip


@dataclass(frozen=True)
class Profile:
    """`frames` of every clip; `targets` in bpp; `published`: what the papers print for the clips of
    `set_name`, bpp, LPIPS-Alex and DISTS."""

    name: str
    frames: int
    targets: tuple[float, ...]
    set_name: str
    published: dict[str, list[tuple[float, float | None, float | None]]]
    rgb: str = "dcvc"

    def check(self, clip: Clip) -> None:
        """Raises EvalError for a clip with too few frames."""
        if clip.raw.frames < self.frames:
            count = f"{clip.raw.frames} frames, --profile {self.name} takes {self.frames}"
            raise EvalError(f"{clip.name}: {count}")

    def low_delay(self, words: Iterable[str]) -> list[str]:
        """The words of `--codecs` in their low-delay form. Raises EvalError for one that has
        none."""
        return [self._low_delay(word) for word in words]

    def _low_delay(self, word: str) -> str:
        if word.removesuffix("-ra") in peers.PEERS and word.endswith("-ra"):
            raise EvalError(
                f"--profile {self.name} is low delay: {word.removesuffix('-ra')}-ld instead of "
                f"{word}"
            )
        if word in peers.PEERS:
            return f"{word}-ld"
        head, *options = word.split(":")
        own = head == "gvcodec" and "low-delay" not in options
        return f"{word}:low-delay" if own else word


PROFILES = {
    profile.name: profile
    for profile in (
        Profile(
            "gvc1d",
            96,
            (0.003, 0.004, 0.0057, 0.0075),
            "hevc-b",
            # Computed from the paper's saving of 60.4 % (LPIPS) over GLC-Video.
            {
                "GVC1D": [
                    (0.0029, 0.162, None),
                    (0.0041, 0.146, None),
                    (0.0057, 0.138, None),
                    (0.0074, 0.135, None),
                ]
            },
        ),
        Profile(
            "gvc-rt",
            96,
            (0.0035, 0.0105, 0.0293),
            "uvg",
            {"GVC-RT": [(0.0035, 0.263, 0.131), (0.0105, 0.177, 0.097), (0.0293, 0.131, 0.077)]},
        ),
    )
}
