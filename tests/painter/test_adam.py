"""The optimiser of fitting is torch's Adam without torch's compiler."""

from __future__ import annotations

import subprocess
import sys

import pytest

torch = pytest.importorskip("torch")

from gvcodec.painter.adam import Adam


def test_it_steps_as_the_optimiser_of_torch_does():
    generator = torch.Generator().manual_seed(3)
    ours = [torch.randn(4, 3, generator=generator).requires_grad_(True) for _ in range(2)]
    theirs = [w.detach().clone().requires_grad_(True) for w in ours]
    mine = Adam(ours, betas=(0.9, 0.98))
    other = torch.optim.AdamW(theirs, lr=1.0, betas=(0.9, 0.98), weight_decay=0.0)
    for step in range(5):
        rate = 0.1 / (step + 1)
        other.param_groups[0]["lr"] = rate
        for weights in (ours, theirs):
            sum((w**3).sum() for w in weights).backward()
        mine.step(rate)
        other.step()
        mine.clear_gradients()
        other.zero_grad()
    for a, b in zip(ours, theirs, strict=True):
        torch.testing.assert_close(a, b)


def test_fitting_does_not_load_the_compiler_of_torch():
    code = (
        "import sys, torch\n"
        "from gvcodec.painter.adam import Adam\n"
        "import gvcodec.painter.fit\n"
        "w = torch.ones(2, requires_grad=True)\n"
        "optimizer = Adam([w], (0.9, 0.98))\n"
        "w.sum().backward()\n"
        "torch.nn.utils.clip_grad_norm_([w], 1.0)\n"
        "optimizer.step(0.1)\n"
        "sys.exit('torch._dynamo' in sys.modules)"
    )
    assert not subprocess.run([sys.executable, "-c", code], check=False).returncode
