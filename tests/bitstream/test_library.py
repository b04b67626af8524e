"""libgvc (csrc/include/gvc.h) from the outside: pieces, seeking, strength, errors with a place."""

import hashlib
import io
import subprocess
from pathlib import Path

import numpy as np
import pytest

from conformance.readers.library import Host, UnitHost
from gvcodec import _core
from gvcodec.bitstream import Reader
from gvcodec.codec.decoder import Decoder
from gvcodec.errors import DamagedStreamError, UsageError, VerificationError
from tests.conftest import needs

FILES = Path(__file__).parents[2] / "conformance" / "files"
AGAIN, END = 1, 2


def read(name: str) -> bytes:
    return (FILES / f"{name}.gvc").read_bytes()


def hashes_of(data: bytes) -> tuple[bytes, bytes | None]:
    """Base and painted hash by gvcodec."""
    reader = Reader(io.BytesIO(data))
    decoder = Decoder(reader.header, models=[FILES.parent / "models"], threads=1)
    for _ in decoder.frames_of(reader.packets()):
        pass
    painted = decoder.painted_hash if reader.header.painter_id is not None else None
    return decoder.base_hash, painted


@pytest.mark.parametrize("name", ["av1", "tokens", "turned", "av1-three-quarters", "fitted"])
def test_hashes_are_those_of_gvcodec(name: str) -> None:
    host = Host(read(name))
    assert host.run() == 0
    _, _, _, base, painted = host.decoder.hashes()
    assert (base, painted) == hashes_of(read(name))


@pytest.mark.parametrize("name", ["fitted", "tokens", "av1"])
def test_seeking_gives_the_frames_of_reading_on(name: str) -> None:
    """To every frame, one after another in one decoder, backwards: the GOP's frames come as they
    did, with their times and the weights in force."""
    whole = Host(read(name))
    whole.run()
    gops = Reader(io.BytesIO(read(name))).gops()
    assert len(gops) > 1 or name != "fitted"
    host = Host(read(name))
    host.run()
    for gop in reversed(gops):
        for frame in {gop.first_frame, gop.first_frame + gop.frames - 1}:
            host.painted.clear()
            host.times.clear()
            host._av1 = None
            host.decoder.seek(frame)
            assert host.run() == 0
            assert host.painted == whole.painted[gop.first_frame :]
            assert host.times == whole.times[gop.first_frame :]


def test_seeking_is_possible_before_anything_was_decoded() -> None:
    data = read("embedded")
    gops = Reader(io.BytesIO(data)).gops()
    whole, host = Host(data), Host(data)
    whole.run()
    host.decoder.send(data[:300])
    assert host.decoder.size() is not None
    host.decoder.seek(gops[-1].first_frame)
    host.run()
    assert host.painted == whole.painted[gops[-1].first_frame :]
    with pytest.raises(UsageError):
        host.decoder.seek(len(whole.painted))
    host = Host(data)
    with pytest.raises(UsageError):
        host.decoder.seek(0)


@pytest.mark.parametrize("look", [0, 30, 100])
def test_strength_is_that_of_gvcodec(look: int) -> None:
    data = read("tokens")
    host = Host(data)
    host.decoder.send(data[:200])
    host.decoder.set_look(look)
    host.run()
    reader = Reader(io.BytesIO(data))
    models = [FILES.parent / "models"]
    decoder = Decoder(reader.header, models=models, threads=1, look=look)
    frames = [frame.planes for frame in decoder.frames_of(reader.packets())]
    joined = [b"".join(p.astype("<u2").tobytes() for p in planes) for planes in frames]
    assert host.painted == [hashlib.sha256(one).hexdigest()[:16] for one in joined]


@pytest.mark.parametrize("name", ["one-file.mkv", "one-file-mp4.mp4"])
def test_units_are_taken_up_again_at_any_keyframe(name: str) -> None:
    """As after a seek in a container: units before a keyframe belong to no GOP."""
    data = (FILES / name).read_bytes()
    whole = UnitHost(data)
    units = list(whole._units)
    whole.run()
    keys = [n for n, unit in enumerate(units) if _core.unit_parts(unit)[0][0] >> 3 & 15 == 1]
    assert len(keys) > 1
    host = UnitHost(data)
    host._units = units[: keys[-1]]
    host.run()
    host.painted.clear()
    host._av1 = None
    host.decoder.seek(0)
    assert host.decoder.send_unit(units[keys[-1] + 1]) == 3  # GVC_FOREIGN
    host._units = units[keys[-1] :]
    host.run()
    assert host.painted == whole.painted[keys[-1] :]


