"""Encoder and decoder of base tokens: a standard intra picture, then tokens alone, and now and then a refresh.

A refresh is a standard inter picture, predicted from the keyframe and the refreshes before it: what drifts is mended for a fraction
of a keyframe's bytes. So the keyframe and the refreshes of a GOP are a standard stream of few frames a second, and tokens make what lies
in between, from both sides: forward from the picture before, backward from the refresh behind. Their packets stand as frames are shown;
a decoder keeps those that go backward until their refresh is there.

Bits depend on integers only, so every device decodes the same tokens; the loop hash covers those (and the exact
samples of keyframes and refreshes). Pictures are made by a float network: close on all devices, not equal; a keyframe or a refresh ends what has built up.
Importing this module imports torch.
"""

from __future__ import annotations

import copy
import dataclasses
import itertools
from collections import deque
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path

import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import NDArray
from torch import Tensor

from gvcodec.bitstream import SequenceHeader
from gvcodec.config import EncoderConfig
from gvcodec.errors import DamagedStreamError, UsageError
from gvcodec.structure import Coded, CodedFrame, FloatPlanes
from gvcodec.structure.resample import Resampler
from gvcodec.structure.scene_cuts import CutFinder
from gvcodec.structure.standard.codec import MIN_GOP, StandardDecoder, StandardEncoder
from gvcodec.structure.tokens import budgets
from gvcodec.structure.tokens.checkpoint import find_tokens, read_model, read_network, read_sizes
from gvcodec.structure.tokens.entropy import Integers
from gvcodec.structure.tokens.model import (
    PEAK,
    WINDOW,
    Encoded,
    Picture,
    State,
    price_factor,
    search,
    windows_differ,
    with_copies,
)
from gvcodec.structure.tokens.payload import BACKWARD, LARGEST, MOST_BACKWARD, REFRESH, Entropy
from gvcodec.types import Planes, VideoFormat

#: What codes keyframes and refreshes, and its quality for a quality of the tokens. Their samples are what later frames
#: show, so they get most of the bytes.
STILL = "av1"
_STILL_Q = -6.4
#: By how much keyframes and refreshes are finer than that, in parts of it: AV1's quantizer indices are about four times the quality.
_KEY_FINER, _REFRESH_FINER = 1.13, 0.2
#: About the bytes of a GOP's first refresh, in parts of its keyframe's.
_FIRST_REFRESH = 0.2
#: What bytes cost where a refresh is weighed, in parts of their price: it does more for looks than differences of samples say.
_REFRESH_PRICE = 0.2
#: Behind this q a size ends, where the next smaller one begins: quality falls twice as fast, and that price doubles in so many steps.
_END, _DEARER = 58.0, 2.0
MAX_Q = 63
#: Frames that `uniqueness` looks at together: two thirds of a second, 95 MiB at 1080p.
GROUP = 16
#: Frames that are known before one is made a refresh, which has to pay until the next scene or the end: 95 MiB at 1080p.
AHEAD = 16
#: More frames than any video has.
_NEVER = 1 << 40


def _finer(quality: float) -> tuple[str, ...]:
    """Options of SVT-AV1 that make all refreshes alike, and keyframes as fine as they are."""
    key, refresh = (-min(64, round(part * quality)) for part in (_KEY_FINER, _REFRESH_FINER))
    refreshes = "[" + ",".join([str(refresh)] * 3) + "]"
    return (
        "hierarchical-levels=2",
        "use-fixed-qindex-offsets=1",
        f"key-frame-qindex-offset={key}",
        f"qindex-offsets={refreshes}",
    )


