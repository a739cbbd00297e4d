"""TrainedModel: everything that embedding new samples needs, saved as a folder that loading never executes.

    model.safetensors   weights of prior, likelihood and posterior, loadings and singular values of the axes
    model.json          manifest: format version, configuration, noise floor, quality control, bounds, provenance
    variants.tsv.gz     CHROM POS ID REF ALT FREQ: ALT is the counted allele, FREQ its training frequency

No genotype and no name of an individual is among them.
"""

from __future__ import annotations

import io
import math
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import torch
from safetensors import SafetensorError
from safetensors.torch import load as from_bytes
from safetensors.torch import save as to_bytes

from genovi.errors import ConfigError, DataError, GenoviError
from genovi.genotypes.matrix import GenotypeMatrix, VariantTable
from genovi.manifest import Manifest, number_at, read_manifest, recorded_at
from genovi.model.binomial import BinomialLikelihood
from genovi.model.config import ModelConfig
from genovi.model.rows import Genotypes, Sites
from genovi.model.vae import LatentModel
from genovi.modelfiles import MANIFEST, VARIANTS, WEIGHTS, damaged, inflate, read_member
from genovi.structure.noise import NoiseFloor
from genovi.structure.pca import PrincipalAxes
from genovi.structure.projection import shrinkage
from genovi.structure.standardise import Standardiser

_MISFIT_MARGIN = 1.25
_AXES = "axes."
_MODEL = "model."
# What parts of a damaged folder raise; a configuration that makes no sense is damage here, not the user's mistake.
_DAMAGE = (
    GenoviError, LookupError, TypeError, ValueError, ArithmeticError, RuntimeError, OSError, EOFError, SafetensorError,
)  # fmt: skip


@dataclass(frozen=True)
class TrainedModel:
    """A model with the constants that lead from genotypes to its input.

    Attributes:
        model: The latent-variable model.
        standardiser: Variants, counted alleles and frequencies.
        axes: Principal axes; the model takes all of them.
        noise_scale: Scores are divided by this one number, the standard deviation of noise axes, before the model.
        seed: Root seed.
        build: Genome build of the variants: "GRCh37", "GRCh38" or "unknown".
        summary: What else the manifest says (quality control, bounds, provenance), JSON-ready.
    """

    model: LatentModel
    standardiser: Standardiser
    axes: PrincipalAxes
    noise_scale: float
    seed: int
    build: str
    summary: dict[str, Any]

    @property
    def misfit_limit(self) -> float | None:
        """Misfit above which a sample is unlike the training samples; None where the model does not say.

        A quarter above the 99 % quantile of training samples, which new samples of the same populations rarely pass.
        """
        quantile = number_at(self.summary, "misfit", "q99")
        return None if quantile is None else _MISFIT_MARGIN * quantile

    @property
    def classes(self) -> tuple[str, ...]:
        """Classes that the model was trained with (--semi-supervised), empty without."""
        names = recorded_at(self.summary, "semi_supervised", "classes")
        if not isinstance(names, list) or not all(isinstance(name, str) and name.isprintable() for name in names):
            return ()
        if len(names) != self.model.config.classes:  # format version 2 had no table of them
            return ()
        return tuple(names)

    def genotypes_of(self, matrix: GenotypeMatrix) -> Genotypes | None:
        """Genotypes, aligned to the model, as its likelihood sees them; None where it sees components alone."""
        return genotypes_of(matrix) if self.model.config.likelihood == "binomial" else None

    @torch.no_grad()
    def allele_frequencies(self, z: np.ndarray, variants: np.ndarray | None = None) -> np.ndarray:
        """Frequency of the counted allele (``standardiser.variants.alt``) in those who live at ``z``.

        Args:
            z: Points of the latent space, shape (n, latent_dim).
            variants: Indices of some variants, shape (m,); None for all.

        Returns:
            shape (n, n_variants), float32, in (0, 1), variants in the order of ``standardiser.variants``.

        Raises:
            ConfigError: the model is not one of genotypes, or z has another number of columns.
        """
        likelihood = self.frequency_decoder
        points = torch.as_tensor(np.asarray(z), dtype=torch.float32)
        if points.ndim != 2 or points.shape[1] != self.model.config.latent_dim:
            raise ConfigError(
                "points of the latent space have another shape", where=tuple(points.shape),
                fix=f"give one row of {self.model.config.latent_dim} numbers for each point",
            )  # fmt: skip
        device = likelihood.scale.device
        chosen = None if variants is None else torch.as_tensor(np.asarray(variants), device=device)
        frequencies: np.ndarray = likelihood.frequencies(points.to(device), chosen).cpu().numpy()
        return frequencies

    @property
    def frequency_decoder(self) -> BinomialLikelihood:
        """The likelihood of a model of genotypes.

        Raises:
            ConfigError: this is a model of principal components.
        """
        likelihood = self.model.likelihood
        if not isinstance(likelihood, BinomialLikelihood):
            raise ConfigError(
                "this model decodes principal components, not allele frequencies",
                where=f"--likelihood {self.model.config.likelihood}",
                fix="train one with genovi train --likelihood binomial",
            )
        return likelihood

    def save(self, folder: Path) -> None:
        """Write the three files into ``folder``, which exists."""
        tensors = {
            _MODEL + name: tensor.contiguous()
            for name, tensor in self.model.state_dict().items()
            if tensor.is_floating_point()
        }
        tensors[_AXES + "loadings"] = torch.from_numpy(np.ascontiguousarray(self.axes.loadings))
        tensors[_AXES + "singular_values"] = torch.from_numpy(np.ascontiguousarray(self.axes.singular_values))
        # not save_file, which lets only the owner read: models lie in folders that groups share
        (folder / WEIGHTS).write_bytes(to_bytes(tensors))
        manifest = Manifest(
            model=asdict(self.model.config),
            n_axes=self.axes.n_axes,
            n_samples=self.axes.n_samples,
            n_variants=len(self.standardiser.variants),
            noise=self.axes.noise.to_dict(),
            noise_scale=self.noise_scale,
            seed=self.seed,
            build=self.build,
            summary=self.summary,
        )
        (folder / MANIFEST).write_text(manifest.to_json(), encoding="utf-8")
        v = self.standardiser.variants
        pd.DataFrame(
            {"CHROM": v.chrom, "POS": v.pos, "ID": v.id, "REF": v.ref, "ALT": v.alt}
            | {"FREQ": self.standardiser.frequency}
        ).to_csv(
            folder / VARIANTS,
            sep="\t",
            index=False,
            compression={"method": "gzip", "mtime": 0},
            lineterminator="\n",
        )

    @staticmethod
    def load(place: Path) -> TrainedModel:
        """Read a model from its folder or from the file of ``genovi export``.

        Raises:
            DataError: files are missing, damaged, of a newer format, or do not agree with one another.
        """
        place = Path(place)
        manifest = read_manifest(place)
        try:
            return _assemble(place, manifest)
        except _DAMAGE as error:
            if isinstance(error, DataError):
                raise
            why = f"{type(error).__name__}: {str(error).splitlines()[0] if str(error) else 'no detail'}"
            raise damaged(place, why) from error


