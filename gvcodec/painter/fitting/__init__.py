"""The painter with gradients. In: base frames and source. Out: changes of weights for one video.

    network    the painter in torch, for fitting and training (`filters`: its parts)
    deltas     changes of weights as a `fit` payload has them
    objective  the loss: pixels, band energies, perceptual distance, flicker
    fit        fitting to the GOPs of a video; `pool` holds its crops

Only encoders and training import it: it needs torch."""
