"""Human chromosomes: their names, the genome build that positions are of, and regions of long-range LD.

Sequence lengths are those of the assemblies GRCh37 and GRCh38 (Genome Reference Consortium). Long-range LD regions are
the list of Anderson et al. (Nature Protocols 2010, doi:10.1038/nprot.2010.116), which extends Price et al. (American
Journal of Human Genetics 2008, doi:10.1016/j.ajhg.2008.06.005), in the lift-overs to GRCh37 and GRCh38 that the R
package plinkQC distributes; fragments below 100 kb that lifting left behind are not taken over.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass
from functools import partial

import numpy as np

from genovi.errors import ConfigError
from genovi.genotypes.matrix import InputFacts, VariantTable
from genovi.genotypes.runs import for_each_name, runs

BUILDS = ("GRCh37", "GRCh38")
AUTOSOMES = tuple(str(number) for number in range(1, 23))

_ALIASES = {"M": "MT", "MTDNA": "MT", "PAR1": "XY", "PAR2": "XY"}
_NUMBERED = {"23": "X", "24": "Y", "25": "XY", "26": "MT"}  # PLINK's numbers; other species have such autosomes
_HUMAN = frozenset((*AUTOSOMES, "X", "Y", "XY", "MT", "0", "UN"))
# Names that no human fileset has together: zebrafish have chromosomes 1-25 and MT, sheep 1-26 and X. (EIGENSTRAT has 23
# and 24 beside 90, which is MT, and 91, which is XY.)
_CONTRADICTIONS = ((frozenset(_NUMBERED), frozenset("XY")), (frozenset(("25", "26")), frozenset(("XY", "MT"))))
_REFSEQ = re.compile(r"NC_0000(0[1-9]|1\d|2[0-4])\.\d+")
_REFSEQ_MT = re.compile(r"NC_(012920|001807)\.\d+")
# GenBank's accessions of what belongs to GRCh37, GRCh38, their patches and decoys; other GL, KI, ... are other species.
_UNPLACED = re.compile(
    r"(GL(000|339|383|582|877|949)\d{3}|JH\d+|JTFH01\d+|KI27\d+|KN(196|538)\d{3}|KQ(031|090|458|759|983)\d{3}"
    r"|KV(575|766|880)\d{3}|KZ(208|559)\d{3}|ML143\d{3}|MU273\d{3}|HLA-|HSCHR|NT_\d+|NW_\d+"
    r"|NC_007605|EBV|HS37D5|HS38D1|NC_001422|PHIX|[XY]_?PAR)",
    re.IGNORECASE,
)
_UNPLACED_SUFFIX = re.compile(r"_(random|alt|hap\d+|fix|decoy|patch)$", re.IGNORECASE)

_LENGTHS = {  # chromosomes 1 to 22
    "GRCh37": (
        249250621, 243199373, 198022430, 191154276, 180915260, 171115067, 159138663, 146364022,
        141213431, 135534747, 135006516, 133851895, 115169878, 107349540, 102531392, 90354753,
        81195210, 78077248, 59128983, 63025520, 48129895, 51304566,
    ),
    "GRCh38": (
        248956422, 242193529, 198295559, 190214555, 181538259, 170805979, 159345973, 145138636,
        138394717, 133797422, 135086622, 133275309, 114364328, 107043718, 101991189, 90338345,
        83257441, 80373285, 58617616, 64444167, 46709983, 50818468,
    ),
}  # fmt: skip
CHROMOSOME_LENGTHS: dict[str, dict[str, int]] = {
    build: dict(zip(AUTOSOMES, lengths, strict=True)) for build, lengths in _LENGTHS.items()
}
CHROMOSOME_LENGTHS["GRCh37"] |= {"X": 155270560, "Y": 59373566}
CHROMOSOME_LENGTHS["GRCh38"] |= {"X": 156040895, "Y": 57227415}

# Chromosome, first and last base pair.
LONG_RANGE_LD: dict[str, tuple[tuple[str, int, int], ...]] = {
    "GRCh37": (
        ("1", 48227412, 52227412),
        ("2", 86146488, 101133568),
        ("2", 183291754, 190291755),
        ("3", 47524995, 50024996),
        ("3", 83417309, 86917310),
        ("5", 44464242, 50464243),
        ("5", 128972100, 131972101),
        ("6", 25392020, 33392022),
        ("6", 56892040, 63942041),
        ("6", 139958306, 142458307),
        ("7", 55032505, 66362565),
        ("8", 7962589, 11962591),
        ("8", 42880842, 49837447),
        ("8", 111930823, 114930824),
        ("10", 36959993, 43679994),
        ("11", 87860351, 90860352),
        ("12", 33108732, 41713733),
        ("20", 32536338, 35066586),
    ),
    "GRCh38": (
        ("1", 47761740, 51761740),
        ("2", 85919365, 100517106),
        ("2", 182427027, 189427029),
        ("3", 47483505, 49987563),
        ("3", 83368158, 86868160),
        ("5", 44464140, 51168409),
        ("5", 129636407, 132636409),
        ("6", 25391792, 33424245),
        ("6", 57788603, 58453888),
        ("6", 61109122, 61357029),
        ("6", 139637169, 142137170),
        ("7", 54964812, 66897578),
        ("8", 8105067, 12105082),
        ("8", 43025699, 48924888),
        ("8", 110918594, 113918595),
        ("10", 36671065, 43184546),
        ("11", 88127183, 91127184),
        ("12", 32955798, 41319931),
        ("20", 33948532, 36438183),
    ),
}

_BUILD_WORDS = {
    "GRCh37": re.compile(r"grch37|hg19|\bb37\b|hs37|v37\b|human_g1k_v37", re.IGNORECASE),
    "GRCh38": re.compile(r"grch38|hg38|\bb38\b|hs38|GCA_000001405\.(1[5-9]|2\d)", re.IGNORECASE),
}


@dataclass(frozen=True)
class BuildGuess:
    """A genome build ("GRCh37", "GRCh38", "unknown") and the evidence for it."""

    build: str
    reason: str


def normalise_chromosome(name: str, human: bool = False) -> str:
    """One name for each chromosome: "chr1" -> "1", "chrX" -> "X", "chrM" -> "MT", "NC_000001.11" -> "1".

    Names of other contigs stay as they are, without a "chr" prefix.

    Args:
        name: As written.
        human: Take 23, 24, 25 and 26 for X, Y, XY and MT, as PLINK numbers them. Of other species they are autosomes.
    """
    refseq = _REFSEQ.fullmatch(name)
    if refseq:
        number = str(int(refseq[1]))
        return _NUMBERED.get(number, number)
    if _REFSEQ_MT.fullmatch(name):
        return "MT"
    if name[:3].lower() == "chr" and len(name) > 3:
        name = name[3:].lstrip("_") or name
    short = name.upper()
    if short.isdigit():
        short = short.lstrip("0") or "0"
    short = _ALIASES.get(short, short)
    if short in _NUMBERED:
        return _NUMBERED[short] if human else short
    return short if short in _HUMAN else name


def normalise_chromosomes(names: np.ndarray, human: bool = False) -> np.ndarray:
    """``normalise_chromosome`` of each, shape (n_variants,), object (str)."""
    return for_each_name(partial(normalise_chromosome, human=human), names, str)


def has_two_names(name: str) -> bool:
    """Whether a normalised chromosome is one that PLINK numbers in humans: 23 and X, 24 and Y, 25 and XY, 26 and MT."""
    return name in _NUMBERED or name in _NUMBERED.values()


def on_autosomes(chroms: np.ndarray) -> np.ndarray:
    """Which of the normalised names, shape (n_variants,), object (str), are human autosomes; returns bool."""
    return for_each_name(AUTOSOMES.__contains__, chroms, bool)


def are_human(names: Iterable[str]) -> bool:
    """Whether contig names are those of human chromosomes: see ``why_not_human``."""
    return why_not_human(names) is None


def why_not_human(names: Iterable[str]) -> str | None:
    """What speaks against contigs being human chromosomes 1-22, X, Y and MT, in words; None where they are.

    At least one autosome, X, Y or MT must be there. Unplaced, alternative and decoy sequences of the human assemblies
    may be among them; any other name speaks against, and so does a number beside the letter that PLINK writes it for.
    """
    normal = {normalise_chromosome(name): name for name in dict.fromkeys(names)}
    for one, name in normal.items():
        if one not in _HUMAN and one not in _NUMBERED and not _is_unplaced(one):
            return f"such as {name}"
    for numbers, letters in _CONTRADICTIONS:
        if numbers & normal.keys() and letters & normal.keys():
            return f"{normal[min(numbers & normal.keys())]} beside {normal[min(letters & normal.keys())]}"
    return None if normal.keys() & {*AUTOSOMES, "X", "Y", "MT", "23", "24", "26"} else "no chromosome is named"


def _is_unplaced(name: str) -> bool:
    return bool(_UNPLACED.match(name) or _UNPLACED_SUFFIX.search(name) or name.upper().startswith("UN_"))


def parse_chromosomes(text: str, human: bool = False) -> tuple[str, ...]:
    """Chromosomes of a list such as "1-4,22,X", names normalised.

    Args:
        text: What was typed.
        human: As for ``normalise_chromosome``; 23 stays 23 until it is known whose genotypes they are.

    Raises:
        ConfigError: a range makes no sense.
    """
    names: list[str] = []
    for part in filter(None, (piece.strip() for piece in text.split(","))):
        bounds = re.fullmatch(r"(?:chr)?(\d+)-(?:chr)?(\d+)", part, re.IGNORECASE)
        if bounds is None:
            names.append(normalise_chromosome(part, human))
            continue
        first, last = int(bounds[1]), int(bounds[2])
        if not 1 <= first <= last <= 1000:
            raise ConfigError(f"{part!r} is not a range of chromosomes", where="--chr", fix="write it as 1-22")
        names.extend(normalise_chromosome(str(number), human) for number in range(first, last + 1))
    if not names:
        raise ConfigError("no chromosome named", where="--chr", fix="write it as 1-22 or 1,2,X")
    return tuple(dict.fromkeys(names))


class BuildEvidence:
    """What variants say about the genome build; filled table by table.

    Attributes:
        names: Contig names as written, in the order in which they came, with the number of their variants.
        elsewhere: Contigs of which nothing was chosen.
    """

    def __init__(self) -> None:
        self.names: dict[str, int] = {}
        self.elsewhere: frozenset[str] = frozenset()
        self._beyond = dict.fromkeys(BUILDS, 0)

    def add(self, variants: VariantTable) -> None:
        """Take in some variants."""
        counts: Counter[str] = Counter()
        for name, start, stop in runs(variants.chrom):
            counts[name] += stop - start
        for name, count in counts.items():
            self.names[name] = self.names.get(name, 0) + count
            ends = [CHROMOSOME_LENGTHS[build].get(normalise_chromosome(name, human=True)) for build in BUILDS]
            if ends[0] is None or ends[1] is None:
                continue
            positions = variants.pos if count == len(variants) else variants.pos[variants.chrom == name]
            if positions.max() > min(ends[0], ends[1]):
                for build, end in zip(BUILDS, ends, strict=True):
                    self._beyond[build] += int(np.sum(positions > end))

    def why_not_human(self) -> str | None:
        """What speaks against the contigs being human, in words; None where they are."""
        return why_not_human((*self.names, *self.elsewhere))

    def guess(self, facts: InputFacts) -> BuildGuess:
        """Genome build of human genotypes.

        Evidence, the strongest first: contig lengths of the header; the names of its reference; variants that lie
        beyond a chromosome's end in one of the builds. Positions of well-known variants are not looked up.
        """
        why = self.why_not_human()
        if why is not None:
            return BuildGuess("unknown", f"contigs are not human chromosomes ({why})")
        lengths = {normalise_chromosome(name, human=True): length for name, length in facts.contig_lengths.items()}
        agreeing = {
            build: sum(CHROMOSOME_LENGTHS[build].get(name) == length for name, length in lengths.items())
            for build in BUILDS
        }
        best = max(BUILDS, key=lambda build: agreeing[build])
        if agreeing[best] > 0 and list(agreeing.values()).count(agreeing[best]) == 1:
            return BuildGuess(best, f"{agreeing[best]} contig lengths of the header")
        for reference in facts.references:
            named = [build for build in BUILDS if _BUILD_WORDS[build].search(reference)]
            if len(named) == 1:
                return BuildGuess(named[0], f"the header names the reference {reference}")
        return self._guess_from_positions()

    def _guess_from_positions(self) -> BuildGuess:
        possible = [build for build in BUILDS if self._beyond[build] == 0]
        if len(possible) == 1:
            other = BUILDS[1 - BUILDS.index(possible[0])]
            return BuildGuess(possible[0], f"{self._beyond[other]} variants lie beyond the ends of {other} chromosomes")
        if not possible:
            return BuildGuess("unknown", "variants lie beyond the ends of chromosomes in both GRCh37 and GRCh38")
        return BuildGuess("unknown", "neither header nor positions tell GRCh37 from GRCh38")


def in_long_range_ld(chrom: np.ndarray, pos: np.ndarray, build: str) -> np.ndarray:
    """Which variants lie in a region of long-range LD.

    Args:
        chrom: Normalised names, shape (n_variants,), object (str).
        pos: 1-based positions in base pairs, shape (n_variants,), int64.
        build: "GRCh37" or "GRCh38".

    Returns:
        shape (n_variants,), bool.
    """
    inside = np.zeros(len(pos), dtype=bool)
    for name, first, last in LONG_RANGE_LD[build]:
        inside |= (chrom == name) & (pos >= first) & (pos <= last)
    return inside
