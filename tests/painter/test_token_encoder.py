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
from gvcodec.painter.model import Model
from gvcodec.painter.token_coding import grid_of
from gvcodec.painter.tokens.encoder import LEAST_RATE, EncodedTokens, TokenEncoder, features_of
from gvcodec.painter.tokens.samples import GopSample, TokenSampler
from gvcodec.painter.tokens.stage import SEARCH_NEEDS_TORCH, TOO_LARGE_TO_SEARCH
from gvcodec.painter.torch_twin.network import PainterNetwork, condition
from gvcodec.painter.torch_twin.objective import Batch
from gvcodec.types import VideoFormat
from tests.clips import write_clip
from tests.conftest import moving_texture, rough_clip, run_without_torch
from tests.errors import raises
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


@pytest.mark.parametrize("size", [(48, 64), (70, 118), (300, 520)])
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


def test_gops_of_few_bits_are_not_tried(monkeypatch: pytest.MonkeyPatch) -> None:
    fmt = VideoFormat(64, 48, Fraction(25), Fraction(1, 25))
    clip = moving_texture(64, 48, 6)
    runs = [list(zip(clip[:3], clip[3:], strict=True))]
    sample = GopSample(0, runs, [[0, 0, 0]], frames=100)
    encoder = EncodedTokens(fmt, "av1", Fraction(1), 50, 50, True, 1)
    tried = []
    monkeypatch.setattr(
        encoder, "parts", lambda *of: tried.append(of) or EncodedTokens.parts(encoder, *of)
    )
    least = int(LEAST_RATE * 100 * 64 * 48 / 8)
    assert encoder.find(sample, least - 1) is None and not tried
    encoder.find(sample, least + 1)
    assert tried


def test_the_table_of_the_encoder_is_the_painter_s() -> None:
    table = read_arrays(TOKEN_ENCODER.find())[0]["table"]
    model = Model.load(PAINTER_TOKENS.find()).tokens
    assert model is not None
    # Halves hold eleven bits.
    assert np.abs(table.astype(np.float32) - model.weight).max() <= 0.75


def test_tokens_are_the_same_without_torch(tmp_path: Path) -> None:
    clip = tmp_path / "clip.mkv"
    write_clip(clip, rough_clip(10, 96, 160))
    words = "encode", clip, tmp_path / "out.gvc", "--tokens", "on", "-q", 60, "--threads", 1
    run_without_torch([*words, "--quiet"])
    assert gvcodec.info(tmp_path / "out.gvc").tokens > 0
    gvcodec.encode_file(clip, tmp_path / "same.gvc", tokens="on", q=60, threads=1)
    assert (tmp_path / "out.gvc").read_bytes() == (tmp_path / "same.gvc").read_bytes()
    assert gvcodec.verify(tmp_path / "out.gvc").frames == 10


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


@pytest.mark.parametrize(
    ("reason", "options"),
    [(TOO_LARGE_TO_SEARCH, {"tokens": "search"}), (SEARCH_NEEDS_TORCH, {"speed": "best"})],
)
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


def test_the_sampler_counts_the_frames_of_gops() -> None:
    sampler, planes = TokenSampler(), moving_texture(32, 32, 1)[0]
    gops = []
    for number in range(9):
        sampler.send_source(number, planes)
        if number in (0, 5):
            sampler.start_gop(number)
        gops += sampler.send_base(number, planes, 1)
    gops += sampler.finish()
    assert [(gop.first, gop.frames) for gop in gops] == [(0, 5), (5, 4)]
