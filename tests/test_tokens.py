"""1-D tokens and memory: windows, coding, what reaches the picture, and what training does with them."""

import dataclasses
import io
import sys
import types
from fractions import Fraction
from pathlib import Path

import numpy as np
import pytest

torch = pytest.importorskip("torch")

from clips import make_clip
from hypothesis import given, settings
from hypothesis import strategies as st
from test_cli import gvcodec
from test_rate import fit, opener, run, unwatched

from gvcodec.appearance.checkpoint import save_checkpoint
from gvcodec.appearance.painter import Painter, TokenMaker
from gvcodec.appearance.renderer import RendererConfig, new_renderer
from gvcodec.appearance.token_coder import TokenCoder
from gvcodec.appearance.tokens import LIMIT, from_windows, quantise, to_windows, window_grid
from gvcodec.bitstream import TOKEN_PERIOD, Kind, Packet, Reader, Salvage, SequenceHeader, Writer
from gvcodec.decoder import Decoder
from gvcodec.encoder import Encoder, EncoderConfig
from gvcodec.errors import DamagedStreamError, UsageError
from gvcodec.types import Planes, VideoFormat

FORMAT = VideoFormat(310, 118, Fraction(25), Fraction(1, 25))
SHAPE = (1, 2, 4, 3)


def picture(seed: int) -> Planes:
    rng = np.random.default_rng(seed)
    luma = rng.normal(500, 60, (FORMAT.height, FORMAT.width)).clip(0, 1023)
    chroma = [rng.normal(512, 20, (FORMAT.height // 2, FORMAT.width // 2)).clip(0, 1023) for _ in range(2)]
    return luma.astype(np.uint16), chroma[0].astype(np.uint16), chroma[1].astype(np.uint16)


@pytest.fixture(scope="module", params=[0, 2], ids=["no memory", "memory"])
def model(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, int]:
    """A renderer with tokens whose zero layers are not zero, and its number of memory vectors."""
    config = RendererConfig(16 + 16, 2, 8, 8, tokens=4, token_channels=3, token_width=32, memory=request.param)
    renderer = new_renderer(config, 1)
    with torch.no_grad():
        for weight in (renderer.head.weight, renderer.reader.read.out.weight, renderer.encoder.out.weight):
            weight.copy_(0.3 * torch.randn(weight.shape, generator=torch.Generator().manual_seed(2)))
    path = tmp_path_factory.mktemp("model") / "model.safetensors"
    save_checkpoint(renderer, path)
    return path, request.param


@given(st.integers(1, 70), st.integers(1, 70), st.integers(1, 40))
@settings(max_examples=30, deadline=None)
def test_windows_and_back(height: int, width: int, side: int) -> None:
    x = torch.arange(2 * 3 * height * width).float().reshape(2, 3, height, width) + 1
    windows, inside = to_windows(x, side)
    assert windows.shape[:3] == (2, -(-height // side), -(-width // side))
    assert torch.equal(from_windows(windows, side, height, width), x)
    assert inside.sum() == height * width and (windows[:, ~inside] == 0).all()


@given(st.lists(st.lists(st.integers(-LIMIT, LIMIT), min_size=24, max_size=24), min_size=1, max_size=4))
@settings(max_examples=50, deadline=None)
@pytest.mark.parametrize("parts", [{}, {"memory": False}, {"memory": False, "neighbour": False}])
def test_coded_tokens_come_back(parts: dict[str, bool], frames: list[list[int]]) -> None:
    sender, receiver = TokenCoder(SHAPE, LIMIT, **parts), TokenCoder(SHAPE, LIMIT, **parts)
    for frame in frames:
        values = np.array(frame).reshape(SHAPE)
        decoded, counts = receiver.unpack(sender.pack(values))
        assert np.array_equal(decoded, values)
        for window, count in zip(values.reshape(2, 4, 3), counts.ravel(), strict=True):
            assert not window[count:].any() and (count == 0 or window[count - 1].any())


def test_memory_tells_places_apart() -> None:
    """Places of one class, of which the same ones are loud in every frame."""
    rng = np.random.default_rng(0)
    loud = rng.random((1, 1, 1, 64)) < 0.2
    frames = [loud * rng.choice([-2, -1, 1, 2], loud.shape) for _ in range(40)]
    plain, remembering = (TokenCoder((1, 1, 1, 64), LIMIT, memory=memory) for memory in (False, True))
    assert sum(len(remembering.pack(v)) for v in frames) < 0.8 * sum(len(plain.pack(v)) for v in frames)


def test_statistics_of_a_gop_are_learned() -> None:
    coder, values = TokenCoder(SHAPE, LIMIT), np.tile([[3, 0, -1]], (1, 2, 4, 1))
    sizes = [len(coder.pack(values)) for _ in range(40)]
    assert sizes[-1] < 0.6 * sizes[0]


@given(st.binary(max_size=40))
@settings(max_examples=200, deadline=None)
def test_any_bytes_are_tokens_or_refused(data: bytes) -> None:
    try:
        values, counts = TokenCoder(SHAPE, LIMIT).unpack(data)
    except DamagedStreamError:
        return
    assert np.abs(values).max() <= LIMIT and counts.max() <= 4


def test_quantised_values_are_whole_and_let_gradients_through() -> None:
    x = torch.tensor([0.4, 1.6, -99.0], requires_grad=True)
    y = quantise(x)
    y.sum().backward()
    assert y.tolist() == [0, 2, -LIMIT] and x.grad.tolist() == [1, 1, 1]


def test_tokens_reach_their_frame_and_memory_the_next(model: tuple[Path, int]) -> None:
    path, memory = model
    loops = [picture(0)] * 3
    maker = TokenMaker(FORMAT, path)
    maker.start_gop()
    tokens = maker.make(picture(1), loops[0])
    painter = Painter(FORMAT, "av1", Fraction(1), 40, checkpoint=path, threads=1)

    def paint(*sent: bytes | None) -> list[np.ndarray]:
        painter.start_gop(None)
        return [painter.paint(loop, t)[0] for loop, t in zip(loops, sent, strict=True)]

    plain, told = paint(None, None, None), paint(tokens, None, None)
    assert not np.array_equal(plain[0], told[0])
    if memory:
        assert not np.array_equal(plain[1], told[1])
    # A new GOP has forgotten everything, the statistics of the coder too.
    assert all(np.array_equal(a, b) for a, b in zip(told, paint(tokens, None, None), strict=True))
    assert all(np.array_equal(a, b) for a, b in zip(plain, paint(None, None, None), strict=True))


def test_a_window_hears_its_own_tokens_only(model: tuple[Path, int]) -> None:
    path, _ = model
    painter = Painter(FORMAT, "av1", Fraction(1), 40, checkpoint=path, threads=1)
    assert window_grid(FORMAT.height, FORMAT.width) == (1, 2)
    values = np.zeros((1, 2, 4, 3), np.int64)

    def paint() -> np.ndarray:
        painter.start_gop(None)
        return painter.paint(picture(0), TokenCoder(SHAPE, LIMIT).pack(values))[0]

    before = paint()
    values[0, 1] = 9
    changed = (paint() != before).nonzero()[1]
    # The trunk's 5×5 filters after the reading carry a little beyond the border.
    assert changed.max() > 290 and changed.min() >= 256 - 64


def test_a_renderer_without_tokens_says_so(tmp_path: Path) -> None:
    save_checkpoint(new_renderer(RendererConfig(16 + 16, 1, 8, 8)), tmp_path / "plain.safetensors")
    with pytest.raises(UsageError, match="knows no tokens"):
        TokenMaker(FORMAT, tmp_path / "plain.safetensors")
    painter = Painter(FORMAT, "av1", Fraction(1), 40, checkpoint=tmp_path / "plain.safetensors", threads=1)
    painter.start_gop(None)
    with pytest.raises(DamagedStreamError):
        painter.paint(picture(0), b"\1")


def test_compressai_contract(model: tuple[Path, int], monkeypatch: pytest.MonkeyPatch) -> None:
    from gvcodec.appearance.compressai import AppearanceModel, register

    net = AppearanceModel.load(model[0]).eval()
    x = torch.rand(2, 3, 96, 272, generator=torch.Generator().manual_seed(0))
    loop = torch.nn.functional.avg_pool2d(torch.nn.functional.pad(x, (2, 2, 2, 2), mode="replicate"), 5, 1)
    out = net(x, loop)
    likelihoods = out["likelihoods"]["tokens"]
    assert out["x_hat"].shape == x.shape and likelihoods.shape == (2, 1, 2, 4, 3)
    assert (likelihoods > 0).all() and (likelihoods <= 1).all() and net.update() is False
    coded = net.compress(x, loop)
    decoded = net.decompress(coded["strings"], coded["shape"], loop)["x_hat"]
    assert torch.allclose(decoded, out["x_hat"].clamp(0, 1), atol=1e-5)
    with pytest.raises(UsageError, match="multiples of 16"):
        net(x[..., :50], loop[..., :50])
    with pytest.raises(UsageError, match="belong together"):
        net.decompress(coded["strings"], (3, 3), loop)

    known = {}
    registry = types.ModuleType("compressai.registry")
    registry.register_model = lambda name: lambda cls: known.setdefault(name, cls)
    monkeypatch.setitem(sys.modules, "compressai", types.ModuleType("compressai"))
    monkeypatch.setitem(sys.modules, "compressai.registry", registry)
    assert register() and known == {"gvcodec-appearance": AppearanceModel}


def encoded(planes: list[Planes], path: Path, **options: object) -> bytes:
    """A stream whose renderer is the model at `path`."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("GVCODEC_CHECKPOINT", str(path))
        encoder = Encoder(FORMAT, EncoderConfig(tune=0, threads=1, **options))  # type: ignore[arg-type]
        stream = io.BytesIO()
        writer = Writer(stream, encoder.header)
        for frame in planes:
            encoder.send_frame(frame)
            while (packet := encoder.receive_packet()) is not None:
                writer.write(packet)
        encoder.flush()
        while (packet := encoder.receive_packet()) is not None:
            writer.write(packet)
        writer.finish(encoder.loop_hash)
    return stream.getvalue()


def painted(data: bytes, path: Path, low_delay: bool = False) -> list[Planes]:
    reader = Reader(io.BytesIO(data))
    decoder = Decoder(reader.header, threads=1, models=[path], low_delay=low_delay)
    frames = [frame.planes for frame in decoder.frames_of(reader.packets())]
    decoder.verify(reader.loop_hash)
    return frames


def eight_bit_clip(frames: int) -> list[Planes]:
    return [(y & 0x3FC, u & 0x3FC, v & 0x3FC) for y, u, v in make_clip(FORMAT.width, FORMAT.height, frames)]


def by_hand(data: bytes, planes: list[Planes], path: Path, keyint: int) -> list[Planes]:
    """Tokens and painting of a stream's loop frames, GOP by GOP, without packets."""
    reader = Reader(io.BytesIO(data))
    header = reader.header
    loops = [frame.loop for frame in Decoder(header, fidelity=True, threads=1).frames_of(reader.packets())]
    painter, maker = Painter(FORMAT, header.base, header.scale, header.q, path, 1), TokenMaker(FORMAT, path)
    shown = []
    for number, (loop, source) in enumerate(zip(loops, planes, strict=True)):
        if number % keyint == 0:
            painter.start_gop(None)
            maker.start_gop()
        shown.append(painter.paint(loop, None if number % keyint % TOKEN_PERIOD else maker.make(source, loop)))
    return shown


def same(a: list[Planes], b: list[Planes]) -> bool:
    return len(a) == len(b) and all(
        np.array_equal(x, y) for f, g in zip(a, b, strict=True) for x, y in zip(f, g, strict=True)
    )


@pytest.mark.parametrize(("base", "low_delay"), [("klt", False), ("klt", True), ("av1", False), ("hevc", False)])
def test_tokens_travel_in_streams(model: tuple[Path, int], base: str, low_delay: bool) -> None:
    planes, (path, _) = eight_bit_clip(23), model
    data = encoded(planes, path, base=base, low_delay=low_delay, keyint=10, base_q=45)
    reader = Reader(io.BytesIO(data))
    kinds = [packet.kind for packet in reader.packets()]
    assert reader.header.tokens and kinds.count(Kind.TOKENS) == 2 + 2 + 1
    if low_delay:
        assert kinds[:2] == [Kind.KEY, Kind.TOKENS], "with the frame itself"
    shown = painted(data, path, low_delay)
    assert same(shown, by_hand(data, planes, path, 10))
    assert not same(shown, [f.loop for f in Decoder(reader.header, True).frames_of(Reader(io.BytesIO(data)).packets())])
    first, packets = Reader(io.BytesIO(data)).seek(13)
    decoder = Decoder(reader.header, threads=1, models=[path])
    decoder.restart(first)
    assert same([frame.planes for frame in decoder.frames_of(packets)], shown[first:])


def test_streams_with_tokens_are_cut_and_joined(model: tuple[Path, int], tmp_path: Path) -> None:
    planes, (path, _) = make_clip(FORMAT.width, FORMAT.height, 20), model
    (tmp_path / "a.bin").write_bytes(encoded(planes, path, base="klt", keyint=10, base_q=45))
    gvcodec("cut", tmp_path / "a.bin", tmp_path / "1.bin", "--to", "0.4")
    gvcodec("cut", tmp_path / "a.bin", tmp_path / "2.bin", "--from", "0.4")
    gvcodec("cat", tmp_path / "1.bin", tmp_path / "2.bin", "-o", tmp_path / "b.bin")
    assert (tmp_path / "b.bin").read_bytes() == (tmp_path / "a.bin").read_bytes()


def test_lost_tokens_are_refused_or_done_without(model: tuple[Path, int]) -> None:
    planes, (path, _) = make_clip(FORMAT.width, FORMAT.height, 20), model
    data = encoded(planes, path, base="klt", keyint=10, base_q=45)
    whole = painted(data, path)
    header = Reader(io.BytesIO(data)).header
    packets = list(Reader(io.BytesIO(data)).packets())
    first = next(n for n, p in enumerate(packets) if p.kind is Kind.TOKENS)
    for broken in (
        packets[:first] + packets[first + 1 :],
        packets[:first] + [Packet(Kind.TOKENS, b"\0" + b"\xff" * 9)] + packets[first + 1 :],
        packets[: first + 1] + packets[first:],
    ):
        stream = io.BytesIO()
        writer = Writer(stream, header)
        for packet in broken:
            writer.write(packet)
        writer.finish(Reader(io.BytesIO(data)).loop_hash or bytes(8))
        with pytest.raises(DamagedStreamError, match="token|coded value"):
            painted(stream.getvalue(), path)
        stream.seek(0)
        salvage = Salvage(stream)
        decoder = Decoder(header, threads=1, models=[path])
        frames = [frame.planes for frame in decoder.frames_despite(salvage)]
        assert len(frames) == 20 and decoder.losses and not decoder.concealed
        assert same(frames[10:], whole[10:]), "the next GOP is whole"


def test_tokens_fit_the_header(model: tuple[Path, int]) -> None:
    data = encoded([picture(0)], model[0], base="klt", base_q=45)
    header = Reader(io.BytesIO(data)).header
    assert SequenceHeader.read(io.BytesIO(header.pack()))[0] == header
    with pytest.raises(UsageError):
        dataclasses.replace(header, appearance_id=None)
    stream = io.BytesIO()
    writer = Writer(stream, dataclasses.replace(header, tokens=False))
    for packet in Reader(io.BytesIO(data)).packets():
        writer.write(packet)
    writer.finish(bytes(8))
    with pytest.raises(DamagedStreamError, match="tokens"):
        list(Reader(io.BytesIO(stream.getvalue())).packets())


@pytest.mark.parametrize("base", ["klt", "av1"])
def test_tokens_count_in_a_size(model: tuple[Path, int], base: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("GVCODEC_CHECKPOINT", str(model[0]))
    planes = make_clip(FORMAT.width, FORMAT.height, 16)
    config = EncoderConfig(base=base, tune=0, keyint=8, threads=1)
    plain = run(opener(planes), dataclasses.replace(config, base_q=40), "", unwatched, len(planes))
    limit = 0.8 * len(plain.data)
    fitted = fit(planes, config, size=limit)
    assert len(fitted.coded.data) <= limit and Reader(io.BytesIO(fitted.coded.data)).header.tokens
