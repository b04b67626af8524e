"""Files in the paper's form of GVC1D: exact tokens, inexact pictures, damage, refusals."""

import hashlib
import io
import resource
from dataclasses import replace
from fractions import Fraction

import numpy as np
import pytest

import gvcodec
from gvcodec import models
from gvcodec.bitstream import Reader, header
from gvcodec.errors import (
    DamagedStreamError,
    FormatVersionError,
    MediaError,
    NewerModelError,
    UsageError,
    VerificationError,
    WrongModelError,
)
from gvcodec.gvc1d.paper import loop as paper
from gvcodec.gvc1d.paper.payload import Frame, TokenCoder
from gvcodec.gvc1d.paper.token_counts import CONTEXTS, Counts, Tables, residuals_of
from gvcodec.gvc1d.paper.token_counts import symbols_of as fold
from gvcodec.gvc1d.paper.weights import read_tables
from gvcodec.models import GVC1D, model_id
from gvcodec.types import Planes, VideoFormat, chroma_shape
from tests.clips import make_clip
from tests.conftest import run, run_without_torch, stream_of
from tests.gvc1d.test_paper_form import WEIGHTS

FORMAT = VideoFormat(96, 64, Fraction(25), Fraction(1, 25))


def encode(frames: list[Planes], fmt: VideoFormat = FORMAT, **options: object) -> bytes:
    settings = {"base": "gvc1d", "model": str(WEIGHTS), "q": 40.0, "threads": 1}
    return gvcodec.encode(frames, frame_rate=25, format=fmt, **{**settings, **options})


@pytest.fixture(scope="module")
def frames() -> list[Planes]:
    return make_clip(96, 64, 5, seed=3)


@pytest.fixture(scope="module")
def coded(frames) -> bytes:
    return encode(frames)


@pytest.fixture(scope="module")
def stream(coded, tmp_path_factory):
    path = tmp_path_factory.mktemp("paper") / "a.gvc"
    path.write_bytes(coded)
    return path


def shown(data: bytes) -> list[Planes]:
    """The process knows the weights: it has encoded with them."""
    return list(gvcodec.decode_planes(data, threads=1))


def random_tokens(windows: int, scale: float, seed: int) -> np.ndarray:
    drawn = np.random.default_rng(seed).laplace(0, scale, (windows, 64, 16))
    return np.rint(drawn).clip(-1023, 1023).astype(np.int32)


@pytest.fixture(scope="module")
def tables() -> Tables:
    return read_tables(WEIGHTS)


def test_a_file_says_what_it_is_and_shows_the_encoder_s_picture(frames, coded, stream):
    found = Reader(io.BytesIO(coded)).header
    assert found.paper_form and found.needs == (1, 1) and found.painter_id is None
    assert found.base_model_id == model_id(WEIGHTS)
    pictures = shown(coded)
    assert len(pictures) == len(frames)
    error = np.mean([np.square(a[0] - b[0].astype(float)).mean() for a, b in zip(pictures, frames)])
    spread = np.mean([b[0].astype(float).var() for b in frames])
    assert error < spread  # nearer than a flat picture
    facts = gvcodec.info(coded)
    assert (facts.base_form, facts.tokens) == ("paper", 64 * len(frames))
    assert 0 < facts.token_bytes < facts.file_bytes
    said = run("info", stream).out
    assert "the paper's form, 64 tokens a frame" in said and "differ in rounding" in said


def test_verify_says_that_tokens_were_checked_and_no_picture(frames, stream, monkeypatch):
    said = run("verify", stream, "--model", WEIGHTS).out
    assert "hash of the tokens" in said and "none was compared" in said
    assert "base hash" not in said
    plain = paper._Loop.show

    def otherwise(self, frame):
        y, u, v = plain(self, frame)
        return y ^ 1, u, v

    # Another machine rounds otherwise: tokens are right, as before.
    monkeypatch.setattr(paper._Loop, "show", otherwise)
    assert gvcodec.verify(stream, models=[WEIGHTS]).exact is False


