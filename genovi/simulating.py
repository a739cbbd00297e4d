"""Genotypes drawn from a trained model of genotypes.

simulate_run   RUN/ -> positions from the prior -> genotypes from the decoder -> X.vcf.gz, X.latent.tsv, X.report.json

A simulated sample is nobody: its position is a draw from the prior, and each of its genotypes two draws from the allele
frequency there. So variants are independent given the position: there is no linkage, no family and no inbreeding.
"""

from __future__ import annotations

import json
import logging
from collections.abc import Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch

from genovi.embedding import Embedding, embedding_of
from genovi.errors import ConfigError, MismatchError
from genovi.files import atomic_path, check_writable
from genovi.genotypes.matrix import GenotypeMatrix, pack
from genovi.genotypes.vcfwriting import check_alleles, write_vcf
from genovi.labels import SampleLabels, match
from genovi.likeness import Likeness, compare_frequencies, compare_fst, compare_nearest, most_similar
from genovi.model.densities import Noise
from genovi.modelfiles import EMBEDDING, has_member
from genovi.placing import fit_input
from genovi.provenance import Provenance, version
from genovi.seeding import Seeds
from genovi.trained import TrainedModel

logger = logging.getLogger("genovi")

SUFFIX = ".vcf.gz"
_WHY = "simulated samples are compared with those that the model was trained on"
_FIX = "give the genotypes that genovi train was given"


@dataclass(frozen=True, eq=False)
class Simulated:
    """Samples drawn from a model.

    Attributes:
        matrix: Their genotypes, complete, at the variants of the model.
        embedding: Where they were drawn, one point each.
    """

    matrix: GenotypeMatrix
    embedding: Embedding


@dataclass(frozen=True)
class Comparison:
    """What simulated samples are compared with.

    Attributes:
        labels: Labels of training samples; None for none.
        column: Label column of populations; None guesses it.
        inputs: Genotypes of training samples; none for no comparison with them.
    """

    labels: SampleLabels | None = None
    column: str | None = None
    inputs: Sequence[Path] = ()


@dataclass(frozen=True)
class SimulateSummary:
    """What a simulation made.

    Attributes:
        simulated: The samples.
        likeness: How alike they are to real ones.
        files: Files written.
        provenance: The finished record.
    """

    simulated: Simulated
    likeness: Likeness
    files: tuple[Path, ...]
    provenance: Provenance

    def lines(self) -> list[str]:
        """For people to read."""
        matrix = self.simulated.matrix
        return [
            f"simulated {matrix.n_samples} samples x {matrix.n_variants} variants",
            *self.likeness.lines(),
            f"{self.provenance.wall_seconds:.0f} s; wrote {', '.join(str(f) for f in self.files)}",
        ]


@torch.no_grad()
def simulate(trained: TrainedModel, n: int, seed: int, name: str = "model") -> Simulated:
    """Draw samples.

    Args:
        trained: A model of genotypes.
        n: Number of samples.
        seed: Root seed of the streams "simulated positions" and "simulated genotypes".
        name: Of the model, for messages.

    Raises:
        ConfigError: the model is one of principal components, or n is not positive.
    """
    decoder = trained.frequency_decoder
    if n < 1:
        raise ConfigError("--samples must be at least 1", where=n)
    seeds, model = Seeds(seed), trained.model.cpu()
    z = model.prior.sample(n, Noise(seeds.torch("simulated positions")))
    noise = Noise(seeds.torch("simulated genotypes"))
    rows = [pack(block.T.to(torch.int8).contiguous().numpy()) for _, block in decoder.genotypes(z, noise)]
    samples = tuple(f"sim{i + 1:0{len(str(n))}d}" for i in range(n))
    matrix = GenotypeMatrix(np.concatenate(rows), samples, trained.standardiser.variants, name)
    return Simulated(matrix, Embedding(samples, z.double().numpy(), method="simulated"))


