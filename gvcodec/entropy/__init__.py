"""Entropy model and coder. What runs is in C++ (`gvcodec._core`); its definition is
docs/spec/entropy.md, in Python conformance/decoder/entropy.py and networks.py.

`streams`: many streams of integers side by side, on a processor or a device; `network`: layers of
an integer network. Everything is integer arithmetic on decoded integers: equal on every machine.
"""
