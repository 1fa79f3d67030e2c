"""Options of the commands in maintainer scripts."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from oci_builder.debian.shell import Call

SELINUX = {"--context": "Z", "-Z": "Z"}
"""Labels of files, which no image has."""


def check_unheard(call: Call, letters: set[str]) -> None:
    """Raise NotKnown where a command tells of what it does, and is listened to."""
    if letters & {"v", "c"} and call.is_heard:
        raise call.unknown("what it says of what it does is not known here")


def values_of(
    call: Call,
    known: str,
    valued: Mapping[str, str],
    words: Mapping[str, str],
    arguments: Sequence[str] | None = None,
    *,
    leading: bool = False,
) -> tuple[set[str], dict[str, str], list[str]]:
    """Give the options, those with a value, and what else there is, in whatever order they come.

    ``known`` are the letters of options without a value, ``valued`` those with one by letter, ``words`` the letters
    that long options stand for; with ``leading`` none comes after what is none. Raises NotKnown for any other.
    """
    letters: set[str] = set()
    values: dict[str, str] = {}
    others: list[str] = []
    rest = list(call.arguments if arguments is None else arguments)
    while rest:
        word = rest.pop(0)
        if word == "--":
            others += rest
            break
        if word.startswith("--"):
            name, equals, value = word.partition("=")
            letter = words.get(name)
            if letter is None or (letter not in valued.values() and equals):
                raise call.unknown(f"its option {word} is not known here")
            if letter not in valued.values():
                letters.add(letter)
                continue
            if not equals and not rest:
                raise call.unknown(f"its option {word} has no value")
            _hold(call, values, letter, value if equals else rest.pop(0))
        elif word.startswith("-") and word != "-":
            _short(call, word[1:], rest, (known, valued), (letters, values))
        else:
            others.append(word)
            if leading:
                others += rest
                break
    return letters, values, others


def _hold(call: Call, values: dict[str, str], letter: str, value: str) -> None:
    """Enter a value; of two for one option, programs take the last, the first or both."""
    if values.setdefault(letter, value) != value:
        raise call.unknown("an option that is given twice is not known here")


def _short(
    call: Call,
    word: str,
    rest: list[str],
    known: tuple[str, Mapping[str, str]],
    found: tuple[set[str], dict[str, str]],
) -> None:
    """Options of one letter in one word, the last of which may have a value."""
    plain, valued = known
    for number, letter in enumerate(word):
        if letter in valued:
            value = word[number + 1 :]
            if not value and not rest:
                raise call.unknown(f"its option -{letter} has no value")
            _hold(call, found[1], valued[letter], value or rest.pop(0))
            return
        if letter not in plain:
            raise call.unknown(f"its option -{letter} is not known here")
        found[0].add(letter)
