"""Locales over a base, taken out of the package that has them all."""

from __future__ import annotations

import hashlib
import struct
from dataclasses import replace
from pathlib import Path

import pytest

from oci_builder.bases import Supply, WantedPackages, extra_files, open_base, with_packages
from oci_builder.debian.extralock import read_extra_lock
from oci_builder.errors import InvalidValue, PackageError, StaleLock
from oci_builder.reporter import Quiet
from oci_builder.store import Store
from oci_builder.tree.entry import Kind
from oci_builder.wheels.target import PythonEnvironment
from tests.support.debian import Deb, small_base, write_suite
from tests.unit.bases.test_packages import DEBS, HOST, World, world  # noqa: F401 a fixture

FOLDER = "usr/lib/locale"


def ctype(charset: str) -> bytes:
    """A file LC_CTYPE, as far as the name of its character set."""
    start = 8 + 4 * 15
    return struct.pack("<17I", 0x20090720, 15, *[0] * 14, start) + charset.encode() + b"\0"


FILES: dict[str, bytes | str] = {
    "aa_DJ.utf8/LC_CTYPE": ctype("UTF-8"),
    "aa_DJ.utf8/LC_COLLATE": b"all have the same",
    "de_DE.utf8/LC_COLLATE": "-> ../aa_DJ.utf8/LC_COLLATE",
    "de_DE.utf8/LC_CTYPE": ctype("UTF-8"),
    "de_DE.utf8/LC_MESSAGES/": b"",
    "de_DE.utf8/LC_MESSAGES/SYS_LC_MESSAGES": b"ja",
    "de_DE@euro/LC_CTYPE": ctype("ISO-8859-15"),
    "fr_FR.utf8/LC_COLLATE": "-> ../aa_DJ.utf8/LC_COLLATE",
    "fr_FR.utf8/LC_CTYPE": "-> ../de_DE.utf8/LC_CTYPE",
    "en_IN/LC_CTYPE": f"=> {FOLDER}/de_DE.utf8/LC_CTYPE",
}
LOCALES = Deb(
    name="locales-all",
    version="2.36-9+deb12u3",
    depends="libc6",
    files={f"{FOLDER}/{name}": data for name, data in FILES.items()}
    | {"usr/share/doc/locales-all/copyright": b"LGPL", "usr/share/doc/locales-all/README": b"x"},
    scripts={"postinst": b"#!/bin/sh\nsomething-unknown\n"},
)
LAYER = f"{FOLDER}/de_DE.utf8"


@pytest.fixture
def place(world: World, tmp_path: Path) -> World:  # noqa: F811
    """A world whose archive has locales."""
    publish(tmp_path, LOCALES)
    return world


def publish(folder: Path, deb: Deb) -> None:
    """Put them into the archive."""
    write_suite(folder / "mirror", "debian", "bookworm", [*small_base(), *DEBS, deb])


def test_one_locale_is_a_layer_of_its_own_files(place: World) -> None:
    base = place.add(locales=["de_DE.UTF-8"])
    tree = base.layers[-1].tree(place.store)
    files = {str(entry.path): entry.sha256 for entry in tree if entry.kind is Kind.FILE}
    status = "var/lib/dpkg/status.d/locales-all"
    assert files.keys() == {
        *(f"{LAYER}/{name}" for name in ("LC_COLLATE", "LC_CTYPE", "LC_MESSAGES/SYS_LC_MESSAGES")),
        *("usr/share/doc/locales-all/copyright", status, f"{status}.md5sums"),
    }
    assert files[f"{LAYER}/LC_COLLATE"] == hashlib.sha256(b"all have the same").hexdigest()
    assert [entry.path for entry in tree if entry.kind is Kind.SYMLINK] == []
    assert (base.layers[-1].created_by, base.layers[-1].holds) == (
        "ocibuild locales: de_DE.UTF-8",
        ("locales-all 2.36-9+deb12u3",),
    )


def test_what_several_locales_have_alike_is_there_once(place: World) -> None:
    tree = place.add(locales=["fr_FR.UTF-8", "de_DE.utf8", "en_IN.UTF-8"]).layers[-1].tree(place.store)
    links = {entry.path: entry.target for entry in tree if entry.kind is Kind.SYMLINK}
    assert links == {
        f"{LAYER}/LC_COLLATE": "../fr_FR.utf8/LC_COLLATE",
        f"{LAYER}/LC_CTYPE": "../fr_FR.utf8/LC_CTYPE",
    }
    assert tree.paths[tree.resolve(f"{FOLDER}/en_IN/LC_CTYPE")].kind is Kind.FILE


def test_a_locale_that_is_built_in_needs_nothing(place: World) -> None:
    assert place.add(locales=["C.UTF-8", "POSIX"]) == place.base
    assert not place.lock.exists()


