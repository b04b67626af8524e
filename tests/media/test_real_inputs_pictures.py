"""EXIF orientations, display matrices, numbered pictures, size changes, PIL images."""

import io
import struct
from fractions import Fraction
from pathlib import Path

import av
import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image

import gvcodec
import gvcodec as api
from gvcodec.bitstream import Reader
from gvcodec.errors import MediaError, UsageError
from gvcodec.input_options import InputOptions
from gvcodec.planes import rgb_from_planes, tag_colour
from gvcodec.source.reader import VideoReader
from gvcodec.types import Colour
from tests.clips import put_pictures, read_film, write_pictures
from tests.conftest import run
from tests.errors import raises
from tests.media.test_clocks import QUICK, picture, recording

#: What a viewer does with a picture by its EXIF orientation.
TURNS = {
    1: lambda image: image,
    2: lambda image: image[:, ::-1],
    3: lambda image: image[::-1, ::-1],
    4: lambda image: image[::-1],
    5: lambda image: image.swapaxes(0, 1),
    6: lambda image: np.rot90(image, -1),
    7: lambda image: np.rot90(image, -1)[::-1],
    8: lambda image: np.rot90(image),
}


def scene(width: int = 64, height: int = 48) -> NDArray[np.uint8]:
    image = np.full((height, width, 3), 60, np.uint8)
    image[: height // 2, : width // 2] = 230
    image[height // 2 :, : width // 2] = 140
    return image


def save(path: Path, image: NDArray[np.uint8], orientation: int = 0) -> None:
    exif = Image.Exif()
    exif[0x010F] = "Phone"
    if orientation:
        exif[0x0112] = orientation
    Image.fromarray(image).save(path, exif=exif)


def first_of(path: Path | str) -> tuple[NDArray[np.int64], list[str]]:
    with VideoReader(path) as reader:
        frame = next(iter(reader))
        return rgb_from_planes(frame.planes, reader.format.colour).astype(int), reader.notes


@pytest.mark.parametrize("orientation", TURNS)
@pytest.mark.parametrize("kind", ["jpg", "png", "webp", "tiff"])
def test_exif_is_no_error_and_its_orientation_is_applied(tmp_path, orientation, kind):
    save(tmp_path / f"a.{kind}", scene(), orientation)
    found, notes = first_of(tmp_path / f"a.{kind}")
    wanted = TURNS[orientation](scene()).astype(int)
    assert found.shape == wanted.shape and np.abs(found - wanted).mean() < 8
    assert any("EXIF" in note for note in notes)


#: (a, b, c, d) of a display matrix and the EXIF orientation that does the same.
MATRICES = {(1, 0, 0, 1): 1, (-1, 0, 0, 1): 2, (-1, 0, 0, -1): 3, (1, 0, 0, -1): 4}
MATRICES |= {(0, 1, 1, 0): 5, (0, 1, -1, 0): 6, (0, -1, -1, 0): 7, (0, -1, 1, 0): 8}


def with_matrix(data: bytes, matrix: tuple[float, ...]) -> bytes:
    a, b, c, d = (round(65536 * value) for value in matrix)
    packed = struct.pack(">9i", a, b, 0, c, d, 0, 0, 0, 1 << 30)
    place = data.index(b"tkhd") + 44
    return data[:place] + packed + data[place + 36 :]


NONE = [(0.707, 0.707, -0.707, 0.707), (0, 0, 0, 0), (1, 0.3, 0, 1)]


@pytest.mark.parametrize("matrix", [*MATRICES, *NONE], ids=str)
def test_display_matrices_are_applied_where_they_are_orientations(tmp_path, matrix):
    recording("mp4", path=tmp_path / "a.mp4")
    plain, _ = first_of(tmp_path / "a.mp4")
    (tmp_path / "m.mp4").write_bytes(with_matrix((tmp_path / "a.mp4").read_bytes(), matrix))
    found, notes = first_of(tmp_path / "m.mp4")
    if matrix in NONE:
        assert np.array_equal(found, plain)
        assert notes == ["the display matrix is none of the eight orientations and is not applied"]
        return
    wanted = TURNS[MATRICES[matrix]](plain)
    assert found.shape == wanted.shape and np.abs(found - wanted).mean() < 3
    assert bool(notes) == (MATRICES[matrix] != 1)


def numbered(folder: Path, numbers: range, name: str = "s.%04d.png") -> Path:
    folder.mkdir(exist_ok=True)
    for number in numbers:
        level = 20 + 10 * (number - numbers.start)
        Image.fromarray(np.full((48, 64, 3), level, np.uint8)).save(folder / (name % number))
    return folder


@pytest.mark.parametrize("first", [0, 1, 1001, 99_998, 20_240_101_000_001])
def test_numbered_pictures_begin_anywhere(tmp_path, first: int) -> None:
    folder = numbered(tmp_path / "100% done", range(first, first + 4))
    for source in (folder, folder / "s.%04d.png", folder / "s.%d.png"):
        shown, _, reader = read_film(source, input_options=InputOptions(rate=Fraction(24)))
        levels = [int(y[0, 0]) for y, *_ in shown]
        assert reader.format.frame_rate == 24
        assert len(levels) == reader.expected_frames == 4 and levels == sorted(set(levels))
    assert len(read_film(folder, start=0.08).planes) == 2


def test_pictures_of_a_folder_have_one_name_and_no_gap(tmp_path) -> None:
    folder = numbered(tmp_path / "gap", range(1, 10), "f%03d.png")
    (folder / "f005.png").unlink()
    for source in (folder, folder / "f%03d.png"):
        with pytest.raises(MediaError, match="number 5 is missing after f004.png"):
            VideoReader(source)
    folder = numbered(tmp_path / "twice", range(3), "f%d.png")
    (folder / "f01.png").write_bytes((folder / "f1.png").read_bytes())
    with pytest.raises(MediaError, match="same number"):
        VideoReader(folder)
    folder = numbered(tmp_path / "two", range(3), "a%d.png")
    numbered(folder, range(3), "b%d.png")
    with pytest.raises(MediaError, match="several names"):
        VideoReader(folder)
    assert len(read_film(folder / "b%d.png").planes) == 3
    (tmp_path / "none").mkdir()
    for source, why in (("none", "holds no pictures"), ("none/f%d.png", "no pictures of this")):
        with pytest.raises(MediaError, match=why):
            VideoReader(tmp_path / source)
    (tmp_path / "two" / "a1.png").write_bytes(b"no picture")
    with pytest.raises(MediaError, match=r"a1\.png"):
        read_film(folder / "a%d.png")


def test_raw_samples_are_refused_with_the_way_to_read_them(tmp_path) -> None:
    (tmp_path / "a_64x48_50.yuv").write_bytes(bytes(64 * 48 * 3 // 2))
    with pytest.raises(MediaError, match="yuv4mpegpipe"):
        VideoReader(tmp_path / "a_64x48_50.yuv")


def test_options_of_inputs_are_refused_where_they_make_no_sense(tmp_path) -> None:
    recording("mp4", path=tmp_path / "a.mp4")
    out = str(tmp_path / "a.gvc")
    for given, why in (
        (["--rate", "24"], "has timestamps"),
        (["--rate", "0"], "not a frame rate"),
        (["--color-matrix", "bt710"], "is not one of gbr, bt709"),
    ):
        error = run("encode", tmp_path / "a.mp4", out, *given, code=2).err
        assert why in error and error.count("\n") == 1
    numbered(tmp_path / "s", range(3))
    said = run("encode", tmp_path / "s", out, "--jobs", "2", "--fit", "off", code=2)
    assert "--jobs is for files" in said.err


def test_colour_of_untagged_input_can_be_set(tmp_path) -> None:
    recording("mp4", path=tmp_path / "a.mp4")
    options = ["--color-matrix", "bt709", "--color-primaries", "bt709", "--color-trc", "bt709"]
    options += ["--color-range", "full", "--chroma-location", "topleft"]
    run("encode", tmp_path / "a.mp4", tmp_path / "a.gvc", *options, "--fit", "off", "--preset", 10)
    with open(tmp_path / "a.gvc", "rb") as coded:
        colour = Reader(coded).header.format.colour
    assert (colour.primaries, colour.transfer, colour.matrix) == (1, 1, 1)
    assert (colour.full_range, colour.chroma_location) == (True, 2)
    run("decode", tmp_path / "a.gvc", tmp_path / "b.mp4", "--fidelity")
    with VideoReader(tmp_path / "b.mp4", input_options=InputOptions(matrix=9)) as reader:
        assert "the file says matrix 1 (H.273), 9 was asked for" in reader.notes
    save(tmp_path / "a.png", scene())
    with pytest.raises(UsageError, match="input is RGB"):
        VideoReader(tmp_path / "a.png", input_options=InputOptions(matrix=1))


@pytest.mark.parametrize("place, code", [("left", 0), ("center", 1), ("topleft", 2), ("top", 3)])
def test_the_place_of_chroma_is_kept(tmp_path, place: str, code: int) -> None:
    options = {"x264-params": f"chromaloc={code}"}
    write_pictures(tmp_path / "a.mp4", map(picture, range(3)), **options)
    api.encode_file(tmp_path / "a.mp4", tmp_path / "a.gvc", **QUICK)
    with open(tmp_path / "a.gvc", "rb") as coded:
        assert Reader(coded).header.format.colour.chroma_location == code, place
    for name in ("b.mp4", "b.mkv"):
        api.decode_file(tmp_path / "a.gvc", tmp_path / name, fidelity=True)
        with VideoReader(tmp_path / name) as reader:
            assert reader.format.colour.chroma_location == code


def test_a_change_of_size_begins_a_gop_of_the_first_size(tmp_path) -> None:
    parts = b""
    for size in ((64, 48), (128, 96), (48, 64)):
        pictures = (picture(number, *size) for number in range(4))
        parts += write_pictures(tmp_path / "part.h264", pictures).read_bytes()
    (tmp_path / "a.h264").write_bytes(parts)
    done = api.encode_file(tmp_path / "a.h264", tmp_path / "a.gvc", **QUICK)
    assert done.frames == 12
    assert any("scaled to 64×48" in note and "frame 4 on" in note for note in done.notes)
    video = gvcodec.open(tmp_path / "a.gvc", fidelity=True)
    assert {4, 8} <= set(video.key_frames) and video[9].shape == (48, 64, 3)


def test_pictures_of_pil_are_frames() -> None:
    arrays = [scene(), scene()[:, ::-1].copy()]
    given = [Image.fromarray(arrays[0]), Image.fromarray(arrays[1]).convert("RGBA")]
    assert gvcodec.encode(given, **QUICK) == gvcodec.encode(arrays, **QUICK)


@pytest.mark.parametrize("rate", [float("nan"), float("inf"), 0, -1, "fast", None])
def test_impossible_frame_rates_are_refused_in_words(rate: object) -> None:
    with raises(UsageError, "option-value"):
        gvcodec.encode([scene()], frame_rate=rate, **QUICK)


def tagged(colour: Colour, sar: Fraction = Fraction(1)) -> bytes:
    """Eight frames of one colour as H.264: RGB 192 32 64 in the matrix and range of `colour`."""
    rgb = np.full((48, 64, 3), (192, 32, 64), np.uint8)
    full = av.video.reformatter.ColorRange(2 if colour.full_range else 1)
    frame = av.VideoFrame.from_ndarray(rgb, format="rgb24").reformat(
        format="yuv420p", dst_colorspace=colour.matrix, dst_color_range=full
    )
    memory = io.BytesIO()
    with av.open(memory, "w", format="h264") as container:
        stream = container.add_stream("libx264", rate=25, options={"qp": "4"})
        stream.width, stream.height, stream.pix_fmt = 64, 48, "yuv420p"
        stream.codec_context.sample_aspect_ratio = sar
        tag_colour(stream.codec_context, colour)
        put_pictures(container, stream, [frame] * 8)
    return memory.getvalue()


@pytest.mark.parametrize("later", [(1, True), (5, False), (5, True)])
def test_a_change_of_range_or_matrix_keeps_the_colours(tmp_path, later: tuple[int, bool]) -> None:
    codes = [(1, False), later, (1, False)]
    parts = [tagged(Colour(1, 1, matrix, full)) for matrix, full in codes]
    (tmp_path / "a.h264").write_bytes(b"".join(parts))
    clip, _, reader = read_film(tmp_path / "a.h264")
    assert len(clip) == 24
    assert sum("range or matrix" in note and "frame 8 on" in note for note in reader.notes) == 1
    for planes in clip:
        shown = rgb_from_planes(planes, reader.format.colour)[24, 32].astype(int)
        assert np.abs(shown - (192, 32, 64)).max() <= 5, shown


def test_a_change_of_the_aspect_ratio_is_said(tmp_path) -> None:
    parts = [tagged(Colour(1, 1, 1), Fraction(16, 15)), tagged(Colour(1, 1, 1), Fraction(64, 45))]
    (tmp_path / "a.h264").write_bytes(b"".join(parts))
    clip, _, reader = read_film(tmp_path / "a.h264")
    assert len(clip) == 16 and reader.format.sar == Fraction(16, 15)
    assert sum("(16/15 to 64/45)" in note for note in reader.notes) == 1
