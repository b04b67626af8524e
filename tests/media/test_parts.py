"""Parts of a source, size and frame rate, exact cuts, subtitles where a part begins."""

import io
from fractions import Fraction
from pathlib import Path

import av
import numpy as np
import pytest

import gvcodec
from gvcodec.bitstream import Kind
from gvcodec.errors import UsageError
from gvcodec.input_options import InputOptions
from gvcodec.source.reader import VideoReader
from gvcodec.tracks.packets import TrackPacket, TrackReader
from tests.clips import add_video, ffmpeg, put_pictures, put_planes, read_film, write_clip
from tests.conftest import moving_texture, packets_in, run
from tests.player_helpers import with_beep

OPTIONS = ("--base", "av1", "--preset", "10", "--fit", "off", "-y")
FAST = {"base": "av1", "preset": 10, "fit": 0, "q": 60}


@pytest.fixture(scope="module")
def clip(tmp_path_factory) -> Path:
    return with_beep(tmp_path_factory.mktemp("clip") / "a.mkv", "aac", 44100, 0.4)


def frames_of(path: Path, **options) -> list:
    with VideoReader(path, input_options=InputOptions(**options)) as reader:
        found = list(reader)
        assert reader.expected_frames is not None and abs(reader.expected_frames - len(found)) <= 1
        return found


@pytest.mark.parametrize(
    ("words", "end", "first", "count"),
    [
        (("--to", "0.4"), 0.4, 0, 10),
        (("--start", "0.2", "--to", "0.4"), 0.4, 5, 5),
        (("-ss", "0.2", "-t", "0.4"), 0.6, 5, 10),
        (("--start", "0.2", "--duration", "9"), 9.2, 5, 20),
        (("--start", "0.2", "--duration", "0.4", "--frames", "3"), 0.6, 5, 3),
    ],
)
def test_a_part_is_named_by_times_on_both_ways(clip, tmp_path, words, end, first, count):
    part, whole = tmp_path / "part.gvc", tmp_path / "whole.gvc"
    run("encode", clip, part, *words, *OPTIONS)
    run("encode", clip, whole, *OPTIONS)
    run("decode", whole, tmp_path / "part.mkv", "--fidelity", *words)
    with gvcodec.open(part, fidelity=True) as video:
        assert len(video) == count
        coded = float(next(video.decode_range(0, 1)).planes[0].mean()) / 4
    shown = frames_of(tmp_path / "part.mkv")
    assert len(shown) == count
    luma = float(shown[0].planes[0].mean()) / 4
    assert luma == pytest.approx(60 + 5 * first, abs=2) and coded == pytest.approx(luma, abs=2)
    with open(whole, "rb") as file:  # in its order, as a pipe
        most = count if "--frames" in words else None
        part = {"start": first / 25, "end": end, "frames": most}
        done = gvcodec.decode_file(file, tmp_path / "b.mkv", fidelity=True, **part)
    assert done.frames == count


@pytest.mark.parametrize("jobs", [None, 1])
def test_the_sound_ends_with_the_part(clip: Path, jobs: int | None) -> None:
    done = gvcodec.encode_file(clip, io.BytesIO(), start=0.2, end=0.6, jobs=jobs, **FAST)
    assert done.frames == 10 and done.tracks is not None and 16 <= done.tracks[1] <= 20


def test_a_part_without_frames_is_refused(clip: Path) -> None:
    with pytest.raises(UsageError, match="holds no frame"):
        gvcodec.encode_file(clip, io.BytesIO(), start=0.5, end=0.501)


def test_pictures_get_the_wanted_size_and_keep_their_shape(clip: Path) -> None:
    for wanted, size, sar in (
        ((48, 40), (48, 40), 1),
        ((0, 40), (48, 40), 1),
        ((64, 0), (64, 54), 1),
        (Fraction(1, 2), (48, 40), 1),
        ((96, 40), (96, 40), Fraction(1, 2)),
    ):
        film = read_film(clip, input_options=InputOptions(scale=wanted))
        fmt, notes = film.reader.format, film.reader.notes
        assert (fmt.width, fmt.height) == size and film.planes[0][0].shape == size[::-1]
        assert abs(fmt.sar - sar) < 0.02
        assert "scaled from 96×80" in notes and not any("another size" in note for note in notes)


