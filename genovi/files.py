"""Writing files so that nothing is ever half-written.

A file or folder is written under a temporary name beside its destination and renamed when complete. What was there
before stays until that moment, and nothing that genovi did not write is ever replaced by a folder.
"""

from __future__ import annotations

import os
import shutil
import uuid
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from genovi.errors import ConfigError, ResourceError

_PROBE = ".probe"
_SIGNS = ("genovi.log", "model.json")  # a folder that holds one of these was written by genovi


def resource_error(error: OSError, path: Path) -> ResourceError:
    """Turn an ``OSError`` met while writing ``path`` into a one-line ``ResourceError``."""
    reason = error.strerror or str(error) or type(error).__name__
    culprit = str(error.filename or "")
    there = next((folder for folder in path.parents if os.path.exists(folder)), path.parent)
    if there.is_file():
        reason = f"{there} is a file, not a folder"
    elif culprit.endswith(_PROBE):  # a name of genovi's own says nothing to anybody
        reason = f"no file can be made in {path.parent}: {reason}"
    elif culprit not in ("", str(path)) and ".tmp-" not in culprit:
        reason = f"{reason}: {culprit}"
    return ResourceError(
        f"cannot write {path}", why=reason, fix="choose another --out, or free space and check permissions"
    )


def check_writable(path: Path, force: bool) -> None:
    """Refuse early when ``path`` exists without ``force``, must not be replaced, or its folder cannot be written.

    Folders that are not there yet are made for the probe and gone again: a command that fails later leaves none behind.

    Raises:
        ConfigError: ``path`` exists and ``force`` is false, or is something that genovi never replaces.
        ResourceError: the folder cannot be made or written.
    """
    path = Path(path)
    if os.path.lexists(path) and not force:
        raise ConfigError(
            "output exists", where=path, why="it would be overwritten", fix="add --force or choose another --out"
        )
    _check_replaceable(path)
    probe = path.parent / f".{path.name[:60]}.{uuid.uuid4().hex[:8]}{_PROBE}"
    absent = [folder for folder in (path.parent, *path.parent.parents) if not os.path.lexists(folder)]
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        probe.touch()
        probe.unlink()
    except OSError as error:
        raise resource_error(error, path) from error
    finally:
        with suppress(OSError):  # not empty: another command writes there meanwhile
            for folder in absent:
                folder.rmdir()


@contextmanager
def atomic_path(path: Path) -> Iterator[Path]:
    """Yield a temporary path beside ``path``; rename it to ``path`` on success, remove it on failure.

    The temporary name keeps the suffix of ``path``, because writers choose a format by it.

    Raises:
        ConfigError: ``path`` is there and is not a file.
        ResourceError: an ``OSError`` was met while writing.
    """
    path = Path(path)
    if path.exists() and not path.is_file():
        raise ConfigError("output is not a file", where=path, fix="choose another --out")
    temporary = path.parent / f".tmp-{uuid.uuid4().hex[:8]}-{path.name[-80:]}"
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        yield temporary
        os.replace(temporary, path)
    except OSError as error:
        raise resource_error(error, path) from error
    finally:
        with suppress(OSError):
            temporary.unlink()


@contextmanager
def atomic_folder(path: Path) -> Iterator[Path]:
    """Yield a temporary folder beside ``path`` that takes the place of ``path`` on success.

    An existing ``path`` is moved aside first and removed only after the new one is in place.

    Raises:
        ConfigError: ``path`` is there and was not written by genovi.
        ResourceError: an ``OSError`` was met while writing.
    """
    path = Path(path)
    _check_replaceable(path)
    token = uuid.uuid4().hex[:8]
    temporary = path.parent / f".tmp-{token}-{path.name[-80:]}"
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        temporary.mkdir()
        yield temporary
        _swap(temporary, path, path.parent / f".old-{token}-{path.name[-80:]}")
    except OSError as error:
        raise resource_error(error, path) from error
    finally:
        shutil.rmtree(temporary, ignore_errors=True)


def _check_replaceable(path: Path) -> None:
    """A folder goes only when it is empty or genovi's own: ``--out ~ --force`` must not empty a home."""
    if not path.exists() or path.is_file():
        return
    if not path.is_dir():
        raise ConfigError("output is not a file or folder", where=path, fix="choose another --out")
    try:
        ours = not any(path.iterdir()) or any((path / sign).exists() for sign in _SIGNS)
    except OSError as error:
        raise resource_error(error, path) from error
    if not ours:
        raise ConfigError(
            "output is a folder that genovi did not write",
            where=path,
            why="--force would delete what is in it",
            fix="choose another --out, or remove that folder yourself",
        )


def _swap(new: Path, path: Path, aside: Path) -> None:
    """Put ``new`` in the place of ``path``; what was there comes back when that fails, else goes."""
    if not os.path.lexists(path):
        os.replace(new, path)
        return
    os.replace(path, aside)
    try:
        os.replace(new, path)
    except OSError:
        os.replace(aside, path)
        raise
    if aside.is_dir() and not aside.is_symlink():
        shutil.rmtree(aside, ignore_errors=True)
    else:
        aside.unlink(missing_ok=True)
