"""Bases resolved anew against a signed mirror on the loopback interface."""

from __future__ import annotations

import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from oci_builder.debian.lock import RootfsLock
from oci_builder.debian.recipe import key_files, load_layer
from oci_builder.debian.sources import ArchiveSource, DebFolder, Mirror, fetch_packages
from oci_builder.debian.trust import Trust
from oci_builder.debian.update import check_lock, update
from oci_builder.errors import ArchiveIndexError, PackageError, PackageUnavailable, StaleLock, TransportError
from oci_builder.platforms import AMD64
from oci_builder.reporter import Quiet
from oci_builder.store import Store
from oci_builder.transport import Transport
from tests.support.debian import Deb, small_base, write_layer_folder, write_mirror, write_suite
from tests.support.webserver import WebServer, serving

ARCHIVES = ("debian", "debian-security")


@pytest.fixture
def server(tmp_path: Path) -> Iterator[WebServer]:
    with serving(tmp_path / "mirror") as running:
        yield running


def mirror(server: WebServer, path: str = "") -> Mirror:
    return Mirror(server.url + path, ARCHIVES, transport=Transport(timeout=5, attempts=1))


def resolved(tmp_path: Path, debs: list[Deb], *sources: Mirror | DebFolder) -> RootfsLock:
    folder = write_layer_folder(tmp_path / "tiny", debs)
    trust = Trust(keys=key_files(folder), now=int(time.time()))
    return update(load_layer(folder), AMD64, sources, trust=trust, reporter=Quiet())


def test_the_newest_version_of_any_suite_is_locked(tmp_path: Path, server: WebServer) -> None:
    debs = small_base()
    write_mirror(tmp_path / "mirror", debs)
    write_suite(
        tmp_path / "mirror",
        "debian-security",
        "bookworm-security",
        [Deb(name="tzdata", version="2.0-1"), Deb(name="odd")],
    )
    lock = resolved(tmp_path, debs, mirror(server))
    assert lock.version("tzdata") == "2.0-1"
    assert [pin.name for pin in lock.packages] == sorted(deb.name for deb in debs)
    assert [pin.archive for pin in lock.packages if pin.name == "tzdata"] == ["debian-security"]
    assert [len(suite.signers) for suite in lock.suites] == [1, 1]


def test_indexes_are_asked_for_by_digest_where_the_suite_has_them_so(tmp_path: Path, server: WebServer) -> None:
    debs = small_base()
    write_mirror(tmp_path / "mirror", debs)
    resolved(tmp_path, debs, mirror(server))
    assert sum("/by-hash/SHA256/" in path for path in server.paths) == 2
    assert not any(path.endswith("Packages.xz") for path in server.paths)


def test_a_mirror_without_by_hash_serves_too(tmp_path: Path, server: WebServer) -> None:
    debs = small_base()
    write_mirror(tmp_path / "mirror", debs)
    for folder in (tmp_path / "mirror").rglob("by-hash"):
        folder.rename(folder.with_name("gone"))
    assert resolved(tmp_path, debs, mirror(server)).version("tzdata") == "1.0-1"


@pytest.mark.parametrize("path", ["/", "/debian", "/debian-security/"])
def test_the_address_of_an_archive_names_its_mirror(tmp_path: Path, server: WebServer, path: str) -> None:
    debs = small_base()
    write_mirror(tmp_path / "mirror", debs)
    assert resolved(tmp_path, debs, mirror(server, path)).version("tzdata") == "1.0-1"


def test_a_dependency_that_is_neither_listed_nor_cut_is_an_error(tmp_path: Path, server: WebServer) -> None:
    debs = small_base(extra=[Deb(name="tool", depends="dpkg, libnew (>= 2) | libold")])
    write_mirror(tmp_path / "mirror", debs)
    with pytest.raises(PackageError, match=r"tool: depends on libnew \(>= 2\) \| libold"):
        resolved(tmp_path, debs, mirror(server))


def test_a_listed_package_may_provide_what_another_needs(tmp_path: Path, server: WebServer) -> None:
    debs = small_base(
        extra=[
            Deb(name="tool", depends="mailer (>= 2), plain"),
            Deb(name="postfix", provides="mailer (= 3), plain"),
        ]
    )
    write_mirror(tmp_path / "mirror", debs)
    assert resolved(tmp_path, debs, mirror(server)).version("postfix")


def test_a_package_that_no_suite_has_is_named(tmp_path: Path, server: WebServer) -> None:
    write_mirror(tmp_path / "mirror", small_base())
    with pytest.raises(PackageError, match="nano: in none of debian/bookworm, debian-security/bookworm-security"):
        resolved(tmp_path, small_base(extra=[Deb(name="nano")]), mirror(server))


