"""Options that commands share, declared once. PLINK's names wherever PLINK has the option.

Defaults come from the library's configs. Where importing one would load NumPy, and make ``--help`` slow, the option's
default is None, which leaves the choice to the config, and the help text repeats its value (a test compares them).
"""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

QC = "Quality control (names and meaning as in PLINK)"

Inputs = Annotated[
    list[Path],
    typer.Argument(
        metavar="INPUT",
        show_default=False,
        help="VCF, BCF, PLINK 1 or 2, EIGENSTRAT or VCF Zarr; - is standard input. Several (one for each chromosome) "
        "are one input.",
    ),
]
Run = Annotated[Path, typer.Argument(metavar="RUN", show_default=False, help="Folder that genovi train wrote.")]
RunOrExport = Annotated[
    Path,
    typer.Argument(metavar="RUN", show_default=False, help="Folder of genovi train, or file of genovi export."),
]
Force = Annotated[bool, typer.Option("--force", help="Overwrite existing outputs.")]
Quiet = Annotated[bool, typer.Option("--quiet", help="Show warnings and errors only.")]
Labels = Annotated[
    Path,
    typer.Option(
        "--labels", metavar="PANEL", show_default=False, help="Labels of samples: 1000 Genomes panel, TSV, CSV."
    ),
]
OptionalLabels = Annotated[
    Path | None,
    typer.Option(
        "--labels", metavar="PANEL", show_default=False, help="Labels of samples: 1000 Genomes panel, TSV, CSV."
    ),
]
Color = Annotated[
    str | None,
    typer.Option(
        "--color", metavar="COLUMN", show_default=False, help="Label column of populations. [default: pop or the like]"
    ),
]
Group = Annotated[
    str | None,
    typer.Option(
        "--group",
        metavar="COLUMN",
        show_default=False,
        help="Label column of what populations belong to. [default: super_pop or the like]",
    ),
]
ColorAs = Annotated[
    str,
    typer.Option(
        "--color-as",
        metavar="auto|categories|numbers",
        help="Take --color for populations or for numbers on a colour bar.",
    ),
]
PaletteFile = Annotated[
    Path | None,
    typer.Option(
        "--palette",
        metavar="FILE",
        show_default=False,
        help="Colours and markers of populations, as genovi plot palette writes them.",
    ),
]
Style = Annotated[
    str | None,
    typer.Option(
        "--style", metavar="FILE|NAME", show_default=False, help="matplotlib style applied over genovi's settings."
    ),
]
Size = Annotated[
    str,
    typer.Option(
        "--size", metavar="column|page|WxH", help="85 mm or 180 mm wide, or width x height in mm, such as 120x90."
    ),
]
NoLegend = Annotated[bool, typer.Option("--no-legend", help="Leave the legend out.")]
NoNames = Annotated[bool, typer.Option("--no-names", help="Do not write names of populations beside their points.")]
Uncertainty = Annotated[
    str | None,
    typer.Option(
        "--uncertainty",
        metavar="ellipse|density|samples",
        show_default=False,
        help="Draw the posterior of every sample: one standard deviation, regions of populations, or draws.",
    ),
]
Figure = Annotated[
    Path, typer.Option("--out", metavar="FIG.png|pdf|svg", show_default=False, help="The figure to write.")
]
Seed = Annotated[
    int | None,
    typer.Option(
        "--seed",
        metavar="N",
        show_default=False,
        help="The same seed gives the same result. [default: drawn and recorded]",
    ),
]