def to_picture(planes: Planes) -> Picture:
    """10-bit planes as the network takes them, padded to whole windows by repeating edges."""
    height, width = planes[0].shape
    h, w = -(-height // WINDOW) * WINDOW, -(-width // WINDOW) * WINDOW
    out = []
    for plane, part in zip(planes, (1, 2, 2), strict=True):
        x = torch.from_numpy(plane.astype(np.float32) / PEAK - 0.5)[None, None]
        pad = (0, w // part - plane.shape[1], 0, h // part - plane.shape[0])
        out.append(F.pad(x, pad, mode="replicate"))
    return out[0], torch.cat(out[1:], 1)


def to_planes(picture: Picture, height: int, width: int) -> Planes:
    """The inverse, rounded."""
    half = (height + 1) // 2, (width + 1) // 2
    luma, chroma = (((x[0] + 0.5) * PEAK).round().clamp(0, 1023).to(torch.uint16).numpy() for x in picture)
    u, v = (np.ascontiguousarray(p[: half[0], : half[1]]) for p in chroma)
    return np.ascontiguousarray(luma[0, :height, :width]), u, v


@dataclass(slots=True)
class _Way:
    """What frames of tokens go on from."""

    state: State | None
    entropy: Entropy


class _Side:
    """What encoder and decoder share: the model, the state, the integers for the loop hash."""

    def __init__(self, fmt: VideoFormat, threads: int, model: Path, device: str = "cpu") -> None:
        self._fmt = fmt
        sizes, self.price, self.elbo = read_sizes(model)
        self.tokens = sizes["tokens"]
        self._model = read_model(model).to(device)
        self._device = torch.device(device)
        if threads:
            torch.set_num_threads(threads)
        windows = -(-fmt.height // WINDOW) * -(-fmt.width // WINDOW)
        self._entropy = Entropy(read_network(model), windows, sizes["tokens"], sizes["channels"])
        self._state: State | None = None
        self.mark()

    def begin(self, planes: Planes) -> None:
        """Go on from a standard picture."""
        self._state = self._model.begin(tuple(x.to(self._device) for x in to_picture(planes)))  # type: ignore[arg-type]

    def mark(self) -> None:
        """Behind a standard picture: what is known here is what the next backward way begins with."""
        self._marked = copy.copy(self._entropy)

    def backward(self) -> _Way:
        """The way back from the picture at hand to the one before it."""
        return _Way(self._state, self._marked.turned())

    @contextmanager
    def on(self, way: _Way) -> Iterator[None]:
        """The next frames follow `way`; behind them things are as they were."""
        kept = self._state, self._entropy
        self._state, self._entropy = way.state, way.entropy
        try:
            yield
        finally:
            way.state = self._state
            self._state, self._entropy = kept

    @torch.inference_mode()
    def _show(self, tokens: Integers, counts: NDArray[np.int64]) -> State:
        """The state behind a frame; windows without tokens are exact copies."""
        state = self._state
        assert state is not None
        if not counts.any():
            return state
        there = torch.from_numpy(counts)[None].to(self._device)
        values = torch.from_numpy(tokens.astype(np.float32))[None].to(self._device)
        q = torch.tensor([float(self._entropy.q)], device=self._device)
        after = self._model.decode(values, there, state, q).state
        if bool((there > 0).all()):
            return _tidy(after)
        return _tidy(with_copies(after, state, there > 0))

    def _take(self, state: State, tokens: Integers, counts: NDArray[np.int64]) -> Planes:
        """Go on from `state`; the frame as planes."""
        self._state = state
        picture = tuple(x.cpu() for x in state.before)
        planes = to_planes(picture, self._fmt.height, self._fmt.width)  # type: ignore[arg-type]
        return FloatPlanes.of(planes, counts.astype(np.uint8).tobytes() + tokens.astype("<i4").tobytes())


def _tidy(state: State) -> State:
    """Pictures a little beyond black and white at most; whatever a hostile stream makes of the network stays finite."""

    def within(x: Tensor, most: float) -> Tensor:
        return torch.nan_to_num(x).clamp(-most, most)

    return state._replace(
        before=(within(state.before[0], 0.6), within(state.before[1], 0.6)),
        features=within(state.features, 1e4),
        memory=within(state.memory, 1e4),
        places=within(state.places, 1e5),
        added=(within(state.added[0], 2), within(state.added[1], 2)),
    )


class _Sized:
    """Between the frames of a video and what is coded of them: pictures of `scale` times their size, 1, 3/4 or 1/2."""

    def __init__(self, fmt: VideoFormat, scale: Fraction) -> None:
        self.fmt, self._resampler = fmt, None if scale == 1 else Resampler(fmt.width, fmt.height, scale)
        if self._resampler is not None:
            width, height = self._resampler.coded_width, self._resampler.coded_height
            self.fmt = dataclasses.replace(fmt, width=width, height=height)

    def down(self, planes: Planes) -> Planes:
        return planes if self._resampler is None else self._resampler.down(planes)

    def up(self, loop: Planes) -> Planes:
        """A coded picture at full size, with the integers behind it."""
        if self._resampler is None:
            return loop
        full = self._resampler.up(loop)
        return FloatPlanes.of(full, loop.integers) if isinstance(loop, FloatPlanes) else full


class _Drift:
    """When a refresh pays. A frame costs what it misses of the source and its bytes at `price`. As the last frame did, so will those that
    come, or more; around a refresh they would do as those did since the last one, that one included."""

    def __init__(self, price: float) -> None:
        """`price` of a byte, in mean differences of a picture."""
        self._price = price
        self._costs: list[float] = []
        #: The distance of the last frame.
        self.off = 0.0

    def restart(self) -> None:
        """Behind a refresh."""
        self._costs = []

    def add(self, source: Planes, shown: Planes, size: int) -> None:
        """A frame of `size` bytes."""
        self.off = self.distance(source, shown)
        self._costs.append(self.off + self._price * size)

    @staticmethod
    def distance(source: Planes, shown: Planes) -> float:
        """What a frame misses of its source, in mean differences of a picture."""
        luma, u, v = (np.abs(a.astype(np.int32) - b).mean() / PEAK for a, b in zip(source, shown, strict=True))
        return float(luma + 0.25 * (u + v))

    def refresh_in(self, frames: int, known: int) -> int:
        """Which of the `frames` to come before the next keyframe had better be a refresh, 1 = the next, 0 = none.

        `known` of them are there. Those before the refresh then go backward from it and drift as those behind the last one did,
        so that either side drifts half as far."""
        drifts = enumerate(self._costs[1:], 1)
        again = [(cost, side) for far, cost in drifts for side in (0, 1)[: 1 + (far < known)]][: frames - 1]
        if self._costs[-1] * (1 + len(again)) <= self._costs[0] + sum(cost for cost, _ in again):
            return 0
        return 1 + sum(side for _, side in again)


@dataclass(frozen=True, slots=True)
class _Waiting:
    planes: Planes
    key: bool  # it is to be a keyframe
    cut: bool  # a scene begins: it is one if the one before is far enough back


class TokenEncoder:
    """Encoder of the plug; packets leave `ahead` frames late, with `uniqueness` a group together. `q` 0…63; `keyint` frames
    between keyframes at most, fewer where a scene begins, 0 = only the first. Without `refreshes` what drifts is left to the next keyframe. Raises `UsageError`."""

    def __init__(
        self,
        fmt: VideoFormat,
        q: float,
        keyint: int = 0,
        threads: int = 0,
        model: Path | None = None,
        alloc: str = "uniform",
        scale: Fraction = Fraction(1),
        ahead: int = AHEAD,
        refreshes: bool = True,
    ) -> None:
        if not 0 <= q <= MAX_Q or keyint < 0:
            raise UsageError(f"no token base with q {q:g} and a keyframe distance of {keyint}")
        if alloc not in budgets.NAMES:
            raise UsageError(f"no allocator {alloc!r}; there are {', '.join(budgets.NAMES)}")
        self._sized = _Sized(fmt, scale)
        self._fmt, self._q, self._keyint, self._threads = self._sized.fmt, q, keyint, threads
        self._refresh_price = _REFRESH_PRICE * 2 ** max(0.0, (q - _END) / _DEARER)
        self._side = _Side(self._fmt, threads, model or find_tokens())
        self._cuts = CutFinder(fmt.width, fmt.height) if keyint else None
        self._since_key, self._drift = 0, _Drift(0.0)
        #: Frames whose kind is not known yet.
        self._ahead, self._look = deque[_Waiting](), ahead if refreshes else 0
        self._refreshes = refreshes
        self._stills: StandardEncoder | None = None
        self._alloc, self._unique = alloc, budgets.Uniqueness()
        #: Frames that `uniqueness` looks at together, and the one before them.
        self._group: list[Planes] = []
        self._source: Planes | None = None

    def send(self, planes: Planes, force_key: bool = False) -> Coded:
        """Take the next frame."""
        cut = self._cuts is not None and self._cuts.begins(planes[0])
        self._ahead.append(_Waiting(self._sized.down(planes), force_key, cut))
        return self._code(ended=False) if len(self._ahead) > self._look else Coded()

    def flush(self) -> Coded:
        parts = []
        while self._ahead:
            parts.append(self._code(ended=True))
        return _joined([*parts, self._coded_group()])

    def _code(self, ended: bool) -> Coded:
        """The frame that has waited longest; no more come if `ended`."""
        frame = self._ahead.popleft()
        begins = self._since_key >= MIN_GOP and frame.cut
        if frame.key or not self._since_key or begins or self._since_key == self._keyint > 0:
            self._since_key = 1
            return _joined([self._coded_group(), self._key(frame.planes)])
        self._since_key += 1
        if self._refreshes:
            known = 1 + len(self._ahead) if self._alloc != "uniqueness" else 1
            if count := self._drift.refresh_in(self._to_come(ended), known):
                between = [frame, *(self._ahead.popleft() for _ in range(count - 1))]
                self._since_key += count - 1
                return _joined([self._coded_group(), self._refresh([one.planes for one in between])])
        if self._alloc != "uniqueness":
            return self._inter(frame.planes)
        self._group.append(frame.planes)
        return self._coded_group() if len(self._group) == GROUP else Coded()

    def _to_come(self, ended: bool) -> int:
        """Frames from this one to the next keyframe, or to the end, as far as that is known."""
        room = self._keyint + 1 - self._since_key if self._keyint else _NEVER
        known = next((i for i, later in enumerate(self._ahead, 1) if later.key or later.cut), len(self._ahead) + 1 if ended else room)
        return min(known, room)

    def _coded_group(self) -> Coded:
        waiting, self._group = self._group, []
        if not waiting:
            return Coded()
        side = self._side
        assert self._source is not None
        features = np.stack([self._features(a, b) for a, b in itertools.pairwise([self._source, *waiting])])
        self._source = waiting[-1]
        numbers = self._unique.counts(features, side.tokens)
        return _joined([self._inter(planes, given) for planes, given in zip(waiting, numbers, strict=True)])

    @torch.inference_mode()
    def _features(self, before: Planes, now: Planes) -> NDArray[np.float64]:
        """(N, D) of a frame after another, both as they came."""
        side = self._side
        rate = torch.tensor([float(side._entropy.q)], device=side._device)
        one, other = ([x.to(side._device) for x in to_picture(planes)] for planes in (before, now))
        state, picture = side._model.begin((one[0], one[1])), (other[0], other[1])
        found = search(picture[0], one[0], rate, side.tokens)
        features: NDArray[np.float64] = (
            side._model.encode(picture, state, found, rate).features[0].double().cpu().numpy()
        )
        return features

    def _price(self) -> float:
        """Of a bit, in mean differences of a window."""
        return self._side.price * float(price_factor(torch.tensor(self._side._entropy.q)))

    def _key(self, planes: Planes) -> Coded:
        fmt = dataclasses.replace(self._fmt, frame_rate=Fraction(25))
        quality = min(63.0, max(0.0, self._q + _STILL_Q + max(0.0, self._q - _END)))
        self._stills = StandardEncoder(fmt, STILL, quality, threads=self._threads, low_delay=True, params=_finer(quality))
        q = round(self._q)
        self._side._entropy.restart(q)
        self._side.mark()
        packet, loop = self._still(planes)
        self._drift = _Drift(self._refresh_price * self._price() * 8 * WINDOW**2 / (self._fmt.width * self._fmt.height))
        self._drift.add(planes, loop, round(_FIRST_REFRESH * len(packet)))
        return Coded([CodedFrame(bytes([q]) + packet, True, q)], [self._sized.up(loop)])

    def _refresh(self, frames: list[Planes]) -> Coded:
        """The last of these frames as a refresh. Those before it come from both sides, the next always from the side that has
        drifted less."""
        side, drift = self._side, self._drift
        *between, planes = frames
        before, forward = side._state, drift.off
        packet, loop = self._still(planes)
        way, after = side.backward(), side._state
        side._state = before
        drift.restart()
        drift.add(planes, loop, len(packet))
        early, late = list[tuple[bytes, Planes]](), [(REFRESH + packet, loop)]
        backward = drift.off
        rest = deque(between)
        while rest:
            if forward <= backward:
                one = rest.popleft()
                early.append(self._tokens(one))
                forward = drift.distance(one, early[-1][1])
            else:
                one = rest.pop()
                with side.on(way):
                    late.append(self._tokens(one))
                backward = drift.distance(one, late[-1][1])
        side._state = after
        side.mark()
        if len(late) > 1:
            late[-1] = BACKWARD + late[-1][0], late[-1][1]
        coded = early + late[::-1]
        packets = [CodedFrame(payload, False, side._entropy.q) for payload, _ in coded]
        return Coded(packets, [self._sized.up(shown) for _, shown in coded])

    def _still(self, planes: Planes) -> tuple[bytes, Planes]:
        """The next picture of the standard stream, coded and decoded; tokens go on from it."""
        assert self._stills is not None
        coded = self._stills.send(planes)
        if len(coded.packets) != 1 or len(coded.loops) != 1:
            raise UsageError("this SVT-AV1 holds pictures back in low delay")
        (packet,), (loop,) = coded.packets, coded.loops
        self._side.begin(loop)
        self._source = planes
        return packet.payload, loop

    def _inter(self, planes: Planes, given: NDArray[np.int64] | None = None) -> Coded:
        """Code a frame, `given` tokens a window (N,) at most."""
        payload, loop = self._tokens(planes, given)
        if self._refreshes:
            self._drift.add(planes, loop, len(payload))
        return Coded([CodedFrame(payload, False, self._side._entropy.q)], [self._sized.up(loop)])

    @torch.inference_mode()
    def _tokens(self, planes: Planes, given: NDArray[np.int64] | None = None) -> tuple[bytes, Planes]:
        """The payload of a frame, and what is shown of it."""
        side = self._side
        state, q = side._state, side._entropy.q
        assert state is not None
        now = tuple(x.to(side._device) for x in to_picture(planes))
        rate = torch.tensor([float(q)], device=side._device)
        found = search(now[0], state.before[0], rate, side.tokens)
        encoded = side._model.encode(now, state, found, rate)  # type: ignore[arg-type]
        tokens = encoded.tokens[0].round().clamp(-LARGEST, LARGEST).int().cpu().numpy()
        if given is None:
            given = self._given(encoded)
        counts, after = self._counts(now, tokens, given)  # type: ignore[arg-type]
        tokens = np.where(np.arange(tokens.shape[1])[:, None] < counts[:, None, None], tokens, 0).astype(np.int32)
        payload = side._entropy.encode(tokens, counts)
        return payload, side._take(after if after is not None else side._show(tokens, counts), tokens, counts)

    def _given(self, encoded: Encoded) -> NDArray[np.int64]:
        """Tokens that each window may use, (N,), where that is said frame by frame."""
        side = self._side
        if self._alloc == "elbo":
            effort = side._model.effort(encoded.features)[0].double().cpu().numpy()
            return budgets.routed(effort, side.elbo, side.tokens)
        return np.full(encoded.tokens.shape[1], side.tokens, np.int64)

    def _counts(
        self, now: Picture, tokens: Integers, given: NDArray[np.int64]
    ) -> tuple[NDArray[np.int64], State | None]:
        """What is given, or none where the frame before does as well for its price; `oracle` tries shorter prefixes too.
        And the state behind that, where it was among what was tried."""
        side = self._side
        assert side._state is not None
        price = self._price()
        best = windows_differ(side._state.before, now)[0].double().cpu().numpy()
        chosen = np.zeros(len(tokens), np.int64)
        shorter = budgets.ladder(side.tokens) if self._alloc == "oracle" else [side.tokens]
        tried = []
        for most in shorter:
            counts = np.minimum(given, most)
            tried.append((counts, side._show(tokens, counts)))
            off = windows_differ(tried[-1][1].before, now)[0].double().cpu().numpy()
            cost = off + price * side._entropy.bits(tokens, counts)
            pays = (cost < best) & (counts > 0)
            chosen, best = np.where(pays, counts, chosen), np.where(pays, cost, best)
        return chosen, next((after for counts, after in tried if np.array_equal(counts, chosen)), None)


def _joined(parts: list[Coded]) -> Coded:
    return Coded([p for part in parts for p in part.packets], [loop for part in parts for loop in part.loops])


class TokenDecoder:
    """Decoder of the plug."""

    def __init__(self, fmt: VideoFormat, threads: int, model: Path, scale: Fraction = Fraction(1)) -> None:
        self._sized = _Sized(fmt, scale)
        self._fmt, self._threads = self._sized.fmt, threads
        self._side = _Side(self._fmt, threads, model)
        self._stills: StandardDecoder | None = None
        #: Tokens that wait for the refresh from which they go backward, in display order.
        self._waiting: list[bytes] = []

    def send(self, payload: bytes, keyframe: bool) -> list[Planes]:
        side = self._side
        if keyframe:
            if not payload or payload[0] > MAX_Q:
                raise DamagedStreamError("keyframe without a quality")
            frozen = self.flush()
            self._stills = StandardDecoder(self._fmt, STILL, threads=self._threads, low_delay=True)
            side._state = None
            shown = self._still(payload[1:], True)
            side._entropy.restart(payload[0])
            side.mark()
            return [*frozen, shown]
        if side._state is None:
            raise DamagedStreamError("tokens without a keyframe")
        if payload[:1] == REFRESH:
            waiting, self._waiting = self._waiting, []
            shown = [self._still(payload[1:], False)]
            with side.on(side.backward()):
                shown += [self._tokens(one) for one in reversed(waiting)]
            side.mark()
            return shown[::-1]
        if self._waiting or payload[:1] == BACKWARD:
            if len(self._waiting) == MOST_BACKWARD:
                raise DamagedStreamError(f"more than {MOST_BACKWARD} frames of tokens go backward")
            self._waiting.append(payload if self._waiting else payload[1:])
            return []
        return [self._tokens(payload)]

    def _tokens(self, payload: bytes) -> Planes:
        side = self._side
        tokens, counts = side._entropy.decode(payload)
        return self._sized.up(side._take(side._show(tokens, counts), tokens, counts))

    def _still(self, unit: bytes, keyframe: bool) -> Planes:
        """The next picture of the standard stream. Raises `DamagedStreamError`."""
        assert self._stills is not None
        loops = self._stills.send(unit, keyframe)
        if len(loops) != 1:
            raise DamagedStreamError("a keyframe or a refresh holds one picture")
        self._side.begin(loops[0])
        return self._sized.up(loops[0])

    def flush(self) -> list[Planes]:
        """Frames whose refresh is not there, as behind a loss, repeat the one before."""
        waiting, self._waiting = self._waiting, []
        return [self._tokens(b"") for _ in waiting]

    def abandon(self) -> list[Planes]:
        self._side._state, self._waiting = None, []
        return []


def open_encoder(fmt: VideoFormat, config: EncoderConfig) -> TokenEncoder:
    """As `gvcodec.bases` wants it: `config` is settled."""
    assert config.base_q is not None and config.scale is not None
    ahead = 0 if config.low_delay else AHEAD
    return TokenEncoder(fmt, config.base_q, config.keyint, config.threads, alloc=config.alloc, scale=config.scale, ahead=ahead)


def open_decoder(header: SequenceHeader, threads: int, low_delay: bool, model: Path | None) -> TokenDecoder:
    """As `gvcodec.bases` wants it."""
    assert model is not None
    return TokenDecoder(header.format, threads, model, header.scale)