def simulate_run(
    run: Path,
    out: Path,
    n: int,
    seed: int,
    *,
    against: Comparison | None = None,
    provenance: Provenance,
    force: bool = False,
) -> SimulateSummary:
    """Draw samples and write them, their positions, and a report.

    Args:
        run: Folder of the model, or the file of ``genovi export``.
        out: X.vcf.gz; beside it X.latent.tsv, X.report.json and, with labels, X.populations.tsv.
        n: Number of samples.
        seed: Root seed.
        against: What to compare with beside the training frequencies.
        provenance: Started; is finished here.
        force: Overwrite outputs.

    Raises:
        ConfigError: the model is one of principal components, ``out`` has another suffix, or labels come with a model
            without the positions of its training samples.
        DataError: alleles that VCF cannot hold.
        GenoviError: its other children, for bad input.
    """
    against = against or Comparison()
    files = _outputs(out, against.labels is not None)
    for file in files:
        check_writable(file, force)
    trained = TrainedModel.load(run)
    _ = trained.frequency_decoder  # a model that cannot simulate is refused before anything is read
    check_alleles(trained.standardiser.variants, str(run))
    training = _training_positions(run, against)
    simulated = simulate(trained, n, seed, str(run))
    similar, column = None, ""
    if against.labels is not None and training is not None:
        column = against.column or against.labels.default_population_column()
        populations = match(against.labels, training.samples).column(column)
        similar = most_similar(training.mean, populations, simulated.embedding.mean)
    likeness = _compare(trained, str(run), simulated, similar, column, training, against, Seeds(seed))
    done = provenance.finish()
    with ExitStack() as stack:  # all files are complete before the first is renamed
        temporary = [stack.enter_context(atomic_path(file)) for file in files]
        write_vcf(simulated.matrix, temporary[0], f"genovi {version()} simulate: no sample is a person")
        simulated.embedding.write_tsv(temporary[1])
        record = {"samples": n, "variants": simulated.matrix.n_variants, "seed": seed, **likeness.to_dict()}
        record["provenance"] = done.to_dict()
        temporary[2].write_text(json.dumps(record, indent=2) + "\n", encoding="utf-8")
        if similar is not None:
            rows = [f"{name}\t{one}\n" for name, one in zip(simulated.matrix.samples, similar, strict=True)]
            temporary[3].write_text(f"sample\t{column}\n" + "".join(rows), encoding="utf-8")
    return SimulateSummary(simulated, likeness, files, done)


def _outputs(out: Path, labelled: bool) -> tuple[Path, ...]:
    if not out.name.endswith(SUFFIX) or out.name == SUFFIX:
        raise ConfigError("the output is a compressed VCF", where=f"--out {out}", fix=f"name it X{SUFFIX}")
    suffixes = [".latent.tsv", ".report.json", *([".populations.tsv"] if labelled else [])]
    stem = out.name.removesuffix(SUFFIX)
    return (out, *(out.with_name(stem + suffix) for suffix in suffixes))


def _training_positions(run: Path, against: Comparison) -> Embedding | None:
    if against.labels is None and not against.inputs:
        return None
    if has_member(run, EMBEDDING):
        return embedding_of(run)
    raise ConfigError(
        "the model came without the positions of its training samples",
        where=run,
        why="simulated samples cannot be compared with them",
        fix="leave out --labels and --compare, or give the folder that genovi train wrote",
    )


def _compare(
    trained: TrainedModel,
    name: str,
    simulated: Simulated,
    similar: tuple[str, ...] | None,
    column: str,
    training: Embedding | None,
    against: Comparison,
    seeds: Seeds,
) -> Likeness:
    frequencies = compare_frequencies(simulated.matrix, trained.standardiser.frequency)
    if not against.inputs or training is None:
        return Likeness(frequencies)
    try:
        real = fit_input(trained, name, list(against.inputs), None)[0]
    except MismatchError as error:  # its advice is for samples that are to be placed
        raise MismatchError(error.what, where=f"--compare {error.where}", why=_WHY, fix=_FIX) from error
    known = np.flatnonzero(np.isin(real.samples, training.samples))
    if len(known) < 2:
        raise MismatchError(
            f"{len(known)} training samples are in the input",
            where=f"--compare {real.source}",
            why=_WHY,
            fix=_FIX,
        )
    real = real.take_samples(known)
    fst = None
    if similar is not None and against.labels is not None:
        populations = match(against.labels, real.samples).column(column)
        fst = compare_fst(simulated.matrix, similar, real, populations)
        if fst is None:
            logger.warning("no F_ST: fewer than two populations have five simulated and five real samples")
    return Likeness(frequencies, fst, compare_nearest(simulated.matrix, real, seeds.numpy("anchors")))
