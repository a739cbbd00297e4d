"""Where bytes come from: plain files, gzip and BGZF, with damage named instead of passed over.

BGZF is a series of gzip members of at most 64 KiB whose header carries their size (subfield BC); a complete file ends
with a fixed empty block. Each block is checked (size, CRC-32) before anybody looks at its text, so that a damaged byte
is called that and not a bad line. A plain gzip file tells of damage and truncation only when its end is read
(``blaming_damage``).
"""

from __future__ import annotations

import gzip
import io
import mmap
import os
import struct
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO, cast

from isal import igzip, isal_zlib

from genovi.errors import DataError

EOF_BLOCK = bytes.fromhex("1f8b08040000000000ff0600424302001b0003000000000000000000")
_ISAL_ERROR = cast(type[Exception], isal_zlib.error)
BOM = b"\xef\xbb\xbf"  # some editors put it before text

_HEAD_BYTES = 4096
_BLOCK_HEADER = struct.Struct("<4BI2BH")
_BLOCK_TRAILER = struct.Struct("<II")
_RAW_DEFLATE = -15
_BUFFER = 1 << 18
_RELEASED_BYTES = 1 << 25


@dataclass(frozen=True)
class Sniffed:
    """The start of a file.

    Attributes:
        compression: "plain", "gzip" or "BGZF".
        head: The first bytes, decompressed where that is possible, without a byte order mark of UTF-8.
    """

    compression: str
    head: bytes


def sniff(path: Path) -> Sniffed:
    """Look at the start of ``path``, and for BGZF at its end.

    Raises:
        DataError: there is no such file, it is a folder or a pipe, it is empty, cannot be opened, or is a damaged gzip.
    """
    _check_regular(path)
    with naming_damage(path):
        with open(path, "rb") as stream:
            raw = stream.read(_HEAD_BYTES)
        if not raw.startswith(b"\x1f\x8b"):
            return Sniffed("plain", raw.removeprefix(BOM))
    compression = "BGZF" if raw[3:4] == b"\x04" and raw[12:14] == b"BC" else "gzip"
    if compression == "BGZF":
        _check_end_block(path)
    with open_bytes(path, compression) as text:
        return Sniffed(compression, text.read(_HEAD_BYTES).removeprefix(BOM))


@contextmanager
def open_bytes(path: Path, compression: str, stretch: tuple[int, int] | None = None) -> Iterator[BinaryIO]:
    """Open ``path`` for reading decompressed bytes; damage met while reading becomes a DataError naming the file.

    Args:
        path: The file.
        compression: "plain", "gzip" or "BGZF".
        stretch: Of a BGZF file only the text between these two virtual offsets.
    """
    with naming_damage(path):
        if compression == "BGZF":
            with open(path, "rb") as stream, mmap.mmap(stream.fileno(), 0, access=mmap.ACCESS_READ) as data:
                reader = io.BufferedReader(_BlockReader(data, path, stretch), _BUFFER)
                yield reader
        else:
            opener = open if compression == "plain" else igzip.open
            with opener(path, "rb") as text:
                yield cast(BinaryIO, text)


@contextmanager
def blaming_damage(path: Path, compression: str) -> Iterator[None]:
    """Where reading ends in a DataError, see whether the gzip stream is damaged, and if so say that instead."""
    try:
        yield
    except DataError:
        if compression == "gzip":
            with open_bytes(path, compression) as stream:
                while stream.read(_BUFFER):
                    pass
        raise


Block = tuple[int, int, int]


def scan_blocks(data: mmap.mmap, path: Path, start: int = 0) -> Iterator[Block]:
    """Start, start of the deflated bytes, and end of each BGZF block of ``data`` from ``start`` on.

    Raises:
        DataError: something that is no block stands where one should begin, or the last one is cut.
    """
    while start < len(data):
        if start + _BLOCK_HEADER.size > len(data):
            raise _corrupt(path, start, "it is cut off")
        id1, id2, method, flags, _, _, _, n_extra = _BLOCK_HEADER.unpack_from(data, start)
        if (id1, id2, method, flags) != (31, 139, 8, 4):
            raise _corrupt(path, start, "no block begins there")
        payload = start + _BLOCK_HEADER.size + n_extra
        end = start + _block_size(data, start + _BLOCK_HEADER.size, n_extra)
        if end < payload + _BLOCK_TRAILER.size:
            raise _corrupt(path, start, "its size is wrong")
        if end > len(data):
            raise _corrupt(path, start, "it is cut off")
        yield start, payload, end
        start = end


