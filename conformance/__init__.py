"""Files that say what a decoder must find in them, and who judges it: docs/spec/conformance.md."""