def test_other_tokens_than_the_encoder_s_are_found(coded) -> None:
    reader = Reader(io.BytesIO(coded))
    packets = list(reader.packets())
    changed = stream_of(reader.header, packets[:-2] + packets[-1:], reader.base_hash)
    with pytest.raises(VerificationError, match="decoded tokens differ"):
        shown(changed)


@pytest.mark.parametrize(("width", "height"), [(17, 33), (97, 63), (258, 300), (512, 256)])
def test_any_size_is_coded(width: int, height: int) -> None:
    rng = np.random.default_rng(width)
    shapes = (height, width), *[chroma_shape(height, width)] * 2
    clip = [tuple(rng.integers(0, 1024, s).astype(np.uint16) for s in shapes) for _ in range(2)]
    fmt = VideoFormat(width, height, Fraction(25), Fraction(1, 25), 10)
    pictures = shown(encode(clip, fmt))
    assert [plane.shape for plane in pictures[1]] == list(shapes)


def test_a_picture_that_stays_costs_little(frames) -> None:
    packets = [p for p in Reader(io.BytesIO(encode([frames[0]] * 4))).packets() if p.is_frame]
    key, *later = (len(packet.payload) for packet in packets)
    assert max(later) < key / 2
    assert [packet.payload[0] for packet in packets] == [0, 1, 1, 1]  # flags: context


def test_pieces_are_cut_and_joined(frames, tmp_path) -> None:
    source, first, last, both = (tmp_path / f"{name}.gvc" for name in "abcd")
    source.write_bytes(encode(frames, keyint=2))
    run("cut", source, first, "--to", "0.08")
    run("cut", source, last, "--from", "0.08")
    run("cat", first, last, "-o", both)
    run("cut", source, exact := tmp_path / "e.gvc", "--from", "0.04", "--exact")
    assert gvcodec.verify(exact).frames == len(frames) - 1
    verified = gvcodec.verify(both, models=[WEIGHTS])
    assert verified.frames == len(frames)
    assert verified.base_hash == gvcodec.info(source).base_hash


def test_a_model_that_is_not_here_is_named_and_an_embedded_one_serves(
    frames, coded, monkeypatch
) -> None:
    whole = encode(frames[:1], embed_model=True)
    monkeypatch.setattr(models, "_registered", {})
    with pytest.raises(WrongModelError, match=rf"{model_id(WEIGHTS).hex()} is missing.*--model"):
        shown(coded)
    assert len(shown(whole)) == 1


def test_every_command_that_decodes_takes_the_model(frames, coded, tmp_path, monkeypatch) -> None:
    monkeypatch.setattr(models, "_registered", {})
    models._embedded_folder.cache_clear()
    source, out = tmp_path / "a.gvc", tmp_path / "b.gvc"
    source.write_bytes(coded)
    commands = (
        ("cut", source, out, "--from", "0.08", "--exact"),
        ("cat", source, source, "-o", out),
        ("repair", source, out),
        ("summarize", source, "-o", out),
        ("decode", source, tmp_path / "b.y4m", "--ignore-errors"),
    )
    for words in commands:
        run(*words, code=4)
        run(*words, "--model", WEIGHTS)
        out.unlink(missing_ok=True)
    assert len(list(gvcodec.decode_planes(coded, models=[WEIGHTS]))) == len(frames)


def test_another_model_than_the_file_s_is_refused(coded) -> None:
    reader = Reader(io.BytesIO(coded))
    packets = list(reader.packets())
    wrong = replace(reader.header, base_model_id=model_id(GVC1D.find()))
    with pytest.raises(NewerModelError, match="form 'gvc1d-5', this decoder's is gvc1d-paper-1"):
        shown(stream_of(wrong, packets))
    wrong = replace(reader.header, paper_form=False)
    with pytest.raises(NewerModelError, match="form 'gvc1d-paper-1', this decoder's is gvc1d-5"):
        shown(stream_of(wrong, packets))


