"""The painter in torch, with gradients. In: base frames and sources as tensors. Out: losses.

    network    the painter (`filters`: its parts)
    objective  losses of painted runs: pixels, band energies, perceptual distance, flicker
    clips      sample clips as tensors
    adam       the optimiser of token search

Only token search and training import it: it needs torch."""
