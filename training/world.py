"""A miniature world: clips drawn from a seed, on which a small codec can be trained to the end.

A clip is a sequence of shots. A scene has a sky, a textured ridge that pans, and textured shapes
that move, turn, bounce and hide each other. A shot shows one scene; cuts come at random times, and
a later shot often resumes an earlier scene where it paused. Some frames repeat. Every parameter is
continuous, so a network has to generalise.

`draw(seed, frames)` gives samples in 0..1, 4:2:0: y [F, H, W], u and v [F, H/2, W/2], with labels.
`python -m training world OUT.mkv --seed 7 --frames 48` writes a clip without loss (8 bits).

Seeds: below 80,000 train, from there to 89,999 validate and test, from 90,000 on are for acceptance
only. Textures at the angles `HELD_OUT_ANGLES` are in no training clip.
"""

from __future__ import annotations

from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from gvcodec.errors import UsageError
from gvcodec.util.options import ExactParser

Samples = NDArray[np.float32]

#: Pixels along a side: two windows of 64 each way, so that layers across windows have work.
SIZE = 128
FIRST_TEST_SEED, FIRST_ACCEPTANCE_SEED = 80_000, 90_000
#: Radians. No texture of a training clip lies at these angles.
HELD_OUT_ANGLES = (0.9, 1.2)
#: Fewest and most frames of a shot: two show motion; few, so that a short clip has several cuts.
SHOT_FRAMES = (2, 6)
#: Of later shots, those that resume an earlier scene; of frames, those that repeat the last one.
RETURN_SHARE, REPEAT_SHARE = 0.6, 0.06
#: Pixels: where the centre of a shape turns back.
MARGIN = 10
KINDS = ("disc", "box", "ring", "stripe")
MOTIONS = ("still", "left", "right", "up", "down", "clockwise", "counter-clockwise", "mixed")
FRAME_RATE = 25

_ROWS, _COLUMNS = np.mgrid[0.5:SIZE, 0.5:SIZE].astype(np.float32)


@dataclass(frozen=True)
class Clip:
    """y [F, H, W], u and v [F, H/2, W/2] in 0..1; of each frame the number of its scene [F] and the
    time in that scene [F]; the shape on top of each pixel, 0 = none, [F, H, W]; `motion`: index in
    `MOTIONS` of the clip's first scene; `kinds`: of that scene's shapes."""

    y: Samples
    u: Samples
    v: Samples
    scene: NDArray[np.int64]
    time: NDArray[np.int64]
    objects: NDArray[np.uint8]
    motion: int
    kinds: tuple[str, ...]

    def cuts(self) -> list[tuple[int, bool]]:
        """Frames at which another scene begins, each with whether that scene was shown before."""
        starts = [f for f in range(1, len(self.scene)) if self.scene[f] != self.scene[f - 1]]
        return [(f, bool((self.scene[:f] == self.scene[f]).any())) for f in starts]


@dataclass(frozen=True)
class Texture:
    """A grating: level + amplitude * sin(frequency * along + phase)."""

    level: float
    amplitude: float
    frequency: float
    angle: float
    phase: float

    @classmethod
    def draw(cls, rng: np.random.Generator, held_out: bool) -> Texture:
        angle = rng.uniform(0, np.pi)
        while not held_out and HELD_OUT_ANGLES[0] <= angle <= HELD_OUT_ANGLES[1]:
            angle = rng.uniform(0, np.pi)
        frequency = np.exp(rng.uniform(np.log(0.1), np.log(0.6)))
        amplitude = rng.uniform(0.0, 0.2)
        return cls(rng.uniform(0.15, 0.85), amplitude, frequency, angle, rng.uniform(0, 6.28))

    def at(self, x: Samples, y: Samples) -> Samples:
        """Luma at positions in pixels."""
        across = np.float32(np.cos(self.angle) * self.frequency) * x
        along = np.float32(np.sin(self.angle) * self.frequency) * y
        wave = np.sin(across + along + np.float32(self.phase))
        return np.float32(self.level) + np.float32(self.amplitude) * wave


