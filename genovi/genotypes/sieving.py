"""The part of quality control that runs while genotypes are read: all steps up to duplicate positions.

What a step takes must depend neither on where batches end nor on what has been dropped already. Three things are
known only at the end of the input: whether all contigs are human (then autosomes alone stay), whether positions are
in order (then a duplicate follows its first), and which samples fail --mind (they do not count for --geno and --maf).
Each is assumed to be as it usually is, and where the end contradicts, ``TryAgainError`` asks for a second reading that
knows better. Nothing is assumed of --mind as long as all candidates wait in memory.
"""

from __future__ import annotations

import logging
from collections import Counter
from collections.abc import Callable
from dataclasses import replace

import numpy as np

from genovi.genotypes.counting import AlleleCounts, count_alleles
from genovi.genotypes.duplicates import OutOfOrderError, Positions
from genovi.genotypes.hardyweinberg import few_heterozygotes, passes_hwe
from genovi.genotypes.idlists import VariantList, named_samples
from genovi.genotypes.kinds import KINDS, kind_numbers
from genovi.genotypes.matrix import InputFacts, VariantTable, take_samples
from genovi.genotypes.quality import QCConfig
from genovi.genotypes.regions import (
    BuildEvidence,
    has_two_names,
    normalise_chromosome,
    normalise_chromosomes,
    on_autosomes,
)
from genovi.genotypes.rules import Known, Missing, Rules, Sink, TryAgainError
from genovi.genotypes.steps import N_EXAMPLES, StepLog, warn_unmatched

logger = logging.getLogger("genovi")

_MARGIN = 2.0**-44  # plink2's: keeps shares that equal the threshold, such as 29 of 100 at 0.29


