"""`gvcodec decode`: files that play everywhere, HDR metadata, exit codes, missing parts."""

import io
import json
import resource
from dataclasses import replace
from fractions import Fraction
from pathlib import Path

import av
import numpy as np
import pytest

import gvcodec
from gvcodec.bitstream.metadata import Chapter, Metadata
from gvcodec.bitstream.varint import encode_var
from gvcodec.errors import DamagedStreamError
from gvcodec.planes import planes_from_frame
from gvcodec.source.reader import VideoReader
from gvcodec.types import Planes
from tests.clips import (
    add_video,
    ffmpeg,
    format_of,
    make_clip,
    put_planes,
    read_film,
    write_clip,
)
from tests.conftest import (
    clips_equal,
    coded,
    in_process,
    metadata_of,
    piped,
    psnr,
    run,
    run_without_torch,
    without_painted_hash,
)

WIDTH, HEIGHT = 160, 128


@pytest.fixture(scope="module")
def frames() -> list[Planes]:
    return make_clip(WIDTH, HEIGHT, 10, seed=5)


def stream_of(frames: list[Planes], depth: int = 8) -> bytes:
    settings = {"base_q": 20, "base": "av1", "preset": 10, "keyint": 4, "fit": 0, "threads": 1}
    return coded(format_of(frames, depth), frames, False, **settings)


@pytest.mark.parametrize(("width", "height"), [(301, 271), (1, 1)])
def test_matroska_on_a_pipe_takes_pictures_of_any_size(width, height):
    """FFV1 refuses four slices of some of these."""
    data = stream_of(make_clip(width, height, 2))
    shown = piped("decode", "-", "-", "-f", "matroska", "--fidelity", data=data)
    with av.open(io.BytesIO(shown)) as container:
        frames = [planes_from_frame(frame) for frame in container.decode(video=0)]
    assert clips_equal(frames, gvcodec.decode_planes(data, fidelity=True))


@pytest.mark.parametrize(
    ("suffix", "depth", "tag", "profile", "pix_fmt"),
    [
        ("mp4", 8, "avc1", "High", "yuv420p"),
        ("mov", 10, "hvc1", "Main 10", "yuv420p10le"),
        ("mkv", 10, "", "Main 10", "yuv420p10le"),
    ],
)
def test_the_default_file_plays_everywhere(tmp_path, frames, suffix, depth, tag, profile, pix_fmt):
    (tmp_path / "a.bin").write_bytes(stream_of(frames, depth))
    out, exact = tmp_path / f"a.{suffix}", tmp_path / f"b.{suffix}"
    run("decode", tmp_path / "a.bin", out, "--fidelity")
    run("decode", tmp_path / "a.bin", exact, "--fidelity", "--lossless")
    with av.open(str(out)) as container:
        context = container.streams.video[0].codec_context
        assert (context.profile, context.pix_fmt) == (profile, pix_fmt)
        assert suffix == "mkv" or context.codec_tag == tag
    if suffix != "mkv":
        data = out.read_bytes()
        assert 0 < data.index(b"moov") < data.index(b"mdat")
    shown, lossless = read_film(out).planes, read_film(exact).planes
    wanted = list(gvcodec.decode_planes((tmp_path / "a.bin").read_bytes(), fidelity=True))
    assert len(wanted) == 10 and clips_equal(lossless, wanted)
    assert np.mean([psnr(*pair) for pair in zip(shown, lossless, strict=True)]) > 44.5
    assert out.stat().st_size < exact.stat().st_size / 1.5


def test_painting_and_searching_need_no_torch(tmp_path, frames: list[Planes]) -> None:
    """Encoded, checked, decoded and searched by processes that cannot import torch: as with it."""
    y4m, given = tmp_path / "in.y4m", tmp_path / "given.gvc"
    write_clip(y4m, frames[:4])
    printed = run_without_torch(
        ["encode", y4m, given, "-q", "50"],
        ["summarize", given, "-y"],
        ["verify", given],
        ["search", y4m, given],
        ["decode", given, tmp_path / "without.y4m"],
    )
    assert "torch" not in printed and "right" in printed and "exact" in printed
    # One line on standard error, with what mends it.
    words = ["encode", y4m, tmp_path / "tried.gvc", "-q", "50", "--tokens", "search"]
    (line,) = [line for line in run_without_torch(words).splitlines() if "torch" in line]
    assert "tokens are tried, not searched" in line
    assert "pip install 'gvcodec[fit]' --extra-index-url https://download.pytorch.org" in line
    run("decode", given, tmp_path / "with.y4m")
    run("decode", given, tmp_path / "base.y4m", "--fidelity")
    paths = (tmp_path / f"{name}.y4m" for name in ("without", "with", "base"))
    without, painted, base = (path.read_bytes() for path in paths)
    assert without == painted != base


