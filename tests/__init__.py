"""Tests, mostly one folder per folder of gvcodec. media/: source and sink; container/: one_file and
bit flips; house/: rules for the repository. For a damaged file, put NAME.bin into faulty/
(`api/test_golden.py` expects an error of each) and run `python -m conformance.readers`; for a rule
of the format, add it to `conformance/refused.py`.
"""
