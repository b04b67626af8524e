"""Sources arrive unchanged: raw names, depth, range, matrix, sets; what is missing is named."""

import av
import numpy as np
import pytest

from eval.colour import to_rgb
from eval.sequences import file_source, folder_sources
from eval.tools import EvalError, ffmpeg, run_command
from eval.video import decode_raw, open_video, prepare
from gvcodec.sink.writer import png
from tests.clips import write_pictures
from tests.conftest import planes_equal
from tests.eval_helpers import frames_of, small_clip


def random_planes(width, height, depth, seed=0):
    rng, top = np.random.default_rng(seed), 1 << depth
    half = (height + 1) // 2, (width + 1) // 2
    shapes = (height, width), half, half
    return tuple(rng.integers(0, top, s).astype(np.uint8 if depth == 8 else "<u2") for s in shapes)


@pytest.mark.parametrize(("depth", "full_range"), [(8, False), (8, True), (10, False)])
def test_lossless_file_and_y4m_hold_the_same_samples(tmp_path, depth, full_range):
    planes = [random_planes(50, 34, depth, seed) for seed in range(3)]
    frames = frames_of(planes, 50, 34, depth=depth, full_range=full_range, matrix=1)
    clip = prepare("noise", [depth, full_range], lambda: frames, 0, tmp_path)
    again = open_video(clip.file)
    assert (again.depth, again.full_range, again.matrix) == (depth, full_range, 1)
    for got, raw, want in zip(again.planes, clip.raw, planes, strict=True):
        assert planes_equal(got, want) and planes_equal(raw, want)
    words = [ffmpeg(), "-v", "error", "-i", clip.file, "-strict", "-1", tmp_path / "x.y4m"]
    run_command([*map(str, words)])
    decoded = decode_raw(tmp_path / "x.y4m", clip, tmp_path / "x.yuv")
    assert decoded.path.read_bytes() == clip.raw.path.read_bytes()


def test_ten_bit_decodes_are_rounded_to_the_source(tmp_path):
    clip = small_clip(tmp_path, frames=1)
    with open(tmp_path / "ten.y4m", "wb") as out:
        out.write(b"YUV4MPEG2 W176 H144 F25:1 Ip C420p10 XYSCSS=420P10\nFRAME\n")
        out.writelines((plane.astype("<u2") * 4 + 1).tobytes() for plane in clip.raw.planes(0))
    decoded = decode_raw(tmp_path / "ten.y4m", clip, tmp_path / "o")
    assert decoded.path.read_bytes() == clip.raw.path.read_bytes()


def test_a_decoder_that_drops_a_frame_is_found_out(tmp_path):
    clip = small_clip(tmp_path, frames=2)
    planes = b"".join(p.tobytes() for p in clip.raw.planes(0))
    (tmp_path / "one.y4m").write_bytes(b"YUV4MPEG2 W176 H144 F25:1\nFRAME\n" + planes)
    with pytest.raises(EvalError, match="1 frames instead of 2"):
        decode_raw(tmp_path / "one.y4m", clip, tmp_path / "o")


def test_grey_levels_are_the_standards():
    grey = [np.full(s, v, np.uint8) for s, v in (((4, 4), 235), ((2, 2), 128), ((2, 2), 128))]
    white = to_rgb(grey, 1, False, 8)
    assert white.max() == pytest.approx(1) and white.min() == pytest.approx(1)


@pytest.mark.parametrize("size", [(64, 48), (1280, 720)])
@pytest.mark.parametrize(
    ("codec", "layout"), [("libx264rgb", "bgr24"), ("ffv1", "bgr0"), ("png", "rgb24")]
)
def test_rgb_is_converted_by_the_matrix_of_its_tag(tmp_path, size, codec, layout):
    """Players take BT.709 for HD, BT.601 below."""
    path, (width, height) = tmp_path / "rgb.mov", size
    wanted = (192, 32, 64)
    picture = np.full((height, width, 3), wanted, np.uint8)
    path = path.with_suffix(".mkv") if codec == "ffv1" else path
    options = {"crf": "0"} if codec == "libx264rgb" else {}
    write_pictures(path, [picture], codec, pix_fmt=layout, **options)
    clip = file_source(path, "t").prepare(0, tmp_path / "out")
    assert (clip.matrix, clip.full_range) == (1 if height >= 720 else 6, False)
    shown = 255 * clip.rgb(clip.raw.planes(0))[:, height // 2, width // 2]
    assert np.abs(shown - wanted).max() < 4


def test_full_range_is_kept_where_chroma_is_thinned_out(tmp_path):
    frame = av.VideoFrame(64, 48, "yuvj422p")
    for plane, value in zip(frame.planes, (250, 128, 128), strict=True):
        plane.update(bytes([value]) * plane.buffer_size)
    write_pictures(tmp_path / "full.mkv", [frame], "mjpeg", pix_fmt="yuvj422p")
    frames = open_video(tmp_path / "full.mkv")
    assert frames.full_range and abs(int(next(frames.planes)[0][24, 32]) - 250) <= 2


def test_clips_of_one_name_get_names_of_their_own(tmp_path):
    for name, width in (("a.mkv", 32), ("a.mp4", 64), ("b.mkv", 32)):
        write_pictures(tmp_path / name, [np.zeros((32, width, 3), np.uint8)], "mpeg4")
    (tmp_path / "a").mkdir()
    for number in range(2):
        (tmp_path / "a" / f"{number}.png").write_bytes(png(np.zeros((32, 32, 3), np.uint8)))
    found = folder_sources(tmp_path, "t")
    assert sorted(source.name for source in found) == ["a", "a-mkv", "a-mp4", "b"]
    widths = {s.name: s.prepare(1, tmp_path / "out").raw.width for s in found}
    assert (widths["a-mkv"], widths["a-mp4"]) == (32, 64)
    (tmp_path / "a-mkv.mov").write_bytes((tmp_path / "a.mkv").read_bytes())
    with pytest.raises(EvalError, match="two clips are called a-mkv"):
        folder_sources(tmp_path, "t")