def test_what_torch_alone_can_do_says_so_in_a_line(tmp_path, frames: list[Planes]) -> None:
    y4m = write_clip(tmp_path / "in.y4m", frames[:1])
    words = ["encode", y4m, tmp_path / "out.gvc", "--target", "lpips=0.2"]
    printed = run_without_torch(words, code=4)
    assert printed.count("\n") == 1 and "pip install 'gvcodec[fit]'" in printed
    assert not (tmp_path / "out.gvc").exists()


@pytest.mark.parametrize("name", ["a.png", "a.mp4"])
def test_a_full_disk_is_named_with_the_file(tmp_path, frames: list[Planes], name: str) -> None:
    """The limit on the size of a file stands for the end of the disk."""
    shown = frames[:1] if name.endswith("png") else frames
    (tmp_path / "a.bin").write_bytes(stream_of(shown))
    words = ("-m", "gvcodec", "decode", tmp_path / "a.bin", tmp_path / name, "--fidelity")
    limit = lambda: resource.setrlimit(resource.RLIMIT_FSIZE, (8192, 8192))
    done = in_process(*words, code=1, preexec_fn=limit, text=True)
    assert done.stderr.startswith(f"gvcodec: {tmp_path / name}: cannot be written: ")
    assert done.stderr.count("\n") == 1 and [path.name for path in tmp_path.iterdir()] == ["a.bin"]


MASTERING = "G(13250,34500)B(7500,3000)R(34000,16000)WP(15635,16450)L(10000000,50)"


def hdr_source(path: Path, frames: list[Planes]) -> None:
    params = f"log-level=none:master-display={MASTERING}:max-cll=1000,400"
    with av.open(str(path), "w") as container:
        container.metadata["title"] = "Höhenflug"
        chapters = [{"id": 0, "start": 0, "end": 200, "metadata": {"title": "up"}}]
        chapters += [{"id": 1, "start": 200, "end": 400, "metadata": {"title": "and down"}}]
        container.set_chapters([{**c, "time_base": Fraction(1, 1000)} for c in chapters])
        options = {"x265-params": params, "preset": "ultrafast"}
        ten_bits = {"pix_fmt": "yuv420p10le", "options": options}
        stream = add_video(container, WIDTH, HEIGHT, "libx265", **ten_bits)
        stream.codec_context.color_trc = 16
        put_planes(container, stream, frames, 10)


def metadata_in(path: Path) -> tuple[Metadata, list[str]]:
    with VideoReader(path) as reader:
        return reader.metadata, reader.notes


@pytest.fixture(scope="module")
def hdr_stream(tmp_path_factory, frames: list[Planes]) -> Path:
    folder = tmp_path_factory.mktemp("hdr")
    hdr_source(folder / "in.mp4", frames)
    words = ("--base", "av1", "--fit", "off", "--keyint", 5)
    run("encode", folder / "in.mp4", folder / "a.bin", *words)
    return folder / "a.bin"


WHOLE = Metadata(
    "Höhenflug",
    (Chapter(0, 200_000, "up"), Chapter(200_000, 400_000, "and down")),
    (34000, 16000, 13250, 34500, 7500, 3000, 15635, 16450, 10000000, 50),
    (1000, 400),
)


@pytest.mark.parametrize("name", ["a.mp4", "a.mkv", "exact.mp4"])
def test_title_chapters_and_hdr_metadata_survive(hdr_stream: Path, tmp_path, name: str) -> None:
    found, notes = metadata_in(hdr_stream.with_name("in.mp4"))
    assert (found, notes) == (WHOLE, [])
    lossless = ["--lossless"] if name == "exact.mp4" else []
    run("decode", hdr_stream, tmp_path / name, "--fidelity", *lossless)
    assert metadata_in(tmp_path / name) == (WHOLE, [])


