"""The machine: what of it this process may use."""

from __future__ import annotations

import os


def available_cpus() -> int:
    """CPUs that this process may use: a batch system or ``taskset`` may have given it fewer than there are."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
