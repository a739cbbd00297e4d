"""The training loop: wake (the bound on data) plus sleep (the posterior on dreams), early stopping, history.

    minimise  -E_q[ log p(x|z) + beta (log p(z) + chain - log q(y_T|x)) ]  +  lambda * sleep

or another objective in place of the first part (see genovi.training.objectives).
Then q alone settles on the best weights (genovi.training.settling).
beta rises linearly from ``BETA_START`` to 1 over the first ``WARM_UP`` of the steps, so that the plane unfolds before
the prior presses on it; the learning rate falls by a cosine. Gradients are clipped.
"""

from __future__ import annotations

import copy
import logging
import math
import time
from pathlib import Path

import numpy as np
import torch

from genovi.errors import InterruptedRunError, MismatchError, ResourceError, TrainingError
from genovi.model.binomial import BinomialLikelihood
from genovi.model.config import ModelConfig
from genovi.model.densities import Noise
from genovi.model.rows import Data, GenotypeRows, Genotypes, Sites, with_genotypes
from genovi.model.vae import LatentModel
from genovi.ranks import ALONE, Ranks
from genovi.seeding import Seeds
from genovi.training.batches import Batches, split_samples
from genovi.training.checkpointing import Checkpoints, Snapshot
from genovi.training.config import TrainingConfig
from genovi.training.device import choose_device, set_threads
from genovi.training.gradients import choose_gradients
from genovi.training.monitor import EpochRecord, Monitor
from genovi.training.objectives import Objective, choose_objective
from genovi.training.optimiser import Adam
from genovi.training.outcome import DivergedError, Fit
from genovi.training.settling import Settled, Settling, settling_steps
from genovi.training.sharing import check_batch, own_part
from genovi.training.state import (
    fingerprint,
    history_of,
    history_tensor,
    prefixed,
    under,
)

BETA_START = 0.05
WARM_UP = 1 / 3
CLIP = 5.0
HELD_OUT_DRAWS = 16
SETTLED_DRAWS = 64
EVALUATIONS = 60
_RAMP_STEPS = 100
_ASK_EVERY = 8  # steps between two times that ranks ask each other whether to stop
_SAME_DATA = 0.05  # in units of noise: components that another machine computed differ by rounding only

logger = logging.getLogger("genovi")


def fit(
    x: np.ndarray,
    model_config: ModelConfig,
    config: TrainingConfig,
    seeds: Seeds,
    monitor: Monitor,
    noise_floor: np.ndarray | None = None,
    checkpoints: Checkpoints | None = None,
    objective: Objective | None = None,
    genotypes: tuple[Genotypes, Sites] | None = None,
    ranks: Ranks = ALONE,
) -> Fit:
    """Train a model.

    Several ranks take the same steps on the same batches as one would, each on a part of the rows, and sum gradients.

    Args:
        x: Noise-scaled principal components, shape (n, k), float.
        model_config: Shape of the model.
        config: Optimisation settings.
        seeds: Streams "split", "init", "batches", "noise", "held-out", "settling".
        monitor: Is told of every epoch.
        noise_floor: Least noise standard deviation of each component, shape (k,); None for none.
        checkpoints: Where to keep the state and whether to go on from what is there; None keeps nothing. A run that
            goes on ends with the weights of one that was never stopped, on the same kind of machine and device.
        objective: In place of the one that the configurations name.
        genotypes: Those of the samples, and their variants, for a likelihood of genotypes; None for one of components.
        ranks: Who share the work; all give the same arguments, but for monitors of their own, and checkpoints, which
            only rank 0 has.

    Raises:
        ConfigError: the objective needs a density that the posterior does not have, or there are more ranks than
            samples in a batch.
        InterruptedRunError: the monitor asked to stop; a checkpoint was written, if there is a place for it.
        MismatchError: the checkpoint was made on other data.
        TrainingError: ``x`` holds NaN or infinite values.
        DivergedError: the loss became infinite or NaN.
        ResourceError: the device is not there, or the checkpoint of a stop cannot be written.
    """
    bad = np.flatnonzero(~np.isfinite(x).all(axis=1))
    if len(bad):
        # among the held-out samples it would not even show in the loss: no bound would ever be the best
        raise TrainingError("principal components are not finite", where=f"row {bad[0] + 1}, {len(bad)} of {len(x)}")
    objective = objective or choose_objective(model_config, config)
    return _Trainer(x, model_config, config, seeds, noise_floor, objective, genotypes, ranks).run(monitor, checkpoints)


