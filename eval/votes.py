"""Scores of codecs from votes of people: `python -m eval votes FILES`.

FILES are downloads of pages of `gvcodec compare --blind`. The model is Bradley and Terry's (1952)
with Davidson's ties (1970): of two codecs with scores a and b, one wins with odds e^a : e^b, and
neither with e^((a + b) / 2 + t). A weak prior keeps scores finite where a codec won every vote.
Intervals: bootstrap over voters and their votes, 95 %. Scores are natural log odds, 0 on average.
"""

from __future__ import annotations

import argparse
import json
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import combinations
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from eval.tools import EvalError, markdown
from gvcodec.compare.blind import VOTES

Floats = NDArray[np.float64]

CHOICES = ("left", "right", "tie")
#: Standard deviation of scores before any vote; Newton's steps, and the longest of them.
_PRIOR, _STEPS, _LONGEST = 4.0, 60, 1.5
_MOST_BYTES, _MOST_CODECS = 1 << 24, 64
_LOW, _HIGH = 2.5, 97.5


@dataclass(frozen=True, slots=True)
class Vote:
    """`clip` and the codec titles on both sides; `choice` is one of `CHOICES`."""

    voter: str
    clip: str
    left: str
    right: str
    choice: str


@dataclass(frozen=True, slots=True)
class Score:
    """`value` in natural log odds, with the ends of its interval; `counts`: won, tied, lost."""

    title: str
    value: float
    low: float
    high: float
    counts: tuple[int, int, int]


def arguments(parser: argparse.ArgumentParser) -> None:
    add = parser.add_argument
    add("files", nargs="+", type=Path, metavar="FILES", help="votes that a blind page downloaded")
    add("--samples", type=int, default=2000, help="bootstrap samples (2000)")
    add("--seed", type=int, default=0, help="of the bootstrap (0)")


def run(options: argparse.Namespace) -> None:
    if not 1 <= options.samples <= 100_000:
        raise EvalError("--samples takes 1 to 100000")
    votes = [vote for path in options.files for vote in read_votes(path)]
    if not votes:
        raise EvalError("the files hold no votes")
    print(report(votes, score(votes, options.samples, options.seed)))


def read_votes(path: Path) -> list[Vote]:
    """The votes of a file. Raises EvalError."""
    try:
        if path.stat().st_size > _MOST_BYTES:
            raise EvalError(f"{path}: more than {_MOST_BYTES >> 20} MiB are no votes")
        data = json.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise EvalError(f"{path}: {error.strerror or error}") from error
    except (ValueError, RecursionError) as error:
        raise EvalError(f"{path}: is not JSON") from error
    if not isinstance(data, dict) or data.get("format") != VOTES:
        raise EvalError(f"{path}: is not a file of votes ({VOTES})")
    voter, clip, votes = data.get("voter"), data.get("clip"), data.get("votes")
    if not (isinstance(voter, str) and isinstance(clip, str) and isinstance(votes, list)):
        raise EvalError(f"{path}: has no voter, clip or votes")
    return [_vote(path, number, voter, clip, vote) for number, vote in enumerate(votes)]


def _vote(path: Path, number: int, voter: str, clip: str, entry: Any) -> Vote:
    sides = [entry.get(side) if isinstance(entry, dict) else None for side in ("left", "right")]
    left, right = sides
    if not isinstance(left, str) or not isinstance(right, str) or left == right:
        raise EvalError(f"{path}: vote {number} does not name two codecs")
    if entry.get("choice") not in CHOICES:
        raise EvalError(f"{path}: vote {number} is none of {', '.join(CHOICES)}")
    return Vote(voter, clip, left, right, entry["choice"])


def score(votes: Sequence[Vote], samples: int = 2000, seed: int = 0) -> list[Score]:
    """Scores, the best first. Raises EvalError where votes do not connect all codecs."""
    titles = sorted({title for vote in votes for title in (vote.left, vote.right)})
    if len(titles) > _MOST_CODECS:
        raise EvalError(f"{len(titles)} codecs are more than {_MOST_CODECS}")
    _require_connected(titles, votes)
    pairs = list(combinations(range(len(titles)), 2))
    cells = _cells(titles, pairs, votes)  # [V] flat places in [P, 3]
    every = np.bincount(cells, minlength=3 * len(pairs)).reshape(1, -1, 3)
    rng = np.random.default_rng(seed)
    sampled = np.stack([_resample(votes, cells, 3 * len(pairs), rng) for _ in range(samples)])
    values = fit(every.astype(float), pairs, len(titles))[0]
    drawn = fit(sampled.reshape(samples, -1, 3).astype(float), pairs, len(titles))
    low, high = np.percentile(drawn, (_LOW, _HIGH), axis=0)
    scores = [
        Score(title, float(values[n]), float(low[n]), float(high[n]), _counts(title, votes))
        for n, title in enumerate(titles)
    ]
    return sorted(scores, key=lambda each: -each.value)


