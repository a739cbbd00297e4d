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
import torch

from genovi.embedding import Embedding
from genovi.files import atomic_path, check_writable
from genovi.genotypes.matrix import GenotypeMatrix
from genovi.genotypes.suitability import Demands
from genovi.placing import (
    class_shares,
    class_table,
    embedding_seed,
    fit_input,
    known_positions,
    place_new,
    some_of,
    warn_of_misfits,
)
from genovi.provenance import Provenance
from genovi.summaries import EmbedSummary, Placed
from genovi.trained import TrainedModel
from genovi.training.device import choose_device, set_threads

logger = logging.getLogger("genovi")


def plan_embed(run: Path, inputs: Sequence[Path], demands: Demands | None = None) -> list[str]:
    """What ``embed_run`` would do: reads and matches, places nobody.

    Raises:
        GenoviError: its children, as ``embed_run``.
    """
    aligned, found, missing, sparse = fit_input(TrainedModel.load(run), str(run), inputs, demands)
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
    if trained.classes:
        files += (prefix.with_name(prefix.name + ".labels.tsv"),)
        check_writable(files[-1], force)
    placed = _placed(trained, str(run), inputs, known_positions(run), demands, seed, chosen)
    with ExitStack() as stack:  # all files are complete before the first is renamed
        temporary = [stack.enter_context(atomic_path(file)) for file in files]
        placed.embedding.write_tsv(temporary[0])
        placed.match.table().to_csv(temporary[1], sep="\t", index=False, lineterminator="\n")
        if eigenvec:
            placed.embedding.write_eigenvec(temporary[2])
        if placed.classes is not None:
            placed.classes.to_csv(temporary[-1], sep="\t", index=False, float_format="%.6g", lineterminator="\n")
    return EmbedSummary(**vars(placed), files=files, provenance=provenance.finish())


def embed_samples(
    trained: TrainedModel,
    name: str,
    inputs: Sequence[Path | GenotypeMatrix],
    known: Embedding | None,
    *,
    demands: Demands | None = None,
    seed: int | None = None,
    device: str = "auto",
) -> Placed:
    """Embed new samples with a trained model, in memory.

    Args:
        trained: The model.
        name: Its name, for messages.
        inputs: Genotype files, or genotypes in memory; several are one input.
        known: Embedding of the training samples, which keep their rows; None where it is not at hand.
        demands: How variants are matched, and what the input must have.
        seed: Of the posterior draws; None takes the model's own.
        device: As in ``TrainingConfig``.

    Raises:
        MismatchError, GenoviError: as ``embed_run``.
    """
    return _placed(trained, name, inputs, known, demands, seed, choose_device(device))


def _placed(
    trained: TrainedModel,
    name: str,
    inputs: Sequence[Path | GenotypeMatrix],
    known: Embedding | None,
    demands: Demands | None,
    seed: int | None,
    device: torch.device,
) -> Placed:
    aligned, found, _, sparse = fit_input(trained, name, inputs, demands)
    draws = embedding_seed(trained.seed if seed is None else seed)
    embedding, again = place_new(trained, aligned, draws, device, known)
    if again.any():
        names = [embedding.samples[i] for i in np.flatnonzero(again)]
        logger.info("%d samples are training samples and keep their training positions: %s", len(names), some_of(names))
    classes = None
    if trained.classes:
        shares = class_shares(trained, aligned, draws, device)
        if again.any():
            own = aligned.take_samples(np.flatnonzero(again))
            shares[again] = class_shares(trained, own, draws, device, training=True)
        classes = class_table(shares, trained.classes, embedding.samples)
    return Placed(embedding, found, again, warn_of_misfits(embedding, trained), sparse, classes)