def test_a_unit_of_plain_av1_is_nobodys() -> None:
    unit = _core.unit_parts(UnitHost((FILES / "one-file.mkv").read_bytes())._units[0])[0]
    assert _core.StreamDecoder().send_unit(unit) == 3


def test_errors_have_a_code_and_a_place() -> None:
    data = bytearray(read("av1"))
    gop = Reader(io.BytesIO(data)).gops()[-1]
    data[gop.offset + gop.size - 3] ^= 1
    host = Host(bytes(data))
    with pytest.raises(DamagedStreamError, match="checksum"):
        host.run()
    code, packet, frame, offset, text = host.decoder.error()
    assert (code, frame, text) == (-3, gop.first_frame + gop.frames, "checksum mismatch")
    assert gop.offset < offset < gop.offset + gop.size and packet > 0
    with pytest.raises(DamagedStreamError):
        host.decoder.next_unit()
    host.decoder.seek(0)
    host._av1 = None
    assert host.decoder.next_unit()[0] == AGAIN


def test_another_hash_is_told_at_the_end() -> None:
    data = bytearray(read("av1"))
    reader = Reader(io.BytesIO(data))
    end = len(data) - 16
    data[end + 2] ^= 1
    crc = _crc16(bytes(data[end:-2]))
    data[-2:] = crc.to_bytes(2, "little")
    assert reader.gops()
    with pytest.raises(VerificationError, match="frames differ"):
        Host(bytes(data)).run()


def test_a_stream_that_is_cut_says_so() -> None:
    data = read("av1")
    with pytest.raises(DamagedStreamError, match="file ends early"):
        Host(data[:-20]).run()


def test_pictures_wait_for_their_units_and_for_each_other() -> None:
    decoder = _core.StreamDecoder(base_only=True)
    y, c = np.zeros((32, 32), np.uint16), np.zeros((16, 16), np.uint16)
    with pytest.raises(UsageError):
        decoder.send_base(y, c, c)
    decoder.send(read("av1"))
    size = decoder.size()
    assert size is not None
    y, c = (np.zeros((size[3] // n, size[2] // n), np.uint16) for n in (1, 2))
    assert decoder.next_unit()[0] == 0 and decoder.next_unit()[0] == 0
    assert decoder.send_base(y, c, c) == 0 and decoder.send_base(y, c, c) == AGAIN
    assert decoder.picture() is not None and decoder.picture() is None
    assert decoder.send_base(y, c, c) == 0 and decoder.picture() is not None
    with pytest.raises(DamagedStreamError, match="more pictures than units"):
        decoder.send_base(y, c, c)


def _crc16(data: bytes) -> int:
    import binascii

    return binascii.crc_hqx(data, 0xFFFF)


@needs("cmake")
@pytest.mark.parametrize(
    ("folder", "expected"),
    [("lib/x", "{prefix}/lib/x"), ("/elsewhere/lib", "/elsewhere/lib")],
)
def test_pkg_config_names_the_folders_of_the_installation(
    folder: str, expected: str, tmp_path: Path
) -> None:
    """Distributions put libraries and headers into folders that are not below the prefix."""
    prefix, root = tmp_path / "prefix", FILES.parents[1]
    words = [f"-DCMAKE_INSTALL_PREFIX={prefix}", f"-DCMAKE_INSTALL_LIBDIR={folder}"]
    words += [f"-DCMAKE_INSTALL_INCLUDEDIR={folder}/include", "-DGVCODEC_LIBRARY=ON"]
    command = ["cmake", "-S", str(root), "-B", str(tmp_path / "build"), *words]
    subprocess.run(command, check=True, capture_output=True)
    lines = (tmp_path / "build" / "gvc.pc").read_text().splitlines()
    place = expected.format(prefix=prefix)
    assert f"libdir={place}" in lines and f"includedir={place}/include" in lines
