"""Frames restored from latent tokens, by a network of floats (Latent tokens: Frames)."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache

import numpy as np

from conformance.decoder.bases import Planes
from conformance.decoder.header import Header
from conformance.decoder.latent import (
    CHANNELS,
    SIDE,
    TOKENS,
    UNTIL_NEXT,
    Tokens,
    frequency_of,
    table,
)
from conformance.decoder.layers import Layers, across_bias
from conformance.decoder.painter import Motion
from conformance.decoder.pictures import (
    Array,
    Picture,
    each,
    from_maps,
    inverse,
    maps,
    of_windows,
    regions,
    smooth,
    spread,
    tiles,
    to_map,
    untiled,
)
from conformance.decoder.scenes import Memory
from conformance.decoder.search import search

WHITE = 1023 / 1020
PATCHES = 256


# Direct path


def usual() -> Array:
    """[tokens, channels]"""
    found = np.full((TOKENS, CHANNELS), 100.0)
    found[16:, 12:] = 30
    for number, (k, u, v) in frequency_of().items():
        found[number // 16, number % 16] = (1500 if k else 10000) / (1 + np.hypot(u, v)) ** 1.4
    return found


def binomial(plane: Array, t: int) -> Array:
    for axis in (0, 1):
        padded = np.pad(plane, [(2 * t, 2 * t) if a == axis else (0, 0) for a in (0, 1)], "edge")
        n = plane.shape[axis]
        plane = sum(
            tap * padded.take(range(i * t, i * t + n), axis)
            for i, tap in enumerate((1, 4, 6, 4, 1))
        )
        plane = plane / 16
    return plane


def direct_path(m: Array, guess: Picture, phase: int, grid: tuple[int, int]) -> Picture:
    """D, of tokens mixed [windows, tokens, channels]."""
    windows = [np.zeros((len(m), s, s)) for s in (SIDE, SIDE // 2, SIDE // 2)]
    for number, (k, u, v) in frequency_of().items():
        windows[k][:, u, v] = m[:, number // 16, number % 16]
    picture = [
        untiled(inverse(part, part.shape[-1]).reshape(*grid, *part.shape[1:])) for part in windows
    ]
    parts = [np.zeros((len(m), 16, s, s)) for s in (64, 32, 32)]
    of_chroma = phase % 4 == 3
    before = sum((p % 4 == 3) == of_chroma for p in range(phase))
    count = 6 if of_chroma else 12
    for channel in range(12):
        plane = 1 + channel // 6 if of_chroma else 0
        name = "region chroma" if of_chroma else "region luma"
        u, v = table(name)[count * before + channel % count]
        parts[plane][:, :, u, v] = m[:, 16:, channel]
    for plane, part in zip(picture, parts, strict=True):
        plane += untiled(regions(inverse(part, part.shape[-1]), grid))
    gains = [regions(m[:, 16:, channel], grid) / 320 for channel in (12, 13, 14)]
    y, *chroma = guess
    low = binomial(y, 1)
    lower = binomial(low, 2)
    bands = (y - low) * smooth(gains[0], y.shape) + (low - lower) * smooth(gains[1], y.shape)
    found = [picture[0] / 255 + bands]
    for plane, part in zip(picture[1:], chroma, strict=True):
        band = part - binomial(part, 2)
        found.append(plane / 255 + band * smooth(gains[2], part.shape))
    return found


# Frames


@dataclass
class State:
    """What is kept from frame to frame."""

    p: Picture
    shown: Picture
    added: Picture
    features: Array
    memory: Memory
    phase: int
    base: Array  # luma


class Restorer:
    """Restores the frames of one GOP."""

    def __init__(self, header: Header, layers: Layers, config: dict) -> None:
        self.header, self.layers, self.config = header, layers, config
        self.grid = -(-header.height // SIDE), -(-header.width // SIDE)
        self.state: State | None = None
        self.run = self.rate = 0

    def frame(self, shown: Planes, base: Planes, tokens: Tokens | None) -> Planes | None:
        """The next frame; None: it is shown as it is."""
        if tokens is None and self.run == 0:
            self.state = None
            return None
        if tokens is not None:
            self.run, self.rate, values = tokens.run, tokens.rate, tokens.values
        else:
            self.run -= self.run != UNTIL_NEXT
            values = np.zeros((self.grid[0] * self.grid[1], TOKENS, CHANNELS))
        return self._rounded(self._restore(self._whole(shown), base[0], values.astype(float)))

    def _whole(self, planes: Planes) -> Picture:
        found = []
        for i, plane in enumerate(planes):
            side = SIDE // 2 if i else SIDE
            h, w = (side * n for n in self.grid)
            rows, columns = h - plane.shape[0], w - plane.shape[1]
            found.append(np.pad(plane, ((0, rows), (0, columns)), "edge") / 1020)
        return found

    def _rounded(self, picture: Picture) -> Planes:
        found = []
        h, w = self.header.height, self.header.width
        for i, plane in enumerate(picture):
            plane = plane[: (h + 1) // 2, : (w + 1) // 2] if i else plane[:h, :w]
            if self.header.bits & 2:
                plane = np.floor(plane * 1020 + 0.5).clip(0, 1023)
            else:
                plane = 4 * np.floor(plane * 255 + 0.5).clip(0, 255)
            found.append(plane.astype(np.int64))
        return found

    def _context(self, s: Picture, base: Array) -> tuple[Picture, Picture, Picture, Array | None]:
        """guess, last, added, features"""
        none = each(np.zeros_like, s)
        if self.state is None:
            return s, none, none, None
        state, shape = self.state, s[0].shape
        found = search(base, state.base)
        rows, columns = shape[0] // 16, shape[1] // 16
        vectors = np.zeros((rows, columns, 2), np.int64)
        vectors[: found.shape[0], : found.shape[1]] = found
        half, quarter = (shape[0] // 2, shape[1] // 2), (shape[0] // 4, shape[1] // 4)
        motion = [Motion(vectors, shape, 16), *[Motion((vectors + 1) >> 1, half, 8)] * 2]
        difference = abs(motion[0].of(state.shown[0]) - s[0])
        inside = motion[0].inside(shape).astype(float)
        mean = tiles(difference, 16).mean((2, 3))
        trust = np.exp(-255 * mean / 4) * tiles(inside, 16).mean((2, 3))
        by_plane = [spread(trust, 16), spread(trust, 8), spread(trust, 8)]
        added = each(lambda m, a, t: m.of(a) * t, motion, state.added, by_plane)
        guess = each(np.add, s, added)
        last = each(lambda m, p, g, t: (m.of(p) - g) * t, motion, state.p, guess, by_plane)
        moving = Motion((vectors + 2) >> 2, quarter, 4)
        features = np.stack([moving.of(f) for f in state.features]) * spread(trust, 4)
        return guess, last, added, features

    def _restore(self, s: Picture, base: Array, tokens: Array) -> Picture:
        net, before = self.layers, int(self.state is not None)
        guess, last, added, features = self._context(s, base)
        memory = self.state.memory if self.state else Memory(net, self.grid)
        phase = self.state.phase if self.state else 0
        asked = tokens[:, 16:, 15]
        if asked.any():
            share = regions((asked / 2).clip(0, 1), self.grid)
            change = each(lambda r, g: smooth(share, g.shape) * (r - g), memory.recall(), guess)
            guess, added = each(np.add, guess, change), each(np.add, added, change)
            last = each(np.subtract, last, change)
        c = tokens * np.exp(net["steps.log_step"] + net["steps.log_rate"][self.rate])
        mixed = (c / usual()).reshape(len(c), -1) @ net["direct.synthesis"]
        m = c + mixed.reshape(c.shape) * usual()
        direct = direct_path(m, guess, phase, self.grid)
        patches, slots = self._stack(guess, last, direct, features, tokens, memory, phase, before)
        made, features = self._head(guess, last, direct, features, patches, before)
        after = each(np.add, guess, direct)
        p = each(lambda a, b: (a + b).clip(0, WHITE), after, made)
        memory.write(slots, patches, after)
        phase = (phase + 1) % self.config["phases"]
        self.state = State(p, s, each(np.add, added, direct), features, memory, phase, base)
        return p

    def _stack(
        self,
        guess: Picture,
        last: Picture,
        direct: Picture,
        features: Array | None,
        tokens: Array,
        memory: Memory,
        phase: int,
        before: int,
    ) -> tuple[Array, Array]:
        net, ctx = self.layers, "decoder.context"
        planes = np.concatenate([2 * (maps(guess, 16) - 0.5), 4 * maps(last, 16)])
        context = net.conv(f"{ctx}.planes", planes)
        if features is not None:
            context = context + net.conv(f"{ctx}.features", features, 4)
        context = context + net.conv("decoder.direct", 8 * maps(direct, 16))
        same = net[f"{ctx}.known"][0, 1] + net[f"{ctx}.known"][1, before]
        same = same + net[f"{ctx}.rate"][self.rate] + net[f"{ctx}.phase"][phase]
        same = same + net["decoder.mask_token"]
        patches = of_windows(context, self.grid) + net["decoder.places"] + same
        slots = net.linear("decoder.decoder_embed", np.sign(tokens) * np.log1p(abs(tokens)))
        slots = slots + net["decoder.slots"]
        stack = "decoder.stack"
        parts = [net.norm(f"{stack}.ln_pre", patches), net.norm(f"{stack}.ln_slots", slots)]
        x = np.concatenate([*parts, memory.read()], 1)
        size, local = self.config["decoder"], 0
        places = self._slot_places()
        for stage in range(size["stages"]):
            for _ in range(size["local"]):
                name = f"{stack}.local.{local}"
                x = net.block(name, x, bias=attraction(x.shape[1]) * net[f"{name}.attraction"])
                local += 1
            name = f"{stack}.across.{stage}"
            bias = across_bias(net[f"{name}.way"], net[f"{name}.far"], places)
            every = x[:, PATCHES : PATCHES + TOKENS].reshape(-1, x.shape[-1])
            every = net.block(name, every, bias=bias)
            x[:, PATCHES : PATCHES + TOKENS] = every.reshape(len(x), TOKENS, -1)
        x = net.norm(f"{stack}.ln_post", x)
        return x[:, :PATCHES], x[:, PATCHES : PATCHES + TOKENS]

    def _slot_places(self) -> Array:
        """(row, column) of all slots, in windows."""
        patch = (np.stack(np.divmod(np.arange(PATCHES), 16), -1) + 0.5) / 16
        centres = areas() @ patch / areas().sum(1, keepdims=True)
        windows = np.stack(np.divmod(np.arange(self.grid[0] * self.grid[1]), self.grid[1]), -1)
        return (windows[:, None] + centres).reshape(-1, 2)

    def _head(
        self,
        guess: Picture,
        last: Picture,
        direct: Picture,
        features: Array | None,
        patches: Array,
        before: int,
    ) -> tuple[Picture, Array]:
        net, head = self.layers, "decoder.head"
        planes = [2 * (maps(guess, 4) - 0.5), 8 * maps(last, 4), 8 * maps(direct, 4)]
        y = net.conv(f"{head}.planes", np.concatenate(planes))
        up = to_map(net.linear(f"{head}.up", patches), self.grid)
        width, (h, w) = len(y), up.shape[1:]
        up = up.reshape(width, 4, 4, h, w).transpose(0, 3, 1, 4, 2)
        y = y + up.reshape(width, 4 * h, 4 * w)
        if features is not None:
            y = y + net.conv(f"{head}.before", features)
        numbers = net[f"{head}.known"][0, 1] + net[f"{head}.known"][1, before]
        numbers = (numbers + net[f"{head}.rate"][self.rate]).reshape(-1, 2, width, 1, 1)
        for k, (gain, offset) in enumerate(numbers):
            first = net.conv(f"{head}.blocks.{k}.first", y)
            second = net.conv(f"{head}.blocks.{k}.second", np.where(first < 0, first / 10, first))
            y = y + offset + second * (1 + gain)
        features = y / np.sqrt((y * y).mean(0) + 1e-3)
        made = np.exp(net[f"{head}.scale"][0]) * net.conv(f"{head}.last", features)
        return from_maps(made, 4), features


@cache
def areas() -> Array:
    """[tokens, patches]: 1 where a patch is of the area of a token."""
    found = np.zeros((TOKENS, 16, 16))
    found[[0, 15]] = 1
    found[1, :, :8] = found[2, :, 8:] = 1
    for i in range(4):
        found[3 + i, i // 2 * 8 : i // 2 * 8 + 8, i % 2 * 8 : i % 2 * 8 + 8] = 1
    for i in range(8):
        found[7 + i, i // 4 * 8 : i // 4 * 8 + 8, i % 4 * 4 : i % 4 * 4 + 4] = 1
    for i in range(16):
        found[16 + i, i // 4 * 4 : i // 4 * 4 + 4, i % 4 * 4 : i % 4 * 4 + 4] = 1
    return found.reshape(TOKENS, PATCHES)


@cache
def attraction(size: int) -> Array:
    """[size, size]: 1 between a slot and a patch of its area."""
    found = np.zeros((size, size))
    found[PATCHES : PATCHES + TOKENS, :PATCHES] = areas()
    found[:PATCHES, PATCHES : PATCHES + TOKENS] = areas().T
    return found
