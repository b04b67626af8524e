"""Which classes stand behind a stream's layers. Imports happen on first use: torch only when
something is painted or tuned."""

from __future__ import annotations

import contextlib
import importlib.util
import os
import warnings
from collections.abc import Callable, Iterator, Sequence
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from gvcodec.bases import base_of, loaded
from gvcodec.bitstream import SequenceHeader
from gvcodec.errors import MediaError, WrongModelError
from gvcodec.models import find_model, model_id
from gvcodec.structure import OnDevice, StructureDecoder, StructureEncoder
from gvcodec.types import VideoFormat

if TYPE_CHECKING:
    from gvcodec.appearance import Painter
    from gvcodec.appearance.integer_video import IntegerVideo
    from gvcodec.appearance.shift import Critic
    from gvcodec.appearance.tuning_samples import Part
    from gvcodec.config import EncoderConfig

NO_TORCH = "no appearance layer: torch is not installed"


def check_settings() -> None:
    """Raises `UsageError` when $GVCODEC_CPU names nothing that this machine has."""
    from gvcodec import _core

    _core.cpu()


def structure_encoder(fmt: VideoFormat, config: EncoderConfig) -> StructureEncoder:
    """The encoder of a base. Raises `UsageError`."""
    made: StructureEncoder = loaded(base_of(config.base).encoder)(fmt, config)
    return made


def structure_decoder(
    header: SequenceHeader,
    threads: int,
    models: Sequence[str | Path] = (),
    low_delay: bool = False,
    device: str = "cpu",
) -> StructureDecoder:
    """Raises `WrongModelError` when the stream was made with a structure model that is not at
    hand."""
    base, model = base_of(header.base), None
    if base.torch and not has_torch():
        raise WrongModelError(f"base {base.name} is decoded by torch, which is not installed")
    if base.model:
        if header.structure_id is None:
            raise WrongModelError(
                f"the stream does not name the model of its {base.name} structure layer"
            )
        model = find_model(
            header.structure_id, f"the model of the {base.name} structure layer", models
        )
    made: StructureDecoder = loaded(base.decoder)(header, threads, low_delay, model)
    if isinstance(made, OnDevice):
        made.to_device(device)
    return made


def structure_id(base: str) -> bytes | None:
    """Eight bytes that name the structure layer's model; None for those that have none."""
    place = base_of(base).model
    return model_id(loaded(place)()) if place else None


def has_torch() -> bool:
    """Whether torch is there: what float painters work with."""
    return importlib.util.find_spec("torch") is not None


def paints_here(header: SequenceHeader, models: Sequence[str | Path] = ()) -> bool:
    """Whether the painter of a stream runs here: the integer one does everywhere. Raises
    `WrongModelError` when its checkpoint is not at hand."""
    if header.appearance_id is None:
        return False
    if has_torch():
        return True
    from gvcodec.appearance.checkpoint import is_integer

    return is_integer(find_model(header.appearance_id, "the renderer of this stream", models))


def appearance_id(base: str, painter: str = "float") -> tuple[bytes | None, str]:
    """Eight bytes that name the checkpoint at hand for a base, or None and why nothing can be
    painted. `painter`: "float" or "integer"."""
    if base_of(base).slot is None:
        return None, ""  # no renderer has learned its pictures
    if painter == "float" and not has_torch():
        return None, NO_TORCH
    from gvcodec.appearance import checkpoint_id, find_checkpoint

    try:
        return checkpoint_id(find_checkpoint(base=base, painter=painter)), ""
    except MediaError as error:
        return None, f"no appearance layer: {error}"


