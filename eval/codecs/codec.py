"""A codec as command templates: one command writes the stream, one (in another process) turns it
into a .y4m file.

A template is a list of words in which these names are filled in:

    {input}   lossless source (FFV1 in Matroska, colour tags set)
    {yuv}     the same samples as raw planar 4:2:0; {width} {height} {fps} {frames}
    {q}       the codec's own quality number          {keyint}  frames between intra frames
    {stream}  the file whose size is the rate         {threads} {ffmpeg} {python}
    {output}  decoded video, .y4m with 4:2:0 of 8 or 10 bits

`Codec` has a field for each thing that a row of the tables depends on.
"""

from __future__ import annotations

import math
import sys
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from eval.tools import EvalError, digest, ffmpeg
from eval.video import Clip
from gvcodec.compare.peers import ENDLESS


@dataclass(frozen=True)
class Codec:
    """One row of the tables (or several, when a stream has several `outputs`).

    `delay` is "low" (decoding order = display order), "random" (frames are reordered) or "intra".
    `below` is the highest rate (bpp) that is looked for, `part_of` the row whose curve its points
    belong to: a smaller size of the same encoder. `quicker` replaces `encode` while a rate is
    searched for, where the real command is slow and gives nearly the same size. `version`:
    a text; results of another version are measured again."""

    name: str
    label: str
    encode: tuple[str, ...]
    outputs: Mapping[str, tuple[str, ...]]
    q_range: tuple[int, int]
    q_guess: int
    extension: str
    delay: str
    family: str
    version: str
    quicker: tuple[str, ...] | None = None
    elementary: str | None = None
    keyint: int = ENDLESS
    threads: int = 1
    notes: Mapping[str, Any] = field(default_factory=dict)
    below: float = math.inf
    part_of: str = ""

    def command(self, template: tuple[str, ...], clip: Clip, **names: Any) -> list[str]:
        values = {
            "input": clip.file,
            "yuv": clip.raw.path,
            "width": clip.raw.width,
            "height": clip.raw.height,
            "fps": clip.fps,
            "frames": clip.raw.frames,
            "keyint": self.keyint,
            "threads": self.threads,
            "ffmpeg": ffmpeg(),
            "python": sys.executable,
        } | names
        try:
            return [word.format_map(values) for word in template]
        except KeyError as error:
            raise EvalError(f"{self.name}: template names an unknown {error}") from None

    def identity(self, template: tuple[str, ...]) -> str:
        return digest([template, self.version, self.keyint, self.threads])

    def row(self, output: str) -> str:
        """Name of the table row of one output."""
        return f"{self.name}-{output}" if output else self.name

    def row_label(self, output: str) -> str:
        return f"{self.label}, {output}" if output else self.label


@dataclass(frozen=True)
class Options:
    """Context that resolves the words of `--codecs`: preset table of the peers, intra period, TOML
    files of more codecs, threads of every codec (one if bytes must not depend on the machine)."""

    presets: str = "conditions"
    keyint: int = ENDLESS
    templates: tuple[Path, ...] = ()
    threads: int = 1
