"""TrainedModel: what is saved is what is loaded, names nobody, and damage is met with one line."""

from __future__ import annotations

import gzip
import json
import pickle
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from helpers import simulate_structure
from safetensors.torch import load_file, save_file

from genovi.embedding import Embedding
from genovi.errors import DataError
from genovi.genotypes.matching import align, match_variants
from genovi.genotypes.matrix import GenotypeMatrix
from genovi.manifest import FORMAT_VERSION
from genovi.model.config import ModelConfig
from genovi.model.vae import LatentModel
from genovi.placing import place
from genovi.seeding import Seeds
from genovi.structure.pca import fit_axes
from genovi.structure.standardise import Standardiser
from genovi.trained import TrainedModel, sites_of

FILES = {"model.safetensors", "model.json", "variants.tsv.gz"}
CONFIG = ModelConfig(hidden=16, steps=2, components=4)


def cohort() -> GenotypeMatrix:
    matrix, _ = simulate_structure(1, 3, 12, 120, 0.2, 0.02)
    names = tuple(f"PERSON_{i:03d}" for i in range(matrix.n_samples))
    return GenotypeMatrix(matrix.packed, names, matrix.variants)


def build(config: ModelConfig = CONFIG) -> TrainedModel:
    """A model with the weights that it starts from: none of these tests needs better ones."""
    matrix = cohort()
    standardiser = Standardiser.fit(matrix)
    axes, scores = fit_axes(matrix, standardiser, 5, Seeds(0))
    noise_scale = float(np.sqrt(axes.noise.edge))
    scale = torch.as_tensor((scores / noise_scale).std(axis=0), dtype=torch.float32)
    sites = sites_of(axes, standardiser, noise_scale) if config.likelihood == "binomial" else None
    model = LatentModel(config, scale, torch.Generator().manual_seed(3), sites=sites).eval()
    summary = {"qc": {"n": 1}, "words": "as they were"}
    return TrainedModel(model, standardiser, axes, noise_scale, seed=7, build="unknown", summary=summary)


def embed(trained: TrainedModel, matrix: GenotypeMatrix) -> Embedding:
    aligned = align(matrix, match_variants(trained.standardiser.variants, matrix.variants))
    return place(trained, aligned, 5, torch.device("cpu"))


