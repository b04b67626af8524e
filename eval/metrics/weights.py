"""`python -m eval weights`: makes the weight files of LPIPS and DISTS from the packages they were
published with.

Needs the extra `metrics`: `torchvision` (features, downloads its ImageNet weights), `lpips` (LPIPS
v0.1) and `DISTS-pytorch`. Features of VGG16 are rounded to fp16 (values of the metrics change by
less than 1e-4), the rest stays fp32. `gvcodec.painter.perceptual.find_weights` tells where the
files are looked for.
"""

from __future__ import annotations

import argparse
import importlib.util
from pathlib import Path
from typing import Any

from eval.tools import EvalError, say

_REMEDY = "in a checkout: pip install -e '.[metrics]'"


def arguments(parser: argparse.ArgumentParser) -> None:
    usual = Path.home() / ".cache/gvcodec/metrics"
    parser.add_argument("dir", type=Path, nargs="?", default=usual, metavar="DIR")


def run(options: argparse.Namespace) -> None:
    print(*export(options.dir), sep="\n")


def export(folder: Path) -> list[Path]:
    """Writes both files into `folder`. Raises EvalError that names the missing package."""
    import torch
    from safetensors.torch import save_file

    def package(name: str, file: str) -> Any:
        spec = importlib.util.find_spec(name)
        if spec is None or not spec.submodule_search_locations:
            raise EvalError(f"{name} is not installed ({_REMEDY})")
        return torch.load(
            Path(spec.submodule_search_locations[0]) / file, map_location="cpu", weights_only=True
        )

    folder.mkdir(parents=True, exist_ok=True)
    written = []
    for network, model in (("alex", "alexnet"), ("vgg", "vgg16")):
        say(f"weights of LPIPS-{network}, with features of {model}")
        linear = package("lpips", f"weights/v0.1/{network}.pth")
        tensors = {key.replace(".model.1.", "."): tensor for key, tensor in linear.items()}
        if network == "vgg":
            tensors |= package("DISTS_pytorch", "weights.pt")
        tensors |= _features(model, half=network == "vgg")
        path = folder / f"lpips_{network}.safetensors"
        temporary = path.with_suffix(".tmp")
        save_file(
            {key: tensor.contiguous() for key, tensor in tensors.items()},
            temporary,
            metadata={"format": "pt"},
        )
        temporary.replace(path)
        written.append(path)
    return written


def _features(model: str, half: bool) -> dict[str, Any]:
    if importlib.util.find_spec("torchvision") is None:
        raise EvalError(f"torchvision is not installed ({_REMEDY})")
    try:
        import torchvision
    except (ImportError, OSError, RuntimeError) as error:
        reason = str(error).splitlines()[0]
        raise EvalError(f"torchvision does not fit the torch that is here: {reason}") from None
    try:
        state = getattr(torchvision.models, model)(weights="IMAGENET1K_V1").state_dict()
    except OSError as error:
        raise EvalError(f"the weights of {model} could not be downloaded: {error}") from None
    found = {key: tensor for key, tensor in state.items() if key.startswith("features.")}
    return {key: tensor.half() if half else tensor for key, tensor in found.items()}
