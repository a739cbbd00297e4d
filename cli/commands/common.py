"""What several commands need: the command line as typed, a seed, and label files."""

from __future__ import annotations

import secrets
import shlex
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import typer

from genovi.errors import DataError

if TYPE_CHECKING:
    from genovi.embedding import Embedding
    from genovi.genotypes.quality import QCConfig
    from genovi.labels import SampleLabels
    from genovi.provenance import Provenance


def typed(ctx: typer.Context) -> str:
    """The command line as it could be typed again."""
    return shlex.join(["genovi", *(ctx.find_root().obj or [])])


def start_provenance(ctx: typer.Context, inputs: Sequence[Path], seed: int | None = None) -> Provenance:
    """A record of this command, with digests of those inputs that are files (all files of a fileset)."""
    from genovi.genotypes.reading import input_files
    from genovi.provenance import Provenance

    files = list(dict.fromkeys(file for path in inputs for file in input_files(path)))
    return Provenance.start(seed=seed, command=typed(ctx), inputs=files)


def draw_seed(seed: int | None) -> int:
    """``seed``, or a fresh one, which the outputs record."""
    return secrets.randbelow(2**31) if seed is None else seed


def labels_or_none(path: Path | None) -> SampleLabels | None:
    """Labels of ``path``, if it is given."""
    if path is None:
        return None
    from genovi.labels import read_labels

    return read_labels(path)


def read_embedding(path: Path) -> Embedding:
    """An embedding named after its file; that of a run, which is always embedding.tsv, after the run's folder."""
    from genovi.embedding import Embedding

    embedding = Embedding.read_tsv(path)
    return replace(embedding, method=path.absolute().parent.name) if path.name == "embedding.tsv" else embedding


def _refuse_empty(lists: Mapping[str, Path | None]) -> None:
    """An empty list is named with its option: what it should have held is then plain."""
    for name, path in lists.items():
        if path is not None and path.is_file() and not path.stat().st_size:
            raise DataError(
                f"--{name} names nothing",
                where=path,
                why="the list is empty",
                fix=f"write one identifier a line, or leave --{name} out",
            )


def qc_config(
    given: Mapping[str, Any],
    lists: Mapping[str, Path | None],
    *,
    chr: str | None,
    region: Sequence[str] | None,
) -> QCConfig:
    """The library's filters with what was typed in their place.

    Args:
        given: Settings of ``QCConfig``; None where nothing was typed.
        lists: Files of --keep, --remove, --extract, --exclude.
        chr: Text of --chr.
        region: Texts of --region.
    """
    from genovi.genotypes.choosing import parse_regions
    from genovi.genotypes.idlists import read_id_list
    from genovi.genotypes.quality import QCConfig
    from genovi.genotypes.regions import parse_chromosomes

    # None switches --indep-pairwise off; elsewhere it means that nothing was typed
    settings = {name: value for name, value in given.items() if value is not None or name == "indep_pairwise"}
    if chr is not None:
        settings["chromosomes"] = parse_chromosomes(chr)
    if region:
        settings["regions"] = parse_regions(region)
    _refuse_empty(lists)
    for name, path in lists.items():
        if path is not None:
            kind = "samples" if name in ("keep", "remove") else "variants"
            settings[name] = read_id_list(path, kind, families=True)
    return QCConfig(**settings)