def genotypes_of(matrix: GenotypeMatrix) -> Genotypes:
    """Packed genotypes as the model reads them."""
    return Genotypes(matrix.part, matrix.n_variants)


def sites_of(axes: PrincipalAxes, standardiser: Standardiser, noise_scale: float) -> Sites:
    """The way from complete genotypes of new samples to components in the unit of training scores."""
    projection = axes.loadings / (standardiser.scale[:, None] * shrinkage(axes) * noise_scale)
    centre = torch.as_tensor(2 * standardiser.frequency, dtype=torch.float32)
    return Sites(centre, torch.as_tensor(projection, dtype=torch.float32))


def _assemble(place: Path, manifest: Manifest) -> TrainedModel:
    config = ModelConfig(**manifest.model)
    tensors = _read_tensors(place)
    loadings = tensors.pop(_AXES + "loadings").numpy()
    singular = tensors.pop(_AXES + "singular_values").numpy()
    # sizes first: only what the file holds in full is ever allocated
    if singular.shape != (manifest.n_axes,) or loadings.shape != (manifest.n_variants, manifest.n_axes):
        raise ValueError(
            f"loadings of shape {loadings.shape} and singular values of shape {singular.shape} contradict {MANIFEST}"
        )
    if min(loadings.shape) < 1:
        raise ValueError("it has no variants or no axes")
    if not all(torch.isfinite(t).all() for t in tensors.values()) or not np.isfinite(loadings).all():
        raise ValueError("weights are not finite")
    axes = PrincipalAxes(loadings, singular, manifest.n_samples, NoiseFloor(**manifest.noise))
    if not all(math.isfinite(scale) and scale > 0 for scale in [*singular.tolist(), axes.n_samples]):
        raise ValueError("scales are not positive numbers")
    if config.largest_layer(*reversed(loadings.shape)) > sum(tensor.numel() for tensor in tensors.values()):
        raise ValueError(f"{WEIGHTS} does not hold a model of the size that {MANIFEST} says")
    standardiser, noise_scale = _read_standardiser(place, manifest.n_variants), float(manifest.noise_scale)
    sites = sites_of(axes, standardiser, noise_scale) if config.likelihood == "binomial" else None
    model = LatentModel(config, torch.ones(len(singular)), torch.Generator().manual_seed(0), sites=sites)
    # orders and masks of flows follow from the settings: they are never taken from a file
    fixed = {name: tensor for name, tensor in model.state_dict().items() if not tensor.is_floating_point()}
    weights = {name.removeprefix(_MODEL): tensor for name, tensor in tensors.items()}
    if fixed.keys() & weights.keys():
        raise ValueError(f"{WEIGHTS} holds what is no weight")
    model.load_state_dict(weights | fixed)
    return TrainedModel(
        model=model.eval(),
        standardiser=standardiser,
        axes=axes,
        noise_scale=noise_scale,
        seed=manifest.seed,
        build=manifest.build,
        summary=manifest.summary,
    )


def _read_tensors(place: Path) -> dict[str, torch.Tensor]:
    tensors = from_bytes(read_member(place, WEIGHTS))
    for name, tensor in tensors.items():
        if tensor.dtype not in ((torch.float32, torch.float64) if name.startswith(_AXES) else (torch.float32,)):
            raise ValueError(f"{name} holds {tensor.dtype}")
    return tensors


def _read_standardiser(place: Path, n_variants: int) -> Standardiser:
    text = inflate(read_member(place, VARIANTS), n_variants, place)
    words = ("CHROM", "ID", "REF", "ALT")
    table = pd.read_csv(  # float() gives back the very number that was written, which pandas 2 does not
        io.BytesIO(text), sep="\t", dtype=dict.fromkeys(words, object) | {"POS": np.int64}, na_filter=False,
        converters={"FREQ": float},
    )  # fmt: skip
    if len(table) != n_variants:
        raise ValueError(f"{len(table)} variants contradict {MANIFEST}")
    frequency = table["FREQ"].to_numpy()
    if not ((frequency > 0) & (frequency < 1)).all():
        raise ValueError("frequencies are not between 0 and 1")
    columns = {name: table[name].to_numpy(dtype=object) for name in words}
    return Standardiser(
        VariantTable(columns["CHROM"], table["POS"].to_numpy(), columns["ID"], columns["REF"], columns["ALT"]),
        frequency,
    )
