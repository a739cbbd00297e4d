"""Reading new samples for a model: only records that may be the model's are kept, whatever the size of the input.

A record may be one of the model's variants if it stands at the place of one, or has an identifier of one. Of all others
only what says whether the data suit the model is counted: contigs and positions, which tell the genome build, symbolic
alleles of a gVCF, and whether there are identifiers at all.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from genovi.genotypes.batches import joined_name
from genovi.genotypes.builds import Builds
from genovi.genotypes.keeping import RowStore
from genovi.genotypes.matching import identifiers
from genovi.genotypes.matrix import GenotypeMatrix, InputFacts, VariantTable, take_samples
from genovi.genotypes.reading import open_sources
from genovi.genotypes.regions import BuildEvidence, BuildGuess, are_human, normalise_chromosome
from genovi.genotypes.streaming import Forecast, order_of, report_input, stream

_GVCF = frozenset({"<NON_REF>", "<*>"})


@dataclass(frozen=True, eq=False)
class Query:
    """New samples, as far as a model is concerned.

    Attributes:
        matrix: Their genotypes at all records that may be variants of the model, in the order of the input.
        build: Genome build that all records of the input speak for.
        is_gvcf: Whether most records have a symbolic ALT that stands for any allele.
        has_identifiers: Whether any record has an identifier.
        disagreement: Two files of the input on different builds, in words; None where all agree.
    """

    matrix: GenotypeMatrix
    build: BuildGuess
    is_gvcf: bool
    has_identifiers: bool
    disagreement: str | None = None

    @staticmethod
    def of(matrix: GenotypeMatrix) -> Query:
        """Of an input that is in memory with all its records."""
        tally = _Tally()
        tally.add(matrix.variants)
        return tally.query(matrix)


class _Tally:
    """What is counted of all records."""

    def __init__(self) -> None:
        self._evidence = BuildEvidence()
        self._n, self._n_gvcf = 0, 0
        self._identified = False

    def add(self, variants: VariantTable) -> None:
        """Take in some records."""
        if len(variants):
            self._evidence.add(variants)
        self._n += len(variants)
        self._n_gvcf += sum(alt in _GVCF for alt in variants.alt)
        self._identified = self._identified or any(identifiers(text) for text in variants.id)

    @property
    def n(self) -> int:
        """Number of records."""
        return self._n

    def query(self, matrix: GenotypeMatrix) -> Query:
        """Genotypes that were kept, with what was counted."""
        build = self._evidence.guess(matrix.facts)
        return Query(matrix, build, 2 * self._n_gvcf > self._n, self._identified)


class _Wanted:
    """Where a model has variants, and what they are called."""

    def __init__(self, model: VariantTable) -> None:
        self._human = are_human(model.chrom)
        names = {name: normalise_chromosome(name, self._human) for name in set(model.chrom)}
        chrom = np.array([names[name] for name in model.chrom], dtype=object)
        self._places = {name: np.unique(model.pos[chrom == name]) for name in set(names.values())}
        self._identifiers = {one for text in model.id for one in identifiers(text)}

    def mask(self, variants: VariantTable) -> np.ndarray:
        """Which records may be variants of the model, shape (n_variants,), bool."""
        wanted = np.zeros(len(variants), dtype=bool)
        for name in dict.fromkeys(variants.chrom.tolist()):
            places = self._places.get(normalise_chromosome(name, self._human))
            if places is not None:
                here = variants.chrom == name
                wanted[here] = np.isin(variants.pos[here], places)
        if self._identifiers:
            known = self._identifiers
            wanted |= np.fromiter(
                (text in known or (";" in text and not known.isdisjoint(text.split(";"))) for text in variants.id),
                dtype=bool,
                count=len(variants),
            )
        return wanted


def read_query(inputs: Sequence[Path | GenotypeMatrix], model: VariantTable) -> Query:
    """Read new samples, in memory for what may be the model's.

    Args:
        inputs: Genotype files as for ``open_sources``; several are one input. Records with several ALT alleles are
            split: where new samples have a third allele, the model's two still match.
        model: Variants of the model.

    Raises:
        ConfigError, DataError, MismatchError: as ``open_genotypes``.
    """
    wanted, tally = _Wanted(model), _Tally()
    with open_sources(inputs, split_multiallelic=True) as sources:
        facts: list[InputFacts] = []
        orders = [order_of(source, sources[0]) for source in sources]
        store = RowStore().begin(sources[0].samples)
        builds, forecast = Builds(sources), Forecast()
        for which, batch, share in stream(sources, None, facts):
            builds.add(which, batch.variants)
            tally.add(batch.variants)
            mask = wanted.mask(batch.variants)
            rows, order = batch.rows[mask], orders[which]
            store.append(rows if order is None else take_samples(rows, order), batch.variants.take(mask))
            forecast.look(share, tally.n, store.n_bytes)
        merged = InputFacts.merge(facts)
        report_input(sources, tally.n, merged)
        name = joined_name([source.name for source in sources])
        query = tally.query(GenotypeMatrix(store.rows(), sources[0].samples, store.variants, name, merged))
        return replace(query, disagreement=builds.disagreement(facts))
