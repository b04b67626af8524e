"""Batch encoding: chunks hold every frame once, all engines write the same bytes, work resumes."""

import csv
import os
import signal
import subprocess
import sys
import time
from concurrent.futures import wait
from fractions import Fraction
from pathlib import Path
from typing import Any

import av
import fsspec
import numpy as np
import pytest

import gvcodec as api
from gvcodec.batch.driver import Driver
from gvcodec.batch.engines import Inline, Local, LostError, Task
from gvcodec.batch.ledger import CHUNK_COLUMNS, CHUNK_TABLE, COLUMNS, TABLE, Job, Ledger
from gvcodec.batch.tasks import Settings, boundaries, make_plan, make_settings
from gvcodec.config import EncoderConfig
from gvcodec.planes import frame_from_planes
from gvcodec.rate.one_pass import Budget
from gvcodec.util import uris
from tests.clips import add_video, packets_of, put_planes, read_film, sound_of
from tests.conftest import clips_equal, moving_texture, run

FRAMES, SIDE = 60, 96
QUICK = ("--preset", "10", "--fit", "off")


def write_video(
    path: Path, seed: int = 1, frames: int = FRAMES, codec: str = "libx264", sound: bool = False
) -> Path:
    half = frames - frames // 2
    clip = [p for n in (seed, seed + 50) for p in moving_texture(SIDE, SIDE, half, n)][:frames]
    options = {"g": "10", "bf": "2", "preset": "ultrafast"} if codec == "libx264" else {}
    with av.open(str(path), "w") as container:
        stream = add_video(container, SIDE, SIDE, codec, options=options)
        audio = container.add_stream("aac", rate=48000) if sound else None
        put_planes(container, stream, clip, 10)
        if audio is not None:
            wave = np.sin(np.arange(1920 * frames) / 20)[None].repeat(2, 0).astype(np.float32)
            for part in (sound_of(wave, 48000), None):
                container.mux(audio.encode(part))
    return path


@pytest.fixture(scope="module")
def videos(tmp_path_factory) -> Path:
    folder = tmp_path_factory.mktemp("videos")
    write_video(folder / "a.mp4", sound=True)
    write_video(folder / "b.mkv", seed=2)
    return folder


def quick(**others: Any) -> Settings:
    fields = {"preset": 10, "fit": 0.0, "q": 45} | others.pop("config", {})
    return make_settings(EncoderConfig(**fields), chunk=others.pop("chunk", 20), **others)


def encode(
    out: Path | str, *paths: Path | str, settings: Settings | None = None, engine: Any = None
) -> Driver:
    jobs = [Job(str(path), settings or quick()) for path in paths]
    with engine or Inline() as running:
        driver = Driver(running, Ledger(str(out)))
        driver.run(jobs)
    return driver


def table_of(out: Path, name: str = TABLE) -> list[dict[str, str]]:
    with open(out / name, encoding="utf-8", newline="") as file:
        return list(csv.DictReader(file))


def streams_of(out: Path) -> dict[str, bytes]:
    names = (path.relative_to(out) for path in sorted(out.rglob("*.gvc")))
    shown = [name for name in names if not any(part.startswith(".") for part in name.parts)]
    return {str(name): (out / name).read_bytes() for name in shown}


def test_boundaries_stand_at_keyframes_and_prefer_early_ones() -> None:
    keys = [n % 12 == 0 or n == 50 for n in range(200)]
    starts = boundaries(keys, 60)
    assert starts[0] == 0 and all(keys[start] for start in starts)
    # 50 comes two frames after 48: an encoder saw a scene begin.
    assert starts[1] == 50
    lengths = np.diff([*starts, 200])
    assert lengths.min() >= 15 and lengths.max() <= 75
    assert boundaries([n == 0 for n in range(500)], 60) == [0]
    assert boundaries([n in (0, 300) for n in range(500)], 60) == [0, 300]
    assert boundaries([True] * 100, 40) == [0, 40, 80]


@pytest.mark.parametrize(
    ("suffix", "start", "frames"), [(".mp4", 0.0, None), (".ts", 0.5, 40), (".y4m", 0.5, 40)]
)
def test_chunks_hold_every_frame_once(tmp_path, suffix, start, frames):
    codec = "wrapped_avframe" if suffix == ".y4m" else "libx264"
    path = str(write_video(tmp_path / f"in{suffix}", codec=codec))
    plan = make_plan(path, start, frames, 20)
    whole, found, times = read_film(path, start, frames), [], []
    for number, chunk in enumerate(plan.chunks):
        part = read_film(path, start, chunk.frames, plan.span(number))
        assert len(part.planes) == chunk.frames and chunk.first == len(found)
        found, times = found + part.planes, times + part.seconds
    assert len(plan.chunks) > 1 and plan.frames == len(found)
    assert times == whole.seconds and clips_equal(found, whole.planes)


