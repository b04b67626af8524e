"""`gvcodec compare --blind`: the page asks for every pair twice and writes down what was chosen."""

import json
import re
from collections import Counter
from collections.abc import Callable
from fractions import Fraction
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from eval.votes import read_votes, score
from gvcodec.compare.blind import write_blind_page
from gvcodec.compare.page import Row
from gvcodec.errors import UsageError
from gvcodec.types import Planes
from tests.browser import Page
from tests.clips import write_clip
from tests.conftest import run

LEVELS = {"dark": 40, "middle": 120, "bright": 200}


def pictures(level: int) -> list[Any]:
    rng = np.random.default_rng(level)
    return [
        np.clip(level + rng.normal(0, 3, (49, 65, 3)), 0, 255).astype(np.uint8) for _ in range(8)
    ]


@pytest.fixture
def page(tab: Callable[[str], Page], tmp_path: Path) -> Page:
    rows = [Row(name, [900, 100], [30.0], pictures(level)) for name, level in LEVELS.items()]
    text = write_blind_page("</script>.mp4", pictures(128), rows, Fraction(25))
    assert text.count("</script>") == 2 and not re.findall(r'(?:src|href)="(?!data:)', text)
    (tmp_path / "vote.html").write_text(text)
    return tab((tmp_path / "vote.html").as_uri())


BRIGHTNESS = """["left", "right"].map((id) => {
    const context = new OffscreenCanvas(8, 8).getContext("2d");
    context.drawImage(document.getElementById(id), 0, 0, 8, 8);
    return context.getImageData(4, 4, 1, 1).data[1]; })"""


def test_votes_are_those_of_the_clips_that_were_shown(page: Page, tmp_path: Path) -> None:
    """Whoever always takes the brighter clip makes the bright codec win, whatever the order."""
    page.until("document.readyState === 'complete' && window.at !== null && order.length === 6")
    for number in range(6):
        assert page.run("(ready = false, vote('left'), votes.length)") == number  # too early
        page.until("ready")
        page.run("pause()")
        page.until(f"{BRIGHTNESS}.every((level) => level > 20)")
        left, right = page.run(BRIGHTNESS)
        assert abs(left - right) > 40
        text = page.run("document.body.innerText")
        assert not any(name in text for name in LEVELS)
        if number == 3:
            page.run("showSource(true)")
            page.until(f"{BRIGHTNESS}.every((level) => Math.abs(level - 128) < 12)")
            page.key("2")  # not while the source is shown
            page.run("showSource(false)")
            page.until("clips.every(({ readyState }) => readyState >= 2)")
        page.key("1" if left > right else "3")
    page.until("votes.length === 6")
    with page.tab.expect_download() as download:
        page.run("save()")
    path = tmp_path / "votes.json"
    download.value.save_as(path)
    data = json.loads(path.read_text())
    assert data["codecs"] == dict.fromkeys(LEVELS, 1000) and data["clip"] == "</script>.mp4"
    assert sum(vote["source_looks"] for vote in data["votes"]) == 1
    votes = read_votes(path)
    winners = Counter(vote.left if vote.choice == "left" else vote.right for vote in votes)
    assert winners == {"bright": 4, "middle": 2}
    shown = Counter((vote.left, vote.right) for vote in votes)
    assert len(shown) == 6 and set(shown.values()) == {1}
    assert [each.title for each in score(votes, samples=50)] == ["bright", "middle", "dark"]
    assert page.errors() == []


def test_the_command_writes_the_page(clip: list[Planes], tmp_path: Path) -> None:
    film = write_clip(tmp_path / "film.mp4", clip[:6])
    words = ["--fit", "off", "--preset", "10", "-q", "45", "--with", "x264", "--blind"]
    run("compare", film, tmp_path / "vote.html", *words)
    text = (tmp_path / "vote.html").read_text(encoding="utf-8")
    found = re.search(r'id="data">(.*?)</script>', text, re.DOTALL)
    assert found is not None
    data = json.loads(found[1])
    assert len(data["codecs"]) == 2 and data["codecs"][0]["title"] == "gvcodec"
    assert data["clip"] == "film.mp4" and data["format"] == "gvcodec-votes-1"


def test_one_codec_is_nothing_to_choose_from() -> None:
    row = Row("gvcodec", [1], [30.0], pictures(40))
    with pytest.raises(UsageError, match="needs two codecs"):
        write_blind_page("a", pictures(128), [row], Fraction(25))
