"""`python -m eval`: every command is there, and its module is imported only when it is called."""

import pytest

pytest.importorskip("torch")

from eval.__main__ import COMMANDS, main


@pytest.mark.parametrize("name", COMMANDS)
def test_every_command_explains_its_options(name, capsys):
    with pytest.raises(SystemExit) as end:
        main([name, "--help"])
    assert end.value.code == 0 and f"python -m eval {name}" in capsys.readouterr().out
