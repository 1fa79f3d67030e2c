"""The Python of an image made elsewhere: found in its files as the image would find it, and never run."""

from __future__ import annotations

import posixpath
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from oci_builder.errors import NoPython, UnsafePath
from oci_builder.foreign.libc import Libc, file_at, find_libc, loader_of, read_file
from oci_builder.tree.content import Sources
from oci_builder.tree.entry import Entry, EntryPath
from oci_builder.tree.tree import Tree

_PATH = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
"""Where engines look for programs in an image that does not say."""

_NAME = re.compile(r"python(3\.[0-9]{1,3})\Z")
_LIBRARY = re.compile(r"(?:lib|lib64)/python(3\.[0-9]{1,3})/os\.py\Z")
_NUMBER = r"\.[0-9]{1,3}(?:(?:a|b|rc)[0-9]{1,3})?"
_OLDEST = 8
"""Python 3.x that wheels' metadata and .pyc files are understood of."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Python:
    """What an image has to offer to wheels. Paths are absolute; ``version`` is full ("3.11.9")."""

    version: str
    interpreter: str
    prefix: str
    purelib: str
    scripts: str
    libc: Libc


def find_python(tree: Tree, env: Mapping[str, str], *, machine: str, what: str) -> Python:
    """The Python that ``python3`` starts in a container of ``tree`` and ``env``, virtual environments included.

    Raises NoPython, naming ``what``.
    """
    try:
        with Sources() as sources:
            return _found(tree, env, machine, what, sources)
    except UnsafePath as error:
        raise NoPython(what, f"its links go round in circles: {error}") from error


def _found(tree: Tree, env: Mapping[str, str], machine: str, what: str, sources: Sources) -> Python:
    for command in _commands(tree, env):
        home = _home(tree, command)
        minor = _minor(tree, command, home)
        if minor is not None:
            break
    else:
        hint = "take an image with Python in it, such as docker.io/library/python:3.11-slim, or a base of layers/"
        raise NoPython(what, "there is no Python in it: neither python3 on its PATH nor a standard library", hint=hint)
    if int(minor.partition(".")[2]) < _OLDEST:
        raise NoPython(what, f"its Python is {minor}, and 3.{_OLDEST} is the oldest that can be installed for")
    real = tree.resolve(command.strip("/"))
    version = _version(tree, sources, minor, home=home, real=real)
    libc = find_libc(tree, sources, machine=machine, loader=loader_of(tree, sources, real))
    if version is None or libc is None:
        missing = f"the exact version of its Python {minor}" if version is None else f"its C library for {machine}"
        raise NoPython(what, f"{missing} cannot be told from its files")
    return _described(tree, command, minor, home=home, version=version, libc=libc)


def _commands(tree: Tree, env: Mapping[str, str]) -> Iterator[str]:
    """The programs that could be its Python, in the order of its PATH; absolute, links not followed."""
    folders = dict.fromkeys(part.rstrip("/") for part in env.get("PATH", _PATH).split(":") if part.startswith("/"))
    # Sorted into folders once: a PATH may be as long as somebody makes it.
    named: dict[str, list[str]] = {}
    for path in tree.paths:
        place, _, name = path.rpartition("/")
        if name.startswith("python3.") and _NAME.match(name):
            named.setdefault(place, []).append(name)
    for folder in folders:
        versioned = sorted(named.get(tree.resolve(folder.strip("/")), ()), key=_newest_first)
        for name in ("python3", "python", *versioned):
            if file_at(tree, f"{folder}/{name}") is not None:
                yield f"{folder}/{name}"


def _newest_first(name: str) -> int:
    return -int(name.rpartition(".")[2])


def _home(tree: Tree, command: str) -> str:
    """The prefix of an interpreter (PEP 405, and getpath): its virtual environment, or the folder above its bin."""
    here = posixpath.dirname(posixpath.dirname(command))
    if f"{here}/pyvenv.cfg".strip("/") in tree:
        return here
    return "/" + posixpath.dirname(posixpath.dirname(tree.resolve(command.strip("/"))))


def _minor(tree: Tree, command: str, home: str) -> str | None:
    """The version whose standard library belongs to an interpreter, ``3.11``; None where there is none."""
    real = posixpath.basename(tree.resolve(command.strip("/")))
    base = _real_home(tree, command)
    libraries = {match[1] for path in _below(tree, base) if (match := _LIBRARY.match(path))}
    named = _NAME.match(real)
    if named is not None:
        return named[1] if named[1] in libraries else None
    return next(iter(libraries)) if len(libraries) == 1 else None


def _real_home(tree: Tree, command: str) -> str:
    return posixpath.dirname(posixpath.dirname(tree.resolve(command.strip("/"))))


def _below(tree: Tree, folder: str) -> Iterator[str]:
    prefix = f"{folder}/" if folder else ""
    yield from (path[len(prefix) :] for path in tree.paths if path.startswith(prefix) and path.endswith("/os.py"))


def _described(tree: Tree, command: str, minor: str, *, home: str, version: str, libc: Libc) -> Python:
    beside = f"{posixpath.dirname(command)}/python{minor}"
    is_environment = f"{home}/pyvenv.cfg".strip("/") in tree
    prefix = "/usr/local" if not is_environment and _is_debians(tree, home, minor) else home
    packages = "dist-packages" if prefix != home else "site-packages"
    library = f"{prefix}/lib/python{minor}/{packages}"
    return Python(
        version=version,
        interpreter=beside if file_at(tree, beside) is not None else command,
        prefix=prefix,
        # Where the folder really is: what lies below a link is best named by its own path.
        purelib=f"/{tree.resolve(library.strip('/'))}",
        scripts=f"{prefix}/bin",
        libc=libc,
    )


def _is_debians(tree: Tree, home: str, minor: str) -> bool:
    """Whether Python is patched by Debian or Ubuntu, whose pip installs below /usr/local, into dist-packages."""
    if home != "/usr":
        return False
    marks = ("usr/lib/python3/dist-packages", f"usr/local/lib/python{minor}/dist-packages", "var/lib/dpkg/status")
    return any(mark in tree for mark in marks) or any(path.startswith("var/lib/dpkg/status.d/") for path in tree.paths)


def _version(tree: Tree, sources: Sources, minor: str, *, home: str, real: EntryPath) -> str | None:
    """The full version: what the interpreter itself holds, or else what headers and package databases say."""
    base = posixpath.dirname(posixpath.dirname(real))
    number = re.escape(minor) + _NUMBER
    # Linkers keep a text that is the end of another one only there: of one built for /opt/python/3.13.0, that path's.
    for before in (rb"\0", rb"[/-]"):
        inside = re.compile(before + rb"(" + number.encode() + rb")\+?\0")
        for entry in (file_at(tree, real), *_libraries(tree, minor)):
            data = read_file(tree, sources, entry.path) if entry is not None else None
            found = set(inside.findall(data or b""))
            if len(found) == 1:
                return str(found.pop().decode())
    said = _said(tree, sources, base, minor)
    for text, package, pattern in said:
        version = re.compile(pattern.replace("@", f"({number})"), re.MULTILINE)
        # Paragraph by paragraph: a pattern over several lines would read on from each of a million.
        for paragraph in text.split("\n\n"):
            if (not package or re.search(package, paragraph, re.MULTILINE)) and (match := version.search(paragraph)):
                return match[1]
    return None


def _libraries(tree: Tree, minor: str) -> Iterator[Entry]:
    name = re.compile(rf"libpython{re.escape(minor)}[a-z]*\.so(?:\.\d+)*\Z")
    yield from (entry for path, entry in tree.paths.items() if name.match(posixpath.basename(path)))


def _said(tree: Tree, sources: Sources, base: str, minor: str) -> Iterator[tuple[str, str, str]]:
    """Texts that tell the version, the patterns of the paragraph that does and of the version in it."""
    dotted = re.escape(minor)
    places = {
        f"{base}/include/python{minor}/patchlevel.h": ("", r'^#define PY_VERSION[ \t]+"@\+?"'),
        "var/lib/dpkg/status": (rf"^Package: (?:lib)?python{dotted}(?:-minimal)?$", "^Version: @[-+~]"),
        f"var/lib/dpkg/status.d/python{minor}-minimal": ("", "^Version: @[-+~]"),
        "lib/apk/db/installed": ("^P:python3$", "^V:@-"),
    }
    for path, (package, pattern) in places.items():
        data = read_file(tree, sources, path.strip("/"))
        if data is not None:
            yield data.decode("utf-8", "replace"), package, pattern
