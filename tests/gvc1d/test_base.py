"""Base gvc1d: exact frames, shared contexts, memory, damaged bytes, the shipped network."""

import contextlib
import copy
import io
from fractions import Fraction

import numpy as np
import pytest
import torch
from safetensors.numpy import save_file as save_numpy
from safetensors.torch import save_file

import gvcodec
from gvcodec.bitstream import Reader
from gvcodec.entropy import streams
from gvcodec.errors import (
    DamagedStreamError,
    MediaError,
    UsageError,
    WrongModelError,
)
from gvcodec.gvc1d import context_model, exact, motion, token_order
from gvcodec.gvc1d.codec_network import CodecNetwork
from gvcodec.gvc1d.decoder import Gvc1dDecoder
from gvcodec.gvc1d.encoder import Gvc1dEncoder, style_offsets_of
from gvcodec.gvc1d.frame_payload import LEVELS, Predicted, after, recall, remember, sides_of
from gvcodec.gvc1d.model_file import load_network, read_loop
from gvcodec.gvc1d.pictures import pad
from gvcodec.gvc1d.transform import Transform
from gvcodec.models import GVC1D, MODELS_VARIABLE, PAINTER_GVC1D, model_id, read_arrays
from gvcodec.types import Planes, VideoFormat
from tests.clips import make_clip
from tests.conftest import clips_equal, planes_equal, run, run_without_torch

WIDTH, HEIGHT = 96, 64
FORMAT = VideoFormat(WIDTH, HEIGHT, Fraction(25), Fraction(1, 25))
PLAIN = {"base": "gvc1d", "q": 40.0, "fit": 0, "threads": 1}


def encode(frames: list[Planes], **options: object) -> bytes:
    return gvcodec.encode(frames, frame_rate=25, format=FORMAT, **{**PLAIN, **options})


@pytest.fixture(scope="module")
def frames() -> list[Planes]:
    return make_clip(WIDTH, HEIGHT, 6, seed=3)


@pytest.fixture(scope="module")
def coded(frames) -> bytes:
    return encode(frames)


def error(found: list[Planes], wanted: list[Planes]) -> float:
    pairs = zip(found, wanted, strict=True)
    return float(np.mean([np.square(a[0].astype(float) - b[0]).mean() for a, b in pairs]))


def test_frames_are_those_of_the_encoder(frames) -> None:
    encoder = Gvc1dEncoder(FORMAT, 40, threads=1)
    decoder = Gvc1dDecoder(FORMAT, GVC1D.find())
    for planes in frames:
        made = encoder.send(planes)
        found = decoder.send(made.packets[0].payload, made.packets[0].keyframe)
        assert planes_equal(found[0], made.base_frames[0])


def test_quality_trades_bytes_for_error(frames) -> None:
    sizes, errors = [], []
    for q in (20.0, 40.0, 60.0):
        data = encode(frames, q=q)
        sizes.append(len(data))
        errors.append(error(list(gvcodec.decode_planes(data, fidelity=True, threads=1)), frames))
    assert sizes == sorted(sizes, reverse=True) and errors == sorted(errors)
    assert sizes[0] > 2 * sizes[2] and errors[2] > 2 * errors[0]


def test_a_model_of_ones_own_codes_and_is_named(frames, coded, tmp_path, monkeypatch) -> None:
    tensors, metadata = read_arrays(GVC1D.find())
    tensors["transform.factors"] = tensors["transform.factors"] + 40
    mine = tmp_path / "mine.safetensors"
    save_numpy(tensors, mine, metadata)
    data = encode(frames, model=str(mine))
    header = Reader(io.BytesIO(data)).header
    assert header.base_model_id == model_id(mine) and data != coded
    mine.rename(tmp_path / "moved.safetensors")
    with pytest.raises(WrongModelError, match="is missing"):
        list(gvcodec.decode(data))
    monkeypatch.setenv(MODELS_VARIABLE, str(tmp_path))
    shown = list(gvcodec.decode_planes(data, threads=1))
    assert len(shown) == len(frames)
    (tmp_path / "moved.safetensors").rename(mine)
    assert encode(frames, model=str(mine), embed_model=True)


