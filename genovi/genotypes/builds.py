"""Whether files that are read as one input are on one genome build."""

from __future__ import annotations

from collections.abc import Sequence

from genovi.errors import MismatchError
from genovi.genotypes.batches import Source, joined_name
from genovi.genotypes.matrix import InputFacts, VariantTable
from genovi.genotypes.regions import BUILDS, BuildEvidence


class Builds:
    """What each of several sources says about its build; a single one cannot disagree.

    Args:
        sources: In the order in which they are read.
    """

    def __init__(self, sources: Sequence[Source]) -> None:
        self._names = [source.name for source in sources]
        self._evidence = [BuildEvidence() for _ in sources] if len(sources) > 1 else []

    def add(self, which: int, variants: VariantTable) -> None:
        """Take in some variants of source number ``which``."""
        if self._evidence and len(variants):
            self._evidence[which].add(variants)

    def disagreement(self, facts: Sequence[InputFacts]) -> str | None:
        """Two sources on different builds, in words; None where there are none.

        Args:
            facts: Of each source.
        """
        found: dict[str, str] = {}
        for name, evidence, one in zip(self._names, self._evidence, facts, strict=False):
            guess = evidence.guess(one)
            if guess.build in BUILDS:
                found.setdefault(guess.build, f"{name} is on {guess.build} ({guess.reason})")
        return ", ".join(found.values()) if len(found) > 1 else None

    def check(self, facts: Sequence[InputFacts]) -> None:
        """Refuse sources on different builds.

        Args:
            facts: Of each source.

        Raises:
            MismatchError: naming two of them.
        """
        found = self.disagreement(facts)
        if found is not None:
            raise builds_differ(found, joined_name(self._names))


def builds_differ(found: str, where: str) -> MismatchError:
    """The error for files of different builds.

    Args:
        found: What ``Builds.disagreement`` says.
        where: The input.
    """
    return MismatchError(
        "the files are on different genome builds",
        where=where,
        why=f"{found}; their positions do not belong together",
        fix="lift one over to the build of the other; where there is a --build, it overrules the files",
    )
