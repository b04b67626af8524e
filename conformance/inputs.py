"""Inputs of the conformance files: a source with sound and subtitles, small models."""

from __future__ import annotations

import io
from collections.abc import Sequence
from fractions import Fraction
from pathlib import Path
from typing import Any

import av
import numpy as np

from gvcodec.entropy.network import Layer
from gvcodec.entropy.network_file import tensors_of
from gvcodec.models import read_arrays
from gvcodec.planes import frame_from_planes
from gvcodec.types import Planes

_RATE = 25
_TEXTS = "1\n00:00:00,040 --> 00:00:00,200\nBär\n\n2\n00:00:00,240 --> 00:00:00,360\n<i>two</i>\n"


def with_tracks(path: Path, frames: Sequence[Planes], subtitles: bool = True) -> None:
    """A Matroska file: FFV1, Opus with a delay of its encoder, PCM, subtitles, 25 frames a
    second."""
    height, width = frames[0][0].shape
    with av.open(path, "w") as out, av.open(io.BytesIO(_TEXTS.encode()), format="srt") as texts:
        picture = out.add_stream("ffv1", rate=_RATE)
        picture.width, picture.height, picture.pix_fmt = width, height, "yuv420p"
        opus = out.add_stream("libopus", rate=48000, layout="mono")
        pcm = out.add_stream("pcm_s16le", rate=8000, layout="mono")
        words = out.add_stream_from_template(texts.streams[0]) if subtitles else None
        opus.metadata.update(language="deu", title="Ton")
        if words is not None:
            words.metadata["language"] = "eng"
        for number, planes in enumerate(frames):
            frame = frame_from_planes(planes, 8)
            frame.pts, frame.time_base = number, Fraction(1, _RATE)
            out.mux(picture.encode(frame))
        out.mux(picture.encode(None))
        for stream, rate in ((opus, 48000), (pcm, 8000)):
            n = np.arange(rate * len(frames) // _RATE)
            wave = (9000 * np.sin(2 * np.pi * 440 * n / rate)).astype(np.int16)[None]
            sound = av.AudioFrame.from_ndarray(wave, "s16", "mono")
            sound.sample_rate, sound.pts = rate, 0
            out.mux([*stream.encode(sound), *stream.encode(None)])
        for packet in texts.demux():
            if packet.pts is not None and words is not None:
                packet.stream = words
                out.mux(packet)


def token_tensors(dimensions: int, styles: int, seed: int = 0) -> dict[str, Any]:
    """Random tensors of tokens for a painter whose style has `styles` outputs: strong weights, a
    network whose tables differ from place to place."""
    rng, inputs = np.random.default_rng(seed), dimensions + 9
    first = Layer(
        rng.integers(-60, 61, (8, inputs)).astype(np.int8),
        rng.integers(-4000, 4001, 8).astype(np.int32),
        rng.integers(200, 600, 8).astype(np.int32),
        16,
    )
    last = Layer(
        rng.integers(-40, 41, (3, 8)).astype(np.int8),
        np.array([9000, 0, 2000], np.int32),
        np.array([70, 30, 20], np.int32),
        14,
        -(1 << 15),
        (1 << 15) - 1,
    )
    weight = rng.integers(-508, 509, (styles, dimensions)).astype(np.int16)
    return {"tokens.weight": weight} | tensors_of([first, last], "tokens.")


def steered(path: Path) -> bytes:
    """A painter with tensors of tokens, without the tensors for fitting."""
    from safetensors.numpy import save

    arrays, metadata = read_arrays(path)
    plain = {n: a for n, a in arrays.items() if not n.endswith((".grid", ".unit"))}
    return save(plain | token_tensors(8, len(arrays["style.weight"])), metadata)
