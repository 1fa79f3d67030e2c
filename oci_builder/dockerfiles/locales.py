"""Locales that a Dockerfile makes, and the one that it sets: what ``[config] locale`` says in a recipe.

Seen as lines of RUN: localedef, locale-gen, dpkg-reconfigure locales, update-locale, and sed, echo or printf that write
/etc/locale.gen.
"""

from __future__ import annotations

import posixpath
import re
from collections.abc import Sequence

from oci_builder.debian.localenames import LocaleName, is_built_in, normal_charset
from oci_builder.dockerfiles.draft import Draft, Place, Verdict
from oci_builder.dockerfiles.shell import Command

GENERATED = "/etc/locale.gen"
ALL = "locales-all"
PACKAGES = ("locales", ALL)
"""Packages of Debian that such a Dockerfile installs: the recipe's key stands for them."""

_SPELLED = re.compile(r"\b([a-z]{2,3}_[A-Z]{2}(?:\\?\.[A-Za-z0-9-]+)?(?:@[a-z]+)?)(?:[ \t]+([A-Z][A-Z0-9-]+))?")
_VALUED = ("-i", "-f", "-A", "-u", "--inputfile", "--charmap", "--alias-file", "--prefix")
_OF_LOGINS = ("/etc/default/locale", "/etc/locale.conf")
_COMMANDS = ("localedef", "locale-gen", "update-locale", "dpkg-reconfigure")


def makes_locales(command: Command) -> bool:
    """Whether a command has to do with locales alone."""
    if not command.words:
        return False
    name = posixpath.basename(command.words[0])
    if name == "dpkg-reconfigure":
        return "locales" in command.words
    return name in _COMMANDS or command.output in _OF_LOGINS or GENERATED in (command.output, *command.words)


def make_locales(command: Command, line: int, place: Place) -> None:
    """Translate such a command."""
    name, words = (
        posixpath.basename(command.words[0]),
        [place.expand(word.replace("\\n", " ")) for word in command.words[1:]],
    )
    if not place.is_final:
        place.draft.say(line, Verdict.NOT_NEEDED, f"{name}: locales of a stage that only builds")
        return
    if name == "update-locale" or command.output in _OF_LOGINS:
        place.draft.say(line, Verdict.NOT_NEEDED, f"{name}: for logins, of which a container has none; ENV LANG counts")
        return
    found = _of_localedef(words) if name == "localedef" else _spelled(" ".join(words))
    if name in ("echo", "printf", "sed") and not found:
        text = f"{name}: write the locales that {GENERATED} is to name into [config] locale"
        place.draft.say(line, Verdict.BY_HAND, text)
        return
    place.draft.locales += [each for each in found if each not in place.draft.locales]
    if found:
        place.draft.say(line, Verdict.DONE, f"[config] locale: {', '.join(found)}")
    else:
        place.draft.say(line, Verdict.NOT_NEEDED, f"{name}: the locales come compiled")


def _of_localedef(words: Sequence[str]) -> list[str]:
    """What localedef compiles: the last of its words, and the character set that it is told beside it."""
    options = {words[number]: words[number + 1] for number in range(len(words) - 1) if words[number] in _VALUED}
    skipped = {number + 1 for number, word in enumerate(words) if word in _VALUED}
    names = [word for number, word in enumerate(words) if not word.startswith("-") and number not in skipped]
    name = posixpath.basename(names[-1]) if names else ""
    charset = options.get("-f", options.get("--charmap", ""))
    parsed = LocaleName.parse(name)
    if parsed is None:
        return []
    return [name if parsed.charset or not charset else _with_charset(parsed, charset)]


def _spelled(text: str) -> list[str]:
    """The locales that a text names, as /etc/locale.gen has them: a name, and mostly its character set behind it."""
    found: dict[str, None] = {}
    for match in _SPELLED.finditer(text):
        parsed = LocaleName.parse(match[1].replace("\\", ""))
        if parsed is not None:
            is_utf8 = not parsed.charset and match[2] == "UTF-8"
            found[_with_charset(parsed, "UTF-8") if is_utf8 else match[1].replace("\\", "")] = None
    return list(found)


def _with_charset(name: LocaleName, charset: str) -> str:
    return f"{name.language}.{charset}{f'@{name.modifier}' if name.modifier else ''}"


def settle_locales(draft: Draft, env: dict[str, str]) -> list[str]:
    """The locales of the image, that of LANG first, which is then no variable of ``env`` any more."""
    language, strongest = env.get("LANG", ""), env.get("LC_ALL", "")
    used = [each for each in dict.fromkeys((language, strongest)) if each and not is_built_in(each)]
    if ALL in draft.packages:
        # Of hundreds those are taken that are used.
        draft.locales += [each for each in used if LocaleName.parse(each) is not None]
    absent = [each for each in used if not any(_is_same(each, made) for made in draft.locales)]
    draft.remarks += [f'no line makes the locale {each}: [config] locale = "{each}" has it be there' for each in absent]
    same = next((each for each in draft.locales if _is_same(each, language)), "")
    if same:
        del env["LANG"]
        return [language, *(each for each in draft.locales if not _is_same(each, language))]
    if draft.locales and not language:
        draft.remarks.append("no ENV LANG: with [config] locale the image has LANG set, to the first of them")
    return list(draft.locales)


def _is_same(one: str, other: str) -> bool:
    """Whether two names are of one locale, however their character sets are spelled."""
    first, second = LocaleName.parse(one), LocaleName.parse(other)
    if first is None or second is None:
        return False
    return (first.language, normal_charset(first.charset), first.modifier) == (
        second.language,
        normal_charset(second.charset),
        second.modifier,
    )