def test_weights_that_are_damaged_are_refused(tmp_path) -> None:
    from safetensors.torch import load_file, save_file

    tensors = load_file(WEIGHTS)
    broken = tmp_path / "broken.safetensors"
    for name, value in (
        ("tokens.usual", tensors["tokens.usual"] * 0 + 1024),
        ("tokens.distance", tensors["tokens.distance"][:2]),
        ("decoder.conv_out.bias", tensors["decoder.conv_out.bias"][:5]),
    ):
        save_file(tensors | {name: value}, broken, {"form": "gvc1d-paper-1"})
        with pytest.raises(MediaError, match="not a model of GVC1D's paper form"):
            encode(make_clip(96, 64, 1), model=str(broken))


def test_a_network_is_as_wide_and_deep_as_its_file(tmp_path) -> None:
    """A model of another size than the shipped one codes; one beyond all limits is refused."""
    import torch
    from safetensors.torch import load_file, save_file

    from gvcodec.gvc1d.paper.sizes import Depth, Sizes
    from training.gvc1d.paper_form import PaperForm

    shipped = load_file(WEIGHTS)
    tables = {name: shipped[name] for name in ("tokens.usual", "tokens.distance")}
    form = PaperForm(Sizes(Depth(64, 1), Depth(128, 2)))
    tensors = {name: value.half() for name, value in form.state_dict().items()} | tables
    path = tmp_path / "other.safetensors"
    save_file(tensors, path, {"form": "gvc1d-paper-1"})
    source = make_clip(96, 64, 2)
    data = encode(source, model=str(path))
    assert len(list(gvcodec.decode_planes(data, models=[path]))) == 2
    wide = tensors | {"decoder.ln_post.weight": torch.zeros(4096, dtype=torch.half)}
    path = tmp_path / "wide.safetensors"
    save_file(wide, path, {"form": "gvc1d-paper-1"})
    with pytest.raises(MediaError, match="decoder of 2 layers of width 4096"):
        encode(source, model=str(path))
    # 10 GB by its names, kilobytes of tensors.
    hollow = {f"encoder.transformer.{n}.ln_1.weight": torch.zeros(1).half() for n in range(48)}
    hollow |= tensors | {"encoder.ln_post.weight": torch.zeros(2048, dtype=torch.half)}
    path = tmp_path / "hollow.safetensors"
    save_file(hollow, path, {"form": "gvc1d-paper-1"})
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    with pytest.raises(MediaError, match="not a model of GVC1D's paper form"):
        encode(source, model=str(path))
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before < 500_000  # KiB


def test_what_cannot_be_is_refused(frames, coded, stream, monkeypatch) -> None:
    with pytest.raises(UsageError, match="model is for base gvc1d"):
        encode(frames, base="av1")
    with pytest.raises(UsageError, match=r"the paper's form needs format 1\.1, which 1\.0 is not"):
        encode(frames, file_format="1.0")
    found = Reader(io.BytesIO(coded)).header
    for change in ({"base": "av1", "base_model_id": None}, {"painter_id": bytes(8)}):
        with pytest.raises(UsageError, match="of base gvc1d, without a painter"):
            replace(found, **change)
    monkeypatch.setattr(header, "VERSION", (1, 0))
    with pytest.raises(FormatVersionError, match=r"needs format 1\.1"):
        Reader(io.BytesIO(coded))


def test_without_torch_it_is_described_and_says_what_to_install(stream, tmp_path) -> None:
    assert "the paper's form" in run_without_torch("info", stream)
    said = run_without_torch("decode", stream, tmp_path / "a.mkv", "--model", WEIGHTS, code=2)
    assert "paper form decodes with torch (pip install 'gvcodec[fit]'" in said
    words = ["encode", "clip.mp4", tmp_path / "b.gvc", "--base", "gvc1d", "--model", WEIGHTS]
    (tmp_path / "clip.y4m").write_bytes(b"YUV4MPEG2 W16 H16 F25:1\nFRAME\n" + bytes(384))
    words[1] = tmp_path / "clip.y4m"
    assert "paper form encodes with torch" in run_without_torch(*words, code=2)


