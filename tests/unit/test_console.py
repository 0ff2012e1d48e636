"""What the command line prints, and what it loads for it."""

from __future__ import annotations

import subprocess
import sys

import click
import pytest

from carrel.cli import console, main
from carrel.errors import Refused

ATTACK = "a\x1b]0;owned\x07\x1b[2J\rb\x9bc"
"""What somebody may call a process: sets a terminal's title, clears it, writes over the line."""


def test_what_users_name_says_nothing_to_the_operators_terminal(
    capsys: pytest.CaptureFixture[str],
) -> None:
    console.result(ATTACK)
    console.warning(ATTACK)
    console.table(("NAME",), [(ATTACK,)])
    with pytest.raises(SystemExit):
        console.fail(Refused(ATTACK, why=ATTACK, fix=ATTACK))
    said = "".join(capsys.readouterr())
    assert set(said) & set(map(chr, [*range(10), *range(11, 32), *range(127, 160)])) == set()
    assert said.count("owned") == 6


def test_lines_and_tabs_of_an_answer_stay(capsys: pytest.CaptureFixture[str]) -> None:
    console.result("server {\n\tlisten 443;\n}")
    assert capsys.readouterr().out == "server {\n\tlisten 443;\n}\n"


@pytest.mark.parametrize(("variable", "coloured"), [("", True), ("1", False)])
def test_colours_are_for_terminals_whose_owner_wants_them(
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    variable: str,
    coloured: bool,
) -> None:
    monkeypatch.setenv("NO_COLOR", variable)
    monkeypatch.setattr("click._compat.isatty", lambda _stream: True)
    console.warning("careful")
    assert ("\x1b[" in capsys.readouterr().err) is coloured


def test_a_command_loads_only_what_it_needs() -> None:
    script = (
        "import sys; from carrel.cli.main import carrel;"
        "carrel.main(['shell', '--help'], standalone_mode=False);"
        "print(sorted({'rich', 'tomlkit', 'sqlite3'} & set(sys.modules)), file=sys.stderr)"
    )
    done = subprocess.run(
        [sys.executable, "-c", script], capture_output=True, text=True, check=True
    )
    assert "Usage:" in done.stdout
    assert done.stderr == "[]\n"


@pytest.mark.parametrize("name", main.MODULES)
def test_every_command_is_where_it_is_looked_for(name: str) -> None:
    found = main.carrel.get_command(click.Context(main.carrel), name)
    assert found is not None
    assert found.name == name
    assert found.help
