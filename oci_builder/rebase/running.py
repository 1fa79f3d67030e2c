"""Whether what ran on the old base runs on the new one: its Python, what it starts, and the paths that it names."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping, Sequence

from oci_builder.errors import UnsafePath
from oci_builder.gate.dlopen import by_name_findings
from oci_builder.gate.finding import Finding
from oci_builder.gate.programs import PATH, Programs
from oci_builder.gate.python import PythonClosure
from oci_builder.gate.starting import judge_starts
from oci_builder.rebase.ability import Ability
from oci_builder.rebase.sides import Side, Sides, lost, refused, words_of
from oci_builder.tree.content import MappedFiles
from oci_builder.tree.entry import Kind

_LIKE_IT = "take a base like the old one, only newer"
_LIBRARY = re.compile(r"(?:.*/)?lib(?:64)?/(python3\.[0-9]{1,3})/")
_BINARY = re.compile(r"(?:.*/)?lib(?:64)?/python(3\.[0-9]{1,3})t?d?/lib-dynload/[A-Za-z0-9_]+\.(.+\.so)\Z")
_SHELLS = re.compile(rb"#![ \t]*\S*(?:/|/env[ \t]+)(?:ba|da|a)?sh\b")
_SCRIPT = 64 << 10
"""Bytes of a shell script that is read for the commands it names."""

_RELIED_ON: Mapping[str, str] = {
    "/etc/ssl/certs/ca-certificates.crt": "the certificates that TLS trusts",
    "/usr/share/zoneinfo": "time zones",
    "/etc/nsswitch.conf": "where names are looked up",
    "/bin/sh": "a shell",
    "/tmp": "a folder for temporary files",
}
"""What programs count on and nobody says: a base that had it is followed by one that has it."""


def python_findings(before: Side, after: Side) -> Iterator[Finding]:
    """What has been installed for one Python is of no use to another: its minor version, its folders, its C library."""
    old, new = before.image.promise, after.image.promise
    if old is None:
        return
    if new is None:
        why = f"the image has Python {old.version}, and on the new base none: {after.image.missing}"
        yield refused("python", old.version, why, _LIKE_IT)
        return
    pairs = (
        ("minor version", old.version.rpartition(".")[0], new.version.rpartition(".")[0]),
        ("prefix", old.prefix, new.prefix),
        ("folder of distributions", old.purelib, new.purelib),
        ("folder of programs", old.scripts, new.scripts),
        ("program", old.interpreter, new.interpreter),
        ("C library", "musl" if old.musl != (0, 0) else "glibc", "musl" if new.musl != (0, 0) else "glibc"),
    )
    for what, was, now in pairs:
        if was != now:
            yield refused("python", now, f"the {what} of its Python was {was}, and is {now} on the new base", _LIKE_IT)
    if new.musl < old.musl:
        # Its symbols have no versions that could be compared.
        was, now = (".".join(map(str, each)) for each in (old.musl, new.musl))
        yield refused("python", now, f"the C library was musl {was}, and is the older {now} on the new base", _LIKE_IT)


def binary_findings(before: Side, after: Side) -> Iterator[Finding]:
    """Extension modules are made for one build of Python: with debugging or without a lock, it is another."""
    old, new = _suffixes(before), _suffixes(after)
    if old and new and not old <= new:
        gone = ", ".join(sorted(old - new))
        why = f"extension modules of its Python end in {gone}, and on the new base in {', '.join(sorted(new))}"
        yield refused("python", gone, why, _LIKE_IT)


def _suffixes(side: Side) -> set[str]:
    """How the names of the standard library's extension modules end, of the Python that is first on PATH."""
    promise = side.image.promise
    minor = promise.version.rpartition(".")[0] if promise else ""
    return {match[2] for path in side.tree.paths if (match := _BINARY.match(path)) and match[1] == minor}


def other_python_findings(sides: Sides) -> Iterator[Finding]:
    """Folders of a Python of the base's, not the first on PATH, that has gone from it."""
    minors = {match[1]: path for path in sides.tree.paths if (match := _LIBRARY.match(path))}
    for minor, path in sorted(minors.items()):
        if _has_library(sides.before, minor) and not _has_library(sides.after, minor):
            why = f"{sides.layer(path)} has /{path} for {minor}, of which the new base has no standard library"
            yield refused("python", minor, why, _LIKE_IT)


def _has_library(side: Side, minor: str) -> bool:
    return any(path.endswith(f"/{minor}/os.py") for path in side.tree.paths)


def requirement_findings(before: Ability, after: Ability) -> Iterator[Finding]:
    """What distributions require of each other and of the interpreter, where the old base met it."""
    known = {(found.kind, found.origin, found.subject) for found in _required(before)}
    yield from (found for found in _required(after) if (found.kind, found.origin, found.subject) not in known)


def _required(ability: Ability) -> Iterator[Finding]:
    if ability.modules is not None:
        yield from PythonClosure(ability.distributions, ability.modules, ability.side.image.target).findings()
        yield from by_name_findings(ability.distributions, ability.files.values())