def test_tokens_come_back_whatever_they_are(tables) -> None:
    coder, reader = (TokenCoder(tables, 3) for _ in range(2))
    for number, scale in enumerate((0.3, 4, 4, 900, 0.1)):
        frame = Frame((0, 21, 40, 63, 5)[number], number > 1, random_tokens(3, scale, number))
        payload = coder.encode(frame)
        found = reader.decode(payload)
        assert found[:2] == frame[:2] and np.array_equal(found.tokens, frame.tokens)
    again = Frame(5, True, frame.tokens)
    assert len(coder.encode(again)) < len(payload) / 2


def test_the_bytes_of_tokens_stay_as_they_are() -> None:
    """Files name weights, not releases: these bytes are the format."""
    places = np.arange(64 * 64 * 16, dtype=np.int32).reshape(64, 64, 16)
    coder = TokenCoder(Tables(places % 13 - 6, places % 300), 2)
    made = []
    for q, context in ((7, False), (50, True)):
        tokens = places[:2] * (q + 1) * 7919 % 23 - 11
        made.append(coder.encode(Frame(q, context, tokens)))
    assert [len(payload) for payload in made] == [1712, 1783]
    assert hashlib.sha256(b"".join(made)).hexdigest()[:16] == "407b1c5895ad93d5"


def test_counts_are_tables_and_residuals_fold() -> None:
    counts = Counts()
    for _ in range(2000):
        counts.add(np.full(9, 17, np.int32), np.full(9, 3, np.int32))
    edges = counts.edges()
    assert edges.shape == (CONTEXTS, 17) and (edges[:, -1] == 65536).all()
    assert (np.diff(edges.astype(np.int64)) >= 1).all()
    assert edges[17, 4] - edges[17, 3] > 60000
    values = np.arange(-7, 8)
    assert np.array_equal(residuals_of(fold(values)), values)
    assert fold(np.array([-8, 8, 500])).tolist() == [15, 15, 15]


def test_damaged_payloads_are_damaged_and_nothing_else(tables) -> None:
    rng = np.random.default_rng(0)
    coder = TokenCoder(tables, 2)
    frames = [Frame(30, n > 0, random_tokens(2, 3, n)) for n in range(2)]
    payloads = [coder.encode(frame) for frame in frames]
    refused = 0
    for trial in range(200):
        reader, at = TokenCoder(tables, 2), trial % 2
        if at:
            reader.decode(payloads[0])
        data = bytearray(payloads[at])
        if trial % 3:
            for _ in range(trial % 3):
                data[rng.integers(len(data))] ^= 1 << rng.integers(8)
        else:
            data = data[: rng.integers(len(data))]
        try:
            found = reader.decode(bytes(data))
        except DamagedStreamError:
            refused += 1
        else:
            assert np.abs(found.tokens).max() <= 1023
    assert refused > 150


@pytest.mark.parametrize(
    ("payload", "said"),
    [
        (b"", "ends early"),
        (b"\x02\x05\x00", "flags 0x2"),
        (b"\x00\x40\x00", "q 64"),
        (b"\x01\x05\x00", "context in a keyframe"),
        (b"\x00\x05\xff\xff\xff\xff\xff\xff\xff\xff\x7f", "is above"),
        (b"\x00\x05\xff\xff\x01abc", "ends early"),
        (b"\x00\x05\x03abc", "do not end"),
    ],
)
def test_hostile_heads_are_refused(payload: bytes, said: str, tables) -> None:
    with pytest.raises(DamagedStreamError, match=said):
        TokenCoder(tables, 4).decode(payload)


def test_far_residuals_are_bounded(tables) -> None:
    tokens = np.broadcast_to(tables.usual[30], (1, 64, 16)).copy()
    tokens[0, 63, 15] += 100
    payload = TokenCoder(tables, 1).encode(Frame(30, False, tokens))
    assert payload[-2:] == bytes([0xC8, 0x01])  # svar 100
    for end, said in (
        (b"\x0e", "far residual is 7"),
        (b"\xfe\x1f", "far residual is 2047"),
        (b"\xc8\x01\x00", "bytes after its end"),
        (b"", "ends early"),
        (b"\xf0\x1f", "beyond"),
    ):
        with pytest.raises(DamagedStreamError, match=said):
            TokenCoder(tables, 1).decode(payload[:-2] + end)
