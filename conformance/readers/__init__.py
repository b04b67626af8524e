"""What each reader of the format says of each test file: `python -m conformance.readers` writes
`conformance/readers.json`, and `--check` compares it with what the readers say now.

| reader | what it is |
|---|---|
| `python` | gvcodec |
| `independent` | `conformance.decoder`, written from the specification |
| `page` | the modules of `web/`, run by Node |
| `library` | libgvc (`csrc/`), through `gvcodec._core` |

An answer is a verdict and, where the file is accepted, digests of what was read. `readers.json` has
the answer of `python`, and of the others only what differs from it. A reader that is silent about a
file has no parser for it.
"""
