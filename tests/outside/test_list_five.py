"""What the fifth list of public reports found in texts, tags, cues, playlists and pictures. Each
test makes a small input, and says what is right."""

from __future__ import annotations

import shutil
from pathlib import Path

import av
import pytest
from PIL import Image

import gvcodec
from gvcodec.bitstream.metadata import Chapter, Metadata
from gvcodec.errors import MediaError
from gvcodec.source.opening import Source
from gvcodec.tracks.tags import lost_metadata
from tests.clips import ffmpeg
from tests.conftest import metadata_of
from tests.outside.test_fifteen_kinds import FAST, encoded, made

#: Persian with a joiner.
JOINED = "\u0645\u06cc\u200c\u062e\u0648\u0627\u0647\u0645"
#: The same, a family of three, French and Japanese spaces.
TEXT = (
    f"{JOINED}, the \U0001f468\u200d\U0001f469\u200d\U0001f467 film, "
    "Où\u00a0?\u00a0Ici\u00a0!, \u6771\u4eac\u3000\u7269\u8a9e"
)


def recoded(source: Path, ending: str) -> tuple[av.container.InputContainer, str]:
    """A source encoded and decoded to a file of a kind, and all that is said about it."""
    folder = source.parent
    report = gvcodec.encode_file(source, folder / "a.gvc", overwrite=True, **FAST)
    output = folder / f"out{ending}"
    decoded = gvcodec.decode_file(folder / "a.gvc", output, fidelity=True, overwrite=True)
    return av.open(str(output)), "; ".join((*report.notes, *decoded.outcome, *decoded.losses))


def remuxed(source: Path, output: Path, *words: str | Path) -> Path:
    ffmpeg("-i", source, *words, "-c", "copy", output)
    return output


def test_names_of_tags_keep_their_capitals(tmp_path) -> None:
    """MediaInfoLib#2252, osxphotos#282: the place of an iPhone's recording has a key of its own."""
    place = ("com.apple.quicktime.location.ISO6709", "+10.0000+020.0000+005.000/")
    tags = ("-metadata", "=".join(place), "-metadata", "MyKey=kept")
    words = ("-movflags", "use_metadata_tags", *tags)
    source = remuxed(made(tmp_path / "a.mkv", "libx264"), tmp_path / "phone.mov", *words)
    output, _ = recoded(source, ".mov")
    assert output.metadata[place[0]] == place[1] and output.metadata["MyKey"] == "kept"


@pytest.mark.parametrize("ending", [".mkv", ".mp4"])
def test_letters_that_join_and_wide_spaces_are_text(tmp_path, ending) -> None:
    """jsoup#1244, excalibrain#226: they are printable to Unicode's readers, not to Python."""
    chapters, text = tmp_path / "c.txt", TEXT
    chapters.write_text(
        f";FFMETADATA1\n[CHAPTER]\nTIMEBASE=1/1000\nSTART=0\nEND=900\ntitle={text}\n"
    )
    words = ["-f", "lavfi", "-i", "sine=d=1", "-i", chapters, "-map", "0:v", "-map", "1:a"]
    words += ["-map_chapters", "2", "-metadata", f"title={text}", "-metadata", f"artist={text}"]
    words += ["-metadata:s:a:0", f"title={text}", "-metadata:s:v:0", f"title={text}"]
    ffmpeg("-i", made(tmp_path / "a.mkv"), *words, "-c:v", "copy", tmp_path / "b.mkv")
    output, _ = recoded(tmp_path / "b.mkv", ending)
    tags = {name.lower(): value for name, value in output.metadata.items()}
    assert tags["title"] == tags["artist"] == text
    assert [chapter["metadata"]["title"] for chapter in output.chapters()] == [text]
    for stream in list(output.streams)[:2]:
        assert text in (stream.metadata.get("title"), stream.metadata.get("name"))


def test_control_characters_reach_no_terminal() -> None:
    text = "a\x1b[31m\x9bb\u2028c\u202ed"
    assert Metadata.unpack(Metadata(text).pack()).title == "a [31m b c d"
    names = ((0, "title", "x\x07y"), (1, "other", "z"))
    assert Metadata.unpack(Metadata(names=names).pack()).names == ((0, "title", "x y"),)


def test_a_title_that_tracks_cannot_hold_is_read_by_older_readers(tmp_path) -> None:
    """Readers of 1.0 take unprintable characters in a `tracks` packet for damage."""
    words = ("-f", "lavfi", "-i", "sine=d=1", "-metadata:s:a:0", f"title={JOINED}")
    ffmpeg("-i", made(tmp_path / "a.mkv"), *words, "-c:v", "copy", tmp_path / "b.mkv")
    video, _ = encoded(tmp_path / "b.mkv")
    video.close()
    assert metadata_of(tmp_path / "b.gvc").names == ((1, "title", JOINED),)
    (track,) = (each for each in gvcodec.info(tmp_path / "b.gvc").tracks)
    assert track["title"].isprintable()


