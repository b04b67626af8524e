"""Training of GVC1D: material as it comes, every stage and ablation, processes that agree."""

import json
import os
import sys
from dataclasses import replace
from pathlib import Path

import av
import numpy as np
import pytest
import torch

from gvcodec.errors import UsageError
from gvcodec.gvc1d.checkpoint import load_model, save_model
from gvcodec.gvc1d.config import LARGE, Transformer
from tests.clips import add_video, put_pictures
from tests.conftest import in_process
from tests.gvc1d.models import TINY, make_model
from training.alarms import Alarm
from training.gvc1d.alarms import Figures
from training.gvc1d.data import Runs, list_clips
from training.gvc1d.held_out import there_and_back
from training.gvc1d.settings import TrainConfig
from training.gvc1d.titok import random_titok
from training.gvc1d.train import Work, main, schedule_of
from training.loop import Loop
from training.settings import read_settings

ROOT = Path(__file__).parents[2]
CONFIGS = sorted((ROOT / "training/configs/gvc1d").rglob("*.toml"))


def _write_clip(path: Path, frames: int, seed: int) -> None:
    rng = np.random.default_rng(seed)
    picture = np.kron(rng.integers(0, 255, (9, 12, 3)), np.ones((8, 8, 1))).astype(np.uint8)
    with av.open(str(path), "w") as container:
        stream = add_video(container, 96, 72, "mpeg4")
        put_pictures(container, stream, (np.roll(picture, 2 * t, 1) for t in range(frames)))


