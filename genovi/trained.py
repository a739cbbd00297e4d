"""TrainedModel: everything that embedding new samples needs, saved as a folder that loading never executes.

    model.safetensors   weights of prior, likelihood and posterior, loadings and singular values of the axes
    model.json          manifest: format version, configuration, noise floor, quality control, bounds, provenance
    variants.tsv.gz     CHROM POS ID REF ALT FREQ: ALT is the counted allele, FREQ its training frequency

No genotype and no name of an individual is among them.
"""

from __future__ import annotations

import json
import math
import zlib
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import torch
from safetensors import SafetensorError
from safetensors.torch import load_file
from safetensors.torch import save as to_bytes

from genovi.errors import DataError, GenoviError
from genovi.genotypes.matrix import VariantTable
from genovi.manifest import FORMAT_VERSION, read_manifest
from genovi.model.config import ModelConfig
from genovi.model.vae import LatentModel
from genovi.structure.noise import NoiseFloor
from genovi.structure.pca import PrincipalAxes
from genovi.structure.standardise import Standardiser

_MISFIT_MARGIN = 1.25
_AXES = "axes."
_MODEL = "model."
# What parts of a damaged folder raise; a configuration that makes no sense is damage here, not the user's mistake.
_DAMAGE = (
    GenoviError, LookupError, TypeError, ValueError, ArithmeticError, RuntimeError, OSError, EOFError, zlib.error,
    SafetensorError,
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
        recorded = self.summary.get("misfit")
        return _MISFIT_MARGIN * float(recorded["q99"]) if isinstance(recorded, dict) and "q99" in recorded else None

    def save(self, folder: Path) -> None:
        """Write the three files into ``folder``, which exists."""
        tensors = {_MODEL + name: tensor.contiguous() for name, tensor in self.model.state_dict().items()}
        tensors[_AXES + "loadings"] = torch.from_numpy(np.ascontiguousarray(self.axes.loadings))
        tensors[_AXES + "singular_values"] = torch.from_numpy(np.ascontiguousarray(self.axes.singular_values))
        # not save_file, which lets only the owner read: models lie in folders that groups share
        (folder / "model.safetensors").write_bytes(to_bytes(tensors))
        manifest = {
            "format": "genovi model",
            "format_version": FORMAT_VERSION,
            "model": asdict(self.model.config),
            "n_axes": self.axes.n_axes,
            "n_samples": self.axes.n_samples,
            "n_variants": len(self.standardiser.variants),
            "noise": self.axes.noise.to_dict(),
            "noise_scale": self.noise_scale,
            "seed": self.seed,
            "build": self.build,
            "summary": self.summary,
        }
        (folder / "model.json").write_text(json.dumps(manifest, indent=1, allow_nan=False) + "\n", encoding="utf-8")
        v = self.standardiser.variants
        pd.DataFrame(
            {"CHROM": v.chrom, "POS": v.pos, "ID": v.id, "REF": v.ref, "ALT": v.alt}
            | {"FREQ": self.standardiser.frequency}
        ).to_csv(
            folder / "variants.tsv.gz",
            sep="\t",
            index=False,
            compression={"method": "gzip", "mtime": 0},
            lineterminator="\n",
        )

    @staticmethod
    def load(folder: Path) -> TrainedModel:
        """Read a model folder.

        Raises:
            DataError: files are missing, damaged, of a newer format, or do not agree with one another.
        """
        folder = Path(folder)
        manifest = read_manifest(folder)
        try:
            return _assemble(folder, manifest)
        except _DAMAGE as error:
            raise DataError(
                "damaged model",
                where=folder,
                why=f"{type(error).__name__}: {str(error).splitlines()[0] if str(error) else 'no detail'}",
                fix="copy or train it again",
            ) from error


def _assemble(folder: Path, manifest: dict[str, Any]) -> TrainedModel:
    config = ModelConfig(**manifest["model"])
    tensors = load_file(folder / "model.safetensors")
    loadings = tensors.pop(_AXES + "loadings").numpy()
    singular = tensors.pop(_AXES + "singular_values").numpy()
    words = ("CHROM", "ID", "REF", "ALT")
    table = pd.read_csv(  # float() gives back the very number that was written, which pandas 2 does not
        folder / "variants.tsv.gz", sep="\t", dtype=dict.fromkeys(words, object) | {"POS": np.int64}, na_filter=False,
        converters={"FREQ": float},
    )  # fmt: skip
    axes = PrincipalAxes(loadings, singular, int(manifest["n_samples"]), NoiseFloor(**manifest["noise"]))
    noise_scale, frequency = float(manifest["noise_scale"]), table["FREQ"].to_numpy()
    if len(table) != manifest["n_variants"] or singular.shape != (manifest["n_axes"],):
        raise ValueError(f"{len(table)} variants and singular values of shape {singular.shape} contradict model.json")
    if loadings.shape != (len(table), len(singular)):
        raise ValueError(f"loadings of shape {loadings.shape} for {len(table)} variants and {len(singular)} axes")
    if not all(torch.isfinite(t).all() for t in tensors.values()) or not np.isfinite(loadings).all():
        raise ValueError("weights are not finite")
    scales = [*singular.tolist(), noise_scale, axes.noise.variance, axes.noise.edge, axes.noise.effective_variants]
    if not all(math.isfinite(scale) and scale > 0 for scale in [*scales, axes.n_samples]):
        raise ValueError("scales are not positive numbers")
    if not ((frequency > 0) & (frequency < 1)).all():
        raise ValueError("frequencies are not between 0 and 1")
    model = LatentModel(config, torch.ones(len(singular)), torch.Generator().manual_seed(0))
    model.load_state_dict({name.removeprefix(_MODEL): tensor for name, tensor in tensors.items()})
    text = {name: table[name].to_numpy(dtype=object) for name in words}
    variants = VariantTable(text["CHROM"], table["POS"].to_numpy(), text["ID"], text["REF"], text["ALT"])
    return TrainedModel(
        model=model.eval(),
        standardiser=Standardiser(variants, frequency),
        axes=axes,
        noise_scale=noise_scale,
        seed=int(manifest["seed"]),
        build=str(manifest["build"]),
        summary=dict(manifest["summary"]),
    )
