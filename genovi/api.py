"""genovi as a notebook uses it: ``genovi.read``, ``genovi.train``, ``genovi.load``, ``genovi.plot_ancestry``.

The same functions as behind the commands, with the same defaults; nothing is printed but a progress bar and warnings.
"""

from __future__ import annotations

import html
import io
import os
import secrets
import tempfile
from collections.abc import Sequence
from contextlib import nullcontext
from dataclasses import fields
from pathlib import Path
from typing import TYPE_CHECKING, Any

from genovi.applying import Placed, embed_samples
from genovi.embedding import Embedding, embedding_of
from genovi.errors import ConfigError
from genovi.evaluation import evaluate
from genovi.files import atomic_folder, check_writable
from genovi.genotypes.matrix import GenotypeMatrix
from genovi.genotypes.quality import QCConfig
from genovi.genotypes.reading import open_genotypes
from genovi.genotypes.suitability import Demands
from genovi.labels import SampleLabels, read_labels
from genovi.model.config import ModelConfig
from genovi.modelfiles import EMBEDDING, has_member
from genovi.pipeline import RunConfig, train_run
from genovi.plotting.ancestry import ancestry_figure, turn_onto
from genovi.plotting.coloring import ColorBy
from genovi.plotting.composing import AncestryOptions
from genovi.plotting.figures import Sheet, write_figure
from genovi.plotting.figures import style as styled
from genovi.plotting.palettefile import read_palette
from genovi.progress import Bar
from genovi.provenance import Provenance
from genovi.scores import Scores
from genovi.trained import TrainedModel
from genovi.training.config import TrainingConfig
from genovi.training.monitor import Monitor

if TYPE_CHECKING:
    import numpy as np
    from matplotlib.figure import Figure

PathLike = str | os.PathLike[str]
Inputs = PathLike | GenotypeMatrix | Sequence[PathLike | GenotypeMatrix]
Labels = PathLike | SampleLabels | None


class Model:
    """A trained model, with the embedding of its training samples where that is at hand.

    Attributes:
        trained: Weights, axes, allele frequencies and what else new samples need.
        embedding: Of the training samples, in input order; None where the model came without it.
        name: The folder or file of the model, or "model", for messages.
    """

    def __init__(self, trained: TrainedModel, embedding: Embedding | None, name: str = "model") -> None:
        self.trained = trained
        self.embedding = embedding
        self.name = name

    def place(
        self,
        inputs: Inputs,
        *,
        min_overlap: float = Demands.min_overlap,
        match_by: str = Demands.match_by,
        build: str = Demands.build,
        seed: int | None = None,
        device: str = "auto",
    ) -> Placed:
        """Embed new samples and say how: variants matched, training samples among them, samples unlike any.

        Args:
            inputs: Genotype files, several of which are one input, or what ``read`` returned.
            min_overlap: Smallest usable share of the model's variants, in [0, 1].
            match_by: "position" or "id".
            build: Genome build of the new data: "auto" asks the data, "none" does not compare.
            seed: Of the posterior draws; None takes the model's own.
            device: "auto", "cpu", "cuda" or "mps".

        Raises:
            MismatchError: the data do not suit the model.
            GenoviError: its other children, for bad input or lack of resources.
        """
        return embed_samples(
            self.trained, self.name, _listed(inputs), self.embedding,
            demands=Demands(min_overlap, match_by, build), seed=seed, device=device,
        )  # fmt: skip

    def embed(self, inputs: Inputs, **options: Any) -> Embedding:
        """Embed new samples; arguments and errors as for ``place``."""
        return self.place(inputs, **options).embedding

    def allele_frequencies(self, z: np.ndarray) -> np.ndarray:
        """Allele frequencies along the latent space; arguments and errors as ``TrainedModel.allele_frequencies``."""
        return self.trained.allele_frequencies(z)

    def evaluate(self, labels: Labels, *, population: str | None = None, group: str | None = None) -> Scores:
        """Judge the embedding of the training samples by labels, as ``genovi evaluate`` does.

        Args:
            labels: A panel file, or what ``genovi.labels.read_labels`` returned.
            population: Column of populations; None guesses it.
            group: Column of super-populations; None guesses it.

        Raises:
            ConfigError: there is no embedding, no labels, or no such column.
            GenoviError: its other children, as ``genovi.evaluation.evaluate``.
        """
        known = _labels(labels)
        if self.embedding is None or known is None:
            what = "no labels" if known is None else "the model came without the embedding of its samples"
            raise ConfigError(f"nothing to judge: {what}", where=self.name)
        return evaluate(self.embedding, known, population=population, group=group)

    def save(self, folder: PathLike, *, force: bool = False) -> None:
        """Write the model, and its embedding if there is one, where ``load`` and ``genovi embed`` find it.

        Raises:
            ConfigError: the folder is there already and ``force`` is not given.
            ResourceError: it cannot be written.
        """
        check_writable(Path(folder), force)
        with atomic_folder(Path(folder)) as temporary:
            self.trained.save(temporary)
            if self.embedding is not None:
                self.embedding.write_tsv(temporary / EMBEDDING)

    def __repr__(self) -> str:
        return f"genovi.Model({', '.join(f'{name}: {value}' for name, value in self._facts())})"

    def _repr_html_(self) -> str:
        rows = "".join(f"<tr><th>{name}</th><td>{html.escape(value)}</td></tr>" for name, value in self._facts())
        return f"<table><caption>genovi model</caption>{rows}</table>"

    def _facts(self) -> list[tuple[str, str]]:
        axes, config = self.trained.axes, self.trained.model.config
        return [
            ("samples", f"{axes.n_samples:,}"),
            ("variants", f"{len(self.trained.standardiser.variants):,}"),
            ("principal components", str(axes.n_axes)),
            ("posterior", config.posterior),
            ("prior", config.prior),
            ("latent dimensions", str(config.latent_dim)),
            ("build", self.trained.build),
            ("seed", str(self.trained.seed)),
        ]


