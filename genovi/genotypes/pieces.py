"""A text file as pieces that threads decompress by themselves: BGZF by its blocks, plain text by offsets.

A plain gzip file is one stream and is decompressed in order.
"""

from __future__ import annotations

import mmap
import os
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import BinaryIO

from genovi.genotypes.bgzf import (
    Block,
    block_length,
    inflate_block,
    naming_damage,
    open_bytes,
    raw_offset,
    release,
    scan_blocks,
    truncated,
)

_SIZE = 1 << 20  # bytes of text: fits the caches of a core, and a line rarely spans three


@dataclass(frozen=True)
class Piece:
    """A stretch of text.

    Attributes:
        size: Its bytes.
        fill: Writes them into a buffer of that size; may be called in any thread. Raises DataError.
        end: Bytes of the file, as it lies on disk, up to the end of the piece, without what was left out.
    """

    size: int
    fill: Callable[[memoryview], None]
    end: int


Stretches = Sequence[tuple[int, int]]


@contextmanager
def open_pieces(
    path: Path, compression: str, skip: int, stretches: Stretches | None = None
) -> Iterator[Iterator[Piece]]:
    """Cut the text of a file into pieces.

    Args:
        path: The file.
        compression: "plain", "gzip" or "BGZF".
        skip: Bytes of text to leave out at the beginning.
        stretches: Of a BGZF file only these, each from one virtual offset to another (SAM specification, 4.1.1: the
            start of a block times 2^16, and a place in its text), in order and apart.

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
            yield (
                Piece(min(_SIZE, end - offset), partial(_read, stream, path, offset), min(offset + _SIZE, end))
                for offset in offsets
            )
        else:
            with mmap.mmap(stream.fileno(), 0, access=mmap.ACCESS_READ) as data:
                if stretches is None:
                    yield _groups(data, path, skip)
                else:
                    yield _jumps(data, path, stretches)


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
        yield Piece(len(text), partial(_copy, text), raw_offset(stream))


def _copy(text: bytes, buffer: memoryview) -> None:
    buffer[:] = text


def _groups(data: mmap.mmap, path: Path, skip: int) -> Iterator[Piece]:
    """BGZF blocks that together make about one piece."""
    group: list[Block] = []
    size, released = 0, 0
    for block in scan_blocks(data, path):
        length = block_length(data, block)
        if skip >= length and not group:
            skip -= length
            continue
        group.append(block)
        size += length
        if size >= _SIZE:
            yield Piece(size - skip, partial(_inflate, data, group, path, skip), block[2])
            released = release(data, released, block[2])
            group, size, skip = [], 0, 0
    if group:
        yield Piece(size - skip, partial(_inflate, data, group, path, skip), group[-1][2])


def _jumps(data: mmap.mmap, path: Path, stretches: Stretches) -> Iterator[Piece]:
    done = 0
    for first, stop in stretches:
        for piece in _between(data, path, first, stop):
            yield replace(piece, end=done + piece.end - (first >> 16))
        done += (stop >> 16) - (first >> 16)


def _between(data: mmap.mmap, path: Path, first: int, stop: int) -> Iterator[Piece]:
    """The text between two virtual offsets."""
    group: list[Block] = []
    size, skip, released = 0, first & 0xFFFF, first >> 16
    last, beyond = stop >> 16, stop & 0xFFFF
    for block in scan_blocks(data, path, first >> 16):
        if block[0] > last or (block[0] == last and not beyond):
            break
        length = block_length(data, block) if block[0] < last else min(beyond, block_length(data, block))
        group.append(block)
        size += length
        if size >= _SIZE or block[0] == last:
            yield Piece(size - skip, partial(_inflate, data, group, path, skip), block[2])
            released = release(data, released, block[2])
            group, size, skip = [], 0, 0
    if group:
        yield Piece(size - skip, partial(_inflate, data, group, path, skip), group[-1][2])


def _inflate(data: mmap.mmap, group: list[Block], path: Path, skip: int, buffer: memoryview) -> None:
    """Fill ``buffer`` with the text of a group, from ``skip`` on, and no more of the last block than there is room."""
    start = 0
    for block in group:
        text = inflate_block(data, block, path)[skip:]
        n = min(len(text), len(buffer) - start)
        buffer[start : start + n] = text[:n]
        start += n
        skip = 0