def fit(counts: Floats, pairs: Sequence[tuple[int, int]], codecs: int) -> Floats:
    """Scores [S, codecs], 0 on average, of samples `counts` [S, P, 3]: of each pair how often the
    first won, the second won, and neither. Newton's method on a concave likelihood."""
    features = np.zeros((len(pairs), 3, codecs + 1))  # the last one: readiness to tie
    for place, (first, second) in enumerate(pairs):
        features[place, 0, first] = features[place, 1, second] = features[place, 2, codecs] = 1
        features[place, 2, [first, second]] = 0.5
    total = counts.sum(2)  # [S, P]
    weights = np.zeros((len(counts), codecs + 1))
    prior = np.eye(codecs + 1) / _PRIOR**2
    for _ in range(_STEPS):
        utility = np.einsum("pcf,sf->spc", features, weights)
        odds = np.exp(utility - utility.max(2, keepdims=True))
        chance = odds / odds.sum(2, keepdims=True)
        slope = np.einsum("spc,pcf->sf", counts - total[..., None] * chance, features)
        slope -= weights / _PRIOR**2
        mean = np.einsum("spc,pcf->spf", chance, features)
        bend = np.einsum("sp,spc,pcf,pcg->sfg", total, chance, features, features, optimize=True)
        bend -= np.einsum("sp,spf,spg->sfg", total, mean, mean, optimize=True)
        step = np.linalg.solve(bend + prior, slope[..., None])[..., 0]
        length = np.abs(step).max(1, keepdims=True)
        weights += step * np.minimum(1, _LONGEST / np.maximum(length, 1e-12))
        if length.max() < 1e-9:
            break
    scores: Floats = weights[:, :codecs] - weights[:, :codecs].mean(1, keepdims=True)
    return scores


def report(votes: Sequence[Vote], scores: Sequence[Score]) -> str:
    """A table and its basis."""
    best = scores[0]
    header = ("codec", "score", "95 %", "preferred to the best", "won", "tied", "lost")
    rows = []
    for each in scores:
        share = "" if each is best else f"{100 / (1 + np.exp(best.value - each.value)):.0f} %"
        span = f"{each.low:+.2f} … {each.high:+.2f}"
        rows.append((each.title, f"{each.value:+.2f}", span, share, *map(str, each.counts)))
    voters, clips = ({getattr(v, key) for v in votes} for key in ("voter", "clip"))
    sides = Counter(vote.choice for vote in votes)
    decided = sides["left"] + sides["right"]
    left = f"{100 * sides['left'] / max(1, decided):.0f} % of {decided} decided votes"
    count = f"{len(votes)} votes of {len(voters)} voters on {len(clips)} clips"
    lines = [markdown(header, rows), f"{count}; the left side won {left}."]
    if again := _agreement(votes):
        lines.append(
            f"Pairs that a voter saw twice, sides exchanged: {again[0]} of {again[1]} the same."
        )
    return "\n\n".join(lines)


def _agreement(votes: Sequence[Vote]) -> tuple[int, int] | None:
    """How many pairs that a voter judged twice got the same answer, and how many there are."""
    answers: dict[tuple[str, str, str, str], list[str]] = {}
    for vote in votes:
        first, second = sorted((vote.left, vote.right))
        winner = {"left": vote.left, "right": vote.right}.get(vote.choice, "")
        answers.setdefault((vote.voter, vote.clip, first, second), []).append(winner)
    twice = [winners for winners in answers.values() if len(winners) == 2]
    return (sum(first == second for first, second in twice), len(twice)) if twice else None


def _require_connected(titles: Sequence[str], votes: Sequence[Vote]) -> None:
    """Scores of codecs that no chain of votes compares mean nothing. Raises EvalError."""
    reached, frontier = {titles[0]}, [titles[0]]
    while frontier:
        at = frontier.pop()
        for vote in votes:
            for side, opponent in ((vote.left, vote.right), (vote.right, vote.left)):
                if side == at and opponent not in reached:
                    reached.add(opponent)
                    frontier.append(opponent)
    if missing := [title for title in titles if title not in reached]:
        raise EvalError(f"no votes compare {missing[0]} with {titles[0]}, directly or by others")


def _cells(
    titles: Sequence[str], pairs: Sequence[tuple[int, int]], votes: Sequence[Vote]
) -> NDArray[np.int64]:
    """The place of each vote in counts [P, 3], flat."""
    number = {title: n for n, title in enumerate(titles)}
    place = {pair: n for n, pair in enumerate(pairs)}
    cells = []
    for vote in votes:
        left, right = number[vote.left], number[vote.right]
        turned = left > right
        outcome = CHOICES.index(vote.choice)
        outcome = 1 - outcome if turned and outcome < 2 else outcome
        cells.append(3 * place[min(left, right), max(left, right)] + outcome)
    return np.array(cells, np.int64)


def _resample(
    votes: Sequence[Vote], cells: NDArray[np.int64], size: int, rng: np.random.Generator
) -> NDArray[np.int64]:
    """Counts of a sample: voters with replacement, and votes of each with replacement."""
    by_voter: dict[str, list[int]] = {}
    for cell, vote in zip(cells, votes, strict=True):
        by_voter.setdefault(vote.voter, []).append(int(cell))
    groups = list(by_voter.values())
    drawn = [
        rng.choice(groups[n], len(groups[n])) for n in rng.integers(0, len(groups), len(groups))
    ]
    return np.bincount(np.concatenate(drawn), minlength=size)


def _counts(title: str, votes: Sequence[Vote]) -> tuple[int, int, int]:
    mine = [vote for vote in votes if title in (vote.left, vote.right)]
    ties = sum(vote.choice == "tie" for vote in mine)
    wins = sum(vote.choice == ("left" if vote.left == title else "right") for vote in mine)
    return wins, ties, len(mine) - wins - ties