class Canvas:
    """Frames [F, H, W] that layers are painted on, far ones first."""

    def __init__(self, frames: int) -> None:
        self.y = np.zeros((frames, SIZE, SIZE), np.float32)
        self.u = np.full((frames, SIZE // 2, SIZE // 2), 0.5, np.float32)
        self.v = self.u.copy()
        self.objects = np.zeros((frames, SIZE, SIZE), np.uint8)

    def paint(
        self, at: Box, distance: Samples, luma: Samples, chroma: Samples, number: int
    ) -> None:
        """Paint where `distance` (pixels, positive inside) allows, with an edge of one pixel. `at`:
        a box of even sides; `chroma`: U and V; `number`: the object's."""
        cover = np.clip(distance + np.float32(0.5), 0, 1)
        y = self.y[at.frames, at.rows, at.columns]
        y += cover * (luma - y)
        *frames, height, width = cover.shape
        half = cover.reshape(*frames, height // 2, 2, width // 2, 2).mean((-3, -1))
        for plane, value in zip((self.u, self.v), chroma, strict=True):
            part = plane[at.frames, _half(at.rows), _half(at.columns)]
            part += half * (np.float32(value) - part)
        if number:
            self.objects[at.frames, at.rows, at.columns][cover > 0.5] = number


class Box(NamedTuple):
    """A part of a canvas: one frame or all, rows and columns of luma at even places."""

    frames: int | slice = slice(None)
    rows: slice = slice(0, SIZE)
    columns: slice = slice(0, SIZE)


def _half(part: slice) -> slice:
    return slice(part.start // 2, part.stop // 2)


def _around(middle: float, reach: float) -> slice:
    """Even places of a row of samples around `middle`."""
    first, last = int(middle - reach) // 2 * 2, int(middle + reach) // 2 * 2 + 2
    return slice(max(0, first), min(SIZE, last))


def _bounce(position: float) -> float:
    """Fold a straight path into MARGIN .. SIZE - MARGIN."""
    span = SIZE - 2 * MARGIN
    folded = (position - MARGIN) % (2 * span)
    return MARGIN + (2 * span - folded if folded > span else folded)


class Scene:
    """Draws all of a scene's parameters; `render` shows it at any times."""

    def __init__(self, rng: np.random.Generator, held_out: bool) -> None:
        self.motion = int(rng.integers(len(MOTIONS)))
        self.kinds = tuple(str(rng.choice(KINDS)) for _ in range(int(rng.integers(1, 5))))
        self._sky = rng.uniform([0.3, -0.3, -0.3, 0.35, 0.35], [0.8, 0.3, 0.3, 0.65, 0.65])
        self._ridge = rng.uniform([60, 4, 0.03, 0.0, -2.5], [100, 14, 0.08, 6.28, 2.5])
        self._textures = [Texture.draw(rng, held_out) for _ in range(1 + len(self.kinds))]
        self._chroma = rng.uniform(0.2, 0.8, (1 + len(self.kinds), 2))
        self._shapes = [self._draw_shape(rng) for _ in self.kinds]

    def _draw_shape(self, rng: np.random.Generator) -> tuple[Any, ...]:
        """Centre, velocity (pixels a frame), radius, angle and turn (radians a frame)."""
        speed, turn = rng.uniform(1.0, 5.0), rng.uniform(0.05, 0.25)
        mixed, sideways = rng.uniform(-4, 4, 2), rng.uniform(-0.5, 0.5)
        velocity = {
            "left": (-speed, sideways), "right": (speed, sideways),
            "up": (sideways, -speed), "down": (sideways, speed), "mixed": tuple(mixed),
        }.get(MOTIONS[self.motion], (0.0, 0.0))  # fmt: skip
        sign = {"clockwise": 1.0, "counter-clockwise": -1.0, "mixed": rng.uniform(-1, 1)}
        spin = turn * sign.get(MOTIONS[self.motion], 0.0)
        centre = rng.uniform(MARGIN, SIZE - MARGIN, 2)
        return (centre, np.array(velocity), rng.uniform(8, 20), rng.uniform(0, 6.28), spin)

    def render(self, times: NDArray[np.int64], canvas: Canvas, place: NDArray[np.int64]) -> None:
        """Show the scene at `times` in the frames `place` of the canvas."""
        own = Canvas(len(times))
        t = times.astype(np.float32)[:, None, None]
        level, slope_x, slope_y, u, v = self._sky
        sky = level + slope_x * (_COLUMNS / SIZE - 0.5) + slope_y * (_ROWS / SIZE - 0.5)
        own.y[:], own.u[:], own.v[:] = sky, u, v
        base, height, frequency, phase, pan = self._ridge.astype(np.float32)
        x = _COLUMNS + pan * t
        edge = _ROWS - base - height * np.sin(frequency * x + phase)
        own.paint(Box(), edge, self._textures[0].at(x, _ROWS), self._chroma[0], 0)
        for number, kind in enumerate(self.kinds, 1):
            for frame, time in enumerate(times):
                self._paint_shape(own, frame, number, kind, float(time))
        for plane in ("y", "u", "v", "objects"):
            getattr(canvas, plane)[place] = getattr(own, plane)

    def _paint_shape(self, canvas: Canvas, frame: int, number: int, kind: str, t: float) -> None:
        centre, velocity, radius, angle, turn = self._shapes[number - 1]
        middle_x, middle_y = (
            _bounce(float(c + v * t)) for c, v in zip(centre, velocity, strict=True)
        )
        at = Box(frame, _around(middle_y, 1.5 * radius), _around(middle_x, 1.5 * radius))
        cosine, sine = np.float32(np.cos(angle + turn * t)), np.float32(np.sin(angle + turn * t))
        radius = np.float32(radius)
        dx = _COLUMNS[at.rows, at.columns] - np.float32(middle_x)
        dy = _ROWS[at.rows, at.columns] - np.float32(middle_y)
        x, y = dx * cosine + dy * sine, dy * cosine - dx * sine
        if kind == "box":
            distance = radius * np.float32(0.85) - np.maximum(np.abs(x), np.abs(y))
        elif kind == "stripe":
            distance = radius * np.float32(0.4) - np.maximum(np.abs(x) * np.float32(0.3), np.abs(y))
        else:
            away = np.sqrt(x * x + y * y)
            distance = radius - away
            if kind == "ring":
                distance = radius * np.float32(0.35) - np.abs(away - radius * np.float32(0.7))
        texture = self._textures[number].at(x, y)
        canvas.paint(at, distance, texture, self._chroma[number], number)


def _schedule(
    rng: np.random.Generator, frames: int, shot_frames: tuple[int, int]
) -> tuple[list[int], list[int]]:
    """Scene and time in it of each frame: random cuts, returns and repeated frames."""
    scenes: list[int] = []
    times: list[int] = []
    paused: dict[int, int] = {}
    current = -1
    while len(scenes) < frames:
        earlier = [scene for scene in paused if scene != current]
        resume = bool(earlier) and rng.uniform() < RETURN_SHARE
        current = int(rng.choice(earlier)) if resume else len(paused)
        clock = paused.get(current, 0)
        for _ in range(int(rng.integers(shot_frames[0], shot_frames[1] + 1))):
            scenes.append(current)
            times.append(clock)
            clock += rng.uniform() >= REPEAT_SHARE
        paused[current] = clock
    return scenes[:frames], times[:frames]


def draw(
    seed: int,
    frames: int,
    shots: tuple[list[int], list[int]] | None = None,
    shot_frames: tuple[int, int] = SHOT_FRAMES,
) -> Clip:
    """The clip of a seed. `shots`: scene and time of each frame, instead of random ones;
    `shot_frames`: fewest and most frames of a random shot."""
    rng = np.random.default_rng(seed)
    random = np.random.default_rng([seed, 1])
    scene_list, time_list = _schedule(random, frames, shot_frames)
    if shots is not None:
        scene_list, time_list = shots
    numbers, times = np.array(scene_list), np.array(time_list)
    scenes = [Scene(rng, seed >= FIRST_TEST_SEED) for _ in range(numbers.max() + 1)]
    canvas = Canvas(len(numbers))
    for number, scene in enumerate(scenes):
        place = np.flatnonzero(numbers == number)
        if len(place):
            scene.render(times[place], canvas, place)
    y, u, v = (np.clip(plane, 0, 1) for plane in (canvas.y, canvas.u, canvas.v))
    return Clip(y, u, v, numbers, times, canvas.objects, scenes[0].motion, scenes[0].kinds)


def write(clip: Clip, path: Path) -> None:
    """A lossless file (FFV1, 8-bit 4:2:0, limited range)."""
    import av

    with av.open(str(path), "w") as container:
        stream = container.add_stream("ffv1", rate=Fraction(FRAME_RATE))
        stream.width = stream.height = SIZE
        stream.pix_fmt = "yuv420p"
        for planes in zip(clip.y, clip.u, clip.v, strict=True):
            frame = av.VideoFrame(SIZE, SIZE, "yuv420p")
            for plane, samples in zip(frame.planes, planes, strict=True):
                rows = np.zeros((plane.height, plane.line_size), np.uint8)
                rows[:, : plane.width] = np.rint(16 + samples * 219)
                plane.update(rows.tobytes())
            container.mux(stream.encode(frame))
        container.mux(stream.encode())


def main(words: list[str]) -> None:
    parser = ExactParser("python -m training world", description=__doc__)
    parser.add_argument("out", type=Path, help="a lossless file, for example OUT.mkv")
    parser.add_argument("--seed", type=int, default=FIRST_TEST_SEED)
    parser.add_argument("--frames", type=int, default=48)
    options = parser.parse_args(words)
    if options.frames < 1 or options.seed < 0:
        raise UsageError("--frames is at least 1, --seed at least 0")
    write(draw(options.seed, options.frames), options.out)
