"""Whether new data suit a model: the ways in which placing samples goes wrong in silence, each looked for and said.

    build       the input's genome build is not the model's (header, identifiers at other places, alleles that clash),
                or its files are on different ones
    overlap     too few of the model's variants are there
    repeats     a variant stands in the input again with other genotypes
    variant sites only
                a call set without records where nobody has another allele than REF: its sites were chosen by genotype;
                of its frequencies only the share of carriers with two copies is held against training
    agreement   allele frequencies of the input against those of training:

        a = sum_j x_j y_j / sqrt(sum_j x_j^2 sum_j y_j^2),      x_j = 2 q_j - 1,  y_j = 2 p_j - 1

q_j, p_j: frequency of the same allele of variant j in the input and in training. Which allele that is does not matter,
so a < 0 means that alleles are named the wrong way round. The slope b = sum x y / sum y^2 of A/T and C/G sites is held
against that of all others: where a share f of them is on the other strand, it is 1 - 2 f times as steep.
One site's frequencies never decide on its strand: people of another ancestry have others (see docs/method.md).
"""

from __future__ import annotations

import logging
import math
import re
from dataclasses import dataclass

import numpy as np

from genovi.errors import ConfigError, MismatchError
from genovi.genotypes.builds import builds_differ
from genovi.genotypes.counting import AlleleCounts, allele_counts
from genovi.genotypes.matching import STATUSES, WAYS, VariantMatch, align, identifiers, match_variants
from genovi.genotypes.matrix import GenotypeMatrix, VariantTable
from genovi.genotypes.querying import Query
from genovi.genotypes.regions import BUILDS, BuildGuess, are_human, normalise_chromosomes

logger = logging.getLogger("genovi")

MIN_OVERLAP = 0.5
WARN_OVERLAP = 0.8
_LEAST_SITES = 100  # below it, frequencies say nothing
_LOW_AGREEMENT = 0.3
_LEAST_SLOPE = 0.4  # of palindromic sites, over that of others; see docs/method.md
_ERRORS = 3.0  # standard errors
_LEAST_SHARED = 20
_MOST_CLASHES = 0.25
_ENRICHED = 2.0  # a group's frequency may be that many times that of all training samples
_LEAST_EXPECTED = 10
_FEW = 0.02
_RAREST = 0.005  # frequencies in training are not known better than that
_SURE = 10.0  # nats


@dataclass(frozen=True)
class Target:
    """What new data are held against.

    Attributes:
        variants: The model's variants.
        frequency: Frequency of the counted allele in training, shape (m,), float64.
        build: "GRCh37", "GRCh38", or anything else where it is not known.
        name: The model, for messages.
    """

    variants: VariantTable
    frequency: np.ndarray
    build: str
    name: str


@dataclass(frozen=True)
class Demands:
    """What is asked of new data.

    Attributes:
        min_overlap: Smallest usable share of the model's variants, in [0, 1].
        match_by: "position" or "id".
        build: Genome build of the new data: "auto" asks the data, "none" does not compare builds.

    Raises:
        ConfigError: a value makes no sense.
    """

    min_overlap: float = MIN_OVERLAP
    match_by: str = WAYS[0]
    build: str = "auto"

    def __post_init__(self) -> None:
        if not 0 <= self.min_overlap <= 1:
            raise ConfigError(
                f"--min-overlap {self.min_overlap:g}", why="it is a share", fix="type a number from 0 to 1"
            )
        if self.match_by not in WAYS:
            raise ConfigError(f"--match-by {self.match_by!r} is not known", fix=f"choose {' or '.join(WAYS)}")
        if self.build not in ("auto", "none", *BUILDS):
            raise ConfigError(f"--build {self.build!r} is not known", fix="choose auto, GRCh37, GRCh38 or none")