@pytest.mark.parametrize(
    ("base", "model", "said"),
    [
        ("gvc1d", "nowhere.safetensors", "no such model file"),
        ("gvc1d", "README.md", "not a model"),
        ("av1", "README.md", "model is for base gvc1d"),
    ],
)
def test_what_is_no_model_of_the_base_is_refused(frames, base, model, said) -> None:
    with pytest.raises((MediaError, UsageError), match=said):
        encode(frames, base=base, model=model)


def test_none_is_another_name(frames, coded) -> None:
    assert encode(frames, base="none") == coded


def test_low_delay_gives_each_packet_with_its_frame(frames) -> None:
    encoder = gvcodec.Encoder(FORMAT, gvcodec.EncoderConfig(**{**PLAIN, "low_delay": True}))
    for planes in frames:
        encoder.send_frame(planes)
        packets = iter(encoder.receive_packet, None)
        assert sum(packet.is_frame for packet in packets) == 1


@pytest.mark.parametrize("painter", ["on", "off"])
def test_frames_are_painted_or_shown_as_they_are_and_base_frames_verify(
    painter, frames, tmp_path
) -> None:
    coded = encode(frames, painter=painter)
    header = gvcodec.Reader(io.BytesIO(coded)).header
    assert header.painter_id == (model_id(PAINTER_GVC1D.find()) if painter == "on" else None)
    base = list(gvcodec.decode_planes(coded, fidelity=True, threads=1))
    shown = list(gvcodec.decode_planes(coded, threads=1))
    assert len(shown) == len(frames) and clips_equal(shown, base) == (painter == "off")
    path, out = tmp_path / "a.gvc", tmp_path / "a.mkv"
    path.write_bytes(coded)
    run("verify", path)
    kind = {"on": "painted", "off": "base"}[painter]
    assert f"{len(frames)} {kind} frames" in run("decode", path, out).err


def test_painting_it_takes_no_torch(frames, tmp_path) -> None:
    path = tmp_path / "a.gvc"
    path.write_bytes(encode(frames))
    assert "painted hash" in run_without_torch("verify", path)


def test_decoding_enters_at_any_keyframe(frames) -> None:
    data = encode(frames, keyint=3)
    whole = list(gvcodec.decode_planes(data, fidelity=True, threads=1))
    part = list(gvcodec.decode_planes(data, fidelity=True, threads=1, start=3))
    assert clips_equal(part, whole[3:])


def test_a_scene_that_returns_is_found_in_the_memory() -> None:
    """The returning frame takes less with the memory, also after two other scenes."""
    scenes = [make_clip(256, 256, 2, seed=seed) for seed in (11, 12, 13)]
    fmt = VideoFormat(256, 256, Fraction(25), Fraction(1, 25))

    def code(parts: list[list[Planes]], forget: bool) -> list[int]:
        encoder = Gvc1dEncoder(fmt, 40, threads=1)
        sizes = []
        for part in parts:
            for i, planes in enumerate(part):
                encoder._cuts.begins = lambda _, first=i == 0: first
                if forget and encoder._state is not None:
                    encoder._state.memory = []
                sizes.append(len(encoder.send(planes).packets[0].payload))
        return sizes

    for order in ((0, 1, 0), (0, 1, 2, 0)):
        parts = [scenes[k] for k in order]
        known, fresh = code(parts, False), code(parts, True)
        assert known[-2] < 0.7 * fresh[-2]


