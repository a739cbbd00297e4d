"""The log file, and what training shows while it runs."""

from __future__ import annotations

import logging
import math
import signal
import subprocess
import sys
import warnings

import pytest

from genovi.provenance import Provenance
from genovi.training.monitor import EpochRecord
from genovi_cli.console import Display, RunLog, reporting

log = logging.getLogger("genovi")


def record(epoch: int, held_out: float = math.nan) -> EpochRecord:
    known = {"epoch": epoch, "bound": -30.5, "held_out": held_out, "seconds": 2.0 * epoch}
    return EpochRecord(**{name: known.get(name, 0.0) for name in EpochRecord.columns()})


def run_log(**options: object) -> RunLog:
    return RunLog("train", options, Provenance.start(seed=7, command="genovi train x.vcf --out run"))


def test_the_log_has_what_plink2_users_look_for() -> None:
    kept = run_log(inputs=["x.vcf", "y.vcf"], latent_dim=2, dry_run=False, force=True, keep=None, threads=3)
    with reporting(Display(), kept):
        log.info("read %d samples", 5)
        log.warning("odd\nthing")
    lines = kept.text(["done"]).splitlines()
    assert lines[0].startswith("genovi ")
    assert lines[1:7] == [
        "Options in effect:",
        "  train",
        "  --inputs x.vcf y.vcf",
        "  --latent-dim 2",
        "  --force",
        "  --threads 3",
    ]
    assert "Command: genovi train x.vcf --out run" in lines
    assert "Random number seed: 7" in lines
    assert "Threads: 3" in lines
    for head in ("Hostname: ", "Working directory: ", "Start time: ", "End time: ", "Peak memory: "):
        assert sum(line.startswith(head) for line in lines) == 1
    where = lines.index("read 5 samples")
    assert lines[where + 1 : where + 3] == ["Warning: odd thing", "done"]


def test_messages_go_to_stderr_and_stop_afterwards(capsys: pytest.CaptureFixture[str]) -> None:
    with reporting(Display()):
        log.info("said")
        log.debug("not said")
    log.info("too late")
    assert capsys.readouterr() == ("", "said\n")


def test_quiet_shows_warnings_only_but_logs_everything(capsys: pytest.CaptureFixture[str]) -> None:
    kept = run_log()
    with reporting(Display(quiet=True), kept, quiet=True):
        log.info("count")
        log.warning("care")
    assert capsys.readouterr().err == "Warning: care\n"
    assert "count\n" in kept.text()


@pytest.mark.filterwarnings("default")
def test_warnings_of_other_libraries_become_one_line(capsys: pytest.CaptureFixture[str]) -> None:
    with reporting(Display()):
        warnings.warn("first\nsecond", UserWarning, stacklevel=1)
    stderr = capsys.readouterr().err
    assert stderr.count("\n") == 1
    assert "first second" in stderr


def test_handlers_and_level_are_put_back_after_an_error(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.ERROR, logger="genovi")
    before = (list(log.handlers), log.level)
    with pytest.raises(ValueError, match="x"), reporting(Display(), run_log()):
        raise ValueError("x")
    assert (list(log.handlers), log.level) == before


def test_away_from_a_terminal_training_is_a_line_at_each_tenth(capsys: pytest.CaptureFixture[str]) -> None:
    display = Display()
    with reporting(display):
        display.begin(50)
        for epoch in range(1, 51):
            display.epoch(record(epoch, held_out=-31.25 if epoch == 5 else math.nan))
        display.settle(70)
        display.end("finished")
    lines = capsys.readouterr().err.splitlines()
    assert len(lines) == 12
    assert lines[0] == "epoch 5 of at most 50: bound -30.50, held out -31.25 nats per sample; at most 90 s left"
    assert lines[9].startswith("epoch 50 of at most 50")
    assert lines[10] == "the posterior settles: 70 steps more, prior and decoder as they are"
    assert lines[11] == "training ended: finished"


def test_on_a_terminal_training_is_a_bar_and_messages_stay_above_it(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("sys.stderr.isatty", lambda: True, raising=False)
    monkeypatch.setenv("TERM", "xterm")
    display = Display()
    kept = run_log()
    with reporting(display, kept):
        display.begin(20)
        for epoch in range(1, 21):
            display.epoch(record(epoch))
        log.warning("care [not markup]")
        display.settle(70)
        display.end("early stop")
    stderr = capsys.readouterr().err
    assert "epoch 20/20" in stderr
    assert "epoch 20/20  the posterior settles" in stderr
    assert "Warning: care [not markup]" in stderr
    assert "of at most" not in stderr  # the bar says it
    assert "epoch 20 of at most 20" in kept.text()


def test_fewer_epochs_than_lines() -> None:
    display = Display(quiet=True)
    with reporting(display, quiet=True):
        display.begin(1)
        display.epoch(record(1))
        display.end("finished")


@pytest.mark.parametrize("second", ["SIGTERM", "SIGINT", "SIGUSR1"])
@pytest.mark.parametrize("first", ["SIGTERM", "SIGINT", "SIGUSR1"])
def test_a_first_signal_is_noted_and_a_second_ends_the_program(first: str, second: str) -> None:
    script = (
        "import signal\n"
        "from genovi_cli.signals import StopSignals\n"
        "signal.signal(signal.SIGINT, signal.default_int_handler)\n"  # a suite in the background hands it down ignored
        "stop = StopSignals()\n"
        "stop.install()\n"
        f"signal.raise_signal(signal.{first})\n"
        "print(stop.received, flush=True)\n"
        f"signal.raise_signal(signal.{second})\n"
        "print('still here')\n"
    )
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=False)
    assert done.stdout == "True\n"
    assert done.returncode == -getattr(signal, second)
