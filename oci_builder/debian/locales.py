"""Locales taken out of Debian's ``locales-all``, whose files are compiled already: those that are asked for alone.

Nothing of the package is run. What several locales have in common, the package has once, with links between their
folders; here the first one that is taken has the file.
"""

from __future__ import annotations

import hashlib
import posixpath
import re
from collections.abc import Iterable, Iterator, Sequence

from msgspec.structs import replace

from oci_builder.debian.deb import DebFile
from oci_builder.debian.localenames import FOLDER, UTF8, charset_of, find_locale, names_in, nearest, normal_charset
from oci_builder.debian.lock import Pin
from oci_builder.debian.rootfs import read_package
from oci_builder.errors import InvalidValue, PackageError
from oci_builder.layer import Layer, LayerKey, find, keep, write_layer
from oci_builder.store import Store
from oci_builder.tree.content import MappedFiles
from oci_builder.tree.entry import Entry, Kind, file, symlink
from oci_builder.tree.placing import place
from oci_builder.tree.tree import Tree, parents

PACKAGE = "locales-all"
FORMAT = 1
"""Raised when the same locales give another layer than before."""

_COPYRIGHT = f"usr/share/doc/{PACKAGE}/copyright"
_STATUS = f"var/lib/dpkg/status.d/{PACKAGE}"
_WITHOUT_CONVERSION = (UTF8, "ansix341968")
"""Character sets that the C library reads without a module: UTF-8, and ASCII by its long name."""


def locale_layer(names: Sequence[str], pin: Pin, below: Tree, store: Store) -> Layer:
    """The layer of the locales ``names`` over ``below``, from the store or made of the package ``pin``, which is there.

    Raises InvalidValue for a locale that the package has not, and PackageError.
    """
    key = _key(names, pin, below)
    layer = find(key, store)
    if layer is None:
        with store.scratch() as spool, MappedFiles() as sources:
            package = read_package(pin, store, spool)
            tree = place(_entries(names, pin, package, below, sources), below)
            layer = write_layer(tree, store, created_by=f"ocibuild locales: {', '.join(names)}", holds=(str(pin),))
        keep(layer, key, store)
    return layer


def is_made(names: Sequence[str], pin: Pin, below: Tree, store: Store) -> bool:
    """Whether ``locale_layer`` would find its layer in the store."""
    return find(_key(names, pin, below), store) is not None


def _key(names: Sequence[str], pin: Pin, below: Tree) -> LayerKey:
    return LayerKey.of(
        kind="debian locales", format=FORMAT, package=pin.sha256, names=list(names), above=_above(names, below)
    )


def check_locales(names: Sequence[str], pin: Pin, store: Store) -> None:
    """See that the package ``pin``, which is in ``store``, has all of ``names``.

    Raises InvalidValue, with names that may have been meant, and PackageError.
    """
    with store.scratch() as spool, MappedFiles() as sources:
        tree = _files(read_package(pin, store, spool))
        for name in names:
            _folder(name, pin, tree, sources)


def _above(names: Sequence[str], below: Tree) -> list[list[object]]:
    """What a layer says of the folders above its files: those of ``below`` as they are there."""
    paths = dict.fromkeys(
        folder for path in (f"{FOLDER}/{names[0]}/x", _COPYRIGHT, _STATUS) for folder in parents(path)
    )
    entries = ((path, below.get(below.resolve(path))) for path in paths)
    return [[path, each.path, each.mode, each.uid, each.gid, each.mtime] for path, each in entries if each is not None]


def _folder(name: str, pin: Pin, tree: Tree, sources: MappedFiles) -> str:
    found = find_locale(tree, name, sources)
    if found is None:
        raise InvalidValue("locale", name, f"{pin} has none of that name", hint=_hint(_near(name, tree)))
    return found


def _near(name: str, tree: Tree) -> list[str]:
    return nearest(name, names_in(tree))


def _hint(near: Sequence[str]) -> str:
    if not near:
        return 'write language, country and character set, as in locale = "de_DE.UTF-8"'
    others = f"; {' and '.join(near[1:])} would do, too" if len(near) > 1 else ""
    return f'write locale = "{near[0]}"{others}'


def _check_charset(name: str, ctype: Entry, below: Tree, sources: MappedFiles) -> None:
    """Refuse a character set that programs could not read: Python would not start with an argument of its letters."""
    charset = charset_of(ctype, sources)
    if normal_charset(charset) in _WITHOUT_CONVERSION or any("/gconv/gconv-modules" in path for path in below.paths):
        return
    why = f"it is for {charset}, and the base has no modules of the C library that convert that"
    language = re.split(r"[.@]", name)[0]
    raise InvalidValue("locale", name, why, hint=f'write locale = "{language}.UTF-8"')


def _files(package: DebFile) -> Tree:
    """The locales of the package, in which a hard link is the file that it repeats."""
    start = f"{FOLDER}/"
    entries = {str(entry.path): entry for entry in package.entries if entry.path.startswith(start)}
    repeated = {path: entries.get(entry.target, entry) for path, entry in entries.items()}
    return Tree(
        replace(repeated[path], path=entry.path) if entry.kind is Kind.HARDLINK else entry
        for path, entry in entries.items()
    )


def _entries(names: Sequence[str], pin: Pin, package: DebFile, below: Tree, sources: MappedFiles) -> Iterator[Entry]:
    """The files of the locales, the licence, and what tells scanners: as of every package that is here in part."""
    tree = _files(package)
    folders = {_folder(name, pin, tree, sources): name for name in names}
    for folder, name in folders.items():
        _check_charset(name, tree.paths[tree.resolve(f"{FOLDER}/{folder}/LC_CTYPE")], below, sources)
    made = [*_taken(tree, folders, pin), *(entry for entry in package.entries if entry.path == _COPYRIGHT)]
    yield from made
    md5sums = "".join(f"{_md5(entry, sources)}  {entry.path}\n" for entry in made if entry.kind is Kind.FILE)
    yield file(_STATUS, package.control, origin=str(pin))
    yield file(f"{_STATUS}.md5sums", md5sums.encode(), origin=str(pin))


def _taken(tree: Tree, folders: Iterable[str], pin: Pin) -> Iterator[Entry]:
    """The files of ``folders``, each once, with links to it from where others have the same."""
    taken: dict[str, str] = {}
    for folder in folders:
        for path in (path for path in tree.paths if path.startswith(f"{FOLDER}/{folder}/")):
            real = tree.get(tree.resolve(path))
            if real is not None and real.kind is Kind.DIRECTORY:
                continue
            if real is None or real.kind is not Kind.FILE:
                raise PackageError(str(pin), f"/{path} leads to no file")
            first = taken.setdefault(real.path, path)
            if first == path:
                yield replace(real, path=path)
            else:
                yield symlink(path, posixpath.relpath(first, posixpath.dirname(path)), origin=str(pin))


def _md5(entry: Entry, sources: MappedFiles) -> str:
    seen = hashlib.md5(usedforsecurity=False)
    for chunk in sources.chunks(entry.content, what=entry.path) if entry.content is not None else ():
        seen.update(chunk)
    return seen.hexdigest()
