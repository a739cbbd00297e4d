"""Labels of some samples in training: they help the others, and nothing else changes."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch
from helpers import simulate_structure, write_vcf
from safetensors.torch import load_file, save_file
from typer.testing import CliRunner, Result

from genovi.model.classes import ClassTable
from genovi.model.config import ModelConfig
from genovi.model.densities import Noise
from genovi.model.mixtures import GaussianMixture
from genovi.model.vae import LatentModel
from genovi.trained import TrainedModel
from genovi.training.config import TrainingConfig
from genovi.training.objectives import Elbo
from genovi.training.semisupervised import PSEUDO, KnownClasses, SemiSupervised
from genovi_cli.app import app

FAST = ("--batch-size", "20", "--steps", "1", "--device", "cpu", "--threads", "1", "--seed", "1")


def typed(*words: object) -> Result:
    return CliRunner().invoke(app, [str(word) for word in words], prog_name="genovi")


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run with 4 labels for each of 3 populations, and new people."""
    folder = tmp_path_factory.mktemp("some labels")
    matrix, pops = simulate_structure(5, 3, 50, 400, 0.06)
    old = np.arange(150) % 50 < 40
    write_vcf(folder / "old.vcf.gz", matrix.take_samples(np.flatnonzero(old)), "bgzf")
    write_vcf(folder / "new.vcf", matrix.take_samples(np.flatnonzero(~old)))
    few = [pop if i % 50 < 4 else "" for i, pop in enumerate(pops)]
    for name, values in (("all.tsv", pops), ("few.tsv", few), ("one.tsv", ["a"] * 150)):
        rows = [f"{s}\t{p}" for s, p in zip(matrix.samples, values, strict=True)]
        (folder / name).write_text("\n".join(["sample\tpop", *rows]) + "\n")
    result = typed(*command(folder, "run"), "--epochs", 100)
    assert result.exit_code == 0, result.output
    assert "training learns 3 classes of pop from 12 samples" in result.stderr
    assert "labels for 12 of 120 samples" in result.stderr  # those with a row, but no value, are not counted
    return folder


def command(folder: Path, out: str) -> list[object]:
    labels = ["--labels", folder / "few.tsv", "--semi-supervised", "pop"]
    return ["train", folder / "old.vcf.gz", "--out", folder / out, *labels, *FAST]


def accuracy(made: Path, path: Path) -> float:
    table = pd.read_csv(path, sep="\t", dtype=str)
    truth = pd.read_csv(made / "all.tsv", sep="\t", dtype=str).set_index("sample")["pop"]
    assert (table["CLASS_PROB"].astype(float) > 1 / 3 - 1e-6).all()
    return float((table["CLASS"].to_numpy() == truth.loc[table["IID"]].to_numpy()).mean())


def test_few_labels_name_the_others(made: Path, tmp_path: Path) -> None:
    assert accuracy(made, made / "run" / "labels.tsv") > 0.9
    assert typed("export", made / "run", "--out", tmp_path / "m.genovi").exit_code == 0
    for place in (made / "run", tmp_path / "m.genovi"):  # all that is needed is in the model
        result = typed("embed", place, made / "new.vcf", "--out", tmp_path / "new", "--device", "cpu", "--force")
        assert result.exit_code == 0, result.output
        assert accuracy(made, tmp_path / "new.labels.tsv") > 0.85


def test_all_outputs_are_looked_for_before_anything_is_read(made: Path, tmp_path: Path) -> None:
    (tmp_path / "new.labels.tsv").write_text("mine")
    result = typed("embed", made / "run", tmp_path / "absent.vcf", "--out", tmp_path / "new", "--device", "cpu")
    assert result.exit_code == 2, result.output
    assert "new.labels.tsv" in result.stderr
    assert [path.name for path in tmp_path.iterdir()] == ["new.labels.tsv"]


def test_the_manifest_says_so_and_names_nobody(made: Path) -> None:
    record = json.loads((made / "run" / "model.json").read_text())
    expected = {"column": "pop", "classes": ["pop1", "pop2", "pop3"], "labelled": 12}
    assert record["summary"]["semi_supervised"] == expected
    assert '"s1"' not in (made / "run" / "model.json").read_text()
    assert record["model"]["classes"] == 3


def test_models_of_format_version_2_keep_their_map_alone(made: Path, tmp_path: Path) -> None:
    # they gave each component to one class; there is no table in them
    shutil.copytree(made / "run", tmp_path / "old")
    record = json.loads((tmp_path / "old" / "model.json").read_text())
    del record["model"]["classes"]
    (tmp_path / "old" / "model.json").write_text(json.dumps(record | {"format_version": 2}))
    tensors = load_file(tmp_path / "old" / "model.safetensors")
    del tensors["model.classes.logits"]
    save_file(tensors, tmp_path / "old" / "model.safetensors")
    assert TrainedModel.load(made / "run").classes == ("pop1", "pop2", "pop3")
    assert TrainedModel.load(tmp_path / "old").classes == ()
    for run, out in ((made / "run", "new"), (tmp_path / "old", "same")):
        words = ["embed", run, made / "new.vcf", "--out", tmp_path / out, "--device", "cpu"]
        assert typed(*words).exit_code == 0
    assert (tmp_path / "same.embedding.tsv").read_bytes() == (tmp_path / "new.embedding.tsv").read_bytes()
    assert not (tmp_path / "same.labels.tsv").exists()


