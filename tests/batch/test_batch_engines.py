"""What shares the engine of `gvcodec batch`: training material, clusters; folders of videos."""

import json
import os
import time

import pytest

from gvcodec.batch.engines import Cluster as Engine
from gvcodec.batch.engines import Inline, Local, LostError, Task
from gvcodec.batch.inputs import folder_of
from gvcodec.util.messages import count_noun
from tests.batch.test_batch import encode, streams_of, write_video
from tests.clips import write_clip
from tests.conftest import moving_texture


def test_each_gives_every_outcome_with_its_task() -> None:
    pytest.importorskip("torch")
    from training.material import each

    tasks = [Task(count_noun, {"number": n, "one": "file"}) for n in range(5)]
    with Inline() as engine:
        found = {
            task.arguments["number"]: done.result() for task, done in each(engine, iter(tasks))
        }
    assert found == {n: "1 file" if n == 1 else f"{n} files" for n in range(5)}


def test_cores_bound_what_runs_at_once(monkeypatch, tmp_path) -> None:
    # Workers import nothing from the working directory, which is the checkout's as a rule.
    monkeypatch.chdir(tmp_path)
    for cores, together, patience in ((1, False, 1.0), (2, True, 100.0)):
        folder = tmp_path / str(cores)
        folder.mkdir()
        words = {"folder": str(folder), "patience": patience}
        with Local(cores) as engine:
            tasks = [engine.submit(Task(meets, words)) for _ in range(2)]
            assert [future.result() for future in tasks] == [together] * 2


def meets(folder: str, patience: float) -> bool:
    """Whether another task is at work within `patience` seconds; it stays until it was seen."""
    mine = os.path.join(folder, str(os.getpid()))
    open(mine, "x").close()
    try:
        for _ in range(round(patience / 0.01)):
            if len(os.listdir(folder)) > 1:
                open(os.path.join(folder, "met"), "w").close()
                return True
            time.sleep(0.01)
        return False
    finally:
        os.remove(mine)


def test_training_material_is_made_by_workers(tmp_path, monkeypatch) -> None:
    """Each has its line in the index, and is what the function makes here."""
    pytest.importorskip("torch")
    from training import material
    from training.__main__ import main
    from training.material import add_material, plan

    # Of whole size and of half.
    monkeypatch.setattr(material, "_KINDS", [material._KINDS[0], material._KINDS[3]])
    (tmp_path / "data").mkdir()
    clip = write_clip(tmp_path / "data" / "v.mp4", moving_texture(272, 256, 4))
    cache = tmp_path / "cache"
    words = ["material", "--data", str(clip.parent), "--cache", str(cache)]
    assert main([*words, "--frames", "4", "--bases", "av1", "--jobs", "2"]) == 0
    lines = [json.loads(line) for line in (cache / "index.jsonl").read_text().splitlines()]
    there = {entry["name"]: entry for entry in lines}
    jobs = {job: number for number, job in reversed([*enumerate(plan([clip], ["av1"], 1))])}
    assert len(there) == len(lines) == len(jobs) > 1
    for (_, _, q, scale), number in jobs.items():
        made = add_material(str(clip), "av1", q, str(scale), 4, f"1-{number}", str(tmp_path))
        assert made == there[made["name"]]
        name = f"{made['name']}.npy"
        assert (cache / name).read_bytes() == (tmp_path / name).read_bytes()


@pytest.fixture(scope="module")
def cluster():
    """A head without cores and two nodes with one each."""
    pytest.importorskip("ray")
    from ray.cluster_utils import Cluster

    made = Cluster(initialize_head=True, head_node_args={"num_cpus": 0, "include_dashboard": False})
    for _ in range(2):
        made.add_node(num_cpus=1)
    yield made
    made.shutdown()


@pytest.mark.slow
def test_a_cluster_of_two_nodes_writes_the_same_bytes(cluster, tmp_path) -> None:
    clips = [write_video(tmp_path / f"{n}.mp4", n) for n in range(3)]
    (tmp_path / "notes.mp4").write_text("no video")
    encode(tmp_path / "one", *clips)
    with Engine(cluster.address) as engine:
        assert engine.cores == 2
        assert all(engine.submit(Task(os.getpid)).result(timeout=120) for _ in range(4))
        with pytest.raises(LostError, match="worker was lost"):
            engine.submit(Task(os._exit, {"status": 1})).result(timeout=120)
        driver = encode(tmp_path / "two", *clips, tmp_path / "notes.mp4", engine=engine)
    (error,) = driver.errors.values()
    assert error.endswith(": not a video that can be read")
    assert streams_of(tmp_path / "one") == streams_of(tmp_path / "two")


def test_a_folder_counts_from_where_the_input_is_named() -> None:
    assert folder_of("/v/films/x/a.mp4", ["/v/films/"]) == "x"
    assert folder_of("/v/films/x/a.mp4", ["/v/films/x/a.mp4"]) == ""
    assert folder_of("/v/films/x/a.mp4", ["/v/films/**/*.mp4"]) == "x"
    assert folder_of("/v/films/x/a.mp4", ["/v/films/x/a*.mp4"]) == ""
    assert folder_of("s3://box/films/x/a.mp4", ["s3://box/films"]) == "x"
    assert folder_of("/v/a.mp4", ["/v/list.csv"]) == ""