def read(inputs: Inputs, *, split_multiallelic: bool = False) -> GenotypeMatrix:
    """Genotypes of files, all of them and unfiltered.

    Args:
        inputs: VCF, BCF, PLINK, EIGENSTRAT or VCF Zarr; several are one input.
        split_multiallelic: One row for each ALT allele of a record that has several.

    Raises:
        ConfigError, DataError, MismatchError: as ``genovi.genotypes.reading.open_genotypes``.
    """
    return open_genotypes(_listed(inputs), split_multiallelic)


def train(
    inputs: Inputs,
    out: PathLike | None = None,
    *,
    seed: int | None = None,
    pcs: int | None = None,
    memory: float | None = None,
    labels: Labels = None,
    progress: bool = True,
    force: bool = False,
    **options: Any,
) -> Model:
    """Train a model.

    Args:
        inputs: Genotype files, several of which are one input, or what ``read`` returned.
        out: Folder to write, as ``genovi train`` does; None keeps the model in memory (see ``Model.save``).
        seed: Root seed; None draws one, which the model remembers.
        pcs: Principal components given to the model; None chooses by the noise floor.
        memory: Most memory while reading, in MiB; None for half of what is free.
        labels: Only counted against the samples; training never sees them.
        progress: Show a bar on standard error.
        force: Overwrite ``out``.
        options: Fields of ``QCConfig`` (such as maf=0.05), ``ModelConfig`` (latent_dim=3, posterior="gaussian") and
            ``TrainingConfig`` (epochs=50, device="cuda"). The number of reverse diffusion steps is ``steps``; the
            optimiser's steps are ``updates``.

    Raises:
        ConfigError: an option that is not known, or a value that makes no sense.
        GenoviError: its other children, for bad input, data that do not fit, or lack of resources.
    """
    qc, model, training = _configs(options)
    root = secrets.randbelow(2**31) if seed is None else seed
    config = RunConfig(qc=qc, model=model, training=training, pcs=pcs, seed=root, memory=memory)
    listed = _listed(inputs)
    files = [one for one in listed if isinstance(one, Path)]
    with tempfile.TemporaryDirectory() if out is None else nullcontext() as temporary:
        folder = Path(out) if out is not None else Path(str(temporary), "run")
        summary = train_run(
            listed,
            folder,
            config,
            labels=_labels(labels),
            provenance=Provenance.start(root, "genovi.train", files),
            monitor=Bar() if progress else Monitor(),
            log_lines=lambda: "trained by genovi.train of Python: options are in model.json\n",
            force=force,
        )
    return Model(summary.model, summary.embedding, "model" if out is None else str(out))


def load(place: PathLike) -> Model:
    """The model in the folder of a run, or in a file of ``genovi export``. No code in it is ever run.

    Raises:
        DataError: there is none, or it is damaged or of a newer format.
    """
    path = Path(place)
    trained = TrainedModel.load(path)
    return Model(trained, embedding_of(path) if has_member(path, EMBEDDING) else None, str(path))