def test_other_labels_are_another_run(made: Path) -> None:
    # a checkpoint of these labels is refused by a run of others; without the option labels make no difference
    from genovi.errors import ConfigError
    from genovi.genotypes.quality import QCConfig
    from genovi.labels import read_labels
    from genovi.pipeline import CheckpointConfig, RunConfig, _checkpoints
    from genovi.training.checkpointing import Snapshot

    config = RunConfig(QCConfig(), ModelConfig(), TrainingConfig(device="cpu"), None, 1, semi_supervised="pop")
    kept = CheckpointConfig(folder=made / "c")
    samples = [f"s{i + 1}" for i in range(150)]
    some, others = (KnownClasses.of("pop", read_labels(made / name), samples) for name in ("few.tsv", "all.tsv"))
    assert some is not None and others is not None
    _checkpoints(made / "run", config, kept, some).save(Snapshot({}, {}))
    assert _checkpoints(made / "run", config, kept, some).load() is not None
    for known in (others, None):
        with pytest.raises(ConfigError, match="belongs to another run"):
            _checkpoints(made / "run", config, kept, known).load()


def test_a_stopped_run_ends_as_one_that_was_not(made: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from genovi.training.loop import _Trainer

    whole = typed(*command(made, "whole"), "--epochs", 4)
    assert whole.exit_code == 0, whole.output
    step = _Trainer._take_step

    def stopping(self: _Trainer, x: torch.Tensor) -> None:
        step(self, x)
        if self.step == 8:  # in the second epoch: the first has left a checkpoint
            raise KeyboardInterrupt

    monkeypatch.setattr(_Trainer, "_take_step", stopping)
    assert typed(*command(made, "parts"), "--epochs", 4, "--checkpoint-every", 0).exit_code != 0
    monkeypatch.setattr(_Trainer, "_take_step", step)
    assert (made / "parts.checkpoint").is_dir()
    assert typed(*command(made, "parts"), "--epochs", 4).exit_code == 0
    files = ("model.safetensors", "labels.tsv", "embedding.tsv")
    assert all((made / "whole" / f).read_bytes() == (made / "parts" / f).read_bytes() for f in files)


@pytest.mark.parametrize(
    ("words", "code", "said"),
    [
        (["--semi-supervised", "pop"], 2, "needs labels"),
        (["--semi-supervised", "nope", "--labels", "few.tsv"], 2, "no label column 'nope'"),
        (["--semi-supervised", "pop", "--labels", "one.tsv"], 3, "only 1 class to learn"),
        (["--semi-supervised", "pop", "--labels", "few.tsv", "--prior", "normal"], 2, "leave --prior out"),
    ],
)
def test_bad_input(made: Path, monkeypatch: pytest.MonkeyPatch, words: list[str], code: int, said: str) -> None:
    monkeypatch.chdir(made)
    result = typed("train", "old.vcf.gz", "--out", "bad", *FAST, *words)
    assert result.exit_code == code, result.output
    assert said in result.stderr
    assert not (made / "bad").exists()


def test_the_table_is_summed_over_components() -> None:
    prior, table = GaussianMixture(2, 7, torch.Generator().manual_seed(0)), ClassTable(7, 3)
    generator = torch.Generator().manual_seed(1)
    z, shares = torch.randn(5, 4, 2, generator=generator), torch.rand(7, 3, generator=generator)
    shares = shares / shares.sum(-1, keepdim=True)
    even = table.log_probabilities(prior.component_log_density(z)).exp()
    torch.testing.assert_close(even, torch.full((5, 4, 3), 1 / 3))  # before a label is seen
    table.logits.data = shares.log()
    responsibility = torch.softmax(prior.component_log_density(z), dim=-1)
    found = table.log_probabilities(prior.component_log_density(z)).exp()
    torch.testing.assert_close(found, responsibility @ shares)


def test_a_label_counts_as_one_observation() -> None:
    x = np.random.default_rng(0).normal(size=(40, 3))
    known = KnownClasses("pop", ("a", "b"), np.where(np.arange(40) < 6, np.arange(40) % 2, -1))
    config = ModelConfig(hidden=8, components=5, classes=2)
    model = LatentModel(config, torch.ones(3), torch.Generator().manual_seed(0))
    assert model.classes is not None
    model.classes.logits.data = torch.randn(5, 2, generator=torch.Generator().manual_seed(1))
    base, seen = Elbo(), torch.as_tensor(x[:20], dtype=torch.float32)

    noise = Noise(torch.Generator().manual_seed(2))
    found, _ = SemiSupervised(base, x, known).loss(model, seen, noise, 1.0)

    noise = Noise(torch.Generator().manual_seed(2))  # the same draws, taken by hand
    plain, _ = base.loss(model, seen, noise, 1.0)
    rows = torch.randint(6, (6,), generator=noise.generator)
    z = model.posterior.draw(torch.as_tensor(x, dtype=torch.float32)[rows], noise).z
    right = model.class_log_probabilities(z)[torch.arange(6), rows % 2]
    prior = PSEUDO / 2 * model.classes.log_table().sum()
    torch.testing.assert_close(found, plain - (6 * right.mean() + prior) / 40)