def test_contexts_agree_in_numpy_torch_and_core() -> None:
    rng = np.random.default_rng(1)
    loop = read_loop(GVC1D.find())
    level, q = 2 + 20, 40
    count = token_order.length_of(level)
    guess = pad(make_clip(WIDTH, HEIGHT, 1, seed=1)[0], (256, 256))
    last = pad(make_clip(WIDTH, HEIGHT, 1, seed=2)[0], (256, 256))
    vectors = rng.integers(-9, 9, (16, 16, 2)).astype(np.int16)
    values = rng.integers(-3, 4, (1, count)).astype(np.int32)
    state = after(None, last, values, np.zeros(1, np.int32), True)
    sides = sides_of(loop.transform, Predicted(guess, vectors), state, q, level)
    arrays = [state.values, state.running, loop.transform.magnitudes(guess, q, level - 2)]
    arrays += [exact.by_window(exact.irregularity(vectors)), exact.change_between(guess, last)]
    tensors = [torch.tensor([float(q)]), torch.ones(1), *map(torch.from_numpy, arrays)]
    theirs = context_model.make_sides(level, 1, *tensors)
    assert (theirs.numpy() == sides).all()
    seen = context_model.see(torch.from_numpy(values), theirs, level)[0].numpy()
    assert (seen == streams.contexts(sides[0], values[0], token_order.back_of(level))).all()


def test_the_integer_transform_is_the_learned_one() -> None:
    network, loop = load_network(GVC1D.find()), read_loop(GVC1D.find())
    rng = np.random.default_rng(2)
    planes, q = 30, 36
    guess = pad(make_clip(WIDTH, HEIGHT, 1, seed=4)[0], (256, 256))
    count = token_order.length_of(2 + planes)
    values = (rng.integers(-2, 3, (1, count)) * (rng.random((1, count)) < 0.05)).astype(np.int32)
    found = loop.transform.add(guess, values, q)
    y = torch.from_numpy(guess[0].astype(np.float32))[None, None]
    uv = torch.from_numpy(np.stack(guess[1:]).astype(np.float32))[None]
    step = torch.tensor([exact.STEPS[q] / 16])
    latent = torch.from_numpy(values)[None].float()
    luma, chroma = network.synthesise(latent, (y, uv), step, planes)
    # Weights of files are fp16 next to the integers.
    assert np.abs(luma[0, 0].numpy() - found[0]).max() < 2
    assert np.abs(chroma[0].numpy() - np.stack(found[1:])).max() < 2


def test_measuring_inverts_adding() -> None:
    """A picture kept as tokens comes back, to the steps of its quality."""
    transform = read_loop(GVC1D.find()).transform
    frame = pad(make_clip(256, 256, 1, seed=5)[0], (256, 256))
    state = after(None, frame, np.zeros((1, 768), np.int32), np.zeros(1, np.int32), True)
    remember(state, transform, 20)
    back = recall(state, transform, 0)
    assert np.square(back[0].astype(float) - frame[0]).mean() < 0.1 * frame[0].astype(float).var()


@pytest.mark.parametrize("shape", [(1, 1), (3, 5), (16, 16)])
def test_vectors_come_back(shape) -> None:
    field = np.random.default_rng(3).integers(-40, 40, (*shape, 2)).astype(np.int16)
    assert (motion.unpack(motion.pack(field), *shape) == field).all()
    assert motion.pack(np.zeros_like(field)) == b""


def test_other_bytes_are_no_motion() -> None:
    assert not motion.unpack(b"", 2, 3).any()
    for number in range(20):
        data = np.random.default_rng(number).bytes(40)
        with contextlib.suppress(DamagedStreamError):
            assert np.abs(motion.unpack(data, 4, 4)).max() <= 2 * motion.FARTHEST


def test_other_files_are_no_models(tmp_path) -> None:
    """Neither of base gvc1d nor of tokens; sizes that fit no network are named."""
    words, other = tmp_path / "words", tmp_path / "other.safetensors"
    words.write_text("only words")
    save_file({"a": torch.zeros(1)}, other, {"form": GVC1D.form})
    for path in (words, other):
        for load in (read_loop, load_network):
            with pytest.raises(MediaError, match="not a model of"):
                load(path)


def test_levels_are_the_shortest_prefixes() -> None:
    values = np.zeros((4, token_order.length_of(12)), np.int32)
    values[1, 3] = values[2, 100] = values[3, 768 + 5 * 256] = 1
    assert [LEVELS[n] for n in style_offsets_of(values)] == [0, 1, 2, 8]