def test_places_and_names_of_cues_are_named(tmp_path) -> None:
    """subtitleedit#12340, mpv#13353: WebVTT says where a text is shown."""
    cue = "WEBVTT\n\nfirst\n00:00.200 --> 00:00.900 line:0 align:start\nup here\n"
    for name, text in (
        ("placed", cue),
        ("plain", cue.replace("first\n", "").replace(" line:0", "")),
    ):
        (tmp_path / f"{name}.vtt").write_text(text.replace("align:start", "").replace(" \n", "\n"))
    notes = {}
    for name in ("placed", "plain"):
        output = tmp_path / f"{name}.mkv"
        words = ["-i", tmp_path / f"{name}.vtt", "-map", "0", "-map", "1", "-c", "copy"]
        ffmpeg("-i", made(tmp_path / "a.mkv"), *words, output)
        notes[name] = [note for note in encoded(output)[1].notes if "cue" in note]
    assert len(notes["placed"]) == 1 and not notes["plain"]


def test_tags_of_ogg_belong_to_its_tracks(tmp_path) -> None:
    """cmus#339: FFmpeg gives Ogg's tags with a stream."""
    tags = ("-metadata", "title=The title", "-metadata", "artist=Someone")
    ffmpeg("-i", made(tmp_path / "a.mkv"), "-c:v", "libtheora", *tags, tmp_path / "b.ogv")
    output, _ = recoded(tmp_path / "b.ogv", ".mp4")
    assert output.metadata["title"] == "The title" and output.metadata["artist"] == "Someone"


@pytest.mark.parametrize("kind", ["mkv", "mxf"])
def test_a_timecode_without_a_track_is_named(tmp_path, kind) -> None:
    """lossless-cut#506, vrecord#1020: a tag in Matroska and MXF."""
    codec = {"mkv": "ffv1", "mxf": "mpeg2video"}[kind]
    words = ("-c:v", codec, "-timecode", "01:02:03:04", "-metadata", "timecode=01:02:03:04")
    ffmpeg("-i", made(tmp_path / "a.mkv"), *words, tmp_path / f"t.{kind}")
    _, done = encoded(tmp_path / f"t.{kind}")
    assert "timecode 01:02:03:04 left out" in done.notes


@pytest.mark.parametrize(
    ("ending", "lost", "kept"),
    [
        (".ts", {"title", "artist", "chapters"}, set()),
        (".gif", {"title", "artist", "chapters"}, set()),
        (".avi", {"chapters"}, {"title", "artist"}),
        (".mp4", set(), {"title", "artist", "chapters"}),
    ],
)
def test_what_a_kind_of_file_cannot_hold_is_named(tmp_path, ending, lost, kept) -> None:
    """lossless-cut#1027: each kind of file keeps other texts."""
    chapters = tmp_path / "c.txt"
    chapter = "[CHAPTER]\nTIMEBASE=1/1000\nSTART={}\nEND={}\ntitle=part\n"
    parts = chapter.format(0, 400) + chapter.format(400, 1000)
    chapters.write_text(f";FFMETADATA1\ntitle=The title\nartist=Someone\n{parts}")
    words = ("-i", chapters, "-map_metadata", "1", "-map_chapters", "1")
    source = remuxed(made(tmp_path / "a.mkv"), tmp_path / "b.mkv", *words)
    output, said = recoded(source, ending)
    values = set(output.metadata.values())
    here = {"title"} if "The title" in values else set()
    here |= {"artist"} if "Someone" in values else set()
    here |= {"chapters"} if len(output.chapters()) == 2 else set()
    assert here == kept
    missing = next((line for line in said.split("; ") if "has no place" in line), "")
    assert all(word in missing for word in lost) and not any(word in missing for word in kept)


@pytest.mark.parametrize("kind", ["mp4", "mov"])
def test_gaps_between_chapters_are_named(kind) -> None:
    """In MP4 a chapter lasts until the next one."""
    second = Chapter(1_000_000, 2_000_000, "b")
    assert not lost_metadata(Metadata(chapters=(Chapter(0, 1_000_000, "a"), second)), kind)
    gap = Metadata(chapters=(Chapter(0, 500_000, "a"), second))
    assert lost_metadata(gap, kind) == ["gaps between chapters"]
    assert not lost_metadata(gap, "matroska")


@pytest.mark.parametrize("ending", [".mkv", ".mp4"])
def test_name_and_language_of_the_video_are_kept(tmp_path, ending) -> None:
    """ffmpeg-normalize#86: editions and angles have names."""
    names = ("-metadata:s:v:0", "title=Director's cut", "-metadata:s:v:0", "language=deu")
    source = remuxed(made(tmp_path / "a.mkv"), tmp_path / "b.mkv", *names)
    output, _ = recoded(source, ending)
    stream = output.streams.video[0]
    assert "Director's cut" in (stream.metadata.get("title"), stream.metadata.get("name"))
    assert stream.language in ("deu", "ger")
    gvcodec.encode_file(source, tmp_path / "one.mp4", **FAST)
    with av.open(str(tmp_path / "one.mp4")) as one:
        assert one.streams.video[0].metadata["name"] == "Director's cut"


