"""`python -m eval`: every command is there, and its module is imported only when it is called."""

import subprocess
import sys

import pytest

pytest.importorskip("torch")

from eval.__main__ import COMMANDS, main


@pytest.mark.parametrize("name", COMMANDS)
def test_every_command_explains_its_options(name, capsys):
    with pytest.raises(SystemExit) as end:
        main([name, "--help"])
    assert end.value.code == 0 and f"python -m eval {name}" in capsys.readouterr().out


def test_the_list_of_commands_imports_none_of_them():
    script = """
import sys
from eval.__main__ import main
try:
    main(["--help"])
finally:
    print(sorted(name for name in sys.modules if name.startswith("eval.")))
"""
    done = subprocess.run(
        [sys.executable, "-c", script], capture_output=True, text=True, check=True
    )
    assert "condense" in done.stdout and "['eval.__main__', 'eval.tools']" in done.stdout
