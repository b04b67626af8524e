"""Sources arrive unchanged: raw names, depth, range, matrix, sets, and clear words where something
is missing."""

from fractions import Fraction

import numpy as np
import pytest

pytest.importorskip("imageio_ffmpeg")

from eval.colour import to_planes, to_rgb
from eval.sequences import NAMED, file_source, known_rate, select
from eval.tools import EvalError, ffmpeg, run_command
from eval.video import decode_raw, open_video, prepare
from tests.eval_helpers import frames_of, small_clip


def random_planes(width, height, depth, seed=0):
    rng, top = np.random.default_rng(seed), 1 << depth
    shapes = (
        (height, width),
        ((height + 1) // 2, (width + 1) // 2),
        ((height + 1) // 2, (width + 1) // 2),
    )
    return tuple(rng.integers(0, top, s).astype(np.uint8 if depth == 8 else "<u2") for s in shapes)


@pytest.mark.parametrize(("depth", "full_range"), [(8, False), (8, True), (10, False)])
def test_lossless_file_and_y4m_hold_the_same_samples(tmp_path, depth, full_range):
    planes = [random_planes(50, 34, depth, seed) for seed in range(3)]
    frames = frames_of(planes, 50, 34, depth=depth, full_range=full_range, matrix=1)
    clip = prepare("noise", [depth, full_range], lambda: frames, 0, tmp_path)
    again = open_video(clip.file)
    assert (again.depth, again.full_range, again.matrix) == (depth, full_range, 1)
    for got, raw, want in zip(again.planes, clip.raw, planes, strict=True):
        assert all(
            np.array_equal(a, b) and np.array_equal(c, b)
            for a, b, c in zip(got, want, raw, strict=True)
        )
    run_command(
        [ffmpeg(), "-v", "error", "-i", str(clip.file), "-strict", "-1", str(tmp_path / "x.y4m")]
    )
    decoded = decode_raw(tmp_path / "x.y4m", clip, tmp_path / "x.yuv")
    assert decoded.path.read_bytes() == clip.raw.path.read_bytes()


def test_ten_bit_decodes_are_rounded_to_the_source(tmp_path):
    clip = small_clip(tmp_path, frames=1)
    with open(tmp_path / "ten.y4m", "wb") as out:
        out.write(b"YUV4MPEG2 W176 H144 F25:1 Ip C420p10 XYSCSS=420P10\nFRAME\n")
        out.writelines((plane.astype("<u2") * 4 + 1).tobytes() for plane in clip.raw.planes(0))
    assert (
        decode_raw(tmp_path / "ten.y4m", clip, tmp_path / "o").path.read_bytes()
        == clip.raw.path.read_bytes()
    )


def test_a_decoder_that_drops_a_frame_is_found_out(tmp_path):
    clip = small_clip(tmp_path, frames=2)
    planes = b"".join(p.tobytes() for p in clip.raw.planes(0))
    (tmp_path / "one.y4m").write_bytes(b"YUV4MPEG2 W176 H144 F25:1\nFRAME\n" + planes)
    with pytest.raises(EvalError, match="1 frames instead of 2"):
        decode_raw(tmp_path / "one.y4m", clip, tmp_path / "o")


def test_raw_names(tmp_path):
    path = tmp_path / "Some_Clip_64x48_29.97_10bit.yuv"
    path.write_bytes(bytes(64 * 48 * 3 * 2))
    source = file_source(path, "x")
    frames = source.open()
    assert (source.name, frames.fps, frames.depth) == ("Some_Clip", Fraction(30000, 1001), 10)
    assert source.prepare(1, tmp_path / "o").raw.frames == 1
    assert known_rate("50") == 50 and known_rate("12.5") == Fraction(25, 2)
    path.rename(tmp_path / "nameless.yuv")
    with pytest.raises(EvalError, match="NAME_WxH_FPS"):
        file_source(tmp_path / "nameless.yuv", "x")


def test_hevc_b_says_what_is_missing(tmp_path):
    name = "BasketballDrive_1920x1080_50.yuv"
    (tmp_path / name).write_bytes(bytes(1920 * 1080 * 3 // 2))
    (tmp_path / "Kimono_480x270_24.yuv").write_bytes(bytes(480 * 270 * 3 // 2))
    with pytest.raises(EvalError) as error:
        select("hevc-b", tmp_path, [])
    assert all(name in str(error.value) for name in NAMED["hevc-b"] if name != "BasketballDrive")
    assert "BasketballDrive" not in str(error.value)
    with pytest.raises(EvalError, match="--sequences"):
        select("hevc-b", None, [])


@pytest.mark.parametrize("matrix", [1, 6, 9])
@pytest.mark.parametrize("full_range", [False, True])
def test_colours_survive_the_way_back(matrix, full_range):
    colours = np.random.default_rng(0).uniform(0.1, 0.9, 3).astype(np.float32)
    picture = np.broadcast_to(colours[:, None, None], (3, 15, 22))
    back = to_rgb(to_planes(picture, matrix, full_range), matrix, full_range, 8)
    assert np.abs(back - picture).max() < 0.012


def test_grey_levels_are_the_standards():
    grey = [np.full(s, v, np.uint8) for s, v in (((4, 4), 235), ((2, 2), 128), ((2, 2), 128))]
    assert to_rgb(grey, 1, False, 8).max() == pytest.approx(1) and to_rgb(
        grey, 1, False, 8
    ).min() == pytest.approx(1)