def fit_to_model(target: Target, query: Query, demands: Demands | None = None) -> tuple[GenotypeMatrix, VariantMatch]:
    """Match new genotypes to a model's variants and check what can be checked.

    Args:
        target: The model.
        query: New samples, read for the model's variants.
        demands: What is asked of them.

    Returns:
        The genotypes in the model's order and coding, and how each variant was found. What is odd is logged.

    Raises:
        MismatchError: the data do not fit the model.
    """
    demands = demands or Demands()
    matrix = query.matrix
    if demands.match_by == "id":
        _check_identifiers(target, query)
    found = match_variants(target.variants, matrix.variants, demands.match_by)
    logger.info("found %s", found.describe())
    guess = BuildGuess(demands.build, "as told") if demands.build != "auto" else query.build
    if demands.match_by == "position":
        if demands.build == "auto" and query.disagreement is not None:
            raise builds_differ(query.disagreement, matrix.source)
        _check_build(target, matrix, found, guess)
        _check_clashes(target, matrix, found)
    aligned = align(matrix, found)
    counts = allele_counts(aligned)
    biased = variant_sites_only(target.frequency, found, counts)
    if biased:  # ALT is frequent at all sites, because those where it is not were left out
        _check_carriers(target, found, counts, matrix)
    else:
        _check_agreement(target, found, counts, matrix)
    if _palindromes_disagree(target, found, counts):
        found = found.without_palindromes()
        aligned = align(matrix, found)
        counts = allele_counts(aligned)
        logger.warning(
            "allele frequencies at A/T and C/G sites contradict those at the other sites, so their strand is not known "
            "and they are left out"
        )
    _report_strand(found)
    _report_repeats(matrix, found)
    _check_overlap(target, query, found, demands.min_overlap, guess, biased)
    return aligned, found


def _check_identifiers(target: Target, query: Query) -> None:
    ours = any(identifiers(text) for text in target.variants.id)
    for name, has_any in ((target.name, ours), (query.matrix.source, query.has_identifiers)):
        if not has_any:
            raise MismatchError(
                "no variant has an identifier",
                where=name,
                why="--match-by id has nothing to look up",
                fix="annotate with `bcftools annotate -c ID -a dbsnp.vcf.gz`, or match by position",
            )


def shared_identifiers(model: VariantTable, data: VariantTable) -> tuple[int, int]:
    """How many rs identifiers both have, once each, and how many of these stand at another position."""
    human = are_human(model.chrom)

    def places(table: VariantTable) -> dict[str, tuple[str, int] | None]:
        result: dict[str, tuple[str, int] | None] = {}
        chroms = normalise_chromosomes(table.chrom, human)
        for chrom, pos, name in zip(chroms, table.pos.tolist(), table.id, strict=True):
            if re.fullmatch(r"rs\d+", name):
                result[name] = None if name in result else (chrom, pos)
        return result

    ours, theirs = places(model), places(data)
    pairs = [(place, theirs[name]) for name, place in ours.items() if place and theirs.get(name)]
    return len(pairs), sum(one != other for one, other in pairs)


def _check_build(target: Target, matrix: GenotypeMatrix, found: VariantMatch, guess: BuildGuess) -> None:
    if guess.build == "none":
        return
    here, there = guess.build, target.build
    fix = f"lift it over to {there if there in BUILDS else 'the build of the model'}, or type --match-by id"
    if here in BUILDS and there in BUILDS and here != there:
        if found.usable < MIN_OVERLAP or guess.reason == "as told":
            raise MismatchError(
                f"the input is on {here}, the model on {there}",
                where=f"{matrix.source}: {guess.reason}",
                why=f"positions differ; only {found.describe()} could be used",
                fix=fix + "; if the input's build is told wrongly, --build",
            )
        logger.warning(
            "the input seems to be on %s (%s), but %.0f %% of the model's %s positions and alleles are in it: %s is "
            "taken to be right", here, guess.reason, 100 * found.usable, there, there,
        )  # fmt: skip
    if found.usable < MIN_OVERLAP:
        shared, elsewhere = shared_identifiers(target.variants, matrix.variants)
        if shared >= _LEAST_SHARED and 2 * elsewhere > shared:
            raise MismatchError(
                f"{elsewhere} of {shared} rs identifiers that input and model share stand at other positions",
                where=matrix.source,
                why="the genome builds differ",
                fix=fix,
            )
    if here not in BUILDS and there in BUILDS and found.usable >= MIN_OVERLAP:
        logger.info(
            "genome build of the input: %s; its positions and alleles are those of the model's %s", guess.reason, there
        )


def _check_clashes(target: Target, matrix: GenotypeMatrix, found: VariantMatch) -> None:
    there = sum(found.strands) + found.clashing
    if there < _LEAST_SHARED or found.clashing <= _MOST_CLASHES * there:
        return
    text = f"alleles are others than the model's at {found.clashing} of {there} positions that both have"
    if found.usable < MIN_OVERLAP:
        raise MismatchError(
            text,
            where=matrix.source,
            why=f"this looks like another genome build; only {found.describe()}, the rest is ambiguous or absent",
            fix=f"check the build against {target.name}/variants.tsv.gz, or type --match-by id",
        )
    logger.warning("%s; they are left out", text)


