"""Tokens alone: the model, its training on toy material, and its table of real bytes."""

from __future__ import annotations

import numpy as np
import pytest

torch = pytest.importorskip("torch")

from eval.__main__ import main
from eval.tokens_only import CONTROL, PARTS, ROUTER
from gvcodec import perceptual
from gvcodec.appearance.tokens import Tokens
from gvcodec.appearance.tokens_only import (
    MEMORIES,
    TokensOnly,
    TokensOnlyConfig,
    grey_like,
    load_tokens_only,
    save_tokens_only,
    take,
)
from gvcodec.errors import MediaError
from gvcodec.train import tokens_only as training
from gvcodec.train.tokens_only import FRAMES, HEIGHT, WIDTH, Runs, Trainer, evidence, routed_counts

SMALL = {"token_width": 32, "channels": 32, "depth": 2, "drawing": 4}


def made(memory: str = "1d") -> TokensOnly:
    """Random weights, also where training begins with zero."""
    torch.manual_seed(0)
    model = TokensOnly(TokensOnlyConfig(memory=memory, **SMALL)).eval()
    with torch.no_grad():
        for part in (model.move, model.leave):
            part.weight.normal_(0, 0.2)
    return model


def picture(seed: int, height: int = 272, width: int = 288):
    generator = torch.Generator().manual_seed(seed)
    return torch.rand(1, 1, height, width, generator=generator), torch.rand(
        1, 2, height // 2, width // 2, generator=generator
    )


@pytest.mark.parametrize("memory", MEMORIES)
def test_a_picture_depends_on_tokens_and_on_what_was_seen_before(memory):
    model, source = made(memory), picture(1)
    with torch.inference_mode():
        values = model.encode(source, None, None)
        assert values.shape == (1, 2, 2, 32, 16)
        every = take(5 * values, torch.full((1, 2, 2), 32))
        first, kept = model(None, every, None, source[0])
        assert (kept is None) == (memory == "none")
        none = take(values, torch.zeros(1, 2, 2, dtype=torch.long))
        assert not none.values.any()
        blank, other = model(None, none, None, source[0])
        assert not torch.equal(first[0], blank[0])
        after = [model(first, none, m, source[0])[0] for m in (kept, other)]
        assert torch.equal(after[0][0], after[1][0]) == (memory == "none")
        assert not torch.equal(model(blank, none, kept, source[0])[0][0], after[0][0])


def test_the_encoder_may_read_what_the_decoder_remembers():
    torch.manual_seed(0)
    model, source = TokensOnly(TokensOnlyConfig(encoder_reads=True, **SMALL)).eval(), picture(1)
    with torch.inference_mode():
        torch.nn.init.normal_(model.encoder.out.weight)
        every = take(model.encode(source, None, None), torch.full((1, 2, 2), 32))
        before, memory = model(None, every, None, source[0])
        assert not torch.equal(model.encode(source, before, memory), model.encode(source, before, None))
        deaf = made()
        assert torch.equal(deaf.encode(source, before, memory), deaf.encode(source, before, None))
    for memory_kind in ("none", "2d"):
        with pytest.raises(ValueError, match="1-D memory only"):
            TokensOnly(TokensOnlyConfig(memory=memory_kind, encoder_reads=True, **SMALL))


def test_untrained_models_hold_the_picture_before():
    model, before = TokensOnly(TokensOnlyConfig(**SMALL)).eval(), picture(2)
    with torch.inference_mode():
        values = torch.zeros(1, 2, 2, 32, 16)
        tokens = Tokens(values, torch.zeros(1, 2, 2, dtype=torch.long))
        grey, _ = model(None, tokens, None, before[0])
        assert torch.equal(grey[0], grey_like(before[0])[0])
        held, _ = model(before, tokens, None, before[0])
        assert torch.corrcoef(torch.stack([held[0].flatten(), before[0].flatten()]))[0, 1] > 0.999


def test_router_gives_tokens_where_the_error_is():
    counts = routed_counts(torch.tensor([[[1.0, 3.0], [4.0, 0.0]]]), 8, 32)
    assert counts[0, 1, 0] > counts[0, 0, 1] > counts[0, 0, 0] > counts[0, 1, 1] >= 1
    assert counts.float().mean() == pytest.approx(8, abs=0.5)
    model, source = made(), picture(3, 256, 512)
    source[0][..., 256:] = 0.5
    source[1][..., 128:] = 0.5
    found = evidence(model, None, model.encode(source, None, None).detach(), None, source)
    assert found.shape == (1, 1, 2) and found[0, 0, 0] > found[0, 0, 1] > 0


@pytest.mark.parametrize("budgets", ["random", "router"])
def test_training_lowers_the_loss(budgets, tmp_path, monkeypatch):
    monkeypatch.setattr(training, "_CROPS", 2)
    rng = np.random.default_rng(0)
    for number in range(2):
        columns = np.linspace(40, 200, WIDTH) if number else np.full(WIDTH, 60)
        luma = (columns + 20 * (np.arange(WIDTH) // 4 % 2) + rng.normal(0, 3, (HEIGHT, WIDTH))).clip(0, 255)
        flat = np.concatenate([luma.ravel(), np.full(HEIGHT * WIDTH // 2, 128)]).astype(np.uint8)
        np.save(tmp_path / f"{number}.npy", np.tile(flat, (FRAMES, 1)))
    leading = perceptual.leading_weights("small")
    trainer = Trainer(TokensOnlyConfig(**SMALL), budgets, Runs(tmp_path, 0), leading[1], 0)
    (source,) = Runs(tmp_path, 1).batch(4, 1)

    def error():
        with torch.inference_mode():
            values = trainer.model.encode(source, None, None)
            painted, _ = trainer.model(None, take(values, torch.full((4, 1, 2), 32)), None, source[0])
            return float((painted[0] - source[0]).abs().mean())

    before = error()
    for _ in range(25):
        trainer.step(0.1)
    assert error() < 0.9 * before
    late = trainer.step(0.9)
    assert set(late) == {"pixel", "bpp", "lpips", "dists"} and all(np.isfinite(v) for v in late.values())


def test_files_hold_models_or_are_named(tmp_path):
    path = tmp_path / "none.safetensors"
    save_tokens_only(made("2d"), path)
    assert load_tokens_only(path).config == TokensOnlyConfig(memory="2d", **SMALL)
    path.write_bytes(b"no model")
    with pytest.raises(MediaError, match="none.safetensors"):
        load_tokens_only(path)


def test_table(tmp_path, capsys, made_weights):
    models = []
    for memory in ("1d", "none"):
        models.append(tmp_path / f"{memory}.safetensors")
        save_tokens_only(made(memory), models[-1])
    words = [
        "tokens",
        *map(str, models),
        "--set",
        "procedural",
        "--only",
        "pan",
        "--frames",
        "2",
        "--out",
        str(tmp_path),
    ]
    assert main(words) == 0
    shown = capsys.readouterr().out
    assert "| 1d | 4 |" in shown and "| none | 4 |" in shown and "without memory" in shown
    assert all(f"| {part} |" in shown for part in PARTS)
    assert all(f"| {model} | {budgets} |" in shown for model in ("1d", "none") for budgets in (ROUTER, CONTROL))
    assert main(words) == 0 and capsys.readouterr().out == shown  # from what was kept
    assert main(["tokens", str(tmp_path / "tokens.json"), *words[3:]]) == 1
    assert "tokens.json" in capsys.readouterr().err
