"""The trainer of GVC1D: exact resume, the world, folders of one's own, alarms, export."""

from __future__ import annotations

import json
import tarfile
from contextlib import nullcontext
from dataclasses import replace
from pathlib import Path
from unittest import mock

import numpy as np
import pytest

torch = pytest.importorskip("torch")

from eval.experiments.miniature import code_network, source
from gvcodec.errors import MediaError, UsageError
from gvcodec.gvc1d.frame_coder import BLACK, RANGE
from gvcodec.gvc1d.model import Config, Grid
from gvcodec.gvc1d.weights import read_network
from training import world
from training.alarms import Alarm
from training.files import read_size
from training.gvc1d import train
from training.gvc1d.cost import count_multiplications
from training.gvc1d.data import FolderClips, draw_recall, list_sources, open_data, read_crop
from training.gvc1d.train import read_settings

ROOT = Path(__file__).parents[2]
CONFIG = """
[model]
width = 16
heads = 2
channels = 4
tokens = 4
encoder = "LG"
decoder = "LG"
entropy_layers = 1
memory = 4
memory_layers = 1
[data]
kind = "world"
[train]
warm_up = 2
[[stage]]
steps = 2
frames = 1
clips = 2
rate_from = 0.0
[[stage]]
steps = 2
frames = 2
clips = 2
lengths = true
"""


@pytest.fixture
def config(tmp_path: Path) -> Path:
    path = tmp_path / "tiny.toml"
    path.write_text(CONFIG)
    return path


def _weights(folder: Path) -> dict[str, np.ndarray]:
    return read_network(folder / "weights.safetensors")[1]


def test_a_run_that_is_stopped_goes_on_exactly(config: Path, tmp_path: Path) -> None:
    whole, parts = tmp_path / "whole", tmp_path / "parts"
    train.main([str(config), "--out", str(whole)])
    for steps in (1, 3, 4):
        train.main([str(config), "--out", str(parts), "--steps", str(steps)])
    first, second = _weights(whole), _weights(parts)
    assert all((first[name] == second[name]).all() for name in first)
    train.main([str(config), "--out", str(tmp_path / "other"), "--seed", "2"])
    assert (_weights(tmp_path / "other")["query"] != first["query"]).any()


def test_half_precision_changes_the_steps_little(config: Path, tmp_path: Path) -> None:
    exact = train.Trainer(read_settings(config), tmp_path / "exact")
    config.write_text(CONFIG.replace("warm_up = 2", "warm_up = 2\nbfloat16 = true"))
    half = train.Trainer(read_settings(config), tmp_path / "half")
    for _ in range(4):
        figures = exact.train_step(), half.train_step()
    assert figures[0] != figures[1]
    assert figures[1]["J"] == pytest.approx(figures[0]["J"], rel=0.02)


def test_a_run_begins_with_the_weights_of_a_file(config: Path, tmp_path: Path) -> None:
    first, second = tmp_path / "first", tmp_path / "second"
    train.main([str(config), "--out", str(first), "--steps", "1"])
    weights = first / "weights.safetensors"
    text = CONFIG.replace("warm_up = 2", f'warm_up = 2\nstart = "{weights}"')
    config.write_text(text)
    run = train.Trainer(read_settings(config), second)
    found = {name: value.detach().numpy() for name, value in run.network.weights().items()}
    assert found and all(np.array_equal(found[n], _weights(first)[n]) for n in _weights(first))
    config.write_text(text.replace("width = 16", "width = 32"))
    with pytest.raises(UsageError, match="another configuration"):
        train.Trainer(read_settings(config), tmp_path / "third")
    config.write_text(CONFIG.replace("warm_up = 2", 'start = "nothing.safetensors"'))
    with pytest.raises(UsageError, match="start is random, components or a file"):
        train.Trainer(read_settings(config), tmp_path / "fourth")


def test_written_weights_are_the_average_over_steps(config: Path, tmp_path: Path) -> None:
    run = train.Trainer(read_settings(config), tmp_path / "run")
    first = [value.detach().clone() for value in run.network.values]
    run.train_step()
    share = 1 - min(run.settings.average, 1 / 21)
    moved = 0
    for before, value, mean in zip(first, run.network.values, run.average.values, strict=True):
        assert torch.allclose(mean, before + share * (value - before), atol=1e-6)
        moved += int(not torch.equal(value, mean))
    assert moved > 50


