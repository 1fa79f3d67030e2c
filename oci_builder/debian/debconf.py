"""debconf where nobody is asked: the answers are those that templates have, and those that scripts set."""

from __future__ import annotations

from collections.abc import Callable, Mapping

from oci_builder.debian.control import stanza
from oci_builder.debian.shell import Call, Command

CONFMODULE = "/usr/share/debconf/confmodule"
_SKIPPED = 30
"""What ``db_input`` answers of a question that is not asked."""

_ABSENT = 10
PREFIX = "debconf:"
"""Before a question's name in the variables of a shell, where no variable of a script can be."""


def answers(templates: bytes) -> dict[str, str]:
    """The variables that hold the answers before anybody is asked, by a package's templates."""
    found: dict[str, str] = {}
    for text in templates.decode("utf-8", "replace").split("\n\n"):
        fields = stanza(text)
        if "template" in fields:
            found[f"{PREFIX}{fields['template']}"] = fields.get("default", "")
    return found


def _get(call: Call) -> int:
    if not call.arguments:
        raise call.unknown("it names no question")
    value = call.shell.variables.get(f"{PREFIX}{call.arguments[0]}")
    call.shell.variables["RET"] = "" if value is None else value
    return _ABSENT if value is None else 0


def _set(call: Call) -> int:
    if not call.arguments:
        raise call.unknown("it names no question")
    name = f"{PREFIX}{call.arguments[0]}"
    if name not in call.shell.variables:
        return _ABSENT
    call.shell.variables[name] = " ".join(call.arguments[1:])
    return 0


def _says(status: int, answer: str) -> Callable[[Call], int]:
    def command(call: Call) -> int:
        call.shell.variables["RET"] = answer
        return status

    return command


DEBCONF: Mapping[str, Command] = {
    "db_get": _get,
    "db_set": _set,
    "db_input": _says(_SKIPPED, "question skipped"),
    "db_version": _says(0, "2.0"),
    "db_capb": _says(0, "multiselect escape"),
    **dict.fromkeys(
        ("db_go", "db_stop", "db_title", "db_settitle", "db_subst", "db_fset", "db_beginblock", "db_endblock"),
        _says(0, ""),
    ),
}
"""The functions of confmodule that are known."""
