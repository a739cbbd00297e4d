"""LatentModel: prior, likelihood and posterior together, and the path log-weight that joins them.

    w = log p(x|z) + log p(z) + sum_t [log r(y_t|y_{t-1}) - log q(y_{t-1}|y_t,x)] - log q(y_T|x),
    E_q[w] <= log p(x),         E_q[log mean_k exp w_k] <= log p(x)     (importance weighted, k = 1..K)

Source: Piriyakulkij, Wang, Kuleshov (AAAI 2025), section 3; Burda, Grosse, Salakhutdinov (ICLR 2016).
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import partial

import torch
from torch import Tensor, nn

from genovi.model.build import build_likelihood, build_posterior, build_prior
from genovi.model.classes import ClassTable
from genovi.model.config import ModelConfig
from genovi.model.densities import Noise
from genovi.model.importance import LADDER_RUNGS, POOR, ImportanceSample, refine, widen
from genovi.model.mixtures import MixturePrior, VampPrior
from genovi.model.posterior import Path
from genovi.model.rows import Data, Sites, components

_ROWS_AT_ONCE = 16384
_ROUNDS = 8
_SLIGHT = 0.25  # ``Likelihood.blur`` under which a proposal for complete samples, half as wide again, is wide enough


@dataclass(frozen=True)
class BoundTerms:
    """The terms of w, each of shape (..., batch), in nats, kept apart until the last line.

    Attributes:
        reconstruction: log p(x|z).
        prior: log p(z).
        chain: sum_t log r(y_t|y_{t-1}) - log q(y_{t-1}|y_t,x).
        entropy: -log q(y_T|x).
    """

    reconstruction: Tensor
    prior: Tensor
    chain: Tensor
    entropy: Tensor

    @property
    def log_weight(self) -> Tensor:
        """w, shape (..., batch)."""
        return self.tempered(1.0)

    def tempered(self, beta: float) -> Tensor:
        """w with all terms but the reconstruction weighted by ``beta``."""
        return self.reconstruction + beta * (self.prior + self.chain + self.entropy)


class LatentModel(nn.Module):
    """A latent-variable model of noise-scaled principal components, or of the genotypes that these come from.

    Args:
        config: Shape of the model.
        scale: Standard deviation of each data column, shape (k,), float32; the encoder sees x / scale.
        generator: Draws all initial weights.
        noise_floor: Least noise standard deviation of each data column, shape (k,), used in training; None for none.
        sites: Variants of a model of genotypes; None for one of components.
    """

    def __init__(
        self,
        config: ModelConfig,
        scale: Tensor,
        generator: torch.Generator,
        noise_floor: Tensor | None = None,
        sites: Sites | None = None,
    ) -> None:
        super().__init__()
        self.config = config
        self.prior = build_prior(len(scale), config, generator)
        self.likelihood = build_likelihood(scale, config, generator, noise_floor, sites)
        self.posterior = build_posterior(len(scale), config, generator)
        self.classes = ClassTable(config.components, config.classes) if config.classes else None
        if isinstance(self.prior, VampPrior):
            self.prior.head = self.posterior.head

    def whiten(self, x: Data) -> Tensor:
        """What the posterior sees: x / scale."""
        return components(x) / self.likelihood.scale

    def terms(self, x: Data, noise: Noise, draws: int | None = None) -> tuple[BoundTerms, Tensor]:
        """Paths for each row of ``x``, components of shape (batch, k): the terms of w, and z of shape (batch, d).

        With ``draws``, both have a leading axis of that many paths.
        """
        path = self.posterior.draw(self.whiten(x), noise, draws)
        return self.path_terms(x, path), path.z

    def path_terms(self, x: Data, path: Path, whitener: Tensor | None = None) -> BoundTerms:
        """The terms of w of a path; ``whitener`` is that of incomplete samples."""
        return BoundTerms(
            reconstruction=self.likelihood.log_density(x, path.z, whitener),
            prior=self.prior.log_density(path.z),
            chain=path.chain,
            entropy=path.entropy,
        )

    def sleep_loss(self, n: int, noise: Noise) -> Tensor:
        """Sleep term: mean of -log q(y_{0:T} | x) over n draws of (z, x) from the model itself and y from r.

        x is drawn with its noise, and no gradient reaches prior or decoder: only q learns from dreams.
        """
        with torch.no_grad():
            z = self.prior.sample(n, noise)
            x = self.likelihood.sample(z, noise)
        return self.posterior.sleep_loss(self.whiten(x), z, noise).mean()

    def class_log_probabilities(self, z: Tensor) -> Tensor:
        """log p(c | z) of a model with classes, z of shape (..., d), returns shape (..., C)."""
        assert self.classes is not None
        assert isinstance(self.prior, MixturePrior)
        return self.classes.log_probabilities(self.prior.component_log_density(z))

    @torch.no_grad()
    def importance_sample(
        self, x: Data, draws: int, seed: int, excess: Tensor | None = None, shared: bool = True
    ) -> ImportanceSample:
        """``draws`` paths for each row of ``x``, shape (n, k), all rows with the same noise.

        What a row gets depends on ``seed`` and on the row alone, not on its neighbours. Not so with ``shared`` = False:
        each row then has noise of its own, whose errors cancel in a mean over rows. ``excess`` is as in
        ``posterior_sample``; the paths are then those of the expected complete data, which makes for a bound, too.
        """
        generator = torch.Generator(device=x.device).manual_seed(seed)
        z, log_weight = [], []
        size = max(1, _ROWS_AT_ONCE // draws)
        for start in range(0, len(x), size):
            rows = x[start : start + size]
            seen: Data = rows
            whitener = None
            if excess is not None:
                part = excess[start : start + size]
                seen, whitener = self.likelihood.expected(rows, part), self.likelihood.whitener(part)
            if shared:
                generator = torch.Generator(device=x.device).manual_seed(seed)
            path = self.posterior.draw(self.whiten(seen), Noise(generator, shared), draws)
            z.append(path.z)
            log_weight.append(self.path_terms(rows, path, whitener).log_weight)
        return ImportanceSample(torch.cat(z, dim=1), torch.cat(log_weight, dim=1))

    @torch.no_grad()
    def locate(self, x: Data, excess: Tensor | None = None) -> Tensor:
        """Where the encoder puts each row of ``x``, shape (n, d), without noise or weights."""
        seen = x if excess is None else self.likelihood.expected(x, excess)
        return self.posterior.head(self.whiten(seen))[0]

    def prune(self) -> None:
        """Drop components of the prior that hold nothing; call after training."""
        left = self.prior.prune()
        if left is not None:
            self.config = replace(self.config, components=left)

    @torch.no_grad()
    def posterior_sample(self, x: Data, draws: int, seed: int, excess: Tensor | None = None) -> ImportanceSample:
        """Weighted draws from p(z | x) for each row of ``x``: paths from q, then draws around them.

        As with ``importance_sample``, a row depends on ``seed`` and on itself alone.

        Args:
            x: shape (n, k).
            draws: K.
            seed: Of the draws.
            excess: Covariance that missing genotypes add to each row, shape (n, k, k); None where none is missing.
        """
        parts = []
        size = max(1, _ROWS_AT_ONCE // draws)
        for start in range(0, len(x), size):
            rows = x[start : start + size]
            if excess is None:
                parts.append(self._near(rows, draws, seed, None))
            else:
                parts.append(self._incomplete(rows, draws, seed, excess[start : start + size]))
        z, log_weight = [part.z for part in parts], [part.log_weight for part in parts]
        return ImportanceSample(torch.cat(z, dim=1), torch.cat(log_weight, dim=1))

    def _near(self, x: Data, draws: int, seed: int, excess: Tensor | None) -> ImportanceSample:
        """Paths from q and a round around them; where q misses the posterior, as for samples unlike any, a search."""
        whitener = None if excess is None else self.likelihood.whitener(excess)
        first = self.importance_sample(x, draws, seed, excess)
        found = refine(first, partial(self.log_joint, x, whitener=whitener), seed)
        poor = found.effective_size < POOR
        if not poor.any():
            return found
        some = None if whitener is None else whitener[poor]
        return found.put(poor, self._search(x[poor], found.take(poor), seed, some))

    def _incomplete(self, x: Data, draws: int, seed: int, excess: Tensor) -> ImportanceSample:
        """Those that miss little, whose posterior is hardly wider than that of complete ones, apart from the others."""
        near = self.likelihood.blur(excess) < _SLIGHT
        if near.all():
            return self._near(x, draws, seed, excess)
        found = self._far(x[~near], draws, seed, excess[~near])
        if not near.any():
            return found
        return ImportanceSample.merge(near, self._near(x[near], draws, seed, excess[near]), found)

    def _far(self, x: Data, draws: int, seed: int, excess: Tensor) -> ImportanceSample:
        """The posterior of the likeliest complete data is where to look, but too narrow."""
        guess = self._near(self.likelihood.expected(x, excess), draws, seed, None)
        return self._search(x, guess, seed, self.likelihood.whitener(excess))

    def _search(self, x: Data, guess: ImportanceSample, seed: int, whitener: Tensor | None = None) -> ImportanceSample:
        """Draws about a guess that may be far off: ever wider Gaussians and the prior, then rounds of a fitted one.

        As many draws as the guess has. Two rounds for all rows, and up to ``_ROUNDS`` for those whose weights still
        lie on few draws.
        """
        generator = torch.Generator(device=x.device).manual_seed(seed)
        draws = len(guess.z)
        each = draws // (LADDER_RUNGS + 1)
        prior = (self.prior.sample(draws - LADDER_RUNGS * each, Noise(generator)), self.prior.log_density)
        found = widen(guess, partial(self.log_joint, x, whitener=whitener), prior, seed, each)
        for done in range(_ROUNDS):
            poor = torch.ones_like(found.effective_size, dtype=torch.bool) if done < 2 else found.effective_size < POOR
            if not poor.any():
                break
            log_joint = partial(self.log_joint, x[poor], whitener=None if whitener is None else whitener[poor])
            found = found.put(poor, refine(found.take(poor), log_joint, seed, 0.0))
        return found

    def log_joint(self, x: Data, z: Tensor, whitener: Tensor | None = None) -> Tensor:
        """log p(x | z) + log p(z), shape (..., batch); ``whitener`` is that of incomplete samples."""
        return self.likelihood.log_density(x, z, whitener) + self.prior.log_density(z)
