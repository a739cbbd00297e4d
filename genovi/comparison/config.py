"""BenchmarkConfig: what a benchmark compares, and how."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from typing import Any

from genovi.comparison.cells import INDUCTIVE, TRANSDUCTIVE, Cell
from genovi.comparison.methods import METHODS, Method
from genovi.errors import ConfigError
from genovi.genotypes.quality import QCConfig
from genovi.model.config import ModelConfig
from genovi.training.config import TrainingConfig

FOLDS = 5
_TSNE_MOST = 3
_METHOD_DECIDES = ("posterior", "objective")
_COSTS_ONLY = ("threads",)


@dataclass(frozen=True)
class BenchmarkConfig:
    """Everything that decides the numbers of a benchmark, with the data.

    Attributes:
        methods: What is compared.
        seeds: Seeds 1 .. n of the transductive protocol.
        splits: Splits 1 .. n of the inductive protocol, at most ``FOLDS``; 0 leaves it out.
        mask: Share of genotypes set missing at random after quality control, in [0, 1).
        qc: Quality control.
        model: Shape of the model; the posterior is that of each method.
        training: Optimisation; the objective is that of each method.
        pcs: Principal components; None chooses by the noise floor.
        population: Label column of populations; None guesses it.
        group: Label column of what they belong to; None guesses it.

    Raises:
        ConfigError: a value makes no sense.
    """

    methods: tuple[Method, ...] = tuple(METHODS.values())
    seeds: int = 3
    splits: int = FOLDS
    mask: float = 0.0
    qc: QCConfig = field(default_factory=QCConfig)
    model: ModelConfig = field(default_factory=ModelConfig)
    training: TrainingConfig = field(default_factory=TrainingConfig)
    pcs: int | None = None
    population: str | None = None
    group: str | None = None

    def __post_init__(self) -> None:
        if not self.seeds >= 1:
            raise ConfigError("--seeds must be at least 1", where=self.seeds)
        if not 0 <= self.splits <= FOLDS:
            raise ConfigError(f"--splits must lie between 0 and {FOLDS}", where=self.splits)
        if not 0 <= self.mask < 1:
            raise ConfigError("--mask must lie in [0, 1)", where=self.mask, fix="type a share, such as 0.5")
        if self.qc.king_cutoff is not None:
            raise ConfigError("a benchmark takes all samples", where="--king-cutoff", fix="leave it out")
        if METHODS["tsne"] in self.methods and self.model.latent_dim > _TSNE_MOST:
            raise ConfigError(
                f"t-SNE has at most {_TSNE_MOST} dimensions", where=f"--latent-dim {self.model.latent_dim}",
                fix="leave tsne out of --methods",
            )  # fmt: skip

    def cells(self) -> list[Cell]:
        """All fits, those of the first seed first, so that one that is stopped has something of every method."""
        cells = []
        for number in range(1, max(self.seeds, self.splits) + 1):
            for method in self.methods:
                if number <= (self.seeds if method.seeded else 1):
                    cells.append(Cell(method.name, TRANSDUCTIVE, number))
            for method in self.methods:
                if number <= self.splits and method.places_new:
                    cells.append(Cell(method.name, INDUCTIVE, number))
        return cells

    def identity(self, inputs: Mapping[str, str], labels: Sequence[str], device: str) -> dict[str, Any]:
        """What finished fits must have in common with those to come, JSON-ready.

        Methods, seeds and splits are not among it: there may be more of them later.

        Args:
            inputs: Digests of the genotype files by name.
            labels: Digests of the columns of labels.
            device: Where fits are computed.
        """
        model = {name: value for name, value in asdict(self.model).items() if name not in _METHOD_DECIDES}
        training = {
            name: value for name, value in asdict(self.training).items() if name not in (*_METHOD_DECIDES, *_COSTS_ONLY)
        }
        return {
            "inputs": dict(inputs),
            "labels": list(labels),
            "mask": self.mask,
            "pcs": self.pcs,
            "qc": self.qc.thresholds(),
            "model": model,
            "training": training | {"device": device},
        }
