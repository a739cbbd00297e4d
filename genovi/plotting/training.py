"""A run's history as a figure: the bound on both kinds of samples, and every term of it apart.

A posterior without a density (``aae``) has no bound: then the terms stand alone.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd

from genovi.errors import DataError
from genovi.files import check_writable
from genovi.plotting.figures import Sheet, check_suffix, new_figure, scaled, style, write_figure
from genovi.plotting.layout import axes_at

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

_PANEL = 152.0  # height of the axes, points
_LEFT, _RIGHT, _TOP, _BOTTOM = 46.0, 8.0, 6.0, 26.0
_KEY, _NARROW_KEY = 26.0, 58.0  # room for it below each panel; on a narrow sheet it is one column
_NARROW = 180.0  # width of a panel
_KEY_COLUMNS = {"bound": 2, "term": 3}
_SMALLEST = 40.0  # side of a panel, points
_ABREAST = 320.0  # width from which both panels stand side by side
_HELD_OUT = (  # column of history.csv, colour, dashes, name
    ("held_out", "#a7321b", "--", "held out"),
    ("held_out_iwae", "#00795a", "-", "held out, importance-weighted"),
)
_TERMS = {  # column of history.csv: colour, dashes
    "reconstruction": ("#1b30af", "-"),
    "prior": ("#00795a", "--"),
    "chain": ("#a7321b", "-."),
    "entropy": ("#8a6a00", ":"),
    "sleep": ("#8c2fb5", (0, (5, 1, 1, 1, 1, 1))),
}


def plot_training(
    run: Path, out: Path, *, sheet: Sheet | None = None, force: bool = False, command: str | None = None
) -> Path:
    """Draw ``history.csv`` of a run folder.

    Args:
        run: The folder that training wrote.
        out: The figure; its suffix chooses the format (PNG, PDF, SVG).
        sheet: Size and style of the paper; None for a page's width.
        force: Overwrite ``out``.
        command: Recorded in the figure's metadata.

    Returns:
        ``out``.

    Raises:
        DataError: no such run, its history is not one, or has nothing to draw.
        ConfigError: unknown suffix, or ``out`` exists.
        ResourceError: ``out`` cannot be written.
    """
    check_suffix(out)
    history = read_history(Path(run))
    check_writable(Path(out), force)
    with style(sheet):
        figure = training_figure(history, sheet)
    write_figure(figure, Path(out), command, sheet)
    return Path(out)


def read_history(run: Path) -> pd.DataFrame:
    """The history of a run: one row for each epoch, columns of ``EpochRecord``.

    Raises:
        DataError: no such run, or its history is not one.
    """
    path = run / "history.csv"
    if not path.is_file():
        raise DataError(
            "not a genovi run", where=run, why="it holds no history.csv", fix="give the folder that genovi train wrote"
        )
    try:
        history = pd.read_csv(path)
    except (OSError, UnicodeDecodeError, pd.errors.EmptyDataError, pd.errors.ParserError) as error:
        raise DataError("cannot read the training history", where=path, why=str(error)) from error
    needed = ("epoch", "bound", *(name for name, *_ in _HELD_OUT), *_TERMS)
    absent = [name for name in needed if name not in history.columns]
    if absent or not len(history):
        why = f"it has no column {absent[0]}" if absent else "it has no epochs"
        raise DataError("not a training history", where=path, why=why, fix="train the model again")
    if not all(pd.api.types.is_numeric_dtype(history[name]) for name in needed):
        raise DataError("not a training history", where=path, why="it holds text", fix="train the model again")
    return history


def training_figure(history: pd.DataFrame, sheet: Sheet | None = None) -> Figure:
    """The figure of ``plot_training``, not written.

    Raises:
        ConfigError: the sheet is too small.
        DataError: no bound and no term has a number.
    """
    sheet = sheet or Sheet()
    bounds = [name for name in ("bound", *(name for name, *_ in _HELD_OUT)) if np.isfinite(history[name]).any()]
    terms = [name for name in _TERMS if history[name].abs().max() > 0]
    if not (bounds or terms):
        raise DataError("nothing to draw", why="the training history holds no numbers", fix="train the model again")
    figure, panels = _panels(sheet, [name for name, drawn in (("bound", bounds), ("term", terms)) if drawn])
    if bounds:
        _draw_bounds(panels["bound"], history, bounds)
    if terms:
        _draw_terms(panels["term"], history, terms)
    for name, ax in panels.items():
        width, height = ax.get_position().size * figure.get_size_inches() * 72
        ax.legend(
            ncols=_KEY_COLUMNS[name] if width >= scaled(_NARROW) else 1,
            loc="upper left",
            bbox_to_anchor=(0.0, -scaled(_BOTTOM) / height),
            borderaxespad=0.0,
            frameon=False,
            fontsize=scaled(6.5),
            handlelength=2.4 if width >= scaled(_NARROW) else 1.7,
            columnspacing=1.4,
        )
    return figure


def _draw_bounds(ax: Axes, history: pd.DataFrame, names: list[str]) -> None:
    """The bound on training samples and on held-out ones, those of ``names``, and the epoch that was best."""
    epoch = history["epoch"].to_numpy()
    curves = []
    if "bound" in names:
        ax.plot(epoch, history["bound"], color="#8fa3d9", linewidth=0.8, label="training")
        curves.append(history["bound"].to_numpy(np.float64))
    best = None
    for name, color, dashes, label in _HELD_OUT:
        if name in names:
            values = history[name].to_numpy(np.float64)
            seen = np.isfinite(values)
            ax.plot(epoch[seen], values[seen], color=color, linestyle=dashes, linewidth=1.0, label=label)
            curves.append(values[seen])
            best = epoch[seen][np.argmax(values[seen])]
    if best is not None:  # early stopping goes by the last of them
        ax.axvline(best, color="#555555", linewidth=0.6, linestyle=":", label=f"best: epoch {best}")
    _focus(ax, curves)


def _draw_terms(ax: Axes, history: pd.DataFrame, names: list[str]) -> None:
    for name in names:
        color, dashes = _TERMS[name]
        ax.plot(history["epoch"], history[name], color=color, linestyle=dashes, linewidth=0.9, label=name)
    _focus(ax, [history[name].to_numpy(np.float64) for name in names])


def _panels(sheet: Sheet, names: list[str]) -> tuple[Figure, dict[str, Axes]]:
    """Axes by name, side by side where the sheet is wide, with room for a key below each."""
    across = len(names) if sheet.width >= _ABREAST else 1
    down = len(names) // across
    width = sheet.width / across - scaled(_LEFT) - _RIGHT
    around = scaled(_BOTTOM + (_KEY if width >= scaled(_NARROW) else _NARROW_KEY)) + _TOP
    height = _PANEL if sheet.height is None else sheet.height / down - around
    if min(height, width) < _SMALLEST:
        raise sheet.too_small("panels and their keys need more room", legend=False)
    figure = new_figure(sheet.width, down * (height + around))
    panels = {}
    for k, name in enumerate(names):
        row, column = divmod(k, across)
        x = column * sheet.width / across + scaled(_LEFT)
        y = (down - 1 - row) * (height + around) + around - _TOP
        panels[name] = axes_at(figure, (x, y, width, height))
        panels[name].set_xlabel("epoch", labelpad=2)
        panels[name].set_ylabel(f"{name} (nats per sample)", labelpad=2)
    return figure, panels


def _focus(ax: Axes, curves: list[np.ndarray]) -> None:
    """Vertical limits that leave out the steep fall of the first epochs."""
    late = [curve[len(curve) // 20 :] for curve in curves]
    values = np.concatenate([curve[np.isfinite(curve)] for curve in late]) if late else np.empty(0)
    if len(values) > 1 and np.ptp(values) > 0:
        margin = 0.06 * np.ptp(values)
        ax.set_ylim(values.min() - margin, values.max() + margin)