@pytest.fixture(scope="module")
def saved(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("model")
    build().save(folder)
    return folder


@pytest.fixture
def folder(saved: Path, tmp_path: Path) -> Path:
    """A copy to damage."""
    return Path(shutil.copytree(saved, tmp_path / "run"))


@pytest.mark.parametrize(
    "config",
    [
        CONFIG,
        ModelConfig(hidden=16, posterior="gaussian", components=3),
        ModelConfig(hidden=16, steps=1, prior="normal", latent_dim=3),
        ModelConfig(hidden=16, posterior="iaf", prior="vamp", components=3),
        ModelConfig(hidden=16, posterior="hiaf", prior="mixture-free", components=3, latent_dim=1),
        ModelConfig(hidden=16, posterior="ddvi-simple", prior="flow"),
        ModelConfig(hidden=16, posterior="ddvi-nosleep", prior="square"),
        ModelConfig(hidden=16, posterior="gaussian", prior="swissroll"),
        ModelConfig(hidden=16, steps=2, components=4, likelihood="binomial"),
        ModelConfig(hidden=16, posterior="gaussian", prior="vamp", components=3, likelihood="binomial"),
    ],
    ids=lambda config: f"{config.posterior}-{config.prior}-{config.likelihood}",
)
def test_a_loaded_model_embeds_bit_for_bit_alike(config: ModelConfig, tmp_path: Path) -> None:
    trained = build(config)
    trained.save(tmp_path)
    assert {path.name for path in tmp_path.iterdir()} == FILES
    loaded = TrainedModel.load(tmp_path)
    new, _ = simulate_structure(2, 3, 5, 120, 0.2, 0.1)
    before, after = embed(trained, new), embed(loaded, new)
    for name in ("mean", "std", "cluster", "cluster_prob", "missing"):
        np.testing.assert_array_equal(getattr(after, name), getattr(before, name))


def test_everything_comes_back(saved: Path) -> None:
    trained, loaded = build(), TrainedModel.load(saved)
    for name in ("noise_scale", "seed", "build", "summary"):
        assert getattr(loaded, name) == getattr(trained, name)
    assert loaded.model.config == trained.model.config
    assert not loaded.model.training
    assert loaded.axes.noise == trained.axes.noise
    assert loaded.axes.n_samples == trained.axes.n_samples
    np.testing.assert_array_equal(loaded.axes.loadings, trained.axes.loadings)
    np.testing.assert_array_equal(loaded.axes.singular_values, trained.axes.singular_values)
    np.testing.assert_array_equal(loaded.standardiser.frequency, trained.standardiser.frequency)
    for name in ("chrom", "pos", "id", "ref", "alt"):
        np.testing.assert_array_equal(
            getattr(loaded.standardiser.variants, name), getattr(trained.standardiser.variants, name)
        )


def test_whoever_may_read_the_folder_may_read_all_of_it(saved: Path) -> None:
    assert len({path.stat().st_mode for path in saved.iterdir()}) == 1


def test_models_of_the_first_format_still_load(folder: Path, saved: Path) -> None:
    """They did not say what their likelihood is; all were models of components."""
    edit(folder / "model.json", lambda m: (m.update(format_version=1), m["model"].pop("likelihood")))
    loaded = TrainedModel.load(folder)
    assert loaded.model.config == TrainedModel.load(saved).model.config
    assert loaded.model.config.likelihood == "gaussian"


def test_a_model_of_genotypes_cannot_be_called_one_of_components(folder: Path) -> None:
    edit(folder / "model.json", lambda m: m["model"].update(likelihood="binomial"))
    with pytest.raises(DataError, match="damaged"):
        TrainedModel.load(folder)


def test_saving_again_gives_the_same_bytes(saved: Path, tmp_path: Path) -> None:
    TrainedModel.load(saved).save(tmp_path)
    for name in FILES:
        assert (tmp_path / name).read_bytes() == (saved / name).read_bytes()


def test_words_that_look_missing_stay_words(tmp_path: Path) -> None:
    trained = build()
    v = trained.standardiser.variants
    v.id[:4] = ["NA", "null", "", "1e5"]
    v.chrom[:2] = ["NA", "007"]
    trained.save(tmp_path)
    loaded = TrainedModel.load(tmp_path).standardiser.variants
    np.testing.assert_array_equal(loaded.id, v.id)
    np.testing.assert_array_equal(loaded.chrom, v.chrom)


def test_nobody_is_named_in_a_model_and_no_genotype_is_in_it(saved: Path) -> None:
    matrix = cohort()
    for path in saved.iterdir():
        content = path.read_bytes()
        content += gzip.decompress(content) if path.suffix == ".gz" else b""
        assert b"PERSON" not in content
    tensors = load_file(saved / "model.safetensors")
    # whatever is stored for each variant is stored once, not once per sample, and the other way round
    sizes = {size for tensor in tensors.values() for size in tensor.shape}
    assert matrix.n_samples not in sizes
    assert [name for name, tensor in tensors.items() if matrix.n_variants in tensor.shape] == ["axes.loadings"]
    assert len(gzip.decompress((saved / "variants.tsv.gz").read_bytes()).split(b"\n")[0].split(b"\t")) == 6


def edit(path: Path, change: Callable[[dict[str, Any]], object]) -> None:
    manifest = json.loads(path.read_text())
    change(manifest)
    path.write_text(json.dumps(manifest))


MANIFESTS: dict[str, Callable[[dict[str, Any]], object]] = {
    "not ours": lambda m: m.update(format="another tool"),
    "no format": lambda m: m.pop("format"),
    "newer": lambda m: m.update(format_version=FORMAT_VERSION + 1),
    "no version": lambda m: m.pop("format_version"),
    "version in words": lambda m: m.update(format_version="one"),
    "no configuration": lambda m: m.pop("model"),
    "configuration is a list": lambda m: m.update(model=[1, 2]),
    "unknown key": lambda m: m["model"].update(flow=True),
    "unknown posterior": lambda m: m["model"].update(posterior="flow"),
    "width in words": lambda m: m["model"].update(hidden="wide"),
    "no width": lambda m: m["model"].update(hidden=0),
    "other width": lambda m: m["model"].update(hidden=17),
    "other number of steps": lambda m: m["model"].update(steps=3),
    "other posterior": lambda m: m["model"].update(posterior="gaussian"),
    "other prior": lambda m: m["model"].update(prior="normal"),
    "other number of axes": lambda m: m.update(n_axes=6),
    "other number of variants": lambda m: m.update(n_variants=119),
    "no noise": lambda m: m.pop("noise"),
    "noise with an unknown key": lambda m: m["noise"].update(colour="pink"),
    "noise is not a number": lambda m: m["noise"].update(variance=float("nan")),
    "noise in words": lambda m: m["noise"].update(variance="small"),
    "noise scale is zero": lambda m: m.update(noise_scale=0.0),
    "noise scale is infinite": lambda m: m.update(noise_scale=float("inf")),
    "no samples": lambda m: m.update(n_samples=0),
    "infinitely many samples": lambda m: m.update(n_samples=float("inf")),
    "summary is a number": lambda m: m.update(summary=3),
    "no seed": lambda m: m.pop("seed"),
}


@pytest.mark.parametrize("name", MANIFESTS)
def test_manifests_that_do_not_fit_are_refused(folder: Path, name: str) -> None:
    edit(folder / "model.json", MANIFESTS[name])
    with pytest.raises(DataError, match=r"run.*: .*"):
        TrainedModel.load(folder)


@pytest.mark.parametrize(
    "content", [b"", b"{", b"\xff\xfe\x00", b"[]", b"null", b'"genovi model"', pickle.dumps({"a": 1})]
)
def test_a_manifest_that_is_not_json_is_refused(folder: Path, content: bytes) -> None:
    (folder / "model.json").write_bytes(content)
    with pytest.raises(DataError, match=r"model\.json"):
        TrainedModel.load(folder)


@pytest.mark.parametrize("name", sorted(FILES))
def test_missing_files_are_refused(folder: Path, name: str) -> None:
    (folder / name).unlink()
    with pytest.raises(DataError, match="model"):
        TrainedModel.load(folder)


@pytest.mark.parametrize("name", sorted(FILES))
@pytest.mark.parametrize("share", [0.0, 0.2, 0.9])
def test_truncated_files_are_refused(folder: Path, name: str, share: float) -> None:
    content = (folder / name).read_bytes()
    (folder / name).write_bytes(content[: int(share * len(content))])
    with pytest.raises(DataError, match="damaged model"):
        TrainedModel.load(folder)


@pytest.mark.parametrize("name", ["model.safetensors", "variants.tsv.gz"])
def test_overwritten_bytes_are_refused(folder: Path, name: str) -> None:
    content = bytearray((folder / name).read_bytes())
    content[40:200] = b"\xff" * 160
    (folder / name).write_bytes(bytes(content))
    with pytest.raises(DataError, match="damaged model"):
        TrainedModel.load(folder)


Tensors = dict[str, torch.Tensor]


def first_weight(tensors: Tensors) -> str:
    """Some floating-point tensor of the model itself, whatever its name."""
    return next(name for name, t in sorted(tensors.items()) if name.startswith("model.") and t.is_floating_point())


def poison(tensors: Tensors, name: str, value: float) -> None:
    tensors[name] = tensors[name].clone()
    tensors[name].reshape(-1)[0] = value


TENSORS: dict[str, Callable[[Tensors], object]] = {
    "weight is NaN": lambda t: poison(t, first_weight(t), float("nan")),
    "weight is infinite": lambda t: poison(t, first_weight(t), float("inf")),
    "weight is gone": lambda t: t.pop(first_weight(t)),
    "weight of another shape": lambda t: t.update({first_weight(t): torch.zeros(3, 3, 3)}),
    "one weight too many": lambda t: t.update({"model.more": torch.zeros(3)}),
    "loading is NaN": lambda t: poison(t, "axes.loadings", float("nan")),
    "loadings are gone": lambda t: t.pop("axes.loadings"),
    "loadings of too few variants": lambda t: t.update({"axes.loadings": t["axes.loadings"][:-1].clone()}),
    "loadings of one axis": lambda t: t.update({"axes.loadings": t["axes.loadings"][:, 0].clone()}),
    "singular value is NaN": lambda t: poison(t, "axes.singular_values", float("nan")),
    "singular value is negative": lambda t: poison(t, "axes.singular_values", -1.0),
    "singular values as a column": lambda t: t.update(
        {"axes.singular_values": t["axes.singular_values"][:, None].clone()}
    ),
    "one axis less": lambda t: t.update(
        {
            "axes.singular_values": t["axes.singular_values"][1:].clone(),
            "axes.loadings": t["axes.loadings"][:, 1:].clone(),
        }
    ),
}


@pytest.mark.parametrize("name", ["transforms.0.order", "transforms.0.hyper.0.mask"])
@pytest.mark.parametrize("dtype", [torch.int64, torch.float32])
def test_the_order_of_a_flow_is_not_taken_from_a_file(tmp_path: Path, name: str, dtype: torch.dtype) -> None:
    build(ModelConfig(hidden=16, posterior="iaf", components=3)).save(tmp_path)
    tensors = load_file(tmp_path / "model.safetensors")
    tensors[f"model.posterior.flow.{name}"] = torch.full((64, 66) if "mask" in name else (2,), 9, dtype=dtype)
    save_file(tensors, tmp_path / "model.safetensors")
    with pytest.raises(DataError, match="damaged model"):
        TrainedModel.load(tmp_path)


@pytest.mark.parametrize("name", TENSORS)
def test_tensors_that_do_not_fit_are_refused(folder: Path, name: str) -> None:
    tensors = load_file(folder / "model.safetensors")
    TENSORS[name](tensors)
    save_file(tensors, folder / "model.safetensors")
    with pytest.raises(DataError, match="damaged model"):
        TrainedModel.load(folder)


VARIANTS: dict[str, Callable[[list[list[str]]], object]] = {
    "one line less": lambda rows: rows.pop(),
    "one line twice": lambda rows: rows.append(rows[-1]),
    "no frequency": lambda rows: [row.pop() for row in rows],
    "frequency is NaN": lambda rows: rows[5].__setitem__(5, "nan"),
    "frequency in words": lambda rows: rows[5].__setitem__(5, "rare"),
    "frequency of 1": lambda rows: rows[5].__setitem__(5, "1.0"),
    "frequency of 0": lambda rows: rows[5].__setitem__(5, "0"),
    "position in words": lambda rows: rows[5].__setitem__(1, "here"),
    "no alleles": lambda rows: [row.__delitem__(slice(3, 5)) for row in rows],
}


@pytest.mark.parametrize("name", VARIANTS)
def test_variants_that_do_not_fit_are_refused(folder: Path, name: str) -> None:
    path = folder / "variants.tsv.gz"
    rows = [line.split("\t") for line in gzip.decompress(path.read_bytes()).decode().splitlines()]
    VARIANTS[name](rows)
    path.write_bytes(gzip.compress("".join("\t".join(row) + "\n" for row in rows).encode()))
    with pytest.raises(DataError, match="damaged model"):
        TrainedModel.load(folder)


class _Trap:
    """Creates a file when it is unpickled."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def __reduce__(self) -> tuple[Callable[[Path], None], tuple[Path]]:
        return Path.touch, (self.path,)


@pytest.mark.parametrize("name", sorted(FILES))
@pytest.mark.parametrize("by", ["pickle", "torch"])
def test_a_pickle_in_place_of_a_file_is_refused_and_not_executed(folder: Path, name: str, by: str) -> None:
    sprung = folder.parent / "sprung"
    if by == "pickle":
        (folder / name).write_bytes(pickle.dumps(_Trap(sprung)))
    else:
        torch.save(_Trap(sprung), folder / name)
    with pytest.raises(DataError, match="model"):
        TrainedModel.load(folder)
    assert not sprung.exists()
    pickle.loads(pickle.dumps(_Trap(sprung)))  # the trap does work
    assert sprung.exists()


def test_what_is_no_folder_of_a_model_is_refused(saved: Path, tmp_path: Path) -> None:
    for path in (tmp_path / "absent", tmp_path, saved / "model.json", saved / "model.safetensors"):
        with pytest.raises(DataError, match="not a genovi model"):
            TrainedModel.load(path)