class Sieve:
    """One reading of an input.

    Args:
        samples: Of the input.
        config: What to keep.
        rules: What else to keep.
        known: From earlier readings.
        most_pending: Bytes of genotypes that wait for the end; None for no bound.
        make_sink: Makes the place for what passes, given the names of the samples that do.
    """

    def __init__(
        self,
        samples: tuple[str, ...],
        config: QCConfig,
        rules: Rules,
        known: Known,
        most_pending: int | None,
        make_sink: Callable[[tuple[str, ...]], Sink],
    ) -> None:
        self._config, self._rules, self._known = config, rules, known
        self._most_pending = most_pending
        self._make_sink = make_sink
        self._sink: Sink | None = None
        self._input_samples = samples
        self.choice = config.choice
        if self.choice is not None and known.human is not None:
            self.choice = replace(self.choice, human=known.human)
        self._lists = {
            name: VariantList(ids, known.human is not False)
            for name in ("extract", "exclude")
            if (ids := getattr(config, name))
        }
        self._positions = Positions(known.in_order)  # of all candidates
        self._taken = Positions(known.in_order)  # of those that passed
        self._human = known.human
        self._kinds = np.zeros(len(KINDS), dtype=np.int64)
        self._kinds_that_stay = np.array([kind in rules.kinds for kind in KINDS])
        self._kept: Counter[str] = Counter()  # variants left after each step
        self._pending: list[tuple[np.ndarray, VariantTable, AlleleCounts]] = []
        self._n_pending_bytes = 0
        self._n_few = 0  # variants that --hwe takes for too few heterozygotes
        self._is_early = False  # whether anything went on before the end
        self.evidence = BuildEvidence()
        self.n_read = 0
        self._names = {
            name: None if ids is None else named_samples(ids, samples)
            for name, ids in (("keep", config.keep), ("remove", config.remove))
        }
        self._listed = _listed(samples, self._names["keep"], self._names["remove"])
        self._index = self._listed if known.missing is None else self._listed[~known.missing.failing]
        self._sample_missing = np.zeros(len(self._index), dtype=np.int64)
        self._n_counted = 0  # variants that ``_sample_missing`` counts
        self._missing = known.missing or self._find_missing()

    @property
    def samples(self) -> tuple[str, ...]:
        """Samples that stay."""
        return tuple(self._input_samples[i] for i in self._index.tolist())

    @property
    def n_bytes(self) -> int:
        """Bytes of what waits and of what passed."""
        return self._n_pending_bytes + (0 if self._sink is None else self._sink.n_bytes)

    def add(self, rows: np.ndarray, variants: VariantTable, order: np.ndarray | None, share: float) -> None:
        """Take in a batch.

        Args:
            rows: PLINK 1 codes, shape (n_rows, ceil(n_samples / 4)), uint8.
            variants: Their variants.
            order: Places of the input's samples in the rows, shape (n_samples,), int64; None where these are in order.
            share: Share of the input that has been read, this batch included.

        Raises:
            TryAgainError: an assumption does not hold.
        """
        self.n_read += len(variants)
        self.evidence.add(variants)
        passing = self._passing(variants)
        if len(passing) < len(variants):
            rows, variants = rows[passing], variants.take(passing)
        repeated = self._repeated(variants)
        if order is not None or len(self._index) < len(self._input_samples):
            rows = take_samples(rows, self._index if order is None else order[self._index])
        counts = count_alleles(rows, len(self._index))
        self._n_counted += len(rows) - len(repeated)
        self._sample_missing += counts.sample_missing
        if len(repeated):
            self._sample_missing -= count_alleles(rows[repeated], len(self._index)).sample_missing
        self._pending.append((rows, variants, counts))
        self._n_pending_bytes += rows.nbytes
        if self._most_pending is not None and self._n_pending_bytes > self._most_pending:
            self._is_early = True
            self._settle(share)

    def finish(self) -> None:
        """After the last batch: let pass what waits.

        Raises:
            TryAgainError: an assumption does not hold.
        """
        self._check_human()
        missing = self._known.missing or self._find_missing()
        if self._known.missing is None and missing.failing.any() and not missing.failing.all():
            if self._is_early:
                raise TryAgainError(replace(self._known, human=self._human, missing=missing))
            self._leave_out(missing)
        if not missing.failing.all():
            self._settle(1.0)
        self._missing = missing

    def record(self, facts: InputFacts, steps: StepLog) -> None:
        """Record the steps, after ``finish``.

        Args:
            facts: Of the whole input.
            steps: Receives them.

        Raises:
            DataError: a step left nothing.
        """
        self.record_samples(steps)
        self._record_choices(facts, steps)
        self._record_missing(self._missing, steps)
        self._record_frequencies(steps)

    def sink(self) -> Sink:
        """Where what passed is; made when it is first asked for."""
        if self._sink is None:
            self._sink = self._make_sink(self.samples)
        return self._sink

    def _passing(self, variants: VariantTable) -> np.ndarray:
        """Places of the variants that pass all steps before --mind."""
        config = self._config
        chroms = normalise_chromosomes(variants.chrom)
        passing = np.arange(len(variants))

        def select(name: str, mask: np.ndarray) -> None:
            nonlocal passing, variants, chroms
            self._kept[name] += int(mask.sum())
            if not mask.all():
                passing, variants, chroms = passing[mask], variants.take(mask), chroms[mask]

        if config.autosomes_only and self.choice is None and self._are_human():
            select("autosomes", on_autosomes(chroms))
        select("negative", variants.pos >= 0)
        for name, listed in self._lists.items():
            select(f"--{name}", listed.matches(variants, chroms) == (name == "extract"))
        kinds = kind_numbers(variants)
        self._kinds += np.bincount(kinds, minlength=len(KINDS))
        select("kinds", self._kinds_that_stay[kinds])
        return passing

    def _repeated(self, variants: VariantTable) -> np.ndarray:
        """Places of the variants that stand where one before them does: --mind does not count a position twice."""
        if not self._rules.unique:
            return np.zeros(0, dtype=np.int64)
        try:
            first = self._positions.are_first(normalise_chromosomes(variants.chrom), variants.pos)
        except OutOfOrderError:
            raise TryAgainError(replace(self._known, in_order=False)) from None
        return np.flatnonzero(~first)

    def _are_human(self) -> bool:
        """Whether the input's contigs are taken for human: by the first batch, unless it is known."""
        if self._human is None and self.n_read:
            self._human = self.evidence.why_not_human() is None
        elif self._human and self._known.human is None and self.evidence.why_not_human() is not None:
            raise TryAgainError(replace(self._known, human=False))
        return bool(self._human)

    def _check_human(self) -> None:
        choice, lists = self.choice, self._lists.values()
        if choice is not None:
            self.evidence.elsewhere = choice.asked - self.evidence.names.keys()
        if self._known.human is not None:
            return
        human = self.evidence.why_not_human() is None
        assumed = []
        if self._config.hwe is not None or (self._config.autosomes_only and choice is None):
            assumed.append(self._are_human())
        if choice is not None and choice.depends_on_species:
            assumed.append(choice.human)
        if any(one.depends_on_species for one in lists):
            assumed.append(True)
        if any(one != human for one in assumed):
            raise TryAgainError(replace(self._known, human=human))

    def _find_missing(self) -> Missing:
        share = self._sample_missing / max(1, self._n_counted)
        return Missing(share, share > self._config.mind)

    def _leave_out(self, missing: Missing) -> None:
        """Take the samples that fail out of all that waits."""
        stay = np.flatnonzero(~missing.failing)
        for i, (rows, variants, _) in enumerate(self._pending):
            rows = take_samples(rows, stay)
            self._pending[i] = (rows, variants, count_alleles(rows, len(stay)))
        self._index = self._index[stay]

    def _settle(self, share: float) -> None:
        """Let pass what waits, as far as --geno, variation and --maf allow, and the first such of each position."""
        waiting, self._pending, self._n_pending_bytes = self._pending[::-1], [], 0
        while waiting:
            rows, variants, counts = waiting.pop()
            left = np.ones(len(rows), dtype=bool)
            for name, good in self._frequency_masks(variants, counts).items():
                left &= good
                self._kept[name] += int(left.sum())
            if not left.all():
                rows, variants = rows[left], variants.take(left)
            if self._rules.unique:
                first = self._taken.are_first(normalise_chromosomes(variants.chrom), variants.pos)
                self._kept["unique"] += int(first.sum())
                if not first.all():
                    rows, variants = rows[first], variants.take(first)
            self.sink().append(rows, variants, share)

    def _frequency_masks(self, variants: VariantTable, counts: AlleleCounts) -> dict[str, np.ndarray]:
        """Which variants each step that looks at genotypes would keep, in order."""
        config, n_samples = self._config, len(self._index)
        complete = (n_samples - counts.n_observed) <= config.geno * (1 + _MARGIN) * n_samples
        masks = {}
        if config.geno < 1 or not self._rules.mute:
            masks["--geno"] = complete
        if config.hwe is not None:
            masks["--hwe"] = passes_hwe(counts, config.hwe)
            if self._are_human():
                masks["--hwe"] |= ~on_autosomes(normalise_chromosomes(variants.chrom))
            self._n_few += int((~masks["--hwe"] & complete & few_heterozygotes(counts)).sum())
        if self._rules.varying:
            masks["monomorphic"] = counts.varies
        if config.maf > 0 or not self._rules.mute:
            masks["--maf"] = counts.is_common(config.maf)
        return masks

    def _record_choices(self, facts: InputFacts, steps: StepLog) -> None:
        """--chr, --region or autosomes; --extract, --exclude; kinds; positions."""
        config = self._config
        left = self.n_read + facts.n_elsewhere

        def record(name: str, kept: int, reason: str) -> None:
            nonlocal left
            steps.record(name, "variants", left, left - kept, reason)
            left = kept

        if self.choice is not None:
            names = {normalise_chromosome(name, self.choice.human) for name in self.evidence.names}
            wanted = {normalise_chromosome(one.chrom, self.choice.human): one.chrom for one in self.choice.regions}
            absent = sorted(wanted[name] for name in wanted.keys() - names)
            option = "--chr" if config.chromosomes is not None else "--region"
            if absent:
                logger.warning("%s names chromosomes without variants: %s", option, ", ".join(absent[:N_EXAMPLES]))
            reason = "on other chromosomes" if option == "--chr" else "outside of the regions"
            record(option, self.n_read, reason)
        elif config.autosomes_only:
            human = self._are_human()
            reason = "not on chromosomes 1-22"
            if not human:
                reason = f"contigs are not human ({self.evidence.why_not_human()}): all stay"
            record("autosomes", self._kept["autosomes"] if human else left, reason)
            self._warn_of_numbers()
        if self._kept["negative"] < left:
            record("negative positions", self._kept["negative"], "at negative positions")
        for name, listed in self._lists.items():
            warn_unmatched(name, listed.unmatched, len(getattr(config, name)))
            where = f"{'not ' if name == 'extract' else ''}on the --{name} list"
            record(f"--{name}", self._kept[f"--{name}"], where)
        found = zip(self._kinds.tolist(), KINDS, strict=True)
        reason = ", ".join(f"{n} {kind}" for n, kind in found if n and kind not in self._rules.kinds)
        record(self._rules.kinds_name, self._kept["kinds"], reason or f"all are {self._rules.kinds_name}")

    def _warn_of_numbers(self) -> None:
        """Say what 23 to 26 were taken for: other species may have no more chromosomes than that."""
        numbered = {name: normalise_chromosome(name) for name in self.evidence.names}
        names = [name for name, normal in numbered.items() if normal.isdigit() and has_two_names(normal)]
        if self._are_human() and names:
            logger.warning(
                "%d variants on chromosomes %s are left out, which PLINK takes for X, Y, XY and MT of humans: of "
                "another species keep them with --all-contigs --build none",
                sum(self.evidence.names[name] for name in names), ", ".join(names),
            )  # fmt: skip

    def record_samples(self, steps: StepLog) -> None:
        """Record --keep and --remove.

        Raises:
            DataError: they leave nobody.
        """
        left = self._input_samples
        for name, ids in self._names.items():
            if ids is None:
                continue
            warn_unmatched(name, ids - set(left), len(ids))
            gone = [one for one in left if (one in ids) != (name == "keep")]
            reason = "not on the --keep list" if name == "keep" else "on the --remove list"
            steps.record(f"--{name}", "samples", len(left), len(gone), reason, tuple(gone[:N_EXAMPLES]))
            left = tuple(one for one in left if (one in ids) == (name == "keep"))

    def _record_missing(self, missing: Missing, steps: StepLog) -> None:
        config = self._config
        if config.mind >= 1 and self._rules.mute:
            return
        names = [self._input_samples[i] for i in self._listed[missing.failing].tolist()]
        shares = missing.share[missing.failing]
        if names:
            shown = [f"{name} ({share:.1%})" for name, share in zip(names[:N_EXAMPLES], shares, strict=False)]
            more = f" and {len(names) - len(shown)} more" if len(names) > len(shown) else ""
            logger.warning(
                "--mind %g removes samples with too many missing genotypes (%d): %s%s",
                config.mind, len(names), ", ".join(shown), more,
            )  # fmt: skip
        reason = f"more than {config.mind:g} of their genotypes are missing"
        steps.record("--mind", "samples", len(self._listed), len(names), reason, tuple(names[:N_EXAMPLES]))

    def _record_frequencies(self, steps: StepLog) -> None:
        config = self._config
        left = self._kept["kinds"]
        hwe = "" if config.hwe is None else config.hwe.reason()
        if self._n_few:
            hwe += f", {self._n_few} of them with too few heterozygotes"
            logger.warning(
                "--hwe removes %d variants with too few heterozygotes, as differences between populations make them: "
                "add keep-fewhet to keep those", self._n_few,
            )  # fmt: skip
        for name, reason in (
            ("--geno", f"more than {config.geno:g} of the samples are missing"),
            ("--hwe", hwe),
            ("monomorphic", "all observed alleles are the same"),
            ("--maf", f"the minor allele is rarer than {config.maf:g}"),
        ):
            if name in self._kept:
                steps.record(name, "variants", left, left - self._kept[name], reason)
                left = self._kept[name]
        if self._rules.unique:
            reason = "a variant before them has the same position"
            steps.record("duplicate positions", "variants", left, left - self._kept["unique"], reason)


def _listed(samples: tuple[str, ...], keep: frozenset[str] | None, remove: frozenset[str] | None) -> np.ndarray:
    """Places of the samples that --keep and --remove leave, int64."""
    return np.array(
        [
            i
            for i, name in enumerate(samples)
            if (keep is None or name in keep) and (remove is None or name not in remove)
        ],
        dtype=np.int64,
    )
