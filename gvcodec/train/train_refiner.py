"""Trains entropy model v1: the integer network of the `klt` layer, and the initial state that goes
with it.

    python -m gvcodec.train.train_refiner --data DIR --start checkpoints/klt-1.safetensors --out checkpoints/klt-2.safetensors

Every tenth clip is held out. First the entropy state learns on the other clips, from that of
`--start` on. Then streams of many q are decoded and every decision that the network may correct is
recorded with the log odds that the mixer came to: these do not depend on the network, so its
training loss is the code length of real streams. Last, weights become int8, and the code lengths of
float and int8 network are compared on the held-out clips. With `--network` the state alone is
fitted: when contexts change and the network's features do not.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from gvcodec import _core
from gvcodec.entropy.network import forward
from gvcodec.structure.klt.codec import GOLDEN_PERIOD, KEY_GAIN, KltEncoder, KltTools, make_model
from gvcodec.structure.klt.reference_refiner import RefinerModel
from gvcodec.structure.klt.refiner_tensors import KINDS, TABLES
from gvcodec.train.fit import central, cosine_basis, read_clip

HELD_OUT = 10
SIZE = (416, 256)
UNITS, HIDDEN = 48, 32
VALIDATION_Q = (30, 38, 46, 54, 60)
SHIFT = 24
Tensors = dict[str, np.ndarray]


def relatives(basis: NDArray[np.int16]) -> NDArray[np.int16]:
    """For each row (nearly a cosine each) up to four earlier ones of the nearest frequencies, -1 =
    none: (count, 4)."""
    table = [(c, u, v) for c, n in enumerate((16, 8, 8)) for u in range(n) for v in range(n)]
    ordered = sorted(
        table, key=lambda t: ((t[1] + 0.5) ** 2 + (t[2] + 0.5) ** 2) * (5 if t[0] else 1)
    )  # as its rows
    place = [ordered[i] for i in np.abs(basis.astype(np.float64) @ cosine_basis().T).argmax(1)]
    index = {key: i for i, key in enumerate(place)}
    found = np.full((len(basis), 4), -1, np.int16)
    for i, (c, u, v) in enumerate(place):
        other = [(3 - c, u, v)] if c else []  # the other chroma component
        near = [(-1, 0), (0, -1), (-1, -1), (-2, 0), (0, -2), (1, 0), (0, 1), (1, -1), (-1, 1)]
        steps = [(c, u + a, v + b) for a, b in near]
        earlier = [index[k] for k in (*steps[:3], *other, *steps[3:]) if index.get(k, i) < i][:4]
        found[i, : len(earlier)] = earlier
    return found


def untrained(tensors: Tensors) -> Tensors:
    """With a network that corrects nothing, and blank slots for the contexts that go with it."""
    p, n, _ = _core.Model.blank_state()
    known = len(tensors["entropy.counts"])
    p[:known], n[:known] = tensors["entropy.probabilities"], tensors["entropy.counts"]
    tables = {f"refiner.relatives.{name}": relatives(tensors[f"basis.{name}"]) for name in TABLES}
    return (
        tensors | {"entropy.probabilities": p, "entropy.counts": n} | tables | quantised(Network())
    )


def fit_state(tensors: Tensors, paths: list[Path], frames: int, seed: int, limit: int) -> Tensors:
    """The entropy state after coding the clips once; counts are capped at `limit` so that a stream
    can still move it."""
    rng = np.random.default_rng(seed)
    names = ("entropy.probabilities", "entropy.counts", "entropy.weights")
    state = [tensors[name] for name in names]
    for number in rng.permutation(len(paths)):
        clip = central(read_clip(paths[number], frames, int(rng.integers(0, 24))), 640, 384)
        q = int(rng.integers(14, 63))
        h, w = clip[0][0].shape
        encoder = _core.KltEncoder(make_model(tensors), w, h, 1)
        encoder.learn_on(*state)
        for index, planes in enumerate(clip):
            fine, golden = 2 * (index % 4 == 0), index % GOLDEN_PERIOD == 0
            encoder.encode(
                *planes, max(0, q - fine), max(0, q - KEY_GAIN), index == 0, False, None, golden
            )
        state = list(encoder.learned())
    state[1] = np.minimum(state[1], limit).astype(np.uint8)
    return tensors | dict(zip(names, state, strict=True))


class Questions:
    """What the network was asked, in order of tokens: `features` (tokens, 80) and for each decision
    `token` (its row), `kind`, `row`, `own` (16 features), `log_odds` of the mixer, `bit`."""

    NAMES = ("kind", "row", "own", "log_odds", "bit")

    def __init__(
        self,
        start: Path,
        tensors: Tensors,
        paths: list[Path],
        qs: range | tuple[int, ...],
        per_clip: int,
        seed: int,
    ):
        rng = np.random.default_rng(seed)
        from safetensors.numpy import load_file

        stream_model, model = make_model(load_file(start)), make_model(tensors)
        parts: dict[str, list[np.ndarray]] = {
            name: [] for name in ("features", "token", *self.NAMES)
        }
        tokens = 0
        for number, path in enumerate(paths):
            clip = central(read_clip(path, 14, int(rng.integers(0, 12))), *SIZE)
            q = int(rng.choice(qs)) if isinstance(qs, range) else qs[number % len(qs)]
            h, w = clip[0][0].shape
            encoder = KltEncoder(
                w, h, q, threads=1, model=start, tools=KltTools(lookahead=8 if number % 3 else 0)
            )
            packets = [
                p
                for c in (*(encoder.send(planes) for planes in clip), encoder.flush())
                for p in c.packets
            ]
            recorder = _core.KltRecorder(stream_model, model, w, h)
            frames = [recorder.decode(packet.payload, False) for packet in packets]
            inter = sum(len(f["bit"]) for f in frames[1:])
            for index, f in enumerate(frames):  # a third of what is kept comes from the key frame
                share = (
                    per_clip / 3 / max(1, len(f["bit"]))
                    if index == 0
                    else 2 * per_clip / 3 / max(1, inter)
                )
                kept = rng.random(len(f["token_features"])) < share
                mine = kept[f["token"]]
                parts["features"].append(f["token_features"][kept])
                parts["token"].append((np.cumsum(kept) - 1)[f["token"][mine]] + tokens)
                for name, key in zip(
                    self.NAMES, ("kind", "row", "features", "log_odds", "bit"), strict=True
                ):
                    parts[name].append(f[key][mine])
                tokens += int(kept.sum())
        self.arrays = {name: np.concatenate(values) for name, values in parts.items()}
        self.tokens = tokens
        self._first = np.searchsorted(self.arrays["token"], np.arange(tokens + 1))

    def batch(self, tokens: NDArray[np.int64]) -> Batch:
        """All decisions of some tokens."""
        counts = self._first[tokens + 1] - self._first[tokens]
        before = np.cumsum(counts) - counts
        index = np.repeat(self._first[tokens] - before, counts) + np.arange(counts.sum())
        owner = torch.from_numpy(np.repeat(np.arange(len(tokens)), counts))
        features = torch.from_numpy(self.arrays["features"][tokens].astype(np.float32) / 127)
        kind, row = (
            torch.from_numpy(self.arrays[name][index].astype(np.int64)) for name in ("kind", "row")
        )
        own = torch.from_numpy(self.arrays["own"][index].astype(np.float32) / 127)
        log_odds = torch.from_numpy(self.arrays["log_odds"][index].astype(np.float32) / 256)
        return (
            features,
            owner,
            kind,
            row,
            own,
            log_odds,
            torch.from_numpy(self.arrays["bit"][index].astype(np.float32)),
        )

    def batches(self, size: int = 1024) -> Iterator[Batch]:
        for first in range(0, self.tokens, size):
            yield self.batch(np.arange(first, min(first + size, self.tokens)))


Batch = tuple[Tensor, Tensor, Tensor, Tensor, Tensor, Tensor, Tensor]


class Network(nn.Module):
    """Correction of the log odds, in nats. Units are clamped to 0…1, which are 0…127 in
    integers."""

    def __init__(self) -> None:
        super().__init__()
        self.units = nn.Linear(_core.TOKEN_FEATURES, UNITS)
        self.token = nn.ModuleList(nn.Linear(UNITS, HIDDEN, bias=False) for _ in KINDS)
        self.decision = nn.ModuleList(
            nn.Linear(_core.DECISION_FEATURES, HIDDEN, bias=False) for _ in KINDS
        )
        self.row = nn.ModuleList(nn.Embedding(_core.REFINER_ROWS, HIDDEN) for _ in KINDS)
        self.out = nn.ModuleList(nn.Linear(HIDDEN, 1) for _ in KINDS)
        for name, parameter in self.named_parameters():
            deviation = {"units": 0.15, "token": 0.15, "decision": 0.25}.get(
                name.split(".")[0], 0.0
            )
            if deviation and name.endswith("weight"):
                nn.init.normal_(parameter, std=deviation)
            else:
                nn.init.constant_(parameter, 0.0 if name.startswith("out") else 0.2)

    def forward(
        self, features: Tensor, owner: Tensor, kind: Tensor, row: Tensor, own: Tensor
    ) -> Tensor:
        units = self.units(features).clamp(0, 1)
        correction = torch.zeros(len(owner))
        for number in range(len(KINDS)):
            mine = (kind == number).nonzero()[:, 0]
            sums = (
                self.token[number](units)[owner[mine]]
                + self.decision[number](own[mine])
                + self.row[number](row[mine])
            )
            correction = correction.index_copy(0, mine, self.out[number](sums.clamp(0, 1))[:, 0])
        return correction


def code_length(log_odds: Tensor, bit: Tensor) -> Tensor:
    """Bits of each decision."""
    return nn.functional.softplus(torch.where(bit > 0, -log_odds, log_odds)) / np.log(2)


def validate(network: Network, questions: Questions) -> float:
    """Bits with the network's corrections over bits without, of the decisions that it corrects."""
    plain = refined = 0.0
    with torch.no_grad():
        for *inputs, log_odds, bit in questions.batches():
            limit = 1023 / 256
            plain += float(code_length(log_odds, bit).sum())
            refined += float(
                code_length(log_odds + network(*inputs).clamp(-limit, limit), bit).sum()
            )
    return refined / plain