@pytest.mark.parametrize(("fps", "kept"), [(Fraction(25, 2), 13), (10, 10), (5, 5)])
def test_a_lower_frame_rate_leaves_frames_out(clip: Path, fps: Fraction, kept: int) -> None:
    """Matroska's times are rounded to milliseconds."""
    fps = Fraction(fps)
    found = frames_of(clip, fps=fps)
    assert [frame.pts for frame in found] == list(range(kept))
    numbers = [round((float(frame.planes[0].mean()) / 4 - 60) / 5) for frame in found]
    assert numbers == [-(-n * 25 // fps) for n in range(kept)]


def test_a_higher_frame_rate_changes_nothing(clip: Path) -> None:
    assert len(frames_of(clip, fps=Fraction(50))) == 25
    with pytest.raises(UsageError, match="^fps looks"):
        gvcodec.encode_file(clip, io.BytesIO(), jobs=1, input_options=InputOptions(fps=Fraction(5)))


@pytest.fixture(scope="module")
def stream(clip: Path) -> Path:
    path = clip.with_name("a.gvc")
    run("encode", clip, path, "--keyint", "10", *OPTIONS)
    return path


def test_a_piece_without_a_keyframe_there_says_how_it_differs(stream, tmp_path):
    notes = run("cut", stream, tmp_path / "b.gvc", "--start", "0.6", "--to", "0.9").err
    assert "the piece begins 0.20 s earlier" in notes and "(--exact" in notes
    with gvcodec.open(tmp_path / "b.gvc", fidelity=True) as piece:
        assert f"b.gvc: frames 10 to {9 + len(piece)}, 0.400 s" in notes
    said = run("cut", stream, tmp_path / "c.gvc", "--from", "0.4", "--to", "0.8")
    assert "--exact" not in said.err


@pytest.mark.parametrize(
    ("begin", "end", "frames"),
    [(0.6, 0.9, range(15, 23)), (0.2, None, range(5, 25)), (0.08, 0.2, range(2, 5))],
)
def test_an_exact_piece_has_the_frames_of_its_time(stream, tmp_path, begin, end, frames):
    piece = tmp_path / "b.gvc"
    kept = gvcodec.cut(stream, piece, begin, end, exact=True)
    assert (kept.first, kept.frames) == (frames[0], len(frames))
    gvcodec.verify(piece, fidelity=True)
    with gvcodec.open(stream, fidelity=True) as whole, gvcodec.open(piece, fidelity=True) as cut:
        assert len(cut) == len(frames)
        for number, original in enumerate(frames):
            difference = np.abs(cut[number].astype(int) - whole[original]).mean()
            same = any(number < original for number in (10, 20) if frames[0] < number)
            assert difference < 3  # of 255: coded twice
            assert cut.get_frame_at(number).pts_seconds == pytest.approx(number / 25, abs=0.002)
            if same and original >= 20 and frames[-1] == 24:
                assert difference == 0  # whole GOPs stay as they are
    gvcodec.decode_file(piece, tmp_path / "b.mkv", fidelity=True)
    film = read_film(tmp_path / "b.mkv")
    assert len(film.planes) == len(frames) and film.reader.tracks is not None


#: Begin and end in seconds; the second one is on screen at 2 s.
SHOWN = ((0.2, 0.6), (1.0, 3.5), (3.8, 4.4))


def stamp(seconds: float) -> str:
    return f"00:00:{seconds:06.3f}".replace(".", ",")


@pytest.fixture(scope="module")
def videos(tmp_path_factory) -> Path:
    folder = tmp_path_factory.mktemp("subtitles")
    texts = folder / "a.srt"
    shown = (f"{stamp(begin)} --> {stamp(end)}" for begin, end in SHOWN)
    texts.write_text("".join(f"{n}\n{times}\nLine {n}\n\n" for n, times in enumerate(shown)))
    clip = moving_texture(64, 64, 25)
    with av.open(str(texts)) as words, av.open(str(folder / "a.mkv"), "w") as container:
        video = add_video(container, 64, 64, options={"g": "15", "bf": "2"})
        lines = container.add_stream_from_template(words.streams[0])
        for packet in words.demux():
            if packet.dts is not None:
                packet.stream = lines
                container.mux(packet)
        put_planes(container, video, clip * 5)
    gvcodec.encode_file(folder / "a.mkv", folder / "a.gvc", keyint=20, **FAST)
    return folder


def tracks_in(data: bytes) -> TrackReader:
    head, *others = (p.payload for p in packets_in(data) if p.kind is Kind.TRACKS)
    tracks = TrackReader(head)
    for payload in others:
        tracks.send(payload)
    return tracks


def lines_of(stream: Path) -> list[tuple[float, float, bytes]]:
    tracks = tracks_in(stream.read_bytes())
    lines, tick = (p for p in tracks.waiting if p.data), tracks.ticks[0]
    return [(float(p.pts * tick), float((p.pts + p.duration) * tick), p.data) for p in lines]


def shown_from(start: float) -> list[tuple[float, float, bytes]]:
    lines = ((begin, end, b"Line %d" % n) for n, (begin, end) in enumerate(SHOWN))
    return [(max(0.0, begin - start), end - start, li) for begin, end, li in lines if end > start]


def assert_lines(found: list[tuple[float, float, bytes]], start: float) -> None:
    wanted = shown_from(start)
    assert [line for *_, line in found] == [line for *_, line in wanted]
    for (begin, end, _), (first, last, _) in zip(found, wanted, strict=True):
        assert begin == pytest.approx(first, abs=0.002) and end == pytest.approx(last, abs=0.002)


@pytest.mark.parametrize("start", [0.4, 2.0, 3.0])
def test_encode_begins_with_the_subtitle_on_screen(videos: Path, tmp_path, start: float) -> None:
    gvcodec.encode_file(videos / "a.mkv", tmp_path / "b.gvc", start=start, **FAST)
    assert_lines(lines_of(tmp_path / "b.gvc"), start)
    gvcodec.encode_file(videos / "a.mkv", tmp_path / "c.gvc", start=start, jobs=1, **FAST)
    assert_lines(lines_of(tmp_path / "c.gvc"), start)


def test_encode_begins_with_a_subtitle_that_has_no_end(tmp_path, videos: Path) -> None:
    """Of several, the last; and of one that ends, however long ago it began."""
    parts = ((0, "open 0"), (1, "open 1"), (2, "ends"), (50, "after"))
    with av.open(str(videos / "a.mkv")) as model, av.open(str(tmp_path / "a.mkv"), "w") as made:
        video = add_video(made, 64, 64, rate=1, options={"g": "5"})
        lines = [made.add_stream_from_template(model.streams.subtitles[0]) for _ in range(2)]
        for seconds, text in parts:
            packet = av.Packet(text.encode())
            packet.stream, packet.time_base = lines[text == "ends"], Fraction(1)
            packet.pts = packet.dts = seconds
            packet.duration = 50 * (text == "ends")
            made.mux(packet)
        put_pictures(made, video, [np.full((64, 64, 3), 90, np.uint8)] * 60)
    for options in ({}, {"jobs": 1, "overwrite": True}):
        gvcodec.encode_file(tmp_path / "a.mkv", tmp_path / "a.gvc", start=45, **FAST, **options)
        found = [(begin, text) for begin, _, text in lines_of(tmp_path / "a.gvc")]
        assert sorted(found) == [(0, b"ends"), (0, b"open 1"), (5, b"after")]


@pytest.mark.parametrize("exact", [False, True])
def test_cut_begins_with_the_subtitle_on_screen(videos: Path, tmp_path, exact: bool) -> None:
    done = gvcodec.cut(videos / "a.gvc", tmp_path / "b.gvc", 2.0, exact=exact)
    assert done.begin > 1.0
    assert_lines(lines_of(tmp_path / "b.gvc"), done.begin)


@pytest.mark.parametrize("pipe", [False, True])
def test_decode_begins_with_the_subtitle_on_screen(videos, tmp_path, monkeypatch, pipe):
    source = str(videos / "a.gvc")
    if pipe:
        monkeypatch.setattr("sys.stdin", io.TextIOWrapper(open(source, "rb")))  # noqa: SIM115
    to = str(tmp_path / "b.mkv")
    run("decode", "-" if pipe else source, to, "--start", "2", "--fidelity")
    gvcodec.encode_file(to, tmp_path / "c.gvc", **FAST)
    assert_lines(lines_of(tmp_path / "c.gvc"), 2.0)


def test_a_subtitle_without_an_end_stays_until_the_next_one(videos: Path) -> None:
    tracks = tracks_in((videos / "a.gvc").read_bytes())
    tick = tracks.ticks[0]
    tracks.waiting.clear()
    for seconds in (0, 1, 2, 4):
        tracks.waiting.append(TrackPacket(0, round(seconds / tick), 0, bytes([seconds])))
    tracks.keep(Fraction(3), None)
    assert [(p.pts * tick, p.data[0]) for p in tracks.waiting] == [(0, 2), (1, 4)]


@pytest.mark.parametrize(("fps", "kept"), [(1, 4), (Fraction(1, 2), 2), (3, 12)])
def test_a_timelapse_has_no_frame_too_many(tmp_path, fps: Fraction, kept: int) -> None:
    """H20: the last frames of 4.0 s do not open another second."""
    write_clip(tmp_path / "a.mkv", moving_texture(32, 32, 100))
    assert len(frames_of(tmp_path / "a.mkv", fps=Fraction(fps))) == kept


def test_a_recording_that_begins_late_has_as_many_frames_as_are_expected(tmp_path) -> None:
    """Matroska says when a file ends, not how long it is."""
    write_clip(tmp_path / "a.mkv", moving_texture(32, 32, 50))
    later = ["-c", "copy", "-output_ts_offset", "10"]
    ffmpeg("-i", tmp_path / "a.mkv", *later, tmp_path / "b.mkv")
    with VideoReader(tmp_path / "b.mkv") as reader:
        assert reader.expected_frames == 50
