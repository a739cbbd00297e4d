"""How well a model describes samples: lower bounds of log p(x), and the true value where it can be computed.

    elbo = E_q[w]  <=  iwae = E[log (1/K) sum_k exp w_k]  <=  log p(x)
    gap  = log p(x) - elbo = KL(q(z|x) || p(z|x)) + E_q KL(q(y|x,z) || r(y|z,x))

Both parts of the gap are reported: what the posterior of z costs, and what its auxiliary variables y cost beyond that
(nothing where there are none). log p(x) is that of quadrature over z, for one or two latent dimensions.
"""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import asdict, dataclass, fields

import torch
from torch import Tensor

from genovi.model.densities import Noise
from genovi.model.quadrature import exact
from genovi.model.rows import Data
from genovi.model.vae import LatentModel

PATHS = {"ddvi": 512, "ddvi-nosleep": 512, "ddvi-simple": 512, "hiaf": 64}  # for q(z|x) of posteriors with auxiliaries
_ROWS = 512


@dataclass(frozen=True)
class SampleBounds:
    """One value for each sample, shape (n,), float64; None where there is no such thing.

    Attributes:
        elbo: Evidence lower bound E_q[w], mean of ``draws`` paths; None without a density.
        iwae: Importance-weighted bound of those; None without a density.
        effective_size: Their effective sample size, in [1, ``draws``]; None without a density.
        log_evidence: log p(x); None for more than two latent dimensions.
        kl: KL(q(z|x) || p(z|x)); None where one of density and evidence is missing. With auxiliary variables an
            estimate that is slightly too low (see ``Posterior.log_marginal``).
        resolved: Whether the quadrature met its own checks; None without one.
        draws: K.
    """

    elbo: Tensor | None
    iwae: Tensor | None
    effective_size: Tensor | None
    log_evidence: Tensor | None
    kl: Tensor | None
    resolved: Tensor | None
    draws: int

    @property
    def gap(self) -> Tensor | None:
        """log p(x) - elbo."""
        return None if self.log_evidence is None or self.elbo is None else self.log_evidence - self.elbo

    @property
    def auxiliary(self) -> Tensor | None:
        """The part of the gap that is not ``kl``: what the auxiliary variables cost."""
        return None if self.gap is None or self.kl is None else self.gap - self.kl


def measure(model: LatentModel, x: Data, draws: int, seed: int, excess: Tensor | None = None) -> SampleBounds:
    """Bounds of each sample.

    Args:
        model: Trained.
        x: Noise-scaled components, shape (n, k), float32, with genotypes where the likelihood is one of genotypes.
        draws: K.
        seed: Of the draws.
        excess: Covariance that missing genotypes add, shape (n, k, k); None where none is missing.
    """
    size = max(1, min(_ROWS, len(x)))
    parts = []
    for start in range(0, len(x), size):
        rows = slice(start, start + size)
        parts.append(_measure(model, x[rows], draws, seed + 2 * start, None if excess is None else excess[rows]))
    return joined(parts)


def measure_parts(
    model: LatentModel, parts: Iterable[tuple[Data, Tensor | None]], draws: int, seed: int
) -> SampleBounds:
    """Bounds of samples that come in parts, ``x`` and ``excess`` of each as in ``measure``, in their order."""
    found, done = [], 0
    for x, excess in parts:
        found.append(measure(model, x, draws, seed + 2 * done, excess))  # no part has the noise of another
        done += len(x)
    return joined(found)


def joined(parts: list[SampleBounds]) -> SampleBounds:
    """One table of several, in their order."""

    def column(name: str) -> Tensor | None:
        values = [getattr(part, name) for part in parts]
        return None if values[0] is None else torch.cat(values)

    names = [f.name for f in fields(SampleBounds) if f.name != "draws"]
    return SampleBounds(**{name: column(name) for name in names}, draws=parts[0].draws)


