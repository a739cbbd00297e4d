"""The methods that are compared. Those of one model differ in posterior or objective alone."""

from __future__ import annotations

from dataclasses import dataclass

from genovi.errors import ConfigError


@dataclass(frozen=True)
class Method:
    """One way from principal components to an embedding.

    Attributes:
        name: What is typed, and what tables say.
        posterior: Of the model; None for methods that are no such model.
        objective: What training of the model maximises.
        seeded: Whether anything is drawn; else one fit says all.
        places_new: Whether there is a way to embed new samples.
        components: Most principal components that the method is given; None for all that the models get.
        is_map: Whether the embedding has the dimensions of the models' maps.
    """

    name: str
    posterior: str | None = None
    objective: str = "elbo"
    seeded: bool = True
    places_new: bool = True
    components: int | None = None
    is_map: bool = True


# t-SNE and UMAP take every component at its word, so that noise in later ones costs them: 15 serve them better than the
# 40 to 50 whose noise the models learn (benchmarks/README.md)
_FEW = 15
_ALL = (
    Method("pca", seeded=False),
    Method("pca10", seeded=False, components=10, is_map=False),
    Method("tsne", places_new=False, components=_FEW),
    Method("umap", components=_FEW),
    Method("vae", "gaussian"),
    Method("iaf", "iaf"),
    Method("hiaf", "hiaf"),
    Method("aae", "aae"),
    Method("iwae", "gaussian", "iwae"),
    Method("ddvi-simple", "ddvi-simple"),
    Method("ddvi-nosleep", "ddvi-nosleep"),
    Method("ddvi", "ddvi"),
)
METHODS = {method.name: method for method in _ALL}


def parse_methods(text: str) -> tuple[Method, ...]:
    """Methods of a list with commas, each once, in the order typed.

    Raises:
        ConfigError: an unknown name, or none.
    """
    names = list(dict.fromkeys(word.strip().lower() for word in text.split(",") if word.strip()))
    unknown = [name for name in names if name not in METHODS]
    if unknown or not names:
        what = f"unknown method {unknown[0]!r}" if unknown else "no method named"
        raise ConfigError(what, where="--methods", fix=f"choose from {', '.join(METHODS)}")
    return tuple(METHODS[name] for name in names)
