"""How much memory reading may take: --memory, or a share of what the machine has."""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path

from genovi.errors import ConfigError

MIB = 1 << 20
_SHARE = 0.5  # of what is free: principal components come after
_WORKING = 64 * MIB  # buffers of threads, and pieces that wait for one another
_LEAST = 32 * MIB
_PENDING_SHARE = 0.125
_KEPT_SHARE = 2 / 3  # pruning copies what it leaves, up to half
_MOST_PENDING = 512 * MIB
_CGROUP = ("/sys/fs/cgroup/memory.max", "/sys/fs/cgroup/memory/memory.limit_in_bytes")


@dataclass(frozen=True)
class MemoryPlan:
    """How the memory for reading is divided.

    Attributes:
        kept: Bytes of packed genotypes and variants that stay in memory; more goes to disk.
        pending: Bytes of genotypes that wait, unfiltered by missing share and frequency, for the end of reading; with
            more, the filters run while reading.
        folder: Where a temporary file goes; None for nowhere.
    """

    kept: int | None
    pending: int | None
    folder: Path | None


UNBOUNDED = MemoryPlan(None, None, None)


def plan_memory(limit: float | None, folder: Path | None) -> MemoryPlan:
    """Divide the memory of the process.

    Args:
        limit: Most memory of the whole process while it reads, in MiB (--memory); None takes half of what is free.
        folder: Where a temporary file goes.

    Raises:
        ConfigError: the program itself takes about as much.
    """
    from genovi.genotypes import kernels, linekernels  # noqa: F401  what they take counts as taken

    taken = resident_bytes() + _WORKING
    if limit is not None and not 0 < limit < 2**40:
        raise ConfigError(f"--memory {limit:g} is not an amount of memory", fix="type mebibytes, such as --memory 8000")
    room = int(_SHARE * free_bytes()) if limit is None else int(limit * MIB) - taken
    if limit is None:
        room = max(room, _LEAST)
    elif room < _LEAST:
        raise ConfigError(
            f"--memory {limit:g} is too little",
            why=f"the program itself takes {taken / MIB:.0f} MiB",
            fix=f"type --memory {(taken + 4 * _LEAST) / MIB:.0f} or more",
        )
    pending = min(int(_PENDING_SHARE * room), _MOST_PENDING)
    return MemoryPlan(int(_KEPT_SHARE * (room - 2 * pending)), pending, folder)


def resident_bytes() -> int:
    """Memory that this process has now."""
    try:
        return int(Path("/proc/self/statm").read_text(encoding="ascii").split()[1]) * os.sysconf("SC_PAGE_SIZE")
    except (OSError, IndexError, ValueError):
        return 250 * MIB  # about what the packages take


def free_bytes() -> int:
    """Memory that could be had: what the system calls available, but not more than a container may take."""
    try:
        text = Path("/proc/meminfo").read_text(encoding="ascii")
        free = int(text.partition("MemAvailable:")[2].split(maxsplit=1)[0]) * 1024
    except (OSError, IndexError, ValueError):
        free = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") // 2
    for name in _CGROUP:
        try:
            free = min(free, max(0, int(Path(name).read_text(encoding="ascii")) - resident_bytes()))
        except (OSError, ValueError):
            continue
    return free
