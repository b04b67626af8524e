"""Hostile inputs and heavy load: what a decoder does with damaged and made-up streams, and an
encoder that is killed.

`mutations` and `hostile` make the inputs, `trials` decodes them in another process under the eyes
of a watchdog, `commands` gives them to the whole command line under strace, `attacks` adds signals
and threads, `load` runs the command line for an hour of video, side by side and with `kill -9`.
`python -m eval robustness` writes the table.
"""
