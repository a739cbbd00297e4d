"""``genovi train`` in several processes: starting them, being one of them, and one voice for all.

The parent starts the processes on this machine and watches them. It says what none of them can: that one was killed.
"""

from __future__ import annotations

import logging
import os
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from types import FrameType

import typer

from genovi.errors import ConfigError, GenoviError, InterruptedRunError
from genovi.machine import available_cpus
from genovi.ranks import ALONE, LAUNCHED, LOST, LeftError, LostRankError, Place, Ranks, join
from genovi.training.monitor import Monitor
from genovi_cli.signals import StopSignals

_TERMINATED = 128 + signal.SIGTERM
_GRACE = 5.0  # seconds that the others have to notice by themselves, and again after SIGTERM
_QUIET = {"TORCH_CPP_LOG_LEVEL": "ERROR"}  # else torch writes of every lost connection on stderr


class Unseen(Monitor):
    """Of a rank other than 0: shows nothing, and hears signals."""

    def __init__(self) -> None:
        self._stop = StopSignals(once=True)

    @property
    def stop_requested(self) -> bool:
        """Whether a signal asked to stop."""
        return self._stop.received

    def begin(self, epochs: int, done: int = 0) -> None:
        """Training starts."""
        self._stop.install()

    def end(self, reason: str) -> None:
        """Training is over."""
        self._stop.restore()


def check_processes(processes: int, batch_size: int) -> None:
    """Refuse a number of processes that nothing could come of.

    Raises:
        ConfigError: none, or more than there are samples in a step.
    """
    if processes < 1:
        raise ConfigError("--processes must be at least 1", where=processes)
    if processes > max(1, batch_size):
        raise ConfigError(
            f"{processes} processes for --batch-size {batch_size}",
            why="each takes its part of the samples of a step",
            fix="start fewer processes",
        )


def find_place(processes: int, batch_size: int) -> Place | None:
    """Where this process stands among those of its run; None where it is not one of several yet.

    Raises:
        ConfigError: ``processes`` makes no sense, or is not the number that the launcher says.
    """
    check_processes(processes, batch_size)
    place = Place.of(os.environ)
    if place is not None and processes not in (1, place.size):
        raise ConfigError(
            f"--processes {processes}", why=f"{place.size} processes are started already", fix="leave --processes out"
        )
    return place


@contextmanager
def unheard(place: Place | None) -> Iterator[None]:
    """Within it ranks other than 0 leave without a word where they fail: rank 0 meets the same."""
    if place is not None:
        os.environ.update({name: value for name, value in _QUIET.items() if name not in os.environ})
        _follow(place)
    try:
        yield
    except LeftError as error:
        raise typer.Exit(error.exit_code) from error
    except GenoviError as error:
        if place is None or place.rank == 0:
            raise
        raise typer.Exit(error.exit_code) from error


@contextmanager
def joined(place: Place | None, device: str) -> Iterator[Ranks]:
    """The ranks of this run, from meeting the others to parting from them; ``ALONE`` where there are no others."""
    if place is None:
        yield ALONE
        return
    if place.rank != 0:
        logging.captureWarnings(True)
        for name in ("genovi", "py.warnings"):
            logging.getLogger(name).addHandler(logging.NullHandler())
    try:
        with join(place, device) as ranks:
            yield ranks
    except LeftError as error:
        raise typer.Exit(error.exit_code) from error


def _follow(place: Place) -> None:
    """End quietly when the launcher says so, and at once when a launcher of genovi is gone."""

    def leave(number: int, frame: FrameType | None) -> None:
        signal.signal(signal.SIGTERM, signal.SIG_IGN)
        raise LeftError(_TERMINATED)

    def watch() -> None:
        os.read(int(os.environ[LAUNCHED]), 1)  # nothing is ever written: it returns when the parent ends
        os._exit(_TERMINATED)

    signal.signal(signal.SIGTERM, leave)
    if place.launched:
        threading.Thread(target=watch, daemon=True).start()


