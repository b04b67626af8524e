"""Entropy model and coder. The code that runs is C++ (`gvcodec._core`); docs/spec/entropy.md
defines it, conformance/decoder/entropy.py and networks.py are the same in Python.

`streams`: many streams of integers side by side, on a processor or a device; `network`: layers of
an integer network. Everything is integer arithmetic on decoded integers: equal on every machine.
"""
