"""Populations and groups that everybody labels alike, and the colours that readers expect of them.

The five groups of the 1000 Genomes Project get genovi's first five hues, which are the customary ones (AFR yellow, AMR
red, EAS green, EUR blue, SAS purple); so do regions of the world under their English names. The groups of gnomAD have
colours of their own (those of its browser). A label file of which all groups are known gets these whichever of them it
has, so that figures of different cohorts agree.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping

_THOUSAND_GENOMES = {
    "AFR": "ACB ASW ESN GWD LWK MSL YRI",
    "AMR": "CLM MXL PEL PUR",
    "EAS": "CDX CHB CHS JPT KHV",
    "EUR": "CEU FIN GBR IBS TSI",
    "SAS": "BEB GIH ITU PJL STU",
}
# Group of each population of 1000 Genomes (phase 3), for label files that lack it.
SUPER_POPULATIONS = {population: group for group, line in _THOUSAND_GENOMES.items() for population in line.split()}
_OLDER = {"MEX": "AMR", "CHD": "EAS", "MKK": "AFR"}  # of HapMap: MEX is MXL's older name

# Place among genovi's hues, by name of the group in lower case without blanks and the like.
_SLOTS = {
    "afr": 0, "africa": 0, "african": 0, "subsaharanafrica": 0, "subsaharanafrican": 0,
    "amr": 1, "america": 1, "americas": 1, "american": 1, "admixedamerican": 1, "nativeamerican": 1,
    "eas": 2, "eastasia": 2, "eastasian": 2,
    "eur": 3, "europe": 3, "european": 3,
    "sas": 4, "csa": 4, "southasia": 4, "southasian": 4, "centralsouthasia": 4, "centralsouthasian": 4,
    "mid": 5, "mde": 5, "middleeast": 5, "middleeastern": 5, "neareast": 5,
    "oce": 6, "oceania": 6, "oceanian": 6,
    "northasia": 7, "siberia": 7, "northasian": 7, "siberian": 7,
}  # fmt: skip

_GNOMAD = {
    "afr": "#941494", "ami": "#ffc0cb", "amr": "#ed1e24", "asj": "#ff7f50", "eas": "#108c44", "fin": "#002f6c",
    "mid": "#33cc33", "mde": "#33cc33", "nfe": "#6aa5cd", "eur": "#6aa5cd", "sas": "#ff9912", "oth": "#abb9b9",
    "remaining": "#abb9b9",
}  # fmt: skip
_GNOMAD_ONLY = {"ami", "asj", "fin", "nfe", "remaining"}  # 1000 Genomes has a population FIN, in capitals


def super_populations(populations: Iterable[str]) -> dict[str, str] | None:
    """Group of each population where all are populations of 1000 Genomes or HapMap; None where one is not."""
    found = _known_groups(populations)
    return found if found and all(found.values()) else None


def strangers(populations: Iterable[str]) -> list[str]:
    """The populations that keep the others from ``super_populations``, where at least half of all are known."""
    found = _known_groups(populations)
    unknown = sorted(population for population, group in found.items() if not group)
    return unknown if 2 * len(unknown) <= len(found) else []


def _known_groups(populations: Iterable[str]) -> dict[str, str]:
    return {name: SUPER_POPULATIONS.get(name, _OLDER.get(name, "")) for name in populations}


def known_slots(groups: Iterable[str]) -> dict[str, int] | None:
    """Place of each group among genovi's hues where all groups are known and no two share one; else None."""
    names = [group for group in groups if group]
    slots = {name: _SLOTS.get(_plain(name)) for name in names}
    known = {name: slot for name, slot in slots.items() if slot is not None}
    return known if known and len(known) == len(names) == len(set(known.values())) else None


def gnomad_colors(labels: Iterable[str]) -> Mapping[str, str] | None:
    """Colours of gnomAD's browser where all labels are its groups, in its lower case, and one is its own; else None."""
    names = {label for label in labels if label}
    if not names <= set(_GNOMAD) or not names & _GNOMAD_ONLY:
        return None
    return {name: _GNOMAD[name] for name in sorted(names)}


def _plain(name: str) -> str:
    return "".join(c for c in name.lower() if c.isalpha())