def test_another_python_than_the_promised_one_is_an_error(tmp_path: Path, server: WebServer) -> None:
    debs = small_base(python="3.11.9-1")
    write_mirror(tmp_path / "mirror", debs)
    with pytest.raises(PackageError, match=r"python3\.11: 3\.11\.9-1 locked, and layer\.toml promises 3\.11\.2"):
        resolved(tmp_path, debs, mirror(server))


def test_the_next_source_serves_when_one_fails(tmp_path: Path, server: WebServer) -> None:
    debs = small_base()
    write_mirror(tmp_path / "mirror", debs)
    assert resolved(tmp_path, debs, DebFolder(tmp_path), mirror(server)).version("tzdata") == "1.0-1"


def test_an_index_older_than_the_locks_own_is_refused(tmp_path: Path, server: WebServer) -> None:
    debs = small_base()
    write_mirror(tmp_path / "mirror", debs)
    lock = resolved(tmp_path, debs, mirror(server))
    write_suite(tmp_path / "mirror", "debian", "bookworm", debs, date=int(time.time()) - 86400)
    folder = tmp_path / "tiny"
    trust = Trust(keys=key_files(folder), now=int(time.time()), suites=lock.suites)
    with pytest.raises(ArchiveIndexError, match="before the lock's own index"):
        update(load_layer(folder), AMD64, [mirror(server)], trust=trust, reporter=Quiet())


def test_all_that_was_tried_is_said(tmp_path: Path, server: WebServer) -> None:
    with pytest.raises(PackageUnavailable) as raised:
        resolved(tmp_path, small_base(), DebFolder(tmp_path), mirror(server))
    assert len(raised.value.tried) == 2 and "404" in raised.value.tried[1]
    with pytest.raises(TransportError, match="404"):
        resolved(tmp_path, small_base(), mirror(server))


def test_a_recipe_that_changed_since_its_lock_was_made_is_noticed(tmp_path: Path, server: WebServer) -> None:
    debs = small_base()
    write_mirror(tmp_path / "mirror", debs)
    lock = resolved(tmp_path, debs, mirror(server))
    recipe = load_layer(write_layer_folder(tmp_path / "more", [*debs, Deb(name="nano")]))
    with pytest.raises(StaleLock, match=r"lock\.json: layer\.toml lists nano") as raised:
        check_lock(recipe, lock, path=tmp_path / "more" / "lock.json")
    assert raised.value.hint == "generate it anew: ocibuild base update more"


def test_packages_come_from_the_first_source_that_has_them(tmp_path: Path, server: WebServer, store: Store) -> None:
    debs = small_base()
    write_mirror(tmp_path / "mirror", debs)
    lock = resolved(tmp_path, debs, mirror(server))
    (tmp_path / "debs").mkdir()
    (tmp_path / "debs" / "whatever.deb").write_bytes(debs[0].build())
    server.asked.clear()
    sources: list[ArchiveSource] = [DebFolder(tmp_path / "debs"), mirror(server)]
    fetch_packages(lock.packages, sources, store=store, reporter=Quiet())
    assert all(store.has(pin.digest, pin.size) for pin in lock.packages)
    assert len(server.paths) == len(lock.packages) - 1
    server.asked.clear()
    fetch_packages(lock.packages, sources, store=store, reporter=Quiet())
    assert server.paths == []


def test_a_package_that_is_not_the_locked_one_is_not_kept(tmp_path: Path, server: WebServer, store: Store) -> None:
    debs = small_base()
    write_mirror(tmp_path / "mirror", debs)
    lock = resolved(tmp_path, debs, mirror(server))
    pin = lock.packages[-1]
    path = tmp_path / "mirror" / pin.archive / pin.path
    path.write_bytes(bytes(path.stat().st_size))
    with pytest.raises(PackageUnavailable, match=f"cannot get {pin.name} .*\n.*expected sha256:"):
        fetch_packages(lock.packages, [mirror(server)], store=store, reporter=Quiet())
    assert not store.has(pin.digest)


def test_a_damaged_package_in_the_store_is_fetched_again(tmp_path: Path, server: WebServer, store: Store) -> None:
    debs = small_base()
    write_mirror(tmp_path / "mirror", debs)
    lock = resolved(tmp_path, debs, mirror(server))
    fetch_packages(lock.packages, [mirror(server)], store=store, reporter=Quiet())
    store.path(lock.packages[0].digest).write_bytes(bytes(lock.packages[0].size))
    fetch_packages(lock.packages, [mirror(server)], store=store, reporter=Quiet())
    assert store.read(lock.packages[0].digest, lock.packages[0].size)


def test_a_mirror_that_does_not_answer_is_asked_once(tmp_path: Path, server: WebServer, store: Store) -> None:
    debs = small_base()
    write_mirror(tmp_path / "mirror", debs)
    lock = resolved(tmp_path, debs, mirror(server))
    with serving() as gone:
        silent = mirror(gone)
    failed = silent.fetch(lock.packages, store)
    assert len(failed) == len(lock.packages) and len(set(failed.values())) == 1