def plot_ancestry(
    embeddings: Embedding | Model | Sequence[Embedding],
    labels: Labels = None,
    *,
    out: PathLike | None = None,
    query: Embedding | None = None,
    align_to: Embedding | None = None,
    color: str | None = None,
    color_as: str = "auto",
    group: str | None = None,
    palette: PathLike | None = None,
    size: str = "page",
    style: PathLike | None = None,
    **options: Any,
) -> Figure:
    """Draw embeddings, as ``genovi plot ancestry`` does.

    Args:
        embeddings: One or more, or a model that has that of its training samples.
        labels: A panel file, or what ``genovi.labels.read_labels`` returned; None colours by cluster.
        out: Write the figure there, too; the suffix chooses PNG, PDF or SVG.
        query: New samples to draw over the first embedding, which turns grey.
        align_to: Turn and mirror all onto this embedding, by the samples that both have.
        color: Label column, or MISSING, MISFIT, CLUSTER; None takes populations.
        color_as: "categories", "numbers", or "auto".
        group: Label column that gives the hue; None takes super-populations.
        palette: Colours and markers of populations, a file of ``genovi plot palette``.
        size: "page", "column" or WIDTHxHEIGHT in mm.
        style: A matplotlib style file or the name of a style, applied over genovi's settings.
        options: Fields of ``AncestryOptions``, such as uncertainty="ellipse" or names=False.

    Returns:
        The figure, which a notebook shows.

    Raises:
        ConfigError: an option that is not known, no such column, a sheet that is too small.
        GenoviError: its other children, as ``genovi.plotting.ancestry.plot_ancestry``.
    """
    if isinstance(embeddings, Model):
        if embeddings.embedding is None:
            raise ConfigError("nothing to draw: the model came without the embedding of its samples")
        embeddings = embeddings.embedding
    shown = [embeddings] if isinstance(embeddings, Embedding) else list(embeddings)
    own = {field.name for field in fields(AncestryOptions)} - {"by", "sheet"}
    _check_known(options, own)
    sheet = Sheet.parse(size, None if style is None else os.fspath(style))
    by = ColorBy(color, group, color_as, {} if palette is None else read_palette(Path(palette)))
    chosen = AncestryOptions(by=by, sheet=sheet, **options)
    turned, query, _ = turn_onto(shown, query, align_to)
    with styled(sheet):
        figure, _, _ = ancestry_figure(turned, labels=_labels(labels), query=query, options=chosen)
    if out is not None:
        write_figure(figure, Path(out), "genovi.plot_ancestry", sheet)

    def png() -> bytes:
        picture = io.BytesIO()
        with styled(sheet):
            figure.savefig(picture, format="png", dpi=150)
        return picture.getvalue()

    figure._repr_png_ = png  # type: ignore[attr-defined]  # notebooks show only figures that pyplot made
    return figure


def _listed(inputs: Inputs) -> list[Path | GenotypeMatrix]:
    several = [inputs] if isinstance(inputs, (str, os.PathLike, GenotypeMatrix)) else list(inputs)
    return [one if isinstance(one, GenotypeMatrix) else Path(one) for one in several]


def _labels(labels: Labels) -> SampleLabels | None:
    return labels if labels is None or isinstance(labels, SampleLabels) else read_labels(Path(labels))


def _configs(options: dict[str, Any]) -> tuple[QCConfig, ModelConfig, TrainingConfig]:
    """Options sorted to the settings that they belong to; ``steps`` is the model's, ``updates`` that of training."""
    names = [{field.name for field in fields(kind)} for kind in (QCConfig, ModelConfig, TrainingConfig)]
    names[2] = names[2] - {"steps"} | {"updates"}
    _check_known(options, set().union(*names))
    parts = [{name: value for name, value in options.items() if name in known} for known in names]
    if "updates" in parts[2]:
        parts[2]["steps"] = parts[2].pop("updates")
    qc, model, training = QCConfig(**parts[0]), ModelConfig(**parts[1]), TrainingConfig(**parts[2])
    training.check_objective(model)
    return qc, model, training


def _check_known(options: dict[str, Any], known: set[str]) -> None:
    unknown = sorted(options.keys() - known)
    if unknown:
        raise ConfigError(f"{unknown[0]} is no option", fix=f"known are {', '.join(sorted(known))}")
