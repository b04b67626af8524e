"""Answers of each reader of the format for each test file: `python -m conformance.readers` writes
`conformance/readers.json`, and `--check` compares the file with new answers.

| reader | program |
|---|---|
| `python` | gvcodec |
| `independent` | `conformance.decoder`, written from the specification |
| `page` | the modules of `web/`, run by Node |
| `library` | libgvc (`csrc/`), through `gvcodec._core` |

An answer is a verdict and, where the file is accepted, digests of its content. `readers.json` has
the answer of `python`, and of the others only the differences. A reader that is silent about a
file has no parser for it.
"""
