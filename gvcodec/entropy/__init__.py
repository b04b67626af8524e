"""Entropy model and coder. In: integers and their tables or networks. Out: bytes, or the reverse.
The code is C++ (`gvcodec._core`); docs/spec/entropy.md defines it, conformance/decoder/entropy.py
and networks.py are the same in Python.

    streams  many streams of integers side by side, on a processor or a device
    network  layers of an integer network; `network_file`: their tensors
    tables   symbols by your own tables, for research

Everything is integer arithmetic on decoded integers: equal on every machine.
"""

from gvcodec.entropy.tables import SymbolDecoder, decode_symbols, edges_of, encode_symbols

__all__ = ["SymbolDecoder", "decode_symbols", "edges_of", "encode_symbols"]
