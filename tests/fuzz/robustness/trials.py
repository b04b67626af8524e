"""Decodes mutations of streams, strictly and as `--ignore-errors` does, in a process that a
watchdog looks after.

A trial ends as whole, refused, concealed, silent, crash or hang. Strict decoding has to give the
frames of the original or a typed error. Decoding despite damage may give other frames only where
it says so: a frame that differs unreported is silent corruption. That cannot be asked of streams
that are made up with right checksums: there the base hash speaks for strict decoding only.
"""

from __future__ import annotations

import io
import multiprocessing
import resource
import zlib
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from multiprocessing.connection import Connection

import numpy as np

from gvcodec.bitstream import Reader, Salvage, SequenceHeader
from gvcodec.codec.decoder import Decoder
from gvcodec.edit.repair import repair_stream
from gvcodec.errors import GvcodecError
from gvcodec.types import Planes
from tests.fuzz.robustness import mutations
from tests.fuzz.robustness.mutations import Mutation

#: Seconds for one small stream. A picture as large as the header may claim takes longer, but is
#: refused by `MAX_PIXELS`.
PATIENCE = 20.0
MAX_PIXELS = 1 << 20


@dataclass
class Tally:
    """What became of the inputs of one kind of mutation."""

    outcomes: Counter[str] = field(default_factory=Counter)
    findings: list[str] = field(default_factory=list)


def inputs(data: bytes, flips: int, seed: int) -> Iterator[Mutation]:
    """All mutations of a stream, always in the same order."""
    yield from mutations.truncations(data)
    yield from mutations.damages(data, flips, seed)
    yield from mutations.make_up(data, seed)


def strict(data: bytes, original: list[Planes]) -> str:
    """Outcome of decoding that refuses damage."""
    reader = Reader(io.BytesIO(data))
    if _too_large(reader.header):
        return "refused"
    decoder = Decoder(reader.header, fidelity=True, threads=1)
    found = [frame.planes for frame in decoder.frames_of(reader.packets())]
    decoder.verify(reader.base_hash)
    same = len(found) == len(original) and all(
        _equal(a, b) for a, b in zip(found, original, strict=True)
    )
    return "whole" if same else "silent"


def decode_tolerantly(data: bytes, original: list[Planes], judged: bool) -> str:
    """Outcome of decoding what `repair` leaves of a stream; `judged`: the frames that are left have
    to be the original's, in order, and those that are missing reported."""
    if _too_large(Salvage(io.BytesIO(data)).header):
        return "refused"
    mended = io.BytesIO()
    reported = bool(repair_stream(io.BytesIO(data), "stream", mended, threads=1).losses)
    reader = Reader(io.BytesIO(mended.getvalue()))
    decoder = Decoder(reader.header, fidelity=True, threads=1)
    left, count = iter(original), 0
    for frame in decoder.frames_of(reader.packets()):
        count += 1
        if judged and not any(_equal(frame.planes, planes) for planes in left):
            return "silent"
    if judged and count != len(original) and not reported:
        return "silent"
    return "concealed" if reported else "whole"


def outcomes_of(mutation: Mutation, original: list[Planes]) -> tuple[str, str]:
    """Outcomes of strict and tolerant decoding; an exception that is no `GvcodecError` is a
    crash."""

    def outcome(decode: Callable[[], str]) -> str:
        try:
            return decode()
        except GvcodecError:
            return "refused"
        except Exception as error:  # noqa: BLE001 (what escapes here is the finding)
            return f"crash: {type(error).__name__}: {error}"

    judged = mutation.kind in mutations.DAMAGE
    return outcome(lambda: strict(mutation.data, original)), outcome(
        lambda: decode_tolerantly(mutation.data, original, judged)
    )


def run(name: str, data: bytes, flips: int) -> tuple[dict[str, Tally], int]:
    """Tally by kind of mutation of one stream, and the peak memory of the decoding process in
    bytes."""
    tallies: dict[str, Tally] = {kind: Tally() for kind in (*mutations.DAMAGE, *mutations.MADE_UP)}
    peak = 0
    for kind, what, (first, second), memory in try_flips(data, flips, zlib.crc32(name.encode())):
        peak = max(peak, memory)
        for mode, outcome in (("strict", first), ("despite", second)):
            short = outcome.split(":")[0]
            tallies[kind].outcomes[short] += 1
            if short in ("silent", "crash", "hang"):
                tallies[kind].findings.append(f"{name}, {kind} ({what}), {mode}: {outcome}")
    return tallies, peak


def try_flips(
    data: bytes, flips: int, seed: int
) -> Iterator[tuple[str, str, tuple[str, str], int]]:
    """(kind, what, outcomes, peak memory) of every mutation; the process is started anew after a
    crash or hang."""
    context = multiprocessing.get_context("spawn")
    start, total = 0, sum(1 for _ in inputs(data, flips, seed))
    while start < total:
        ours, theirs = context.Pipe(duplex=False)
        process = context.Process(
            target=_work, args=(theirs, data, flips, seed, start), daemon=True
        )
        process.start()
        theirs.close()
        dead = ""
        while start < total and not dead:
            try:
                if not ours.poll(PATIENCE):
                    dead = "hang"
                    continue
                kind, what, outcomes, memory = ours.recv()
            except EOFError:
                process.join()
                dead = f"crash: the process ended with {process.exitcode}"
                continue
            yield kind, what, outcomes, memory
            start += 1
        process.kill()
        process.join()
        if dead:
            mutation = next(m for n, m in enumerate(inputs(data, flips, seed)) if n == start)
            yield mutation.kind, mutation.what, (dead, dead), 0
            start += 1


def _work(connection: Connection, data: bytes, flips: int, seed: int, start: int) -> None:
    """The decoding process: outcomes of all mutations from `start` on."""
    reader = Reader(io.BytesIO(data))
    original = [
        frame.planes for frame in Decoder(reader.header, True, 1).frames_of(reader.packets())
    ]
    for number, mutation in enumerate(inputs(data, flips, seed)):
        if number >= start:
            outcomes = outcomes_of(mutation, original)
            peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024
            connection.send((mutation.kind, mutation.what, outcomes, peak))


def _too_large(header: SequenceHeader) -> bool:
    """Headers may claim pictures of 64 megapixels; what the limits refuse is not allocated here
    either."""
    return header.format.width * header.format.height > MAX_PIXELS


def _equal(left: Planes, right: Planes) -> bool:
    return all(np.array_equal(a, b) for a, b in zip(left, right, strict=True))
