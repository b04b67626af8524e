"""Files with the answers of a right decoder, and a judge of decoders: docs/spec/conformance.md."""