def start_findings(sides: Sides, before: Ability, after: Ability) -> Iterator[Finding]:
    """What the image starts, and every script of its own layers: what began on the old base begins on the new one."""
    machine = after.side.image.platform.machine
    with MappedFiles() as sources:
        old = Programs(before.side.tree, before.files, before.side.run, machine, sources)
        new = Programs(after.side.tree, after.files, after.side.run, machine, sources)
        known = {found.subject for found in _starts(before, old)}
        yield from (found for found in _starts(after, new) if found.subject not in known)
        for entry in sides.seen:
            word = f"/{entry.path}"
            if new.is_script(entry) and (defect := new.defect(word)) and old.defect(word) is None:
                why = f"{word}, of {sides.layer(entry.path)}, {defect.why}"
                yield refused("interpreter", word, why, defect.hint)
        yield from _commands(sides, sources)


def shadow_findings(sides: Sides) -> Iterator[Finding]:
    """Programs of the image, or that it is started with, in whose place PATH would lead to another."""
    before, after = sides.before, sides.after
    run = after.run
    own = [entry.path for entry in sides.seen if entry.mode & 0o111 or entry.kind is Kind.SYMLINK]
    words = {path.rpartition("/")[2] for path in own} | {words[0] for words in (run.entrypoint, run.cmd) if words}
    for word in sorted(word for word in words if "/" not in word):
        old, new = _which(before, word), _which(after, word)
        if old and new and old != new:
            why = f"{word} was /{old}, and on the new base /{new} comes before it on PATH"
            yield refused("start", word, why, "name it by its whole path where it is started, or build the image anew")


def _which(side: Side, word: str) -> str:
    """The path that a name is found at, links of the file itself not followed; nothing where it is not."""
    for folder in _folders(side):
        entry = side.entry(f"/{folder}/{word}")
        if entry is not None and entry.kind is Kind.FILE and entry.mode & 0o111:
            return f"{folder}/{word}"
    return ""


def _starts(ability: Ability, programs: Programs) -> Iterable[Finding]:
    side = ability.side
    judged = judge_starts(side.tree, side.run, programs, inherited=(), modules=ability.modules, scripts="")
    return judged.findings


def _commands(sides: Sides, sources: MappedFiles) -> Iterator[Finding]:
    """Commands and variables of the old base that the image's shell scripts name, and that the new one has not."""
    gone = _names(sides.before) - _names(sides.after)
    unset = sides.before.run.env.keys() - sides.after.run.env.keys()
    if not gone and not unset:
        return
    texts = {f"/{entry.path}": text for entry in sides.seen if (text := _shell(entry.path, sides, sources))}
    texts["the entrypoint, command or healthcheck"] = " ".join(_words(sides.after))
    for place, text in sorted(texts.items()):
        for name in sorted(gone & set(re.findall(r"[A-Za-z0-9][A-Za-z0-9._+-]*", text))):
            why = f"{place} names {name}, a command of the old base that the new one does not have"
            yield refused("start", name, why, _LIKE_IT)
        for name in sorted(unset & set(re.findall(r"\$\{?([A-Za-z_][A-Za-z0-9_]*)", text))):
            why = f"{place} names ${name}, a variable of the old base's that the new one does not set"
            yield refused("env", name, why, _LIKE_IT)


def _words(side: Side) -> Sequence[str]:
    """All words that the image is started and looked after with."""
    image = side.image.inherited
    check = image.run_rest.get("Healthcheck") if image is not None else None
    test = check.get("Test") if isinstance(check, dict) else None
    words = [word for word in test if isinstance(word, str)] if isinstance(test, list) else []
    return (*side.run.entrypoint, *side.run.cmd, *words)


def _names(side: Side) -> set[str]:
    """The commands on an image's PATH."""
    folders = set(_folders(side))
    return {name for path in side.tree.paths for folder, _, name in (path.rpartition("/"),) if folder in folders}


def _folders(side: Side) -> Sequence[str]:
    """The folders of an image's PATH, where they really are."""
    found = []
    for folder in words_of(side.run.env.get("PATH") or PATH):
        try:
            found.append(side.tree.resolve(folder))
        except UnsafePath:
            continue
    return list(dict.fromkeys(found))


def _shell(path: str, sides: Sides, sources: MappedFiles) -> str:
    entry = sides.after.tree.get(path)
    if entry is None or entry.kind is not Kind.FILE or entry.content is None or entry.size > _SCRIPT:
        return ""
    if not entry.mode & 0o111:
        return ""
    text = sources.read(entry.content, what=path)
    # Who starts it is judged apart.
    return text.partition(b"\n")[2].decode("utf-8", "replace") if _SHELLS.match(text) else ""


def named_findings(sides: Sides) -> Iterator[Finding]:
    """Paths that the configuration and the own layers' links name, and that were there and are not any more."""
    before, after = sides.before, sides.after
    run = after.run
    for name, text in sorted(run.env.items()):
        for word in words_of(text):
            if name != "PATH" and lost(before, after, word):
                yield refused("env", word, f"{name} names {word}, which the new base does not have", _LIKE_IT)
    for word in (*_words(after), run.workdir):
        if word.startswith("/") and lost(before, after, word):
            yield refused("start", word, f"the image is run with {word}, which the new base does not have", _LIKE_IT)
    for entry in sides.tree:
        if entry.kind is Kind.SYMLINK and lost(before, after, f"/{entry.path}"):
            why = f"/{entry.path}, of {sides.layer(entry.path)}, leads to {entry.target}"
            yield refused("path", f"/{entry.path}", f"{why}, which the new base does not have", _LIKE_IT)
    for path, what in _RELIED_ON.items():
        if lost(before, after, path):
            yield refused("path", path, f"the old base had {path}, {what}, and the new one does not", _LIKE_IT)
