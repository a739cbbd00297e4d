"""history.csv holds every term of every epoch."""

from __future__ import annotations

import io
import math

import pandas as pd
import pytest

from genovi.training.monitor import EpochRecord, Monitor, history_csv

COLUMNS = ["epoch", "bound", "reconstruction", "prior", "chain", "entropy", "sleep", "held_out", "held_out_iwae"]
COLUMNS += ["beta", "lr", "gradient_norm", "seconds"]


def record(epoch: int) -> EpochRecord:
    values = {name: 0.1 * i + epoch for i, name in enumerate(COLUMNS[1:], start=1)}
    return EpochRecord(epoch=epoch, **{**values, "held_out": math.nan if epoch == 1 else -3.25})


def test_columns_are_those_that_readers_know() -> None:
    assert EpochRecord.columns() == COLUMNS


def test_the_text_reads_back() -> None:
    table = pd.read_csv(io.StringIO(history_csv([record(1), record(2)])))
    assert list(table.columns) == COLUMNS
    assert table["epoch"].tolist() == [1, 2]
    assert math.isnan(table["held_out"][0]) and table["held_out"][1] == -3.25
    assert table["seconds"][1] == pytest.approx(2 + 0.1 * 12)


def test_an_empty_history_is_a_header() -> None:
    assert history_csv([]) == ",".join(COLUMNS) + "\n"


def test_the_base_monitor_listens_and_says_nothing(capsys: pytest.CaptureFixture[str]) -> None:
    monitor = Monitor()
    monitor.begin(3)
    monitor.epoch(record(1))
    monitor.end("finished")
    assert capsys.readouterr() == ("", "")
