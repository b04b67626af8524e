"""A process for one task, which comes on standard input; its outcome goes to standard output.
`gvcodec.batch.engines` starts it. It ends when standard input does, since then nobody waits for it.
"""

from __future__ import annotations

import os
import pickle
import sys
import threading

from gvcodec.batch.task import perform


def _end_with_input() -> None:
    sys.stdin.buffer.read()
    os._exit(0)


def main() -> None:
    # Libraries print to standard output; the outcome goes where it pointed to.
    answers = os.fdopen(os.dup(1), "wb")
    os.dup2(2, 1)
    task = pickle.load(sys.stdin.buffer)
    threading.Thread(target=_end_with_input, daemon=True).start()
    pickle.dump(perform(task), answers)
    answers.flush()
    # Nothing else is left to do, whatever libraries still think.
    os._exit(0)


if __name__ == "__main__":
    main()
