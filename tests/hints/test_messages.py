"""Every message as it stands in the code, read as a person reads it."""

from __future__ import annotations

import functools
import re
import runpy
from pathlib import Path
from typing import Any

import click
import pytest

from oci_builder import errors
from oci_builder.cli.app import COMMANDS, app
from oci_builder.wheels.explain import network_error
from tests.test_errors import KINDS, example

DOCS = Path(__file__).parents[2] / "docs"
_PAGE: dict[str, Any] = runpy.run_path(str(DOCS / "messages.py"))
_ROW = re.compile(r"^\| (.*) \| (.*) \|$", re.MULTILINE)
_FORBIDDEN = {
    "the repr of an object": r"\bobject at 0x|\bPosixPath\(|\bfrozenset\(|<class ",
    "bytes as Python writes them": r"\bb'[^']|\bb\"[^\"]",
    "nothing": r"\bNone\b",
    "a name whose first letter was made small": r"\b[a-z][A-Z]{2,}_?[A-Z]*\b",
    "two stops": r"(?<!\.)\.\.(?=\s|$)(?!/)",
    "one of several": r"\b1 (?:files|layers|images|wheels|packages|errors|findings|platforms|names|bytes)\b",
}


@functools.cache
def rows() -> list[tuple[str, str]]:
    """Message and hint of every row of the page."""
    plain = re.sub(r"\\([|<>*_\[\]\\])", r"\1", _PAGE["page"]())
    return [(match[1], match[2]) for match in _ROW.finditer(plain) if match[1] not in ("on the screen", "---")]


@pytest.mark.parametrize("what", sorted(_FORBIDDEN))
def test_no_message_and_no_hint_shows(what: str) -> None:
    found = [row for row in rows() if any(re.search(_FORBIDDEN[what], text) for text in row)]
    assert found == []


@pytest.mark.parametrize("kind", KINDS, ids=lambda kind: kind.__name__)
def test_a_message_of_every_class_reads_well(kind: type[errors.OcibuildError]) -> None:
    text = str(example(kind))
    assert not [what for what, pattern in _FORBIDDEN.items() if re.search(pattern, text)], text
    assert text == text.strip() and not text.endswith((".", ":")), text


def test_a_message_begins_with_what_it_is_about_and_ends_without_a_stop() -> None:
    # What ends in "…." would be a name with a stop behind it.
    assert [message for message, _ in rows() if re.search(r"[a-z…]\.$", message)] == []


def test_the_page_has_every_class_and_says_what_helps() -> None:
    kinds = {kind.__name__ for kind in KINDS}
    assert kinds == _PAGE["WAYS"].keys() == _PAGE["classes"]().keys()


def test_the_page_finds_what_the_screen_says() -> None:
    messages = " ".join(message for message, _ in rows())
    for words in (
        "there is no lock",
        "which is not in the image",
        "comes from both",
        "unknown key",
        "not a requirement",
    ):
        assert words in messages, words


@pytest.mark.parametrize(
    ("said", "why"),
    [
        (
            "WARNING: after connection broken by 'NewConnectionError('<pip."
            "_vendor.urllib3.connection.HTTPConnection object at 0x7f00>: Failed to establish a connection: "
            "[Errno 111] Connection refused')': /simple/x/",
            "Failed to establish a connection: [Errno 111] Connection refused",
        ),
        (
            "ERROR: HTTPSConnectionPool(host='x.example', port=443): Max retries exceeded with url: /simple/x/ ("
            "Caused by SSLError(SSLCertVerificationError(1, '[SSL: CERTIFICATE_VERIFY_FAILED] self-signed')))",
            "[SSL: CERTIFICATE_VERIFY_FAILED] self-signed",
        ),
    ],
)
def test_what_pip_says_of_a_connection_is_told_without_its_python(said: str, why: str) -> None:
    error = network_error(said)
    assert error is not None and error.why == why


def commands_in_hints() -> list[tuple[str, str]]:
    """Verb and next word of every command that a hint of the page names."""
    found = {match for _, hint in rows() for match in re.findall(r"ocibuild ([a-z]+)(?: ([^\s`;,)]+))?", hint)}
    return sorted(each for each in found if each[0] in COMMANDS)  # others are prose: "this ocibuild knows"


@pytest.mark.parametrize(("verb", "word"), commands_in_hints())
def test_a_command_in_a_hint_can_be_typed(verb: str, word: str) -> None:
    command = app.get_command(click.Context(app), verb)
    assert command is not None
    if isinstance(command, click.Group):
        assert command.get_command(click.Context(command), word) is not None
    elif any(isinstance(each, click.Argument) and each.required for each in command.params):
        assert word.startswith(("…", "--")) or word.isupper(), f"what {verb} is for has to be named"
