"""Search by the shipped embedders and by tokens of a GVC1D network, on clips with known answers."""

from pathlib import Path

import numpy as np
import pytest

from eval.experiments import small_search
from eval.search import Method
from eval.tools import read_facts
from gvcodec.errors import WrongModelError
from gvcodec.models import LP_COMP, model_id, save_weights
from gvcodec.retrieval.embedders import Small
from gvcodec.retrieval.lp_comp import LpComp
from gvcodec.types import Planes
from tests.gvc1d.models import write_network
from training import lp_comp, world
from training.summary import Clip
from training.summary_material import CLIP_STEP, STRIDE


def levels_of(clip: world.Clip) -> list[Planes]:
    planes = zip(clip.y, clip.u, clip.v, strict=True)
    return [tuple((64 + np.rint(876 * p)).astype(np.uint16) for p in frame) for frame in planes]


def test_facts_come_from_the_metadata(tmp_path: Path) -> None:
    assert read_facts(write_network(tmp_path / "w.safetensors")) == ["12", "3"]


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


def test_methods_read_the_features_of_one_network(tmp_path: Path) -> None:
    model, cache = write_network(tmp_path / "w.safetensors"), tmp_path / "cache"
    features = lp_comp.latents_of(cache, model)
    features.mkdir(parents=True)
    rng, shape = np.random.default_rng(0), (len(lp_comp.FORMS), lp_comp.FRAMES)
    for number in range(6):
        patches = rng.normal(size=(*shape, 16, 64)).astype(np.float16)
        latents = rng.normal(size=(*shape, 32, 80)).astype(np.float16)
        np.savez(cache / f"{number}.npz", patches=patches, pooled=patches[:, :, 0])
        np.savez(features / f"{number}.npz", latents=latents)
    weights, own = tmp_path / LP_COMP.name, model_id(model).hex()
    save_weights(LpComp(80).state_dict(), weights, {"network": own})
    methods = small_search.methods_of(cache, model, weights)
    assert {name: kind for name, (kind, _) in methods.items()} == {
        "small": "patches",
        "lp": f"patches + {own}",
        "discriminants of network": own,
    }
    tokens = rng.normal(size=(3, 32, 80))
    assert methods["discriminants of network"][1].vectors(tokens).shape == (3, 64)
    other = write_network(tmp_path / "other.safetensors", seed=1)
    (cache / model_id(other).hex()).symlink_to(features)
    with pytest.raises(WrongModelError, match="another network"):
        small_search.methods_of(cache, other, weights)
