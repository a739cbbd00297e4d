"""Ranks: the processes that share one training run, and what they say to each other.

Each has a number, from 0; rank 0 alone reads, writes and speaks to people. They are started by ``torchrun``, by
``srun`` or by ``genovi train --processes`` and find each other by the environment variables that torch defines:
RANK, WORLD_SIZE, LOCAL_RANK, MASTER_ADDR, MASTER_PORT. Sums go through torch.distributed: gloo for what is on the CPU,
NCCL for what is on CUDA devices.

A rank that fails says so in the store that all of them share before it leaves; the others lose the connection, look
there, and leave without another word. One that is killed says nothing: the others then speak for it, once.
"""

from __future__ import annotations

import os
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from datetime import timedelta
from typing import TYPE_CHECKING, Any, TypeVar

from genovi.errors import ConfigError, GenoviError, InterruptedRunError, MismatchError, ResourceError

if TYPE_CHECKING:
    import numpy as np
    from torch import Tensor

T = TypeVar("T")

LOST = 76  # what a rank that lost another one ends with where a launcher of genovi will say so in its place
LAUNCHED = "GENOVI_LAUNCHED"
_SILENCE = timedelta(minutes=10)  # of a rank within one exchange; waiting for rank 0 to read has no limit
_JOINING = timedelta(minutes=5)
_GOODBYE = 5.0
_CHUNK = 2**26
_MET_BY_ALL = (InterruptedRunError, MismatchError)  # at the same step: rank 0 has the word
_FAILED = "failed"


class LostRankError(ResourceError):
    """Another rank is gone (exit code 5)."""

    def __init__(self, what: str = "a process of the run was lost", why: str | None = None) -> None:
        super().__init__(
            what,
            why=why or "it was killed, perhaps for want of memory, or its machine failed",
            fix="run the same command again, with more memory if that was it: it goes on from the last checkpoint",
        )


class LeftError(Exception):
    """This rank leaves without a word: another one says why.

    Attributes:
        exit_code: What to end with.
    """

    def __init__(self, exit_code: int) -> None:
        super().__init__(exit_code)
        self.exit_code = exit_code


@dataclass(frozen=True)
class Place:
    """Where a process stands among those of its run.

    Attributes:
        rank: From 0.
        size: How many there are.
        local: Rank among those on the same machine, which is the number of its CUDA device.
        launched: Whether genovi itself started them, and tells what becomes of them.
    """

    rank: int
    size: int
    local: int
    launched: bool

    @staticmethod
    def of(environment: Mapping[str, str]) -> Place | None:
        """What a launcher has put into the environment; None for a process on its own.

        Raises:
            ConfigError: the variables make no sense.
        """
        if "RANK" not in environment or environment.get("WORLD_SIZE", "1") == "1":
            return None
        try:
            rank, size = int(environment["RANK"]), int(environment["WORLD_SIZE"])
            local, _ = int(environment.get("LOCAL_RANK", rank)), environment["MASTER_ADDR"]
            if not 0 <= rank < size or not 0 < int(environment["MASTER_PORT"]) < 2**16:
                raise ValueError
        except (KeyError, ValueError):
            raise ConfigError(
                "RANK, WORLD_SIZE, MASTER_ADDR and MASTER_PORT do not say who the processes of this run are",
                fix="start them with torchrun, or with genovi train --processes, or unset RANK",
            ) from None
        return Place(rank, size, local, LAUNCHED in environment)