def test_damaged_payloads_are_refused_or_decode(frames) -> None:
    made = Gvc1dEncoder(FORMAT, 40, threads=1).send(frames[0]).packets[0].payload
    rng = np.random.default_rng(4)
    refused = 0
    for _ in range(60):
        data = bytearray(made)
        kind = rng.integers(3)
        if kind == 0:
            data[rng.integers(len(data))] ^= 1 << rng.integers(8)
        elif kind == 1:
            del data[rng.integers(len(data)) :]
        else:
            data += bytes(rng.integers(0, 256, 4, dtype=np.uint8))
        decoder = Gvc1dDecoder(FORMAT, GVC1D.find())
        try:
            decoder.send(bytes(data), True)
        except DamagedStreamError:
            refused += 1
    assert refused > 30
    with pytest.raises(DamagedStreamError):
        Gvc1dDecoder(FORMAT, GVC1D.find()).send(made, False)


def cost(network: CodecNetwork, source: Planes, q: float, planes: int) -> float:
    y = torch.from_numpy(source[0].astype(np.float32))[None, None]
    uv = torch.from_numpy(np.stack(source[1:]).astype(np.float32))[None]
    with torch.no_grad():
        made = network((y, uv), None, None, torch.tensor([q]), planes)
    square = (made.y - y).square().sum() + (made.uv - uv).square().sum()
    return float(square / (0.15 * (16 * 2 ** (q / 10)) ** 2) + made.bits.sum())


@pytest.mark.parametrize("searches", [True, False])
def test_training_sees_what_files_are_made_of(frames, searches: bool) -> None:
    """Two frames: gradients reach every part, a share of the values stands for all."""
    network = copy.deepcopy(load_network(GVC1D.find())).requires_grad_(True)
    network.searches = searches
    source = [pad(planes, (256, 256)) for planes in frames[:2]]
    last, costs, bits = None, [], []
    for (y, u, v), vectors in zip(source, (None, torch.zeros(1, 16, 16, 2)), strict=True):
        planes = torch.from_numpy(y.astype(np.float32))[None, None]
        chroma = torch.from_numpy(np.stack([u, v]).astype(np.float32))[None]
        q, given = torch.tensor([40.0]), (planes, chroma)
        made = network(given, last, vectors, q, 4)
        torch.manual_seed(1)
        part = network(given, last, vectors, q, 4, share=0.5)
        assert torch.equal(part.values, made.values)
        assert part.bits.item() == pytest.approx(made.bits.item(), rel=0.3)
        costs.append((made.y - planes).square().sum() / (0.15 * 256**2 * 16**2) + made.bits.sum())
        bits.append(made.bits.item())
        last = made.last
    assert bits[1] < bits[0]
    sum(costs).backward()
    reached = {name for name, weight in network.named_parameters() if weight.grad is not None}
    for part in ("transform", "twin", "loop_filter"):
        assert any(name.startswith(part) for name in reached), part


def test_the_shipped_transform_earns_more_than_its_beginning() -> None:
    """And zeroing the analysis leaves nothing: the tokens come from it alone."""
    source = pad(make_clip(256, 256, 1, seed=6)[0], (256, 256))
    network = CodecNetwork()
    network.load_state_dict(load_network(GVC1D.find()).state_dict())
    whole = cost(network, source, 40.0, 64)
    kept = {k: v.clone() for k, v in network.transform.state_dict().items()}
    beginning = Transform().state_dict()
    for name in ("analysis_y", "analysis_uv", "synthesis_y", "synthesis_uv"):
        network.transform.state_dict()[name].copy_(beginning[name])
    begun = cost(network, source, 40.0, 64)
    network.transform.load_state_dict(kept)
    with torch.no_grad():
        network.transform.analysis_y.zero_()
        network.transform.analysis_uv.zero_()
    network.uses_analyst = False
    assert whole < begun < cost(network, source, 40.0, 64)
