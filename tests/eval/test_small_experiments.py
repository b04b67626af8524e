"""Search and router on a GVC1D network: the shipped miniature one, and a random one
with windows of natural video."""

import json
from dataclasses import asdict
from pathlib import Path

import numpy as np
import pytest
from safetensors.numpy import save_file

from eval.experiments import small_router, small_search
from eval.search import Method
from eval.tools import read_facts
from gvcodec.gvc1d import ops_exact
from gvcodec.gvc1d.frame_coder import (
    DISTORTION_UNIT,
    RANGE,
    RATE_STEPS,
    FrameCoder,
    lambda_of,
)
from gvcodec.gvc1d.model import Config, initial_weights
from gvcodec.gvc1d.weights import FORM, read_network
from gvcodec.retrieval.embedders import Small
from gvcodec.retrieval.lp_comp import LpComp
from gvcodec.types import Planes
from training import lp_comp, world
from training.gvc1d.pictures import PictureNetwork
from training.summary import Clip
from training.summary_material import CLIP_STEP, STRIDE

MODEL = Path(__file__).resolve().parents[2] / "checkpoints/gvc1d-mini.safetensors"
SIDE = 16


def write_network(path: Path, **sizes: int) -> Path:
    """A random network of one layer with windows of 256²."""
    config = Config(256, 32, 32, 2, 16, 2, 1, "L", "L", 1, memory=0, **sizes)
    metadata = {"form": FORM, "config": json.dumps(asdict(config)), "steps": "12", "seed": "3"}
    save_file(initial_weights(config, 0), path, metadata)
    return path


def levels_of(clip: world.Clip) -> list[Planes]:
    planes = zip(clip.y, clip.u, clip.v, strict=True)
    return [tuple((64 + np.rint(876 * p)).astype(np.uint16) for p in frame) for frame in planes]


def test_facts_come_from_the_metadata(tmp_path) -> None:
    assert read_facts(write_network(tmp_path / "w.safetensors")) == ["12", "3"]


# ------------------------------------------------------------------------------------------ search


def clips(count: int, noise: float) -> list[Clip]:
    """Photos there and back: features move along a line of their own."""
    rng, found = np.random.default_rng(0), []
    for number in range(count):
        ends = rng.normal(size=(2, 1, 8))
        for way, (first, last) in (("there", ends), ("back", ends[::-1])):
            at = np.linspace(0, 1, 48)[:, None, None]
            path = first * (1 - at) + last * at  # [48, 1, 8]
            asked_at, clips_at = np.array([1, 21, 33, 42]), np.array([2, 17])
            of_clips = path[clips_at[:, None] + CLIP_STEP * np.arange(8)]
            made = [path[::STRIDE][None], np.stack([path[asked_at]] * 3), np.stack([of_clips] * 2)]
            made = [x + noise * rng.normal(size=x.shape) for x in made]
            found.append(
                Clip(f"photo{number}-{way}", "", made[0], made[1], asked_at, made[2], clips_at)
            )
    return found


def test_questions_find_their_clips_and_their_order() -> None:
    method = Method(lambda tokens: np.tile(np.asarray(tokens, np.float32)[:, 0], (1, 8)))
    figures = {}
    for noise in (0.1, 30.0):
        held = clips(12, noise)
        answers = small_search.ask(held, [20_000] * len(held), method)
        assert [len(own) for own in answers["Recall@1"]] == [12 * small_search.ORDERS] * len(held)
        figures[noise] = {name: small_search.interval(own) for name, own in answers.items()}
    assert figures[0.1]["Recall@1"][0] > 90 and figures[0.1]["order"][0] > 90
    assert figures[30.0]["Recall@1"][0] < 40 and 25 < figures[30.0]["order"][0] < 75
    mean, low, high, count = figures[30.0]["Recall@1"]
    assert low < mean < high and count == 24