@dataclass(frozen=True)
class Ranks:
    """The processes of a run as one of them sees the others; ``ALONE`` for a process on its own.

    Attributes:
        rank: Of this process.
        size: How many there are.
    """

    rank: int = 0
    size: int = 1
    _store: Any = None
    _turns: list[int] = field(default_factory=lambda: [0])

    @property
    def first(self) -> bool:
        return self.rank == 0

    @property
    def alone(self) -> bool:
        return self.size == 1

    def rows(self, n: int, rank: int | None = None) -> slice:
        """Which of ``n`` rows are this rank's, or ``rank``'s: ranges as equal as can be, in the order of ranks."""
        mine = self.rank if rank is None else rank
        return slice(n * mine // self.size, n * (mine + 1) // self.size)

    def sum_(self, values: Tensor) -> None:
        """Put the sum over all ranks in the place of ``values``, of the same shape everywhere.

        Raises:
            LostRankError: as all that follow.
        """
        if self.alone:
            return
        import torch.distributed as dist

        with _losing():
            dist.all_reduce(values)

    def summed(self, values: np.ndarray) -> np.ndarray:
        """The sum over all ranks of contiguous ``values``, in their place."""
        if not self.alone:
            import torch

            self.sum_(torch.from_numpy(values.T if values.flags.f_contiguous else values))
        return values

    def any(self, flag: bool) -> bool:
        """Whether ``flag`` is true on one of the ranks."""
        if self.alone:
            return flag
        import torch

        flags = torch.tensor([float(flag)])
        self.sum_(flags)
        return flags.item() > 0

    def same(self, value: T) -> T:
        """The ``value`` of rank 0, whatever the others gave; they wait for it as long as rank 0 takes."""
        if self.alone:
            return value
        import torch.distributed as dist

        self._turns[0] += 1
        key = f"turn {self._turns[0]}"
        box = [value if self.first else None]
        with _losing():
            if self.first:
                self._store.set(key, "")
            else:
                _await(self._store, key)
            dist.broadcast_object_list(box, src=0)
        return box[0]  # type: ignore[return-value]

    def joined(self, part: np.ndarray) -> np.ndarray:
        """The rows of all ranks, one after another in the order of ranks, on each of them."""
        if self.alone:
            return part
        import numpy as np
        import torch
        import torch.distributed as dist

        with _losing():
            counts: list[int] = [0] * self.size
            dist.all_gather_object(counts, len(part))
            parts = [np.empty((count, *part.shape[1:]), part.dtype) for count in counts]
            parts[self.rank][:] = part
            for rank, rows in enumerate(parts):
                dist.broadcast(torch.from_numpy(rows), src=rank)
        return np.concatenate(parts)

    def dealt(self, array: np.ndarray | None, *, whole: bool = False) -> np.ndarray:
        """Rows of the array that rank 0 has: those of ``rows``, or with ``whole`` all of them, on each rank."""
        if self.alone:
            assert array is not None
            return array
        import numpy as np
        import torch
        import torch.distributed as dist

        shape, dtype = self.same(None if array is None else (array.shape, array.dtype.str))  # type: ignore[misc]
        mine = slice(0, shape[0]) if whole else self.rows(shape[0])
        step = max(1, _CHUNK // max(1, int(np.prod(shape[1:]))))
        with _losing():
            if array is not None:
                for other in range(1, self.size):
                    theirs = mine if whole else self.rows(shape[0], other)
                    for start in range(theirs.start, theirs.stop, step):
                        # a copy: genotypes may be a file that is only to be read
                        dist.send(torch.from_numpy(array[start : min(start + step, theirs.stop)].copy()), other)
                return array[mine]
            out = np.empty((mine.stop - mine.start, *shape[1:]), dtype)
            for start in range(0, len(out), step):
                dist.recv(torch.from_numpy(out[start : start + step]), 0)
        return out


ALONE = Ranks()


@contextmanager
def join(place: Place, device: str) -> Iterator[Ranks]:
    """Meet the other processes, and tell them, or be told, when one of them fails.

    Args:
        place: Of this process.
        device: "cpu" or "cuda", where sums are taken.

    Raises:
        LeftError: this rank leaves, and another one says why.
        ResourceError: the processes did not find each other, or there are more of them than CUDA devices.
        ConfigError: they are not on the same kind of device.
        LostRankError: one is gone before all are there.
    """
    store = _meet(place)
    try:
        _connect(store, place, device)
        yield Ranks(place.rank, place.size, store)
    except (Exception, KeyboardInterrupt) as error:
        code = _claim(store, place, error)
        if code is not None:
            raise LeftError(code) from error
        raise
    finally:
        _leave(store, place)


def _meet(place: Place) -> Any:
    """The store that all ranks share, which rank 0 holds, or the agent of torchrun."""
    import torch.distributed as dist

    try:
        # the variables are those that ``Place.of`` has looked at
        store, _, _ = next(dist.rendezvous("env://", place.rank, place.size, timeout=_JOINING))
        store.set_timeout(_JOINING)
        return dist.PrefixStore("genovi", store)
    except RuntimeError as error:
        raise ResourceError(
            f"the {place.size} processes of the run did not find each other",
            where=f"{os.environ['MASTER_ADDR']}:{os.environ['MASTER_PORT']}",
            why=str(error).splitlines()[0],
            fix="see that all are started, and that the machines reach each other by that name",
        ) from error


def _connect(store: Any, place: Place, device: str) -> None:
    """Start the process group."""
    import torch
    import torch.distributed as dist

    if device == "cuda":
        if place.local >= torch.cuda.device_count():
            raise ResourceError(
                f"no CUDA device for process {place.local + 1} of this machine",
                why=f"it has {torch.cuda.device_count()}, and each process needs its own",
                fix="start fewer processes, or add --device cpu",
            )
        torch.cuda.set_device(place.local)
    with _losing():
        store.set(f"device {place.rank}", device)
    devices = set()
    for rank in range(place.size):
        _await(store, f"device {rank}")
        devices.add(store.get(f"device {rank}"))
    if len(devices) > 1:
        raise ConfigError("some processes are on CUDA devices and some are not", fix="add --device cpu")
    backend = "cpu:gloo,cuda:nccl" if device == "cuda" else "gloo"
    with _losing():
        dist.init_process_group(backend, store=store, rank=place.rank, world_size=place.size, timeout=_SILENCE)


def _claim(store: Any, place: Place, error: BaseException) -> int | None:
    """Settle which rank speaks of a failure; returns what another one leaves with, None for the one that speaks."""
    code = 130 if isinstance(error, KeyboardInterrupt) else 1
    if isinstance(error, GenoviError | LeftError):
        code = error.exit_code
    try:
        if isinstance(error, _MET_BY_ALL) and place.rank != 0:
            with suppress(LostRankError):
                _await(store, _FAILED)
            return code
        if isinstance(error, LeftError):  # told to by its launcher, who speaks
            store.compare_set(_FAILED, "", f"{place.rank} {code}")
            return code
        if isinstance(error, LostRankError) and place.launched:
            return int(store.get(_FAILED).split()[1]) if store.check([_FAILED]) else LOST
        mine = f"{place.rank} {code}"
        found: str = store.compare_set(_FAILED, "", mine).decode()
        return None if found == mine else int(found.split()[1])
    except RuntimeError:  # the store is gone with rank 0, which was killed
        return LOST if place.launched else code if place.rank > 1 else None


def _leave(store: Any, place: Place) -> None:
    """End the process group; rank 0, where it holds the store, leaves last where there was a failure."""
    import torch.distributed as dist

    with suppress(RuntimeError):
        if store.check([_FAILED]):
            store.add("left", 1)
            end = time.monotonic() + _GOODBYE
            hosting = place.rank == 0 and os.environ.get("TORCHELASTIC_USE_AGENT_STORE") != "True"
            while hosting and store.add("left", 0) < place.size and time.monotonic() < end:
                time.sleep(0.02)
        if dist.is_initialized():
            dist.destroy_process_group()


def _await(store: Any, key: str) -> None:
    """Wait for ``key``, or for the news that a rank failed, in which case there is nothing to wait for.

    Raises:
        LostRankError: a rank failed, or the store is gone.
    """
    pause = 0.005
    with _losing():
        while not store.check([key]):
            if store.check([_FAILED]):
                raise LostRankError
            time.sleep(pause)
            pause = min(0.5, 1.2 * pause)


@contextmanager
def _losing() -> Iterator[None]:
    """Within it what torch raises when an exchange fails means that another rank is gone."""
    try:
        yield
    except RuntimeError as error:
        first = str(error).splitlines()[0] if str(error) else ""
        silent = "imed out" in first or "imeout" in first
        raise LostRankError(why=f"it said nothing for {_SILENCE.seconds // 60} minutes" if silent else None) from error