@torch.no_grad()
def _measure(model: LatentModel, x: Data, draws: int, seed: int, excess: Tensor | None) -> SampleBounds:
    elbo = iwae = size = evidence = kl = resolved = None
    around = model.locate(x, excess)[None]
    if model.config.has_density:
        sample = model.importance_sample(x, draws, seed, excess, shared=False)
        elbo, iwae, size = (part.double() for part in (sample.elbo, sample.iwae, sample.effective_size))
        around = sample.z
    if model.config.latent_dim <= 2:
        found = exact(model, x, around, excess)
        evidence, resolved = found.log_evidence, found.resolved
        if elbo is not None:
            kl = evidence - elbo
            paths = PATHS.get(model.config.posterior)
            if paths is not None:
                seen = x if excess is None else model.likelihood.expected(x, excess)
                # another stream than that of the draws: these paths must not be theirs
                noise = Noise(torch.Generator(device=x.device).manual_seed(seed ^ 1))
                log_q = model.posterior.log_marginal(model.whiten(seen), around, noise, paths)
                whitener = None if excess is None else model.likelihood.whitener(excess)
                kl = (log_q - model.log_joint(x, around, whitener)).double().mean(0) + evidence
    return SampleBounds(elbo, iwae, size, evidence, kl, resolved, draws)


@dataclass(frozen=True)
class Mean:
    """Mean over samples and its standard error, which is NaN for one sample."""

    value: float
    error: float

    @staticmethod
    def of(values: Tensor) -> Mean:
        """Of one value for each sample."""
        error = float(values.std()) / math.sqrt(len(values)) if len(values) > 1 else math.nan
        return Mean(float(values.mean()), error)


@dataclass(frozen=True)
class Bounds:
    """Bounds of a set of samples, means in nats per sample; None where there is no such thing.

    Attributes:
        on: Which samples: "held-out", "training" where none were held out, or "input".
        n: Number of samples.
        draws: K.
        elbo: Evidence lower bound E_q[w].
        iwae: Importance-weighted bound of K draws.
        effective_size: Median effective sample size of those draws, in [1, K].
        log_evidence: log p(x).
        gap: log p(x) - elbo.
        kl: Part of the gap: KL(q(z|x) || p(z|x)).
        auxiliary: The rest of it, what auxiliary variables cost.
        errors: Standard errors of these means over samples.
        unresolved: Samples whose quadrature did not meet its own checks.
    """

    on: str
    n: int
    draws: int
    elbo: float | None
    iwae: float | None
    effective_size: float | None
    log_evidence: float | None
    gap: float | None
    kl: float | None
    auxiliary: float | None
    errors: dict[str, float | None]
    unresolved: int

    @staticmethod
    def of(samples: SampleBounds, on: str, n: int) -> Bounds:
        """Means of ``samples``."""
        names = ("elbo", "iwae", "log_evidence", "gap", "kl", "auxiliary")
        columns = {name: getattr(samples, name) for name in names}
        means = {name: None if column is None else Mean.of(column) for name, column in columns.items()}
        errors = {
            name: mean.error if math.isfinite(mean.error) else None for name, mean in means.items() if mean is not None
        }
        sizes, resolved = samples.effective_size, samples.resolved
        return Bounds(
            on=on,
            n=n,
            draws=samples.draws,
            effective_size=None if sizes is None else float(sizes.median()),
            errors=errors,
            unresolved=0 if resolved is None else int((~resolved).sum()),
            **{name: None if mean is None else mean.value for name, mean in means.items()},
        )

    def to_dict(self) -> dict[str, object]:
        """JSON-ready values."""
        return asdict(self)

    def line(self) -> str:
        """The bounds in half a sentence."""
        parts = []
        if self.elbo is not None and self.iwae is not None:
            parts.append(f"{self.on} bound {self.elbo:.2f} nats per sample, importance-weighted {self.iwae:.2f}")
        else:
            parts.append(f"no {self.on} bound, since the posterior has no density")
        if self.log_evidence is not None:
            parts.append(f"log p(x) {self.log_evidence:.2f}")
        if self.gap is not None and self.kl is not None:
            parts.append(f"gap {self.gap:.2f}, of which KL(q(z|x) || p(z|x)) {self.kl:.2f}")
        return ", ".join(parts)

    def rows(self) -> list[tuple[str, float, float | None]]:
        """Rows of a table: what, mean, standard error; those that there are."""
        names = {
            "log_evidence": "log p(x), quadrature",
            "elbo": "ELBO",
            "iwae": f"IWAE-{self.draws}",
            "effective_size": f"effective sample size of {self.draws}, median",
            "gap": "gap, log p(x) - ELBO",
            "kl": "  KL(q(z|x) || p(z|x))",
            "auxiliary": "  auxiliary variables",
        }
        found = {name: getattr(self, name) for name in names}
        return [(names[n], value, self.errors.get(n)) for n, value in found.items() if value is not None]
