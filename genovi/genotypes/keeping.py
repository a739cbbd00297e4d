"""RowStore: where kept genotypes go while reading, in memory and, beyond a bound, in a temporary file.

The file has no name: it vanishes with the process that made it, whatever ends that. It holds packed rows alone; the
matrix made of it is a map of the file, so that later steps, which go through it block by block, need little memory.
"""

from __future__ import annotations

import logging
import os
import shutil
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import BinaryIO

import numpy as np

from genovi.errors import ResourceError
from genovi.genotypes.matrix import VariantTable, take_samples

logger = logging.getLogger("genovi")

_CHUNK_BYTES = 1 << 26
_BYTES_OF_VARIANT = 48  # five pointers and a position
_BYTES_OF_NAME = 60  # a str of its own for the identifier
_GIB = 1 << 30


class RowStore:
    """Packed rows with their variants; ``begin`` comes first.

    As a context manager it closes its file at the end; maps of the file stay good.

    Args:
        bound: Bytes that rows may take in memory; None for no bound.
        folder: Where the temporary file goes.
    """

    def __init__(self, bound: int | None = None, folder: Path | None = None) -> None:
        self._width = 0
        self._bound = bound
        self._folder = folder
        self._variants: list[VariantTable] = []
        self._chunks: list[np.ndarray] = []
        self._in_last = 0
        self._file: BinaryIO | None = None
        self._bytes_of_variants = 0

    def __len__(self) -> int:
        return sum(len(table) for table in self._variants)

    @property
    def n_bytes(self) -> int:
        """Bytes of rows and variants, wherever they are."""
        return len(self) * self._width + self._bytes_of_variants

    def __enter__(self) -> RowStore:
        return self

    def __exit__(self, *_: object) -> None:
        self._close()

    def begin(self, samples: tuple[str, ...]) -> RowStore:
        """Begin, or begin again, with rows of these samples."""
        self._close()
        self._variants, self._chunks, self._in_last, self._bytes_of_variants = [], [], 0, 0
        self._width = (len(samples) + 3) // 4
        return self

    def _close(self) -> None:
        if self._file is not None:
            self._file.close()
            self._file = None

    def append(self, rows: np.ndarray, variants: VariantTable, share: float = 1.0) -> None:
        """Keep rows, shape (n_rows, ceil(n_samples / 4)), uint8.

        Args:
            rows: PLINK 1 codes.
            variants: Their variants.
            share: Share of the input that has been read, from which is told how much will be kept.

        Raises:
            ResourceError: there is no room, neither in memory nor on disk.
        """
        if not len(rows):
            return
        self._variants.append(variants)
        self._bytes_of_variants += _BYTES_OF_VARIANT * len(variants) + _BYTES_OF_NAME * int(np.sum(variants.id != "."))
        if self._file is None and self._bound is not None and self.n_bytes > self._bound:
            self._open_file(share)
        if self._file is not None:
            self._write(self._file, rows)
            return
        size = max(1, min(_CHUNK_BYTES, self._bound or _CHUNK_BYTES) // max(1, self._width))
        start = 0
        while start < len(rows):
            if not self._chunks or self._in_last == len(self._chunks[-1]):
                self._chunks.append(np.empty((size, self._width), dtype=np.uint8))
                self._in_last = 0
            chunk = self._chunks[-1]
            n = min(len(chunk) - self._in_last, len(rows) - start)
            chunk[self._in_last : self._in_last + n] = rows[start : start + n]
            self._in_last += n
            start += n

    def select(self, mask: np.ndarray) -> None:
        """Keep the rows of a mask, shape (n_rows,), bool, in place: there are never two copies of them all.

        Matrices that were made of the rows before are no longer good.
        """
        self._variants = [self.variants.take(mask)]
        self._bytes_of_variants = int(self._bytes_of_variants * mask.mean()) if len(mask) else 0
        self._replace(lambda rows, start: rows[mask[start : start + len(rows)]], self._width, len(mask))

    def take_samples(self, index: np.ndarray) -> None:
        """Keep the samples at ``index`` (integers), in place as ``select`` does."""
        width = (len(index) + 3) // 4
        self._replace(lambda rows, _: take_samples(rows, index), width, len(self))
        self._width = width

    def _replace(self, change: Callable[[np.ndarray, int], np.ndarray], width: int, n_rows: int) -> None:
        """Put what ``change`` makes of some rows, given the place of the first one, in the place of these."""
        if self._file is not None:
            self._replace_in_file(self._file, change, n_rows)
            return
        start = 0
        for part in self._filled():
            flat = part.reshape(-1)
            size = max(1, _CHUNK_BYTES // 4 // max(1, self._width))
            written, n_kept = 0, 0
            for k in range(0, len(part), size):
                kept = change(part[k : k + size], start + k)
                flat[written : written + kept.size] = kept.reshape(-1)
                written, n_kept = written + kept.size, n_kept + len(kept)
            start += len(part)
            if n_kept:
                kept = flat[:written].reshape(n_kept, width)
                self._chunks.append(kept if 2 * written > flat.size else kept.copy())
                self._in_last = n_kept

    @property
    def variants(self) -> VariantTable:
        """The variants of all rows."""
        if len(self._variants) != 1:
            self._variants = [VariantTable.concatenate([VariantTable.empty(), *self._variants])]
        return self._variants[0]

    def rows(self) -> np.ndarray:
        """All rows, shape (n_rows, ceil(n_samples / 4)), uint8; a map of the file where there is one."""
        shape = (len(self), self._width)
        if self._file is not None and shape[0] and self._width:
            self._file.flush()
            return np.memmap(self._file, dtype=np.uint8, mode="r", shape=shape)
        if len(self._chunks) > 1:
            rows = np.empty(shape, dtype=np.uint8)
            start = 0
            for part in self._filled():
                rows[start : start + len(part)] = part
                start += len(part)
            self._chunks, self._in_last = [rows], len(rows)
        return self._chunks[0][: self._in_last] if self._chunks else np.empty(shape, dtype=np.uint8)

    def _filled(self) -> Iterator[np.ndarray]:
        """Take the rows out of memory, a chunk at a time; each is let go when the next one is asked for."""
        chunks, n_in_last = self._chunks[::-1], self._in_last
        self._chunks, self._in_last = [], 0
        return _one_by_one(chunks, n_in_last)

    def _open_file(self, share: float) -> None:
        expected = self.n_bytes / max(share, 1e-9)
        folder = self._folder
        if folder is None:
            raise _no_room(expected, "there is no folder for a temporary file")
        while not folder.is_dir():
            folder = folder.absolute().parent
        free = shutil.disk_usage(folder).free
        if expected > free:
            raise _no_room(expected, f"{folder} has {free / _GIB:.1f} GiB free")
        logger.info(
            "what is kept, about %.2f GiB, is more than --memory has room for: it goes to a temporary file in %s",
            expected / _GIB,
            folder,
        )
        with _naming(folder):
            self._file = tempfile.TemporaryFile(dir=folder)  # noqa: SIM115
        for part in self._filled():
            self._write(self._file, part)

    def _write(self, file: BinaryIO, rows: np.ndarray) -> None:
        if self._bound is not None and self._bytes_of_variants > self._bound:
            raise _no_room(self.n_bytes, "names and places of the variants alone take more")
        with _naming(self._folder):
            file.write(np.ascontiguousarray(rows).data)

    def _replace_in_file(self, file: BinaryIO, change: Callable[[np.ndarray, int], np.ndarray], n_rows: int) -> None:
        """``_replace`` in the file, whose rest is cut off; what is written never overtakes what is read."""
        file.flush()
        size = max(1, _CHUNK_BYTES // 4 // max(1, self._width))
        written = 0
        with _naming(self._folder):
            for start in range(0, n_rows, size):
                n = min(size, n_rows - start)
                raw = os.pread(file.fileno(), n * self._width, start * self._width)
                kept = change(np.frombuffer(raw, dtype=np.uint8).reshape(n, self._width), start)
                written += os.pwrite(file.fileno(), kept.tobytes(), written)
            file.truncate(written)
            file.seek(0, os.SEEK_END)


def _one_by_one(chunks: list[np.ndarray], n_in_last: int) -> Iterator[np.ndarray]:
    while chunks:
        chunk = chunks.pop()
        yield chunk if chunks else chunk[:n_in_last]
        del chunk


@contextmanager
def _naming(folder: Path | None) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        raise ResourceError(
            "cannot keep genotypes in a temporary file",
            where=folder,
            why=error.strerror or str(error),
            fix="free space there, name another --out, give more --memory, or filter more (--maf, --chr, --extract)",
        ) from error


def _no_room(needed: float, why: str) -> ResourceError:
    return ResourceError(
        f"what is kept takes about {needed / _GIB:.2f} GiB, more than --memory has room for",
        why=why,
        fix="give more --memory, or filter more (--maf, --chr, --extract), or thin variants first",
    )
