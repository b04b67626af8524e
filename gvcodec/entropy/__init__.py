"""Entropy model and coder. What runs is in C++ (`gvcodec._core`); here are the Python references that it must equal.

`reference`: rANS and the adaptive mixing of binary decisions; `laplace`: integers by CDF tables; `network`: inference of
an integer network. Everything is integer arithmetic on decoded integers: equal on every machine.
"""
