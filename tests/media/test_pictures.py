"""Pictures of cameras, phones and microscopes; undecodable video; HDR tags in PNG."""

import io
import shutil
import subprocess
import sys
import zlib
from collections.abc import Callable
from fractions import Fraction
from pathlib import Path

import numpy as np
import pytest
from PIL import Image, ImageCms

import gvcodec as api
from gvcodec.errors import MediaError
from gvcodec.planes import rgb_from_planes
from gvcodec.source.opening import Source
from gvcodec.source.reader import VideoReader
from gvcodec.types import Colour, VideoFormat
from tests.clips import box, ffmpeg, read_film, write_pictures
from tests.conftest import run

LEVELS = np.array([2, 16, 60, 128, 180, 220, 235, 253], np.uint8)
RAMP = np.tile(np.repeat(LEVELS, 16), (32, 1))
TILES = Path(__file__).with_name("tiles.avif")


def saved(**options: object) -> Callable[[Path], None]:
    return lambda path: Image.fromarray(RAMP).save(path, **options)


def sixteen_bits(path: Path) -> None:
    Image.fromarray(RAMP.astype(np.uint16) * 257).save(path)


def coded(codec: str, pix_fmt: str) -> Callable[[Path], Path]:
    return lambda path: write_pictures(path, [RAMP], codec, pix_fmt=pix_fmt)


@pytest.mark.parametrize(
    ("name", "write"),
    [
        ("a.jpg", saved(quality=98)),
        ("a.tif", saved()),
        ("16.tif", sixteen_bits),
        ("a.pgm", saved()),
        ("a.tga", saved()),
        ("a.png", saved()),
        ("a.avi", coded("rawvideo", "gray")),
        ("b.avi", coded("ffv1", "gray16le")),
        ("c.mkv", coded("ffv1", "gray10le")),
    ],
)
def test_gray_keeps_its_brightness(tmp_path, name: str, write: Callable[[Path], None]) -> None:
    write(tmp_path / name)
    (planes,), _, reader = read_film(tmp_path / name)
    shown = rgb_from_planes(planes, reader.format.colour)[16, 8::16]
    assert np.abs(shown.astype(int) - LEVELS[:, None]).max() <= 3


