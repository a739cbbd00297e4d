"""A text file as pieces that threads decompress by themselves: BGZF by its blocks, plain text by offsets.

A plain gzip file is one stream and is decompressed in order.
"""

from __future__ import annotations

import mmap
import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import BinaryIO

from genovi.genotypes.bgzf import Block, block_length, inflate_block, naming_damage, open_bytes, scan_blocks

Piece = Callable[[], bytes]
"""Makes a stretch of text and the padding after it; may be called in any thread. Raises DataError."""

_SIZE = 1 << 20  # bytes of text: fits the caches of a core, and a line rarely spans three


@contextmanager
def open_pieces(path: Path, compression: str, skip: int, padding: bytes) -> Iterator[Iterator[Piece]]:
    """Cut the text of a file into pieces.

    Args:
        path: The file.
        compression: "plain", "gzip" or "BGZF".
        skip: Bytes of text to leave out at the beginning.
        padding: What to put after each piece.

    Yields:
        The pieces in file order, good while the file is open.

    Raises:
        DataError: the file is damaged or cannot be read.
    """
    if compression == "gzip":
        with open_bytes(path, compression) as stream:
            yield _streamed(stream, skip, padding)
        return
    with naming_damage(path), open(path, "rb") as stream:
        if compression == "plain":
            end = os.fstat(stream.fileno()).st_size
            yield (partial(_read, stream, offset, padding) for offset in range(skip, end, _SIZE))
        else:
            with mmap.mmap(stream.fileno(), 0, access=mmap.ACCESS_READ) as data:
                yield _groups(data, path, skip, padding)


def _read(stream: BinaryIO, offset: int, padding: bytes) -> bytes:
    return os.pread(stream.fileno(), _SIZE, offset) + padding


def _streamed(stream: BinaryIO, skip: int, padding: bytes) -> Iterator[Piece]:
    while skip > 0:
        skip -= len(stream.read(min(skip, _SIZE)))
    while text := stream.read(_SIZE):
        yield partial(bytes.__add__, text, padding)


def _groups(data: mmap.mmap, path: Path, skip: int, padding: bytes) -> Iterator[Piece]:
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
            yield partial(_inflate, data, group, path, skip, padding)
            group, size, skip = [], 0, 0
    if group:
        yield partial(_inflate, data, group, path, skip, padding)


def _inflate(data: mmap.mmap, group: list[Block], path: Path, skip: int, padding: bytes) -> bytes:
    texts = [inflate_block(data, block, path) for block in group]
    texts[0] = texts[0][skip:]
    return b"".join([*texts, padding])
