"""Profiles of `rd`: the test conditions of papers, and their printed points.

All have one intra frame, low delay, every frame measured, RGB as DCVC's scripts make it
(`--rgb dcvc`), and LPIPS-Alex of inputs scaled to [-1, 1]. BD-rates go over all rates that two
curves share. `short` runs through everything on generated clips within two minutes.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from fractions import Fraction

from eval.codecs import peers
from eval.tools import EvalError
from eval.video import Clip

#: bpp, LPIPS-Alex, DISTS (None: not known at this rate).
Point = tuple[float, float | None, float | None]
#: Column of a `Point` that has a metric.
COLUMNS = {"lpips_alex": 1, "dists": 2}


@dataclass(frozen=True)
class Profile:
    """`frames` of every clip, one in `step` from the first, shown at `rate` a second (None = as
    the clip says); `targets` in bpp; `codecs` measured by default; `published`: points that papers
    print for the clips of `set_name`, explained in `notes`."""

    name: str
    frames: int
    targets: tuple[float, ...]
    set_name: str
    published: dict[str, list[Point]]
    notes: str
    codecs: tuple[str, ...]
    rgb: str = "dcvc"
    step: int = 1
    rate: Fraction | None = None
    #: One frame in how many each metric looks at, by name; "" = all others.
    every: Mapping[str, int] = field(default_factory=lambda: {"": 1})
    #: Whether curves measured on `set_name` are compared with the published ones by BD-rate.
    compares: bool = False

    @property
    def option(self) -> str:
        """The words of the command line that ask for it."""
        return "--short" if self.name == "short" else f"--profile {self.name}"

    def check(self, clip: Clip) -> None:
        """Raises EvalError for a clip with too few frames."""
        if clip.raw.frames < self.frames:
            every = f", one in {self.step}" if self.step > 1 else ""
            count = f"{clip.raw.frames} frames{every}, {self.option} takes {self.frames}"
            raise EvalError(f"{clip.name}: {count}")

    def describe_frames(self) -> str:
        """Which frames, in words: "64 frames (0, 4, … 252 at 30 a second)"."""
        if self.step == 1:
            return f"{self.frames} frames"
        last = (self.frames - 1) * self.step
        return f"{self.frames} frames (0, {self.step}, … {last} at {self.rate} a second)"

    def low_delay(self, words: Iterable[str]) -> list[str]:
        """The words of `--codecs` in their low-delay form. Raises EvalError for one that has
        none."""
        return [self._low_delay(word) for word in words]

    def _low_delay(self, word: str) -> str:
        if word.removesuffix("-ra") in peers.PEERS and word.endswith("-ra"):
            raise EvalError(
                f"{self.option} is low delay: {word.removesuffix('-ra')}-ld instead of {word}"
            )
        if word in peers.PEERS:
            return f"{word}-ld"
        head, *options = word.split(":")
        own = head == "gvcodec" and "low-delay" not in options
        return f"{word}:low-delay" if own else word


#: HEVC Class B, read off the papers' charts.
_GLC: list[Point] = [
    (0.0073, 0.162, 0.101),
    (0.0103, 0.146, 0.092),
    (0.0143, 0.139, 0.0855),
    (0.0186, 0.135, 0.0825),
]
#: Part of GLC-Video's rate that GVC1D saves at equal LPIPS and at equal DISTS (its BD-rates).
_GVC1D_SAVES = {"lpips_alex": 0.604, "dists": 0.688}


def _save_rate(curve: list[Point], saved: dict[str, float]) -> list[Point]:
    """The points of a codec that needs this part of the rate less at equal quality: a BD-rate holds
    for a curve on average, so each point is an estimate."""
    points: list[Point] = []
    for bpp, lpips, dists in curve:
        points.append((round(bpp * (1 - saved["lpips_alex"]), 4), lpips, None))
        points.append((round(bpp * (1 - saved["dists"]), 4), None, dists))
    return points


_HEVC_B: dict[str, list[Point]] = {
    "GVC1D": _save_rate(_GLC, _GVC1D_SAVES),
    "GLC-Video": _GLC,
    "VTM": [(0.0101, 0.301, 0.155), (0.0160, 0.259, 0.135), (0.0250, 0.229, 0.1215)],
    "HM": [(0.0115, 0.317, 0.148), (0.0183, 0.272, 0.130)],
    "DCVC-FM": [(0.0212, 0.241, 0.138)],
}
_READ_OFF = "Read off the papers' charts, measured on other machines."
#: Codecs of `rd` by default.
USUAL = ("gvcodec", "x264", "x265", "svtav1", "vvenc")

_GVC1D = Profile(
    "gvc1d",
    96,
    (0.003, 0.004, 0.0057, 0.0075),
    "hevc-b",
    _HEVC_B,
    f"{_READ_OFF} GVC1D: GLC-Video's points at rates lower by the paper's BD-rates, −60.4 % "
    "(LPIPS-Alex) and −68.8 % (DISTS).",
    ("gvcodec", "gvcodec:base=gvc1d", *USUAL[1:]),
    compares=True,
)
#: A try of everything, report included, on two clips of `eval.rd.short`.
SHORT = replace(
    _GVC1D,
    name="short",
    frames=8,
    targets=(0.05, 0.1),
    set_name="generated",
    codecs=("gvcodec:preset=10:fit=off", "x264-ld"),
    every={"": 1, "dists": 8},
    compares=False,
)
PROFILES = {
    profile.name: profile
    for profile in (
        _GVC1D,
        Profile(
            "gvc-rt",
            64,
            (0.0035, 0.0105, 0.0293),
            "uvg",
            {"GVC-RT": [(0.0035, 0.263, 0.131), (0.0105, 0.177, 0.097), (0.0293, 0.131, 0.077)]},
            _READ_OFF,
            USUAL,
            step=4,
            rate=Fraction(30),
        ),
        SHORT,
    )
}
