"""Reading and filtering at once: batches of all sources through a sieve, again where the first reading did not suffice.

Nothing but what passes stays, so that memory does not depend on how large the files are.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Iterator, Sequence

import numpy as np

from genovi.errors import DataError, MismatchError
from genovi.genotypes.batches import Batch, Source, draining, joined_name
from genovi.genotypes.builds import Builds
from genovi.genotypes.choosing import Choice
from genovi.genotypes.matrix import InputFacts
from genovi.genotypes.memory import UNBOUNDED, MemoryPlan
from genovi.genotypes.quality import QCConfig
from genovi.genotypes.rules import Known, Rules, Sink, TryAgainError
from genovi.genotypes.sieving import Sieve
from genovi.genotypes.steps import StepLog

logger = logging.getLogger("genovi")

_LONG = 30.0  # seconds: shorter readings are not announced
_LOOK_AFTER = 3.0  # seconds of reading from which the rest is estimated
_GIB = 1 << 30


def sift(
    sources: Sequence[Source],
    config: QCConfig,
    rules: Rules,
    known: Known,
    plan: MemoryPlan,
    make_sink: Callable[[tuple[str, ...]], Sink],
    steps: StepLog,
) -> tuple[Sieve, InputFacts]:
    """Read sources and keep what passes.

    Args:
        sources: Of the same samples, in any order.
        config: What to keep.
        rules: What else to keep.
        known: What is known of the input before it is read.
        plan: How much may wait in memory.
        make_sink: Makes the place for what passes, given the names of the samples that do; what it made before counts
            no more.
        steps: Receives the steps up to duplicate positions.

    Returns:
        The sieve after the last batch, and the facts of all sources; there is at least one record.

    Raises:
        DataError: a file is damaged or malformed, there is no record, or no sample or variant is left.
        MismatchError: sources have different samples, or are on different genome builds.
    """
    orders = [order_of(source, sources[0]) for source in sources]
    while True:
        sieve = Sieve(sources[0].samples, config, rules, known, plan.pending, make_sink)
        if not sieve.samples:
            sieve.record_samples(steps)
        facts: list[InputFacts] = []
        builds = Builds(sources)
        forecast = Forecast(plan)
        try:
            for which, batch, share in stream(sources, sieve.choice, facts):
                builds.add(which, batch.variants)
                sieve.add(batch.rows, batch.variants, orders[which], share)
                forecast.look(share, sieve.n_read, sieve.n_bytes)
            sieve.finish()
        except TryAgainError as again:
            logger.info("reading once more, because %s", _why(known, again.known))
            known = again.known
            continue
        if config.build == "auto":
            builds.check(facts)
        merged = InputFacts.merge(facts)
        report_input(sources, sieve.n_read, merged)
        sieve.record(merged, steps)
        return sieve, merged


def _why(before: Known, after: Known) -> str:
    if after.in_order != before.in_order:
        return "positions are not in order"
    if after.missing is None:
        return f"contigs are {'' if after.human else 'not all '}human"
    return f"{int(after.missing.failing.sum())} samples fail --mind and must not count for --geno and --maf"


def stream(
    sources: Sequence[Source], choice: Choice | None, facts: list[InputFacts]
) -> Iterator[tuple[int, Batch, float]]:
    """Number of the source, batch, and share of everything that has been read; ``facts`` receives those of each."""
    total = sum(source.n_bytes for source in sources) or 1
    before = 0
    for which, source in enumerate(sources):
        for batch in draining(source.batches(choice), facts):
            yield which, batch, (before + batch.share * source.n_bytes) / total
        before += source.n_bytes


def order_of(source: Source, first: Source) -> np.ndarray | None:
    """Places of the samples of ``first`` in ``source``, shape (n_samples,), int64; None where the order is the same.

    Raises:
        MismatchError: they have different samples.
    """
    if source.samples == first.samples:
        return None
    here, there = set(source.samples), set(first.samples)
    if here != there:
        examples = sorted(here ^ there)[:3]
        raise MismatchError(
            f"samples differ: {len(there - here)} only in {first.name}, {len(here - there)} only in {source.name}",
            where=", ".join(examples) + (", ..." if len(here ^ there) > 3 else ""),
            why="several files are one input only if they hold the same samples",
            fix="subset them to shared samples (`bcftools view -S SAMPLES`) or merge them (`bcftools merge`)",
        )
    place = {name: i for i, name in enumerate(source.samples)}
    logger.info("%s: samples put into the order of %s", source.name, first.name)
    return np.array([place[name] for name in first.samples], dtype=np.int64)


def report_input(sources: Sequence[Source], n_read: int, facts: InputFacts) -> None:
    """Log what was read.

    Raises:
        DataError: nothing was.
    """
    name = joined_name([source.name for source in sources])
    n_variants = n_read + facts.n_elsewhere
    for path in facts.unfinished:
        logger.warning("%s: the last line has no line end; the file may be truncated", path)
    if n_variants == 0:
        raise DataError(
            "no variants",
            where=name,
            why="the input has a header but no records",
            fix="check the command that made it",
        )
    logger.info("read %d samples x %d variants from %s", len(sources[0].samples), n_variants, name)
    if facts.half_calls:
        logger.warning("half calls (such as ./1) taken as missing: %d", facts.half_calls)
    if facts.haploid_calls:
        logger.info("haploid calls counted as homozygous: %d", facts.haploid_calls)
    if facts.split_records:
        logger.info("records with several ALT alleles split: %d", facts.split_records)
    if facts.records_without_gt:
        logger.warning("records without GT, all of whose genotypes are missing: %d", facts.records_without_gt)


class Forecast:
    """Says once, of a long reading, what it will take.

    Args:
        plan: How much may stay in memory.
    """

    def __init__(self, plan: MemoryPlan = UNBOUNDED) -> None:
        self._plan = plan
        self._start = time.monotonic()
        self._done = False

    def look(self, share: float, n_read: int, n_bytes: int | None) -> None:
        """After a batch.

        Args:
            share: Share of the input that has been read.
            n_read: Records so far.
            n_bytes: Bytes of what stays of them; None where nothing does.
        """
        seconds = time.monotonic() - self._start
        if self._done or seconds < _LOOK_AFTER or share <= 0:
            return
        self._done = True
        total = seconds / share
        if total < _LONG:
            return
        logger.info(
            "reading will take about %s: some %s records%s",
            _duration(total),
            f"{round(n_read / share, -3):,.0f}",
            "" if n_bytes is None else self._room(n_bytes / share),
        )

    def _room(self, kept: float) -> str:
        fits = self._plan.kept is None or kept < self._plan.kept
        room = "" if fits else f", more than memory has room for: in a temporary file in {self._plan.folder}"
        return f", of which {kept / _GIB:.2g} GiB stay{room}"


def _duration(seconds: float) -> str:
    return f"{seconds:.0f} s" if seconds < 120 else f"{seconds / 60:.0f} min"
