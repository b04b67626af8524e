"""The painter: a small integer network that paints decoded base frames, outside the coding loop.

In: base frames, `fit` payloads. Out: painted frames. `video` opens the painter of a stream and
paints; `cpu` paints with any model, for encoders. `model` is its file, `payload` and `token_coding`
what a stream sends of it. `strength` and `texture_check` choose how strongly each GOP is painted;
encoders alone import `fitting/` and `tokens/`.
"""
