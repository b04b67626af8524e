"""Base gvc1d as a transformer network (GVC1D network), in exact arithmetic."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

import numpy as np

from conformance.decoder import exact_float as exact
from conformance.decoder.bases import Planes
from conformance.decoder.entropy import Rans
from conformance.decoder.header import Header
from conformance.decoder.models import safetensors
from conformance.decoder.wire import Damaged, Newer, digest, require

F = np.float32
Array = np.ndarray
RATES, STEPS, LARGEST = 8, 16, 1023
DEFAULTS: dict[str, Any] = {
    "window": 64, "patch": 16, "tokens": 8, "channels": 8, "width": 128, "heads": 4, "expansion": 3,
    "encoder": "LGLGL", "decoder": "LGLGL", "entropy_layers": 3, "memory": 32, "memory_layers": 2,
    "grid": 8,
}  # fmt: skip


def read_config(texts: dict[str, str]) -> dict[str, Any]:
    """The sizes of a model file."""
    if texts.get("form") != "gvc1d-6":
        raise Newer(f"a model of form {texts.get('form')}")
    try:
        config = json.loads(texts["config"])
    except (KeyError, ValueError):
        raise Damaged("a network without its configuration") from None
    require(isinstance(config, dict) and not set(config) - set(DEFAULTS), "fields of a network")
    config = DEFAULTS | config
    for name, default in DEFAULTS.items():
        require(type(config[name]) is type(default), f"type of {name}")
        low = 0 if name == "memory" else 1
        require(isinstance(default, str) or low <= config[name] <= 4096, f"size of {name}")
    require(config["window"] % config["patch"] == 0 and config["patch"] % 2 == 0, "patches")
    require(config["width"] % config["heads"] == 0, "heads")
    for name in ("encoder", "decoder"):
        require(0 < len(config[name]) <= 64 and not set(config[name]) - {"L", "G"}, "layers")
    return config


def softsign(x: Array) -> Array:
    return x / (F(1) + np.abs(x))


class NetworkBase:
    """Base frames of a stream, GOP by GOP; `symbols`: those of Conformance, of each frame;
    `counted`: bytes that the base hash takes ahead of each frame's samples."""

    def __init__(self, header: Header, data: bytes) -> None:
        texts, tensors = safetensors(data)
        self.c = c = read_config(texts)
        self.weights = {}
        for name, tensor in tensors.items():
            require(tensor.dtype in (np.float16, np.float32), f"type of {name}")
            self.weights[name] = exact.half(tensor)
        self.header = header
        self.rows, self.columns = (-(-n // c["window"]) for n in (header.height, header.width))
        self.windows = self.rows * self.columns
        self.side = c["window"] // c["patch"]
        self.patches, self.samples = self.side**2, c["patch"] ** 2 * 3 // 2
        self.symbols: list[dict[str, Any]] = []
        self.counted: list[bytes] = []
        at = [(i, j) for i in range(self.rows) for j in range(self.columns)]
        last = c["grid"] - 1
        self.at = np.stack(
            [self["window_row"][min(i, last)] + self["window_column"][min(j, last)] for i, j in at]
        )[:, None]  # [W, 1, D]

    def __getitem__(self, name: str) -> Array:
        require(name in self.weights, f"no tensor {name}")
        return self.weights[name]

    # Operations with names of tensors

    def linear(self, name: str, x: Array) -> Array:
        return exact.linear(x, self[f"{name}.weight"], self[f"{name}.bias"])

    def norm(self, name: str, x: Array) -> Array:
        return exact.norm(x, self[f"{name}.gain"], self[f"{name}.bias"], exact.EPSILON)

    def features(self, v: Array) -> Array:
        return np.concatenate([softsign(v), softsign(v * F(0.125)), v * F(0.0625)], -1)

    def heads(self, x: Array) -> Array:
        """[B, N, D] to [B, H, N, D / H]."""
        batch, length, _ = x.shape
        return x.reshape(batch, length, self.c["heads"], -1).transpose(0, 2, 1, 3)

    def block(
        self, name: str, x: Array, context: Array | None = None, visible: list[int] | None = None
    ) -> Array:
        """x [B, N, D], context [B, K, D]."""
        h = self.norm(f"{name}.attention_norm", x)
        kv = self.linear(f"{name}.key_value", h)
        if context is not None:
            key_value = self.linear(
                f"{name}.key_value", self.norm(f"{name}.attention_norm", context)
            )
            kv = np.concatenate([key_value, kv], 1)
        width = x.shape[-1]
        q, k, v = (self.heads(y) for y in (self.linear(f"{name}.query", h), kv[..., :width],
                                           kv[..., width:]))  # fmt: skip
        mixed = exact.attention(q, k, v, visible or [k.shape[2]] * q.shape[2])
        x = x + self.linear(f"{name}.attention_out", mixed.swapaxes(1, 2).reshape(x.shape))
        inner = exact.gelu(self.linear(f"{name}.up", self.norm(f"{name}.mlp_norm", x)))
        return x + self.linear(f"{name}.down", inner)

    # Frames

    def gop(self, payloads: list[bytes]) -> Iterator[Planes]:
        c = self.c
        memory = self["first_memory"][None] if c["memory"] else None
        short = np.repeat(self["first_short_term"][None], self.windows, 0)
        before = np.zeros((self.windows, c["tokens"], c["channels"]), F)
        rate, lengths = RATES * STEPS // 2 - STEPS // 2, [c["tokens"]] * self.windows
        for payload in payloads:
            coder = Rans(payload)
            rate = coder.integer(6, 8 * rate)
            require(0 <= rate <= (RATES - 1) * STEPS, "rate of a frame")
            lengths = self._lengths(coder, lengths)
            mix = np.zeros((1, RATES), F)
            low = min(rate // STEPS, RATES - 2)
            share = F(rate / STEPS - low)
            mix[0, low : low + 2] = F(1) - share, share
            rho = exact.linear(mix, self["rate"], None)[0]
            mu = None if memory is None else memory + self["memory_position"]
            sigma = short + (self["short_term_role"] + self["patch_position"])
            context = sigma
            if mu is not None:
                context = np.concatenate([sigma, np.repeat(mu, self.windows, 0)], 1)
            y = self._integers(coder, lengths, before, context, rho)
            coder.close()
            present = np.array(
                [[[float(t < n)] for t in range(c["tokens"])] for n in lengths], F
            )  # [W, T, 1]
            values = y.astype(F)
            features, patches = self._decode(values, present, sigma, mu, rho)
            if memory is not None:
                memory = self._remember(memory, mu, values, present)
            short = self.norm("short_term_norm", features)
            before = values * present
            self._say(rate, lengths, y)
            yield self._planes(patches)

    def _lengths(self, coder: Rans, before: list[int]) -> list[int]:
        full = self.c["tokens"]
        partial = coder.integer(6)
        require(partial in (0, 1), "flag of a frame")
        if not partial:
            return [full] * self.windows
        lengths = [coder.integer(40, 8 * n) for n in before]
        require(all(0 <= n <= full for n in lengths), "number of tokens")
        return lengths

    def _integers(
        self, coder: Rans, lengths: list[int], before: Array, context: Array, rho: Array
    ) -> Array:
        c = self.c
        y = np.zeros((self.windows, c["tokens"], c["channels"]), np.int64)
        expected = self.linear("entropy_previous", self.features(before))
        expected = expected + self["token_position"] + self.at + rho  # [W, T, D]
        for t in range(max(lengths)):
            earlier = np.concatenate([np.zeros_like(y[:, :1]), y[:, :t]], 1).astype(F)
            x = self.linear("entropy_in", self.features(earlier)) + expected[:, : t + 1]
            visible = [context.shape[1] + i + 1 for i in range(t + 1)]
            for layer in range(c["entropy_layers"]):
                x = self.block(f"entropy.{layer}", x, context, visible)
            out = self.linear("laplace", self.norm("entropy.norm", x[:, -1]))  # [W, 3C]
            change, gate, size = np.split(out, 3, -1)
            mean = change + exact.sigmoid(gate) * before[:, t]
            eighths = np.clip(np.rint(mean * F(8)), -8 * LARGEST, 8 * LARGEST).astype(int)
            scale = np.clip(np.rint(size * F(6) + F(30)), 0, 63).astype(int)
            for w in range(self.windows):
                for i in range(c["channels"] if lengths[w] > t else 0):
                    y[w, t, i] = coder.integer(int(scale[w, i]), int(eighths[w, i]))
            # Nothing that is damaged reaches the network.
        require(int(np.abs(y).max(initial=0)) <= LARGEST, "an integer of a token")
        return y

    def _vectors(self, name: str, y: Array, present: Array) -> Array:
        vectors = self.linear(name, self.features(y))
        return vectors * present + self["absent"] * (F(1) - present)

    def _decode(
        self, y: Array, present: Array, sigma: Array, mu: Array | None, rho: Array
    ) -> tuple[Array, Array]:
        """Features and patches [W, P, …]."""
        psi = self._vectors("token_in", y, present)
        spread = exact.linear(psi.swapaxes(1, 2), self["spread"], None).swapaxes(1, 2)
        slots = spread + (self["mask"] + self["patch_position"] + self.at + rho)
        x = np.concatenate([slots, psi + self["token_position"], sigma], 1)
        local = None if mu is None else np.repeat(mu, self.windows, 0)
        for layer, kind in enumerate(self.c["decoder"]):
            if kind == "L":
                x = self.block(f"decoder.{layer}", x, local)
                continue
            front = (x[:, : self.patches] + self.at).reshape(1, -1, self.c["width"])
            front = self.block(f"decoder.{layer}", front, mu)
            front = front.reshape(self.windows, self.patches, -1)
            x = np.concatenate([front, x[:, self.patches :]], 1)
        features = self.norm("decoder.norm", x[:, : self.patches])
        return features, self.linear("patch_out", features) * F(0.25) + F(0.5)

    def _remember(self, memory: Array, mu: Array | None, y: Array, present: Array) -> Array:
        z = self._vectors("memory_in", y, present) + self["token_position"] + self.at
        x, z = mu, z.reshape(1, -1, self.c["width"])
        for layer in range(self.c["memory_layers"]):
            x = self.block(f"memory.{layer}", x, z)
        gate = exact.sigmoid(self.linear("memory_gate", x) + self["memory_pace"])
        return memory + gate * (x - memory)

    def _say(self, rate: int, lengths: list[int], y: Array) -> None:
        self.symbols.append({"rate": rate, "lengths": lengths, "tokens": digest(y, "<i2")})
        head = np.array([rate, *lengths], "<u2").tobytes()
        self.counted.append(head + y.astype("<i2").tobytes())

    def _planes(self, patches: Array) -> Planes:
        size, planes, first = self.c["patch"], [], 0
        for step in (1, 2, 2):
            s = size // step
            part = patches[..., first : first + s * s]
            first += s * s
            x = part.reshape(self.rows, self.columns, self.side, self.side, s, s)
            x = x.transpose(0, 2, 4, 1, 3, 5)
            x = x.reshape(self.rows * self.side * s, self.columns * self.side * s)
            h, w = (-(-n // step) for n in (self.header.height, self.header.width))
            levels = np.rint(x[:h, :w] * F(876) + F(64))
            planes.append(np.clip(levels, 0, 1023).astype(np.int64))
        return planes
