"""Training of base gvc1d, its alarms, and the paper's own form, on made-up material."""

import json
from pathlib import Path

import numpy as np
import pytest
import torch

from gvcodec.errors import UsageError
from gvcodec.gvc1d.model_file import load_network, read_loop
from gvcodec.models import GVC1D
from tests.clips import write_pictures
from training.alarms import Alarm
from training.gvc1d import codec, export, parts, spoilt
from training.gvc1d.shards import Shards
from training.settings import read_settings

FRAMES = 3


@pytest.fixture(scope="module")
def clip(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Blobs that move, 512×256, nearly lossless."""
    path = tmp_path_factory.mktemp("clips") / "blobs.mp4"
    rng = np.random.default_rng(3)
    picture = np.kron(rng.integers(20, 230, (32, 64)), np.ones((8, 8))).astype(np.uint8)
    moved = (np.roll(picture, 2 * t, 1) for t in range(2 * FRAMES))
    return write_pictures(path, moved, "mpeg4", b="8000000")


@pytest.fixture(scope="module")
def shards(clip: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("shards")
    (folder / "blobs.0.mp4").write_bytes(clip.read_bytes())
    still = np.zeros((2 * FRAMES - 1, 16, 32, 2), np.int16)
    np.savez(folder / "motion.npz", **{"blobs.0": still})
    return folder


def _work(shards: Path, **given: object) -> codec.Codec:
    settings = {"initial": str(GVC1D.find()), "length": FRAMES, "warm_up": 1, "grace": 0.0}
    return codec.Codec(codec.TrainConfig(str(shards), "", **(settings | given)))  # type: ignore[arg-type]


def _config(path: Path, shards: Path, out: Path, **more: object) -> list[str]:
    keys = {"data": str(shards), "out": str(out), "initial": str(GVC1D.find()), "batch": 1}
    keys |= {"length": FRAMES, "validate_minutes": 1000.0, **more}
    path.write_text("".join(f"{key} = {json.dumps(value)}\n" for key, value in keys.items()))
    return [str(path)]


def test_a_run_that_was_cut_off_goes_on_exactly(shards: Path, tmp_path: Path) -> None:
    """And what is trained is exported: every part has changed."""
    whole, parts_ = tmp_path / "whole", tmp_path / "parts"
    config = tmp_path / "config.toml"
    codec.main(_config(config, shards, whole, steps=3))
    for steps in (2, 3):  # the plan of steps bends the rates: its end stays the same
        words = _config(config, shards, parts_, steps=3)
        work = codec.Codec(read_settings(Path(words[0]), codec.TrainConfig))
        codec.Loop(work, codec.schedule_of(work.config), parts_).run(1e9, steps)
    a, b = (torch.load(f / "state.pt", weights_only=True) for f in (whole, parts_))
    assert a["steps"] == b["steps"] == 3
    for name, tensor in a["average"].items():
        assert torch.equal(tensor, b["average"][name]), name
    begun = codec.load(_work(shards).network, GVC1D.find(), torch.device("cpu")).state_dict()
    for part in ("transform", "twin", "loop_filter"):
        names = [name for name in begun if name.startswith(part)]
        assert any(not torch.equal(begun[n].float(), a["average"][n].float()) for n in names)
    written = tmp_path / "gvc1d.safetensors"
    export.main([str(whole / "state.pt"), str(written)])
    loop = read_loop(written)
    assert len(loop.network) == 3 and len(loop.loop_filter) == 4
    read = load_network(written).state_dict()
    for name in read:
        if name.startswith("transform"):
            assert torch.equal(read[name], a["average"][name].half().float())


def test_runs_that_are_dropped_are_named(shards: Path, tmp_path: Path, capsys) -> None:
    for file in shards.iterdir():
        (tmp_path / file.name).write_bytes(file.read_bytes())
    with pytest.raises(UsageError, match="no run is left"):
        Shards(tmp_path, torch.device("cpu"), 3 * FRAMES)
    assert "blobs.0 is dropped: 6 frames, 9 are trained on" in capsys.readouterr().err
    with pytest.raises(UsageError, match="holds no shards"):
        Shards(tmp_path / "nowhere", torch.device("cpu"), FRAMES)


def test_an_alarm_ends_a_run_whose_transform_learned_nothing(shards: Path) -> None:
    work = _work(shards)
    spoilt.began(work.network)
    with pytest.raises(Alarm, match="transform: as it began costs 0.0 %"):
        work.check(work.network, 1.0)
    work = _work(shards, grace=60.0)
    assert "transform: as it began" in work.check(work.network, 1.0)


def test_parts_are_measured_beside_the_whole(shards: Path, tmp_path: Path) -> None:
    out = tmp_path / "parts.json"
    parts.main([str(word) for word in (GVC1D.find(), shards, out, "--looks", 1, "--qs", 46)])
    found = json.loads(out.read_text())
    assert found.keys() == {"whole", *spoilt.CODEC}
    assert found["contexts of the entropy model: zeroed"]["J of I"] > 5
