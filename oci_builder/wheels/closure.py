"""What the packages of a recipe need, as a file of constraints for plain pip: made with the lock, and from it.

pip reads it because a requirements file says ``-c constraints.txt``. Here it is not read, for it says what was chosen
and nothing of what may be: a version that moves must not be held by what was chosen before. Changed by hand it is a
file of constraints like any other; a digest in it tells.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Collection, Iterator, Mapping, Sequence

from packaging.specifiers import InvalidSpecifier, SpecifierSet

from oci_builder.wheels.lock_writing import marker_of
from oci_builder.wheels.pins import WheelPin
from oci_builder.wheels.target import Target

MARK = "# Made by ocibuild lock"
"""How its first line begins. A file of that line alone asks to be filled."""

_DIGEST = re.compile(r"# sha256:([0-9a-f]{64})\s*\Z")


def is_made(text: str) -> bool:
    """Whether ``text`` is such a file, as it was made."""
    lines = text.splitlines()
    if not lines or not lines[0].startswith(MARK):
        return False
    for number, line in enumerate(lines):
        if found := _DIGEST.match(line):
            return found[1] == _digest(lines[number + 1 :])
    return all(not line.strip() or line.startswith("#") for line in lines)


def closure(pins_by_target: Mapping[Target, Sequence[WheelPin]], *, asked: Collection[tuple[str, str]]) -> bytes:
    """The file for these pins; ``asked`` are the names and specifiers of what is required.

    What is required in one version already is left out: its line may be changed without this file. So is what comes
    from a URL.
    """
    fixed = {name for name, specifier in asked if _is_exact(specifier)}
    lines = list(_lines(pins_by_target, fixed))
    pythons = " and ".join(sorted({target.promise.version for target in pins_by_target}))
    head = [
        f"{MARK}, from pylock.toml: what the packages that are asked for need on Python {pythons}.",
        "# For plain pip: ocibuild does not read it, and makes it anew with the lock. Limits of your own belong into",
        "# another file; changed by hand, this one is such a file, read and not made anew.",
        f"# sha256:{_digest(lines)}",
    ]
    return "".join(f"{line}\n" for line in (*head, *lines)).encode()


def _lines(pins_by_target: Mapping[Target, Sequence[WheelPin]], fixed: Collection[str]) -> Iterator[str]:
    versions: dict[str, dict[Target, str]] = {}
    for target in sorted(pins_by_target, key=str):
        for pin in pins_by_target[target]:
            if pin.name not in fixed and pin.direct_url is None:
                versions.setdefault(pin.name, {})[target] = pin.version
    targets = sorted(pins_by_target, key=str)
    for name in sorted(versions):
        found = versions[name]
        if len(set(found.values())) == 1:
            yield f"{name}=={next(iter(found.values()))}"
        else:
            yield from (f"{name}=={version} ; {marker_of(target, targets)}" for target, version in found.items())


def _is_exact(specifier: str) -> bool:
    try:
        found = list(SpecifierSet(specifier))
    except InvalidSpecifier:
        return False
    return any(each.operator in ("==", "===") and not each.version.endswith(".*") for each in found)


def _digest(lines: Sequence[str]) -> str:
    # Of the lines, so that an editor or git that ends them otherwise changes nothing.
    return hashlib.sha256("".join(f"{line.strip()}\n" for line in lines).encode()).hexdigest()