@pytest.fixture(scope="module")
def whole(videos: Path, tmp_path_factory) -> dict[str, bytes]:
    """The streams of both videos as one process writes them."""
    out = tmp_path_factory.mktemp("whole")
    encode(out, videos / "a.mp4", videos / "b.mkv")
    assert list(streams_of(out)) == ["a.gvc", "b.gvc"]
    return streams_of(out)


def test_every_engine_writes_the_same_bytes_with_the_sound(videos: Path, whole, tmp_path) -> None:
    encode(tmp_path / "out", videos / "a.mp4", videos / "b.mkv", engine=Local(2))
    assert streams_of(tmp_path / "out") == whole
    decoded = tmp_path / "back.mp4"
    run("decode", tmp_path / "out" / "a.gvc", decoded, "--fidelity")
    sound = []
    for path in (videos / "a.mp4", decoded):
        sound.append([*map(bytes, packets_of(path))])
        assert len(packets_of(path, "video")) == FRAMES
    assert sound[0] == sound[1]


def test_encode_with_jobs_equals_one_process(videos: Path, tmp_path) -> None:
    made = []
    for jobs in ("1", "2"):
        out = tmp_path / f"{jobs}.gvc"
        words = ["--jobs", jobs, "--keyint", "20", "--fit", "off", "--preset", "10"]
        assert "chunks" in run("encode", videos / "b.mkv", out, *words).err
        made.append(out.read_bytes())
    assert made[0] == made[1] and len(list(api.decode(made[0], fidelity=True))) == FRAMES
    assert sorted(path.name for path in tmp_path.iterdir()) == ["1.gvc", "2.gvc"]


def test_no_chunk_is_painted_and_all_have_rows(videos: Path, tmp_path, monkeypatch) -> None:
    begun: list[int] = []

    class Noting(Inline):
        def submit(self, task: Task) -> Any:
            begun.append(task.arguments.get("number", -1))
            return super().submit(task)

    # Nothing can be painted.
    monkeypatch.setattr("gvcodec.codec.encode_stream.PaintedHash", None)
    driver = encode(tmp_path, videos / "b.mkv", settings=quick(start=0.2), engine=Noting())
    assert not driver.errors
    rows, chunks = table_of(tmp_path), table_of(tmp_path, CHUNK_TABLE)
    assert [int(row["frames"]) for row in (*rows, *chunks)] == [55, 15, 20, 20]
    assert begun == [-1, 0, 1, 2, -1]
    assert list(rows[0]) == COLUMNS and list(chunks[0]) == CHUNK_COLUMNS
    assert int(rows[0]["bytes"]) == sum(path.stat().st_size for path in tmp_path.glob("*.gvc"))
    assert float(rows[0]["psnr_y"]) > 25


