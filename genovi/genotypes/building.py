"""RowBuilder: where readers that stream records put one packed row after another, a batch at a time."""

from __future__ import annotations

import numpy as np

from genovi.genotypes.matrix import VariantTable

_BUFFER_BYTES = 1 << 20
_MOST_BUFFERED = 1024


class RowBuilder:
    """Collects packed genotypes and variants until ``drain`` takes them.

    Args:
        n_samples: Samples in a row.
    """

    def __init__(self, n_samples: int) -> None:
        width = (n_samples + 3) // 4
        self._buffer = np.zeros((max(1, min(_MOST_BUFFERED, _BUFFER_BYTES // width)), width), dtype=np.uint8)
        self._chrom: list[str] = []
        self._pos: list[int] = []
        self._id: list[str] = []
        self._ref: list[str] = []
        self._alt: list[str] = []
        self._parts: list[tuple[np.ndarray, VariantTable]] = []
        self._n_in_parts = 0
        self._strings: dict[bytes, str] = {}

    def __len__(self) -> int:
        return self._n_in_parts + len(self._pos)

    def row(self) -> np.ndarray:
        """The next row to fill with PLINK 1 codes, shape (ceil(n_samples / 4),), uint8, zero at first."""
        if len(self._pos) == len(self._buffer):
            self._flush()
        return self._buffer[len(self._pos)]

    def commit(self, chrom: bytes, pos: int, identifier: bytes, ref: bytes, alt: bytes) -> None:
        """Finish the row that ``row`` gave with its variant; ``alt`` is as written, "A,C" where there are several."""
        self._chrom.append(self._text(chrom))
        self._pos.append(pos)
        self._id.append(_identifier(identifier))
        self._ref.append(self._allele(ref))
        self._alt.append(self._allele(alt))

    def extend(self, rows: np.ndarray, variants: VariantTable) -> None:
        """Add many rows: PLINK 1 codes, shape (n_rows, ceil(n_samples / 4)), uint8, and their variants."""
        if len(rows):
            self._flush()
            self._take(rows, variants)

    def drain(self) -> tuple[np.ndarray, VariantTable]:
        """All rows since the last time, and their variants."""
        self._flush()
        parts, self._parts, self._n_in_parts = self._parts, [], 0
        if len(parts) == 1:
            return parts[0]
        if not parts:
            return self._buffer[:0], self._table()
        return np.concatenate([rows for rows, _ in parts]), VariantTable.concatenate([table for _, table in parts])

    def _flush(self) -> None:
        if not self._pos:
            return
        filled = self._buffer[: len(self._pos)]
        self._take(filled.copy(), self._table())
        filled[:] = 0
        for column in (self._chrom, self._pos, self._id, self._ref, self._alt):
            column.clear()

    def _table(self) -> VariantTable:
        return VariantTable(
            chrom=_objects(self._chrom),
            pos=np.array(self._pos, dtype=np.int64),
            id=_objects(self._id),
            ref=_objects(self._ref),
            alt=_objects(self._alt),
        )

    def _take(self, rows: np.ndarray, variants: VariantTable) -> None:
        self._parts.append((rows, variants))
        self._n_in_parts += len(rows)

    def _text(self, raw: bytes) -> str:
        text = self._strings.get(raw)
        if text is None:
            text = self._strings[raw] = decode_text(raw)
        return text

    def _allele(self, raw: bytes) -> str:
        if len(raw) > 1:  # long alleles rarely repeat: not worth remembering
            return normalise_allele(decode_text(raw))
        return self._text(raw.upper())


def _identifier(raw: bytes) -> str:
    return "." if raw in (b".", b"") else decode_text(raw)


def normalise_allele(text: str) -> str:
    """Bases in capitals; symbolic alleles (``<DEL>``) and breakends as written."""
    return text if "<" in text or "[" in text or "]" in text else text.upper()


def decode_text(raw: bytes) -> str:
    """Text of a file: UTF-8, else Latin-1, which never fails."""
    try:
        return raw.decode("utf-8")
    except UnicodeDecodeError:
        return raw.decode("latin-1")


def _objects(values: list[str]) -> np.ndarray:
    array = np.empty(len(values), dtype=object)
    array[:] = values
    return array
