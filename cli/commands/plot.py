"""``genovi plot``: figures of embeddings and of training. None of these needs the model or the genotypes."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from genovi.errors import ConfigError
from genovi_cli import options as opt
from genovi_cli.commands.common import labels_or_none, read_embedding, typed
from genovi_cli.console import Display, reporting

if TYPE_CHECKING:
    from genovi.embedding import Embedding
    from genovi.plotting.coloring import ColorBy
    from genovi.plotting.composing import AncestryOptions

Embeddings = Annotated[
    list[Path],
    typer.Argument(
        metavar="EMBEDDING...",
        show_default=False,
        help="Files *.embedding.tsv, or *.eigenvec of plink2; several are drawn side by side.",
    ),
]
AlignTo = Annotated[
    Path | None,
    typer.Option(
        "--align-to",
        metavar="EMBEDDING",
        show_default=False,
        help="Turn and mirror onto this embedding by the samples that both have (Procrustes); says how well it fits.",
    ),
]


Query = Annotated[
    Path | None,
    typer.Option(
        "--query", metavar="EMBEDDING", show_default=False, help="New samples to draw over the others, in grey."
    ),
]
Highlight = Annotated[
    str | None,
    typer.Option("--highlight", metavar="FILE|ID,ID", show_default=False, help="Samples to ring and name."),
]
Facet = Annotated[
    str | None,
    typer.Option("--facet", metavar="COLUMN", show_default=False, help="A panel for each value of a label column."),
]
Spread = Annotated[bool, typer.Option("--spread", help="The same as --uncertainty ellipse.")]
Axes = Annotated[
    str | None,
    typer.Option(
        "--axes", metavar="I,J", show_default=False, help="Axes to draw. [default: all pairs of 3; 1 with others]"
    ),
]
SameAxes = Annotated[
    bool, typer.Option("--same-axes", help="Give all panels the same limits, as suits embeddings of one model.")
]
Limits = Annotated[
    str | None, typer.Option("--limits", metavar="X0,X1,Y0,Y1", show_default=False, help="Limits of both axes.")
]


def ancestry(
    ctx: typer.Context,
    embeddings: Embeddings,
    out: opt.Figure,
    labels: opt.OptionalLabels = None,
    color: opt.Color = None,
    color_as: opt.ColorAs = "auto",
    group: opt.Group = None,
    query: Query = None,
    highlight: Highlight = None,
    facet: Facet = None,
    uncertainty: opt.Uncertainty = None,
    spread: Spread = False,
    align_to: AlignTo = None,
    axes: Axes = None,
    same_axes: SameAxes = False,
    limits: Limits = None,
    palette: opt.PaletteFile = None,
    style: opt.Style = None,
    size: opt.Size = "page",
    no_names: opt.NoNames = False,
    no_legend: opt.NoLegend = False,
    force: opt.Force = False,
) -> None:
    """Draw embeddings: a hue for each group; for each population of it a marker and a way to fill it.

    Without --labels, samples are coloured by the model's clusters. The command line is kept in the figure's metadata.
    """
    from genovi.plotting.figures import Sheet, check_suffix

    check_suffix(out)
    if spread and uncertainty not in (None, "ellipse"):
        raise ConfigError("--spread and --uncertainty contradict each other", fix="leave --spread out")
    sheet = Sheet.parse(size, style)
    from genovi.plotting.composing import AncestryOptions

    options = AncestryOptions(
        by=color_by(color, color_as, group, palette),
        uncertainty="ellipse" if spread else uncertainty,
        axes=_axes(axes),
        limits=_limits(limits),
        same_axes=same_axes,
        facet=facet,
        highlight=_names(highlight),
        names=not no_names,
        legend=not no_legend,
        sheet=sheet,
    )
    several = [read_embedding(path) for path in embeddings]
    reference = None if align_to is None else read_embedding(align_to)
    _draw(ctx, several, out, labels, options, force=force, query=query, align_to=reference)


def compare(
    ctx: typer.Context,
    embeddings: Embeddings,
    out: opt.Figure,
    labels: opt.OptionalLabels = None,
    color: opt.Color = None,
    color_as: opt.ColorAs = "auto",
    group: opt.Group = None,
    align: Annotated[
        bool, typer.Option("--align", help="Turn and mirror the others onto the first (Procrustes).")
    ] = False,
    uncertainty: opt.Uncertainty = None,
    palette: opt.PaletteFile = None,
    style: opt.Style = None,
    size: opt.Size = "page",
    no_names: opt.NoNames = False,
    no_legend: opt.NoLegend = False,
    force: opt.Force = False,
) -> None:
    """Draw embeddings of the same samples side by side in the same colours, such as those of two methods or seeds.

    Where they differ in their number of axes, the first two of each are drawn.
    """
    from genovi.plotting.figures import Sheet, check_suffix

    check_suffix(out)
    if len(embeddings) < 2:
        raise ConfigError("nothing to compare", why="one embedding was given", fix="give two or more")
    sheet = Sheet.parse(size, style)
    from genovi.plotting.composing import AncestryOptions

    several = [read_embedding(path) for path in embeddings]
    many = max(embedding.n_dimensions for embedding in several) > 2 and len({e.n_dimensions for e in several}) > 1
    options = AncestryOptions(
        by=color_by(color, color_as, group, palette),
        uncertainty=uncertainty,
        axes=(0, 1) if many else None,  # of ten components beside a map, the first two
        names=not no_names,
        legend=not no_legend,
        sheet=sheet,
        same_axes=align,
    )
    _draw(ctx, several, out, labels, options, force=force, align_to=several[0] if align else None)


def _draw(
    ctx: typer.Context,
    embeddings: Sequence[Embedding],
    out: Path,
    labels: Path | None,
    options: AncestryOptions,
    *,
    force: bool,
    query: Path | None = None,
    align_to: Embedding | None = None,
) -> None:
    """Draw embeddings and say so."""
    from genovi.plotting.ancestry import plot_ancestry

    with reporting(Display()):
        summary = plot_ancestry(
            embeddings,
            out,
            labels=labels_or_none(labels),
            query=None if query is None else read_embedding(query),
            align_to=align_to,
            options=options,
            force=force,
            command=typed(ctx),
        )
    for line in summary.lines():
        typer.echo(line)


def palette(
    labels: opt.Labels,
    out: Annotated[Path, typer.Option("--out", metavar="FILE.tsv", show_default=False, help="The palette to write.")],
    color: opt.Color = None,
    group: opt.Group = None,
    force: opt.Force = False,
) -> None:
    """Write the colours and markers of populations to a file, to change and to share between figures (--palette)."""
    from genovi.plotting.palettefile import write_palette

    with reporting(Display()):
        read = labels_or_none(labels)
        assert read is not None
        summary = write_palette(read, out, color=color, group=group, force=force)
    for line in summary.lines():
        typer.echo(line)


def training(
    ctx: typer.Context,
    run: opt.Run,
    out: opt.Figure,
    style: opt.Style = None,
    size: opt.Size = "page",
    force: opt.Force = False,
) -> None:
    """Draw the bound and its terms over the epochs of a training run."""
    from genovi.plotting.figures import Sheet
    from genovi.plotting.training import plot_training

    sheet = Sheet.parse(size, style)
    with reporting(Display()):
        written = plot_training(run, out, sheet=sheet, force=force, command=typed(ctx))
    typer.echo(f"{written}: training history of {run}")


def color_by(color: str | None, color_as: str, group: str | None, palette: Path | None) -> ColorBy:
    """What decides the colours, with the palette file read."""
    from genovi.plotting.coloring import ColorBy
    from genovi.plotting.palettefile import read_palette

    return ColorBy(color, group, color_as, {} if palette is None else read_palette(palette))


def _axes(typed: str | None) -> tuple[int, int] | None:
    """Axes from 0, of "1,3" from 1."""
    if typed is None:
        return None
    words = typed.split(",")
    if len(words) != 2 or not all(word.strip().isdigit() and int(word) > 0 for word in words) or words[0] == words[1]:
        raise ConfigError(f"--axes {typed}", why="a panel has two different axes", fix="type two numbers, such as 1,3")
    return int(words[0]) - 1, int(words[1]) - 1


def _limits(typed: str | None) -> tuple[float, float, float, float] | None:
    if typed is None:
        return None
    try:
        x0, x1, y0, y1 = (float(word) for word in typed.split(","))
    except ValueError:
        raise ConfigError(f"--limits {typed}", why="it is not four numbers", fix="type X0,X1,Y0,Y1") from None
    return x0, x1, y0, y1


def _names(typed: str | None) -> tuple[str, ...]:
    """Samples of a list, or of a file where there is one of that name."""
    if typed is None:
        return ()
    if Path(typed).is_file():
        from genovi.genotypes.idlists import read_id_list

        return tuple(sorted(read_id_list(Path(typed))))
    names = tuple(dict.fromkeys(word.strip() for word in typed.split(",") if word.strip()))
    if not names:
        raise ConfigError("--highlight names no sample", fix="type ids with commas between them, or a file of ids")
    return names
