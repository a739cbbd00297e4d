"""Where bytes come from: plain files, gzip and BGZF, with damage named instead of passed over.

BGZF is a series of gzip members of at most 64 KiB whose header carries their size (subfield BC); a complete file ends
with a fixed empty block. A plain gzip file tells of truncation only when its end is read.
"""

from __future__ import annotations

import gzip
import os
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO, cast

from genovi.errors import DataError

_EOF_BLOCK = bytes.fromhex("1f8b08040000000000ff0600424302001b0003000000000000000000")
_HEAD_BYTES = 4096


@dataclass(frozen=True)
class Sniffed:
    """The start of a file.

    Attributes:
        compression: "plain", "gzip" or "BGZF".
        head: The first bytes, decompressed where that is possible.
    """

    compression: str
    head: bytes


def sniff(path: Path) -> Sniffed:
    """Look at the start of ``path``, and for BGZF at its end.

    Raises:
        DataError: there is no such file, it is a folder or a pipe, it is empty, cannot be opened, or is a damaged gzip.
    """
    _check_regular(path)
    with _naming(path):
        with open(path, "rb") as stream:
            raw = stream.read(_HEAD_BYTES)
        if not raw.startswith(b"\x1f\x8b"):
            return Sniffed("plain", raw)
        compression = "BGZF" if raw[3:4] == b"\x04" and raw[12:14] == b"BC" else "gzip"
        with gzip.open(path, "rb") as stream:
            head = stream.read(_HEAD_BYTES)
    if compression == "BGZF":
        _check_end_block(path)
    return Sniffed(compression, head)


@contextmanager
def open_bytes(path: Path, compression: str) -> Iterator[BinaryIO]:
    """Open ``path`` for reading decompressed bytes; damage met while reading becomes a DataError naming the file."""
    opener = open if compression == "plain" else gzip.open
    with _naming(path), opener(path, "rb") as stream:
        yield cast(BinaryIO, stream)


def truncated(path: Path, found: str) -> DataError:
    """The error for a file that ends too early."""
    return DataError(
        f"truncated file: {found}",
        where=path,
        why="variants after that point would be lost silently",
        fix="copy or download the file again, and compare its size or checksum with the original",
    )


def _check_regular(path: Path) -> None:
    if path.is_dir():
        raise DataError(
            "this is a folder, not a genotype file", where=path, fix="name the files in it, for example *.vcf.gz"
        )
    if not path.exists():
        raise DataError("no such file", where=path, fix="check the path; PLINK 1 filesets may be named by their prefix")
    if not path.is_file():
        raise DataError(
            "not a regular file",
            where=path,
            why="the format is found by reading the start twice",
            fix="write the data to a file first",
        )
    if path.stat().st_size == 0:
        raise DataError("empty file", where=path, why="it has no genotypes", fix="check the command that made it")


@contextmanager
def _naming(path: Path) -> Iterator[None]:
    try:
        yield
    except EOFError as error:
        raise truncated(path, "the compressed stream has no end") from error
    except (gzip.BadGzipFile, zlib.error) as error:
        raise DataError(
            "damaged gzip data", where=path, why=str(error), fix="copy or download the file again; `gzip -t` tests it"
        ) from error
    except OSError as error:
        raise DataError(
            "cannot read the file",
            where=path,
            why=error.strerror or str(error),
            fix="check the path and its permissions",
        ) from error


def _check_end_block(path: Path) -> None:
    with open(path, "rb") as stream:
        size = stream.seek(0, os.SEEK_END)
        stream.seek(max(0, size - len(_EOF_BLOCK)))
        if stream.read() != _EOF_BLOCK:
            raise DataError(
                "truncated file: the BGZF end-of-file block is missing",
                where=path,
                why="variants may be missing at its end",
                fix="copy or download the file again; if you know it to be complete, re-compress it: "
                "`gzip -dc FILE | bgzip > NEW`",
            )
