"""Options of `batch` that `encode` does not have, and tables and folders as people have them."""

import json
import os
import re
import shutil
import subprocess
import threading
import time
from functools import partial
from pathlib import Path
from typing import IO, Any

import av
import fsspec
import pytest

import gvcodec
from gvcodec.batch import inputs, tasks
from gvcodec.batch.driver import Driver
from gvcodec.batch.engines import Inline, Local, Task, TaskError, open_engine
from gvcodec.batch.ledger import Job, Ledger, summary_of
from gvcodec.batch.probe import holds_video
from gvcodec.batch.tasks import make_settings
from gvcodec.config import EncoderConfig
from gvcodec.errors import UsageError
from gvcodec.util import process, uris
from gvcodec.util.signals import OnAbort
from tests.batch.test_batch import QUICK, encode, quick, streams_of, table_of, write_video
from tests.clips import ffmpeg
from tests.conftest import run

pytestmark = pytest.mark.usefixtures("inline_batch")
QUICK_ONE = (*QUICK, "--jobs", "1")


@pytest.fixture(scope="module")
def film(tmp_path_factory) -> Path:
    return write_video(tmp_path_factory.mktemp("film") / "a.mp4", frames=20, sound=True)


def test_a_batch_of_files_that_every_player_shows(film: Path, tmp_path) -> None:
    """They hold what `encode` to that name holds, and the table has their sizes."""
    out, alone = tmp_path / "out", tmp_path / "alone.webm"
    run("batch", film, "-o", out, *QUICK_ONE, "--as", ".webm", "--sound", "opus")
    (row,) = table_of(out)
    path = out / "a.webm"
    assert row["output"] == path.name and int(row["bytes"]) == path.stat().st_size
    with av.open(str(path)) as container:
        assert container.streams.video[0].codec_context.name == "libdav1d"
        assert len(container.streams.audio) == 1
    run("encode", film, alone, *QUICK, "--sound", "opus", "--jobs", "1")
    assert gvcodec.info(path).base_hash == gvcodec.info(alone).base_hash
    run("batch", film, "-o", out / "small", *QUICK_ONE, "--as", "mp4", "--size", "20k")
    assert 0.95 * 20_000 <= (out / "small" / "a.mp4").stat().st_size <= 20_000
    with pytest.raises(UsageError, match="has base av1, not vvc"):
        make_settings(EncoderConfig(base="vvc"), suffix=".mp4")
    assert "is not gvc, mp4" in run("batch", film, "-o", out, "--as", "avi", code=2).err


def test_outputs_of_other_options_are_named_and_kept_or_replaced(film: Path, tmp_path) -> None:
    words = ["batch", film, "-o", tmp_path, *QUICK_ONE]
    run(*words)
    first = streams_of(tmp_path)
    report = run(*words, "-q", 60, "--stale", "keep").err
    assert "1 file in OUT was coded with other options or by another release: a.gvc" in report
    assert "1 stale; " in report and streams_of(tmp_path) == first
    assert [row["status"] for row in table_of(tmp_path)] == ["stale"]
    assert "a.gvc; replaced" in run(*words, "-q", 60, "--stale", "replace").err
    second = streams_of(tmp_path)
    assert list(second) == ["a.gvc"] and second != first
    # The first options are the others now.
    assert "new ones get other names" in run(*words).err
    assert first["a.gvc"] in streams_of(tmp_path).values() and len(streams_of(tmp_path)) == 2
    assert "other options" not in run(*words, "-q", 60).err


def test_a_replaced_output_stays_until_the_new_one_is_whole(film: Path, tmp_path) -> None:
    encode(tmp_path, film)
    before = streams_of(tmp_path)
    settings = make_settings(EncoderConfig(preset=10, fit=0.0, q=60))
    Ledger(str(tmp_path), "replace").open([Job(str(film), settings)])
    assert streams_of(tmp_path) == before


