"""The painter: a small integer network that paints decoded base frames, outside the coding loop.

In: base frames, `fit` payloads. Out: painted frames.

    video, cpu       paint: `video` with the model of a stream, `cpu` with any, for encoders
    model            the file of weights
    payload          `fit` packets: `paint_strength`, `token_coding`, `unpainted_regions` in them
    samples          frames kept while a video is coded: sample clips, by parts of the video
    strength         choice of strength for each GOP, on `sample_clips`
    texture_check    base frames instead, if painted texture differs from the source; `energies`
    torch_twin       the painter with gradients, for token search and training
    tokens           search and trial of tokens, in encoders
"""
