"""Batch encoding on trial: `python -m eval batch kills | speed | costs`. Each writes one JSON.

`kills`: workers, machines and the driver of a Ray cluster end at random moments; what comes out has
to be what one process makes. `speed`: two cores against one, interleaved. `costs`: core-seconds and
memory by base and preset."""
