"""A text file as pieces that threads decompress by themselves: BGZF by its blocks, plain text by offsets.

A plain gzip file is one stream and is decompressed in order.
"""

from __future__ import annotations

import mmap
import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import BinaryIO

from genovi.genotypes.bgzf import Block, block_length, inflate_block, naming_damage, open_bytes, scan_blocks, truncated

_SIZE = 1 << 20  # bytes of text: fits the caches of a core, and a line rarely spans three


@dataclass(frozen=True)
class Piece:
    """A stretch of text.

    Attributes:
        size: Its bytes.
        fill: Writes them into a buffer of that size; may be called in any thread. Raises DataError.
    """

    size: int
    fill: Callable[[memoryview], None]


@contextmanager
def open_pieces(path: Path, compression: str, skip: int) -> Iterator[Iterator[Piece]]:
    """Cut the text of a file into pieces.

    Args:
        path: The file.
        compression: "plain", "gzip" or "BGZF".
        skip: Bytes of text to leave out at the beginning.

    Yields:
        The pieces in file order, good while the file is open.

    Raises:
        DataError: the file is damaged or cannot be read.
    """
    if compression == "gzip":
        with open_bytes(path, compression) as stream:
            yield _streamed(stream, skip)
        return
    with naming_damage(path), open(path, "rb") as stream:
        if compression == "plain":
            end = os.fstat(stream.fileno()).st_size
            offsets = range(skip, end, _SIZE)
            yield (Piece(min(_SIZE, end - offset), partial(_read, stream, path, offset)) for offset in offsets)
        else:
            with mmap.mmap(stream.fileno(), 0, access=mmap.ACCESS_READ) as data:
                yield _groups(data, path, skip)


def _read(stream: BinaryIO, path: Path, offset: int, buffer: memoryview) -> None:
    with naming_damage(path):
        while buffer:
            data = os.pread(stream.fileno(), len(buffer), offset)
            if not data:
                raise truncated(path, "it became shorter while it was read")
            buffer[: len(data)] = data
            buffer, offset = buffer[len(data) :], offset + len(data)


def _streamed(stream: BinaryIO, skip: int) -> Iterator[Piece]:
    while skip > 0:
        skip -= len(stream.read(min(skip, _SIZE)))
    while text := stream.read(_SIZE):
        yield Piece(len(text), partial(_copy, text))


def _copy(text: bytes, buffer: memoryview) -> None:
    buffer[:] = text


def _groups(data: mmap.mmap, path: Path, skip: int) -> Iterator[Piece]:
    """BGZF blocks that together make about one piece."""
    group: list[Block] = []
    size = 0
    for block in scan_blocks(data, path):
        length = block_length(data, block)
        if skip >= length and not group:
            skip -= length
            continue
        group.append(block)
        size += length
        if size >= _SIZE:
            yield Piece(size - skip, partial(_inflate, data, group, path, skip))
            group, size, skip = [], 0, 0
    if group:
        yield Piece(size - skip, partial(_inflate, data, group, path, skip))


def _inflate(data: mmap.mmap, group: list[Block], path: Path, skip: int, buffer: memoryview) -> None:
    start = 0
    for block in group:
        text = inflate_block(data, block, path)[skip:]
        buffer[start : start + len(text)] = text
        start += len(text)
        skip = 0
