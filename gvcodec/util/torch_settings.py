"""Whether torch is installed; runs our networks under its default settings, while the program's own
hold everywhere else."""

from __future__ import annotations

import contextlib
import importlib.util
import sys
from collections.abc import Iterator
from typing import Any


def has_torch() -> bool:
    """Whether torch is installed: searches need it, painting does not."""
    return importlib.util.find_spec("torch") is not None


@contextlib.contextmanager
def default_torch_settings() -> Iterator[None]:
    """Runs the block under torch's defaults: float32 tensors on the CPU, gradients on, no autocast.
    Costs nothing if these hold already; does not load torch."""
    torch: Any = sys.modules.get("torch")
    # Another thread may be in the middle of loading it.
    if not hasattr(torch, "get_default_device"):
        yield
        return
    kind = torch.get_default_dtype()
    with contextlib.ExitStack() as stack:
        if kind is not torch.float32:
            torch.set_default_dtype(torch.float32)
            stack.callback(torch.set_default_dtype, kind)
        if torch.get_default_device().type != "cpu":
            stack.enter_context(torch.device("cpu"))
        for device in ("cpu", "cuda"):
            if torch.is_autocast_enabled(device):
                stack.enter_context(torch.autocast(device, enabled=False))
        if torch.is_inference_mode_enabled():
            stack.enter_context(torch.inference_mode(False))
        if not torch.is_grad_enabled():
            stack.enter_context(torch.enable_grad())
        yield
