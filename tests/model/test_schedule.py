"""The noising process: its kernels compose to its closed form, and its posterior is Bayes' rule."""

from __future__ import annotations

import math

import numpy as np
import pytest
import reference
from scipy.stats import norm

from genovi.model.schedule import END, NoiseSchedule

each_length = pytest.mark.parametrize("steps", [1, 2, 3, 8, 25])


@each_length
def test_kernels_compose_to_the_closed_form(steps: int) -> None:
    schedule = NoiseSchedule.cosine(steps)
    expected = reference.signal(steps, END)
    factor, variance = 1.0, 0.0
    for t in range(1, steps + 1):
        factor *= schedule.keep[t - 1]
        variance = schedule.keep[t - 1] ** 2 * variance + math.exp(2 * schedule.log_std[t - 1])
        assert factor == pytest.approx(expected[t], rel=1e-12)
        assert schedule.signal[t - 1] == pytest.approx(factor, rel=1e-12)
        assert variance == pytest.approx(1 - factor**2, rel=1e-12)
        assert schedule.spread[t - 1] == pytest.approx(math.sqrt(variance), rel=1e-12)


@each_length
def test_each_kernel_preserves_unit_variance(steps: int) -> None:
    schedule = NoiseSchedule.cosine(steps)
    total = np.square(schedule.keep) + np.exp(2 * np.array(schedule.log_std))
    np.testing.assert_allclose(total, 1, rtol=1e-12)


@each_length
def test_one_step_back_given_z_is_bayes_rule(steps: int) -> None:
    schedule = NoiseSchedule.cosine(steps)
    z, later = 0.7, -0.4
    grid = np.linspace(-8, 8, 40_001)
    for t in range(2, steps + 1):
        before = schedule.signal[t - 2]
        joint = norm.pdf(grid, before * z, math.sqrt(1 - before**2)) * norm.pdf(
            later, schedule.keep[t - 1] * grid, math.exp(schedule.log_std[t - 1])
        )
        density = joint / joint.sum()
        mean = density @ grid
        std = math.sqrt(density @ (grid - mean) ** 2)
        assert schedule.mean_z[t - 1] * z + schedule.mean_y[t - 1] * later == pytest.approx(mean, abs=1e-8)
        assert math.exp(schedule.posterior_log_std[t - 1]) == pytest.approx(std, abs=1e-8)


@each_length
def test_the_last_step_back_is_z_itself(steps: int) -> None:
    schedule = NoiseSchedule.cosine(steps)
    assert schedule.mean_z[0] == pytest.approx(1)
    assert schedule.mean_y[0] == pytest.approx(0)
    assert schedule.posterior_log_std[0] == -math.inf


@each_length
def test_the_end_does_not_depend_on_the_number_of_steps(steps: int) -> None:
    schedule = NoiseSchedule.cosine(steps)
    assert schedule.steps == steps
    assert schedule.signal[-1] == pytest.approx(NoiseSchedule.cosine(1).signal[-1], rel=1e-12)
    assert 0 < schedule.signal[-1] < 0.5
    assert all(len(values) == steps for values in vars(schedule).values())
    assert (np.diff(schedule.signal) < 0).all()