class _Children:
    """The processes of a run."""

    def __init__(self, words: Sequence[str], n: int) -> None:
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            port = free.getsockname()[1]
        self.lifeline, writing = os.pipe()
        threads = str(max(1, available_cpus() // n))
        shared = {"OMP_NUM_THREADS": threads, **_QUIET, **_loopback(), **os.environ}
        shared |= {"WORLD_SIZE": str(n), "MASTER_ADDR": "127.0.0.1", "MASTER_PORT": str(port)}
        shared |= {LAUNCHED: str(self.lifeline)}
        self.running: dict[int, subprocess.Popen[bytes]] = {}
        self.ended: dict[int, int] = {}
        self.signals: list[int] = []
        self.writing = writing
        for rank in range(n):
            self.running[rank] = subprocess.Popen(
                [sys.executable, "-m", "genovi", *words],
                env=shared | {"RANK": str(rank), "LOCAL_RANK": str(rank)},
                stdin=None if rank == 0 else subprocess.DEVNULL,
                stdout=None if rank == 0 else subprocess.DEVNULL,
                pass_fds=[self.lifeline],
                start_new_session=True,  # Ctrl-C reaches the parent alone, which passes it on
            )
        os.close(self.lifeline)

    def wait(self) -> None:
        """Until all have ended; once one fails the others get some time, then SIGTERM, then SIGKILL."""
        measures = [signal.SIGTERM, signal.SIGKILL]
        deadline = float("inf")
        heard = 0
        while self.running:
            for rank, child in list(self.running.items()):
                if (code := child.poll()) is not None:
                    self.ended[rank] = code
                    del self.running[rank]
                    if code != 0:
                        deadline = min(deadline, time.monotonic() + _GRACE)
            if len(self.signals) > heard:
                heard = len(self.signals)
                self.send(signal.SIGTERM if heard == 1 else signal.SIGKILL)
            if time.monotonic() > deadline and measures:
                self.send(measures.pop(0))
                deadline = time.monotonic() + _GRACE
            time.sleep(0.02)

    def send(self, number: int) -> None:
        """A signal to those that are left."""
        for child in self.running.values():
            child.send_signal(number)

    def note(self, number: int, frame: FrameType | None) -> None:
        """Keep a signal that the parent was sent."""
        self.signals.append(number)


def launch(words: Sequence[str], n: int) -> int:
    """Run a command in n processes of this machine.

    Args:
        words: What follows ``genovi``.
        n: How many.

    Returns:
        The exit code, of which the processes have said what there is to say.

    Raises:
        LostRankError: one was killed.
    """
    children = _Children(words, n)
    stopping = [getattr(signal, name) for name in ("SIGTERM", "SIGINT", "SIGUSR1") if hasattr(signal, name)]
    before = {number: signal.signal(number, children.note) for number in stopping}
    try:
        children.wait()
    finally:
        os.close(children.writing)
        for number, handler in before.items():
            signal.signal(number, handler)
    ended = children.ended
    if all(code == 0 for code in ended.values()):
        return 0
    if children.signals:
        if InterruptedRunError.exit_code in ended.values():
            return InterruptedRunError.exit_code
        signal.raise_signal(signal.SIGINT if children.signals[0] == signal.SIGINT else signal.SIGTERM)
    spoken = [code for code in ended.values() if code > 0 and code not in (LOST, _TERMINATED)]
    if spoken:
        return spoken[0]
    killed = [(rank, -code) for rank, code in ended.items() if code < 0]
    if killed:
        rank, number = killed[0]
        raise LostRankError(f"process {rank + 1} of {n} was ended by {signal.Signals(number).name}")
    raise LostRankError


def _loopback() -> dict[str, str]:
    """The interface of processes on one machine, whose name other machines, or none, may know."""
    return {"GLOO_SOCKET_IFNAME": "lo"} if sys.platform == "linux" else {}