def validate_integers(tensors: Tensors, questions: Questions) -> float:
    """The same of the integer network."""
    model = RefinerModel.of(tensors)
    assert model is not None
    plain = refined = 0.0
    a = questions.arrays
    units = forward([model.token], a["features"]).astype(np.int64)
    for number, kind in enumerate(KINDS):
        network = model.networks[kind]
        for mine in np.array_split(np.flatnonzero(a["kind"] == number), 64):
            corrections = network.corrections(
                units[a["token"][mine]], a["own"][mine].astype(np.int64), a["row"][mine]
            )
            log_odds, bit = (
                torch.from_numpy(a["log_odds"][mine] / 256),
                torch.from_numpy(a["bit"][mine]),
            )
            plain += float(code_length(log_odds, bit).sum())
            refined += float(code_length(log_odds + torch.from_numpy(corrections / 256), bit).sum())
    return refined / plain


def train(questions: Questions, held_out: Questions, seconds: float, seed: int) -> Network:
    """Adam for so many seconds of processor time, the learning rate falling along a cosine."""
    torch.manual_seed(seed)
    rng = np.random.default_rng(seed)
    network, start, shown, step = Network(), time.process_time(), 0.0, 0
    optimiser = torch.optim.Adam(network.parameters())
    while (spent := time.process_time() - start) < seconds:
        for group in optimiser.param_groups:
            group["lr"] = 4e-3 * max(0.02, 0.5 * (1 + np.cos(np.pi * spent / seconds)))
        *inputs, log_odds, bit = questions.batch(np.sort(rng.integers(0, questions.tokens, 384)))
        loss = code_length(log_odds + network(*inputs), bit).mean()
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()
        step += 1
        if spent - shown > seconds / 8:
            shown = spent
            print(
                f"{spent:.0f} s, step {step}: held-out bits "
                f"{100 * validate(network, held_out) - 100:+.2f} %",
                flush=True,
            )
    return network


