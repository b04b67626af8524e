"""Moments that words describe, by an embedder of one's own: a CLIP model of open_clip_torch (`pip
install open_clip_torch`), whose weights are a .safetensors file: `python
examples/search_by_words.py ViT-B-32 WEIGHTS.safetensors "a red car" [VIDEO]`"""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import numpy as np
import open_clip
import torch
from made_clip import given_or_made
from numpy.typing import NDArray

import gvcodec
from gvcodec.models import model_id
from gvcodec.retrieval import embedders
from gvcodec.retrieval.compressor import lengthen


class Clip:
    """The image and text towers of a CLIP model (`gvcodec.retrieval.embedders.Embedder`). A picture
    has one token."""

    #: Integers of about 5.
    step = 19

    def __init__(self, model: str, weights: str) -> None:
        # Some versions of open_clip_torch run the code of a pickle.
        if not Path(weights).is_file() or not weights.endswith(".safetensors"):
            raise gvcodec.WrongModelError(f"{weights}: no such file of weights (.safetensors)")
        self._words = open_clip.get_tokenizer(model)
        # Only the file that was named is read.
        self._model, _, _ = open_clip.create_model_and_transforms(model, pretrained=weights)
        self._model.eval()
        self.id = model_id(Path(weights))
        size = self._model.visual.image_size
        self.side = size[0] if isinstance(size, tuple) else size
        self.dim = int(self._model.text_projection.shape[-1])
        self._mean, self._deviation = (
            torch.tensor(values).view(1, 3, 1, 1)
            for values in (self._model.visual.image_mean, self._model.visual.image_std)
        )

    def frames(self, rgb: NDArray[np.uint8]) -> Any:
        with torch.inference_mode():
            x = torch.from_numpy(rgb).permute(0, 3, 1, 2).float() / 255
            return self._model.encode_image((x - self._mean) / self._deviation)[:, None]

    def compress(self, tokens: Any) -> NDArray[np.float32]:
        return lengthen(tokens[:, 0].numpy())

    def query(self, asked: NDArray[np.uint8] | str) -> NDArray[np.float32]:
        if not isinstance(asked, str):
            return self.compress(self.frames(asked))
        with torch.inference_mode():
            return lengthen(self._model.encode_text(self._words([asked])).numpy())


def main() -> None:
    model, weights, words = sys.argv[1:4]
    del sys.argv[1:4]
    source = given_or_made()
    stream = source.with_suffix(".gvc")
    clip = Clip(model, weights)
    embedders.register("clip", lambda: clip)
    gvcodec.encode_file(source, stream, q=45, fit=0, preset=8, keyint=10, overwrite=True)
    gvcodec.summarize(stream, embedder="clip")
    for moment in gvcodec.search(words, stream, embedder="clip").moments:
        print(f"{moment.score:.3f}  {moment.seconds:g} s, frame {moment.frame}")


if __name__ == "__main__":
    main()
