"""genovi: ancestry embeddings of genotypes with a diffusion posterior (DDVI)."""

__all__ = ["__version__"]


def __getattr__(name: str) -> str:
    if name == "__version__":
        from genovi.provenance import version

        return version()
    raise AttributeError(f"module 'genovi' has no attribute {name!r}")
