"""How well a trained model describes new genotypes.

bounds_run  RUN/ + read -> match -> project -> bounds of log p(x)
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from genovi.bounds import Bounds, joined, measure
from genovi.encoding import Components
from genovi.errors import MismatchError
from genovi.genotypes.matching import align, match_variants
from genovi.genotypes.reading import open_genotypes
from genovi.provenance import Provenance
from genovi.seeding import Seeds
from genovi.structure.projection import project, sample_blocks
from genovi.summaries import BOUND_DRAWS, BoundsSummary
from genovi.trained import TrainedModel
from genovi.training.device import choose_device, set_threads

MIN_OVERLAP = 0.5


def bounds_run(
    run: Path,
    inputs: Sequence[Path],
    *,
    draws: int = BOUND_DRAWS,
    device: str = "auto",
    threads: int | None = None,
    provenance: Provenance,
) -> BoundsSummary:
    """Bounds of log p(x) of new samples under a trained model, and its exact value for at most two latent dimensions.

    Samples are matched and projected as by ``genovi embed``, all of them as new ones.

    Args:
        run: Folder of the model.
        inputs: Genotype files; several are one input.
        draws: K of the importance-weighted bound.
        device: As in ``TrainingConfig``.
        threads: CPU threads.
        provenance: Started; is finished here.

    Raises:
        MismatchError: too few of the model's variants, or samples with none observed.
        GenoviError: its other children, for bad input or lack of resources.
    """
    chosen = choose_device(device)
    set_threads(threads)
    trained = TrainedModel.load(run)
    matrix = open_genotypes(inputs, split_multiallelic=True)
    found = match_variants(trained.standardiser.variants, matrix.variants)
    if found.usable < MIN_OVERLAP:
        raise MismatchError(
            f"only {found.describe()} can be used",
            where=matrix.source,
            why=f"under {100 * MIN_OVERLAP:.0f} % a bound says little about the model",
            fix=f"check genome build and alleles against {run}/variants.tsv.gz",
        )
    seed = Seeds(trained.seed).integer("bounds")
    model, parts = trained.model.to(chosen), []
    for part in sample_blocks(align(matrix, found)):
        components = Components.of(project(trained.axes, trained.standardiser, part), trained.noise_scale)
        empty = [name for name, missing in zip(part.samples, components.missing, strict=True) if missing >= 1]
        if empty:
            raise MismatchError(
                "samples without a genotype at any of the model's variants",
                where=f"{matrix.source}: {', '.join(empty[:5])}",
                why="there is nothing to describe",
                fix="take them out of the input",
            )
        for _, x, excess in components.parts():
            parts.append(measure(model, x.to(chosen), draws, seed, None if excess is None else excess.to(chosen)))
    bounds = Bounds.of(joined(parts), "input", matrix.n_samples)
    return BoundsSummary(bounds, found, provenance.finish())
