"""Training of base gvc1d, its alarms, and the paper's own form, on made-up material."""

import json
from pathlib import Path

import numpy as np
import pytest
import torch

from gvcodec.errors import UsageError
from gvcodec.gvc1d.model_file import load_network, read_loop
from gvcodec.gvc1d.paper.weights import read_tables
from gvcodec.models import GVC1D
from tests.clips import write_pictures
from training.alarms import Alarm
from training.gvc1d import codec, export, paper_form, parts, spoilt
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


@pytest.mark.parametrize("form", ["paper", "transform"])
def test_the_paper_s_form_learns_and_is_measured(form: str, clip: Path, tmp_path: Path) -> None:
    folder = tmp_path / "clips"
    folder.mkdir()
    for name in ("blobs.mp4", "sap-kept.mp4"):  # a source of training/held_out.txt
        (folder / name).write_bytes(clip.read_bytes())
    out = tmp_path / "out"
    words = [folder, out, "--form", form, "--minutes", "0.02", "--batch", 2, "--looks", 1]
    assert paper_form.main([str(word) for word in words]) == 0
    last = json.loads((out / "log.jsonl").read_text().splitlines()[-1])
    assert last["steps"] > 0 and np.isfinite(last["first"])
    assert last["zeroed 90 first"] > last["J 90 first"] or form == "paper"
    if form == "paper":  # files can be coded with it
        assert read_tables(out / "weights.safetensors").usual.any()


def test_shipped_tokens_of_the_paper_s_form_are_alive() -> None:
    """The decoder sees as in training: zeroed and shuffled tokens cost several times as much."""
    form = paper_form.PaperForm().eval()
    paper_form.load(form, Path(paper_form.__file__).with_name("paper-form.safetensors"))
    rng = np.random.default_rng(1)
    shapes = (64, 64), (2, 32, 32)
    runs = [[paper_form.Planes(*(_smooth(rng, shape) for shape in shapes))] for _ in range(8)]
    x, _ = paper_form.Material.batch(runs, 8, rng)
    rate = torch.zeros(8)
    with torch.no_grad():
        values = form.encode(x, None, rate).round()
        whole, *changed = (
            float((form.decode(v, None, rate) - x).square().mean())
            for v in (values, values * 0, values.roll(1, 0))
        )
    assert min(changed) > 2 * whole, (whole, changed)


def _smooth(rng: np.random.Generator, shape: tuple[int, ...]) -> np.ndarray:
    coarse = rng.integers(20, 235, (*shape[:-2], shape[-2] // 32 + 1, shape[-1] // 32 + 1))
    rows, columns = (
        np.linspace(0, n - 1.001, m) for n, m in zip(coarse.shape[-2:], shape[-2:], strict=True)
    )
    r, c = rows.astype(int), columns.astype(int)
    fr, fc = (rows - r)[:, None], columns - c
    corner = [coarse[..., r + i, :][..., c + j] for i in (0, 1) for j in (0, 1)]
    top, bottom = (corner[2 * i] * (1 - fc) + corner[2 * i + 1] * fc for i in (0, 1))
    return (top * (1 - fr) + bottom * fr).astype(np.uint8)
