"""Training of base gvc1d, its alarms, and the paper's own form, on made-up material."""

import argparse
import json
from pathlib import Path

import av
import numpy as np
import pytest
import torch
from safetensors.torch import load_file

from gvcodec.gvc1d.model_file import load_network, read_loop
from gvcodec.models import GVC1D
from tests.clips import add_video, put_pictures
from training.alarms import Alarm
from training.gvc1d import codec, export, paper_form, parts, spoilt

FRAMES = 3


@pytest.fixture(scope="module")
def clip(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Blobs that move, 512×256, nearly lossless."""
    path = tmp_path_factory.mktemp("clips") / "blobs.mp4"
    rng = np.random.default_rng(3)
    picture = np.kron(rng.integers(20, 230, (32, 64)), np.ones((8, 8))).astype(np.uint8)
    with av.open(str(path), "w") as container:
        stream = add_video(container, 512, 256, "mpeg4")
        stream.bit_rate = 8_000_000
        moved = (np.roll(picture, 2 * t, 1) for t in range(2 * FRAMES))
        gray = (av.VideoFrame.from_ndarray(plane, format="gray") for plane in moved)
        put_pictures(container, stream, gray)
    return path


@pytest.fixture(scope="module")
def shards(clip: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("shards")
    (folder / "blobs.0.mp4").write_bytes(clip.read_bytes())
    still = np.zeros((2 * FRAMES - 1, 16, 32, 2), np.int16)
    np.savez(folder / "motion.npz", **{"blobs.0": still})
    return folder


def _run(shards: Path, **given: object) -> codec.Run:
    settings = {
        "device": "cpu",
        "seed": 1,
        "initial": GVC1D.find(),
        "without": "",
        "rate": 1.0,
        "warm_up": 1,
    }
    settings |= {"shards": shards, "length": FRAMES, "codec_only": True, "held_out": None}
    settings |= {"batch": 2, "share": 0.5, "half": False, "looks": 1, "grace": 0.0, "encoder": "rd"}
    settings |= {"restorer_only": "", "filter_only": False}
    return codec.Run(argparse.Namespace(**(settings | given)))


_HALVES = ("transform", "analyst", "restorer")


def test_steps_train_the_codec(shards: Path, tmp_path: Path) -> None:
    words = [shards, tmp_path, "--steps", 2, "--codec-only", "--initial", GVC1D.find()]
    assert codec.main([*map(str, words), "--look", "1000"]) == 0
    begun = codec.load(_run(shards).network, GVC1D.find(), torch.device("cpu")).state_dict()
    trained = torch.load(tmp_path / "state.pt", weights_only=True)
    assert begun.keys() == trained.keys()
    for part in ("transform", "twin", "loop_filter"):
        names = [name for name in begun if name.startswith(part)]
        assert any(not torch.equal(begun[n].float(), trained[n].float()) for n in names)
    written = tmp_path / "gvc1d.safetensors"
    export.main([str(tmp_path / "state.pt"), str(written)])
    loop = read_loop(written)
    assert len(loop.network) == 3 and len(loop.loop_filter) == 4
    read = load_network(written).state_dict()
    assert all(
        torch.equal(read[n], trained[n].half().float()) for n in read if n.split(".")[0] in _HALVES
    )


def test_an_alarm_ends_a_run_whose_transform_learned_nothing(shards: Path) -> None:
    run = _run(shards)
    spoilt.began(run.average)
    with pytest.raises(Alarm, match="transform: as it began costs 0.00 %"):
        run.check(run.measure(run.average), 1.0)
    run = _run(shards, grace=60.0)
    assert "transform: as it began" in run.check(run.measure(run.average), 1.0)


def test_parts_are_measured_beside_the_whole(shards: Path, tmp_path: Path) -> None:
    out = tmp_path / "parts.json"
    words = [GVC1D.find(), shards, out, "--looks", 1, "--qs", 46, "--codec-only"]
    assert parts.main([str(word) for word in words]) == 0
    found = json.loads(out.read_text())
    assert found.keys() == {"whole", *spoilt.CODEC}
    assert found["contexts of the entropy model: zeroed"]["J of I"] > 5


def test_the_restorer_without_tokens_sees_the_prediction_alone(shards: Path) -> None:
    run = _run(shards)
    net, frames = run.average, run.shards.batch(1, np.random.default_rng(0))
    q = torch.tensor([30.0])
    with torch.no_grad():
        whole = run.sequence(net, frames, q, True)
        # Of a batch of one another crop's tokens are its own.
        own = run.sequence(spoilt.spoil(net, spoilt.blind("tokens shuffled")), frames, q, True)
        none = run.sequence(spoilt.spoil(net, spoilt.blind("tokens zeroed")), frames, q, True)
    for a, b, c in zip(whole, own, none, strict=True):
        assert a.restored is not None and b.restored is not None and c.restored is not None
        assert (a.restored.y - b.restored.y).abs().mean() < 0.5
        assert torch.equal(a.y, c.y)
    assert (whole[0].restored.y - none[0].restored.y).abs().mean() > 1  # type: ignore[union-attr]


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


def test_shipped_tokens_of_the_paper_s_form_are_alive() -> None:
    """The decoder sees as in training: zeroed and shuffled tokens cost several times as much."""
    form = paper_form.PaperForm().eval()
    form.load_state_dict(load_file(Path(paper_form.__file__).with_name("paper-form.safetensors")))
    rng = np.random.default_rng(1)
    shapes = (64, 64), (2, 32, 32)
    runs = [[paper_form.Planes(*(_smooth(rng, shape) for shape in shapes))] for _ in range(8)]
    x, _ = paper_form.Material.batch(runs, 8, rng)
    rate, nothing = torch.zeros(8), torch.zeros(8, paper_form.TOKENS, paper_form.CHANNELS)
    with torch.no_grad():
        values = form.encode(x, torch.zeros_like(x), nothing, rate).round()
        whole, *changed = (
            float((form.decode(v, torch.zeros_like(x), nothing, rate) - x).square().mean())
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
