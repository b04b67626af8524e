"""The keys of a configuration file of `python -m training gvc1d` (flat TOML)."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any


@dataclass(frozen=True, kw_only=True)
class TrainConfig:
    """`data`: folder of videos and pictures, at any depth but for folders named in `skip`;
    `held_out`: share of sources kept out for validation, by the first word of file names; `cache`:
    folder that keeps coded runs, "" = none; `samples`: runs there are (0 = always new ones).
    `network`: "small", "large" or the path of a configuration, with `tokens` tokens a window where
    that is not 0; `initial`, `titok`: weights to begin with, "" = none.

    A step takes `accumulate` micro-batches of `batch` runs on each process. A run is read and coded
    as `length` frames of `size` rows and `width` columns (0: `size`) of luma samples, of which a
    step sees the first `frames`. In half of the micro-batches up to `preroll` frames go before
    them, without gradients, there and back through the run, or without a base passes over the
    first. Of the micro-batches a share `no_base` has no base frames, `no_memory` finds the memory
    fresh in every frame, and of those with frames before them `no_buffer` has no other context than
    the memory at first, and `memory_alone` in any frame; in a share `shots` another run comes
    between. Of those without a base a share `moved` is given block motion.
    `mask`: up to this share of the source's patches is hidden from the encoder, in half of them;
    `prefix`: share in which only the first tokens of each window are kept, as many as `budgets`
    says: "random" powers of two, or "elbo": InfoTok's, a base rate varied by bits and L1 error of
    the first frame. `qs`: the base's qualities.

    `price`, `price_none`: what doubling the bits costs, in units of log distortion, with a base
    (whose own bits count) and without; they rise from 0 between the shares `price_from` and
    `price_to` of `plan_minutes`. `perceptual`: weight of the perceptual distance of `looks` crops
    of each run beside the pixels', led by VGG16 in a share `vgg` of the steps where its weights are
    found. `gan`: weight of the adversarial loss, for the decoder only. `trains`: "all", "new"
    (layers that published weights do not have), "decoder", "no_global". `without`: parts left out
    in ablations, of "memory", "buffer", "local", "global", "direct". `recompute`: layers run again
    on the way back, so that a long run fits a GPU. `seed` chooses the runs, `draw` the first
    weights and what steps draw. `check_steps`: between alarms; `validate_minutes`: between
    validations, 0 = none."""

    data: str
    skip: tuple[str, ...] = ("devtest",)
    out: str
    cache: str = ""
    samples: int = 0
    held_out: float = 0.12
    network: str = "small"
    tokens: int = 0
    initial: str = ""
    titok: str = ""
    trains: str = "all"
    without: tuple[str, ...] = ()
    seed: int = 1
    draw: int = 0
    batch: int = 4
    accumulate: int = 2
    length: int = 4
    frames: int = 2
    preroll: int = 0
    size: int = 256
    width: int = 0
    workers: int = 0
    threads: int = 0
    qs: tuple[int, ...] = (46, 50, 54, 58, 61, 63)
    no_base: float = 0.4
    no_memory: float = 0.3
    no_buffer: float = 0.3
    memory_alone: float = 0.0
    shots: float = 0.0
    moved: float = 0.0
    mask: float = 0.6
    prefix: float = 0.3
    budgets: str = "random"
    learning_rate: float = 3e-4
    plan_minutes: float = 60.0
    warm_up: int = 50
    average: float = 0.995
    price: float = 0.75
    price_none: float = 0.2
    price_from: float = 0.2
    price_to: float = 0.5
    pixel: float = 4.0
    temporal: float = 10.0
    perceptual: float = 1.0
    looks: int = 1
    vgg: float = 0.5
    gan: float = 0.0
    recompute: bool = False
    check_steps: int = 100
    validate_minutes: float = 15.0
    patience_minutes: float = 10.0

    def describe(self) -> dict[str, Any]:
        """All but the folders, for the card of what is trained."""
        return {k: v for k, v in asdict(self).items() if k not in ("data", "out", "cache")}
