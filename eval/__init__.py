"""Rate–distortion evaluation of gvcodec and of real encoders, from written files only.

Run from a checkout: `python -m eval --help`. `docs/evaluation.md` defines every figure.
"""

import os
import sys

#: Keeps the caller's $PYTHONPATH for programs that are not the project's.
CALLERS_PATH = "GVCODEC_CALLERS_PYTHONPATH"
_ROOT = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))

if sys.argv[:1] == ["-m"] and not sys.flags.safe_path:
    # `python -m` puts the working directory before installed packages: a file `numpy.py` in it
    # would be run, and a checkout that was never built would hide the package. The checkout comes
    # last here, and in every Python that the evaluation starts.
    places = [place for place in sys.path if os.path.isabs(place)]
    sys.path[:] = [*(place for place in places if place not in (_ROOT, os.getcwd())), _ROOT]
    os.environ[CALLERS_PATH] = os.environ.get("PYTHONPATH", "")
    os.environ |= {"PYTHONPATH": os.pathsep.join(sys.path), "PYTHONSAFEPATH": "1"}

    from gvcodec.util.programs import program_folders

    os.environ["PATH"] = os.pathsep.join(program_folders())
