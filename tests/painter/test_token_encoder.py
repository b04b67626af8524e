"""The encoder of tokens in NumPy: what its trainer's network finds, and what files get of it."""

import io
from fractions import Fraction
from pathlib import Path

import numpy as np
import pytest
import torch

import gvcodec
from gvcodec.codec.encode_stream import encode_stream
from gvcodec.codec.encoder import Encoder
from gvcodec.config import EncoderConfig
from gvcodec.errors import MediaError
from gvcodec.models import PAINTER, PAINTER_TOKENS, TOKEN_ENCODER, read_arrays, save_weights
from gvcodec.painter.fitting.network import PainterNetwork, condition
from gvcodec.painter.fitting.objective import Batch
from gvcodec.painter.model import Model
from gvcodec.painter.token_coding import grid_of
from gvcodec.painter.tokens.encoder import EncodedTokens, TokenEncoder, features_of
from gvcodec.painter.tokens.samples import GopSample
from gvcodec.painter.tokens.stage import SEARCH_NEEDS_TORCH, TOO_LARGE_TO_SEARCH
from gvcodec.types import VideoFormat
from tests.clips import write_clip
from tests.conftest import clips_equal, moving_texture, rough_clip, run_without_torch
from tests.errors import raises
from tests.painter.test_tokens import shown
from training.tokens import Steering, TrainConfig, observe


def trained() -> Steering:
    """The trainer's network with the shipped weights."""
    arrays, _ = read_arrays(TOKEN_ENCODER.find())
    model = Steering(len(arrays["table"]), TrainConfig(painter="", cache="", out=""))
    model.load_state_dict({name: torch.from_numpy(a).float() for name, a in arrays.items()})
    return model.eval()


def test_numpy_finds_what_the_trainer_s_network_does() -> None:
    features = torch.randn(3, 29, 16, 16, generator=torch.Generator().manual_seed(1))
    with torch.no_grad():
        wanted = trained().tokens(features, "encoder").numpy()
    encoder = TokenEncoder(TOKEN_ENCODER.find())
    for given, tokens in zip(features.numpy(), wanted, strict=True):
        found = encoder.integers(given)
        assert np.abs(found - tokens.transpose(1, 2, 0)).max() < 1e-3
    assert np.abs(wanted).max() > 0.5


