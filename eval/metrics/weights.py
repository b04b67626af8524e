"""`python -m eval weights`: the weight files of LPIPS and DISTS, from where they were published.

    trunks of AlexNet and VGG16   torchvision's weight files, by URL (download.pytorch.org)
    linear layers of LPIPS v0.1   the wheel of `lpips`, by pip
    weights of DISTS              the wheel of `DISTS-pytorch`, by pip

Nothing of these packages is installed or imported, so any torch will do. The output is checked
by its SHA-256. A trunk that lies in torch's cache (`~/.cache/torch/hub/checkpoints`) is not
downloaded. Features of VGG16 are rounded to fp16 (values of the metrics change by less than 1e-4),
the rest stays fp32. `gvcodec.perceptual.find_weights` tells where the files are looked for.
"""

from __future__ import annotations

import argparse
import hashlib
import io
import subprocess
import sys
import tempfile
import zipfile
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from eval.tools import EvalError, log_line

_MODELS = "https://download.pytorch.org/models/"
#: Wheels, and where their weights are inside.
_LPIPS, _DISTS = "lpips==0.1.4", "DISTS-pytorch==0.1"


@dataclass(frozen=True)
class Network:
    """`trunk`: address of torchvision's file, whose name ends with the beginning of its SHA-256.
    `half`: features are rounded to fp16. `parts`: (wheel, file in it). `digest`: see
    `digest_of`."""

    trunk: str
    half: bool
    parts: tuple[tuple[str, str], ...]
    digest: str


NETWORKS = {
    "alex": Network(
        _MODELS + "alexnet-owt-7be5be79.pth",
        False,
        ((_LPIPS, "lpips/weights/v0.1/alex.pth"),),
        "54d05c0a4dc87b92a5d049f1a45bb7a936f4fe477481f89989f1b46a2e24a1fd",
    ),
    "vgg": Network(
        _MODELS + "vgg16-397923af.pth",
        True,
        ((_LPIPS, "lpips/weights/v0.1/vgg.pth"), (_DISTS, "DISTS_pytorch/weights.pt")),
        "b3716b208f6496b1b919c7e4ea6a9cb052b8dced8ac9eee74c76c8c70b8733c7",
    ),
}


def arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("dir", type=Path, nargs="?", metavar="DIR")


def run(options: argparse.Namespace) -> None:
    from gvcodec.perceptual import usual_folder

    folder = options.dir or usual_folder()
    if folder is None:
        raise EvalError("this user has no home directory: name the folder of the weights, DIR")
    print(*export(folder), sep="\n")


def export(folder: Path) -> list[Path]:
    """Writes both files into `folder`. Raises EvalError for what cannot be had, or is not what it
    was."""
    from safetensors.torch import save_file

    folder.mkdir(parents=True, exist_ok=True)
    written = []
    with tempfile.TemporaryDirectory(prefix="gvcodec-") as place:
        wheels = _download_wheels(Path(place))
        for name, network in NETWORKS.items():
            log_line(f"weights of LPIPS-{name}{' and DISTS' * (name == 'vgg')}: {network.trunk}")
            tensors = _load_trunk(network)
            for wheel, file in network.parts:
                part = _load(zipfile.ZipFile(wheels[wheel]).read(file))
                tensors |= {key.replace(".model.1.", "."): value for key, value in part.items()}
            if digest_of(tensors) != network.digest:
                raise EvalError(f"{network.trunk}: its weights are not those that were published")
            path = folder / f"lpips_{name}.safetensors"
            temporary = path.with_suffix(".tmp")
            whole = {key: tensor.contiguous() for key, tensor in tensors.items()}
            save_file(whole, temporary, metadata={"format": "pt"})
            temporary.replace(path)
            written.append(path)
    return written


def digest_of(tensors: Mapping[str, Any]) -> str:
    """SHA-256 over names and values, in the order of names."""
    digest = hashlib.sha256()
    for name in sorted(tensors):
        digest.update(name.encode() + tensors[name].contiguous().numpy().tobytes())
    return digest.hexdigest()


def _download_wheels(folder: Path) -> dict[str, Path]:
    """The wheels by their requirement."""
    command = [sys.executable, "-m", "pip", "download", "--quiet", "--no-deps"]
    paths = {}
    for wheel in (_LPIPS, _DISTS):
        target = folder / wheel.partition("=")[0]
        words = [*command, "--only-binary=:all:", "--dest", str(target), wheel]
        process = subprocess.run(words, capture_output=True, text=True, check=False)
        if process.returncode:
            last = (process.stderr.strip() or "pip is missing").splitlines()[-1]
            raise EvalError(f"{wheel} cannot be downloaded: {last}")
        (paths[wheel],) = target.glob("*.whl")
    return paths


def _load_trunk(network: Network) -> dict[str, Any]:
    from torch.hub import load_state_dict_from_url

    try:
        state = load_state_dict_from_url(
            network.trunk, map_location="cpu", progress=False, check_hash=True, weights_only=True
        )
    except (OSError, RuntimeError) as error:
        reason = str(error).splitlines()[0]
        raise EvalError(
            f"{network.trunk} could not be downloaded: {reason} (the file may be put into "
            "~/.cache/torch/hub/checkpoints by hand)"
        ) from None
    features = {key: tensor for key, tensor in state.items() if key.startswith("features.")}
    return {key: tensor.half() if network.half else tensor for key, tensor in features.items()}


def _load(data: bytes) -> dict[str, Any]:
    import torch

    return torch.load(io.BytesIO(data), map_location="cpu", weights_only=True)  # type: ignore[no-any-return]
