"""Monitor: what the training loop tells whoever watches it. The library prints nothing itself."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import astuple, dataclass, fields


@dataclass(frozen=True)
class EpochRecord:
    """One line of ``history.csv``. All terms in nats per sample.

    Attributes:
        epoch: From 1.
        bound: Training bound E_q[w] (evidence lower bound, beta = 1); NaN where the posterior has no density.
        reconstruction: E_q[log p(x|z)].
        prior: E_q[log p(z)].
        chain: E_q[sum_t log r(y_t|y_t-1) - log q(y_t-1|y_t,x)], 0 for a Gaussian posterior.
        entropy: E_q[-log q(y_T|x)]; NaN where the posterior has no density.
        sleep: Sleep term, not weighted; 0 where there is none.
        held_out: Bound E_q[w] of held-out samples, NaN in epochs where it is not computed or where there is none.
        held_out_iwae: Their importance-weighted bound, which early stopping goes by; NaN as above.
        beta: Weight of the terms other than the reconstruction in this epoch's objective.
        lr: Learning rate at the epoch's end.
        gradient_norm: Mean norm of the gradient before clipping.
        seconds: Since training began.
    """

    epoch: int
    bound: float
    reconstruction: float
    prior: float
    chain: float
    entropy: float
    sleep: float
    held_out: float
    held_out_iwae: float
    beta: float
    lr: float
    gradient_norm: float
    seconds: float

    @staticmethod
    def columns() -> list[str]:
        """Column names of ``history.csv``."""
        return [f.name for f in fields(EpochRecord)]


class Monitor:
    """Receives training progress; this base class ignores it."""

    @property
    def stop_requested(self) -> bool:
        """Whether training shall save a checkpoint and stop; asked after every step."""
        return False

    def begin(self, epochs: int, done: int = 0) -> None:
        """Training starts, or goes on after ``done`` epochs, and will take at most ``epochs`` epochs in all."""

    def epoch(self, record: EpochRecord) -> None:
        """One epoch is over."""

    def settle(self, steps: int) -> None:
        """The best weights are chosen; the posterior alone takes ``steps`` steps more (genovi.training.settling)."""

    def end(self, reason: str) -> None:
        """Training is over, and why: "finished", "early stop", "diverged"."""


def history_csv(history: Sequence[EpochRecord]) -> str:
    """The text of ``history.csv``: a header and one line for each epoch."""
    lines = [",".join(EpochRecord.columns())]
    lines += [",".join(f"{value:.6g}" for value in astuple(record)) for record in history]
    return "\n".join(lines) + "\n"
