"""What several commands need: the command line as typed, a seed, and label files."""

from __future__ import annotations

import secrets
import shlex
from pathlib import Path
from typing import TYPE_CHECKING

import typer

if TYPE_CHECKING:
    from genovi.labels import SampleLabels


def typed(ctx: typer.Context) -> str:
    """The command line as it could be typed again."""
    return shlex.join(["genovi", *(ctx.find_root().obj or [])])


def draw_seed(seed: int | None) -> int:
    """``seed``, or a fresh one, which the outputs record."""
    return secrets.randbelow(2**31) if seed is None else seed


def labels_or_none(path: Path | None) -> SampleLabels | None:
    """Labels of ``path``, if it is given."""
    if path is None:
        return None
    from genovi.labels import read_labels

    return read_labels(path)
