"""grep, as far as maintainer scripts go: lines of files of the tree, or of what is piped into it."""

from __future__ import annotations

from oci_builder.debian.commandtexts import lines_of
from oci_builder.debian.patterns import Regex, compiled, literal
from oci_builder.debian.shell import Call

_OPTIONS = frozenset("qvEFGsxicolhw")
_LONG = {
    "--quiet": "q",
    "--silent": "q",
    "--no-messages": "s",
    "--invert-match": "v",
    "--line-regexp": "x",
    "--fixed-strings": "F",
    "--extended-regexp": "E",
    "--ignore-case": "i",
    "--count": "c",
    "--only-matching": "o",
    "--files-with-matches": "l",
    "--no-filename": "h",
    "--word-regexp": "w",
}
_ABSENT = 2


def grep(call: Call) -> int:
    """Say the lines that fit, and tell by the status whether any does."""
    letters, patterns, paths = _given(call)
    known = [_pattern(call, each, letters) for each in patterns]
    texts = [_text(call, path) for path in paths] or [call.stdin]
    found = False
    for path, text in zip(paths or ["(standard input)"], texts, strict=True):
        if text is not None:
            found |= _lines(call, known, letters, path if len(paths) > 1 and "h" not in letters else "", text)
    if found and "q" in letters:
        return 0
    return _ABSENT if None in texts else int(not found)


def _text(call: Call, path: str) -> str | None:
    if path == "-":
        return call.stdin
    return call.tree.read(path) if call.tree.has(path) and not call.tree.is_folder(path) else None


def _lines(call: Call, known: list[Regex], letters: set[str], path: str, text: str) -> bool:
    """Say the lines of one file that fit, and whether any does."""
    count, begin = 0, f"{path}:" if path else ""
    for line in lines_of(text):
        matches = [match for each in known if (match := each.search(call, line, whole="x" in letters)) is not None]
        if bool(matches) == ("v" in letters):
            continue
        count += 1
        if not letters & {"c", "q", "l", "o"}:
            call.say(f"{begin}{line}\n")
        elif "o" in letters and not letters & {"c", "q", "l", "v"}:
            _each(call, known, line, begin)
    if "l" in letters and count and "q" not in letters:
        call.say(f"{path or '(standard input)'}\n")
    elif "c" in letters and "q" not in letters:
        call.say(f"{begin}{count}\n")
    return count > 0


def _each(call: Call, known: list[Regex], line: str, begin: str) -> None:
    if len(known) != 1:
        raise call.unknown("which of several patterns is found first is not known here")
    at = 0
    while (match := known[0].search(call, line, at)) is not None:
        if match[0]:
            call.say(f"{begin}{match[0]}\n")
        at = max(match.end(), at + 1) if match[0] else match.end() + 1
        if at > len(line):
            return


def _given(call: Call) -> tuple[set[str], list[str], list[str]]:
    """The options, the patterns and the files."""
    letters: set[str] = set()
    patterns: list[str] = []
    others: list[str] = []
    words = list(call.arguments)
    if call.name != "grep":
        letters.add("E" if call.name == "egrep" else "F")
    while words:
        word = words.pop(0)
        if word == "--":
            others += words
            break
        if word in _LONG:
            letters.add(_LONG[word])
        elif word.startswith(("-e", "--regexp=")):
            value = word.removeprefix("-e") if word.startswith("-e") else word.removeprefix("--regexp=")
            if word == "-e" and not words:
                raise call.unknown("it has no pattern")
            patterns.append(words.pop(0) if word == "-e" else value)
        elif len(word) > 1 and word[0] == "-" and set(word[1:-1]) <= _OPTIONS and word[-1] == "e" and words:
            letters |= set(word[1:-1])
            patterns.append(words.pop(0))
        elif len(word) > 1 and word[0] == "-" and word[1] != "-" and set(word[1:]) <= _OPTIONS:
            letters |= set(word[1:])
        elif len(word) > 1 and word[0] == "-":
            raise call.unknown(f"its option {word} is not known here")
        else:
            others.append(word)
    if not patterns:
        if not others:
            raise call.unknown("it has no pattern")
        patterns = [others.pop(0)]
    return letters, [line for each in patterns for line in each.split("\n")], others


def _pattern(call: Call, pattern: str, letters: set[str]) -> Regex:
    if "F" in letters:
        if "w" in letters:
            raise call.unknown("its options are not known together here")
        return literal(pattern, ignoring_case="i" in letters)
    if "w" in letters:
        if not pattern.replace("_", "").isalnum():
            raise call.unknown("what word it looks for is not known here")
        pattern = f"\\<{pattern}\\>"
    return compiled(call, pattern, extended="E" in letters, ignoring_case="i" in letters)
