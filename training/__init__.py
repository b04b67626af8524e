"""Training: GVC1D and its entropy network, the router, the painter, the small perceptual network,
compressors of search, and their material.

    python -m training material --data CLIPS --cache FOLDER
    python -m training painter CONFIG.toml --minutes 60
    python -m training perceptual --cache FOLDER --out FOLDER

`loop` is the trainer of all programs; `alarms` end a run that learns nothing.
"""

import os
import sys

_ROOT = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))

if sys.argv[:1] == ["-m"] and not sys.flags.safe_path:
    # As in `eval`: `python -m` puts the working directory first, so a file `numpy.py` in it would
    # be run. The checkout comes last, here and in every Python that training starts.
    places = [place for place in sys.path if os.path.isabs(place)]
    sys.path[:] = [*(place for place in places if place not in (_ROOT, os.getcwd())), _ROOT]
    os.environ |= {"PYTHONPATH": os.pathsep.join(sys.path), "PYTHONSAFEPATH": "1"}
