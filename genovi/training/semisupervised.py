"""The objective with labels of some samples: what is minimised without them, and the class of those that have one.

    loss = unsupervised loss - WEIGHT (n_l / n) E log p(c_i | z) - log p(table) / n,

z ~ q(z | x_i), i: one of n_l labelled samples of n, drawn for this step. With a weight of 1 this is the bound of
log p(x, c) = log p(x) + log p(c | x) of all samples, and a symmetric Dirichlet prior on each row of the table p(c | k).
Kingma, Rezende, Mohamed, Welling (NeurIPS 2014) let labels count for more than one each; here that bends the encoder
until it puts labelled samples where their class is, and nobody else (see benchmarks/README.md).
"""

from __future__ import annotations

import hashlib
import logging
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from genovi.errors import ConfigError, DataError
from genovi.labels import SampleLabels, match
from genovi.model.config import ModelConfig
from genovi.model.densities import Noise
from genovi.model.rows import Data
from genovi.model.vae import BoundTerms, LatentModel
from genovi.ranks import ALONE, Ranks
from genovi.training.objectives import Objective
from genovi.training.sharing import own_part

logger = logging.getLogger("genovi")

WEIGHT = 1.0
PSEUDO = 0.1  # of the Dirichlet prior: labelled samples that each component starts with, of all classes alike
_BATCH = 256


@dataclass(frozen=True)
class KnownClasses:
    """Labels of some of the samples.

    Attributes:
        column: Label column.
        names: Classes, sorted.
        member: Class of each sample as a place in ``names``, -1 where it is not known, shape (n_samples,), int64.
    """

    column: str
    names: tuple[str, ...]
    member: np.ndarray

    @staticmethod
    def of(column: str | None, labels: SampleLabels | None, samples: Sequence[str]) -> KnownClasses | None:
        """The labels of training samples in ``column``; None where training is to see none.

        Raises:
            DataError: they have fewer than two classes.
        """
        if column is None or labels is None:
            return None
        values = match(labels, samples).column(column)
        names = tuple(sorted({value for value in values if value}))
        if len(names) < 2:
            raise DataError(
                f"only {len(names)} class{'' if len(names) == 1 else 'es'} to learn",
                where=f"{labels.source}, column {column!r}",
                why="training samples need labels of two classes or more",
                fix="add labels, or leave out --semi-supervised",
            )
        place = {name: i for i, name in enumerate(names)}
        member = np.array([place.get(value, -1) for value in values], dtype=np.int64)
        logger.info("training learns %d classes of %s from %d samples", len(names), column, (member >= 0).sum())
        return KnownClasses(column, names, member)

    @property
    def identity(self) -> list[str]:
        """What two runs with the same labels have in common, JSON-ready."""
        return [self.column, *self.names, hashlib.sha256(self.member.tobytes()).hexdigest()]

    def to_dict(self) -> dict[str, object]:
        """For the manifest; names no sample."""
        return {"column": self.column, "classes": list(self.names), "labelled": int((self.member >= 0).sum())}


def check_labels(column: str | None, labels: SampleLabels | None, model: ModelConfig) -> None:
    """Refuse what cannot learn labels.

    Raises:
        ConfigError: no labels, no such column, or a prior whose components cannot be given to classes.
    """
    if column is None:
        return
    if labels is None:
        raise ConfigError("--semi-supervised needs labels", where=column, fix="add --labels PANEL")
    labels.column(column)
    if model.prior != "mixture":
        why = "classes are shares of the components of the default mixture"
        raise ConfigError("--semi-supervised", where=f"--prior {model.prior}", why=why, fix="leave --prior out")


class SemiSupervised(Objective):
    """An objective and the classes of labelled samples.

    Args:
        base: The objective without labels.
        x: Noise-scaled components of all samples, shape (n, k).
        known: Their labels.
        ranks: Who share a step.
    """

    def __init__(self, base: Objective, x: np.ndarray, known: KnownClasses, ranks: Ranks = ALONE) -> None:
        labelled = np.flatnonzero(known.member >= 0)
        self.base = base
        self.ranks = ranks
        self.n = len(x)
        self.x = torch.as_tensor(np.asarray(x[labelled], dtype=np.float32))
        self.member = torch.as_tensor(known.member[labelled])

    def loss(self, model: LatentModel, x: Data, noise: Noise, beta: float) -> tuple[Tensor, BoundTerms]:
        loss, terms = self.base.loss(model, x, noise, beta)
        assert model.classes is not None
        if self.x.device != x.device:
            self.x, self.member = self.x.to(x.device), self.member.to(x.device)
        # from the stream of the noise, whose state checkpoints keep
        size = min(_BATCH, len(self.x))
        drawn = torch.randint(len(self.x), (size,), generator=noise.generator, device=x.device)
        mine, share, own_noise = own_part(self.ranks, size, Noise(noise.generator))
        rows = drawn[mine]
        z = model.posterior.draw(model.whiten(self.x[rows]), own_noise).z
        right = WEIGHT * len(self.x) * model.class_log_probabilities(z).gather(-1, self.member[rows][:, None]).mean()
        table = PSEUDO * model.classes.log_table().mean(-1).sum()
        # the loss counts as that of this rank's part of the batch, which may be another one
        return loss - (share * right / noise.share + table) / self.n, terms
