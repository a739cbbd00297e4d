"""Tabix (.tbi) and CSI (.csi) indexes: where in a BGZF file the records of a region lie.

Layout: hts-specs, "The Tabix index file format" and "Coordinate-Sorted Index". Positions are cut into bins of
2^min_shift, 8 times that, and so on up to ``depth`` levels; a bin lists chunks of the file, each between two virtual
offsets. A bin of a number beyond all others counts the records of a contig.
"""

from __future__ import annotations

import logging
import struct
from dataclasses import dataclass
from pathlib import Path

from genovi.errors import DataError
from genovi.genotypes.bgzf import open_bytes, sniff, starts_block
from genovi.genotypes.building import decode_text
from genovi.genotypes.choosing import Choice, Region

logger = logging.getLogger("genovi")

_TBI, _CSI = b"TBI\x01", b"CSI\x01"
_TBI_SHIFT, _TBI_DEPTH = 14, 5
_VCF_FORMAT = 2
_JOINED = 1 << 16  # chunks nearer than this many bytes of the file are read as one


@dataclass(frozen=True)
class IndexedPart:
    """What an index says of a choice.

    Attributes:
        stretches: Virtual offsets from and to, in order and apart; between them lie all records of the choice.
        n_records: Records of the whole file.
        n_on_contigs: Records on the contigs of which something is chosen.
    """

    stretches: tuple[tuple[int, int], ...]
    n_records: int
    n_on_contigs: int

    @property
    def n_bytes(self) -> int:
        """Bytes of the file between the offsets, about."""
        return sum((stop >> 16) - (first >> 16) + 1 for first, stop in self.stretches) or 1


def check_count(path: Path, found: IndexedPart, choice: Choice | None, n_chosen: int) -> None:
    """See that an index led to as many records as it counts, where that can be known.

    Raises:
        DataError: it did not.
    """
    expected = found.n_on_contigs if choice is not None and choice.whole else n_chosen
    if expected != n_chosen or n_chosen > found.n_records:
        raise DataError(
            f"the index counts {expected} records on the chosen contigs, the file has {n_chosen} of them",
            where=path,
            why="the index was made of another file",
            fix="make it again with `bcftools index --force`",
        )


def look_up(path: Path, choice: Choice, contigs: dict[int, str] | None = None) -> IndexedPart | None:
    """Where the records of ``choice`` lie, by the index beside ``path``.

    Args:
        path: A BGZF file.
        choice: What is wanted.
        contigs: Names by number, for BCF, whose index has none.

    Returns:
        None where there is no index, or none that can be trusted: it is older than the file, damaged, of another
        kind of file, or does not count records.
    """
    for suffix in (".csi", ".tbi"):
        index = Path(f"{path}{suffix}")
        if not index.is_file():
            continue
        try:
            if index.stat().st_mtime < path.stat().st_mtime:
                raise _UnusableError("it is older than the file")
            with open_bytes(index, sniff(index).compression) as stream:
                found = _parse(stream.read(), choice, contigs)
            if not all(starts_block(path, offset >> 16) for stretch in found.stretches for offset in stretch):
                raise _UnusableError("it is of another file")
        except (struct.error, IndexError, DataError, OSError, _UnusableError) as error:
            why = str(error) if isinstance(error, _UnusableError) else "it is damaged"
            logger.warning("%s is not used: %s; make it again with `bcftools index --force`", index, why)
            continue
        return found
    return None


class _UnusableError(Exception):
    """Why an index is of no use."""


class _Reader:
    """Numbers from the bytes of an index."""

    def __init__(self, data: bytes) -> None:
        self.data, self.at = data, 0

    def take(self, form: str) -> tuple[int, ...]:
        values = struct.unpack_from("<" + form, self.data, self.at)
        self.at += struct.calcsize("<" + form)
        return values

    def text(self, n: int) -> bytes:
        if n < 0 or self.at + n > len(self.data):
            raise _UnusableError("it is damaged")
        self.at += n
        return self.data[self.at - n : self.at]


def _parse(data: bytes, choice: Choice, contigs: dict[int, str] | None) -> IndexedPart:
    reader = _Reader(data)
    magic = reader.text(4)
    if magic == _TBI:
        (n_contigs,) = reader.take("i")
        shift, depth = _TBI_SHIFT, _TBI_DEPTH
        named = _names(reader)
    elif magic == _CSI:
        shift, depth, n_extra = reader.take("3i")
        stop = reader.at + n_extra
        named = _names(reader) if n_extra else {}
        reader.at = stop
        (n_contigs,) = reader.take("i")
    else:
        raise _UnusableError("it is no index")
    if not 0 <= depth <= 10 or not 0 < shift < 40:
        raise _UnusableError("it is damaged")
    contigs = contigs or named
    counting = ((1 << 3 * (depth + 1)) - 1) // 7 + 1  # the number of the bin that counts
    chunks: list[tuple[int, int]] = []
    n_records, n_on_contigs = 0, 0
    for number in range(n_contigs):
        name = contigs.get(number, "")
        regions = choice.listed(name)
        count = _contig(reader, magic == _CSI, (shift, depth, counting), regions, chunks)
        n_records += count
        if count:
            choice.on(name)
        n_on_contigs += count if regions else 0
    return IndexedPart(_joined(chunks), n_records, n_on_contigs)


def _names(reader: _Reader) -> dict[int, str]:
    """Contig names by number, after a check that it is VCF that is indexed."""
    kind, *_, length = reader.take("7i")
    if kind & 0xFFFF != _VCF_FORMAT:
        raise _UnusableError("it is not of a VCF")
    return dict(enumerate(decode_text(name) for name in reader.text(length).split(b"\x00")[:-1]))


def _contig(
    reader: _Reader,
    is_csi: bool,
    shape: tuple[int, int, int],
    regions: list[Region],
    chunks: list[tuple[int, int]],
) -> int:
    """Add the chunks of one contig that may hold records of the regions; returns how many records it has."""
    shift, depth, counting = shape
    first_bins = [((1 << 3 * level) - 1) // 7 for level in range(depth + 1)]
    count = 0
    counted = False
    (n_bins,) = reader.take("i")
    for _ in range(n_bins):
        if is_csi:
            number, _, n_chunks = reader.take("IQi")
        else:
            number, n_chunks = reader.take("Ii")
        if number == counting:
            _, _, mapped, unmapped = reader.take("4Q")
            count, counted = mapped + unmapped, True
            continue
        offsets = reader.take(f"{2 * n_chunks}Q") if n_chunks > 0 else ()
        level = sum(first <= number for first in first_bins) - 1
        width = shift + 3 * (depth - level)
        start = (number - first_bins[level]) << width
        # a bin holds records from start + 1 to start + 2^width
        if any(region.first <= start + (1 << width) and region.last > start for region in regions):
            chunks.extend(zip(offsets[::2], offsets[1::2], strict=True))
    if n_bins and not counted:
        raise _UnusableError("it does not count records")
    if not is_csi:
        (n_windows,) = reader.take("i")
        reader.take(f"{n_windows}Q")
    return count


def _joined(chunks: list[tuple[int, int]]) -> tuple[tuple[int, int], ...]:
    """Chunks in order, those that touch or nearly do as one."""
    joined: list[list[int]] = []
    for first, stop in sorted(chunks):
        if joined and (first >> 16) <= (joined[-1][1] >> 16) + _JOINED:
            joined[-1][1] = max(joined[-1][1], stop)
        else:
            joined.append([first, stop])
    return tuple((first, stop) for first, stop in joined)
