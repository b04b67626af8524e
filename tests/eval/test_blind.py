"""The blind page: pairs of equal bytes, sides drawn by a seed, no name before the end, answers in a
JSON file."""

import base64
import io
import re

import pytest

pytest.importorskip("imageio_ffmpeg")
pytest.importorskip("bjontegaard")

from PIL import Image

from eval.report import blind
from eval.report.data import Results
from tests.eval_helpers import needs_chromium, probed

LABELS = {"gvcodec-rendered": "our painted", "gvcodec-fidelity": "our base", "x265-ld": "x265 low"}


def picture(grey):
    data = io.BytesIO()
    Image.new("RGB", (48, 32), (grey, grey, grey)).save(data, "WEBP")
    return base64.b64encode(data.getvalue()).decode()


def results(clips=8, peer_bpp=0.0103):
    """Three rows at one rate; the peer's bytes are near or far."""
    found = Results()
    for row, label in LABELS.items():
        output = row.rpartition("-")[2] if "gvcodec" in row else ""
        found.rows[row] = {"label": label, "family": row.split("-")[0]}
        found.rows[row] |= {"output": output, "delay": "low"}
    for number in range(clips):
        name = f"clip{number}"
        found.clips[name] = {"frames": 8, "set": "test", "stand_in": False}
        found.source_crops[name] = [{"frame": i, "webp": picture(255)} for i in (1, 5)]
        found.runs[name] = {}
        for k, (row, bpp) in enumerate(zip(LABELS, (0.01, 0.01, peer_bpp), strict=True)):
            crops = [{"frame": i, "webp": picture(40 * k + 40)} for i in (1, 5)]
            found.runs[name][row] = {0.01: {"bpp": bpp, "crops": crops}}
    return found


def test_pairs_are_of_equal_bytes_and_drawn_by_the_seed():
    drawn = blind.pairs(results(), 1)
    assert len(drawn) == 16 and blind.pairs(results(), 1) == drawn != blind.pairs(results(), 2)
    sides = [{pair["a"]["row"], pair["b"]["row"]} for pair in drawn]
    assert all("gvcodec-rendered" in pair for pair in sides)
    assert 2 < sum(pair["a"]["row"] == "gvcodec-rendered" for pair in drawn) < 14, "either side"
    assert [pair["clip"] for pair in drawn] != sorted(pair["clip"] for pair in drawn)
    assert {pair["frame"] for pair in drawn} == {1, 5}
    far = blind.pairs(results(peer_bpp=0.0125), 1)
    assert len(far) == 8 and all(
        "x265-ld" not in (pair["a"]["row"], pair["b"]["row"]) for pair in far
    )
    assert len(blind.pairs(results(clips=40), 1)) == blind.MOST


def test_without_pictures_there_is_no_page():
    empty = results()
    empty.source_crops = {}
    assert blind.page(empty, 1) == ""


def test_the_page_loads_nothing_and_names_nothing():
    text = blind.page(results(), 1)
    assert not re.search(r'(?:src|href)="(?!data:)|https?://', text)
    outside = re.sub(r'id="data">.*?</script>', "", text, flags=re.DOTALL)
    assert not any(label in outside for label in (*LABELS, *LABELS.values()))


PROBE = """
window.addEventListener("load", async () => {
  const press = (key, type = "keydown") => document.dispatchEvent(new KeyboardEvent(type, { key }));
  const seen = () => ({ text: document.body.innerText, a: document.getElementById("a").src });
  const result = { errors: window.failures, start: seen() };
  press("s");
  result.held = seen();
  press("s", "keyup");
  result.released = seen();
  press("2");
  press("Backspace");
  result.back = seen();
  ["1", "2", "0", "x"].forEach((key) => press(key));
  document.getElementById("b").click();
  result.end = seen();
  result.saved = await (await fetch(document.getElementById("save").href)).json();
  result.width = document.getElementById("totals").offsetWidth;
  document.body.setAttribute("data-probe", JSON.stringify(result));
});
"""


@needs_chromium
def test_the_page_asks_and_stores_in_a_browser(tmp_path):
    result = probed(blind.page(results(clips=2), 3), PROBE, tmp_path)
    drawn = blind.pairs(results(clips=2), 3)
    assert result["errors"] == []
    start, saved = result["start"], result["saved"]
    assert "1 of 4" in start["text"] and not any(v in start["text"] for v in LABELS.values())
    assert result["held"]["a"].endswith(picture(255))
    assert result["released"] == start == result["back"]
    assert [given["answer"] for given in saved["answers"]] == ["a", "b", "equal", "b"]
    assert saved["seed"] == 3
    sides = [
        pair["a"]["row"] if k == "a" else pair["b"]["row"]
        for pair, k in zip(drawn, "ab-b", strict=True)
    ]
    assert [given["better"] for given in saved["answers"]] == [*sides[:2], None, sides[3]]
    assert sum(t["first_better"] + t["equal"] + t["second_better"] for t in saved["totals"]) == 4
    assert all(label in result["end"]["text"] for label in LABELS.values())
