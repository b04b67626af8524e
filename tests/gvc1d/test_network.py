"""GVC1D's network: exact files, the token-by-token form, parts that matter, hostile bytes."""

from __future__ import annotations

import hashlib
import io
import json
from dataclasses import asdict, replace
from fractions import Fraction
from pathlib import Path

import numpy as np
import pytest
from safetensors.numpy import save_file

import gvcodec
from conformance.network_inputs import TINY, save_tiny, tiny_weights
from gvcodec.errors import DamagedStreamError, MediaError, UsageError
from gvcodec.gvc1d import ops_exact
from gvcodec.gvc1d.budgets import cut_tokens
from gvcodec.gvc1d.frame_coder import RATE_END, Frame, FrameCoder
from gvcodec.gvc1d.model import Codec, Config, Grid, from_patches, rate_mix, to_patches
from gvcodec.gvc1d.weights import FORM, read_network
from gvcodec.types import Planes, VideoFormat
from tests.conftest import moving_texture

SIZE = (70, 45)


@pytest.fixture
def weights(tmp_path: Path) -> Path:
    return save_tiny(tmp_path / "tiny.safetensors")


def _coder(weights: Path, size: tuple[int, int] = SIZE) -> FrameCoder:
    config, values = read_network(weights)
    return FrameCoder(config, values, ops_exact, size)


def _rounded(coder: FrameCoder, planes: Planes, rate: int) -> np.ndarray:
    return np.rint(coder.analyse(planes, rate).values).astype(np.int32)


def _lengths(coder: FrameCoder, frame: int) -> np.ndarray:
    """All tokens in even frames, another number for each window in odd ones."""
    full = coder.config.tokens
    return np.array([full - (w + frame) % (full + 1) * (frame % 2) for w in range(coder.windows)])


def test_decoder_follows_encoder_with_any_lengths(weights: Path) -> None:
    encoder, decoder = _coder(weights), _coder(weights)
    for number, planes in enumerate(moving_texture(*SIZE, 5)):
        lengths = _lengths(encoder, number)
        tokens = cut_tokens(_rounded(encoder, planes, 20 * number), lengths)
        packet, shown = encoder.encode(Frame(20 * number, lengths, tokens))
        frame, picture = decoder.decode(packet)
        assert frame.rate == 20 * number and (frame.lengths == lengths).all()
        assert (frame.tokens == tokens).all() and tokens.any()
        assert all((a == b).all() for a, b in zip(shown, picture, strict=True))
        assert picture[0].shape == SIZE[::-1] and picture[1].shape == (23, 35)


def test_token_by_token_predictions_are_those_of_a_whole_frame(weights: Path) -> None:
    coder = _coder(weights)
    tokens = _rounded(coder, moving_texture(*SIZE, 1)[0], 56)[None].astype(np.float32)
    mix = rate_mix(3.5)
    whole = coder.codec.predict(tokens, coder.state, mix, coder.grid)
    steps = coder.codec.start_prediction(coder.state, mix, coder.grid)
    earlier = np.zeros_like(tokens[:, :, 0])
    for token in range(TINY.tokens):
        one = steps.next(earlier)
        assert (one.mean == whole.mean[:, :, token]).all()
        assert (one.scale == whole.scale[:, :, token]).all()
        earlier = tokens[:, :, token]


@pytest.mark.parametrize("off", ["memory", "short_term", "local", "global", "autoregression"])
def test_every_part_reaches_the_picture_or_the_bits(off: str) -> None:
    weights = {name: value.astype(np.float32) for name, value in tiny_weights().items()}
    grid, results = Grid(2, 2), []
    rng = np.random.default_rng(1)
    patches = rng.uniform(size=(2, 1, 4, TINY.patches, TINY.samples)).astype(np.float32)
    for parts in ((), (off,)):
        codec = Codec(TINY, weights, ops_exact, parts)
        state, mix, sums = codec.first_state(1, grid), rate_mix(2.0), []
        present = np.ones((1, 4, TINY.tokens, 1), np.float32)
        for frame in patches:
            tokens = np.rint(codec.encode(frame, state, mix, grid))
            prediction = codec.predict(tokens, state, mix, grid)
            shown, features = codec.decode(tokens, present, state, mix, grid)
            state = codec.advance(state, tokens, present, features, grid)
            sums += [prediction.mean.sum(), shown.sum()]
        results.append(sums)
    assert results[0] != results[1]


def test_torch_and_exact_operations_agree() -> None:
    torch = pytest.importorskip("torch")
    from gvcodec.gvc1d import ops_torch

    weights = {name: value.astype(np.float32) for name, value in tiny_weights().items()}
    tensors = {name: torch.from_numpy(value) for name, value in weights.items()}
    patches = np.random.default_rng(2).uniform(size=(1, 4, 16, 96)).astype(np.float32)
    values = []
    for ops, arrays, given in (
        (ops_exact, weights, patches),
        (ops_torch, tensors, torch.from_numpy(patches)),
    ):
        codec, grid = Codec(TINY, arrays, ops), Grid(2, 2)
        mix = rate_mix(1.3) if ops is ops_exact else torch.from_numpy(rate_mix(1.3))
        values.append(np.asarray(codec.encode(given, codec.first_state(1, grid), mix, grid)))
    np.testing.assert_allclose(values[0], values[1], atol=1e-3)