def test_pictures_and_features_of_a_clip_are_cached_once(tmp_path) -> None:
    small = levels_of(world.draw(7, 24, [[0] * 24, list(range(24))]))
    frames = [
        tuple(np.tile(p, (3, 5))[: 360 // s, : 640 // s] for p, s in zip(f, (1, 2, 2), strict=True))
        for f in small
    ]
    target = tmp_path / "a-there.npz"
    small_search.cache_pictures("a-there", frames, target)
    calls = []

    def means(pictures: np.ndarray) -> np.ndarray:
        calls.append(len(pictures))
        return pictures.reshape(len(pictures), 2, -1, 3).mean(2)

    for _ in range(2):
        small_search.add_features(tmp_path, "means", means)
    assert calls == [6, 12, 32]
    material = small_search.read(tmp_path, ["means", "means + means"])
    (one,), (both,) = material.clips["means"], material.clips["means + means"]
    assert one.forms.shape == (1, 6, 2, 3) and one.asked.shape == (3, 4, 2, 3)
    assert one.clips.shape == (2, 2, 8, 2, 3) and both.forms.shape == (1, 6, 12)
    assert np.array_equal(both.clips[..., 6:].ravel(), one.clips.ravel())
    assert material.sizes == [int(np.load(target)["size"])] and material.sizes[0] > 500


def test_an_untrained_lp_comp_gives_the_shipped_discriminants() -> None:
    small, rng = Small(), np.random.default_rng(0)
    patches = small.frames(rng.integers(0, 256, (2, 128, 128, 3), np.uint8))
    latents = rng.normal(size=(2, 32, 5))
    flat = np.concatenate([patches.reshape(2, -1), latents.reshape(2, -1)], 1)
    vectors = small_search.lp_vectors(LpComp(5).eval(), small)(flat)
    assert np.allclose(vectors, small.compress(patches), atol=1e-3)


def test_lp_comp_reads_the_latent_tokens_of_a_network(tmp_path) -> None:
    model, cache = write_network(tmp_path / "w.safetensors"), tmp_path / "cache"
    cache.mkdir()
    shape = len(lp_comp.FORMS), lp_comp.FRAMES
    pictures = np.random.default_rng(0).integers(0, 256, (*shape, 256, 256, 3), np.uint8)
    patches = np.zeros((*shape, 16, 64), np.float16)
    np.savez(cache / "a.npz", pictures=pictures, patches=patches, pooled=patches[:, :, 0])
    assert lp_comp.latents_of(cache, model) != lp_comp.latents_of(cache)
    (tmp_path / "videos").mkdir()
    (tmp_path / "videos/a.mp4").touch()  # its pictures are cached
    lp_comp.fill(tmp_path / "videos", cache, model)
    (clip,) = lp_comp.read_clips(cache, model)
    assert clip.latents.shape == (*shape, 32, 2 * 16) and float(clip.latents.float().std()) > 0
    assert not lp_comp.read_clips(cache)


# ------------------------------------------------------------------------------------------ router


def test_the_survey_has_the_cost_of_whole_windows_and_inputs_of_runs() -> None:
    config, weights = read_network(MODEL)
    coder, rate = FrameCoder(config, weights, ops_exact, (128, 64)), 4 * RATE_STEPS
    clip = world.draw(7, 2, [[0, 0], [0, 9]])
    frames = [(y[:64], u[:32], v[:32]) for y, u, v in levels_of(clip)]
    found = small_router.survey(coder, frames, rate)
    assert found.inputs.shape == (4, config.tokens + 1) and (found.inputs[:, -1] == 4).all()
    assert found.seconds > 0
    # J of the windows of the first frame, by the network in torch.
    network = PictureNetwork(MODEL, 4)
    tokens = network.encode(frames[:1]).values
    assert np.allclose(found.inputs[:2, :-1], np.log1p(np.abs(tokens[0])).mean(2), atol=0.05)
    shown = network.decode(tokens, 128, 64)
    error = np.zeros(2)
    for plane, own in zip(frames[0], (shown[0][0, 0], *shown[1][0]), strict=True):
        missed = np.square((1020 * own.numpy() - plane) / RANGE)
        error += missed.reshape(len(missed), 2, -1).sum((0, 2))
    bits = network.bits(tokens, 2)[0].numpy()
    cost = error / DISTORTION_UNIT + lambda_of(rate) * bits
    assert np.exp(found.costs[:2]) == pytest.approx(cost, 0.05)
