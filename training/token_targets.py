"""Searches tokens for windows of training clips: `python -m training token_targets --cache CACHE`.

The first targets of a token encoder. For each window of 256×256 the integers of its sixteen
regions are found by gradient on two frames with two noise fields each, led by LPIPS on VGG16 and
AlexNet, PSNR-Y held (`training.tokens`). The table that integers are multiplied by begins with the
main directions of freely searched shifts of the first windows, and follows the gradient afterwards,
a step with every window.

`targets.pt`: `table` (outputs of `style`, D) and `windows`, a list of (entry and record of the
cache, tokens (D, 4, 4) int8). A run goes on where the last one stopped.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from gvcodec.models import PAINTER
from gvcodec.painter.token_coding import LARGEST, MAX_TOKEN_WEIGHT, REGION
from gvcodec.painter.token_coding import STEP as LEVELS
from gvcodec.util.options import ExactParser
from training.held_out import add_option
from training.material import LENGTH, WINDOW
from training.tokens import (
    DIMS,
    PLACE,
    Crop,
    TokenWork,
    TrainConfig,
    observe,
    spread,
    whole_tokens,
)

#: Windows whose shifts are searched freely, for the directions that the table begins with.
_FREE = 24
#: Steps of a search, its rate, cost of a level, and the size of a first step in deviations.
_STEPS, _RATE, _PRICE, _STEP = 20, 0.25, 2e-4, 0.7
_FREE_RATE = 0.15
#: How fast the table moves, in its own deviations a window.
_TABLE_RATE = 0.01
_SIDE = WINDOW // REGION
_SAVED_EVERY = 10


class Search:
    """Tokens of windows, and the table."""

    def __init__(self, work: TokenWork, out: Path) -> None:
        self.work, self.path = work, out / "targets.pt"
        outputs = work.network.style.weight.shape[0]
        self.size = torch.zeros(outputs)
        self.free: list[Tensor] = []
        self.table: Tensor | None = None
        self.windows: list[tuple[int, int, Tensor]] = []
        if self.path.is_file():
            state = torch.load(self.path)
            self.size, self.free, self.table = state["size"], state["free"], state["table"]
            self.windows = state["windows"]
        self.moments = torch.zeros(outputs, DIMS)

    def save(self) -> None:
        state = {"size": self.size, "free": self.free, "table": self.table}
        state["digest"] = self.work.data.digest()  # windows are numbered by its entries
        torch.save(state | {"windows": self.windows}, self.path)

    def next(self, rng: np.random.Generator) -> None:
        """One more window."""
        data = self.work.data
        entry = int(rng.integers(len(data.entries)))
        record = int(rng.integers(len(data.records[entry][0])))
        batch = data.batch(1, WINDOW, [(entry, record)])
        crops = [
            observe(self.work.network, batch.part(frame, frame + 1), int(rng.integers(1 << 20)))
            for frame in (0, LENGTH - 1)
            for _ in range(2)
        ]
        if self.table is None:
            self._search_freely(crops)
        else:
            self._search_integers(entry, record, crops)

    def _search_freely(self, crops: list[Crop]) -> None:
        """Shifts of regions in deviations of the sums."""
        sums = [self.work.network.style.sums(crop.observations[-1].features) for crop in crops]
        size = torch.stack([s.std((0, 2, 3)) for s in sums]).mean(0)
        count = len(self.free)
        self.size = (count * self.size + size) / (count + 1)
        scale = size.view(1, -1, 1, 1)
        descended = self._descend(
            crops,
            len(size),
            _FREE_RATE,
            lambda tokens, _: spread(tokens * scale, WINDOW // PLACE),
        )
        self.free.append(descended[0].flatten(1).T)
        if len(self.free) == _FREE:
            regions = torch.cat(self.free)
            _, sizes, axes = torch.linalg.svd(regions, full_matrices=False)
            lengths = sizes[:DIMS] / len(regions) ** 0.5
            self.table = _in_range(self.size[:, None] * axes[:DIMS].T * lengths * _STEP / LEVELS)

    def _search_integers(self, entry: int, record: int, crops: list[Crop]) -> None:
        assert self.table is not None
        table = self.table.clone().requires_grad_(True)

        def render(tokens: Tensor, rounds: bool) -> Tensor:
            tokens = whole_tokens(tokens) if rounds else tokens
            levels = spread(LEVELS * tokens, WINDOW // PLACE)
            return torch.einsum("sd,bdhw->bshw", table, levels)

        descended = self._descend(crops, DIMS, _RATE, render)
        whole = whole_tokens(descended).detach()
        self.windows.append((entry, record, whole[0].to(torch.int8)))
        table.grad = None
        for crop in crops:
            loss, _ = self.work._judge_loss(crop, render(whole, True))
            (loss / len(crops)).backward()
        assert table.grad is not None
        # Each direction moves by its gradient's sign pattern, a small part of its own length.
        gradient = table.grad * self.size[:, None]
        self.moments = 0.95 * self.moments + 0.05 * gradient
        spread_of = self.moments.square().mean(0, keepdim=True).sqrt() + 1e-12
        length = (self.table / self.size[:, None]).square().mean(0, keepdim=True).sqrt()
        step = _TABLE_RATE * length * self.moments / spread_of
        self.table = _in_range(self.table - step * self.size[:, None])

    def _descend(
        self,
        crops: list[Crop],
        dims: int,
        rate: float,
        render: Callable[[Tensor, bool], Tensor],
    ) -> Tensor:
        """Tokens (1, dims, 4, 4), not rounded, that lower the loss of crops."""
        tokens = torch.zeros(1, dims, _SIDE, _SIDE, requires_grad=True)
        common = torch.zeros(1, dims, 1, 1, requires_grad=True)
        optimizer = torch.optim.Adam([tokens, common], lr=rate)
        for step in range(_STEPS):
            both = (common + tokens).clamp(-LARGEST, LARGEST)
            total = _PRICE * tokens.abs().sum()
            for crop in (crops[step % 2], crops[2 + step // 2 % 2]):
                loss, _ = self.work._judge_loss(crop, render(both, step >= _STEPS // 2))
                total = total + loss / 2
            optimizer.zero_grad()
            total.backward()
            optimizer.step()
            for group in optimizer.param_groups:
                group["lr"] = rate * (1.02 - step / (_STEPS + 2))
        return (common + tokens).detach()


def _in_range(table: Tensor) -> Tensor:
    """Directions that are too long for the format get shorter."""
    longest = table.abs().amax(0, keepdim=True)
    return table * (MAX_TOKEN_WEIGHT / longest.clamp(min=MAX_TOKEN_WEIGHT))


def main(words: Sequence[str] | None = None) -> None:
    """Search for some minutes."""
    parser = ExactParser(prog="token_targets", description=__doc__.splitlines()[0])
    parser.add_argument("--cache", required=True, help="folder of training.material")
    parser.add_argument("--out", required=True, type=Path, help="folder of targets.pt")
    parser.add_argument("--minutes", type=float, default=30.0)
    parser.add_argument("--painter", default=str(PAINTER.find()), help="weights that are steered")
    add_option(parser, "as the material says")
    options = parser.parse_args(words)
    options.out.mkdir(parents=True, exist_ok=True)
    places = {"cache": options.cache, "out": str(options.out)}
    config = TrainConfig(painter=options.painter, held_out=options.held_out or "", **places)
    search = Search(TokenWork(config), options.out)
    rng = np.random.default_rng(len(search.free) + len(search.windows) + 1)
    end = time.monotonic() + 60 * options.minutes
    while time.monotonic() < end:
        search.next(rng)
        done = len(search.free) + len(search.windows)
        if done % _SAVED_EVERY == 0:
            search.save()
            size = np.mean([float(w[2].float().abs().mean()) for w in search.windows] or [0])
            print(f"{done} windows, mean magnitude {size:.2f}", flush=True)
    search.save()
    print(search.path)


if __name__ == "__main__":
    main()
