"""Options of the commands in maintainer scripts."""

from __future__ import annotations

from oci_builder.debian.shell import Call


def split_options(call: Call, known: str, *words: str) -> tuple[set[str], list[str]]:
    """Give the options of a letter or a word, and what else there is. Raises NotKnown for one that is not ``known``."""
    found: set[str] = set()
    rest = list(call.arguments)
    while rest and rest[0].startswith("-") and rest[0] != "-":
        option = rest.pop(0)
        if option == "--":
            break
        if option in words:
            found.add(option)
        elif not option.startswith("--") and all(letter in known for letter in option[1:]):
            found |= set(option[1:])
        else:
            raise call.unknown(f"its option {option} is not known here")
    return found, rest