def test_a_locked_locale_asks_nobody_and_other_locales_are_another_lock(place: World) -> None:
    first = place.add("libx11-6", locales=["de_DE.UTF-8"])
    place.server.asked.clear()
    closed = Supply(now=place.supply.now, offline=True, locked=True)
    assert place.add("libx11-6", locales=["de_DE.UTF-8"], supply=closed).layers == first.layers
    assert place.server.paths == []
    assert extra_files(place.lock) == {"libx11-6_1.0-1_all.deb", "locales-all_2.36-9+deb12u3_all.deb"}
    for others in (["fr_FR.UTF-8"], []):
        with pytest.raises(StaleLock):
            place.add("libx11-6", locales=others, supply=closed)
    assert place.add("libx11-6", locales=["fr_FR.UTF-8"]).layers[1] == first.layers[1]


def test_a_folder_of_packages_serves_where_there_is_no_network(place: World, tmp_path: Path) -> None:
    first = place.add(locales=["de_DE.UTF-8"])
    (tmp_path / "debs").mkdir()
    (tmp_path / "debs" / LOCALES.filename).write_bytes(LOCALES.build())
    place.store = Store(tmp_path / "other")
    closed = Supply(now=place.supply.now, offline=True, locked=True, debs=tmp_path / "debs")
    assert place.add(locales=["de_DE.UTF-8"], supply=closed).layers[-1].diff_id == first.layers[-1].diff_id


def test_a_locale_that_a_package_brings_is_not_taken_twice(place: World) -> None:
    skipped = {"locales-all": "they are compiled"}
    base = place.add("locales-all", locales=["de_DE.UTF-8"], skipped=skipped)
    assert len(base.layers) == 2 and base.layers[-1].created_by == "ocibuild packages: locales-all"


@pytest.mark.parametrize(
    ("name", "why", "hint"),
    [
        ("de_de.UTF-8", "has none of that name", 'locale = "de_DE.UTF-8"'),
        ("xx_YY.UTF-8", "has none of that name", "language, country"),
        ("de_DE@euro", "it is for ISO-8859-15", 'locale = "de_DE.UTF-8"'),
    ],
)
def test_a_locale_that_cannot_be_had_is_refused_with_the_one_that_can(
    place: World, name: str, why: str, hint: str
) -> None:
    with pytest.raises(InvalidValue, match=why) as caught:
        place.add(locales=[name])
    assert caught.value.hint is not None and hint in caught.value.hint


def test_locales_of_another_c_library_are_refused(place: World, tmp_path: Path) -> None:
    publish(tmp_path, replace(LOCALES, version="2.41-1"))
    with pytest.raises(PackageError, match=r"the base has the C library 2\.36-9, and this is of another"):
        place.add(locales=["de_DE.UTF-8"])


def test_a_link_to_nothing_is_refused(place: World, tmp_path: Path) -> None:
    files = {name: data for name, data in LOCALES.files.items() if not name.endswith("aa_DJ.utf8/LC_COLLATE")}
    publish(tmp_path, replace(LOCALES, files=files))
    with pytest.raises(PackageError, match="leads to no file"):
        place.add(locales=["de_DE.UTF-8"])


def test_a_base_made_elsewhere_gives_its_own_locales_and_no_others(place: World) -> None:
    elsewhere = replace(place.base, folder=None, name="image.tar")
    assert isinstance(elsewhere.promise, PythonEnvironment)
    musl = replace(elsewhere, promise=replace(elsewhere.promise, musl=(1, 2), glibc=(0, 0)))
    there = replace(elsewhere, tree=place.add(locales=["de_DE.UTF-8"]).tree)
    nothing = open_base(None, HOST, store=place.store, reporter=Quiet())

    def locales(base: object, name: str) -> object:
        wanted = WantedPackages(names=(), locales=(name,))
        lock = place.lock.parent / "another.json"
        return with_packages(base, wanted, lock=lock, supply=place.supply, store=place.store, reporter=Quiet())  # type: ignore[arg-type]

    assert locales(there, "de_DE.UTF-8") == there
    old = replace(elsewhere, promise=replace(elsewhere.promise, glibc=(2, 17)))
    with pytest.raises(PackageError, match="nobody knows whose packages fit"):
        locales(old, "C.UTF-8")
    assert locales(old, "C") == old and locales(elsewhere, "C.UTF-8") == elsewhere
    for base, why in ((elsewhere, "whose packages fit"), (musl, "is musl"), (nothing, "has it not")):
        with pytest.raises((InvalidValue, PackageError), match=why):
            locales(base, "fr_FR.UTF-8")


def test_the_lock_names_the_locales_and_their_package(place: World) -> None:
    place.add(locales=["de_DE.UTF-8"])
    lock = read_extra_lock(place.lock)
    assert lock.packages == () and lock.locales is not None
    assert (lock.locales.names, lock.locales.package.name) == (("de_DE.UTF-8",), "locales-all")
    place.add("libx11-6")
    text = place.lock.read_text()
    assert not any(word in text for word in ("locales", "skipped", "accounts"))