def test_a_run_without_a_part_says_so(config: Path, tmp_path: Path) -> None:
    from gvcodec.models import read_arrays

    train.main([str(config), "--out", str(tmp_path), "--steps", "1", "--without", "memory"])
    _, metadata = read_arrays(tmp_path / "weights.safetensors", ())
    assert metadata["off"] == "memory" and json.loads(metadata["config"])["tokens"] == 4


@pytest.mark.parametrize("off", ["local", "latent_queries,memory_vectors", "gated_memory"])
def test_other_forms_of_the_network_train_and_code_files(
    config: Path, tmp_path: Path, off: str
) -> None:
    train.main([str(config), "--out", str(tmp_path), "--steps", "2", "--without", off])
    path, frames = tmp_path / "weights.safetensors", source(80_000, 3)
    bits, shown = code_network(path, 30, frames)[1:]
    assert bits and len(shown) == 3
    with mock.patch("eval.experiments.miniature.as_trained", lambda model: nullcontext()):
        other = code_network(path, 30, frames)[2]
    assert (shown[1][0] != other[1][0]).any()


def test_a_part_that_there_is_not_is_refused(config: Path, tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="nothing"):
        train.main([str(config), "--out", str(tmp_path), "--without", "memory,nothing"])


@pytest.mark.parametrize("text", ["[model]\nwidth = 16", CONFIG.replace("world", "moon"), "x ="])
def test_a_faulty_configuration_is_one_error(text: str, tmp_path: Path) -> None:
    path = tmp_path / "faulty.toml"
    path.write_text(text)
    with pytest.raises(UsageError):
        train.Trainer(train.read_settings(path), tmp_path)


def test_alarm_rings_where_tokens_change_nothing(config: Path, tmp_path: Path) -> None:
    trainer = train.Trainer(train.read_settings(config), tmp_path)
    for name, value in trainer.average.weights().items():
        if name.startswith("token_out"):
            value.data.zero_()
    trainer.seconds = 601.0
    with pytest.raises(Alarm, match="tokens"):
        trainer.check()
    assert (tmp_path / "log.jsonl").exists()


def test_the_world_follows_its_seed() -> None:
    one, same, other = world.draw(5, 12), world.draw(5, 12), world.draw(6, 12)
    assert (one.y == same.y).all() and (one.y != other.y).any()
    assert one.y.shape == (12, 128, 128) and one.u.shape == (12, 64, 64)
    assert one.scene[0] == 0 and 0 <= one.y.min() and one.y.max() <= 1


def test_cuts_of_the_world_are_irregular_and_scenes_return() -> None:
    cuts = [world.draw(seed, 12).cuts() for seed in range(20)]
    assert len({clip[0][0] for clip in cuts if clip}) > 2
    assert any(known for clip in cuts for _, known in clip)


def test_training_clips_have_no_held_out_texture() -> None:
    low, high = world.HELD_OUT_ANGLES
    rng = np.random.default_rng(1)
    angles = [world.Texture.draw(rng, False).angle for _ in range(300)]
    assert not any(low <= angle <= high for angle in angles)
    assert any(low <= world.Texture.draw(rng, True).angle <= high for _ in range(300))


def test_recall_clips_differ_before_the_return_alone() -> None:
    recall = draw_recall(world.FIRST_TEST_SEED, 3)
    for n, frame in enumerate(recall.frame.tolist()):
        same, other = recall.returning[0][n], recall.stranger[0][n]
        assert (same[frame:] == other[frame:]).all() and (same[0] != other[0]).any()


def test_a_clip_of_the_world_is_written_without_loss(tmp_path: Path) -> None:
    import av

    clip = world.draw(7, 3)
    world.main([str(tmp_path / "a.mkv"), "--seed", "7", "--frames", "3"])
    with av.open(str(tmp_path / "a.mkv")) as container:
        frames = [frame.to_ndarray() for frame in container.decode(video=0)]
    assert len(frames) == 3
    assert np.abs((frames[0][:128] * 4.0 - BLACK) / RANGE - clip.y[0]).max() < 1 / 400


