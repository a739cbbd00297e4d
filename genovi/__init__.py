"""genovi: ancestry embeddings of genotypes with a diffusion posterior (DDVI).

    import genovi
    model = genovi.train("cohort.vcf.gz", seed=1)
    new = model.embed("new.vcf.gz")
    genovi.plot_ancestry(model, "panel.tsv", query=new)

Nothing heavy is loaded before it is used.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from genovi.api import Model, load, plot_ancestry, read, train
    from genovi.embedding import Embedding
    from genovi.labels import read_labels

    __version__: str

__all__ = ["Embedding", "Model", "__version__", "load", "plot_ancestry", "read", "read_labels", "train"]
_PLACES = {"Embedding": "genovi.embedding", "read_labels": "genovi.labels"} | dict.fromkeys(
    ("Model", "load", "plot_ancestry", "read", "train"), "genovi.api"
)


def __getattr__(name: str) -> Any:
    if name == "__version__":
        from genovi.provenance import version

        return version()
    if name in _PLACES:
        from importlib import import_module

        return getattr(import_module(_PLACES[name]), name)
    raise AttributeError(f"module 'genovi' has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