def test_a_batch_ends_with_the_first_failure_if_asked(film: Path, tmp_path) -> None:
    folder = tmp_path / "in"
    folder.mkdir()
    (folder / "0.mp4").write_bytes(b"no video")
    for number in range(1, 8):
        shutil.copy(film, folder / f"{number}.mp4")
    report = run("batch", folder, "-o", tmp_path / "out", *QUICK_ONE, "--fail-fast", code=6).err
    statuses = [row["status"] for row in table_of(tmp_path / "out")]
    assert statuses.count("failed") == 1 and statuses.count("open") >= 5
    assert "1 of 8 files failed" in report


class _Busy(Local):
    """Two cores. The second file's plan fails once two chunks of the first are coded, whose later
    chunks take a minute."""

    def __init__(self) -> None:
        super().__init__(2)
        self.coded, self.workers = threading.Semaphore(0), list[subprocess.Popen[bytes]]()

    def _run(self, task: Task) -> Any:
        is_second = task.arguments["uri"].endswith("b.mp4")
        if task.call is tasks.plan and is_second:
            for _ in range(2):
                self.coded.acquire()
            while not self._processes:
                time.sleep(0.01)
            raise TaskError("no video")
        if task.call is tasks.encode and task.arguments["number"] >= 2:
            return super()._run(Task(partial(time.sleep, 60)))
        value = super()._run(task)
        if task.call is tasks.encode:
            self.coded.release()
        return value

    def _start(self, task: Task, stderr: IO[bytes]) -> tuple[subprocess.Popen[bytes], OnAbort]:
        started = super()._start(task, stderr)
        self.workers.append(started[0])
        return started


class _Counting(Inline):
    def __init__(self) -> None:
        super().__init__()
        self.numbers: list[int] = []

    def _run(self, task: Task) -> Any:
        if task.call is tasks.encode:
            self.numbers.append(task.arguments["number"])
        return super()._run(task)


def test_a_failure_stops_files_being_coded_whose_chunks_stay(tmp_path) -> None:
    first, second, out = tmp_path / "a.mp4", tmp_path / "b.mp4", tmp_path / "out"
    write_video(first)
    second.write_bytes(b"no video")
    jobs = [Job(str(path), quick()) for path in (first, second)]
    engine = _Busy()
    with engine:
        driver = Driver(engine, Ledger(str(out)), fail_fast=True)
        driver.run(jobs)
    assert all(process.poll() is not None for process in engine.workers)
    # A worker that was waited for ends by itself, with 0.
    assert any(process.returncode for process in engine.workers)
    assert list(driver.errors) == [jobs[1].name] and not streams_of(out)
    statuses = {Path(row["input"]).name: row["status"] for row in table_of(out)}
    assert statuses == {"a.mp4": "open", "b.mp4": "failed"}
    counting = _Counting()
    encode(out, first, engine=counting)
    assert counting.numbers and min(counting.numbers) == 2
    encode(tmp_path / "alone", first)
    assert streams_of(out) == streams_of(tmp_path / "alone")


def test_out_that_is_a_file_is_refused(film: Path, tmp_path) -> None:
    place = tmp_path / "file"
    place.write_bytes(b"")
    for out in (place, place / "folder"):
        report = run("batch", film, "-o", out, *QUICK_ONE, code=2).err
        assert report == f"gvcodec: {place}: is a file, -o OUT is a folder\n"


def test_totals_have_source_bytes_and_the_share_saved(film: Path, tmp_path) -> None:
    size = film.stat().st_size
    driver = encode(tmp_path / "whole", film)
    (row,) = table_of(tmp_path / "whole")
    assert int(row["source_bytes"]) == size
    assert float(row["saved"]) == pytest.approx(1 - int(row["bytes"]) / size, abs=1e-4)
    assert not driver.errors
    encode(tmp_path / "part", film, settings=quick(frames=10))
    assert table_of(tmp_path / "part")[0]["source_bytes"] == ""
    rows = [{"status": "done", "bytes": 250, "source_bytes": 1000}, {"status": "failed"}]
    assert summary_of(rows) == "1 done, 1 failed; 250 bytes of 1,000 in the sources, 75.0 % saved"
    rows = [{"status": "done", "bytes": 250, "source_bytes": 200}]
    assert summary_of(rows).endswith("25.0 % more")


