"""Hostile inputs: what decoders and the command line do with damaged and made-up streams.

`mutations` and `hostile` make the inputs, `trials` decodes them in another process under the eyes
of a watchdog, `commands` gives them to the whole command line under strace. `python -m
tests.fuzz.robustness` writes the table.
"""
