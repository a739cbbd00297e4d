"""Where public genotypes lie: servers, folders and file names of the releases that ``genovi fetch`` knows.

Sources of what stands here. Phase 3: the project's folder ``release/20130502`` (autosomes v5b, chromosome X v1c; 1000
Genomes Project Consortium, Nature 526, 68-74, 2015). 30x: the folder ``20220422_3202_phased_SNV_INDEL_SV`` with its
``20220804_manifest.txt`` (Byrska-Bishop et al., Cell 185, 3426-3440, 2022). The bucket of the Registry of Open Data on
AWS has phase 3 under the same paths. No checksum is kept here: they are asked of the server that publishes them.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from genovi.errors import ConfigError

EBI = "https://ftp.1000genomes.ebi.ac.uk/vol1/ftp"
AWS = "https://s3.amazonaws.com/1000genomes"
_COVERAGE = "data_collections/1000G_2504_high_coverage"
_PHASED = f"{_COVERAGE}/working/20220422_3202_phased_SNV_INDEL_SV"


@dataclass(frozen=True)
class ChecksumList:
    """A list of MD5 sums that a server publishes.

    Attributes:
        path: Where it lies, below the root of a server.
        is_tree: It is the index of the whole server, one line for each file: path below the root's parent, kind, bytes,
            time and MD5, separated by tabs. Otherwise it has base names and MD5 sums, separated by blanks.
    """

    path: str
    is_tree: bool


@dataclass(frozen=True)
class Release:
    """One release of genotypes by chromosome.

    Attributes:
        name: What ``--release`` calls it.
        what: A line on it.
        servers: Roots of public servers, the one that publishes first.
        folder: Folder of the VCFs below a root.
        autosome: Name of an autosome's VCF; {} is the chromosome.
        x: Name of that of chromosome X.
        labels: The table of samples and populations, below a root.
        checksums: The list that has the sums of these files.
    """

    name: str
    what: str
    servers: tuple[str, ...]
    folder: str
    autosome: str
    x: str
    labels: str
    checksums: ChecksumList

    def files(self, chromosomes: Sequence[str]) -> tuple[str, ...]:
        """Paths below a root: the labels, then VCF and index of each chromosome.

        Args:
            chromosomes: Normalised names, such as "22" and "X".

        Raises:
            ConfigError: the release has no such chromosome.
        """
        known = (*map(str, range(1, 23)), "X")
        absent = [name for name in chromosomes if name not in known]
        if absent:
            raise ConfigError(
                f"no chromosome {absent[0]!r} in {self.name}",
                where="--chromosomes",
                fix="name some of 1-22 and X, such as 22 or 20-22,X",
            )
        names = [self.x if chromosome == "X" else self.autosome.format(chromosome) for chromosome in chromosomes]
        paths = [f"{self.folder}/{name}{end}" for name in names for end in ("", ".tbi")]
        return (self.labels, *paths)


RELEASES = {
    release.name: release
    for release in (
        Release(
            name="phase3",
            what="1000 Genomes phase 3: 2,504 unrelated people, 26 populations, GRCh37",
            servers=(EBI, AWS),
            folder="release/20130502",
            autosome="ALL.chr{}.phase3_shapeit2_mvncall_integrated_v5b.20130502.genotypes.vcf.gz",
            x="ALL.chrX.phase3_shapeit2_mvncall_integrated_v1c.20130502.genotypes.vcf.gz",
            labels="release/20130502/integrated_call_samples_v3.20130502.ALL.panel",
            checksums=ChecksumList("current.tree", is_tree=True),
        ),
        Release(
            name="30x",
            what="1000 Genomes at 30x: 3,202 people, 602 trios among them, 26 populations, GRCh38",
            servers=(EBI,),
            folder=_PHASED,
            autosome="1kGP_high_coverage_Illumina.chr{}.filtered.SNV_INDEL_SV_phased_panel.vcf.gz",
            x="1kGP_high_coverage_Illumina.chrX.filtered.SNV_INDEL_SV_phased_panel.v2.vcf.gz",
            labels=f"{_COVERAGE}/20130606_g1k_3202_samples_ped_population.txt",
            checksums=ChecksumList(f"{_PHASED}/20220804_manifest.txt", is_tree=False),
        ),
    )
}
