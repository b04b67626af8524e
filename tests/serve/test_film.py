"""Pictures and times of segments, playlists, damaged GOPs."""

from fractions import Fraction
from pathlib import Path

import av
import pytest

import gvcodec
from gvcodec.codec.decoder import DecodedFrame
from gvcodec.limits import Limits
from gvcodec.planes import planes_from_frame, to_eight_bits
from gvcodec.serve.film import Film, split_gop
from gvcodec.types import VideoFormat
from tests.conftest import moving_texture
from tests.edit.test_tools import TIMES, made
from tests.player_helpers import as_mp4
from tests.serve.clients import PLAYLIST, answer, frames_in, joined, lengths_of, psnr, serving


def test_segments_show_the_painted_pictures_at_their_times(painted: Path) -> None:
    with serving(painted, "--crf", 4) as server, gvcodec.open(painted) as video:
        shown = frames_in(joined(server))
        decoded = list(video.decode_range(0, len(video)))
        assert len(shown) == len(decoded) == 12
        for picture, frame in zip(shown, decoded, strict=True):
            luma = planes_from_frame(picture)[0] >> 2
            assert psnr(luma, to_eight_bits(frame.planes[0])) > 40
            assert psnr(luma, to_eight_bits(frame.planes[0])) > psnr(
                luma, to_eight_bits(frame.base_frame[0])
            )
            assert picture.time == pytest.approx(frame.pts / 25)
    with serving(painted, "--crf", 4, "--fidelity") as server:
        luma = planes_from_frame(frames_in(joined(server))[3])[0] >> 2
        assert psnr(luma, to_eight_bits(decoded[3].base_frame[0])) > 40


def test_a_playlist_lists_the_whole_film_and_any_segment_plays_first(painted: Path) -> None:
    with serving(painted) as server:
        assert lengths_of(answer(server, PLAYLIST)[1]) == pytest.approx([0.24, 0.24])
        head, last = (answer(server, f"/a.gvc/{place}")[1] for place in ("init.mp4", "1.m4s"))
        frames = frames_in(head + last)
        assert [frame.time for frame in frames] == pytest.approx([n / 25 for n in range(6, 12)])
        assert frames[0].key_frame
        page = answer(server, "/")[1].decode()
        assert 'href="a.gvc/"' in page and " 0:00 " in page
        assert 'src="index.m3u8"' in answer(server, "/a.gvc/")[1].decode()
        (poster,) = frames_in(answer(server, "/a.gvc/poster.jpg")[1])
        (frame,) = video_frames(painted, 0)
        shown = poster.to_ndarray(format="gray")
        assert psnr(shown, to_eight_bits(frame.base_frame[0])) > 14  # full range


def video_frames(path: Path, number: int) -> list[DecodedFrame]:
    with gvcodec.open(path) as video:
        return list(video.decode_range(number, number + 1))


def test_segments_have_at_most_two_seconds_and_continue_a_gop(painted: Path) -> None:
    video = gvcodec.open(painted)
    film = Film(video, painted, 4, 1, Limits(), lambda: gvcodec.open(painted, fidelity=True))
    film.__dict__["_cuts"] = [0, 2, 4, 6, 12]
    parts = [film.head + film.segment(number) for number in (0, 1, 2, 3, 1)]
    frames = [[frame.time for frame in frames_in(part)] for part in parts]
    assert frames[1] == pytest.approx([2 / 25, 3 / 25])
    assert parts[1] == parts[4]  # painting after a seek is that of playback
    late = film.segment(1, due=0)
    assert film.is_late
    luma = planes_from_frame(frames_in(film.head + late)[1])[0] >> 2
    assert psnr(luma, to_eight_bits(video_frames(painted, 3)[0].base_frame[0])) > 40
    assert film.segment(3) + film.head == parts[3][len(film.head) :] + film.head
    assert not film.is_late
    with pytest.raises(ConnectionAbortedError):
        film.segment(1, lambda: False)


@pytest.mark.parametrize(
    ("lengths", "cuts"),
    [
        ([Fraction(1, 24)] * 240, [0, 48, 96, 144, 192]),
        ([Fraction(1001, 24000)] * 240, [0, 40, 80, 120, 160, 200]),
        ([Fraction(5), Fraction(1), Fraction(3, 2)], [0, 1, 2]),
        ([Fraction(1)], [0]),
    ],
)
def test_gops_are_split(lengths: list[Fraction], cuts: list[int]) -> None:
    times = [sum(lengths[:n], Fraction(7)) for n in range(len(lengths) + 1)]
    assert split_gop(times, 2) == cuts


def test_ffmpeg_plays_the_playlist_and_seeks(painted: Path) -> None:
    with serving(painted) as server, av.open(server.address_of("a.gvc")) as container:
        times = [frame.time for frame in container.decode(video=0)]
        assert times == pytest.approx([n / 25 for n in range(12)])
        container.seek(round(0.3 * av.time_base))
        assert next(container.decode(video=0)).time == pytest.approx(6 / 25)


def test_times_that_vary_are_kept(tmp_path: Path) -> None:
    path = tmp_path / "a.gvc"
    path.write_bytes(made(moving_texture(64, 48, 18), times=TIMES, start=500))
    with serving(path) as server:
        frames = frames_in(joined(server))
        times = [(time - TIMES[0]) / 1000 for time in TIMES]
        assert [frame.time for frame in frames] == pytest.approx(times, abs=1e-6)
        total = sum(lengths_of(answer(server, PLAYLIST)[1]))
        with gvcodec.open(path) as video:
            assert total == pytest.approx(video.metadata.duration_seconds, abs=1e-4)


def test_odd_sides_are_made_even(tmp_path: Path) -> None:
    path, fmt = tmp_path / "a.gvc", VideoFormat(65, 47, Fraction(25), Fraction(1, 25))
    path.write_bytes(gvcodec.encode(moving_texture(65, 47, 3), format=fmt, threads=1, preset=10))
    with serving(path, "--crf", 4) as server, gvcodec.open(path) as video:
        shown = frames_in(joined(server))[2]
        (frame,) = video.decode_range(2, 3)
        luma = planes_from_frame(shown)[0] >> 2
        assert luma.shape == (48, 66)
        assert psnr(luma[:47, :65], to_eight_bits(frame.planes[0])) > 40


def test_a_file_that_plays_everywhere_is_served_too(painted: Path) -> None:
    with serving(as_mp4(painted)) as server:
        assert len(frames_in(joined(server, "a.mp4"))) == 12


def test_a_damaged_gop_is_an_answer_and_the_others_play(
    painted: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    data = bytearray(painted.read_bytes())
    with open(painted, "rb") as file:
        gop = gvcodec.Reader(file).gops()[0]
    with gvcodec.open(painted) as video:
        assert len(video) == 12
    path = tmp_path / "a.gvc"
    path.write_bytes(data)
    with serving(path) as server:
        assert answer(server, PLAYLIST)[0].status == 200
        data[gop.offset + gop.size // 2] ^= 0xFF
        path.write_bytes(data)
        response, text = answer(server, "/a.gvc/0.m4s")
        assert response.status == 500 and b"GOP" not in text and b"a.gvc" not in text
        assert answer(server, "/a.gvc/1.m4s")[0].status == 200
    assert capsys.readouterr().err.count("GOP at frame 0") == 1
