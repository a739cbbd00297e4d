"""How well a trained model describes new genotypes.

bounds_run  RUN/ + read -> match and check -> project -> bounds of log p(x)
"""

from __future__ import annotations

import logging
from collections.abc import Iterator, Sequence
from pathlib import Path

from torch import Tensor

from genovi.bounds import Bounds, measure_parts
from genovi.embedding import Embedding
from genovi.encoding import Components
from genovi.genotypes.suitability import Demands
from genovi.model.rows import Data
from genovi.placing import fit_input, known_positions, some_of
from genovi.provenance import Provenance
from genovi.seeding import Seeds
from genovi.structure.projection import project, sample_blocks
from genovi.summaries import BOUND_DRAWS, BoundsSummary
from genovi.trained import TrainedModel
from genovi.training.device import choose_precise_device, set_threads

logger = logging.getLogger("genovi")


def bounds_run(
    run: Path,
    inputs: Sequence[Path],
    *,
    demands: Demands | None = None,
    draws: int = BOUND_DRAWS,
    device: str = "auto",
    threads: int | None = None,
    provenance: Provenance,
) -> BoundsSummary:
    """Bounds of log p(x) of new samples under a trained model, and its exact value for at most two latent dimensions.

    Samples are matched, checked and projected as by ``genovi embed``, all of them as new ones.

    Args:
        run: Folder of the model.
        inputs: Genotype files; several are one input.
        demands: How variants are matched, and what the input must have.
        draws: K of the importance-weighted bound.
        device: As in ``TrainingConfig``.
        threads: CPU threads.
        provenance: Started; is finished here.

    Raises:
        MismatchError: too few of the model's variants, another genome build, or samples with none observed.
        GenoviError: its other children, for bad input or lack of resources.
    """
    chosen = choose_precise_device(device)  # quadrature takes float64
    set_threads(threads)
    trained = TrainedModel.load(run)
    aligned, found, _, _ = fit_input(trained, str(run), inputs, demands)
    _tell_of_training_samples(known_positions(run), aligned.samples)
    seed = Seeds(trained.seed).integer("bounds")

    def parts() -> Iterator[tuple[Data, Tensor | None]]:
        for part in sample_blocks(aligned):
            projection = project(trained.axes, trained.standardiser, part)
            components = Components.of(projection, trained.noise_scale, trained.genotypes_of(part))
            for _, x, excess in components.parts():
                yield x.to(chosen), None if excess is None else excess.to(chosen)

    measured = measure_parts(trained.model.to(chosen), parts(), draws, seed)
    bounds = Bounds.of(measured, "input", aligned.n_samples)
    return BoundsSummary(bounds, found, provenance.finish())


def _tell_of_training_samples(known: Embedding | None, samples: Sequence[str]) -> None:
    """Say so where samples have names of the training run's: these are no new ones.

    Their own noise is in the axes. Taken for new ones, as here, they lie farther out than in training.
    """
    names = set() if known is None else set(known.samples)
    seen = [sample for sample in samples if sample in names]
    if seen:
        logger.warning(
            "%d of %d samples have names of samples of the training run (%s): they are measured as if they were new, "
            "and their bounds are lower than those of new samples; those of training are in the genovi.log of the run",
            len(seen), len(samples), some_of(seen),
        )  # fmt: skip
