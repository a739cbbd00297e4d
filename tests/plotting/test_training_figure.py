"""The training figure draws what history.csv holds."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from genovi.errors import ConfigError, DataError
from genovi.plotting.figures import Sheet, style
from genovi.plotting.training import plot_training, read_history, training_figure
from genovi.training.monitor import EpochRecord


def history(n: int = 60, every: int = 5) -> pd.DataFrame:
    epoch = np.arange(1, n + 1)
    table = pd.DataFrame(0.0, index=range(n), columns=EpochRecord.columns())
    table["epoch"] = epoch
    table["bound"] = -30 - 50 * np.exp(-epoch / 10)
    table["reconstruction"] = table["bound"] + 3
    table["prior"] = -3.0
    held_out = np.where(epoch % every == 0, -31 - ((epoch - 30) / 20.0) ** 2, np.nan)
    table["held_out"] = held_out
    table["held_out_iwae"] = held_out + 0.02 * epoch  # best at epoch 35
    return table


def run_with(folder: Path, text: str) -> Path:
    folder.mkdir()
    (folder / "history.csv").write_text(text)
    return folder


def test_bounds_terms_and_the_best_epoch_are_drawn() -> None:
    with style():
        figure = training_figure(history())
    left, right = figure.axes
    by_name = {line.get_label(): line for line in left.lines}
    np.testing.assert_allclose(by_name["training"].get_ydata(), history()["bound"])
    assert len(by_name["held out"].get_xdata()) == 12  # epochs without a held-out bound are left out
    assert len(by_name["held out, importance-weighted"].get_xdata()) == 12
    assert "best: epoch 35" in by_name  # early stopping goes by the importance-weighted bound
    assert [line.get_label() for line in right.lines] == [
        "reconstruction",
        "prior",
    ]  # terms that are zero are not there


def test_without_a_held_out_bound_the_training_bound_is_drawn_alone() -> None:
    with style():
        figure = training_figure(history(every=1000))
    assert [line.get_label() for line in figure.axes[0].lines] == ["training"]


@pytest.mark.parametrize("size", ["page", "column"])
def test_without_any_bound_the_terms_stand_alone(size: str) -> None:
    table = history()
    table[["bound", "held_out", "held_out_iwae"]] = np.nan  # as aae leaves them: its posterior has no density
    with style():
        figure = training_figure(table, Sheet.parse(size))
    (only,) = figure.axes
    assert [line.get_label() for line in only.lines] == ["reconstruction", "prior"]
    assert only.get_ylabel().startswith("term")


def test_a_history_of_no_numbers() -> None:
    table = history()
    table[table.columns.drop("epoch")] = np.nan
    with style(), pytest.raises(DataError, match="nothing to draw"):
        training_figure(table)


@pytest.mark.parametrize("size", ["page", "column", "60", "150x60", "120x140"])
def test_keys_stand_below_their_panels_on_the_sheet(size: str) -> None:
    table = history()
    table[["chain", "entropy", "sleep"]] = [-4.0, 3.0, 5.0]
    sheet = Sheet.parse(size)
    with style():
        figure = training_figure(table, sheet)
        figure.draw_without_rendering()
    keys = [ax.get_legend().get_window_extent() for ax in figure.axes]
    assert figure.get_size_inches()[0] * 72 == pytest.approx(sheet.width)
    for key, ax in zip(keys, figure.axes, strict=True):
        assert key.y0 >= 0
        assert key.x1 <= figure.bbox.x1
        assert key.y1 < ax.xaxis.label.get_window_extent().y0
    assert not keys[0].overlaps(keys[1])


def test_a_sheet_too_small_for_both_panels() -> None:
    with style(), pytest.raises(ConfigError, match="--size"):
        training_figure(history(), Sheet.parse("60x40"))


@pytest.mark.parametrize("suffix", [".png", ".pdf", ".svg"])
def test_file_is_written_and_repeatable(tmp_path: Path, suffix: str) -> None:
    run = run_with(tmp_path / "run", history().to_csv(index=False))
    one, two = (plot_training(run, tmp_path / f"{i}{suffix}") for i in (1, 2))
    assert one.read_bytes() == two.read_bytes()


def test_one_epoch_is_enough(tmp_path: Path) -> None:
    run = run_with(tmp_path / "run", history(1).to_csv(index=False))
    assert plot_training(run, tmp_path / "figure.png").is_file()


def test_not_a_run(tmp_path: Path) -> None:
    for folder in (tmp_path, tmp_path / "absent"):
        with pytest.raises(DataError, match=r"history\.csv"):
            plot_training(folder, tmp_path / "figure.png")
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("text", ["", "a,b\n1,2\n", ",".join(EpochRecord.columns()) + "\n", "\0\1\2"])
def test_not_a_history(tmp_path: Path, text: str) -> None:
    with pytest.raises(DataError):
        read_history(run_with(tmp_path / "run", text))


def test_text_where_numbers_belong(tmp_path: Path) -> None:
    table = history().astype(object)
    table.loc[3, "bound"] = "oops"
    with pytest.raises(DataError, match="text"):
        read_history(run_with(tmp_path / "run", table.to_csv(index=False)))


def test_unknown_suffix(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"\.svg"):
        plot_training(run_with(tmp_path / "run", history().to_csv(index=False)), tmp_path / "figure.bmp")
