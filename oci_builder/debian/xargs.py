"""xargs of maintainer scripts (findutils): a command with words that are read."""

from __future__ import annotations

from oci_builder.debian.commandoptions import values_of
from oci_builder.debian.commandtexts import number_in, words_of
from oci_builder.debian.shell import Call

_LONG = {"--no-run-if-empty": "r", "--null": "0", "--max-args": "n"}


def xargs(call: Call) -> int:
    """Call a command with what is read, in parts where it is told so."""
    letters, values, words = values_of(call, "r0", {"n": "n", "I": "I"}, _LONG, leading=True)
    each, null = values.get("I", ""), "0" in letters
    if not null and any(letter in call.stdin for letter in "\"'\\"):
        raise call.unknown("quotes in what it reads are not known here")
    if each and "n" in values:
        raise call.unknown("its options are not known together here")
    items = call.stdin.split("\0") if null else call.stdin.split("\n") if each else words_of(call.stdin)
    items = [item if null else item.lstrip() for item in items if item]
    words = words or ["echo"]
    if not items and ("r" in letters or each):
        return 0
    number = number_in(call, values.get("n", "0"))
    if "n" in values and not number:
        raise call.unknown("its options are not known here")
    size = 1 if each else number or max(len(items), 1)
    status = 0
    for at in range(0, max(len(items), 1), size):
        some = items[at : at + size]
        line = [word.replace(each, some[0]) for word in words] if each else [*words, *some]
        status = (call.shell.call(line) and 123) or status
    return status
