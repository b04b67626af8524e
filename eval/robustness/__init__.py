"""Hostile inputs and heavy load: what a decoder does with damaged and made-up streams, and an encoder that is killed.

`mutations` makes the inputs, `trials` decodes them in another process under the eyes of a watchdog, `load` runs the command line
for an hour of video, side by side and with `kill -9`. `python -m eval robustness` writes the table.
"""
