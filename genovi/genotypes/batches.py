"""What streams from a file to whoever keeps it: Source, which can be read any number of times, and its Batches."""

from __future__ import annotations

from collections.abc import Callable, Generator, Iterator, Sequence
from dataclasses import dataclass
from typing import TypeVar

import numpy as np

from genovi.genotypes.choosing import Choice
from genovi.genotypes.matrix import GenotypeMatrix, InputFacts, VariantTable

BATCH_BYTES = 1 << 22  # packed genotypes in a batch, about
BATCH_ROWS = 1 << 14


@dataclass(frozen=True, eq=False)
class Batch:
    """Consecutive rows of a source.

    Attributes:
        rows: PLINK 1 codes as in ``GenotypeMatrix``, shape (n_rows, ceil(n_samples / 4)), uint8.
        variants: Their variants.
        share: Share of what is to be read that has been read after this batch, in [0, 1].
    """

    rows: np.ndarray
    variants: VariantTable
    share: float


Batches = Generator[Batch, None, InputFacts]
Rows = Generator[np.ndarray, None, InputFacts]
_T = TypeVar("_T")


@dataclass(frozen=True)
class Source:
    """One input file or fileset, opened as far as its samples.

    Attributes:
        name: The file, for messages.
        format: Such as "VCF (BGZF)".
        samples: Sample identifiers in file order.
        n_bytes: Size, by which several sources are weighed against each other.
        batches: Reads from the start to the end; the generator returns the facts. Given a choice, records elsewhere
            are counted in the facts and otherwise passed over. May be called again.
        whole: Gives all of it as a matrix, where that costs nothing or is mapped into memory.
    """

    name: str
    format: str
    samples: tuple[str, ...]
    n_bytes: int
    batches: Callable[[Choice | None], Batches]
    whole: Callable[[], GenotypeMatrix] | None = None


def source_of(matrix: GenotypeMatrix) -> Source:
    """Genotypes in memory, or mapped into it, as a source."""

    def batches(choice: Choice | None) -> Batches:
        chosen = 0
        size = rows_in_batch(matrix.packed.shape[1])
        for start in range(0, matrix.n_variants, size):
            part = slice(start, start + size)
            rows, variants = matrix.packed[part], matrix.variants.take(part)
            if choice is not None:
                mask = choice.mask(variants)
                rows, variants = rows[mask], variants.take(mask)
            chosen += len(variants)
            yield Batch(rows, variants, min(1.0, (start + size) / matrix.n_variants))
        return matrix.facts.elsewhere(matrix.n_variants - chosen)

    form = "".join(matrix.facts.formats[:1])
    return Source(matrix.source, form, matrix.samples, matrix.packed.nbytes, batches, lambda: matrix)


def rows_source(
    name: str, form: str, samples: tuple[str, ...], variants: VariantTable, n_bytes: int, rows: Callable[[], Rows]
) -> Source:
    """A source whose variants are known and whose genotypes are read a few rows at a time.

    Args:
        name: As for ``Source``.
        form: Its format.
        samples: As for ``Source``.
        variants: Of all rows.
        n_bytes: As for ``Source``.
        rows: Reads from the start to the end, rows coded as in ``GenotypeMatrix``; the generator returns the facts.
    """

    def batches(choice: Choice | None) -> Batches:
        start = chosen = 0
        facts: list[InputFacts] = []
        for block in draining(rows(), facts):
            some = variants.take(slice(start, start + len(block)))
            start += len(block)
            if choice is not None:
                mask = choice.mask(some)
                block, some = block[mask], some.take(mask)
            chosen += len(some)
            yield Batch(block, some, start / len(variants))
        return facts[0].elsewhere(len(variants) - chosen)

    return Source(name, form, samples, n_bytes, batches)


def rows_in_batch(width: int) -> int:
    """Rows of ``width`` bytes that make a batch."""
    return max(1, min(BATCH_ROWS, BATCH_BYTES // max(1, width)))


def joined_name(names: Sequence[str]) -> str:
    """One name for several sources."""
    return names[0] if len(names) == 1 else f"{names[0]} and {len(names) - 1} more"


def draining(parts: Generator[_T, None, InputFacts], facts: list[InputFacts]) -> Iterator[_T]:
    """The batches or rows of a source; what the generator returns is appended to ``facts``."""
    facts.append((yield from parts))