class _Trainer:
    def __init__(
        self,
        x: np.ndarray,
        model_config: ModelConfig,
        config: TrainingConfig,
        seeds: Seeds,
        noise_floor: np.ndarray | None,
        objective: Objective,
        genotypes: tuple[Genotypes, Sites] | None,
        ranks: Ranks,
    ) -> None:
        self.config = config
        self.ranks = ranks
        self.seeds = seeds
        self.objective = objective
        self.device = choose_device(config.device)
        self.threads = set_threads(config.threads)
        training, self.held_out_index = split_samples(len(x), config.holdout, seeds)
        components = torch.as_tensor(np.asarray(x, dtype=np.float32))
        data: Data = components if genotypes is None else GenotypeRows.of(components, genotypes[0])
        sites = None if genotypes is None else genotypes[1]
        scale = torch.as_tensor(x[training].std(axis=0).astype(np.float32)).clamp_min(1e-3)
        floor = None if noise_floor is None else torch.as_tensor(noise_floor, dtype=torch.float32)
        resolved = model_config.for_cohort(len(x))
        self.model = LatentModel(resolved, scale, seeds.torch("init"), floor, sites)
        if isinstance(self.model.likelihood, BinomialLikelihood):
            self.model.likelihood.start(with_genotypes(data[training]))
        self.model = self.model.to(self.device)
        self.held_out = data[self.held_out_index].to(self.device)
        self.noise = Noise(seeds.torch("noise", str(self.device)))
        self.held_out_seed = seeds.integer("held-out")
        self.batches = Batches(
            data[training].to(self.device), config.batch_size, seeds.torch("batches"), config.variants_for(model_config)
        )
        check_batch(ranks, self.batches.size, self.model)
        self.epochs = config.epochs_for(model_config, len(x))
        self.total = self.epochs * self.batches.per_epoch
        self.optimiser = Adam(self.model.parameters())
        sleep_weight = config.sleep_weight if model_config.sleeps else 0.0
        self.gradients = choose_gradients(self.model, objective, sleep_weight, self.noise, ranks)
        self.step, self.epoch, self.waited, self.ended = 0, 0, 0, ""
        self.settling: Settling | None = None
        self.halfway: Snapshot | None = None  # of a run that was stopped while it settled
        self.sums = torch.zeros(6, device=self.device)
        self.best_bound, self.best = -math.inf, copy.deepcopy(self.model.state_dict())
        self.history: list[EpochRecord] = []
        self.fingerprint = fingerprint(x)
        self.clock = time.perf_counter()

    def run(self, monitor: Monitor, checkpoints: Checkpoints | None) -> Fit:
        snapshot = self.ranks.same(None if checkpoints is None else checkpoints.load())
        if snapshot is not None:
            self._restore(snapshot, None if checkpoints is None else checkpoints.folder)
        monitor.begin(self.epochs, self.epoch)
        every = max(1, self.epochs // EVALUATIONS)
        while not self.ended:
            means = self._epoch(monitor, checkpoints)
            self.epoch += 1
            evaluated = self.epoch % every == 0 or self.epoch == self.epochs
            record = self._record(self.epoch, means, evaluated)
            if not math.isfinite(record.bound if self.bounded else record.reconstruction):
                monitor.end("diverged")
                raise DivergedError(self._result("diverged", None), self.epoch, self.config.lr)
            self.history.append(record)
            monitor.epoch(record)
            if evaluated:
                # before beta reaches 1 the objective is another one, so patience starts there
                self.waited = 0 if self._keep_if_best(record) or record.beta < 1 else self.waited + every
                if self.waited > self.config.patience:
                    self.ended = "early stop"
            if self.epoch == self.epochs:
                self.ended = "finished"
            if checkpoints is not None and checkpoints.due and not self.ended:
                self._checkpoint(checkpoints)
        settled = self._settle(monitor, checkpoints)
        monitor.end(self.ended)
        return self._result(self.ended, settled)

    def _settle(self, monitor: Monitor, checkpoints: Checkpoints | None) -> Settled | None:
        """Take steps of q alone from the best weights on, and keep them if they serve."""
        steps = settling_steps(self.model.config, self.config, self.total, len(self.held_out))
        if not steps:
            return None
        self.model.load_state_dict(self.best)
        seeds = self.seeds.child("settling")
        before = self._elbo_held_out()
        batches = Batches(self.batches.x, self.batches.size, seeds.torch("batches"), self.batches.n_variants)
        noise = Noise(seeds.torch("noise", str(self.device)))
        dreams = self.gradients.sleep_weight > 0
        self.settling = Settling(self.model, self.objective, batches, noise, dreams, self.config.lr, steps, self.ranks)
        if self.halfway is not None:
            self.model.load_state_dict(under("model", self.halfway.tensors))
            self.settling.restore(under("settling", self.halfway.tensors), self.halfway.numbers)

        monitor.settle(steps - self.settling.numbers()["settling"])

        def interrupted(done: int) -> None:
            if self._asked_to_stop(monitor, done):
                self._stop(monitor, checkpoints)

        self.settling.run(CLIP, interrupted)
        after = self._elbo_held_out()
        kept = self.ranks.same(after > before)
        if kept:
            self.best = copy.deepcopy(self.model.state_dict())
        return Settled(steps, before, after, kept)

    @property
    def bounded(self) -> bool:
        """Whether there is a bound to judge weights by."""
        return self.model.config.has_density

    def _epoch(self, monitor: Monitor, checkpoints: Checkpoints | None) -> list[float]:
        """One pass, or the rest of one; returns means of the four terms, the sleep term and the gradient norm."""
        for x in self.batches.epoch():
            self._take_step(x)
            if self._asked_to_stop(monitor, self.step):
                self._stop(monitor, checkpoints)
        self.ranks.sum_(self.sums)
        means: list[float] = (self.sums / self.batches.per_epoch).tolist()
        self.sums.zero_()
        return means

    def _take_step(self, x: Data) -> None:
        lr, beta = self._schedule()
        terms = self.gradients.compute(x, beta)
        norm = self.gradients.clip(CLIP)
        self.optimiser.step(lr)
        self.model.likelihood.hold_noise_floor()
        self.step += 1
        with torch.no_grad():
            self.sums += torch.cat([terms, norm[None] / self.ranks.size])

    def _asked_to_stop(self, monitor: Monitor, step: int) -> bool:
        """Whether one of the ranks is to stop: all of them do, after the same step."""
        if self.ranks.alone:
            return monitor.stop_requested
        return step % _ASK_EVERY == 0 and self.ranks.any(monitor.stop_requested)

    def _checkpoint(self, checkpoints: Checkpoints) -> None:
        """Save the state on the way; where that fails, what was reached is in memory, so training goes on."""
        try:
            checkpoints.save(self._snapshot())
        except ResourceError as error:
            logger.warning("%s; training goes on without", error)

    def _stop(self, monitor: Monitor, checkpoints: Checkpoints | None) -> None:
        self.ranks.sum_(self.sums)
        if checkpoints is not None:
            checkpoints.save(self._snapshot())
        self.ranks.same(None)  # before it is written no rank may leave
        monitor.end("interrupted")
        raise InterruptedRunError(
            "interrupted",
            where="the last steps" if self.ended else f"epoch {self.epoch + 1} of at most {self.epochs}",
            why="nothing was kept" if checkpoints is None else f"a checkpoint is in {checkpoints.folder}",
            fix="run the same command again" + ("" if checkpoints is None else ": it goes on from there"),
        )

    def _snapshot(self) -> Snapshot:
        tensors = {
            **prefixed("model", self.model.state_dict()),
            **prefixed("best", self.best),
            **prefixed("optimiser", self.optimiser.tensors()),
            "random.noise": self.noise.generator.get_state(),
            "random.batches": self.batches.generator.get_state(),
            "order": self.batches.order,
            "sums": self.sums,
            "history": history_tensor(self.history),
            "fingerprint": self.fingerprint,
        }
        counters = {name: getattr(self, name) for name in ("step", "epoch", "waited", "ended")}
        if self.settling is not None:
            tensors |= prefixed("settling", self.settling.tensors())
            counters |= self.settling.numbers()
        return Snapshot(
            tensors,
            counters
            | {"position": self.batches.position, "seconds": time.perf_counter() - self.clock}
            | {"best_bound": self.best_bound.hex()},  # infinite at first, which JSON does not know
        )

    def _restore(self, snapshot: Snapshot, folder: Path | None) -> None:
        tensors, numbers = snapshot.tensors, snapshot.numbers
        there = tensors["fingerprint"]
        if there.shape != self.fingerprint.shape or not torch.allclose(
            there, self.fingerprint, rtol=0, atol=_SAME_DATA
        ):
            raise MismatchError(
                "the checkpoint was made on other data",
                where=folder,
                why="genotypes or quality control have changed since",
                fix="start anew with --resume never",
            )
        self.model.load_state_dict(under("model", tensors))
        self.best = {name: tensor.to(self.device) for name, tensor in under("best", tensors).items()}
        self.optimiser.restore(under("optimiser", tensors))
        self.noise.generator.set_state(tensors["random.noise"])
        self.batches.generator.set_state(tensors["random.batches"])
        self.batches.order = tensors["order"].to(self.batches.order)
        if self.ranks.first:  # sums of all ranks, to be summed again at the end of the epoch
            self.sums = tensors["sums"].to(self.device)
        self.history = history_of(tensors["history"])
        self.step, self.epoch, self.waited = (int(numbers[name]) for name in ("step", "epoch", "waited"))
        self.ended = str(numbers.get("ended", ""))  # not in checkpoints from before there was settling
        self.halfway = snapshot if "settling" in numbers else None
        self.batches.position = int(numbers["position"])
        self.best_bound = float.fromhex(numbers["best_bound"])
        self.clock = time.perf_counter() - float(numbers["seconds"])
        logger.info("going on from the checkpoint in %s: epoch %d of at most %d", folder, self.epoch, self.epochs)

    def _schedule(self) -> tuple[float, float]:
        """Learning rate and beta of the coming step."""
        share = self.step / self.total
        ramp = min(1.0, (self.step + 1) / _RAMP_STEPS)
        lr = self.config.lr * ramp * 0.5 * (1 + math.cos(math.pi * share))
        return lr, BETA_START + (1 - BETA_START) * min(1.0, share / WARM_UP)

    def _record(self, epoch: int, means: list[float], evaluate: bool) -> EpochRecord:
        reconstruction, prior, chain, entropy, sleep, norm = means
        held_out = held_out_iwae = math.nan
        if evaluate and self.bounded and len(self.held_out):
            held_out, held_out_iwae = self._bounds_held_out()
        lr, beta = self._schedule()
        return EpochRecord(
            epoch=epoch,
            bound=reconstruction + prior + chain + entropy,
            reconstruction=reconstruction,
            prior=prior,
            chain=chain,
            entropy=entropy,
            sleep=sleep,
            held_out=held_out,
            held_out_iwae=held_out_iwae,
            beta=beta,
            lr=lr,
            gradient_norm=norm,
            seconds=round(time.perf_counter() - self.clock, 3),
        )

    def _bounds_held_out(self) -> tuple[float, float]:
        rows, share, _ = own_part(self.ranks, len(self.held_out), self.noise)
        bounds = torch.zeros(2, device=self.device)
        if share > 0:
            sample = self.model.importance_sample(self.held_out[rows], HELD_OUT_DRAWS, self.held_out_seed)
            bounds = share * torch.stack([sample.elbo.mean(), sample.iwae.mean()])
        self.ranks.sum_(bounds)
        elbo, iwae = bounds.tolist()
        return elbo, iwae

    def _elbo_held_out(self) -> float:
        """Of draws of each sample's own: those that early stopping shares among samples have errors in common."""
        sample = self.model.importance_sample(self.held_out, SETTLED_DRAWS, self.held_out_seed, shared=False)
        return sample.elbo.cpu().double().mean().item()  # Apple's MPS has no float64

    def _keep_if_best(self, record: EpochRecord) -> bool:
        """Keep the weights when the held-out bound is the best so far, or where nothing is held out, if they work."""
        if self.bounded and len(self.held_out):
            if not record.held_out_iwae > self.best_bound:
                return False
            self.best_bound = record.held_out_iwae
        elif not self.ranks.same(self._usable()):
            return False
        self.best = copy.deepcopy(self.model.state_dict())
        return True

    def _usable(self) -> bool:
        """Whether the weights give a finite bound: the epoch's own was that of the weights before its last step."""
        x = self.batches.x[: self.batches.size]
        if not self.bounded:
            with torch.no_grad():
                return math.isfinite(self.model.log_joint(x, self.model.locate(x)).mean().item())
        return math.isfinite(self.model.importance_sample(x, 1, self.held_out_seed).elbo.mean().item())

    def _result(self, reason: str, settled: Settled | None) -> Fit:
        self.model.load_state_dict(self.best)
        self.model.prune()
        return Fit(
            model=self.model.cpu().eval(),
            history=tuple(self.history),
            held_out=self.held_out_index,
            reason=reason,
            settled=settled,
            device=str(self.device),
            threads=self.threads,
        )
