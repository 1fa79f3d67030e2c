"""The Python of an image made elsewhere: found in its files as the image would find it, and never run."""

from __future__ import annotations

import posixpath
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from itertools import islice

from oci_builder.errors import NoPython, UnsafePath
from oci_builder.imported.libc import MAX_TEXT, Libc, file_at, find_libc, loader_of, mapped_file, read_file, version_in
from oci_builder.tree.content import MappedFiles
from oci_builder.tree.entry import EntryPath
from oci_builder.tree.tree import Tree

_PATH = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
"""Where engines look for programs in an image that does not say."""

_MAX_FOLDERS = 1000
"""Folders of a PATH that are looked into; thirty would be many."""

_NAME = re.compile(r"python(3\.[0-9]{1,3})\Z")
_LIBRARY = re.compile(r"(?:(.*)/)?(?:lib|lib64)/python(3\.[0-9]{1,3})/os\.py\Z", re.DOTALL)
_PATCHLEVEL = re.compile(rb'^#define PY_VERSION[ \t]+"([^"\n]{1,40})"', re.MULTILINE)
_NUMBER = r"\.[0-9]{1,4}(?:(?:a|b|rc)[0-9]{1,4})?"
_PIECE = 1 << 20
_OVERLAP = 4096
"""Bytes of a library that are searched at once, and that two such pieces share."""

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
        with MappedFiles() as sources:
            return _found(tree, env, machine, what, sources)
    except UnsafePath as error:
        raise NoPython(what, f"its links go round in circles: {error}") from error


def _found(tree: Tree, env: Mapping[str, str], machine: str, what: str, sources: MappedFiles) -> Python:
    places = _Places(tree)
    for command in _commands(tree, env, places):
        home = _home(tree, command)
        minor = _minor(tree, command, places)
        if minor is not None:
            break
    else:
        hint = "take an image with Python in it, such as docker.io/library/python:3.11-slim, or a base of layers/"
        raise NoPython(what, "there is no Python in it: neither python3 on its PATH nor a standard library", hint=hint)
    if int(minor.partition(".")[2]) < _OLDEST:
        raise NoPython(what, f"its Python is {minor}, and 3.{_OLDEST} is the oldest that can be installed for")
    real = tree.resolve(command.strip("/"))
    version = _version(tree, sources, minor, real=real, places=places)
    libc = find_libc(tree, sources, machine=machine, loader=loader_of(tree, sources, real))
    if version is None or libc is None:
        missing = f"the exact version of its Python {minor}" if version is None else f"its C library for {machine}"
        raise NoPython(what, f"{missing} cannot be told from its files")
    found = _described(tree, command, minor, home=home, version=version, libc=libc)
    if not _is_text(found.purelib, found.interpreter):
        raise NoPython(what, f"the path of its Python, {found.purelib!r}, is no UTF-8")
    return found


def _is_text(*paths: str) -> bool:
    try:
        "".join(paths).encode()
    except UnicodeEncodeError:
        return False
    return True


class _Places:
    """What the search asks for again and again, found in one walk over the tree."""

    def __init__(self, tree: Tree) -> None:
        self.commands: dict[str, list[str]] = {}
        self.libraries: dict[str, set[str]] = {}
        self.shared: list[EntryPath] = []
        for path in tree.paths:
            folder, _, name = path.rpartition("/")
            if _NAME.match(name):
                self.commands.setdefault(folder, []).append(name)
            elif name == "os.py" and (match := _LIBRARY.match(path)):
                self.libraries.setdefault(match[1] or "", set()).add(match[2])
            elif name.startswith("libpython3."):
                self.shared.append(path)


def _commands(tree: Tree, env: Mapping[str, str], places: _Places) -> Iterator[str]:
    """The programs that could be its Python, in the order of its PATH; absolute, links not followed."""
    folders = (folder.rstrip("/") for folder in env.get("PATH", _PATH).split(":") if folder.startswith("/"))
    for folder in islice(dict.fromkeys(folders), _MAX_FOLDERS):
        versioned = sorted(places.commands.get(tree.resolve(folder.strip("/")), ()), key=_newest_first)
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


def _minor(tree: Tree, command: str, places: _Places) -> str | None:
    """The version whose standard library belongs to an interpreter, ``3.11``; None where there is none."""
    real = tree.resolve(command.strip("/"))
    libraries = places.libraries.get(posixpath.dirname(posixpath.dirname(real)), set())
    named = _NAME.match(posixpath.basename(real))
    if named is not None:
        return named[1] if named[1] in libraries else None
    return next(iter(libraries)) if len(libraries) == 1 else None


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


def _version(tree: Tree, sources: MappedFiles, minor: str, *, real: EntryPath, places: _Places) -> str | None:
    """The full version: what the interpreter itself holds, or else what headers and package databases say."""
    base = posixpath.dirname(posixpath.dirname(real))
    number = re.escape(minor) + _NUMBER
    # Linkers keep a text that is the end of another one only there: of one built for /opt/python/3.13.0, that path's.
    for before in (rb"\0", rb"[/-]"):
        inside = re.compile(before + rb"(" + number.encode() + rb")\+?\0")
        for path in (real, *_libraries(minor, places)):
            found = _inside(tree, sources, path, inside)
            if len(found) == 1:
                return found.pop().decode()
    for said in _said(tree, sources, base, minor):
        match = re.match(number, said)
        if match:
            return match[0]
    return None


def _inside(tree: Tree, sources: MappedFiles, path: EntryPath, pattern: re.Pattern[bytes]) -> set[bytes]:
    """What stands in a program or library for ``pattern``: nothing, one text, or two where there are more."""
    data = mapped_file(tree, sources, path)
    found: set[bytes] = set()
    for start in range(0, len(data or b""), _PIECE):
        piece = bytes((data or b"")[start : start + _PIECE + _OVERLAP])
        for match in pattern.finditer(piece):
            found.add(match[1])
            if len(found) > 1:
                return found
    return found


def _libraries(minor: str, places: _Places) -> Iterator[EntryPath]:
    name = re.compile(rf"libpython{re.escape(minor)}[a-z]*\.so(?:\.[0-9]+)*\Z")
    yield from (path for path in places.shared if name.match(posixpath.basename(path)))


def _said(tree: Tree, sources: MappedFiles, base: str, minor: str) -> Iterator[str]:
    """Texts that begin with the version, from wherever an image says it."""

    def text(path: str) -> bytes:
        return read_file(tree, sources, path.strip("/"), limit=MAX_TEXT) or b""

    header = _PATCHLEVEL.search(text(f"{base}/include/python{minor}/patchlevel.h"))
    packages = {f"{kind}python{minor}{part}".encode() for kind in ("", "lib") for part in ("", "-minimal")}
    debian = ("var/lib/dpkg/status", f"var/lib/dpkg/status.d/python{minor}-minimal")
    places = (
        header[1] if header else b"",
        *(version_in(text(path), packages, name=b"Package: ", version=b"Version: ") for path in debian),
        version_in(text("lib/apk/db/installed"), [b"python3"], name=b"P:", version=b"V:"),
    )
    yield from (said.decode("utf-8", "replace") for said in places)