@pytest.mark.parametrize("visible", [None, np.array([1, 3, 6], np.int32)])
def test_attention_of_torch_is_the_same_in_half_precision(visible) -> None:
    torch = pytest.importorskip("torch")
    from gvcodec.gvc1d import ops_torch

    random = torch.Generator().manual_seed(4)
    parts = [torch.randn(2, 2, n, 8, generator=random) for n in (3, 6, 6)]
    exact = ops_exact.attention(*(part.numpy() for part in parts), visible)
    half = ops_torch.attention(*(part.bfloat16() for part in parts), visible)
    np.testing.assert_allclose(ops_torch.attention(*parts, visible), exact, atol=1e-5)
    np.testing.assert_allclose(half.float(), exact, atol=0.05)


def test_patches_and_planes_are_inverse() -> None:
    rng = np.random.default_rng(5)
    y, u, v = (rng.uniform(size=(1, h, w)) for h, w in ((64, 96), (32, 48), (32, 48)))
    back = from_patches(to_patches(y, u, v, TINY, ops_exact), Grid(2, 3), TINY, ops_exact)
    assert all((a == b).all() for a, b in zip((y, u, v), back, strict=True))


@pytest.mark.parametrize("depth", [8, 10])
def test_files_have_one_hash_with_any_threads(weights: Path, depth: int) -> None:
    rate = Fraction(25)
    fmt = VideoFormat(*SIZE, rate, 1 / rate, bit_depth=depth)
    options = {"base": "gvc1d", "model": str(weights), "q": 20, "keyint": 3, "format": fmt}
    files = [gvcodec.encode(moving_texture(*SIZE, 7), threads=n, **options) for n in (1, 2)]
    assert files[0] == files[1]
    reader = gvcodec.Reader(io.BytesIO(files[0]))
    assert reader.header.base == "gvc1d" and reader.header.painter_id is None
    assert [gop.frames for gop in reader.gops()] == [3, 3, 1]
    with gvcodec.open(io.BytesIO(files[0]), models=[weights]) as video:
        assert len(list(video.decode_range(0, 7))) == 7
        late = next(iter(video.decode_range(4, 5)))
        assert late.base_frame[0].shape == SIZE[::-1]


def test_base_hash_counts_tokens_and_samples(weights: Path) -> None:
    fmt = VideoFormat(*SIZE, Fraction(25), Fraction(1, 25))
    options = {"base": "gvc1d", "model": str(weights), "q": 20, "threads": 1}
    data = gvcodec.encode(moving_texture(*SIZE, 3), format=fmt, **options)
    reader, coder, digest = gvcodec.Reader(io.BytesIO(data)), _coder(weights), hashlib.sha256()
    for packet in reader.packets():
        if packet.is_frame:
            frame, picture = coder.decode(packet.payload)
            digest.update(frame.bytes_to_hash())
            for plane in picture:
                digest.update(plane.astype("<u2").tobytes())
    assert reader.base_hash == digest.digest()[:8]


def test_hostile_packets_end_in_one_error(weights: Path) -> None:
    rng = np.random.default_rng(6)
    planes = moving_texture(*SIZE, 1)[0]
    coder = _coder(weights)
    lengths = np.full(coder.windows, TINY.tokens)
    packet, _ = coder.encode(Frame(RATE_END // 2, lengths, _rounded(coder, planes, RATE_END // 2)))
    decoded = 0
    for _ in range(150):
        data = bytearray(packet)
        for _ in range(int(rng.integers(1, 4))):
            data[int(rng.integers(len(data)))] = int(rng.integers(256))
        data = data[: int(rng.integers(len(data) + 1))]
        other = _coder(weights)
        try:
            other.decode(bytes(data))
            decoded += 1
        except DamagedStreamError:
            continue
    assert decoded < 150


@pytest.mark.parametrize("fault", ["shape", "missing", "nan", "form", "field", "size", "type"])
def test_weight_files_that_are_none_are_refused(fault: str, tmp_path: Path) -> None:
    weights, config = tiny_weights(), asdict(TINY)
    form = FORM
    if fault == "shape":
        weights["query"] = weights["query"][:1]
    elif fault == "missing":
        del weights["mask"]
    elif fault == "nan":
        weights["mask"] = weights["mask"] * np.float16(np.nan)
    elif fault == "form":
        form = "gvc1d-9"
    elif fault == "field":
        config["colour"] = 1
    elif fault == "size":
        config["width"] = 4096
    else:
        config["width"] = "16"
    path = tmp_path / "w.safetensors"
    save_file(weights, path, {"form": form, "config": json.dumps(config)})
    with pytest.raises(MediaError):
        read_network(path)


def test_sizes_that_do_not_fit_are_refused() -> None:
    for change in ({"patch": 7}, {"heads": 3}, {"encoder": "LX"}, {"width": 0}, {"memory": -1}):
        with pytest.raises(UsageError):
            replace(Config(), **change)


def test_info_counts_tokens_by_window_and_frame(
    weights: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    fmt = VideoFormat(*SIZE, Fraction(25), Fraction(1, 25))
    options = {"base": "gvc1d", "model": str(weights), "q": 20, "threads": 1, "keyint": 2}
    planes = moving_texture(*SIZE, 3)
    path = tmp_path / "a.gvc"
    for share, full in ((1.0, True), (0.5, False)):
        settings = options | {"alloc": "elbo", "token_share": share}
        path.write_bytes(gvcodec.encode(planes, format=fmt, **settings))
        monkeypatch.setenv("GVCODEC_MODELS", str(weights.parent))
        facts = gvcodec.info(path)
        counts = [packet["tokens"] for packet in facts.packets if "tokens" in packet]
        assert len(counts) == 3 and all(len(windows) == 6 for windows in counts)
        assert facts.tokens == sum(map(sum, counts))
        assert all(n == TINY.tokens for windows in counts for n in windows) == full
