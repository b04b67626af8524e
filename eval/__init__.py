"""Rate–distortion evaluation of gvcodec and of real encoders, from written files only.

Run from a checkout: `python -m eval --help`. What every figure means stands in
`eval/conditions.md`.
"""
