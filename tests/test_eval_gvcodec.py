"""gvcodec's own rows: two outputs of one file, exact decodes, whole-file rates."""

import base64
import io

import pytest

pytest.importorskip("imageio_ffmpeg")
pytest.importorskip("gvcodec._core")

from eval.table import _delta, make_table, ratio_at_equal_psnr
from eval_helpers import small_clip
from PIL import Image

from eval.codecs import Options, resolve
from eval.codecs.ours import content_version, stream_facts
from eval.metrics import Measurer
from eval.rd.encoding import decode, encode
from eval.rd.pictures import heatmap
from eval.rd.speed import measure
from eval.report.data import Results
from eval.report.page import _heatmaps
from gvcodec.cli import parser


@pytest.mark.parametrize("word", ["gvcodec:base=vvc", "gvcodec:base=vvc:preset=1:tune=60steps"])
def test_a_rate_is_searched_for_without_tuning_and_with_the_fastest_preset(word):
    codec = resolve([word], Options())[0]
    assert codec.quicker is not None
    searching, counting = (
        parser().parse_args(["1" if w.startswith("{") else w for w in words[3:]])
        for words in (codec.quicker, codec.encode)
    )
    assert (searching.preset, searching.tune) == (4, (0.0, 0))
    assert counting.preset == (1 if "preset" in word else None) and counting.tune != (0.0, 0)


def test_a_word_names_the_painter():
    codec = resolve(["gvcodec:painter=integer:tune=off"], Options())[0]
    options = parser().parse_args(["1" if w.startswith("{") else w for w in codec.encode[3:]])
    assert options.painter == "integer"


@pytest.mark.parametrize("base", ["klt", "av1"])
def test_one_file_gives_two_rows(tmp_path, base):
    clip = small_clip(tmp_path, frames=3)
    codec = resolve([f"gvcodec:base={base}:tune=off"], Options())[0]
    assert [codec.row(o) for o in codec.outputs] == [
        f"gvcodec-{base}-tuneoff-{o}" for o in ("fidelity", "rendered")
    ]
    encoded = encode(codec, clip, 40, tmp_path / "streams")
    assert encoded.size == encoded.stream.stat().st_size
    assert len(encoded.frame_bytes) == 3 and 0 < sum(encoded.frame_bytes) < encoded.size
    assert stream_facts(encoded.stream)["base"] == base
    decoded, _ = decode(codec, "fidelity", encoded, clip, tmp_path)
    assert Measurer(clip, {"psnr_y": 1})(decoded)["psnr_y"]["mean"] > 25
    drawn = heatmap(encoded.stream, clip)
    assert (drawn is not None) == (base == "klt")
    if drawn:
        picture = Image.open(io.BytesIO(base64.b64decode(drawn)))
        assert picture.size == (clip.raw.width, clip.raw.height + 30), "with its legend"
        run = {"bpp": 0.02, "heatmap": drawn}
        results = Results(
            {clip.name: clip.describe()},
            {},
            {clip.name: {"x": {0.02: {"bpp": 0.02}}, "klt": {0.02: run, 0.04: None}}},
        )
        (figure,) = _heatmaps(results)
        assert drawn in figure and "0.0200 bpp" in figure
    before = encoded.stream.stat().st_mtime_ns
    assert encode(codec, clip, 40, tmp_path / "streams").stream.stat().st_mtime_ns == before


def test_table_checks_decodes_and_compares(tmp_path):
    clip = small_clip(tmp_path, frames=3)
    text, problems = make_table([clip], "klt", [32], tmp_path)
    assert problems == []
    assert "| small-pan | 32 |" in text and "1 and 2 threads" in text
    assert "| small-pan | no overlap | no overlap |" in text


def test_delta_of_a_table_is_that_of_its_points():
    anchor = [{"bpp": 0.01 * 2**n, "psnr_y": 30.0 + 2 * n} for n in range(4)]
    test = [{"bpp": 1.2 * p["bpp"], "psnr_y": p["psnr_y"]} for p in anchor]
    assert _delta(anchor, test) == pytest.approx(20, abs=0.1)


def test_speed_is_a_ratio_to_peers(tmp_path):
    clip = small_clip(tmp_path, frames=2)
    result = measure(clip, ["gvcodec:base=klt:tune=off:output=fidelity"], 40, 1, 1, tmp_path)
    steps = result["steps"]
    assert steps["x264-ld encode"]["ratio"]["x264"] == 1
    for step, peer in (("encode", "x265-ld encode"), ("decode", "x265-ld decode")):
        ours = next(
            v for name, v in steps.items() if name.startswith("gvcodec") and name.endswith(step)
        )
        expected = steps[peer]["seconds"][0] / ours["seconds"][0]
        assert ours["ratio"]["x265"] == pytest.approx(expected) and ours["fps"] == pytest.approx(
            2 / ours["seconds"][0]
        )
    assert len(result["profiles"]) == 2 and all(
        0 < sum(x["share"] for x in p) <= 1 for p in result["profiles"].values()
    )
    assert all(2e6 < step["memory"] < 4e9 for step in steps.values())
    shown = (tmp_path / "speed" / "small-pan.md").read_text()
    assert "speed over x265" in shown and shown.count(" GB |") == len(steps)


def test_ratio_reads_the_curve():
    curve = [{"psnr_y": 30.0, "bytes": 1000}, {"psnr_y": 34.0, "bytes": 4000}]
    assert ratio_at_equal_psnr({"psnr_y": 32.0, "bytes": 3000}, curve) == pytest.approx(1.5)
    assert ratio_at_equal_psnr({"psnr_y": 35.0, "bytes": 3000}, curve) is None


def test_content_version_is_stable():
    assert content_version() == content_version() and len(content_version()) == 16
