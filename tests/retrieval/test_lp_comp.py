"""LP-Comp: the schedule, the layers by their formula, where it begins, and what was learned."""

import functools
import json
import math
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

torch = pytest.importorskip("torch")

from gvcodec.condense.clip_streams import decode, encode
from gvcodec.errors import UsageError, WrongModelError
from gvcodec.models import GVC1D, GVC1D_MINI, LP_COMP, model_id, save_weights
from gvcodec.planes import planes_from_rgb, rgb_matrix
from gvcodec.retrieval import embedders, lp_comp
from gvcodec.retrieval.embedders import FrameTokens
from gvcodec.retrieval.files import open_summarised
from gvcodec.retrieval.lp_comp import LATENTS, LAYERS, PATCHES, LpComp, goal
from gvcodec.retrieval.thumbnails import thumbnail
from gvcodec.types import Colour
from scripts.demo_clip import frames as demo_frames
from tests.clips import write_pictures
from tests.conftest import run
from tests.gvc1d.models import WIDE, write_network
from training.lp_comp import (
    FORMS,
    FRAMES,
    Clip,
    Frames,
    fill,
    judge,
    match_losses,
    read_clips,
    train,
)

FEATURES = 24


@pytest.fixture(scope="module")
def network(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_network(tmp_path_factory.mktemp("network") / GVC1D.name)


def pictures(count: int, seed: int = 0) -> np.ndarray:
    rng = np.random.default_rng(seed)
    cells, ones = (rng.integers(0, 256, (n, n, 3), np.uint8) for n in (16, 4)), (16, 16, 1)
    ground, square = (np.kron(cell, np.ones(ones, np.uint8)) for cell in cells)
    frames = np.repeat(ground[None], count, 0)
    for number, frame in enumerate(frames):
        frame[64:128, 8 * number : 8 * number + 64] = square
    return frames


def test_the_schedule_is_that_of_the_paper() -> None:
    for tokens in (32, 48, 196):
        for layers in (1, 4, 28):
            found = [goal(i, tokens, layers) for i in range(layers + 1)]
            curve = 0.5 * (1 + np.cos(np.pi * np.arange(layers + 1) / layers))
            wanted = 1 + np.floor((tokens - 1) * curve + 0.5 + 1e-12).astype(int)
            assert found == wanted.tolist()
            assert found[0] == tokens and found[-1] == 1 and sorted(found, reverse=True) == found
    assert [goal(i, 48, 4) for i in (1, 2, 3, 4)] == [41, 25, 8, 1]


def define(model: LpComp, tokens: np.ndarray) -> np.ndarray:
    """One frame's vector of tokens (48, 64), by the formulas."""
    w = {name: value.numpy().astype(np.float64) for name, value in model.state_dict().items()}

    def norm(x: np.ndarray, name: str = "") -> np.ndarray:
        x = (x - x.mean(-1, keepdims=True)) / np.sqrt(x.var(-1, keepdims=True) + 1e-5)
        return x * w[f"{name}.weight"] + w[f"{name}.bias"] if name else x

    def dense(x: np.ndarray, name: str) -> np.ndarray:
        return x @ w[f"{name}.weight"].T + w[f"{name}.bias"]

    def length(x: np.ndarray) -> np.ndarray:
        return x / np.linalg.norm(x) * 8

    x, k = norm(tokens) + w["place"], len(tokens)
    for i in range(LAYERS):
        q, key, v = np.split(dense(norm(x, f"layers.{i}.before"), f"layers.{i}.mix"), 3, 1)
        heads = []
        for a, b, c in zip(*(np.split(part, 4, 1) for part in (q, key, v)), strict=True):
            weights = np.exp(a @ b.T / 4) * np.tri(len(x))  # causal
            heads.append(weights / weights.sum(1, keepdims=True) @ c)
        x = x + dense(np.concatenate(heads, 1), f"layers.{i}.out")
        y = dense(norm(x, f"layers.{i}.between"), f"layers.{i}.up")
        y = y * 0.5 * (1 + np.vectorize(math.erf)(y / math.sqrt(2)))
        x = x + dense(y, f"layers.{i}.down")
        remain = 1 + int((k - 1) * 0.5 * (1 + math.cos(math.pi * (i + 1) / LAYERS)) + 0.5)
        x = x[-remain:]
    return length(length(tokens[:16].mean(0)) + dense(norm(x[-1], "norm"), "last"))


def random_model() -> LpComp:
    torch.manual_seed(0)
    model = LpComp(FEATURES)
    torch.nn.init.normal_(model.last.weight, std=0.3)
    return model.eval()


def test_vectors_are_those_of_the_formula() -> None:
    model = random_model()
    tokens = np.random.default_rng(0).normal(size=(3, 48, 64)) * 5
    with torch.no_grad():
        found = model(torch.from_numpy(tokens).float()).numpy()
    for vector, own in zip(found, tokens, strict=True):
        assert np.allclose(vector, define(model, own), atol=1e-3)
    assert not np.allclose(found[0], define(model, tokens[0][::-1]), atol=0.1)


def test_it_begins_as_the_shipped_discriminants(network: Path) -> None:
    rgb = pictures(2)
    half = np.uint8(np.rint(rgb.reshape(2, 128, 2, 128, 2, 3).mean((2, 4))))
    wanted = embedders.make("small").query(half)
    torch.manual_seed(1)
    model = LpComp(2 * WIDE.width)
    with torch.no_grad():
        read = FrameTokens(network)
        narrow = torch.from_numpy(read.small.narrow(read.patches(rgb)))
        found = model(model.tokens(narrow, torch.from_numpy(read.latents(rgb)))).numpy()
    assert np.allclose(found, wanted, atol=1e-3)


def clips(count: int) -> list[Clip]:
    """Tokens that drift; the patches of forms differ by noise, the latent tokens do not."""
    rng = np.random.default_rng(0)
    found = []
    for number in range(count):
        first, way = rng.normal(size=(2, LATENTS, FEATURES))
        latents = first + way * np.linspace(0, 2, FRAMES)[:, None, None]
        forms = np.stack([latents + 0.02 * rng.normal(size=latents.shape) for _ in range(3)])
        patches = rng.normal(size=(3, FRAMES, PATCHES, 64)) + first[0, 0]
        halves = (torch.from_numpy(np.float16(x)) for x in (patches, forms, patches.mean(2)))
        found.append(Clip(f"clip{number}", *halves))
    return found


def test_training_learns_what_latent_tokens_tell() -> None:
    every = clips(12)
    work = Frames((every[:8], every[8:10], every[10:]), 0)
    optimiser = torch.optim.Adam(work.model.parameters(), 3e-3)
    losses = []
    for step in range(30):
        loss, _ = work.loss(step)
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()
        losses.append(float(loss.detach()))
    assert np.mean(losses[-5:]) < np.mean(losses[:5]) - 1
    figures = work.check(work.model, 10)
    assert figures["zeroed"] > 0.5 and figures["latents shuffled"] > 0.5
    assert work.validate(work.model)["source, cosine: frame"] <= 1


def test_the_loss_is_a_cross_entropy_over_all_frames() -> None:
    model = random_model()
    rng = np.random.default_rng(0)
    asked, keys = rng.normal(size=(3, 64)), rng.normal(size=(20, 64))
    tensors = (torch.from_numpy(x).float() for x in (asked, keys))
    found = match_losses(model, *tensors, torch.tensor([4, 0, 19]))
    q, k = (x / np.linalg.norm(x, axis=1, keepdims=True) for x in (asked, keys))
    for name, scale in (("attention", 14.0), ("cosine", 1 / 0.07)):
        logits = scale * q @ k.T
        log = logits - np.log(np.exp(logits).sum(1, keepdims=True))
        assert found[name].item() == pytest.approx(-log[range(3), [4, 0, 19]].mean(), rel=1e-3)


def test_what_is_no_checkpoint_is_refused(tmp_path) -> None:
    path = tmp_path / "x.safetensors"
    for data in (b"", b"junk" * 9):
        path.write_bytes(data)
        with pytest.raises(WrongModelError, match="x.safetensors") as caught:
            lp_comp.load(path)
        assert "\n" not in str(caught.value)


def test_a_checkpoint_reads_the_network_that_it_was_trained_on(
    network: Path, tmp_path: Path
) -> None:
    torch.manual_seed(2)
    model, path = LpComp(2 * WIDE.width), tmp_path / LP_COMP.name
    torch.nn.init.normal_(model.last.weight, std=0.3)
    save_weights(model.state_dict(), path, {"network": model_id(network).hex()})
    lp, rgb = embedders.Lp(path, network), pictures(3)
    vectors = lp.query(rgb)
    assert vectors.shape == (3, 64) and lp.id == embedders.lp_id(path, network)
    # Vectors of a frame depend on its latent tokens.
    patches = torch.from_numpy(lp._read.small.narrow(lp._read.patches(rgb)))
    latents = torch.from_numpy(lp._read.latents(rgb))
    for own, close in ((latents, True), (latents.flip(0), False)):
        with torch.no_grad():
            found = lp.model(lp.model.tokens(patches, own)).numpy()
        assert np.allclose(found, vectors, atol=0.02) == close
    other = write_network(tmp_path / GVC1D.name, seed=1)
    assert embedders.lp_id(path, other) != lp.id
    for metadata in ({"network": model_id(other).hex()}, None):
        save_weights(model.state_dict(), tmp_path / "other.safetensors", metadata)
        with pytest.raises(WrongModelError, match="made for another network") as caught:
            embedders.Lp(tmp_path / "other.safetensors", network)
        assert "\n" not in str(caught.value)


def test_a_network_of_other_windows_or_fewer_tokens_is_refused(tmp_path: Path) -> None:
    few = write_network(tmp_path / "few.safetensors", replace(WIDE, tokens=24))
    for path in (GVC1D_MINI.find(), few):
        with pytest.raises(WrongModelError, match="32 runs of tokens") as caught:
            FrameTokens(path)
        assert "\n" not in str(caught.value)


def test_training_reads_the_latent_tokens_of_a_network(network: Path, tmp_path: Path) -> None:
    cache, videos = tmp_path / "cache", tmp_path / "videos"
    cache.mkdir()
    videos.mkdir()
    shape = len(FORMS), FRAMES
    rgb = np.random.default_rng(0).integers(0, 256, (*shape, 256, 256, 3), np.uint8)
    patches = np.zeros((*shape, PATCHES, 64), np.float16)
    np.savez(cache / "a.npz", pictures=rgb, patches=patches, pooled=patches[:, :, 0])
    (videos / "a.mp4").touch()  # its pictures are cached
    fill(videos, cache, network)
    (clip,) = read_clips(cache, network)
    assert clip.latents.shape == (*shape, LATENTS, 2 * WIDE.width)
    wanted = FrameTokens(network).latents(rgb[1])
    assert np.allclose(clip.latents[1].numpy(), wanted, rtol=1e-2, atol=1e-2)
    other = write_network(tmp_path / "w.safetensors", seed=1)
    assert not read_clips(cache, other)
    with pytest.raises(UsageError, match="too few clips"):
        train(cache, tmp_path, 0.1, 0, network)
    # Weights and card name the network.
    work = Frames(([clip], [clip], [clip]), 0, tmp_path, network)
    work.validate(work.model)
    work.write(work.model, 5, 0.1)
    weights = tmp_path / LP_COMP.name
    assert lp_comp.load(weights, network).enter.in_features == 2 * WIDE.width
    card = json.loads(weights.with_suffix(".json").read_text())
    assert card["network"] == model_id(network).hex() and card["steps"] == 5
    with pytest.raises(WrongModelError):
        lp_comp.load(weights, other)


@functools.cache
def demo_pictures() -> list[np.ndarray]:
    return [*demo_frames(72, step=6)]


@pytest.fixture(scope="module")
def demo() -> Clip:
    """The built-in clip as the shipped networks see it: as it is, coded, and another part of it."""
    kept = demo_pictures()[:FRAMES]
    crops = [picture[24:, :256] for picture in kept]
    source, part = (np.stack([*map(thumbnail_of, pictures)]) for pictures in (kept, crops))
    forms = [source, decode(encode([source], 50))[0], part]
    read = FrameTokens()
    looks = lambda rgb: read.small.narrow(read.patches(rgb)), read.latents
    arrays = (np.stack([np.asarray(look(form), np.float32) for form in forms]) for look in looks)
    patches, latents = map(torch.from_numpy, arrays)
    return Clip("demo", patches, latents, patches.mean(2))


def thumbnail_of(picture: np.ndarray) -> np.ndarray:
    return thumbnail(planes_from_rgb(picture), Colour(matrix=rgb_matrix(1)), 256)


def test_the_shipped_weights_tell_moments_of_a_clip_apart(demo: Clip) -> None:
    whole = judge(lp_comp.load(LP_COMP.find(), GVC1D.find()), [demo])["loss"]
    zeroed, mixed = (lp_comp.load(LP_COMP.find(), GVC1D.find()) for _ in "ab")
    with torch.no_grad():
        zeroed.last.weight.zero_()
        zeroed.last.bias.zero_()
        rows = torch.randperm(64, generator=torch.Generator().manual_seed(0))
        mixed.last.weight.copy_(mixed.last.weight[rows])
    assert judge(zeroed, [demo])["loss"] > whole + 0.01
    assert judge(mixed, [demo])["loss"] > whole + 0.01


def test_the_shipped_attention_tells_moments_of_a_clip_apart(demo: Clip) -> None:
    """QC-Comp's projections: a frame as it is asks for the coded one."""
    shipped = lp_comp.load(LP_COMP.find(), GVC1D.find())
    with torch.no_grad():
        forms = zip(demo.patches.float(), demo.latents.float(), strict=True)
        asked, keys, _ = (shipped(shipped.tokens(*form)) for form in forms)

        def missed() -> float:
            return float(match_losses(shipped, asked, keys, torch.arange(FRAMES))["attention"])

        whole, rows = missed(), torch.randperm(64, generator=torch.Generator().manual_seed(0))
        shipped.ask.copy_(shipped.ask[rows])
        assert missed() > whole + 0.1
        shipped.ask.zero_()
        assert missed() == pytest.approx(np.log(FRAMES)) and whole < np.log(FRAMES) - 0.1


def test_a_stream_is_summarised_and_searched_by_lp(tmp_path) -> None:
    source, stream = tmp_path / "in.mkv", tmp_path / "out.gvc"
    write_pictures(source, demo_pictures(), "ffv1", 24)
    run("encode", source, stream, "--preset", "10", "--fit", "off", "--base", "av1")
    run("summarize", stream, "-y", "--summary", "lp", "--summary-rate", "1")
    with open_summarised(str(stream)) as file:
        ((name, own),) = file.vectors.items()
    assert name == embedders.lp_id() and own.frames.tolist() == list(range(12))
    for ranking in ("cosine", "qc"):
        said = run(
            "search", f"{source}@0.25", stream, "--json", "--ranking", ranking, "--exact", "0"
        )
        assert abs(json.loads(said.out)["moments"][0]["frame"] - 6) <= 2
    run("summarize", stream, "-y", "--summary", "lp", "--summary-rate", "1/6")
    with open_summarised(str(stream)) as file:
        assert file.vectors[name].frames.tolist() == [0, 6]
    assert "embedder lp takes no words" in run("search", "a balloon", stream, code=2).err
