"""What the conformance files are made of: a source with sound and subtitles, small models."""

from __future__ import annotations

import io
from collections.abc import Sequence
from fractions import Fraction
from pathlib import Path

import av
import numpy as np

from gvcodec.bitstream import Kind, Packet
from gvcodec.gvc1d.codec import LatentReader, open_entropy_model
from gvcodec.gvc1d.entropy_model import Memory
from gvcodec.gvc1d.payload import ENDLESS, pack
from gvcodec.media.planes import frame_from_planes
from gvcodec.types import Planes, VideoFormat

_RATE = 25
_TEXTS = "1\n00:00:00,040 --> 00:00:00,200\nBär\n\n2\n00:00:00,240 --> 00:00:00,360\n<i>two</i>\n"


def with_tracks(path: Path, frames: Sequence[Planes], subtitles: bool = True) -> None:
    """A Matroska file: FFV1, Opus with a delay of its encoder, PCM, subtitles, 25 frames a
    second."""
    height, width = frames[0][0].shape
    with av.open(path, "w") as out, av.open(io.BytesIO(_TEXTS.encode()), format="srt") as texts:
        picture = out.add_stream("ffv1", rate=_RATE)
        picture.width, picture.height, picture.pix_fmt = width, height, "yuv420p"
        opus = out.add_stream("libopus", rate=48000, layout="mono")
        pcm = out.add_stream("pcm_s16le", rate=8000, layout="mono")
        words = out.add_stream_from_template(texts.streams[0]) if subtitles else None
        opus.metadata.update(language="deu", title="Ton")
        if words is not None:
            words.metadata["language"] = "eng"
        for number, planes in enumerate(frames):
            frame = frame_from_planes(planes, 8)
            frame.pts, frame.time_base = number, Fraction(1, _RATE)
            out.mux(picture.encode(frame))
        out.mux(picture.encode(None))
        for stream, rate in ((opus, 48000), (pcm, 8000)):
            n = np.arange(rate * len(frames) // _RATE)
            wave = (9000 * np.sin(2 * np.pi * 440 * n / rate)).astype(np.int16)[None]
            sound = av.AudioFrame.from_ndarray(wave, "s16", "mono")
            sound.sample_rate, sound.pts = rate, 0
            out.mux([*stream.encode(sound), *stream.encode(None)])
        for packet in texts.demux():
            if packet.pts is not None and words is not None:
                packet.stream = words
                out.mux(packet)


def loop_of(path: Path) -> bytes:
    """A model of base gvc1d with what base frames need alone."""
    from safetensors import safe_open
    from safetensors.numpy import save

    with safe_open(path, "np") as file:
        names = [n for n in file.keys() if n.startswith(("transform.", "entropy.", "filter."))]  # noqa: SIM118
        return save({name: file.get_tensor(name) for name in names}, file.metadata())


def small_latent_model(folder: Path) -> Path:
    """A network of latent tokens as docs/spec/latent.md has them, of random weights, and an entropy
    network beside it. Needs torch."""
    import torch

    from gvcodec.entropy.network_file import write_network
    from gvcodec.gvc1d.checkpoint import save_model
    from gvcodec.gvc1d.config import GVC1DConfig, Transformer
    from gvcodec.gvc1d.files import entropy_beside, pair_id
    from gvcodec.gvc1d.token_network import TokenNetwork
    from gvcodec.models import GVC1D_ENTROPY
    from tests.networks import make_latent_network

    torch.manual_seed(5)
    sizes = Transformer(32, 2, 2, 1)
    config = GVC1DConfig(
        sizes, sizes, memory=4, queries=3, head_width=8, head_blocks=2, phases=4, rates=4
    )
    network = TokenNetwork(config)
    assert network.direct is not None
    torch.nn.init.ones_(network.direct.gate)
    for matrix in (network.direct.analysis, network.direct.synthesis):
        torch.nn.init.normal_(matrix, std=2e-4)
    made = folder / "new.safetensors"
    save_model(network, made)
    write_network(entropy_beside(made), make_latent_network(), GVC1D_ENTROPY.form)
    path = folder / f"{pair_id(made).hex()}.safetensors"
    entropy_beside(made).rename(entropy_beside(path))
    return made.rename(path)


def other_tokens(packets: Sequence[Packet], fmt: VideoFormat, model: Path) -> list[Packet]:
    """The packets with tokens of every form: of all windows, of some, none, and runs without a
    packet, up to another and over."""
    network = open_entropy_model(fmt, model)
    reader = LatentReader(network)
    memory = Memory.empty(network.windows, network.tokens)
    waiting: bytes | None = None
    found, number = [], 0
    for packet in packets:
        if packet.kind is Kind.LATENT:
            waiting = packet.payload
            continue
        if packet.kind is Kind.KEY:
            reader.start_gop()
            memory = memory.fresh()
        if packet.is_frame:
            latent = None if waiting is None else reader.read(waiting)
            form = _FORMS.get(number)
            if latent is not None and form is not None:
                run, counts = form
                kept = np.arange(latent.values.shape[1]) < np.array(counts)[:, None]
                values = latent.values * kept[..., None]
                if counts[0] == network.tokens:
                    values[0, 20, -1], values[0, 21, -1] = 1, 2  # of the other scene
                latent = latent._replace(
                    run=run, counts=np.array(counts, np.uint8), values=values.astype(np.int16)
                )
                found.append(Packet(Kind.LATENT, pack(latent, network, memory)))
                memory = memory.after(latent.values, latent.counts)
            waiting = None
            number += 1
        found.append(packet)
    return found


#: Of frames with a packet: its run, and tokens of both windows. Frame 5 is shown as it is.
_FORMS = {
    0: (0, (32, 32)),
    1: (0, (32, 5)),
    2: (2, (11, 32)),
    6: (ENDLESS, (0, 0)),
    8: (1, (32, 0)),
}