def _slope(x: np.ndarray, y: np.ndarray) -> tuple[float, float]:
    """Slope of x on y through the origin, and its standard error."""
    square = float((y * y).sum())
    slope = float((x * y).sum()) / square
    return slope, math.sqrt(float((y * y * (x - slope * y) ** 2).sum())) / square


def _centred(target: Target, counts: AlleleCounts, which: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    which = which & (counts.n_observed > 0)
    return 2 * counts.frequency[which] - 1, 2 * target.frequency[which] - 1


def _check_agreement(target: Target, found: VariantMatch, counts: AlleleCounts, matrix: GenotypeMatrix) -> None:
    x, y = _centred(target, counts, found.used & ~found.palindromic)
    size = math.sqrt(float((x * x).sum() * (y * y).sum()))
    if len(x) < _LEAST_SITES or size == 0:
        return
    agreement = float((x * y).sum()) / size
    logger.info("agreement of allele frequencies with training: %.2f at %d sites", agreement, len(x))
    if agreement < -_ERRORS / math.sqrt(len(x)):
        raise _exchanged(f"agreement {agreement:.2f}", matrix)
    if agreement < _LOW_AGREEMENT:
        logger.warning(
            "allele frequencies have little to do with those of training (agreement %.2f, usually over %.1f): "
            "check alleles, species and genome build", agreement, _LOW_AGREEMENT,
        )  # fmt: skip


def _check_carriers(target: Target, found: VariantMatch, counts: AlleleCounts, matrix: GenotypeMatrix) -> None:
    """Whether genotypes count ALT, from those alone that have one, since sites where nobody has were left out.

    Of carriers of an allele of frequency p, p / (2 - p) have two copies; where genotypes count REF instead, those who
    have two of what they call ALT are (1 - p) / (1 + p) of all with one. The log-likelihoods of both are compared.
    """
    seen = found.used & ~found.palindromic & (counts.n_observed > 0)
    n, exchanged = counts.n_observed[seen], found.swapped[seen]
    n_het = counts.n_het[seen]
    n_alt = np.where(exchanged, 2 * n - counts.n_alt[seen], counts.n_alt[seen])
    p = np.where(exchanged, 1 - target.frequency[seen], target.frequency[seen]).clip(_RAREST, 1 - _RAREST)
    one, two = 2 * (1 - p) / (2 - p), p / (2 - p)
    as_ref, twice_ref = 2 * p / (1 + p), (1 - p) / (1 + p)
    evidence = float((n_het * np.log(one / as_ref) + (n_alt - n_het) // 2 * np.log(two / twice_ref)).sum())
    if evidence < -_SURE:
        raise _exchanged(f"of those who carry ALT too many carry it twice, by {-evidence:.0f} nats", matrix)


def _exchanged(measure: str, matrix: GenotypeMatrix) -> MismatchError:
    return MismatchError(
        f"alleles are frequent where training has them rare ({measure})",
        where=matrix.source,
        why="genotypes count the other allele than the file says",
        fix="make the file again from the original calls, and check REF with `bcftools norm --check-ref w`",
    )


def _palindromes_disagree(target: Target, found: VariantMatch, counts: AlleleCounts) -> bool:
    others = _centred(target, counts, found.used & ~found.palindromic)
    ours = _centred(target, counts, found.used & found.palindromic)
    if len(others[0]) < _LEAST_SITES or not ours[1].any() or not others[1].any():
        return False
    (usual, error), (slope, own_error) = _slope(*others), _slope(*ours)
    return slope < _LEAST_SLOPE * usual and usual - slope > _ERRORS * math.hypot(error, own_error)


def _report_strand(found: VariantMatch) -> None:
    same, other = found.strands
    if other:
        logger.info("%d of %d sites are on the other strand and were recoded", other, same + other)
    unknown = int((found.palindromic & (found.status == STATUSES.index("ambiguous"))).sum())
    if unknown:
        logger.info(
            "left out, because their strand is not known: %d of the model's %d A/T and C/G sites",
            unknown, found.palindromic.sum(),
        )  # fmt: skip


def _report_repeats(matrix: GenotypeMatrix, found: VariantMatch) -> None:
    """Warn of variants that stand in the input again with other genotypes: the first record counts."""
    table, used = matrix.variants, found.row[found.used]
    spare = np.setdiff1d(np.arange(len(table)), used)
    if not len(spare) or not len(used):
        return

    def keys(rows: np.ndarray) -> list[tuple[object, ...]]:
        columns = (table.chrom, table.pos, table.ref, table.alt)
        return list(zip(*(column[rows].tolist() for column in columns), strict=True))

    row_of = dict(zip(keys(used), used.tolist(), strict=True))
    pairs = np.array([(row_of[key], row) for key, row in zip(keys(spare), spare, strict=True) if key in row_of])
    if not len(pairs):
        return
    first, again = matrix.dosages(pairs[:, 0]), matrix.dosages(pairs[:, 1])
    differ = ((first != again) & (first >= 0) & (again >= 0)).any(axis=1)
    if differ.any():
        place = pairs[differ][0, 0]
        logger.warning(
            "%d of the model's variants are in the input more than once with different genotypes, such as %s:%d: the "
            "first record counts", len(np.unique(pairs[differ, 0])), table.chrom[place], table.pos[place],
        )  # fmt: skip


def variant_sites_only(frequency: np.ndarray, found: VariantMatch, counts: AlleleCounts) -> bool:
    """Whether the data hold only sites at which somebody carries ALT, so that their sites were chosen by genotype.

    With n samples observed at site j, where ALT has frequency p_j in training, one expects

        sum_j n (1 - p_j)^2          genotypes without ALT: none are in files that list each sample's own variants
        sum_j (1 - 2 p_j)^(2 n)      sites without ALT: none are in a joint call set, or after filtering by allele count

    (2 p_j, since the samples may be of a group where ALT is more frequent). True where one of the two is at least
    ``_LEAST_EXPECTED`` and all but none are seen, ALT being the data's own or the model's.
    """
    if found.usable > 1 - _FEW:
        return False
    seen = found.used & (counts.n_observed > 0)
    n, exchanged = counts.n_observed[seen], found.swapped[seen]
    for other_way in (exchanged, np.zeros_like(exchanged)):
        n_alt = np.where(other_way, 2 * n - counts.n_alt[seen], counts.n_alt[seen])
        p = np.where(other_way, 1 - frequency[seen], frequency[seen])
        genotypes = n - (n_alt + counts.n_het[seen]) // 2
        for seen_without, expected in (
            (genotypes.sum(), (n * (1 - p) ** 2).sum()),
            ((n_alt == 0).sum(), ((1 - np.minimum(1, _ENRICHED * p)) ** (2 * n)).sum()),
        ):
            if expected >= _LEAST_EXPECTED and seen_without < _FEW * expected:
                return True
    return False


def _check_overlap(
    target: Target, query: Query, found: VariantMatch, least: float, guess: BuildGuess, biased: bool
) -> None:
    why = f"under {100 * least:.0f} % an embedding is a guess"
    fix = f"check genome build and alleles against {target.name}/variants.tsv.gz, or lower --min-overlap"
    if biased:
        why = "the input holds variant sites only, and what is absent is missing, not homozygous for the reference"
        fix = "call all sites of the model (bcftools mpileup -T, see docs/formats.md), or lower --min-overlap"
    elif query.is_gvcf:
        why, fix = "the input is a gVCF", "expand it with `bcftools convert --gvcf2vcf`, or lower --min-overlap"
    elif found.by == "id":
        fix = f"compare identifiers with {target.name}/variants.tsv.gz: both need names of one kind, such as rs numbers"
    elif guess.build == "unknown" and target.build in BUILDS:
        why += f"; the model is on {target.build}, and of the input {guess.reason}"
    if found.usable < least or found.usable == 0:
        raise MismatchError(f"only {found.describe()} can be used", where=query.matrix.source, why=why, fix=fix)
    if found.usable < WARN_OVERLAP:
        logger.warning(
            "found only %s: absent variants count as missing and positions are less certain", found.describe()
        )
    if biased:
        logger.warning(
            "the input holds variant sites only (somebody carries ALT at nearly all of them): these were chosen by "
            "genotype, which shifts positions; call all sites of the model instead, see docs/formats.md"
        )
