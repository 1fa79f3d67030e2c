"""Pythons that images on Docker Hub have, by their names: offered where a base has another than is asked for."""

from __future__ import annotations

from collections.abc import Iterable

from packaging.specifiers import InvalidSpecifier, SpecifierSet

REPOSITORY = "docker.io/library/python"
_OLDEST, _NEWEST = 8, 14
"""Of Python 3, those that there are images of."""

_PATCHES = 40
"""Releases of one minor version: their tag moves on to the last, and 3.8 has 21."""


def image_of(minor: str) -> str:
    """The image that has the newest release of a minor version, ``3.12``."""
    return f"{REPOSITORY}:{minor}-slim"


def specifiers(texts: Iterable[str]) -> SpecifierSet | None:
    """All of them together; None where one cannot be read."""
    try:
        return SpecifierSet(",".join(text for text in texts if text.strip()))
    except InvalidSpecifier:
        return None


def fits(asked: SpecifierSet, version: str) -> bool:
    """Whether a Python of ``version`` is one that is asked for."""
    return asked.contains(version, prereleases=True)


def newest_fitting(asked: SpecifierSet) -> str | None:
    """The newest minor version that there is an image of and that has a release that is asked for."""
    for number in range(_NEWEST, _OLDEST - 1, -1):
        if _has_release(asked, f"3.{number}"):
            return f"3.{number}"
    return None


def image_instead(asked: Iterable[str], version: str) -> str:
    """The image that has what a Python of ``version`` is refused for, the same minor version first; empty for none."""
    known = specifiers(asked)
    if known is None or fits(known, version):
        return ""
    same = ".".join(version.split(".")[:2])
    minor = same if _has_release(known, same) else newest_fitting(known)
    return image_of(minor) if minor else ""


def offer_of(asked: Iterable[str], version: str) -> str:
    """The words that offer such an image, behind what else a hint says; empty where there is none."""
    image = image_instead(asked, version)
    return f'; or stand on an image that has it: base = "{image}" in image.toml, which a lock pins' if image else ""


def _has_release(asked: SpecifierSet, minor: str) -> bool:
    return any(fits(asked, f"{minor}.{patch}") for patch in range(_PATCHES - 1, -1, -1))
