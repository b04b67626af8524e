"""CompressAI's image models as intra peers: every frame coded by itself, through a file, in
processes of their own.

The word is `compressai:MODEL`, with MODEL one of CompressAI's image models (bmshj2018-hyperprior,
mbt2018-mean, cheng2020-anchor …; needs the extra `compressai`). Weights are used where they already
lie in torch's cache; nothing is downloaded here. As rate must fall when q rises, q stands for
quality 9 − q.

File: magic, quality, matrix, range, width, height, frames; then for every frame the shape of its
latent and its strings. Run as `python -m eval.codecs.zoo encode MODEL Q IN OUT` or `decode MODEL IN
OUT`.
"""

from __future__ import annotations

import importlib.util
import struct
import sys
from fractions import Fraction
from pathlib import Path
from typing import Any

import numpy as np

from eval.codecs.codec import Codec, Options
from eval.colour import to_planes, to_rgb
from eval.tools import EvalError
from eval.video import known_matrix, open_video

_HEADER = struct.Struct("<4sBBBHHIII")
_MAGIC = b"CAI1"
#: The encoder pads pictures to a multiple of this, the stride of the deepest models.
_STRIDE = 64


def compressai(word: str, options: Options) -> Codec:
    """Raises EvalError when CompressAI or the model's weights are not there."""
    model = word.partition(":")[2]
    qualities = present_qualities(model)
    command = ("{python}", "-m", "eval.codecs.zoo")
    return Codec(
        f"compressai-{model}",
        f"CompressAI {model} intra",
        (*command, "encode", model, "{q}", "{input}", "{stream}"),
        {"": (*command, "decode", model, "{stream}", "{output}")},
        (9 - max(qualities), 9 - min(qualities)),
        9 - min(qualities),
        "bin",
        "intra",
        "compressai",
        "1",
        keyint=1,
    )


def present_qualities(model: str) -> list[int]:
    """Qualities of a model (MSE-trained) whose weights lie in torch's cache. Raises EvalError when
    there are none."""
    if importlib.util.find_spec("compressai") is None:
        raise EvalError("compressai is not installed: pip install 'gvcodec[compressai]'")
    import torch
    from compressai.zoo.image import model_urls

    if model not in model_urls:
        raise EvalError(
            f"compressai has no image model {model!r}; there are {', '.join(model_urls)}"
        )
    cache = Path(torch.hub.get_dir()) / "checkpoints"
    urls = model_urls[model]["mse"]
    found = [quality for quality, url in urls.items() if (cache / url.rsplit("/", 1)[1]).is_file()]
    if not found:
        raise EvalError(f"no weights of compressai's {model} in {cache}")
    return found


def _load(model: str, quality: int) -> Any:
    from compressai.zoo import models

    return models[model](quality=quality, metric="mse", pretrained=True).eval()


def encode(model: str, q: int, source: Path, stream: Path) -> None:
    import torch

    frames = open_video(source)
    matrix, parts, count = known_matrix(frames), [], 0
    network = _load(model, 9 - q)
    for planes in frames.planes:
        rgb = torch.from_numpy(to_rgb(planes, matrix, frames.full_range, frames.depth))[None]
        padding = [-s % _STRIDE for s in rgb.shape[2:]]
        rgb = torch.nn.functional.pad(rgb, (0, padding[1], 0, padding[0]), mode="replicate")
        with torch.inference_mode():
            coded = network.compress(rgb)
        strings = [s[0] for s in coded["strings"]]
        parts.append(struct.pack("<HHB", *coded["shape"], len(strings)))
        parts += [struct.pack("<I", len(s)) + s for s in strings]
        count += 1
    rate = frames.fps.numerator, frames.fps.denominator
    head = (
        _MAGIC,
        9 - q,
        matrix,
        int(frames.full_range),
        frames.width,
        frames.height,
        count,
        *rate,
    )
    stream.write_bytes(_HEADER.pack(*head) + b"".join(parts))


def decode(model: str, stream: Path, output: Path) -> None:
    import torch

    data = stream.read_bytes()
    magic, quality, matrix, full, width, height, count, *rate = _HEADER.unpack_from(data)
    if magic != _MAGIC:
        raise EvalError(f"{stream}: not a file of this codec")
    network, at = _load(model, quality), _HEADER.size
    with open(output, "wb") as out:
        fps = Fraction(*rate)
        size, rate = f"W{width} H{height}", f"F{fps.numerator}:{fps.denominator}"
        out.write(f"YUV4MPEG2 {size} {rate} Ip A1:1 C420mpeg2\n".encode())
        for _ in range(count):
            rows, columns, number = struct.unpack_from("<HHB", data, at)
            at, strings = at + 5, []
            for _ in range(number):
                (size,) = struct.unpack_from("<I", data, at)
                strings.append([data[at + 4 : at + 4 + size]])
                at += 4 + size
            with torch.inference_mode():
                rgb = network.decompress(strings, (rows, columns))["x_hat"][
                    0, :, :height, :width
                ].numpy()
            out.write(
                b"FRAME\n"
                + b"".join(p.tobytes() for p in to_planes(np.clip(rgb, 0, 1), matrix, bool(full)))
            )


if __name__ == "__main__":
    try:
        action, name, *rest = sys.argv[1:]
        if action == "encode":
            encode(name, int(rest[0]), Path(rest[1]), Path(rest[2]))
        else:
            decode(name, Path(rest[0]), Path(rest[1]))
    except EvalError as error:
        sys.exit(f"eval: {error}")
