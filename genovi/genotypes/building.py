"""MatrixBuilder: where readers that stream records put one packed row after another."""

from __future__ import annotations

import numpy as np

from genovi.genotypes.matrix import GenotypeMatrix, InputFacts, VariantTable

_FIRST_CAPACITY = 1024


class MatrixBuilder:
    """Grows packed genotypes and a variant table record by record.

    The packed buffer grows by half of its size in place, so that the peak is about 1.5 times the result and a decoded
    matrix never exists.

    Args:
        samples: Sample identifiers in file order.
        source: The file, for messages.
    """

    def __init__(self, samples: tuple[str, ...], source: str) -> None:
        self._samples = samples
        self._source = source
        self._packed = np.zeros((_FIRST_CAPACITY, (len(samples) + 3) // 4), dtype=np.uint8)
        self._chrom: list[str] = []
        self._pos: list[int] = []
        self._id: list[str] = []
        self._ref: list[str] = []
        self._alt: list[str] = []
        self._strings: dict[bytes, str] = {}

    def __len__(self) -> int:
        return len(self._pos)

    def row(self) -> np.ndarray:
        """The next row to fill with PLINK 1 codes, shape (ceil(n_samples / 4),), uint8, zero at first."""
        if len(self._pos) == len(self._packed):
            # No view of the buffer outlives one record, so it may move.
            self._packed.resize((len(self._packed) * 3 // 2, self._packed.shape[1]), refcheck=False)
        return self._packed[len(self._pos)]

    def commit(self, chrom: bytes, pos: int, identifier: bytes, ref: bytes, alt: bytes) -> None:
        """Finish the row that ``row`` gave with its variant; ``alt`` is as written, "A,C" where there are several."""
        self._chrom.append(self._text(chrom))
        self._pos.append(pos)
        self._id.append(_identifier(identifier))
        self._ref.append(self._allele(ref))
        self._alt.append(self._allele(alt))

    def extend(self, rows: np.ndarray, variants: VariantTable) -> None:
        """Add many rows: PLINK 1 codes, shape (n_rows, ceil(n_samples / 4)), uint8, and their variants."""
        n = len(self._pos)
        while n + len(rows) > len(self._packed):
            self._packed.resize((len(self._packed) * 3 // 2, self._packed.shape[1]), refcheck=False)
        self._packed[n : n + len(rows)] = rows
        self._chrom.extend(variants.chrom.tolist())
        self._pos.extend(variants.pos.tolist())
        self._id.extend(variants.id.tolist())
        self._ref.extend(variants.ref.tolist())
        self._alt.extend(variants.alt.tolist())

    def finish(self, facts: InputFacts) -> GenotypeMatrix:
        """The matrix of all committed rows."""
        self._packed.resize((len(self._pos), self._packed.shape[1]), refcheck=False)
        variants = VariantTable(
            chrom=_objects(self._chrom),
            pos=np.array(self._pos, dtype=np.int64),
            id=_objects(self._id),
            ref=_objects(self._ref),
            alt=_objects(self._alt),
        )
        return GenotypeMatrix(self._packed, self._samples, variants, self._source, facts)

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
