"""What somebody may have written in place of TOML, told from the text and the place where a reader gave up.

Loaded only to explain a mistake.
"""

from __future__ import annotations

import re

_QUOTES = "“”„‟‘’‚‛«»`´"
_DOCKER = re.compile(r"\s*(FROM|RUN|COPY|CMD|ENTRYPOINT|WORKDIR|ENV|EXPOSE|ARG|ADD|USER|LABEL)\s+[^\s=]", re.IGNORECASE)
_HEADER = re.compile(r"\s*\[{1,2}([^\[\]]*)\]{1,2}")
_BLANKS = "\u200b\u200c\u200d\ufeff\u00a0\u2007\u202f"
_WORD_VALUE = re.compile(r"[^=]*=\s*([A-Za-z_][\w./:-]*)\s*(#.*)?$")
_BOOLEANS = {"true": "true", "false": "false", "yes": "true", "no": "false", "on": "true", "off": "false"}


def clause(said: str) -> str:
    """What tomllib ``said``, without the values of Python that it shows."""
    twice = re.match(r"Cannot (?:declare|overwrite|mutate|define) .*?(\(.*\)) twice", said)
    names = re.findall(r"'([^']*)'", twice[1]) if twice else []
    if names:
        return f"the table [{'.'.join(names)}] stands here a second time{said[twice.end() :] if twice else ''}"
    return said[:1].lower() + said[1:] if said[1:2].islower() else said


def hint(text: str, said: str, line: int, column: int) -> str:
    """What to write instead; ``said`` is tomllib's sentence about the ``line`` and ``column``, from 1."""
    lines = text.split("\n")
    here = lines[line - 1] if 0 < line <= len(lines) else ""
    return (
        _another_language(text, here)
        or _characters(here, column)
        or _twice(said)
        or _unclosed(said, here)
        or _value(here, said, column)
        or "put text in quotes, and each key in a line of its own"
    )


def _another_language(text: str, here: str) -> str | None:
    first = next((line for line in text.split("\n") if line.strip() and not line.lstrip().startswith("#")), "")
    if _DOCKER.match(first):
        return "this is a Dockerfile: ocibuild init, in the folder of the Dockerfile, writes the image.toml that it is"
    if first.lstrip().startswith("{"):
        return 'this is JSON: TOML has no braces around the whole, and a line for each key, as in base = "python-3.11"'
    if re.match(r"\s*- ", here) or re.match(r"\s*[\w\"'-]+\s*:(\s|$)", here):
        return 'this is YAML: TOML has an equals sign behind a key, and lists in brackets, as in cmd = ["python3"]'
    return None


def _characters(here: str, column: int) -> str | None:
    if any(letter in here[column - 2 :] for letter in _QUOTES):
        return 'write straight quotes: " and not “ or `; programs that write letters make others of them'
    if any(letter in here for letter in _BLANKS):
        return "a blank here is none that a keyboard writes, as texts from web pages have: type the line anew"
    if here.lstrip().startswith(("//", ";", "--", "/*")):
        return "write comments behind a #"
    return None


def _twice(said: str) -> str | None:
    if "twice" in said:
        return "put what is below both headers under the first one"
    if "overwrite a value" in said or "namespace" in said:
        return "a key stands once in its table, and is a value, a [table] or [[tables]]: take one of both out"
    return None


def _unclosed(said: str, here: str) -> str | None:
    if "Unterminated string" in said or said.startswith("Expected \"'"):
        return 'close the quote: text of one line begins and ends with ", text of several with """'
    if said.startswith(("Unclosed array", "Expected ']'")):
        return "close the bracket, and put a comma between two values"
    if "Illegal character" in said and here.count('"') % 2:
        return 'close the quote: text of one line begins and ends with ", text of several with """'
    if "inline table" in said or "initial character for a key part" in said:
        if "{" in here:
            return "a table in braces stands in one line, and has no comma before its closing brace"
        return "a key has letters, digits, _ and -; any other is put in quotes"
    if "hex value" in said or "escape" in said:
        return "in \"…\" a backslash begins an escape: write '…', or \\\\ for each"
    return None


def _value(here: str, said: str, column: int) -> str | None:
    if found := _WORD_VALUE.match(here):
        word = found[1]
        if word.lower() in _BOOLEANS and word not in ("true", "false"):
            return f"write {_BOOLEANS[word.lower()]}, in small letters and without quotes"
        if word.lower() in ("none", "null", "nil"):
            return "TOML has no word for nothing: take the line out"
        return f'write text in quotes: "{word}"'
    value = here.partition("=")[2].strip()
    if value.startswith("("):
        return "a list stands in brackets: [ and ]"
    if re.match(r"[bfru]+[\"']", value, re.IGNORECASE):
        return "text begins with its quote, without a letter before it"
    if "after a key" in said:
        if _HEADER.match(here):
            return "close the brackets of the header"
        return 'write KEY = VALUE, with an equals sign, as in base = "python-3.11"'
    if "after a statement" in said:
        if here.rstrip().endswith((",", ";")):
            return "take the comma at the end of the line away: a line is one key"
        if re.match(r"[+-]?0[0-9]", value):
            return f'a number does not begin with 0: write it in quotes, "{value.split()[0]}"'
        if re.match(r"[0-9.]+\w*", value):
            return f'write it in quotes: "{value.split("#")[0].strip()}"'
        return "one key a line; several values stand in brackets, with commas between"
    if here.lstrip().startswith("=") or value.startswith("="):
        return "write KEY = VALUE, with one equals sign"
    return "put a value behind the equals sign, text in quotes" if not value or value.startswith("#") else None