def painter(
    header: SequenceHeader,
    threads: int,
    models: Sequence[str | Path] = (),
    device: str = "cpu",
    tensors: bool = False,
) -> Painter | IntegerVideo:
    """The painter of a stream. Raises `WrongModelError` when its checkpoint is not at hand, torch
    is missing or it has appearance tokens, `UsageError` for a device that is not there."""
    if not paints_here(header, models):
        none = header.appearance_id is None
        why = f"{NO_TORCH}; --fidelity gives the loop frames"
        raise WrongModelError("the stream has no appearance layer" if none else why)
    if header.tokens:
        raise WrongModelError(
            "the stream has appearance tokens, which this version does not paint; --fidelity "
            "gives the loop frames"
        )
    assert header.appearance_id is not None
    checkpoint = find_model(header.appearance_id, "the renderer of this stream", models)
    stream = header.format, header.base, header.scale, header.q
    from gvcodec.appearance.checkpoint import is_integer

    if is_integer(checkpoint):
        from gvcodec.appearance.integer_video import IntegerVideo

        count = threads_of(threads)
        return IntegerVideo(*stream, checkpoint, count, device, tensors)
    from gvcodec.appearance import Painter

    return Painter(*stream, checkpoint, threads, device, tensors)


def paints_exactly(header: SequenceHeader) -> bool:
    """Whether painted samples are the same on every machine: by the integer painter, of
    integers."""
    if header.appearance_id is None or base_of(header.base).torch:
        return False
    from gvcodec.appearance.checkpoint import is_integer

    return is_integer(find_model(header.appearance_id, "the renderer of this stream"))


def critic(fmt: VideoFormat, leader: str) -> tuple[Critic | None, str]:
    """What a source shift is led by, or None and why there is none."""
    if not has_torch():
        return None, "the source is not shifted: torch is not installed"
    from gvcodec.appearance.shift import critic_of, fits

    if not fits(fmt):
        return None, "the source is not shifted: its pictures are too small"
    found = critic_of(fmt, leader)
    return (
        found,
        "" if found else "the source is not shifted: no weights of the perceptual losses found",
    )


@contextlib.contextmanager
def single_torch() -> Iterator[None]:
    """torch works on one thread meanwhile, in all of ours: sums over several depend on their
    number."""
    import torch

    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        yield
    finally:
        torch.set_num_threads(threads)


def threads_of(threads: int) -> int:
    """How many there are to be, 0 = all cores."""
    return threads or os.cpu_count() or 1


def tune(
    parts: Sequence[Part],
    header: SequenceHeader,
    config: EncoderConfig,
    progress: Callable[[str], None] | None,
    done: Callable[[float], None] | None = None,
) -> tuple[dict[int, bytes], str]:
    """Coded changes of the renderer, by the frame from which on they are in force, or none and why.
    Parts share the time evenly. `progress` is told what is found, `done` which part, 0…1, of all is
    done."""
    from gvcodec.appearance import find_checkpoint
    from gvcodec.appearance import tune as fit
    from gvcodec.appearance.integer_model import rate

    fmt, base, scale, q = header.format, header.base, header.scale, header.q
    checkpoint = find_checkpoint(base=base, painter=config.painter)
    tuned: dict[int, bytes] = {}
    before: bytes | None = None
    with warnings.catch_warnings(record=True) as raised:
        warnings.simplefilter("always")
        for number, part in enumerate(parts, 1):
            if progress and len(parts) > 1:
                progress(f"tuning: part {number} of {len(parts)}, from frame {part.first}")
            found = fit(
                part.samples,
                fmt,
                base,
                scale,
                q,
                (config.tune or 0.0) / len(parts),
                checkpoint,
                progress=progress,
                done=done and partial(_of_all, done, number - 1, len(parts)),
                stream_bytes=part.size,
                steps=max(1, config.tune_steps // len(parts)) if config.tune is None else None,
                groups=config.tune_parts or None,
                before=before,
                leader=config.tune_by,
                own=[[rate(size, fmt.width, fmt.height) for size in run] for run in part.sizes],
            )
            if found is not None:
                tuned[part.first] = before = found
    if tuned:
        return tuned, ""
    reasons = [
        str(warning.message) for warning in raised if issubclass(warning.category, UserWarning)
    ]
    return {}, reasons[0] if reasons else "tuning does not pay for this video, it is left out"


def _of_all(done: Callable[[float], None], before: int, parts: int, share: float) -> None:
    done((before + share) / parts)