def test_pieces_keep_their_chapters(hdr_stream: Path, tmp_path) -> None:
    run("cut", hdr_stream, tmp_path / "a.bin", "--to", 0.2)
    run("cut", hdr_stream, tmp_path / "b.bin", "--from", 0.2)
    run("repair", hdr_stream, tmp_path / "r.bin")
    assert (tmp_path / "r.bin").read_bytes() == without_painted_hash(hdr_stream.read_bytes())

    def described(path: Path) -> Metadata:
        found = metadata_of(path)
        assert found.encoder_name.startswith("SVT-AV1 ")
        return replace(found, encoder=())

    assert described(tmp_path / "a.bin") == replace(WHOLE, chapters=WHOLE.chapters[:1])
    second = (Chapter(0, 200_000, "and down"),)
    assert described(tmp_path / "b.bin") == replace(WHOLE, chapters=second, source_start=200_000)
    said = run("cat", tmp_path / "a.bin", tmp_path / "b.bin", "-o", tmp_path / "c.bin")
    assert "b.bin: title, chapter, HDR metadata left out" in said.err
    assert described(tmp_path / "c.bin") == described(tmp_path / "a.bin")


def test_info_names_colour_chapters_and_light(hdr_stream: Path) -> None:
    output = run("info", hdr_stream).out.splitlines()
    lines = dict(line.split(maxsplit=1) for line in output if " " in line)
    assert lines["transfer"] == "smpte2084" and lines["primaries"] == "unspecified"
    assert lines["title"] == "Höhenflug" and lines["chapters"] == "0 0.2 up, 0.2 0.4 and down"
    facts = json.loads(run("info", hdr_stream, "--json").out)
    assert (facts["transfer"], facts["content_light"]) == (16, [1000, 400])


@pytest.mark.parametrize(
    ("payload", "what"),
    [
        (b"\1\5abc", "ends early"),
        (b"\1\2\xff\xfe", "UTF-8"),
        (b"\2\1\0", "ends early"),
        (b"\2\x0a" + b"\xfe" * 8 + b"\x7f\0", "out of range"),
        (b"\3\3\1\1\1", "ends early"),
        (b"\3\x0a" + b"\xff\xff\7" + bytes(7), "above 65535"),
        (b"\4\4\xff\xff\7\1", "above 65535"),
        (b"\1" + encode_var(1 << 16) + bytes(1 << 16), "above 65536"),
    ],
)
def test_hostile_metadata_is_refused(payload: bytes, what: str) -> None:
    with pytest.raises(DamagedStreamError, match=what):
        Metadata.unpack(payload)


def test_sound_and_subtitles_may_be_left_out(tmp_path) -> None:
    (tmp_path / "a.srt").write_text("1\n00:00:00,100 --> 00:00:00,600\nHello\n")
    inputs = ("-f", "lavfi", "-i", "testsrc2=s=64x48:r=25:d=1", "-f", "lavfi", "-i", "sine=d=1")
    maps = ("-i", tmp_path / "a.srt", "-map", "0", "-map", "1", "-map", "2")
    ffmpeg(*inputs, *maps, "-c:v", "libx264", "-c:a", "aac", tmp_path / "a.mkv")
    stream = tmp_path / "a.gvc"
    run("encode", tmp_path / "a.mkv", stream, "--preset", "10", "--fit", "off", "--painter", "off")
    for words, lost in (
        ([], ()),
        (["-an"], ("audio",)),
        (["--sound", "none", "--start", "0.2"], ("audio",)),
        (["--no-subtitles"], ("subtitle",)),
        (["-an", "-sn", "--frames", "20"], ("audio", "subtitle")),
    ):
        output = tmp_path / "o.mkv"
        said = run("decode", stream, output, "-y", *words).err
        assert "left out" not in said
        with av.open(str(output)) as container:
            kinds = {packet.stream.type for packet in container.demux() if packet.size}
        assert kinds == {"video", "audio", "subtitle"} - set(lost), words
    piped_out = piped("decode", stream, "-", "-f", "matroska", "-an")
    with av.open(io.BytesIO(piped_out)) as container:
        assert [s.type for s in container.streams] == ["video", "subtitle"]


def test_a_picture_without_a_number_takes_one_frame(frames, tmp_path) -> None:
    (tmp_path / "a.gvc").write_bytes(stream_of(frames))
    for words, name in ((["--start", "0.2"], "x.png"), ([], "y.png"), (["--frames", 1], "z.png")):
        said = run("decode", tmp_path / "a.gvc", tmp_path / name, *words).err
        assert "1 painted frame" in said and ("%05d" in said) == ("--frames" not in words)
    assert (tmp_path / "x.png").read_bytes() != (tmp_path / "y.png").read_bytes()
    assert (tmp_path / "y.png").read_bytes() == (tmp_path / "z.png").read_bytes()
    said = run("decode", tmp_path / "a.gvc", tmp_path / "w.png", "--frames", 2, code=2).err
    assert "%05d" in said and not (tmp_path / "w.png").exists()
