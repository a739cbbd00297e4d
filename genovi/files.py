"""Writing files so that nothing is ever half-written.

A file or folder is written under a temporary name beside its destination and renamed when complete.
"""

from __future__ import annotations

import os
import shutil
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from genovi.errors import ConfigError, ResourceError


def resource_error(error: OSError, path: Path) -> ResourceError:
    """Turn an ``OSError`` met while writing ``path`` into a one-line ``ResourceError``."""
    reason = error.strerror or type(error).__name__
    return ResourceError(
        f"cannot write {path}", why=reason, fix="choose another --out, or free space and check permissions"
    )


def check_writable(path: Path, force: bool) -> None:
    """Refuse early when ``path`` exists without ``force`` or its folder cannot be written.

    Raises:
        ConfigError: ``path`` exists and ``force`` is false.
        ResourceError: the folder cannot be made or written.
    """
    path = Path(path)
    if path.exists() and not force:
        raise ConfigError(
            "output exists", where=path, why="it would be overwritten", fix="add --force or choose another --out"
        )
    probe = path.parent / f".{path.name[:60]}.{uuid.uuid4().hex[:8]}.probe"
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        probe.touch()
        probe.unlink()
    except OSError as error:
        raise resource_error(error, path) from error


@contextmanager
def atomic_path(path: Path) -> Iterator[Path]:
    """Yield a temporary path beside ``path``; rename it to ``path`` on success, remove it on failure.

    The temporary name keeps the suffix of ``path``, because writers choose a format by it.

    Raises:
        ResourceError: an ``OSError`` was met while writing.
    """
    path = Path(path)
    temporary = path.parent / f".tmp-{uuid.uuid4().hex[:8]}-{path.name[-80:]}"
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        yield temporary
        os.replace(temporary, path)
    except OSError as error:
        raise resource_error(error, path) from error
    finally:
        temporary.unlink(missing_ok=True)


@contextmanager
def atomic_folder(path: Path) -> Iterator[Path]:
    """Yield a temporary folder beside ``path`` that takes the place of ``path`` on success.

    An existing ``path`` is moved aside first and removed only after the new one is in place.

    Raises:
        ResourceError: an ``OSError`` was met while writing.
    """
    path = Path(path)
    token = uuid.uuid4().hex[:8]
    temporary = path.parent / f".tmp-{token}-{path.name}"
    old = path.parent / f".old-{token}-{path.name}"
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        temporary.mkdir()
        yield temporary
        if path.exists():
            os.replace(path, old)
        os.replace(temporary, path)
        if old.is_dir():
            shutil.rmtree(old)
        else:
            old.unlink(missing_ok=True)
    except OSError as error:
        raise resource_error(error, path) from error
    finally:
        shutil.rmtree(temporary, ignore_errors=True)
