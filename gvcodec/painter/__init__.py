"""The painter: a small integer network that paints decoded base frames, outside the coding loop.

In: base frames, `fit` payloads. Out: painted frames. `video` opens the painter of a stream and
paints; `cpu` paints with any model, for encoders. `model` is the file; `network` is the same in
torch, for fitting (`fit`) and training, which alone import it. `strength` chooses how strongly each
GOP is painted, `token_stage` its tokens.
"""
