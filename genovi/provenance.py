"""Provenance: what was run, on what, with what, and what it took. Written into every model and log."""

from __future__ import annotations

import hashlib
import platform
import resource
import shlex
import sys
import time
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field
from importlib import metadata
from pathlib import Path

from genovi.errors import DataError

_PACKAGES = ("torch", "numpy", "pandas", "scipy", "scikit-learn", "numba", "isal", "zuko", "umap-learn")


def version() -> str:
    """Version of the installed genovi distribution, "unknown" where it is run without being installed."""
    try:
        return metadata.version("genovi-popgen")
    except metadata.PackageNotFoundError:
        return "unknown"


def peak_memory_mib() -> float:
    """Peak resident memory of this process in MiB."""
    try:  # Linux: getrusage would also count what the parent process held when it started this one
        status = Path("/proc/self/status").read_text(encoding="ascii", errors="replace")
        return int(status.partition("VmHWM:")[2].split(maxsplit=1)[0]) / 1024
    except (OSError, IndexError, ValueError):
        peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
        return peak / (1024 if sys.platform != "darwin" else 1024**2)


def file_digest(path: Path) -> str:
    """SHA-256 of a file, as hexadecimal.

    Raises:
        DataError: the file cannot be read.
    """
    try:
        with open(path, "rb") as handle:
            return hashlib.file_digest(handle, "sha256").hexdigest()
    except OSError as error:
        raise DataError("cannot read", where=path, why=error.strerror, fix="check the path and permissions") from error


@dataclass
class Provenance:
    """A run's record; ``finish`` fills in what is known at its end only.

    Attributes:
        command: The command line, as it could be typed again.
        genovi: Version of genovi.
        seed: Root seed, None where nothing is drawn.
        python: Python version.
        packages: Versions of the packages that results depend on.
        host: Host name.
        inputs: SHA-256 by file name (base name: folders say things about people's machines). A second file of the
            same name is listed as "name (2)"; what is not a regular file (a pipe) has "" for want of a second look.
        started: ISO 8601 local time.
        finished: The same, "" until finished.
        wall_seconds: Elapsed time.
        peak_memory_mib: Peak resident memory.
    """

    command: str
    genovi: str
    seed: int | None
    python: str = field(default_factory=platform.python_version)
    packages: dict[str, str] = field(default_factory=dict)
    host: str = field(default_factory=platform.node)
    inputs: dict[str, str] = field(default_factory=dict)
    started: str = field(default_factory=lambda: time.strftime("%Y-%m-%dT%H:%M:%S%z"))
    finished: str = ""
    wall_seconds: float = 0.0
    peak_memory_mib: float = 0.0
    _clock: float = field(default_factory=time.perf_counter, repr=False)

    @staticmethod
    def start(seed: int | None = None, command: str | None = None, inputs: Sequence[Path] | None = None) -> Provenance:
        """Begin a record now.

        Raises:
            DataError: an input cannot be read.
        """
        packages = {}
        for name in _PACKAGES:
            try:
                packages[name] = metadata.version(name)
            except metadata.PackageNotFoundError:
                continue
        return Provenance(
            command=command if command is not None else shlex.join(["genovi", *sys.argv[1:]]),
            genovi=version(),
            seed=None if seed is None else int(seed),  # a NumPy integer is not JSON
            packages=packages,
            inputs=_digests([Path(path) for path in inputs or []]),
        )

    def finish(self) -> Provenance:
        """Fill in the end, the elapsed time and the peak memory; returns itself."""
        self.finished = time.strftime("%Y-%m-%dT%H:%M:%S%z")
        self.wall_seconds = round(time.perf_counter() - self._clock, 3)
        self.peak_memory_mib = round(peak_memory_mib(), 1)
        return self

    def to_dict(self) -> dict[str, object]:
        """The record as JSON-ready values."""
        record = asdict(self)
        record.pop("_clock")
        return record


def _digests(paths: list[Path]) -> dict[str, str]:
    digests: dict[str, str] = {}
    for path in paths:
        name, copies = path.name, 1
        while name in digests:
            copies += 1
            name = f"{path.name} ({copies})"
        readable_twice = path.is_file() or not path.exists()
        digests[name] = file_digest(path) if readable_twice else ""
    return digests
