"""Rate–distortion evaluation of gvcodec and of real encoders, from written files only.

Run from a checkout: `python -m eval --help`. `eval/conditions.md` says what every figure means.
"""