Maf = Annotated[
    float | None,
    typer.Option(
        "--maf", show_default=False, rich_help_panel=QC, help="Smallest minor allele frequency. [default: 0.01]"
    ),
]
Geno = Annotated[
    float | None,
    typer.Option(
        "--geno", show_default=False, rich_help_panel=QC, help="Largest missing share of a variant. [default: 0.05]"
    ),
]
Mind = Annotated[
    float | None,
    typer.Option(
        "--mind", show_default=False, rich_help_panel=QC, help="Largest missing share of a sample. [default: 0.1]"
    ),
]
_ASKED = "Only where it is asked for."
AskedMaf = Annotated[
    float | None,
    typer.Option("--maf", show_default=False, rich_help_panel=QC, help=f"Smallest minor allele frequency. {_ASKED}"),
]
AskedGeno = Annotated[
    float | None,
    typer.Option(
        "--geno", show_default=False, rich_help_panel=QC, help=f"Largest missing share of a variant. {_ASKED}"
    ),
]
AskedMind = Annotated[
    float | None,
    typer.Option("--mind", show_default=False, rich_help_panel=QC, help=f"Largest missing share of a sample. {_ASKED}"),
]
Hwe = Annotated[
    str | None,
    typer.Option(
        "--hwe",
        metavar="P [K] [midp] [keep-fewhet]",
        show_default=False,
        rich_help_panel=QC,
        help="Smallest p-value of Hardy-Weinberg equilibrium, with K that of P 10^(-K n); with keep-fewhet only "
        "variants with too many heterozygotes go, which differences between populations do not make. [default: none]",
    ),
]
KingCutoff = Annotated[
    float | None,
    typer.Option(
        "--king-cutoff",
        metavar="KINSHIP",
        show_default=False,
        rich_help_panel=QC,
        help="Train without relatives (0.0884: up to the second degree) and embed them afterwards. [default: none, "
        "with a warning where there are some]",
    ),
]
IndepPairwise = Annotated[
    str | None,
    typer.Option(
        "--indep-pairwise",
        metavar="WINDOW STEP R2",
        show_default=False,
        rich_help_panel=QC,
        help="LD pruning: window and step in variants, largest r2; 'none' switches it off. [default: 50 5 0.2]",
    ),
]
MinOverlap = Annotated[
    float, typer.Option("--min-overlap", help="Smallest share of the model's variants that must be there.")
]
MatchBy = Annotated[
    str,
    typer.Option(
        "--match-by",
        metavar="position|id",
        help="Look variants up by chromosome and position, or, where genome builds differ, by identifier (rs).",
    ),
]
InputBuild = Annotated[
    str,
    typer.Option(
        "--build",
        metavar="auto|GRCh37|GRCh38|none",
        help="Genome build of the input, which must be the model's; none does not compare.",
    ),
]

Keep = Annotated[
    Path | None,
    typer.Option("--keep", metavar="FILE", show_default=False, rich_help_panel=QC, help="Samples to keep."),
]
Remove = Annotated[
    Path | None,
    typer.Option("--remove", metavar="FILE", show_default=False, rich_help_panel=QC, help="Samples to remove."),
]
Extract = Annotated[
    Path | None,
    typer.Option("--extract", metavar="FILE", show_default=False, rich_help_panel=QC, help="Variants to keep."),
]
Exclude = Annotated[
    Path | None,
    typer.Option("--exclude", metavar="FILE", show_default=False, rich_help_panel=QC, help="Variants to remove."),
]
Chr = Annotated[
    str | None,
    typer.Option(
        "--chr", metavar="LIST", show_default=False, rich_help_panel=QC, help="Chromosomes to keep, such as 1-4,22,X."
    ),
]
Region = Annotated[
    list[str] | None,
    typer.Option(
        "--region",
        metavar="CHR:FROM-TO",
        show_default=False,
        rich_help_panel=QC,
        help="Regions to keep, 1-based, both ends inside; several with commas or by repeating the option.",
    ),
]
Autosome = Annotated[
    bool | None,
    typer.Option(
        "--autosome/--all-contigs",
        show_default=False,
        rich_help_panel=QC,
        help="Keep chromosomes 1-22 only, or everything. [default: --autosome where contigs are human]",
    ),
]
Build = Annotated[
    str | None,
    typer.Option(
        "--build",
        metavar="auto|GRCh37|GRCh38|none",
        show_default=False,
        rich_help_panel=QC,
        help="Genome build, which says where regions of long-range LD lie. [default: auto]",
    ),
]
SplitMultiallelic = Annotated[
    bool,
    typer.Option(
        "--split-multiallelic",
        rich_help_panel=QC,
        help="Make a record with several ALT alleles one for each, instead of dropping it.",
    ),
]
NoLongRangeLd = Annotated[
    bool, typer.Option("--no-long-range-ld", rich_help_panel=QC, help="Do not exclude regions of long-range LD.")
]

Memory = Annotated[
    float | None,
    typer.Option(
        "--memory",
        metavar="MB",
        show_default=False,
        help="Most memory while reading, in MiB; what is kept beyond it goes to a temporary file beside the output. "
        "[default: half of what is free]",
    ),
]