def quantised(network: Network) -> Tensors:
    """The network's integers as tensors of the model file: see
    `gvcodec.structure.klt.refiner_tensors`."""

    def array(tensor: Tensor) -> NDArray[np.float64]:
        return tensor.detach().double().numpy()

    weight, bias = array(network.units.weight), array(network.units.bias)
    scale = np.maximum(np.abs(weight).max(1) / 127, 1e-6)
    out: Tensors = {
        "token.weight": np.round(weight / scale[:, None]).astype(np.int8),
        "token.bias": np.round(bias * 127 / scale).astype(np.int32),
        "token.multiplier": np.round(scale * 2**SHIFT).astype(np.int32),
        "token.shift": np.array([SHIFT], np.int32),
    }
    for number, kind in enumerate(KINDS):
        token, decision = (
            array(network.token[number].weight),
            array(network.decision[number].weight),
        )
        last, last_bias = (
            array(network.out[number].weight)[0],
            float(array(network.out[number].bias)[0]),
        )
        scale = np.maximum(np.abs(np.concatenate([token, decision], 1)).max(1) / 127, 1e-6)
        shift = min(30, int(np.floor(np.log2(8191 / scale.max()))))
        last_scale = max(float(np.abs(last).max()) / 127, 1e-6)
        unit = last_scale / 127 * 256  # of the integer sum, in 1/256 nat
        out |= {
            f"{kind}.token": np.round(token / scale[:, None]).astype(np.int8),
            f"{kind}.decision": np.round(decision / scale[:, None]).astype(np.int8),
            f"{kind}.row": np.round(array(network.row[number].weight) * 127 / scale).astype(
                np.int32
            ),
            f"{kind}.multiplier": np.round(scale * 2.0**shift).astype(np.int32),
            f"{kind}.out": np.round(last / last_scale).astype(np.int8),
            f"{kind}.scale": np.array(
                [shift, round(last_bias * 256 / unit), round(unit * 2**SHIFT), SHIFT], np.int32
            ),
        }
    return {f"refiner.{name}": tensor for name, tensor in out.items()}


