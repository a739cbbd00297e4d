"""Checkpoints: the whole state of a training run on disk, so that a run that is stopped goes on as if it had not been.

    FOLDER/latest.safetensors     the newest state
    FOLDER/previous.safetensors   the one before, for when the newest is damaged

A file is written under a temporary name, flushed to the disk and renamed, and the older one is kept, so that at every
moment at least one good state is there. Files hold tensors and JSON; reading them executes nothing. Each carries a
digest of its own tensors.
"""

from __future__ import annotations

import hashlib
import json
import logging
import os
import time
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save as to_bytes
from torch import Tensor

from genovi.errors import ConfigError, DataError, ResourceError

logger = logging.getLogger("genovi")

FORMAT_VERSION = 1
SUFFIX = ".checkpoint"
LATEST, PREVIOUS = "latest.safetensors", "previous.safetensors"
_KIND = "genovi checkpoint"
_DAMAGE = (SafetensorError, ValueError, LookupError, TypeError, RuntimeError, OSError, EOFError)


@dataclass(frozen=True)
class Snapshot:
    """State of a training run between two steps.

    Attributes:
        tensors: Weights, optimiser, random streams, order of the samples, by name.
        numbers: Counters, JSON-ready.
    """

    tensors: Mapping[str, Tensor]
    numbers: Mapping[str, Any]


class Checkpoints:
    """Where a run keeps its state.

    Args:
        folder: Made when it is first needed; of what else lies in it nothing is touched.
        identity: What a run must have in common with one that it goes on from, JSON-ready.
        every: Seconds between two checkpoints; 0 writes one after every epoch.
        resume: Whether to go on from what is there; else it is overwritten by the first checkpoint.
    """

    def __init__(self, folder: Path, identity: Mapping[str, Any], every: float, resume: bool = True) -> None:
        self.folder = folder
        self.identity = json.loads(json.dumps(identity))  # as it comes back from a file
        self.every = every
        self.resume = resume
        self._last = time.monotonic()

    @property
    def due(self) -> bool:
        """Whether it is time for another one."""
        return time.monotonic() - self._last >= self.every

    def load(self) -> Snapshot | None:
        """The newest good state; None where there is none, or where it is not to be used.

        Raises:
            ConfigError: it belongs to a run with other settings.
            DataError: it was written by a newer genovi.
        """
        if not self.resume:
            return None
        found = [path for name in (LATEST, PREVIOUS) if (path := self.folder / name).is_file()]
        for path in found:
            try:
                snapshot, identity = _read(path)
            except _DAMAGE as error:
                logger.warning("checkpoint %s is damaged and left aside: %s", path, str(error).splitlines()[0])
                continue
            self._check(identity, path)
            return snapshot
        if found:
            logger.warning("no checkpoint in %s can be used: training starts anew", self.folder)
        return None

    def _check(self, identity: Mapping[str, Any], path: Path) -> None:
        names = [name for name in {**self.identity, **identity} if self.identity.get(name) != identity.get(name)]
        if names:
            differences = [f"{name} {identity.get(name)} there, {self.identity.get(name)} here" for name in names[:3]]
            raise ConfigError(
                "the checkpoint belongs to another run",
                where=path,
                why="; ".join(differences) + ("; ..." if len(names) > 3 else ""),
                fix="type the options of that run, or --resume never to start anew",
            )

    def save(self, snapshot: Snapshot) -> None:
        """Write a state; the one before is kept.

        Raises:
            ResourceError: it cannot be written. What was there before is still there.
        """
        self._last = time.monotonic()
        latest, temporary = self.folder / LATEST, self.folder / f".tmp-{os.getpid()}-{LATEST}"
        tensors = {name: tensor.detach().cpu().contiguous() for name, tensor in snapshot.tensors.items()}
        record = {"identity": self.identity, "numbers": dict(snapshot.numbers), "digest": _digest(tensors)}
        header = {"kind": _KIND, "version": str(FORMAT_VERSION), "record": json.dumps(record)}
        try:
            self.folder.mkdir(parents=True, exist_ok=True)
            with open(temporary, "wb") as stream:
                stream.write(to_bytes(tensors, header))
                stream.flush()
                os.fsync(stream.fileno())
            if latest.exists():
                os.replace(latest, self.folder / PREVIOUS)
            os.replace(temporary, latest)
            _flush_folder(self.folder)
        except OSError as error:
            with suppress(OSError):
                temporary.unlink()
            with suppress(OSError):  # taken away where nothing is in it
                self.folder.rmdir()
            kept = "kept" if has_checkpoint(self.folder) else "not there"
            raise ResourceError(
                "cannot write a checkpoint",
                where=self.folder,
                why=f"{error.strerror or error}; the checkpoint before it is {kept}",
                fix="free space or restore the folder, and run the same command again",
            ) from error

    def remove(self) -> None:
        """The run is complete: take its checkpoints away, and the folder where nothing else is in it."""
        # never the whole folder: people name it, and what else lies there is theirs
        with suppress(OSError):
            for path in (self.folder / LATEST, self.folder / PREVIOUS, *self.folder.glob(f".tmp-*-{LATEST}")):
                path.unlink(missing_ok=True)
            self.folder.rmdir()


def has_checkpoint(folder: Path) -> bool:
    """Whether a run has left its state in ``folder``, be it good or damaged."""
    return any((folder / name).is_file() for name in (LATEST, PREVIOUS))


def seed_of(folder: Path) -> int | None:
    """Root seed of the run whose checkpoints are in ``folder``; None where there is no good one."""
    for name in (LATEST, PREVIOUS):
        with suppress(*_DAMAGE, DataError):
            return int(_read(folder / name)[1]["seed"])
    return None


def _read(path: Path) -> tuple[Snapshot, Mapping[str, Any]]:
    """A state and the identity of its run; raises one of ``_DAMAGE`` where the file is not whole."""
    with safe_open(path, framework="pt") as file:
        header = file.metadata() or {}
        if header.get("kind") != _KIND:
            raise ValueError("not a genovi checkpoint")
        if int(header["version"]) > FORMAT_VERSION:
            raise DataError(
                f"checkpoint has format version {header['version']}, this genovi reads up to {FORMAT_VERSION}",
                where=path,
                fix="install a newer genovi, or start anew with --resume never",
            )
        tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118 (no mapping)
    record = json.loads(header["record"])
    if record["digest"] != _digest(tensors):
        raise ValueError("its contents do not have the digest that it states")
    return Snapshot(tensors, record["numbers"]), record["identity"]


def _digest(tensors: Mapping[str, Tensor]) -> str:
    digest = hashlib.sha256()
    for name in sorted(tensors):
        tensor = tensors[name]
        digest.update(f"{name} {tensor.dtype} {tuple(tensor.shape)}".encode())
        digest.update(tensor.contiguous().reshape(-1).view(torch.uint8).numpy().tobytes())
    return digest.hexdigest()


def _flush_folder(folder: Path) -> None:
    """Make renames in ``folder`` durable, where the system can."""
    with suppress(OSError):
        descriptor = os.open(folder, os.O_RDONLY)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)