def test_avi_counts_frames(tmp_path) -> None:
    """dsda-doom#759, HandBrake#1374: the clock of the source is no frame rate."""
    words = ("-video_track_timescale", "90000")
    source = remuxed(made(tmp_path / "a.mkv", "libx264"), tmp_path / "b.mp4", *words)
    output, _ = recoded(source, ".avi")
    assert output.streams.video[0].average_rate == 25
    assert len(list(output.decode(video=0))) == 25


def test_painting_of_a_source_is_named(tmp_path) -> None:
    """A gvcodec file that plays everywhere is a source like others, without its paint."""
    source = made(tmp_path / "a.mkv")
    for painter, count in (("on", 1), ("off", 0)):
        options = FAST | {"painter": painter, "frames": 4, "overwrite": True}
        gvcodec.encode_file(source, tmp_path / "one.mp4", **options)
        _, done = encoded(tmp_path / "one.mp4")
        assert sum("painting" in note for note in done.notes) == count


def test_recordings_with_a_key_are_read_and_a_missing_key_is_named(tmp_path) -> None:
    """mpv#9912, Flyleaf#296: HLS with AES-128, the key in a file next to it."""
    (tmp_path / "film.key").write_bytes(b"0123456789abcdef")
    (tmp_path / "info").write_text(f"film.key\n{tmp_path / 'film.key'}\n")
    words = ("-c:v", "libx264", "-f", "hls", "-hls_list_size", "0", "-hls_key_info_file")
    ffmpeg("-i", made(tmp_path / "a.mkv"), *words, tmp_path / "info", tmp_path / "list.m3u8")
    _, done = encoded(tmp_path / "list.m3u8")
    assert done.frames == 25
    (tmp_path / "film.key").unlink()
    with pytest.raises(MediaError, match=r"film\.key"):
        encoded(tmp_path / "list.m3u8")


def test_the_best_of_several_qualities_is_coded(tmp_path) -> None:
    """LAVFilters#33: a master playlist whose smallest quality comes first."""
    words = ["-map", "0:v", "-map", "0:v", "-c:v", "libx264", "-s:v:0", "48x32", "-f", "hls"]
    words += ["-var_stream_map", "v:0 v:1", "-master_pl_name", "master.m3u8"]
    source = made(tmp_path / "a.mkv")
    ffmpeg("-i", source, *words, tmp_path / "v%v.m3u8")
    _, done = encoded(tmp_path / "master.m3u8")
    with av.open(str(source)) as original:
        size = original.streams.video[0].width, original.streams.video[0].height
    assert (done.format.width, done.format.height) == size
    assert done.source_bytes and done.source_bytes > 2000


def test_sound_that_cannot_be_copied_names_the_way_out(tmp_path) -> None:
    """AAC in LATM, the sound of DVB-T2."""
    words = ("-f", "lavfi", "-i", "sine=d=1", "-c:v", "libx264", "-c:a", "aac")
    source = tmp_path / "latm.ts"
    ffmpeg("-i", made(tmp_path / "a.mkv"), *words, "-mpegts_flags", "latm", source)
    assert any('sound="opus"' in note for note in encoded(source)[1].notes)
    _, done = encoded(source, sound="opus")
    assert done.tracks and not any('sound="opus' in note for note in done.notes)


def pictures(folder: Path, *names: str) -> Path:
    folder.mkdir()
    for level, name in enumerate(names):
        Image.new("L", (64, 48), 20 * level).save(folder / name)
    return folder


def test_pictures_named_by_times_come_in_their_order(tmp_path) -> None:
    """RAWcooked#290, lsd_slam#225: nanoseconds, every tenth frame, names of dates."""
    times = [1403636579763555584 + 50_000_000 * number for number in range(5)]
    folder = pictures(tmp_path / "ns", *(f"{time}.png" for time in times))
    assert Source.open(str(folder)).pictures == [str(folder / f"{time}.png") for time in times]
    assert len(encoded(folder)[0]) == 5
    names = ["2024-01-09_23.png", "2024-01-10_01.png", "2024-2-1_7.png"]
    folder = pictures(tmp_path / "dates", *names)
    with pytest.raises(MediaError, match="several names"):
        Source.open(str(folder))
    assert Source.open(str(folder / "*.png")).pictures == [str(folder / name) for name in names]
    folder = pictures(tmp_path / "gap", "f1.png", "f2.png", "f3.png", "f5.png", "f10.png")
    with pytest.raises(MediaError, match="number 4 is missing"):
        Source.open(str(folder))
    assert [Path(name).name for name in Source.open(str(folder / "f*.png")).pictures or []] == [
        f"f{number}.png" for number in (1, 2, 3, 5, 10)
    ]
    shutil.rmtree(folder)
    pictures(folder, "f1.png")
    (folder / "film.mp4").write_bytes(b"no picture")
    with pytest.raises(MediaError, match="no pictures of this name"):
        Source.open(str(folder / "*.mp4"))