def main() -> None:
    from safetensors.numpy import load_file, save_file

    parser = argparse.ArgumentParser(
        description="Train the network of the klt layer's entropy model."
    )
    parser.add_argument("--data", type=Path, required=True, help="folder of clips")
    parser.add_argument("--start", type=Path, default=Path("checkpoints/klt-1.safetensors"))
    parser.add_argument("--out", type=Path, default=Path("checkpoints/klt-2.safetensors"))
    parser.add_argument(
        "--network", type=Path, help="model whose network is taken; only the state is fitted then"
    )
    parser.add_argument(
        "--seconds", type=float, default=400, help="of processor time, for the network"
    )
    parser.add_argument(
        "--rounds", type=int, default=2, help="over the clips for its decisions, each at another q"
    )
    parser.add_argument(
        "--limit", type=int, default=30, help="confidence count cap of the initial state"
    )
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    paths = sorted(arguments.data.glob("*.mp4"))
    held_out = paths[3::HELD_OUT]
    training = [path for path in paths if path not in held_out]
    tensors = fit_state(untrained(load_file(arguments.start)), training, 10, 1, arguments.limit)
    print("state fitted", flush=True)
    if arguments.network is not None:
        known = load_file(arguments.network)
        save_file(
            tensors | {name: known[name] for name in known if name.startswith("refiner.")},
            arguments.out,
        )
        print(f"{arguments.out}: {arguments.out.stat().st_size} bytes")
        return
    tests = Questions(arguments.start, tensors, held_out, VALIDATION_Q, 60000, 5)
    questions = Questions(
        arguments.start, tensors, training * arguments.rounds, range(22, 63), 90000, 100
    )
    print(f"{len(questions.arrays['bit'])} decisions of {questions.tokens} tokens", flush=True)
    network = train(questions, tests, arguments.seconds, 0)
    tensors |= quantised(network)
    save_file(tensors, arguments.out)
    print(
        f"{arguments.out}: {arguments.out.stat().st_size} bytes; held-out bits "
        f"{100 * validate(network, tests) - 100:+.3f} % (float),"
    )
    print(f"{100 * validate_integers(tensors, tests) - 100:+.3f} % (integers)")


if __name__ == "__main__":
    main()
