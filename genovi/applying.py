"""Applying a trained model to new genotypes.

embed_run    RUN/ + read -> match and check -> project -> encode -> PREFIX.embedding.tsv, PREFIX.match.tsv
plan_embed   what it would do: everything up to the check
"""

from __future__ import annotations

import logging
from collections.abc import Sequence
from contextlib import ExitStack
from pathlib import Path

import numpy as np

from genovi.files import atomic_path, check_writable
from genovi.genotypes.matching import VariantMatch
from genovi.genotypes.matrix import GenotypeMatrix
from genovi.genotypes.querying import read_query
from genovi.genotypes.suitability import Demands, Target, fit_to_model
from genovi.placing import check_observed, embedding_seed, known_positions, missing_shares, place_new, warn_of_misfits
from genovi.provenance import Provenance
from genovi.summaries import EmbedSummary
from genovi.trained import TrainedModel
from genovi.training.device import choose_device, set_threads

logger = logging.getLogger("genovi")


def plan_embed(run: Path, inputs: Sequence[Path], demands: Demands | None = None) -> list[str]:
    """What ``embed_run`` would do: reads and matches, places nobody.

    Raises:
        GenoviError: its children, as ``embed_run``.
    """
    aligned, found, missing, sparse = _fit(TrainedModel.load(run), run, inputs, demands)
    return [
        f"would embed {aligned.n_samples} samples with {found.describe()}",
        f"missing in a sample: {np.median(missing):.1%} (median), {missing.max():.1%} (most); "
        f"{sparse} samples lack more than half".replace("%", " %"),
    ]


def embed_run(
    run: Path,
    inputs: Sequence[Path],
    prefix: Path,
    *,
    demands: Demands | None = None,
    eigenvec: bool = False,
    seed: int | None = None,
    device: str = "auto",
    threads: int | None = None,
    provenance: Provenance,
    force: bool = False,
) -> EmbedSummary:
    """Embed new samples with a trained model.

    Args:
        run: Folder of the model.
        inputs: Genotype files; several are one input.
        prefix: Outputs are ``prefix`` + ".embedding.tsv", ".match.tsv" and, with ``eigenvec``, ".eigenvec".
        demands: How variants are matched, and what the input must have.
        eigenvec: Also write plink2's format.
        seed: Of the posterior draws; None takes the model's own, so that embedding again gives the same numbers.
        device: As in ``TrainingConfig``.
        threads: CPU threads.
        provenance: Started; is finished here.
        force: Overwrite outputs.

    Raises:
        MismatchError: too few of the model's variants, another genome build, or samples with none observed.
        GenoviError: its other children, for bad input or lack of resources.
    """
    names = [".embedding.tsv", ".match.tsv"] + ([".eigenvec"] if eigenvec else [])
    files = tuple(prefix.with_name(prefix.name + suffix) for suffix in names)
    for file in files:
        check_writable(file, force)
    chosen = choose_device(device)
    set_threads(threads)
    trained = TrainedModel.load(run)
    aligned, found, _, sparse = _fit(trained, run, inputs, demands)
    draws = embedding_seed(trained.seed if seed is None else seed)
    embedding, again = place_new(trained, aligned, draws, chosen, known_positions(run))
    if again.any():
        logger.info("%d samples are training samples and keep their training positions", again.sum())
    odd = warn_of_misfits(embedding, trained)
    with ExitStack() as stack:  # all files are complete before the first is renamed
        temporary = [stack.enter_context(atomic_path(file)) for file in files]
        embedding.write_tsv(temporary[0])
        found.table().to_csv(temporary[1], sep="\t", index=False, lineterminator="\n")
        if eigenvec:
            embedding.write_eigenvec(temporary[2])
    return EmbedSummary(files, embedding, found, again, odd, sparse, provenance.finish())


def _fit(
    trained: TrainedModel, run: Path, inputs: Sequence[Path], demands: Demands | None
) -> tuple[GenotypeMatrix, VariantMatch, np.ndarray, int]:
    """Genotypes in the model's coding, how they were found, missing share of each sample, number with over half."""
    query = read_query(inputs, trained.standardiser.variants)
    target = Target(trained.standardiser.variants, trained.standardiser.frequency, trained.build, str(run))
    aligned, found = fit_to_model(target, query, demands)
    missing = missing_shares(aligned)
    return aligned, found, missing, check_observed(missing, query.matrix)
