"""A model configuration that makes no sense is refused, with the option's name."""

from __future__ import annotations

import pytest

from genovi.errors import ConfigError
from genovi.model.config import CURVES, POSTERIORS, PRIORS, ModelConfig


@pytest.mark.parametrize("posterior", POSTERIORS)
@pytest.mark.parametrize("prior", PRIORS)
def test_every_named_kind_is_accepted(posterior: str, prior: str) -> None:
    config = ModelConfig(posterior=posterior, prior=prior)
    assert (config.posterior, config.prior) == (posterior, prior)


@pytest.mark.parametrize(("option", "name"), [("--posterior", "posterior"), ("--prior", "prior")])
def test_an_unknown_kind_is_refused_and_the_choices_are_listed(option: str, name: str) -> None:
    with pytest.raises(ConfigError, match=rf"{option} \(spline\).*choose one of") as caught:
        ModelConfig(**{name: "spline"})
    assert caught.value.exit_code == 2


@pytest.mark.parametrize("name", ["latent_dim", "steps", "hidden"])
@pytest.mark.parametrize("value", [0, -3])
def test_sizes_below_one_are_refused(name: str, value: int) -> None:
    with pytest.raises(ConfigError, match="at least 1"):
        ModelConfig(**{name: value})


@pytest.mark.parametrize("name", ["latent_dim", "steps"])
def test_sizes_that_no_machine_trains_are_refused(name: str) -> None:
    with pytest.raises(ConfigError, match="at most 4,096"):
        ModelConfig(**{name: 1_000_000})


def test_a_negative_number_of_components_is_refused() -> None:
    with pytest.raises(ConfigError, match="components must not be negative"):
        ModelConfig(components=-1)


def test_the_number_of_components_follows_the_cohort_unless_it_is_given() -> None:
    found = [ModelConfig(components=0).for_cohort(n).components for n in (2, 100, 1000, 10**6)]
    assert found == sorted(found)
    assert found[0] >= 1 and found[-1] < 1000
    assert found[0] < found[-1]
    assert ModelConfig(components=7).for_cohort(10**6).components == 7
    assert ModelConfig(components=0, hidden=9).for_cohort(100).hidden == 9


@pytest.mark.parametrize("prior", CURVES)
def test_curves_lie_in_the_plane(prior: str) -> None:
    with pytest.raises(ConfigError, match=r"curve in the plane \(--latent-dim 3\)"):
        ModelConfig(prior=prior, latent_dim=3)