@pytest.fixture(scope="module")
def tree(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("tree")
    for i, name in enumerate(("one.mp4", "two-b.mp4")):
        _write_clip(folder / name, 12, i)
    septuplet = folder / "sequences/0001"
    septuplet.mkdir(parents=True)
    from PIL import Image

    rng = np.random.default_rng(5)
    for t in range(7):
        picture = Image.fromarray(rng.integers(0, 255, (80, 80, 3), np.uint8))
        picture.save(septuplet / f"im{t + 1}.png")
    Image.fromarray(rng.integers(0, 255, (90, 70, 3), np.uint8)).save(folder / "photo.jpg")
    return folder


@pytest.fixture(scope="module")
def config(tree: Path, tmp_path_factory: pytest.TempPathFactory) -> TrainConfig:
    place = tmp_path_factory.mktemp("run")
    (place / "tiny.json").write_text(TINY.to_json())
    names = {"out": "out", "cache": "cache", "network": "tiny.json"}
    places = {key: str(place / name) for key, name in names.items()}
    small = {"size": 64, "batch": 1, "frames": 2, "length": 2, "samples": 4, "qs": (50, 63)}
    usual = {"held_out": 0.0, "check_steps": 1000, "threads": 1}
    return TrainConfig(data=str(tree), **places, **small, **usual)


def test_material_is_found_as_it_lies(tree: Path, tmp_path: Path) -> None:
    found = {p.name for p in list_clips(tree)}
    assert found == {"one.mp4", "two-b.mp4", "0001", "photo.jpg"}
    assert {p.name for p in list_clips(tree, ("sequences",))} == found - {"0001"}
    with pytest.raises(UsageError, match="no videos or pictures"):
        list_clips(tmp_path)


def test_runs_are_the_same_whoever_asks(config: TrainConfig, tmp_path: Path) -> None:
    first = Runs(config)[3]
    again = Runs(replace(config, cache=str(tmp_path)))[3]
    kept = Runs(replace(config, cache=str(tmp_path)))[7]  # number 3 of four once more
    assert first["y"].shape == (2, 64, 64) and first["motion"].shape == (2, 2, 4, 4)
    assert first["shown_y"].dtype == np.uint8 and first["bits"] > 0
    for key, value in first.items():
        assert np.array_equal(value, again[key]) and np.array_equal(value, kept[key])


@pytest.mark.parametrize("path", CONFIGS, ids=lambda p: p.stem)
def test_every_configuration_takes_three_steps(path, config, tmp_path):
    stage = read_settings(path, TrainConfig)
    given = {"data": config.data, "cache": config.cache, "out": str(tmp_path / "out")}
    width = 2 * 64 * bool(stage.width)
    small = {"size": 64, "width": width, "batch": 1, "length": 2, "samples": 4, "qs": (50, 63)}
    model = TINY
    titok = ""
    if stage.network == "large":
        sizes = Transformer(32, 2, 1, 1)
        few = {"window": 64, "tokens": 8, "memory": 2, "queries": 2}
        model = replace(LARGE, encoder=sizes, decoder=sizes, **few)
        if stage.titok:
            from safetensors.torch import save_file

            titok = str(tmp_path / "titok.safetensors")
            save_file(random_titok(make_model(model)), titok)
    (tmp_path / "model.json").write_text(model.to_json())
    initial = ""
    if stage.initial:
        initial = str(tmp_path / "before.safetensors")
        save_model(make_model(model), Path(initial))
    tokens = min(stage.tokens, 16)
    given |= {"network": str(tmp_path / "model.json"), "initial": initial, "titok": titok}
    small |= {"frames": 2, "tokens": tokens, "workers": 0, "held_out": 0.0, "check_steps": 1000}
    stage = replace(stage, **given, **small)
    work = Work(stage, "cpu")
    before = [p.detach().clone() for p in work.model.parameters()]
    loop = Loop(work, schedule_of(stage))
    for _ in range(3):
        loop.step()
    parameters = zip(work.model.named_parameters(), before, strict=True)
    moved = {name for (name, p), b in parameters if not torch.equal(p, b)}
    assert moved
    if stage.trains == "decoder":
        assert all(name.startswith("decoder") for name in moved)
    assert all(torch.isfinite(p).all() for p in work.model.parameters())


def test_a_run_resumes_and_writes_its_model(config: TrainConfig, tmp_path: Path) -> None:
    whole = Loop(Work(config, "cpu"), schedule_of(config), tmp_path / "a")
    whole.work.config = replace(config, out=str(tmp_path / "a"))
    whole.run(0, 3)
    assert load_model(tmp_path / "a/gvc1d.safetensors").config == TINY
    card = json.loads((tmp_path / "a/gvc1d.json").read_text())
    assert card["steps"] == 3 and card["window frames"] == 12
    assert Loop(Work(config, "cpu"), schedule_of(config), tmp_path / "a").steps == 3


def test_two_processes_end_with_the_weights_of_one(config: TrainConfig, tmp_path: Path) -> None:
    """torchrun with two processes on the processor, against one that takes twice the batches."""
    settings = replace(config, accumulate=1)
    keys = "data cache network size batch frames length samples qs held_out threads check_steps"
    lines = [f"{key} = {json.dumps(getattr(settings, key))}" for key in keys.split()]
    environment = {**os.environ, "OMP_NUM_THREADS": "1", "PYTHONPATH": str(ROOT)}
    models = []
    for name, count in (("one", 1), ("two", 2)):
        text = [*lines, f'out = "{tmp_path / name}"', f"accumulate = {2 // count}"]
        (tmp_path / f"{name}.toml").write_text("\n".join(text))
        run = [sys.executable, "-m", "torch.distributed.run", "--standalone"]
        run += [f"--nproc-per-node={count}", "-m", "training", "gvc1d"]
        words = [*run[1:], tmp_path / f"{name}.toml", "--steps", "3", "--device", "cpu"]
        in_process(*words, env=environment, cwd=ROOT, timeout=300)
        models.append(torch.load(tmp_path / name / "state.pt", weights_only=True)["model"])
    for name, value in models[0].items():
        assert torch.allclose(value, models[1][name], atol=2e-5), name


def test_dead_tokens_end_a_run() -> None:
    fine = Figures(0.5, 0.3, 3.0, 0.0, 0.2, 0.4, 0.5)
    fine.check(True, 0.5)
    bad = {"zeroed": 0.0, "shuffled": -0.1, "places": 0.0, "clips": float("nan"), "peak": 1e4}
    for name, value in (bad | {"dead": 0.9, "free": 0.6}).items():
        with pytest.raises(Alarm):
            replace(fine, **{name: value}).check(True, 0.5)
    replace(fine, zeroed=0.0).check(False, 0.5)


def test_alarms_measure_a_network(config: TrainConfig) -> None:
    work = Work(replace(config, size=128), "cpu")
    found = work.check(work.model, 0.0)
    assert found["zeroed"] > 0 and found["places"] > 0.02 and found["peak"] < 100


def test_runs_go_there_and_back() -> None:
    from training.gvc1d.run import Frame

    run = [Frame(i, None, 10 + i) for i in range(4)]
    found = there_and_back(run, 5)
    assert [f.source for f in found] == [1, 2, 3, 2, 1]
    assert [f.motion for f in found] == [None, 12, 13, None, None]
    assert [f.source for f in there_and_back(run[:1], 2)] == [0, 0]


def test_a_stage_without_the_one_before_says_so(tmp_path: Path, capsys) -> None:
    configuration = Path(__file__).parents[2] / "training/configs/gvc1d/small-2.toml"
    words = [str(configuration), "--initial", str(tmp_path / "none.safetensors")]
    with pytest.raises(SystemExit, match="2"):
        main([*words, "--data", str(tmp_path), "--out", str(tmp_path / "out")])
    assert "none.safetensors: no such weights; the stage before" in capsys.readouterr().err