def test_folders_without_videos_and_out_over_the_inputs_have_their_reasons(film, tmp_path) -> None:
    (tmp_path / "empty").mkdir()
    words = ["-o", tmp_path / "out", *QUICK_ONE]
    assert "the folder holds no files" in run("batch", tmp_path / "empty", *words, code=6).err
    assert "no file has such a name" in run("batch", tmp_path / "*.mkv", *words, code=6).err
    assert "No such file" in run("batch", tmp_path / "none.mkv", *words, code=6).err
    folder = tmp_path / "in"
    folder.mkdir()
    shutil.copy(film, folder / "a.mp4")
    for out in (folder, tmp_path):
        report = run("batch", folder, "-o", out, *QUICK_ONE, code=2).err
        assert "OUT is this folder, or holds it" in report
    report = run("batch", folder / "a.mp4", "-o", folder, *QUICK_ONE, code=6).err
    assert "is in OUT" in report and not list(folder.glob("*.gvc"))


def test_videos_of_a_folder_are_known_by_their_content(film: Path, tmp_path) -> None:
    """Cameras have endings of their own; covers, texts and lists of files are no videos."""
    endings = ("insv", "360", "m2t", "MOD", "TOD", "m2p", "tp", "mk3d", "dav", "lrv", "lrf")
    for ending in endings:
        shutil.copy(film, tmp_path / f"v.{ending}")
    with av.open(str(tmp_path / "cover.m4x"), "w", format="mp4") as container:
        sound = container.add_stream("aac", rate=48000)
        container.mux(sound.encode(None))
    (tmp_path / "notes").write_text("text")
    (tmp_path / "notes.diz").write_text("text")
    (tmp_path / "list.ffconcat").write_text("ffconcat version 1.0\nfile v.360\n")
    (tmp_path / "empty.xyz").touch()
    (tmp_path / "random.xyz").write_bytes(bytes(range(256)) * 40)
    listed = {Path(uri).name: error for uri, _, error in inputs.list_inputs([str(tmp_path)])}
    assert {name for name, error in listed.items() if not error} == {f"v.{e}" for e in endings}
    assert set(listed.values()) == {"", inputs.NO_VIDEO}
    assert not holds_video(str(tmp_path / "none"))


def test_tables_as_pandas_writes_them(tmp_path) -> None:
    table = tmp_path / "list.csv"
    table.write_text(
        ",Unnamed: 0,uri,q,preset,keyint\n0,0,a.mp4,40.0,8.0,\n1,1,b.mp4,45.5,,-1.00\n"
    )
    rows = [inputs.words_of(row) for _, row, _ in inputs.list_inputs([str(table)])]
    assert rows == [["-q", "40", "--preset=8"], ["-q", "45.5", "--keyint=-1"]]
    lines = tmp_path / "list.jsonl"
    row = '"q": 40.0, "size": 5000, "preset": NaN, "eye": true, "keyint": null'
    lines.write_text(f'{{"uri": "s3://b/c.mp4", {row}}}\n')
    ((uri, row, error),) = inputs.list_inputs([str(lines)])
    assert (uri, error) == ("s3://b/c.mp4", "")
    assert inputs.words_of(row) == ["-q", "40", "--size=5000", "--eye"]


@pytest.mark.parametrize("mark", ["\u2028", "\u2029", "\x85", "\u3000", "\xa0", "\x1c"])
@pytest.mark.parametrize("ending", ["\n", "\r\n"])
def test_names_in_tables_keep_their_white_space(tmp_path, mark: str, ending: str) -> None:
    name = f"{mark}a{mark}b.mp4{mark}"
    text = json.dumps({"uri": name}, ensure_ascii=mark < " ") + ending
    (tmp_path / "l.jsonl").write_text(text * 2 + ending, newline="", encoding="utf-8")
    (tmp_path / "l.csv").write_text(f"uri{ending}{name}{ending}", newline="", encoding="utf-8")
    for table in ("l.jsonl", "l.csv"):
        listed = list(inputs.list_inputs([str(tmp_path / table)]))
        assert listed == [(str(tmp_path / name), {}, "")]


