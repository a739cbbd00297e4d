"""Genotypes from standard input (``-``) and the shell's ``<(command)``, kept in a temporary file while they are read.

A pipe is read once and without going back, whereas the format is told from the start of a file and compressed blocks
are read side by side; so its bytes go to a file first, in the folder that TMPDIR names.
"""

from __future__ import annotations

import logging
import shutil
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from genovi.errors import ConfigError, GenoviError, ResourceError

logger = logging.getLogger("genovi")

STANDARD_INPUT = Path("-")
_OPEN_ALREADY = ("/dev/fd/", "/dev/stdin", "/proc/self/fd/")
_CHUNK_BYTES = 1 << 20


def is_pipe(path: Path) -> bool:
    """Whether ``path`` is ``-``, or a pipe that is open already, such as the shell's ``<(command)`` or ``/dev/stdin``.

    A pipe in a folder (``mkfifo``) is none of these: opening it would wait for a writer who may never come.
    """
    return path == STANDARD_INPUT or (str(path).startswith(_OPEN_ALREADY) and path.is_fifo())


@contextmanager
def spooled(path: Path) -> Iterator[tuple[Path, str]]:
    """Copy a pipe to a temporary file; yield that file and the pipe's name for messages.

    Errors raised within name the pipe instead of the temporary file, which is gone afterwards.

    Raises:
        ConfigError: standard input is a terminal.
        ResourceError: the pipe cannot be read or the file not be written.
    """
    name = "standard input" if path == STANDARD_INPUT else str(path)
    if path == STANDARD_INPUT and sys.stdin.isatty():
        raise ConfigError(
            "standard input is a terminal",
            where=path,
            why="genotypes were expected to be piped in",
            fix="type for example `bcftools view FILE | genovi info -`",
        )
    with tempfile.TemporaryDirectory(prefix="genovi-") as folder:
        file = Path(folder, "standard-input" if path == STANDARD_INPUT else "pipe")
        try:
            with open(file, "wb") as copy:
                if path == STANDARD_INPUT:
                    shutil.copyfileobj(sys.stdin.buffer, copy, _CHUNK_BYTES)
                else:
                    with open(path, "rb") as pipe:
                        shutil.copyfileobj(pipe, copy, _CHUNK_BYTES)
        except OSError as error:
            raise ResourceError(
                f"cannot keep {name} in a temporary file",
                where=folder,
                why=error.strerror or str(error),
                fix="name a folder with space by the environment variable TMPDIR, or give a file",
            ) from error
        logger.info("%s: %d bytes", name, file.stat().st_size)
        try:
            yield file, name
        except GenoviError as error:
            where = None if error.where is None else error.where.replace(str(file), name)
            what = error.what.replace(str(file), name)
            raise type(error)(what, where=where, why=error.why, fix=error.fix) from error