def _block_size(data: mmap.mmap, at: int, n_extra: int) -> int:
    """Bytes of a block, from the subfield BC of its header; 0 where there is none."""
    stop = min(at + n_extra, len(data))
    while at + 6 <= stop:
        size = int.from_bytes(data[at + 2 : at + 4], "little")
        if data[at : at + 2] == b"BC" and size == 2:
            return int.from_bytes(data[at + 4 : at + 6], "little") + 1
        at += 4 + size
    return 0


def starts_block(path: Path, offset: int) -> bool:
    """Whether a BGZF block, or the end of the file, is at ``offset``."""
    with open(path, "rb") as stream:
        stream.seek(offset)
        head = stream.read(14)
        return (head[:4] == b"\x1f\x8b\x08\x04" and head[12:] == b"BC") or offset == path.stat().st_size


def block_length(data: mmap.mmap, block: Block) -> int:
    """Bytes of text that a block says it holds."""
    return int(_BLOCK_TRAILER.unpack_from(data, block[2] - _BLOCK_TRAILER.size)[1])


def inflate_block(data: mmap.mmap, block: Block, path: Path) -> bytes:
    """The text of one block, checked.

    Raises:
        DataError: its bytes are damaged.
    """
    start, payload, end = block
    crc, length = _BLOCK_TRAILER.unpack_from(data, end - _BLOCK_TRAILER.size)
    try:
        text = isal_zlib.decompress(data[payload : end - _BLOCK_TRAILER.size], _RAW_DEFLATE, min(length, 1 << 16) or 1)
    except (_ISAL_ERROR, zlib.error) as error:
        raise _corrupt(path, start, str(error)) from error
    if len(text) != length or isal_zlib.crc32(text) != crc:
        raise _corrupt(path, start, "its check value differs")
    return bytes(text)


def release(data: mmap.mmap, start: int, stop: int) -> int:
    """Give back the memory of ``data`` between two places once it is much: else a map counts as memory until its end.

    Bytes that are looked at again come from the file again.

    Returns:
        ``stop``, or ``start`` where there was too little to give back.
    """
    if stop - start < _RELEASED_BYTES or not hasattr(data, "madvise"):
        return start
    first = start // mmap.PAGESIZE * mmap.PAGESIZE
    data.madvise(mmap.MADV_DONTNEED, first, stop - first)
    return stop


def _corrupt(path: Path, start: int, why: str) -> DataError:
    return DataError(
        "corrupt BGZF block",
        where=f"{path}, byte {start}",
        why=why,
        fix="copy or download the file again; `gzip -t` tests it",
    )


def raw_offset(stream: BinaryIO) -> int:
    """Bytes of the file itself that a stream of ``open_bytes`` has taken so far."""
    reader = getattr(stream, "raw", None)
    if isinstance(reader, _BlockReader):
        return reader.offset
    return int(getattr(stream, "fileobj", stream).tell())


class _BlockReader(io.RawIOBase):
    """The text of a BGZF file or a stretch of it, one checked block after another."""

    def __init__(self, data: mmap.mmap, path: Path, stretch: tuple[int, int] | None) -> None:
        first, stop = stretch or (0, len(data) << 16)
        self._data, self._path = data, path
        self._blocks = scan_blocks(data, path, first >> 16)
        self._skip, self._stop = first & 0xFFFF, stop
        self._text = memoryview(b"")
        self.offset = self._released = first >> 16

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: memoryview) -> int:  # type: ignore[override]
        while not self._text:
            block = next(self._blocks, None)
            if block is None or block[0] << 16 >= self._stop:
                return 0
            text = memoryview(inflate_block(self._data, block, self._path))
            stop = self._stop & 0xFFFF if block[0] == self._stop >> 16 else len(text)
            self._text, self._skip = text[self._skip : stop], 0
            self.offset = block[2]
            self._released = release(self._data, self._released, block[2])
        n = min(len(buffer), len(self._text))
        buffer[:n] = self._text[:n]
        self._text = self._text[n:]
        return n


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
def naming_damage(path: Path) -> Iterator[None]:
    """Turn what the gzip and file layers raise into a DataError that names ``path``."""
    try:
        yield
    except EOFError as error:
        raise truncated(path, "the compressed stream has no end") from error
    except (gzip.BadGzipFile, zlib.error, _ISAL_ERROR) as error:
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
        stream.seek(max(0, size - len(EOF_BLOCK)))
        if stream.read() != EOF_BLOCK:
            raise DataError(
                "truncated file: the BGZF end-of-file block is missing",
                where=path,
                why="variants may be missing at its end",
                fix="copy or download the file again; if you know it to be complete, re-compress it: "
                "`gzip -dc FILE | bgzip > NEW`",
            )