def test_the_last_lines_count_what_files_lost(film: Path, tmp_path) -> None:
    folder = tmp_path / "films"
    folder.mkdir()
    rgba = ("-f", "lavfi", "-i", "color=red@0.5:s=64x48:d=0.2,format=yuva420p")
    ffmpeg(*rgba, "-c:v", "ffv1", folder / "b.mkv")
    shutil.copy(film, folder / "c.mp4")
    report = run("batch", folder, "-o", tmp_path / "out", *QUICK_ONE).err
    assert "1 file lost something: " in report and "alpha 1" in report, report
    notes = [row["notes"] for row in table_of(tmp_path / "out")]
    assert "alpha" in notes[0] and "left out" not in notes[1]


@pytest.mark.parametrize("name", ["films [2020]", "e::f", "a*b", "x?y"])
def test_a_folder_of_any_name_is_that_folder(film: Path, tmp_path, name: str) -> None:
    for folder in (tmp_path / name, tmp_path / name / "sub [1]"):
        folder.mkdir()
        shutil.copy(film, folder / "x [1]::y.mp4")
    run("batch", tmp_path / name, "-o", tmp_path / "out", *QUICK_ONE)
    names = {path.relative_to(tmp_path / "out").as_posix() for path in tmp_path.rglob("*.gvc")}
    assert names == {"x [1]::y.gvc", "sub [1]/x [1]::y.gvc"}


def test_a_name_of_a_store_that_looks_like_a_glob_is_a_file() -> None:
    with fsspec.open("memory://films [2020]/x[1].mp4", "wb") as file:
        file.write(b"film")
    name = "memory://films [2020]/x[1].mp4"
    assert uris.list_files(name) == [name]
    assert inputs.folder_of("memory://films [2020]/s/x.mp4", ["memory://films [2020]"]) == "s"


def test_an_output_of_another_quality_is_named_after_it(film: Path, tmp_path) -> None:
    words = ["batch", film, "-o", tmp_path, *QUICK_ONE]
    run(*words)
    run(*words, "-q", 40)
    run(*words, "-q", 40.5)
    assert set(streams_of(tmp_path)) == {"a.gvc", "a-q40.gvc", "a-q40.5.gvc"}
    run(*words, "-q", 40, "--look", 30)
    (other,) = set(streams_of(tmp_path)) - {"a.gvc", "a-q40.gvc", "a-q40.5.gvc"}
    assert re.fullmatch(r"a-[0-9a-f]{12}\.gvc", other)


def test_cores_are_those_that_affinity_and_quotas_leave(tmp_path, monkeypatch) -> None:
    monkeypatch.setattr(os, "sched_getaffinity", lambda _: {0, 1, 2, 3}, raising=False)
    monkeypatch.setattr(os, "cpu_count", lambda: 8)
    group, own = tmp_path / "a" / "b", tmp_path / "own"
    group.mkdir(parents=True)
    own.write_text("9:name=systemd:/\n0::/a/b\n")
    quota_of = process._count_quota.__wrapped__
    assert quota_of(tmp_path, own) == 8
    (group / "cpu.max").write_text("max 100000\n")
    assert quota_of(tmp_path, own) == 8
    (tmp_path / "a" / "cpu.max").write_text("250000 100000\n")
    assert quota_of(tmp_path, own) == 3
    (tmp_path / "cpu").mkdir()
    (tmp_path / "cpu" / "cpu.cfs_period_us").write_text("100000\n")
    for quota, cores in (("-1", 3), ("50000", 1)):
        (tmp_path / "cpu" / "cpu.cfs_quota_us").write_text(quota)
        assert quota_of(tmp_path, own) == cores
    monkeypatch.setattr(process, "_count_quota", lambda: 3)
    assert process.count_cores() == 3
    monkeypatch.setattr(process, "_count_quota", lambda: 8)
    assert process.count_cores() == 4 and open_engine().cores == 4
