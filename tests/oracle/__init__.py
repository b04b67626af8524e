"""Python twins of the C++ core, for reading and for tests: not in the wheel, and no part of the package needs them."""
