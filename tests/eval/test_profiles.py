"""Profiles of papers take their frames, rates and forms; names of their sets."""

import json
from dataclasses import replace
from fractions import Fraction
from types import SimpleNamespace

import numpy as np
import pytest
from PIL import Image

from eval.__main__ import main
from eval.codecs import ENDLESS, Options, resolve
from eval.metrics import METRICS
from eval.points.profiles import PROFILES
from eval.rd.command import clips_of, profile_of
from eval.rd.encoding import encode
from eval.report import figures, tables
from eval.report.data import Results
from eval.report.published import published_deltas, published_parts
from eval.sequences import NAMED, procedural, select
from eval.tools import EvalError
from eval.video import Part, prepare
from gvcodec.bitstream import Reader
from gvcodec.bitstream.packets import Kind
from tests.eval_helpers import GREY, frames_of


def counting(path, frames, width=32, height=16):
    chroma = bytes([128]) * (width * height // 2)
    path.write_bytes(b"".join(bytes([i % 256]) * (width * height) + chroma for i in range(frames)))


def options(folder, out, **more):
    given = {"set": None, "only": [], "png_rate": Fraction(25), "frames": 0, "keyint": "endless"}
    given |= {"every": {}, "sequences": folder, "out": out, "rgb": "clip", "short": False}
    return SimpleNamespace(**given | more)


def test_odd_files_do_not_stop_a_folder(tmp_path, capsys):
    counting(tmp_path / "good_32x16_25.yuv", 2)
    counting(tmp_path / "cut_32x16_25.yuv", 2)
    with open(tmp_path / "cut_32x16_25.yuv", "ab") as file:
        file.write(b"more")
    (tmp_path / "notes.yuv").write_bytes(b"x")
    (tmp_path / "broken.mp4").write_bytes(b"no video")
    holes = tmp_path / "holes"
    holes.mkdir()
    for number in (1, 3):
        Image.new("RGB", (32, 16)).save(holes / f"{number}.png")
    clips = clips_of(options(tmp_path, tmp_path / "out"))
    assert [clip.name for clip in clips] == ["good"]
    left_out = [li for li in capsys.readouterr().err.splitlines() if li.endswith("; left out")]
    names = ("notes.yuv: a raw file is named", "broken.mp4: cannot be read")
    for words in (*names, "no whole 32x16", "PNG 2 is missing"):
        assert sum(words in line for line in left_out) == 1, words
    with pytest.raises(EvalError, match=r"broken\.mp4: cannot be read"):
        clips_of(options(tmp_path, tmp_path / "out", only=["broken"]))


def test_a_folder_of_numbered_pngs_is_a_clip(tmp_path):
    colours = [(200, 60, 60), (60, 200, 60), (60, 60, 200)]
    for folder in ("a", "b"):
        (tmp_path / folder).mkdir()
        for number, colour in enumerate(colours, 9):
            Image.new("RGB", (34, 18), colour).save(tmp_path / folder / f"im{number}.png")
    sources = select(None, tmp_path, [], Fraction(30000, 1001))
    assert [source.name for source in sources] == ["a", "b"]
    clip = sources[0].prepare(0, tmp_path / "out")
    facts = clip.raw.width, clip.raw.height, clip.raw.frames, clip.fps
    assert facts == (34, 18, 3, Fraction(30000, 1001))
    for planes, colour in zip(clip.raw, colours, strict=True):
        assert np.abs(255 * clip.rgb(planes).mean((1, 2)) - colour).max() < 3
    # Metrics in RGB compare with the pictures themselves, not with what codecs get.
    assert np.array_equal(np.rint(255 * clip.reference(1)[:, 5, 5]), colours[1])
    assert clip.describe()["rgb"] == "its own PNGs"
    assert [source.name for source in select(None, tmp_path / "b", [])] == ["b"]
    Image.new("RGB", (32, 18)).save(tmp_path / "b/im12.png")
    with pytest.raises(EvalError, match="im12.png: 32x18 instead of 34x18"):
        select(None, tmp_path / "b", [])[0].prepare(0, tmp_path / "out")


def sparse(path, frames=1, width=1920, height=1080):
    with open(path, "wb") as file:
        file.truncate(width * height * 3 // 2 * frames)


def test_uvg_is_found_by_its_names(tmp_path):
    for name in NAMED["uvg"]:
        name = {"ReadySteadyGo": "ReadySetGo"}.get(name, name)
        sparse(tmp_path / f"{name}_1920x1080_120fps_420_8bit_YUV.yuv")
    sparse(tmp_path / "Beauty_0_3840x2160_120.yuv", width=3840, height=2160)
    (tmp_path / "ReadMe.yuv").write_bytes(b"x")
    sources = select("uvg", tmp_path, [])
    assert [source.name for source in sources] == list(NAMED["uvg"]) and len(sources) == 7
    facts = {(s.open().width, s.open().fps, s.set_name) for s in sources}
    assert facts == {(1920, Fraction(120), "uvg")}
    jockey = tmp_path / "Jockey_1920x1080_120fps_420_8bit_YUV.yuv"
    jockey.rename(tmp_path / "Jockey_1920x1080_30.yuv")
    with pytest.raises(EvalError, match=r"Jockey is 1920x1080 at 30 instead of 1920x1080 at 120"):
        select("uvg", tmp_path, [])
    assert [source.name for source in select("uvg", tmp_path, ["Honey"])] == ["HoneyBee"]


def test_gvc1d_takes_the_first_96_frames_and_no_fewer(tmp_path, capsys):
    counting(tmp_path / "long_32x16_50.yuv", 100)
    counting(tmp_path / "short_32x16_50.yuv", 95)
    more = {"frames": 96, "profile": "gvc1d", "codecs": ["gvcodec", "x265"]}
    given = options(tmp_path, tmp_path / "out", **more)
    given.targets = (0.005, 0.01, 0.02, 0.04, 0.08)
    profile = profile_of(given)
    (clip,) = clips_of(given, profile)
    assert clip.name == "long" and [int(planes[0][0, 0]) for planes in clip.raw] == list(range(96))
    assert "short: 95 frames, --profile gvc1d takes 96; left out" in capsys.readouterr().err
    assert given.every == {"": 1} and given.targets == (0.003, 0.004, 0.0057, 0.0075)
    assert given.codecs == ["gvcodec:low-delay", "x265-ld"]
    with pytest.raises(EvalError, match="short: 95 frames"):
        clips_of(SimpleNamespace(**vars(given) | {"only": ["short"]}), profile)


def test_gvc_rt_takes_every_fourth_frame_at_30_a_second(tmp_path, capsys):
    counting(tmp_path / "long_32x16_120.yuv", 254)
    counting(tmp_path / "short_32x16_120.yuv", 252)
    given = options(tmp_path, tmp_path / "out", frames=96, profile="gvc-rt", codecs=["x265"])
    given.targets = (0.005, 0.01, 0.02, 0.04, 0.08)
    (clip,) = clips_of(given, profile_of(given))
    assert [int(planes[0][0, 0]) for planes in clip.raw] == list(range(0, 253, 4))
    assert clip.fps == 30 and clip.raw.frames == 64 and clip.pixels == 64 * 32 * 16
    printed = capsys.readouterr().err
    assert "short: 63 frames, one in 4, --profile gvc-rt takes 64; left out" in printed


def test_a_part_of_a_folder_of_pngs_keeps_its_references(tmp_path):
    for number in range(6):
        Image.new("RGB", (32, 16), (40 * number,) * 3).save(tmp_path / f"{number}.png")
    clip = select(None, tmp_path, [])[0].prepare(Part(2, 3, Fraction(8)), tmp_path / "out")
    assert clip.raw.frames == 2 and clip.fps == 8
    assert 255 * clip.reference(1)[0, 0, 0] == pytest.approx(120)


def test_default_codecs_of_a_profile(tmp_path):
    for name, profile in PROFILES.items():
        short = name == "short"
        asked = None if short else name
        given = options(None, tmp_path, frames=96, profile=asked, codecs=None, short=short)
        given.targets = (0.005, 0.01, 0.02, 0.04, 0.08)
        profile_of(given)
        assert given.codecs == profile.low_delay(profile.codecs) and len(given.codecs) > 1
        assert ("gvcodec:base=gvc1d:low-delay" in given.codecs) == (name == "gvc1d")


def test_rgb_as_dcvc_makes_it(tmp_path):
    """BT.709 in full range whatever the clip says; chroma runs from corner to corner."""
    y = np.full((4, 6), 130, np.uint8)
    u, v = np.array([[100, 120, 140], [110, 130, 150]], np.uint8), np.full((2, 3), 128, np.uint8)
    clip = prepare("one", ["one"], lambda: frames_of([(y, u, v)], 6, 4), 0, tmp_path)
    by_tags, by_dcvc = clip.rgb((y, u, v)), replace(clip, rgb_by="dcvc").rgb((y, u, v))
    columns = np.interp(np.arange(6) * 2 / 5, (0, 1, 2), (100, 120, 140))
    blue = (130 + 2 * (1 - 0.0722) * (columns - 128)) / 255
    assert np.abs(by_dcvc[2, 0] - blue).max() < 0.001 and np.abs(by_tags - by_dcvc).max() > 0.03
    assert clip.identity != replace(clip, rgb_by="dcvc").identity


def test_every_codec_of_a_profile_is_low_delay_with_one_intra_frame():
    given = ["gvcodec", "gvcodec:base=vvc:fit=off", "gvcodec:base=gvc1d", "x265", "aom-ld"]
    words = PROFILES["gvc1d"].low_delay(given)
    assert words[1:3] == ["gvcodec:base=vvc:fit=off:low-delay", "gvcodec:base=gvc1d:low-delay"]
    codecs = resolve(words, Options())
    assert {codec.delay for codec in codecs} == {"low"}
    for codec in codecs[:3]:
        assert "--keyint 0" in " ".join(codec.encode)
    assert "scenecut=0" in " ".join(codecs[3].encode)
    with pytest.raises(EvalError, match="x265-ld instead of x265-ra"):
        PROFILES["gvc1d"].low_delay(["x265-ra"])


@pytest.mark.parametrize("base", ["av1", "av1:low-delay"])
def test_gvcodec_has_one_intra_frame_also_over_a_cut(tmp_path, base):
    first = list(procedural("pan", 96, 64, 24).planes)
    second = [tuple(255 - p for p in planes) for planes in procedural("noise", 96, 64, 16).planes]
    clip = prepare("cut", ["cut"], lambda: frames_of(first + second, 96, 64), 0, tmp_path)
    for keyint, keys in ((ENDLESS, 1), (ENDLESS - 1, 2)):
        word = f"gvcodec:preset=10:fit=off:base={base}:output=fidelity"
        codec = resolve([word], Options(keyint=keyint))[0]
        with open(encode(codec, clip, 40, tmp_path / "streams").stream, "rb") as file:
            kinds = [packet.kind for packet in Reader(file).packets() if packet.is_frame]
        assert (kinds.count(Kind.KEY), len(kinds)) == (keys, 40)


def test_a_profile_runs_and_its_report_says_so(tmp_path):
    counting(tmp_path / "one_160x96_120.yuv", 256, 160, 96)
    (tmp_path / "grey.toml").write_text(GREY)
    words = ["rd", "--sequences", tmp_path, "--profile", "gvc-rt"]
    words += ["--codecs", "grey", "--metrics", "psnr_y"]
    words += ["--codec-file", tmp_path / "grey.toml", "--jobs", 1, "--out", tmp_path / "out"]
    assert main([*map(str, words)]) == 0
    curve = json.loads((tmp_path / "out/curves/one__grey.json").read_text())
    assert curve["profile"] == "gvc-rt" and list(curve["targets"]) == ["0.0293", "0.0105", "0.0035"]
    runs = [json.loads(path.read_text()) for path in (tmp_path / "out/runs").iterdir()]
    assert all(len(run["metrics"]["psnr_y"]["values"]) == 64 for run in runs)
    assert all(run["clip"]["rgb"] == "dcvc" for run in runs)
    text = (tmp_path / "out/report.md").read_text()
    assert "Conditions of profile gvc-rt: 64 frames (0, 4, … 252 at 30 a second), low" in text
    assert "RGB by BT.709 in full range" in text and "BD-rates over all common rates" in text


def results_of(set_name, clips, profile):
    clip = {"frames": 96, "set": set_name, "stand_in": False}
    run = {"bpp": 0.004, "metrics": {"lpips_alex": {"mean": 0.2}, "dists": {"mean": 0.1}}}
    rows = {"ours": {"label": "ours", "family": "x264", "output": "", "delay": "low"}}
    points = {name: {"ours": {0.004: run}} for name in clips}
    results = Results(dict.fromkeys(clips, clip), rows, points)
    results.profile = PROFILES.get(profile)
    return results


def test_published_points_stand_beside_measured_ones_on_the_papers_clips_alone():
    alex, dists = METRICS["lpips_alex"], METRICS["dists"]
    uvg = results_of("uvg", NAMED["uvg"], "gvc-rt")
    for metric in (alex, dists):
        assert "GVC-RT (published)" in figures.rd_chart(uvg, metric)
    assert "published" not in figures.rd_chart(uvg, METRICS["psnr_y"])
    hevc = results_of("hevc-b", NAMED["hevc-b"], "gvc1d")
    for metric in (alex, dists):
        chart = figures.rd_chart(hevc, metric)
        for name in ("GVC1D", "GLC-Video", "VTM", "HM", "DCVC-FM"):
            assert f"{name} (published)" in chart
    names = list(NAMED["uvg"])
    others = ("uvg", names, None), ("uvg", names[1:], "gvc-rt")
    for case in (*others, ("uvg", names, "gvc1d"), ("folder", names, "gvc-rt")):
        assert "published" not in figures.rd_chart(results_of(*case), alex)


def test_gvc1d_s_curves_are_those_of_glc_at_lower_rates():
    hevc = results_of("hevc-b", NAMED["hevc-b"], "gvc1d")
    for metric, part in (("lpips_alex", 1 - 0.604), ("dists", 1 - 0.688)):
        published = hevc.find_published(metric)
        pairs = zip(published["GVC1D"], published["GLC-Video"], strict=True)
        for (bpp, value), (glc_bpp, glc_value) in pairs:
            assert bpp == pytest.approx(part * glc_bpp, abs=5e-5) and value == glc_value
    assert [bpp for bpp, _ in hevc.find_published("lpips_alex")["GVC1D"]] == [
        0.0029,
        0.0041,
        0.0057,
        0.0074,
    ]
    assert "−68.8 %" in hevc.profile.notes


def twice_the_rate(results):
    """Rows "ours" with GLC-Video's published quality at twice its rate, on every clip."""
    glc = results.profile.published["GLC-Video"]
    points = {
        target: {
            "bpp": 2 * bpp,
            "metrics": {"lpips_alex": {"mean": lpips}, "dists": {"mean": dists}},
        }
        for target, (bpp, lpips, dists) in zip((1.0, 2.0, 3.0, 4.0), glc, strict=True)
    }
    results.runs = {clip: {"ours": points} for clip in results.clips}
    return results


def test_bd_rates_against_published_curves_on_hevc_class_b_alone():
    hevc = twice_the_rate(results_of("hevc-b", NAMED["hevc-b"], "gvc1d"))
    deltas = {(name, metric): value for name, _, metric, value in published_deltas(hevc)}
    assert deltas["GLC-Video", "lpips_alex"] == pytest.approx(100, abs=0.1)
    assert deltas["GLC-Video", "dists"] == pytest.approx(100, abs=0.1)
    # GVC1D's rates are rounded to four digits.
    assert deltas["GVC1D", "dists"] == pytest.approx(100 * (2 / 0.312 - 1), rel=0.02)
    # The others have fewer than four points.
    assert {name for name, _ in deltas} == {"GLC-Video", "GVC1D"}
    text = "\n".join(published_parts(hevc))
    assert "| ours | GLC-Video (published, other machine) | +100.0 % | +100.0 % |" in text
    assert "DCVC-FM (published" not in text and "fewer than 4 points" in text
    for clips in (list(NAMED["hevc-b"])[1:], ["generated-Kimono1"]):
        name = "generated" if clips[0].startswith("generated") else "hevc-b"
        other = twice_the_rate(results_of(name, clips, "short" if len(clips) == 1 else "gvc1d"))
        assert published_deltas(other) == []
        assert "other machine) |" not in "\n".join(published_parts(other))
    assert published_deltas(results_of("uvg", NAMED["uvg"], "gvc-rt")) == []


def test_bd_rates_of_a_profile_go_over_all_rates():
    results = results_of("uvg", ["a"], "gvc1d")
    runs = {}
    for row, factor in (("ours", 1), ("double", 2)):
        points = [(0.003, 0.2), (0.0035, 0.19), (0.004, 0.18), (0.0046, 0.17)]
        runs[row] = {  # rates inside the range were asked for, lower ones found
            10 * b: {"bpp": factor * b, "metrics": {"lpips_alex": {"mean": v}}} for b, v in points
        }
    results.runs = {"a": runs}
    delta = tables.clip_deltas(results, "ours", "double", METRICS["lpips_alex"])["a"]
    assert delta.percent == pytest.approx(100, abs=0.5)
    results.profile = None
    assert tables.clip_deltas(results, "ours", "double", METRICS["lpips_alex"])["a"].percent is None


def test_mcl_jcv_has_thirty_clips_of_any_rate(tmp_path, capsys):
    for number in range(1, 31):
        sparse(tmp_path / f"videoSRC{number:02}_1920x1080_{24 + number % 7}.yuv")
    names = [f"videoSRC{number:02}" for number in range(1, 31)]
    assert [source.name for source in select("mcl-jcv", tmp_path, [])] == names
    (tmp_path / "videoSRC30_1920x1080_26.yuv").unlink()
    assert [source.name for source in select("mcl-jcv", tmp_path, [])] == names[:-1]
    assert "videoSRC30 is missing" in capsys.readouterr().err
    with pytest.raises(EvalError, match="videoSRC30 is missing"):
        select("mcl-jcv", tmp_path, ["videoSRC30"])
