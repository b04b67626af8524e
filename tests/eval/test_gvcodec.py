"""gvcodec's own rows: two outputs of one file, exact decodes, whole-file rates."""

import pytest

from eval.codecs import Options, ours, resolve
from eval.codecs.ours import stream_facts
from eval.metrics import Measurer
from eval.rd.encoding import decode, encode
from eval.rd.speed import measure
from gvcodec.cli import parser
from tests.eval_helpers import small_clip


@pytest.mark.parametrize("word", ["gvcodec:base=vvc", "gvcodec:base=vvc:preset=1"])
def test_a_rate_is_searched_for_with_one_strength_and_the_fastest_preset(word):
    codec = resolve([word], Options())[0]
    assert codec.quicker is not None
    searching, counting = (
        parser().parse_args(["1" if w.startswith("{") else w for w in words[3:]])
        for words in (codec.quicker, codec.encode)
    )
    assert (searching.preset, searching.fit) == (4, 0)
    assert counting.preset == (1 if "preset" in word else None) and counting.fit != 0


def test_every_option_is_one_of_encode():
    """Options of a row are those of the command line, which refuses any other."""
    command = ["encode", "in.mkv", "out.gvc"]
    values = {"base": "vvc", "scale": "1/2", "speed": "fast", "fit": "off"}
    values |= {"tokens": "on", "token-share": "0.5", "alloc": "rd", "painter": "off"}
    for name, flag in ours.FLAGS.items():
        parser().parse_args([*command, f"{flag}={values.get(name, '1')}"])
    for name in ours.SWITCHES:
        parser().parse_args([*command, f"--{name}"])
    with pytest.raises(SystemExit):
        parser().parse_args([*command, "--token-rate=1"])
    (codec,) = resolve(["gvcodec:base=gvc1d:alloc=elbo:token-share=0.5:low-delay"], Options())
    arguments = ["1" if w.startswith("{") else w for w in codec.encode[3:]]
    config = parser().parse_args(arguments)
    assert (config.alloc, config.token_share, config.low_delay) == ("elbo", 0.5, True)


def test_one_file_av1_gives_two_rows(tmp_path):
    clip = small_clip(tmp_path, frames=3)
    codec = resolve(["gvcodec:base=av1:fit=off"], Options())[0]
    rows = [f"gvcodec-av1-fitoff-{o}" for o in ("fidelity", "rendered")]
    assert [codec.row(o) for o in codec.outputs] == rows
    encoded = encode(codec, clip, 40, tmp_path / "streams")
    assert encoded.size == encoded.stream.stat().st_size
    assert len(encoded.frame_bytes) == 3 and 0 < sum(encoded.frame_bytes) < encoded.size
    assert stream_facts(encoded.stream)["base"] == "av1"
    decoded, _ = decode(codec, "fidelity", encoded, clip, tmp_path)
    assert Measurer(clip, {"psnr_y": 1})(decoded)["psnr_y"]["mean"] > 25
    before = encoded.stream.stat().st_mtime_ns
    assert encode(codec, clip, 40, tmp_path / "streams").stream.stat().st_mtime_ns == before


def test_speed_is_a_ratio_to_peers(tmp_path):
    clip = small_clip(tmp_path, frames=2)
    word = "gvcodec:base=av1:preset=10:fit=off:output=fidelity"
    steps = measure(clip, [word], 40, 1, 1, tmp_path)["steps"]
    assert steps["svtav1-ra encode"]["ratio"]["svtav1"] == 1
    for step, peer in (("encode", "x265-ra encode"), ("decode", "x265-ra decode")):
        (name,) = (n for n in steps if n.startswith("gvcodec") and n.endswith(step))
        ours, seconds = steps[name], steps[name]["seconds"][0]
        assert ours["ratio"]["x265"] == pytest.approx(steps[peer]["seconds"][0] / seconds)
        assert ours["fps"] == pytest.approx(2 / seconds)
    assert all(2e6 < step["memory"] < 4e9 for step in steps.values())
    assert all(0 < step["processor"][0] for step in steps.values())
    coded = {name for name, step in steps.items() if step["bytes"]}
    assert coded == {name for name in steps if name.endswith(" encode")}
    lines = (tmp_path / "speed" / "small-pan.csv").read_text().splitlines()
    assert len(lines) == 1 + len(steps) and len({line.count(",") for line in lines}) == 1
    shown = (tmp_path / "speed" / "small-pan.md").read_text()
    assert "speed over x265" in shown and shown.count(" GB |") == len(steps)
