"""Motion without a base, and tokens through streams."""

import io
from dataclasses import replace
from fractions import Fraction

import numpy as np
import pytest

from gvcodec.bitstream import Kind, Loss, Packet, Reader, Salvage, SequenceHeader
from gvcodec.codec.gops import GopSource
from gvcodec.errors import DamagedStreamError
from gvcodec.gvc1d import motion
from gvcodec.gvc1d.entropy_model import EntropyModel, Memory
from gvcodec.gvc1d.payload import Latent, pack, unpack
from gvcodec.types import VideoFormat
from tests.conftest import packets_in, stream_of
from tests.networks import make_latent_network

ROWS, COLUMNS = 5, 7


def make_field(seed: int, rows: int = ROWS, columns: int = COLUMNS) -> motion.Vectors:
    """Mostly one vector, with blocks of their own."""
    rng = np.random.default_rng(seed)
    field = np.broadcast_to(rng.integers(-30, 30, (2, 1, 1)), (2, rows, columns))
    own = rng.integers(-motion.FARTHEST, motion.FARTHEST + 1, field.shape)
    return np.where(rng.random((rows, columns)) < 0.2, own, field).astype(np.int16)


@pytest.mark.parametrize("grid", [(1, 1), (1, 9), (6, 1), (ROWS, COLUMNS)])
def test_fields_read_back_as_they_were_written(grid: tuple[int, int]) -> None:
    for seed in range(8):
        field = make_field(seed, *grid)
        assert (motion.unpack(motion.pack(field), *grid) == field).all()


def test_motion_that_is_alike_takes_few_bytes() -> None:
    assert motion.pack(None) == b"" and motion.unpack(b"", ROWS, COLUMNS) is None
    assert motion.pack(np.zeros((2, 34, 60), np.int16)) == b""
    pan = np.full((2, 34, 60), 11, np.int16)
    assert len(motion.pack(pan)) < 8
    other = pan.copy()
    other[:, 9, 9] = -40
    assert len(motion.pack(pan)) < len(motion.pack(other)) < 30


def test_packets_without_a_base_hold_motion() -> None:
    grid = {"rows": 1, "columns": 2, "tokens": 8}
    bare = EntropyModel(make_latent_network(), **grid, has_base=False, blocks=(ROWS, COLUMNS))
    memory = Memory.empty(2, 8)
    counts = np.full(2, 3, np.uint8)
    still = Latent(1, 0, counts, memory.values)
    moved = still._replace(motion=make_field(1))
    for latent in (moved, moved._replace(counts=0 * counts)):
        found = unpack(pack(latent, bare, memory), bare, memory)
        assert (found.motion == moved.motion).all() and (found.counts == latent.counts).all()
    # A frame at rest has one byte more than one over a base.
    based = EntropyModel(make_latent_network(), **grid, has_base=False)
    assert len(pack(still, bare, memory)) == len(pack(still, based, memory)) + 1
    assert unpack(pack(still, bare, memory), bare, memory).motion is None
    with pytest.raises(DamagedStreamError, match="ends early"):
        unpack(bytes([1, 0, 9, 1]), bare, memory)
    with pytest.raises(DamagedStreamError, match="impossible motion"):
        motion.unpack(b"\xff" * 9, ROWS, COLUMNS)


def test_a_scene_that_begins_knows_of_no_tokens_before() -> None:
    bare = EntropyModel(
        make_latent_network(), 1, 2, 8, has_base=False, blocks=(ROWS, COLUMNS), phases=4
    )
    values = np.random.default_rng(3).integers(-3, 4, (2, 8, 16)).astype(np.int16)
    first = Latent(1, 0, np.full(2, 8, np.uint8), values)
    memory, fresh = first.remember(Memory.empty(2, 8)), Memory.empty(2, 8)
    cut = first._replace(cut=True, before=(values,))
    payload = pack(cut, bare, memory)
    assert payload == pack(cut, bare, fresh) != pack(cut._replace(cut=False), bare, memory)
    found = unpack(payload, bare, memory)
    assert found.cut and (found.values == values).all() and len(found.before) == 1
    assert found.remember(memory).age == 2 == found.remember(fresh).age


def test_vectors_cover_whole_windows() -> None:
    field = make_field(2)
    fine = motion.spread(field, 256, 256)
    assert fine.shape == (2, 16, 16)
    assert (fine[:, :10:2, :14:2] == field).all() and (fine[:, 1:10:2, 1:14:2] == field).all()
    assert (fine[:, 10:] == fine[:, 9:10]).all() and (fine[..., 14:] == fine[..., 13:14]).all()
    assert motion.spread(field, 128, 192).shape == (2, 8, 12)


