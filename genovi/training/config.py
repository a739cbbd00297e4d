"""TrainingConfig: how the model is trained. Defaults are one set for all data (see benchmarks/README.md)."""

from __future__ import annotations

import math
from dataclasses import dataclass

from genovi.errors import ConfigError
from genovi.model.config import ModelConfig

DEVICES = ("auto", "cpu", "cuda", "mps")
OBJECTIVES = ("elbo", "iwae")
BATCH_VARIANTS = 1024
STEPS = 5500
MIN_HELD_OUT = 20
MOST_THREADS = 512  # starting thousands of them ends the process without a word


@dataclass(frozen=True)
class TrainingConfig:
    """Optimisation settings.

    Attributes:
        epochs: Most passes over the training samples; 0 takes as many as ``steps`` need.
        steps: Optimiser steps when ``epochs`` is 0. None takes 5,500, whatever the size of the cohort.
            Half of them where a cohort is too small for anyone to be held out, so that no bound can end training in
            time (see benchmarks/README.md); a quarter with the binomial likelihood, which starts from a least-squares
            fit and soon learns more than holds.
        batch_size: Samples in a step.
        lr: Peak learning rate of Adam, decayed by a cosine.
        objective: "elbo", or "iwae" for the importance-weighted bound; a posterior without a density has its own.
        draws: Paths K of the importance-weighted bound; used by "iwae" only.
        batch_variants: Variants in a step of the binomial likelihood, drawn anew for each step; 0 takes all. None
            takes 1,024, or all for the importance-weighted bound.
        sleep_weight: Weight lambda of the sleep term; 0 switches it off.
        settling: Steps that q takes alone, after the best weights are chosen, as a share of those planned; 0 for none
            (see genovi.training.settling).
        holdout: Share of samples held out for the early-stopping bound.
        patience: Epochs without a better held-out bound before training stops.
        device: "auto", "cpu", "cuda" or "mps".
        threads: CPU threads of the model; its layers are so small that more than one rarely pay. None: torch decides.
    """

    epochs: int = 0
    steps: int | None = None
    batch_size: int = 256
    lr: float = 5e-3
    objective: str = "elbo"
    draws: int = 8
    batch_variants: int | None = None
    sleep_weight: float = 0.1
    settling: float = 0.2
    holdout: float = 0.05
    patience: int = 200
    device: str = "auto"
    threads: int | None = 1

    def __post_init__(self) -> None:
        if self.device not in DEVICES:
            raise ConfigError("unknown --device", where=self.device, fix=f"choose one of {', '.join(DEVICES)}")
        if self.objective not in OBJECTIVES:
            raise ConfigError("unknown --objective", where=self.objective, fix=f"choose one of {', '.join(OBJECTIVES)}")
        if self.draws < 1:
            raise ConfigError("--draws must be at least 1", where=self.draws)
        if self.batch_variants is not None and self.batch_variants < 0:
            raise ConfigError("--batch-variants must not be negative", where=self.batch_variants)
        if self.epochs < 0:
            raise ConfigError("--epochs must not be negative", where=self.epochs)
        for option, value in (("steps", self.steps), ("--batch-size", self.batch_size), ("--lr", self.lr)):
            if value is not None and not value > 0:
                raise ConfigError(f"{option} must be positive", where=value)
        if not 0 <= self.settling <= 1:
            raise ConfigError("settling must lie in [0, 1]", where=self.settling)
        if not 0 <= self.holdout < 1:
            raise ConfigError("holdout must lie in [0, 1)", where=self.holdout)
        if self.threads is not None and not 1 <= self.threads <= MOST_THREADS:
            raise ConfigError(f"--threads must be from 1 to {MOST_THREADS}", where=self.threads)

    def steps_for(self, model: ModelConfig, n_samples: int) -> int:
        """Optimiser steps that ``model`` takes with a cohort when ``epochs`` is 0."""
        if self.steps is not None:
            return self.steps
        if model.likelihood == "binomial":
            return STEPS // 4
        return STEPS if held_out_of(n_samples, self.holdout) else STEPS // 2

    def epochs_for(self, model: ModelConfig, n_samples: int) -> int:
        """Most passes over those of ``n_samples`` that are not held out."""
        training = n_samples - held_out_of(n_samples, self.holdout)
        per_epoch = max(1, training // max(1, min(self.batch_size, training)))
        return self.epochs or math.ceil(self.steps_for(model, n_samples) / per_epoch)

    def variants_for(self, model: ModelConfig) -> int:
        """Variants in a step; 0 for all."""
        if model.likelihood == "gaussian":
            return 0
        if self.batch_variants is None:
            return BATCH_VARIANTS if self.objective == "elbo" else 0
        return self.batch_variants

    def check_objective(self, model: ModelConfig) -> None:
        """Whether the objective suits the posterior and the likelihood.

        Raises:
            ConfigError: it needs a density that the posterior does not have, or subsets of variants that there are not.
        """
        if self.objective == "iwae" and not model.has_density:
            raise ConfigError(
                "the importance-weighted bound needs the density of the posterior",
                where="--objective iwae",
                why=f"--posterior {model.posterior} has none",
                fix="leave out --objective",
            )
        if self.batch_variants is None:
            return
        if model.likelihood != "binomial":
            raise ConfigError(
                "only a model of genotypes looks at variants in a step",
                where=f"--batch-variants {self.batch_variants}",
                fix="add --likelihood binomial, or leave out --batch-variants",
            )
        if self.objective == "iwae" and self.batch_variants:
            raise ConfigError(
                "the importance-weighted bound takes all variants",
                where=f"--batch-variants {self.batch_variants}",
                why="that of a subset is no bound",
                fix="leave out --batch-variants, or --objective iwae",
            )


def held_out_of(n: int, holdout: float) -> int:
    """How many of ``n`` samples are held out.

    At least ``MIN_HELD_OUT``, because a bound of fewer is too noisy to stop by; cohorts of which that would be more
    than a tenth keep everybody in training, unless ``holdout`` asks for that many.
    """
    count = round(holdout * n)
    if count >= MIN_HELD_OUT:
        return count
    return MIN_HELD_OUT if holdout > 0 and n >= 10 * MIN_HELD_OUT else 0