def test_chunks_have_the_format_of_the_whole(tmp_path) -> None:
    """Two videos in one file, of other colour and size: as without jobs, the first one's holds."""
    path, half = tmp_path / "in.ts", FRAMES // 2
    with av.open(str(path), "w") as container:
        stream = add_video(container, SIDE, SIDE)
        for part, (side, matrix) in enumerate(((SIDE, 2), (SIDE // 2, 1))):
            coder = av.CodecContext.create("libx264", "w")
            coder.width = coder.height = side
            coder.pix_fmt, coder.framerate, coder.time_base = "yuv420p", 25, Fraction(1, 25)
            coder.colorspace = matrix
            coder.options = {"g": "10", "bf": "0", "preset": "ultrafast"}
            frames = [frame_from_planes(p, 8) for p in moving_texture(side, side, half, 3 + part)]
            for number, frame in enumerate([*frames, None], part * half):
                if frame is not None:
                    frame.pts, frame.time_base = number, Fraction(1, 25)
                for packet in coder.encode(frame):
                    packet.stream = stream
                    container.mux(packet)
    found = []
    for jobs in ([], ["--jobs", "2"]):
        words = [*jobs, "--keyint", "20", "--fit", "off", "--preset", "10", "-y"]
        said = run("encode", path, tmp_path / "o.gvc", *words)
        found.append(api.info(tmp_path / "o.gvc"))
    assert "chunks" in said.err
    whole, joined = ((x.frames, x.width, x.height, x.matrix) for x in found)
    assert whole == joined and whole[:3] == (FRAMES, SIDE, SIDE)


@pytest.mark.usefixtures("inline_batch")
def test_a_folder_of_odd_files(tmp_path) -> None:
    """Each has a row; what can be encoded is, and the exit code says that something could not."""
    folder, out = tmp_path / "in", tmp_path / "out"
    for sub in ("x", "y", "z"):
        (folder / sub).mkdir(parents=True)
    no_utf8 = [os.fsdecode(name) for name in (b"Caf\xe9.mp4", b"no\xe9.mp4")]
    write_video(folder / "x" / "clip.mp4", 1, frames=40)
    write_video(folder / "y" / "clip.mp4", 2, frames=40)
    video = (folder / "x" / "clip.mp4").read_bytes()
    for name in ("z/copy.mp4", "naïve 映画 🎬.mp4", no_utf8[0]):
        (folder / name).write_bytes(video)
    (folder / "notes.txt").write_text("no video")
    (folder / "empty.mp4").write_bytes(b"")
    (folder / "cut off.mp4").write_bytes(video[: len(video) // 2])
    (folder / no_utf8[1]).write_bytes(b"no video")
    report = run("batch", folder, "-o", out, *QUICK, "--chunk", "20", "--jobs", "1", code=6).err
    assert "1 file is no video and skipped: notes.txt" in report
    assert "3 of 8 files failed" in report.splitlines()[-1]
    rows = table_of(out)
    assert len(rows) == 8
    failed = {Path(row["input"]).name for row in rows if row["status"] == "failed"}
    assert failed == {"empty.mp4", "cut off.mp4", r"no\udce9.mp4"}
    assert all(row["error"] for row in rows if row["status"] == "failed")
    assert any(row["input"].endswith(r"Caf\udce9.mp4") for row in rows)
    coded = {"x/clip.gvc", "y/clip.gvc", "z/copy.gvc", "naïve 映画 🎬.gvc"}
    assert set(streams_of(out)) == coded | {os.fsdecode(b"Caf\xe9.gvc")}
    assert coded < {row["output"] for row in rows if row["status"] == "done"}
    assert streams_of(out)["x/clip.gvc"] == streams_of(out)["z/copy.gvc"]
    assert len(table_of(out, CHUNK_TABLE)) == 5 * 2


class Counted(Inline):
    """An engine that counts what it is asked to code, and may break off."""

    def __init__(self, most: int = 1000) -> None:
        super().__init__()
        self.calls, self._most = [], most

    def submit(self, task: Task) -> Any:
        self.calls.append(task.call.__name__)
        if self.calls.count("encode") > self._most:
            raise KeyboardInterrupt
        future = super().submit(task)
        wait([future])
        return future


def test_work_goes_on_at_the_chunk_and_done_work_is_left_alone(videos, whole, tmp_path) -> None:
    with pytest.raises(KeyboardInterrupt):
        encode(tmp_path / "out", videos / "b.mkv", engine=Counted(1))
    assert not streams_of(tmp_path / "out")
    second = Counted()
    encode(tmp_path / "out", videos / "b.mkv", engine=second)
    assert second.calls == ["encode", "encode", "join"]
    assert streams_of(tmp_path / "out") == {"b.gvc": whole["b.gvc"]}
    third = Counted()
    encode(tmp_path / "out", videos / "b.mkv", engine=third)
    assert not third.calls and len(table_of(tmp_path / "out", CHUNK_TABLE)) == 3
    # Other settings are other work.
    other = Counted()
    encode(tmp_path / "out", videos / "b.mkv", settings=quick(config={"q": 60}), engine=other)
    assert other.calls.count("encode") == 3


@pytest.mark.parametrize("damage", ["a bit", "torn row"])
def test_a_torn_chunk_is_coded_again(videos: Path, whole, tmp_path, damage: str) -> None:
    """As a power cut or a full disk leaves it."""
    with pytest.raises(KeyboardInterrupt):
        encode(tmp_path / "out", videos / "b.mkv", engine=Counted(2))
    (chunk,) = (tmp_path / "out" / ".batch" / "chunks").glob("*/00001.gvc")
    data, row = chunk.read_bytes(), Path(f"{chunk}.json")
    if damage == "a bit":
        chunk.write_bytes(data[:-9] + bytes([data[-9] ^ 4]) + data[-8:])
    else:
        row.write_bytes(row.read_bytes()[:40])
    again = Counted()
    assert not encode(tmp_path / "out", videos / "b.mkv", engine=again).errors
    assert again.calls == ["encode", "encode", "join"]
    assert streams_of(tmp_path / "out") == {"b.gvc": whole["b.gvc"]}


def test_a_changed_input_replaces_its_own_output(videos: Path, tmp_path) -> None:
    """A recording of which a half was there when the batch ran first."""
    film, out = tmp_path / "rec.mkv", tmp_path / "out"
    film.write_bytes((videos / "b.mkv").read_bytes()[:-2000])
    encode(out, film)
    half = streams_of(out)
    film.write_bytes((videos / "b.mkv").read_bytes())
    encode(out, film)
    assert list(streams_of(out)) == ["rec.gvc"] == list(half) and streams_of(out) != half
    assert table_of(out)[0]["frames"] == str(FRAMES)
    assert not list((out / ".batch" / "chunks").iterdir())
    # A new time alone is no new input.
    os.utime(film, (1, 1))
    touched = Counted()
    encode(out, film, engine=touched)
    assert touched.calls == ["plan"]


def test_an_input_that_grows_while_it_is_coded_is_marked(videos: Path, tmp_path) -> None:
    film, out = tmp_path / "rec.mkv", tmp_path / "out"
    whole = (videos / "b.mkv").read_bytes()
    film.write_bytes(whole[:-2000])

    class Growing(Inline):
        def _run(self, task: Task) -> Any:
            if task.call.__name__ == "join":
                film.write_bytes(whole)
            return super()._run(task)

    assert not encode(out, film, engine=Growing()).errors
    rows = table_of(out)
    assert {row["status"] for row in rows} == {"incomplete"} and int(rows[0]["frames"]) < FRAMES
    assert "changed while it was coded" in rows[0]["error"]
    encode(out, film)
    rows = table_of(out)
    assert {row["status"] for row in rows} == {"done"} and int(rows[0]["frames"]) == FRAMES
    assert rows[0]["error"] == "" and list(streams_of(out)) == ["rec.gvc"]


@pytest.mark.usefixtures("inline_batch")
def test_a_damaged_source_and_a_file_without_gain_have_statuses(videos: Path, tmp_path):
    folder = tmp_path / "in"
    folder.mkdir()
    (folder / "half.mkv").write_bytes((videos / "b.mkv").read_bytes()[:-2000])
    words = ("batch", folder, "-o", tmp_path / "out", *QUICK, "--jobs", "1")
    report = run(*words, code=8).err
    assert "1 incomplete; " in report and "1 source is incomplete; " in report
    (row, *_) = table_of(tmp_path / "out")
    assert row["status"] == "incomplete" and row["error"] and row["output"] == "half.gvc"
    run(*words, "--allow-damaged")
    words = ("batch", videos / "b.mkv", "-o", tmp_path / "none", *QUICK, "--jobs", "1")
    for _ in range(2):
        run(*words, "--min-gain", "99.9%", code=7)
        (row,) = table_of(tmp_path / "none")
        assert row["status"] == "no gain" and "would save less than 99.9 %" in row["error"]
        assert not streams_of(tmp_path / "none")
    run(*words, "--min-gain", "1%")
    assert [row["status"] for row in table_of(tmp_path / "none")] == ["done"]


def test_killed_at_any_moment_it_ends_with_the_same_bytes(videos: Path, whole, tmp_path) -> None:
    out = tmp_path / "out"
    words = [videos, "-o", out, *QUICK, "-q", "45", "--chunk", "20", "--jobs", "2"]
    for seconds in (1.5, 3.0, None):
        command = [sys.executable, "-m", "gvcodec", "batch", *words]
        process = subprocess.Popen(command, stderr=subprocess.PIPE, start_new_session=True)
        if seconds is not None:
            time.sleep(seconds)
            process.send_signal(signal.SIGKILL)
        process.communicate(timeout=120)
    assert process.returncode == 0 and streams_of(out) == whole
    assert {row["status"] for row in table_of(out)} == {"done"}


def test_a_worker_that_dies_is_tried_again_and_given_up() -> None:
    with Local(1) as engine:
        with pytest.raises(LostError, match=r"the worker died \(exit code 3"):
            engine.submit(Task(os._exit, {"status": 3})).result(timeout=100)
        with pytest.raises(LostError, match="signal 6"):
            engine.submit(Task(os.abort)).result(timeout=100)


def test_memory_as_input_and_output(videos: Path, whole) -> None:
    memory = fsspec.filesystem("memory")
    memory.pipe_file("/in/a.mp4", (videos / "a.mp4").read_bytes())
    assert not encode("memory://out", *uris.list_files("memory://in/*.mp4")).errors
    assert [Path(name).name for name in memory.glob("/out/*.gvc")] == ["a.gvc"]
    assert memory.cat_file("/out/a.gvc") == whole["a.gvc"]
    assert b"a.mp4" in memory.cat_file("/out/batch.csv")
    memory.rm("/out", recursive=True)
    memory.rm("/in", recursive=True)


def test_a_lost_connection_is_waited_out(videos: Path, whole, tmp_path, monkeypatch) -> None:
    """A read fails in the middle: the task is tried again, and all frames are there."""
    memory = fsspec.filesystem("memory")
    memory.pipe_file("/in/a.mp4", (videos / "a.mp4").read_bytes())
    reads = {"count": 0, "at": 40}
    real = uris._Remote.readinto

    def readinto(self: Any, buffer: memoryview) -> int:
        reads["count"] += 1
        if reads["count"] == reads["at"]:
            with uris.name_errors(self.name):
                raise OSError("connection reset by peer")
        return real(self, buffer)

    monkeypatch.setattr(uris._Remote, "readinto", readinto)
    for at in (1, 9):
        reads.update(count=0, at=at)
        out = tmp_path / str(at)
        assert not encode(out, "memory://in/a.mp4").errors and reads["count"] > at
        assert streams_of(out) == {"a.gvc": whole["a.gvc"]}
    memory.rm("/in", recursive=True)


@pytest.mark.usefixtures("inline_batch")
def test_a_manifest_has_options_for_each_row(videos: Path, tmp_path) -> None:
    lines = ["uri,q,preset,keyint", "a.mp4,40,,20", "b.mkv,,9,", "b.mkv,99,,"]
    (videos / "list.csv").write_text("\n".join(lines))
    said = run(
        "batch", videos / "list.csv", "-o", tmp_path, *QUICK, "-q", "60", "--jobs", "1", code=6
    )
    assert "'99' is not a number from 0 (best) to 67" in said.err
    rows = table_of(tmp_path)
    wanted = [("done", "40.0"), ("done", "60.0"), ("failed", "")]
    assert [(row["status"], row["q"]) for row in rows] == wanted
    (videos / "list.csv").unlink()


def test_a_size_holds_for_a_file_which_is_one_chunk(videos: Path, tmp_path) -> None:
    wanted = 30_000
    settings = quick(rate=Budget(size=wanted), config={"base": "vvc", "preset": 4})
    assert not encode(tmp_path, videos / "b.mkv", settings=settings).errors
    (stream,) = streams_of(tmp_path).values()
    assert 0.8 * wanted < len(stream) <= wanted
    assert len(list(api.decode(stream, fidelity=True))) == FRAMES


def test_what_cannot_be_shared_out_is_refused(videos: Path, tmp_path) -> None:
    for words in (["--low-delay"], ["--preset", "10", "--maxrate", "100k"], ["--frobnicate"]):
        run("batch", videos, "-o", tmp_path / "out", *words, code=2)
    for name in ("a.txt", "b.pdf"):
        (tmp_path / name).write_text("no video")
    said = run("batch", tmp_path, "-o", tmp_path / "out", code=2)
    assert f"{tmp_path}: no videos among the files there" in said.err
    assert not os.path.exists(tmp_path / "out")


def test_a_table_of_inputs_is_not_replaced_by_the_table_of_results(tmp_path) -> None:
    table = tmp_path / "batch.csv"
    table.write_text("uri\nnone.mp4\n")
    for out, why in ((tmp_path, "is the input"), (tmp_path / "nodir" / "..", "No such file")):
        (line,) = run("batch", table, "-o", out, code=1).err.splitlines()
        assert why in line
    assert list(tmp_path.iterdir()) == [table] and table.read_text() == "uri\nnone.mp4\n"


@pytest.mark.usefixtures("inline_batch")
def test_outputs_are_named_as_their_sources_and_only_equal_names_get_a_suffix(tmp_path):
    films, out = tmp_path / "films", tmp_path / "out"
    films.mkdir()
    write_video(films / "a.mp4", frames=12, seed=1)
    write_video(films / "t.mp4", frames=12, seed=2)
    write_video(films / "t.mkv", frames=12, seed=3)
    (films / "notes.txt").write_text("no video")
    (films / "cover.jpg").write_bytes(b"no video either")
    report = run("batch", films, "-o", out, *QUICK, "--jobs", 1).err
    assert "2 files are no videos and skipped: cover.jpg, notes.txt" in report
    names = sorted(streams_of(out))
    assert names == ["a.gvc", "t.mkv.gvc", "t.mp4.gvc"]
    assert f"{films / 'a.mp4'}: a.gvc, 12 frames, " in report
    assert "3 done; " in report and f"{out}: 3 files done (batch.csv" in report
