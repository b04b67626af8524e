"""Entropy model and coder. The code that runs is C++ (`gvcodec._core`); docs/spec/entropy.md
defines it, conformance/decoder/entropy.py and networks.py are the same in Python.

`streams`: many streams of integers side by side, on a processor or a device; `network`: layers of
an integer network; `tables`: symbols by tables of one's own, for research. Everything is integer
arithmetic on decoded integers: equal on every machine.
"""

from gvcodec.entropy.tables import SymbolDecoder, decode_symbols, edges_of, encode_symbols

__all__ = ["SymbolDecoder", "decode_symbols", "edges_of", "encode_symbols"]
