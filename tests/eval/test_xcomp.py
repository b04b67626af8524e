"""The table of LP-Comp and QC-Comp, on tokens whose answers are known."""

import numpy as np
import torch

from eval import xcomp
from gvcodec.retrieval.lp_comp import LpComp
from tests.retrieval.test_lp_comp import FEATURES, clips


def test_every_summary_gets_the_same_bytes_and_noise_finds_nothing(monkeypatch) -> None:
    monkeypatch.setattr(xcomp, "BYTES", (128,))
    torch.manual_seed(0)
    every = clips(20)
    rows = xcomp.measure(every[12:], every[:12], LpComp(FEATURES).eval(), 1)
    by_name = {(row["summary"], row["ranking"]): row for row in rows}
    assert len(by_name) == 5 + 3 and all(row["spent"] <= 1.02 * 128 for row in rows)
    # Latent tokens of these clips tell everything, patches hardly more than chance.
    latent = by_name["mean of latent tokens", "cosine"]
    assert latent["frame"] > 0.8 and latent["clip"] > 0.8
    begin = by_name["discriminants (`small`, where LP-Comp begins)", "cosine"]
    assert begin["frame, 0.2 s"] < latent["frame, 0.2 s"]
    assert by_name["LP-Comp", "cosine"]["frame"] == begin["frame"]  # nothing is trained
    asked, keys = (
        np.random.default_rng(n).normal(size=s) for n, s in enumerate([(3, 8, 64), (8, 64)])
    )
    joined = xcomp.join([keys] * 8, [64] * 8, [12800] * 8)
    noise = xcomp.answers([asked] * 8, joined, xcomp.rankings_of(LpComp(FEATURES))["cosine"])
    assert np.mean([answer.clip for answer in noise]) < 0.4
    assert "begin / middle / end" in xcomp.table(rows)