def animated(path: Path) -> None:
    pages = [Image.fromarray(RAMP // (k + 1)).convert("RGB") for k in range(3)]
    pages[0].save(path, save_all=True, append_images=pages[1:], duration=100)


def renamed(code: bytes) -> Callable[[Path], None]:
    def write(path: Path) -> None:
        coded("libx264", "yuv420p")(path)
        path.write_bytes(path.read_bytes().replace(b"avc1\0\0\0\0", code + b"\0\0\0\0"))

    return write


@pytest.mark.parametrize(
    ("name", "write", "line"),
    [
        ("a.avif", lambda path: shutil.copy(TILES, path), "a picture in tiles"),
        ("a.webp", animated, "an animated WebP"),
        ("a.mp4", renamed(b"xyz1"), "of a codec that nothing here decodes"),
        ("a.mov", renamed(b"drmi"), "protected"),
        ("b.mp4", renamed(b"encv"), "protected"),
    ],
)
def test_what_is_not_read_is_refused_in_a_line(tmp_path, name, write, line):
    write(tmp_path / name)
    with pytest.raises(MediaError, match=line):
        VideoReader(tmp_path / name)


@pytest.mark.parametrize("progressive", [False, True])
def test_a_jpeg_that_is_cut_off_gets_a_line(tmp_path, progressive: bool) -> None:
    """With a thumbnail, which has an end of its own."""
    picture = Image.fromarray(np.random.default_rng(0).integers(0, 255, (64, 96, 3), np.uint8))
    small = io.BytesIO()
    picture.resize((24, 16)).save(small, "jpeg")
    application = b"\xff\xe1" + (len(small.getvalue()) + 2).to_bytes(2) + small.getvalue()
    for number in range(4):
        whole = io.BytesIO()
        picture.save(whole, "jpeg", progressive=progressive)
        data = whole.getvalue()[:2] + application + whole.getvalue()[2:]
        (tmp_path / f"f{number}.jpg").write_bytes(data[: -len(data) // 3] if number == 2 else data)
    for name, line in (
        ("f2.jpg", "the file is cut off"),
        ("f%d.jpg", "f2.jpg: the picture is cut off"),
        ("f1.jpg", ""),
    ):
        notes = [n for n in read_film(tmp_path / name).reader.notes if "cut off" in n]
        assert len(notes) == bool(line) and line in "".join(notes)


@pytest.mark.parametrize("kind", ["mpo", "tif", "ppm", "pgm", "pbm"])
def test_pictures_after_the_first_are_said(tmp_path, kind: str) -> None:
    """A camera's two views, pages, and PNM one after the other."""
    mode = {"pgm": "L", "pbm": "1"}.get(kind, "RGB")
    views = [Image.new("RGB", (61, 48), colour).convert(mode) for colour in ("red", "blue")]
    path = tmp_path / f"a.{kind}"
    if kind == "tif":
        views[0].save(path, save_all=True, append_images=views[1:])
    elif kind == "mpo":
        path = tmp_path / "a.jpg"
        views[0].save(path, format="mpo", save_all=True, append_images=views[1:])
    else:
        coded = [io.BytesIO() for _ in views]
        for view, one in zip(views, coded, strict=True):
            view.save(one, format="ppm")
        # FFmpeg reads all where the numbers are on lines of their own, as Pillow writes them.
        path.write_bytes(b"".join(one.getvalue().replace(b"\n", b" ", 2) for one in coded))
    with VideoReader(path) as reader:
        assert len(list(reader)) == 1
        assert f"only the first picture of {path} is coded" in reader.notes
    views[0].save(path, format={"mpo": "jpeg", "tif": "tiff"}.get(kind, "ppm"))
    with VideoReader(path) as reader:
        assert not any("first picture" in note for note in reader.notes)


def test_pages_of_a_folder_are_said_but_not_smaller_copies(tmp_path) -> None:
    for number in range(3):
        pages = [Image.fromarray(RAMP // k).convert("L") for k in (1, 2)]
        # NewSubfileType 1: the second is a smaller copy.
        for page, kind in zip(pages, (0, 1 if number == 1 else 0), strict=True):
            page.encoderinfo = {"tiffinfo": {254: kind}}
        pages[0].save(tmp_path / f"{number}.tif", save_all=True, append_images=pages[1:])
    with VideoReader(tmp_path) as reader:
        assert len(list(reader)) == 3
    first = tmp_path / "0.tif"
    assert f"only the first picture of {first} and of 1 other file is coded" in reader.notes


PQ, HLG, SDR, P3 = Colour(9, 16, 9), Colour(9, 18, 9), Colour(1, 1, 1), Colour(12, 1, 1)


def stream(path: Path, colour: Colour) -> Path:
    fmt = VideoFormat(64, 64, Fraction(25), Fraction(1, 25), 10, colour)
    planes = tuple(np.full(shape, 600, np.uint16) for shape in ((64, 64), (32, 32), (32, 32)))
    path.write_bytes(api.encode([planes] * 2, format=fmt, base="av1", preset=10, fit=0))
    return path


def chunks(data: bytes) -> list[tuple[bytes, bytes]]:
    found, at = [], 8
    while at < len(data):
        size = int.from_bytes(data[at : at + 4])
        name, body = data[at + 4 : at + 8], data[at + 8 : at + 8 + size]
        assert zlib.crc32(name + body) == int.from_bytes(data[at + 8 + size : at + 12 + size])
        found.append((name, body))
        at += 12 + size
    return found


@pytest.mark.parametrize("colour", [PQ, HLG, P3])
def test_png_says_the_colours(tmp_path, colour: Colour) -> None:
    run("decode", stream(tmp_path / "a.gvc", colour), tmp_path / "n%d.png", "--fidelity")
    for name in ("n0.png", "n1.png"):
        parts = chunks((tmp_path / name).read_bytes())
        kinds = [kind for kind, _ in parts]
        assert kinds[0] == b"IHDR" and kinds.index(b"cICP") < kinds.index(b"IDAT")
        assert dict(parts)[b"cICP"] == bytes([colour.primaries, colour.transfer, 0, 1])


@pytest.mark.parametrize(("colour", "wrong"), [(Colour(9, 16, 14), True), (SDR, False)])
def test_colours_that_no_picture_can_have_are_said(tmp_path, colour, wrong) -> None:
    made = stream(tmp_path / "a.gvc", colour)
    said = run("decode", made, tmp_path / "f.png", "--fidelity", "--frames", 1)
    assert ("colours are wrong: ictcp" in said.err) == wrong
    assert wrong or b"cICP" not in dict(chunks((tmp_path / "f.png").read_bytes()))


#: EXIF's tags of a description and of the orientation.
DESCRIPTION, ORIENTATION = 0x010E, 0x0112


@pytest.mark.parametrize("mode", ["RGB", "RGBA", "L", "LA", "P", "I;16"])
def test_png_with_a_named_colour_profile(tmp_path, mode: str) -> None:
    """A process of its own: the name ended it when the frame was freed."""
    profile = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()
    exif = Image.Exif()
    exif[DESCRIPTION], exif[ORIENTATION] = "a shot", 6
    Image.new(mode, (96, 64)).save(tmp_path / "shot.png", icc_profile=profile, exif=exif)
    read = (
        "import sys; from gvcodec.source.reader import VideoReader\n"
        "with VideoReader(sys.argv[1]) as reader: frames = list(reader)\n"
        "print(len(frames), reader.format.width, *reader.notes, sep='\\n')"
    )
    command = [sys.executable, "-c", read, str(tmp_path / "shot.png")]
    ended = subprocess.run(command, capture_output=True, text=True, check=False)
    assert ended.returncode == 0, ended.stderr
    lines = ended.stdout.splitlines()
    assert lines[:2] == ["1", "64"]
    assert {
        "rotated by 270° as the file asks",
        "the ICC colour profile left out",
        "EXIF data, except for its orientation, left out",
    } <= set(lines)


def full_box(name: bytes, version: int, *parts: bytes) -> bytes:
    return box(name, bytes([version, 0, 0, 0]), *parts)


def items_of(coded: bytes, count: int) -> bytes:
    """An AVIF file whose items are the first frames of an AV1 .mp4, and that has no track."""
    at = coded.index(b"av1C") - 4
    config = coded[at : at + int.from_bytes(coded[at : at + 4])]
    first = coded.index(b"mdat") + 4
    table = coded.index(b"stsz") + 12
    sizes = [int.from_bytes(coded[table + 4 * n :][:4]) for n in range(1, 1 + count)]
    numbers = [n.to_bytes(2) for n in range(1, 1 + count)]
    extent = bytes([0x81, 2])
    size = full_box(b"ispe", 0, (64).to_bytes(4), (64).to_bytes(4))
    uses = b"".join(n + b"\2" + extent for n in numbers)
    shapes = box(b"ipco", config, size), full_box(b"ipma", 0, count.to_bytes(4), uses)
    kinds = [full_box(b"infe", 2, n, bytes(2), b"av01", b"\0") for n in numbers]

    def meta(begin: int) -> bytes:
        places, at = b"", begin
        for n, length in zip(numbers, sizes, strict=True):
            places += n + bytes(4) + b"\0\1" + at.to_bytes(4) + length.to_bytes(4)
            at += length
        return full_box(
            b"meta",
            0,
            full_box(b"hdlr", 0, bytes(4), b"pict", bytes(13)),
            full_box(b"pitm", 0, numbers[0]),
            full_box(b"iloc", 1, bytes([0x44, 0]), count.to_bytes(2), places),
            full_box(b"iinf", 0, count.to_bytes(2), *kinds),
            box(b"iprp", *shapes),
        )

    head = box(b"ftyp", b"avif", bytes(4), b"mif1avifmiaf")
    data = coded[first : first + sum(sizes)]
    return head + meta(len(head) + len(meta(0)) + 8) + box(b"mdat", data)


def test_all_pictures_of_a_sequence_or_a_line(tmp_path) -> None:
    """An animated AVIF has a track; a collection of pictures in one file has none."""
    words = ["-f", "lavfi", "-i", "testsrc2=s=64x64:r=25:d=0.2", "-c:v", "libsvtav1", "-g", "1"]
    for name in ("a.avif", "a.mp4"):
        ffmpeg(*words, tmp_path / name)
    assert len(read_film(tmp_path / "a.avif").planes) == 5
    (tmp_path / "b.avif").write_bytes(items_of((tmp_path / "a.mp4").read_bytes(), 3))
    film = read_film(tmp_path / "b.avif")
    assert len(film.planes) == 1
    assert "1 of 3 pictures of the file is coded" in film.reader.notes


def test_the_video_of_a_motion_photo_gets_a_line(tmp_path) -> None:
    """H22: phones put an MP4 behind the JPEG, or into a box of the HEIF file."""
    saved()(tmp_path / "a.jpg")
    coded("libx264", "yuv420p")(tmp_path / "a.mp4")
    picture, video = ((tmp_path / name).read_bytes() for name in ("a.jpg", "a.mp4"))
    (tmp_path / "b.jpg").write_bytes(picture + b"MotionPhoto_Data" + video)
    for name, wanted in (
        ("a.jpg", []),
        ("b.jpg", [f"the picture of {tmp_path}/b.jpg is left out"]),
    ):
        notes = read_film(tmp_path / name).reader.notes
        assert [note for note in notes if "video behind" in note] == [
            f"the video behind {words} (a motion photo)" for words in wanted
        ]
    assert not Source.open(tmp_path / "a.mp4").video_behind()
    (tmp_path / "c.heic").write_bytes(box(b"ftyp", b"heicmif1") + box(b"mpvd", video))
    assert Source.open(tmp_path / "c.heic").video_behind()
