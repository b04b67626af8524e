"""`python -m eval votes`: scores of votes whose answer is known."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from eval.__main__ import main
from eval.tools import EvalError
from eval.votes import Vote, read_votes, report, score

TRUE = {"a": 1.0, "b": 0.3, "c": -0.5, "d": -0.8}
#: How ready voters are to tie.
_TIE = -0.7


def simulated(count: int, seed: int, voters: int = 40) -> list[Vote]:
    """Votes as the model of ties says, for random pairs in random order."""
    rng, votes = np.random.default_rng(seed), []
    for number in range(count):
        left, right = rng.permutation(list(TRUE))[:2]
        utilities = [TRUE[left], TRUE[right], (TRUE[left] + TRUE[right]) / 2 + _TIE]
        odds = np.exp(utilities)
        choice = rng.choice(["left", "right", "tie"], p=odds / odds.sum())
        votes.append(Vote(str(number % voters), "film", left, right, str(choice)))
    return votes


def test_scores_come_back_from_simulated_votes() -> None:
    scores = score(simulated(12000, 1), samples=300)
    assert [each.title for each in scores] == list(TRUE)
    for each in scores:
        assert each.value == pytest.approx(TRUE[each.title], abs=0.08)
        assert each.low < each.value < each.high < each.low + 0.3
    assert sum(sum(each.counts) for each in scores) == 2 * 12000


def test_intervals_hold_the_truth_as_often_as_they_say() -> None:
    inside = [
        each.low <= TRUE[each.title] <= each.high
        for seed in range(20)
        for each in score(simulated(400, seed), samples=100)
    ]
    assert 0.9 <= np.mean(inside) <= 0.995


def test_two_codecs_have_the_log_odds_of_their_wins() -> None:
    votes = [Vote("v", "film", "a", "b", "left")] * 30 + [Vote("v", "film", "b", "a", "left")] * 10
    best, worst = score(votes, samples=20)
    assert best.value - worst.value == pytest.approx(np.log(3), abs=0.02)
    assert (best.title, best.counts, worst.counts) == ("a", (30, 0, 10), (10, 0, 30))


def test_ties_alone_are_equal_and_victories_alone_stay_finite() -> None:
    tied = score([Vote("v", "film", "a", "b", "tie")] * 20, samples=20)
    assert [each.value for each in tied] == pytest.approx([0, 0], abs=1e-6)
    sure = score([Vote("v", "film", "a", "b", "left")] * 20, samples=20)
    assert 2 < sure[0].value - sure[1].value < 10


def test_one_voter_of_many_votes_is_less_than_many_voters() -> None:
    """Votes of a person belong together: who disagrees makes intervals wide."""
    agreed = [
        Vote(str(n), "film", "a", "b", "left" if k < 6 else "right")
        for n in range(20)
        for k in range(10)
    ]
    divided = [
        Vote(str(n), "film", "a", "b", "left" if n < 12 else "right")
        for n in range(20)
        for _ in range(10)
    ]
    narrow, wide = (score(votes, samples=300)[0] for votes in (agreed, divided))
    assert narrow.value == pytest.approx(wide.value, abs=0.01)
    assert wide.high - wide.low > 2 * (narrow.high - narrow.low)


def file_of(path: Path, votes: list[Any], **others: Any) -> Path:
    head = {"format": "gvcodec-votes-1", "voter": "1", "clip": "film", "votes": votes}
    path.write_text(json.dumps(head | others))
    return path


def test_the_command_prints_a_table(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    votes = [
        {"left": "a", "right": "b", "choice": "left"},
        {"left": "b", "right": "a", "choice": "right"},
        {"left": "b", "right": "c", "choice": "tie"},
    ]
    paths = [file_of(tmp_path / f"{n}.json", votes, voter=str(n)) for n in range(3)]
    assert main(["votes", *map(str, paths), "--samples", "50"]) == 0
    text = capsys.readouterr().out
    assert "9 votes of 3 voters on 1 clips; the left side won 50 % of 6" in text
    assert "3 of 3 the same" in text and text.index("| a |") < text.index("| b |")
    assert report(read_votes(paths[0]), score(read_votes(paths[0]), 10)).count("\n| ") == 4


@pytest.mark.parametrize(
    ("text", "what"),
    [
        ("nothing", "is not JSON"),
        ("[" * 100_000, "is not JSON"),
        ("[]", "is not a file of votes"),
        ('{"format": "gvcodec-votes-1"}', "has no voter"),
    ],
)
def test_what_is_no_file_of_votes_is_one_line(text: str, what: str, tmp_path: Path) -> None:
    (tmp_path / "a.json").write_text(text)
    with pytest.raises(EvalError, match=what):
        read_votes(tmp_path / "a.json")


@pytest.mark.parametrize(
    "vote",
    [
        3,
        {"left": "a", "right": "a", "choice": "tie"},
        {"left": "a", "right": 4, "choice": "tie"},
        {"left": "a", "right": "b", "choice": "both"},
        {"left": "a", "right": "b", "choice": ["left"]},
    ],
)
def test_a_wrong_vote_is_named(vote: Any, tmp_path: Path) -> None:
    right = {"left": "a", "right": "b", "choice": "tie"}
    with pytest.raises(EvalError, match="vote 1 "):
        read_votes(file_of(tmp_path / "a.json", [right, vote]))


def test_codecs_that_no_votes_connect_have_no_scores(tmp_path: Path) -> None:
    votes = [Vote("v", "f", "a", "b", "left"), Vote("v", "f", "c", "d", "left")]
    with pytest.raises(EvalError, match="no votes compare c with a"):
        score(votes, samples=5)
    with pytest.raises(EvalError, match="No such file"):
        read_votes(tmp_path / "missing.json")
