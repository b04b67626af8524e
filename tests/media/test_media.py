"""Reading and writing video: samples, timestamps, colour tags and audio survive."""

import gc
from dataclasses import replace
from fractions import Fraction
from pathlib import Path

import av
import numpy as np
import pytest

import gvcodec
from gvcodec.bitstream.metadata import printable
from gvcodec.errors import MediaError, UsageError
from gvcodec.planes import frame_from_planes, planes_from_frame, rgb_from_planes
from gvcodec.sink.writer import open_writer, visually_lossless
from gvcodec.source.reader import VideoReader
from gvcodec.source.side_data import side_data
from gvcodec.types import Colour, Planes
from tests.clips import (
    add_video,
    ffmpeg,
    format_of,
    make_clip,
    packets_of,
    put_planes,
    read_film,
    sound_of,
    write_clip,
    write_pictures,
)
from tests.conftest import clips_equal, planes_equal, psnr

BT709 = Colour(1, 1, 1)


def crop(clip: list[Planes], width: int, height: int) -> list[Planes]:
    whole, half = np.s_[:height, :width], np.s_[: (height + 1) // 2, : (width + 1) // 2]
    return [(y[whole], u[half], v[half]) for y, u, v in clip]


@pytest.mark.parametrize("depth", [8, 10])
@pytest.mark.parametrize("size", [(96, 80), (95, 79)])
@pytest.mark.parametrize("name", ["a.mp4", "a.mkv", "a.mov", "a.y4m"])
def test_written_video_is_read_back_exactly(tmp_path, clip, name, size, depth):
    frames = crop(clip[:5], *size)
    if depth == 10:
        frames = [tuple(plane + 1 for plane in planes) for planes in frames]
    write_clip(tmp_path / name, frames, format_of(frames, depth))
    found, times, reader = read_film(tmp_path / name)
    assert clips_equal(found, frames) and reader.format.bit_depth == depth
    if name.endswith("4m"):
        return
    assert reader.format.colour == BT709 and times == [Fraction(n, 25) for n in range(5)]


@pytest.mark.parametrize("depth", [8, 10])
@pytest.mark.parametrize("suffix", [".mp4", ".mkv", ".mov", ".webm"])
def test_odd_sizes_look_like_their_source_in_every_file(tmp_path, clip, suffix, depth) -> None:
    frames, path = crop(clip[:5], 95, 79), tmp_path / f"a{suffix}"
    fmt = format_of(frames, depth)
    write_clip(path, frames, fmt, crf=visually_lossless(path, fmt))
    found, times, reader = read_film(path)
    assert reader.format.bit_depth >= depth and times == [Fraction(n, 25) for n in range(5)]
    for written, wanted in zip(found, frames, strict=True):
        assert psnr(written, wanted) > 40


@pytest.mark.parametrize(("depth", "codec"), [(8, "vp9"), (10, "libdav1d")])
def test_webm_looks_like_its_source(tmp_path, clip, depth: int, codec: str) -> None:
    path, fmt = tmp_path / "a.webm", format_of(clip, depth)
    write_clip(path, clip[:5], fmt, crf=visually_lossless(path, fmt))
    with av.open(str(path)) as container:
        assert container.streams.video[0].codec_context.name == codec
    found, times, reader = read_film(path)
    assert reader.format.bit_depth == depth and times == [Fraction(n, 25) for n in range(5)]
    for written, wanted in zip(found, clip, strict=False):
        assert psnr(written, wanted) > 40


@pytest.mark.parametrize("suffix", [".avi", ".ts", ".flv", ".gif", ".apng", ".m4v"])
def test_other_files_have_all_frames_at_their_times(tmp_path, clip, suffix) -> None:
    path = tmp_path / f"a{suffix}"
    write_clip(path, clip[:5], crf=visually_lossless(path, format_of(clip)))
    found, times, _ = read_film(path)
    assert times == [Fraction(n, 25) for n in range(5)]
    for written, wanted in zip(found, clip, strict=False):
        assert psnr(written, wanted) > 30


@pytest.mark.parametrize("suffix", [".avi", ".flv"])
def test_ten_bits_are_refused_where_players_find_no_h265(tmp_path, clip, suffix: str) -> None:
    with pytest.raises(UsageError, match="no 10-bit video"):
        write_clip(tmp_path / f"a{suffix}", clip[:2], format_of(clip, 10), crf=13)
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("suffix", [".ts", ".flv"])
def test_odd_sizes_are_refused_where_no_codec_has_them(tmp_path, clip, suffix: str) -> None:
    with pytest.raises(UsageError, match="no pictures of odd size"):
        write_clip(tmp_path / f"a{suffix}", crop(clip[:2], 95, 79), crf=12)
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("suffix", [".mp4", ".mkv", ".mov", ".webm"])
def test_subsampled_chroma_that_calls_itself_rgb_is_written(tmp_path, clip, suffix) -> None:
    path, fmt = tmp_path / f"a{suffix}", replace(format_of(clip), colour=Colour(1, 1, 0))
    with open_writer(path, fmt, crf=visually_lossless(path, fmt)) as writer:
        for number, planes in enumerate(clip[:3]):
            writer.write(planes, number)
    assert len(read_film(path).planes) == 3
    assert any("matrix" in note for note in writer.notes) == (suffix == ".webm")


def test_timestamps_and_aspect_ratio_survive(tmp_path, clip: list[Planes]) -> None:
    times = [0, 40, 81, 200, 240, 280]
    fmt = replace(format_of(clip), sar=Fraction(4, 3), time_base=Fraction(1, 1000))
    for name in ("a.mp4", "a.mkv"):
        with open_writer(tmp_path / name, fmt) as writer:
            for planes, time in zip(clip[:6], times, strict=True):
                writer.write(planes, time)
        film = read_film(tmp_path / name)
        assert [1000 * time for time in film.seconds] == times
        assert film.reader.format.sar == Fraction(4, 3)


def test_numbered_images(tmp_path, clip: list[Planes]) -> None:
    write_clip(tmp_path / "f%03d.png", clip[:3])
    assert sorted(path.name for path in tmp_path.iterdir()) == ["f000.png", "f001.png", "f002.png"]
    ((planes,), _, reader) = read_film(tmp_path / "f001.png")
    # 96×80 RGB comes back as BT.601, the clip was BT.709: compare in RGB.
    image = rgb_from_planes(planes, reader.format.colour).astype(int)
    assert np.abs(image - rgb_from_planes(clip[1], BT709)).mean() < 2
    with pytest.raises(UsageError):
        write_clip(tmp_path / "a%s.png", clip[:1])
    with pytest.raises(MediaError, match="number"):
        write_clip(tmp_path / "one.png", clip[:2])


@pytest.mark.parametrize(
    ("codec", "pix_fmt", "note"),
    [
        ("ffv1", "yuv444p", "4:2:0"),
        ("ffv1", "yuv422p10le", "4:2:0"),
        ("ffv1", "bgr0", "BT.601"),
        ("ffv1", "yuva420p", "alpha"),
        ("ffv1", "yuv420p12le", "12 bits"),
        ("ffv1", "gray", "gray"),
        ("ffv1", "gray16le", "16 bits"),
        ("mjpeg", "yuvj420p", ""),
    ],
)
def test_other_pixel_formats_are_converted(tmp_path, codec: str, pix_fmt: str, note: str) -> None:
    x, y = np.meshgrid(np.arange(64), np.arange(48))
    parts = ([3 * x + 9 * n, 4 * y, 2 * x + 2 * y] for n in range(3))
    pictures = [(np.stack(part, -1) % 256).astype(np.uint8) for part in parts]
    write_pictures(tmp_path / "a.mkv", pictures, codec, pix_fmt=pix_fmt)
    frames, _, reader = read_film(tmp_path / "a.mkv")
    assert note in " ".join(reader.notes)
    for planes, picture in zip(frames, pictures, strict=True):
        found = rgb_from_planes(planes, reader.format.colour).astype(int)
        if pix_fmt.startswith("gray"):
            # swscale made the picture with full range, tagged as such or not: compare up to an
            # affine change.
            luma = picture @ np.array([0.299, 0.587, 0.114])
            assert np.corrcoef(luma.ravel(), planes[0].ravel())[0, 1] > 0.999
            assert all(np.all(plane == 512) for plane in planes[1:])
        else:
            # Chroma subsampling costs most at the saw-tooth edges.
            assert np.median(np.abs(found - picture)) <= 6


def with_audio(path: Path, clip: list[Planes]) -> None:
    """A file with 0.8 s of video and AAC."""
    with av.open(str(path), "w") as container:
        video = add_video(container, 96, 80)
        audio = container.add_stream("aac", rate=44100, layout="mono")
        put_planes(container, video, clip)
        for number in range(len(clip)):
            tone = np.sin(np.arange(1764) * 0.1 + number).astype(np.float32)[None, :] / 4
            container.mux(audio.encode(sound_of(tone, 44100, 1764 * number)))
        container.mux(audio.encode(None))


def test_folders_and_sound_are_refused(tmp_path) -> None:
    with pytest.raises(MediaError, match="folder"):
        VideoReader(tmp_path)
    with av.open(str(tmp_path / "a.wav"), "w") as container:
        stream = container.add_stream("pcm_s16le", rate=8000, layout="mono")
        container.mux(stream.encode(sound_of(np.zeros((1, 800), np.int16), 8000)))
    with pytest.raises(MediaError, match="no video"):
        VideoReader(tmp_path / "a.wav")


def test_frames_without_timestamps_get_the_nominal_rate(tmp_path, clip: list[Planes]) -> None:
    write_pictures(tmp_path / "a.h264", clip[:4])
    _, times, reader = read_film(tmp_path / "a.h264")
    steps = np.diff([*map(float, times)])
    assert np.allclose(steps, float(1 / reader.format.frame_rate), atol=1e-3)


def test_frames_do_not_wait_for_the_garbage_collector(tmp_path, clip: list[Planes]) -> None:
    path = tmp_path / "a.mkv"
    write_clip(path, clip)
    gc.collect()
    gc.disable()
    try:
        with VideoReader(path) as reader:
            most = max(sum(isinstance(o, av.VideoFrame) for o in gc.get_objects()) for _ in reader)
    finally:
        gc.enable()
    assert most <= 6 < len(clip)


@pytest.mark.parametrize("bit_depth", [8, 10])
def test_a_frame_filled_anew_has_the_new_samples_and_spares_other_holders(bit_depth: int) -> None:
    first, second = make_clip(70, 50, 2)
    frame = frame_from_planes(first, bit_depth)
    place = frame.planes[0].buffer_ptr
    again = frame_from_planes(second, bit_depth, frame)
    assert again is frame and frame.planes[0].buffer_ptr == place
    wanted = frame_from_planes(second, bit_depth)
    assert planes_equal(planes_from_frame(again), planes_from_frame(wanted))
    # A filter holds what it was given.
    graph = av.filter.Graph()
    size = {"width": 70, "height": 50, "format": frame.format, "time_base": Fraction(1, 25)}
    graph.link_nodes(graph.add_buffer(**size), graph.add("buffersink")).configure()
    graph.push(frame)
    frame_from_planes(first, bit_depth, frame)
    assert planes_equal(planes_from_frame(graph.pull()), planes_from_frame(wanted))


def test_side_data_is_read_by_its_kind() -> None:
    """Iterating gives values in PyAV 18, keys in 19."""
    frame = av.VideoFrame(64, 48, "yuv420p")
    assert side_data(frame) == {}
    encoder = av.CodecContext.create("libx264", "w")
    encoder.width, encoder.height, encoder.pix_fmt = 64, 48, "yuv420p"
    encoder.time_base, encoder.options = 1, {"udu_sei": "1"}
    decoder = av.CodecContext.create("h264", "r")
    packets = [*encoder.encode(frame), *encoder.encode(None)]
    (decoded,) = [f for packet in [*packets, None] for f in decoder.decode(packet)]
    assert [bytes(data)[16:20] for data in side_data(decoded).values()] == [b"x264"]


def test_texts_that_are_no_unicode_are_shown_by_the_sign_for_it() -> None:
    """PyAV 19 gives other bytes as surrogates, 18 as the sign."""
    assert printable("caf\udce9\n") == printable("caf\ufffd") == "caf\ufffd"


@pytest.mark.parametrize("suffix", [".mp4", ".mkv", ".mov", ".webm"])
def test_subtitles_of_mp4_come_back_in_every_file(tmp_path, suffix: str) -> None:
    (tmp_path / "a.srt").write_text("1\n00:00:00,100 --> 00:00:00,300\nHello\n")
    inputs = "-f", "lavfi", "-i", "color=s=64x48:r=25:d=0.4", "-i", tmp_path / "a.srt"
    ffmpeg(*inputs, "-c:v", "libx264", "-c:s", "mov_text", tmp_path / "a.mp4")
    gvcodec.encode_file(tmp_path / "a.mp4", tmp_path / "a.gvc", q=55, preset=10, fit=0)
    gvcodec.decode_file(tmp_path / "a.gvc", tmp_path / f"b{suffix}", fidelity=True)
    packets = [p for p in packets_of(tmp_path / f"b{suffix}", "subtitles") if p.size > 2]
    assert [b"Hello" in bytes(packet) for packet in packets] == [True]
    assert float(packets[0].pts * packets[0].time_base) == pytest.approx(0.1, abs=0.002)
