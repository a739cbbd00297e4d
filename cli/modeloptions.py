"""Options of the model and of its training, declared once; defaults as in ``options``."""

from __future__ import annotations

from typing import Annotated

import typer

from genovi.model.config import LIKELIHOODS, POSTERIORS, PRIORS
from genovi.training.config import DEVICES, OBJECTIVES

MODEL = "Model"
TRAINING = "Training"

Device = Annotated[
    str, typer.Option("--device", metavar="|".join(DEVICES), rich_help_panel=TRAINING, help="Where to compute.")
]
Threads = Annotated[
    int | None,
    typer.Option(
        "--threads",
        metavar="N",
        show_default=False,
        rich_help_panel=TRAINING,
        help="CPU threads of the model. [default: 1]",
    ),
]
AllThreads = Annotated[
    int | None,
    typer.Option(
        "--threads",
        metavar="N",
        show_default=False,
        rich_help_panel=TRAINING,
        help="CPU threads of the model. [default: all]",
    ),
]

Resume = Annotated[
    str,
    typer.Option(
        "--resume",
        metavar="auto|never|PATH",
        rich_help_panel=TRAINING,
        help="Go on from the checkpoint of a stopped run: RUN.checkpoint if it is there, none, or that of PATH.",
    ),
]
CheckpointEvery = Annotated[
    float,
    typer.Option(
        "--checkpoint-every",
        metavar="MINUTES",
        rich_help_panel=TRAINING,
        help="How often the state of training is written to RUN.checkpoint; 0 means after every epoch.",
    ),
]

LatentDim = Annotated[int, typer.Option("--latent-dim", rich_help_panel=MODEL, help="Axes of the embedding.")]
Posterior = Annotated[
    str,
    typer.Option(
        "--posterior",
        metavar="|".join(POSTERIORS),
        rich_help_panel=MODEL,
        help="Diffusion chain, plain Gaussian, inverse autoregressive flow (one or two levels), adversarial encoder, "
        "or the chain without x or without the sleep term.",
    ),
]
Prior = Annotated[
    str,
    typer.Option(
        "--prior",
        metavar="|".join(PRIORS),
        rich_help_panel=MODEL,
        help="Learned Gaussian mixture, standard normal, mixture with free weights and covariances, VampPrior, "
        "normalising flow, or noise about a fixed curve.",
    ),
]
Likelihood = Annotated[
    str,
    typer.Option(
        "--likelihood",
        metavar="|".join(LIKELIHOODS),
        rich_help_panel=MODEL,
        help="Of principal components, or of genotypes: the model then knows allele frequencies, and genovi simulate "
        "draws from it.",
    ),
]
Steps = Annotated[
    int,
    typer.Option("--steps", rich_help_panel=MODEL, help="Reverse diffusion steps (posteriors ddvi...)."),
]
Pcs = Annotated[
    str,
    typer.Option(
        "--pcs",
        metavar="auto|N",
        rich_help_panel=MODEL,
        help="Principal components that the model sees; auto takes those above the noise.",
    ),
]
SemiSupervised = Annotated[
    str | None,
    typer.Option(
        "--semi-supervised",
        metavar="COLUMN",
        show_default=False,
        rich_help_panel=TRAINING,
        help="Let training learn this column of --labels, where samples have a value. [default: labels are not seen]",
    ),
]
Objective = Annotated[
    str,
    typer.Option(
        "--objective",
        metavar="|".join(OBJECTIVES),
        rich_help_panel=TRAINING,
        help="Evidence lower bound, or the importance-weighted bound of --draws paths.",
    ),
]
Draws = Annotated[
    int,
    typer.Option("--draws", metavar="K", rich_help_panel=TRAINING, help="Paths of the importance-weighted bound."),
]
Epochs = Annotated[
    int,
    typer.Option(
        "--epochs",
        rich_help_panel=TRAINING,
        help="Most passes over the samples; 0 takes as many as 5,500 optimiser steps need "
        "(1,375 with --likelihood binomial); under 200 samples, of whom nobody is held out, 2,750 at most.",
    ),
]
BatchSize = Annotated[int, typer.Option("--batch-size", rich_help_panel=TRAINING, help="Samples in a step.")]
BatchVariants = Annotated[
    int | None,
    typer.Option(
        "--batch-variants",
        metavar="N",
        show_default=False,
        rich_help_panel=TRAINING,
        help="Variants in a step, with --likelihood binomial; 0 takes all. [default: 1024, all with --objective iwae]",
    ),
]
LearningRate = Annotated[float, typer.Option("--lr", rich_help_panel=TRAINING, help="Peak learning rate.")]