def _write_clip(path: Path, seed: int) -> None:
    world.write(world.draw(seed, 4), path)


def test_shards_give_the_crops_of_their_files(tmp_path: Path) -> None:
    for n in range(3):
        _write_clip(tmp_path / f"film{n}_a.mkv", n)
    with tarfile.open(tmp_path / "shard.tar", "w") as shard:
        for path in sorted(tmp_path.glob("*.mkv")):
            shard.add(path, path.name)
            path.rename(tmp_path / (path.name + ".out"))
    inside = list_sources(tmp_path)
    for path in tmp_path.glob("*.out"):
        path.rename(path.with_suffix(""))
    outside = [source for source in list_sources(tmp_path) if not source.size]
    assert [a.name for a in inside] == [b.name for b in outside] and len(inside) == 3
    for a, b in zip(inside, outside, strict=True):
        crops = (read_crop(source, np.random.default_rng(4), 3, 32) for source in (a, b))
        assert all((x == y).all() for x, y in zip(*crops, strict=True))
    (tmp_path / "shard.tar").write_bytes(b"no shard")
    with pytest.raises(MediaError, match="cannot be read"):
        list_sources(tmp_path)


def test_a_crop_beyond_the_picture_repeats_its_edge(tmp_path: Path) -> None:
    """As `encode` does for incomplete windows."""
    _write_clip(tmp_path / "film_a.mkv", 1)
    (source,) = list_sources(tmp_path)
    width, height = read_size(source.open(), source.name)
    y, u, v = read_crop(source, np.random.default_rng(4), 2, 192, least=64)
    assert width < 192 and height < 192 and y.shape == (2, 192, 192) and u.shape == (2, 96, 96)
    assert (y[:, height:] == y[:, height - 1 : height]).all() and y[:, :height].std() > 0
    assert (v[:, :, width // 2 :] == v[:, :, width // 2 - 1 : width // 2]).all()
    with pytest.raises(MediaError, match="smaller than 192"):
        read_crop(source, np.random.default_rng(4), 2, 192)


@pytest.mark.parametrize("name", ["mini", "ablation", "small", "small-512", "large"])
def test_every_configuration_says_what_it_costs(name: str, capsys) -> None:
    train.main([str(ROOT / f"training/configs/{name}.toml"), "--cost", "--teraflops", "0.03"])
    lines = capsys.readouterr().out.splitlines()
    stages = read_settings(ROOT / f"training/configs/{name}.toml").stages
    assert len(lines) == 3 + len(stages) and "FLOP" in lines[-1]


def test_costs_are_those_of_the_network_that_runs() -> None:
    """A linear layer counted by hand: the first of the encoder."""
    config = Config(width=16, heads=2, encoder="L", decoder="L", entropy_layers=1, memory=0)
    whole = count_multiplications(config, Grid(1, 1))
    deeper = count_multiplications(replace(config, encoder="LL"), Grid(1, 1))
    items = config.tokens + 2 * config.patches
    linear = items * 16 * 16 * (4 + 2 * config.expansion)
    assert deeper["encode"] - whole["encode"] == linear + 2 * items * items * 16
    assert deeper["decode"] == whole["decode"] and not whole["advance"]


@pytest.mark.parametrize(
    ("change", "message"),
    [({"held_out": 0.0}, "held out"), ({"size": 100}, "windows"), ({"path": "nowhere"}, "folder")],
)
def test_folders_that_cannot_train_are_refused_at_the_start(
    change: dict[str, object], message: str, tmp_path: Path
) -> None:
    _write_clip(tmp_path / "film_a.mkv", 1)
    table = {"kind": "folder", "path": str(tmp_path), "size": 64} | change
    with pytest.raises((MediaError, UsageError), match=message):
        data = open_data(table, read_model())
        assert isinstance(data, FolderClips)


def read_model():  # type: ignore[no-untyped-def]
    from gvcodec.gvc1d.model import Config

    return Config()
