"""Write ``docs/commands.md``: the help of every command, as ``--help`` shows it.

    python docs/site/commands.py

A test compares the page with what this would write.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import typer
from typer.testing import CliRunner

from genovi_cli.app import app

PAGE = Path(__file__).resolve().parents[1] / "commands.md"
HEAD = """\
# Every command

What `genovi COMMAND --help` says, at 80 columns. This page is written by `docs/site/commands.py`.
Errors end with an [exit code](exit-codes.md) that says whose fault it is.

"""


def commands() -> Iterator[list[str]]:
    """Words of every command that does something, in the order of ``genovi --help``."""
    root = typer.main.get_command(app)
    for name, command in root.commands.items():  # type: ignore[attr-defined]
        below = getattr(command, "commands", None)
        yield from [[name]] if below is None else [[name, inner] for inner in below]


def help_of(words: list[str]) -> str:
    """What ``--help`` prints after ``genovi WORDS``."""
    terminal = {"COLUMNS": "80", "TERMINAL_WIDTH": "80"}
    return CliRunner().invoke(app, [*words, "--help"], prog_name="genovi", env=terminal).stdout.strip()


def page() -> str:
    """The whole page."""
    parts = [HEAD]
    for words in commands():
        text = help_of(words)
        first = text.split("\n\n")[1].split(". ")[0]
        summary = " ".join(first.split()).rstrip(".")
        anchor = "-".join(["genovi", *words])
        parts.append(f"- [`genovi {' '.join(words)}`](#{anchor}): {summary}\n")
    for words in commands():
        parts.append(f"\n## genovi {' '.join(words)}\n\n```text\n{help_of(words)}\n```\n")
    return "".join(parts)


if __name__ == "__main__":
    PAGE.write_text(page(), encoding="utf-8")