def test_features_are_those_of_training() -> None:
    """But for rounding of bands."""
    network = PainterNetwork.load(PAINTER.find())
    (first, second) = moving_texture(256, 256, 2)
    planes = [
        (
            torch.from_numpy(y.astype(np.float32))[None, None, None] / 1023,
            torch.from_numpy(np.stack([u, v]).astype(np.float32))[None, None] / 1023,
        )
        for y, u, v in (first, second)
    ]
    batch = Batch(
        planes[0],
        planes[1],
        torch.zeros(1, 1, 2, 16, 16),
        condition("av1", Fraction(1), 50),
        torch.tensor([50 // 8]),
        torch.tensor([0.0]),
    )
    crop = observe(network, batch, 0)
    painted = (crop.painted[0][0, 0] * 1023).round().clamp(0, 1023).numpy().astype(np.uint16)
    found = features_of(second[0], first[0], painted, 50)
    assert np.abs(found - crop.features[0].numpy()).max() < 0.02


@pytest.mark.parametrize("size", [(48, 64), (70, 118), (256, 256), (300, 520)])
def test_every_size_gets_tokens_of_its_regions(size: tuple[int, int]) -> None:
    height, width = size
    fmt = VideoFormat(width, height, Fraction(25), Fraction(1, 25))
    clip = moving_texture(width, height, 6)
    sample = GopSample(0, [list(zip(clip[:3], clip[3:], strict=True))], [[0, 0, 0]])
    found = []
    for threads in (1, 2):
        encoder = EncodedTokens(fmt, "av1", Fraction(1), 50, 50, True, threads)
        found.append(encoder.parts(sample, encoder.strength_of(sample)))
    for part, again in zip(*found, strict=True):
        assert part.shape == (*grid_of(height, width), 8) and np.abs(part).max() > 0.5
        assert np.array_equal(part, again)
    assert encoder.find(GopSample(0), 1000) is None


def test_the_table_of_the_encoder_is_the_painter_s() -> None:
    table = read_arrays(TOKEN_ENCODER.find())[0]["table"]
    model = Model.load(PAINTER_TOKENS.find()).tokens
    assert model is not None
    # Halves hold eleven bits.
    assert np.abs(table.astype(np.float32) - model.weight).max() <= 0.75


def test_a_file_of_an_encode_with_tokens() -> None:
    fmt = VideoFormat(160, 96, Fraction(25), Fraction(1, 25))
    frames = rough_clip(14, 96, 160)
    plain, steered = (
        gvcodec.encode(frames, format=fmt, q=60, keyint=7, tokens=tokens)
        for tokens in ("off", "on")
    )
    facts = gvcodec.info(steered)
    assert facts.tokens > 0 and gvcodec.verify(steered).frames == 14
    assert not clips_equal(shown(steered), shown(plain))


def test_tokens_are_the_same_without_torch(tmp_path: Path) -> None:
    clip = tmp_path / "clip.mkv"
    write_clip(clip, rough_clip(10, 96, 160))
    words = "encode", clip, tmp_path / "out.gvc", "--tokens", "on", "-q", 60, "--threads", 1
    run_without_torch(*words, "--quiet")
    assert gvcodec.info(tmp_path / "out.gvc").tokens > 0
    gvcodec.encode_file(clip, tmp_path / "same.gvc", tokens="on", q=60, threads=1)
    assert (tmp_path / "out.gvc").read_bytes() == (tmp_path / "same.gvc").read_bytes()


def test_other_files_are_no_encoders(tmp_path: Path) -> None:
    arrays, _ = read_arrays(TOKEN_ENCODER.find())
    path = tmp_path / "encoder.safetensors"
    for name, wrong in (("encoder.head.weight", None), ("encoder.embed.weight", np.zeros((3, 3)))):
        changed = {**arrays, name: wrong}
        save_weights({}, path, {}, {n: a for n, a in changed.items() if a is not None})
        with raises(MediaError, "not-a-model"):
            TokenEncoder(path)
    path.write_bytes(b"nothing")
    with raises(MediaError, "not-a-model"):
        TokenEncoder(path)


@pytest.mark.parametrize("reason", [TOO_LARGE_TO_SEARCH, SEARCH_NEEDS_TORCH])
@pytest.mark.parametrize("options", [{"tokens": "search"}, {"speed": "best"}])
def test_what_cannot_be_searched_is_tried(reason: str, options: dict, monkeypatch) -> None:
    """Large pictures, and all where torch is missing."""
    if reason == TOO_LARGE_TO_SEARCH:
        monkeypatch.setattr("gvcodec.painter.tokens.stage.MAX_SEARCHED_SAMPLES", 160 * 96 - 1)
    else:
        monkeypatch.setattr("gvcodec.painter.tokens.stage.has_torch", lambda: False)
    fmt = VideoFormat(160, 96, Fraction(25), Fraction(1, 25))

    def refuse(*_: object) -> None:
        raise AssertionError("a search")

    monkeypatch.setattr("gvcodec.painter.tokens.search.TokenSearch.find", refuse)
    found = []
    for given in (options, options | {"tokens": "on"}):
        encoder = Encoder(fmt, EncoderConfig(q=60, preset=10, threads=1, **given))
        stream = io.BytesIO()
        encode_stream(encoder, stream, ((planes, None) for planes in rough_clip(8, 96, 160)))
        found.append(stream.getvalue())
        assert encoder.notes == ([] if "tokens" in given and given["tokens"] == "on" else [reason])
    assert found[0] == found[1] and gvcodec.info(found[0]).tokens > 0