def test_the_encoder_sends_what_pays() -> None:
    """A texture that moves by (3, -5) with a part at rest is found; noise is not followed."""
    torch = pytest.importorskip("torch")
    rng = np.random.default_rng(4)
    wide = rng.integers(0, 256, (160, 160)).astype(np.float32) / 255
    before, now = wide[16:144, 16:144], wide[19:147, 11:139].copy()
    now[:64, :64] = before[:64, :64]

    def luma(picture: np.ndarray):
        return torch.from_numpy(picture.copy())[None, None]

    found = np.zeros((2, 8, 8), np.int16)
    found[:, :, :] = np.array([3, -5])[:, None, None]
    found[:, :4, :4] = 0
    chosen = motion.choose(found, luma(now), luma(before), (4, 4))
    assert chosen is not None and (motion.spread(chosen, 128, 128) == found).all()
    assert motion.choose(found * 0, luma(now), luma(before), (4, 4)) is None
    wild = rng.integers(-20, 20, (2, 8, 8)).astype(np.int16)
    grey = np.full_like(now, 0.5) + 0.004 * now
    assert motion.choose(wild, luma(grey), luma(grey[::-1]), (4, 4)) is None


def test_both_sides_move_by_the_same_vectors(tmp_path) -> None:
    """A texture that pans is followed, and a decoder shows what the encoder saw."""
    pytest.importorskip("torch")
    from gvcodec.gvc1d.frame_options import TokenSettings
    from tests.gvc1d.tiny import code_and_show, write_model

    fmt = VideoFormat(200, 144, Fraction(25), Fraction(1, 25))
    rng = np.random.default_rng(6)
    rough = rng.integers(100, 900, (20, 30)).repeat(8, 0).repeat(8, 1)
    chroma = np.full((72, 100), 512, np.uint16)
    frames = []
    for t in range(4):
        luma = rough[4 * t : 4 * t + 144, 6 * t : 6 * t + 200].astype(np.uint16)
        frames.append((luma, chroma, chroma))
    path = write_model(tmp_path)
    latents = code_and_show(fmt, path, TokenSettings(8, rate=2), frames)
    found = [latent.motion for latent in latents]
    assert found[0] is None
    for vectors in found[1:]:
        assert vectors is not None
        assert (vectors[:, 0, 1] == (4, 6)).all()  # a block whose origin is inside


FORMAT = VideoFormat(64, 48, Fraction(25), Fraction(1, 25))
HEADER = SequenceHeader(FORMAT, "av1", Fraction(1), 40, gvc1d_id=b"tokens!!")


def latent(number: int) -> Packet:
    return Packet(Kind.LATENT, bytes([number, 0]))


#: Two GOPs of three frames; the second frame of each has no tokens.
PACKETS = [
    packet
    for first in (0, 3)
    for packet in (
        latent(first),
        Packet(Kind.KEY, b"key"),
        Packet(Kind.INTER, b"inter"),
        latent(first + 2),
        Packet(Kind.INTER, b"last"),
    )
]


def test_a_header_without_tokens_has_no_byte_more() -> None:
    plain = replace(HEADER, gvc1d_id=None)
    assert len(HEADER.pack()) == len(plain.pack()) + 8
    assert SequenceHeader.read(io.BytesIO(HEADER.pack()))[0] == HEADER
    assert HEADER.enhanced and not plain.enhanced


def test_packets_come_back_in_order_and_belong_to_their_gop() -> None:
    data = stream_of(HEADER, PACKETS)
    assert packets_in(data) == PACKETS
    first, second = Reader(io.BytesIO(data)).gops()
    reader = Reader(io.BytesIO(data))
    assert list(reader.packets_of(second)) == PACKETS[5:]
    assert (first.frames, second.frames) == (3, 3)
    gops = list(GopSource(HEADER, PACKETS))
    assert [packet for gop in gops for packet in gop.packets] == PACKETS
    assert [gop.frames for gop in gops] == [3, 3]


@pytest.mark.parametrize(
    "packets, header, what",
    [
        (PACKETS, replace(HEADER, gvc1d_id=None), "without any"),
        ([latent(1), *PACKETS], HEADER, "without a frame"),
        ([*PACKETS[:2], latent(1), *PACKETS[5:]], HEADER, "without a frame"),
    ],
)
def test_packets_out_of_place_are_refused(packets, header: SequenceHeader, what: str) -> None:
    with pytest.raises(DamagedStreamError, match=what):
        packets_in(stream_of(header, packets))


def test_a_latent_packet_needs_a_frame_to_write() -> None:
    with pytest.raises(ValueError, match="latent packet without a frame"):
        stream_of(HEADER, [*PACKETS, latent(9)])


@pytest.mark.parametrize("hit, kept", [(0, [1]), (3, [1]), (5, [0]), (8, [0])])
def test_a_damaged_packet_costs_the_tokens_of_its_gop(hit: int, kept: list[int]) -> None:
    """Frames stay, and so do the tokens of the other GOP."""
    data = bytearray(stream_of(HEADER, PACKETS))
    at = data.index(PACKETS[hit].pack())
    data[at + 3] ^= 1
    salvage = Salvage(io.BytesIO(bytes(data)))
    gops = list(GopSource(HEADER, salvage.events()))
    assert [gop.frames for gop in gops] == [3, 3]
    found = [n for n, gop in enumerate(gops) if any(p.kind is Kind.LATENT for p in gop.packets)]
    assert found == kept


def test_a_lost_frame_costs_the_tokens_of_its_gop() -> None:
    events = [*PACKETS[:3], Loss(1, "gone"), *PACKETS[5:]]
    gops = list(GopSource(HEADER, events))
    kinds = [[packet.kind for packet in gop.packets] for gop in gops]
    assert Kind.LATENT not in kinds[0] and Kind.LATENT in kinds[1]
