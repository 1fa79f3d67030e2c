"""Small packages made into a root filesystem."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator, Sequence
from pathlib import Path

import pytest

from oci_builder.bytecode import Compiler
from oci_builder.debian import rootfs
from oci_builder.debian.lock import Pin, RootfsLock, SuitePin, moment
from oci_builder.debian.recipe import load_layer
from oci_builder.digest import Digest
from oci_builder.errors import PackageError, PathConflict
from oci_builder.platforms import AMD64
from oci_builder.store import Store
from oci_builder.tree.content import MappedFiles
from oci_builder.tree.entry import MTIME, Kind
from oci_builder.tree.tree import Tree
from tests.support.debian import MTIME as DEB_MTIME
from tests.support.debian import Deb, small_base, write_layer_folder


@contextlib.contextmanager
def no_compiler(tree: Tree, sources: MappedFiles) -> Iterator[Compiler | None]:
    yield None


def built(tmp_path: Path, store: Store, *extra: Deb) -> Tree:
    debs = small_base(extra=extra)
    recipe = load_layer(write_layer_folder(tmp_path / "tiny", debs))
    spool = tmp_path / "spool"
    spool.mkdir()
    lock = locked(debs, store)
    return Tree(rootfs.entries(recipe, lock, AMD64, rootfs.Means(store=store, spool=spool, compilers=no_compiler)))


def locked(debs: Sequence[Deb], store: Store) -> RootfsLock:
    suite = SuitePin(archive="debian", suite="bookworm", date=moment(1), inrelease="0" * 64, signers=())
    return RootfsLock(schema=1, architecture="amd64", suites=(suite,), packages=tuple(pin(deb, store) for deb in debs))


def pin(deb: Deb, store: Store) -> Pin:
    data = deb.build()
    store.put_bytes(data)
    return Pin(
        name=deb.name,
        version=deb.version,
        architecture=deb.architecture,
        source=deb.name,
        archive="debian",
        suite="bookworm",
        path=f"pool/{deb.filename}",
        size=len(data),
        sha256=Digest.of(data).hex,
    )


def text(tree: Tree, path: str) -> str:
    entry = tree.paths[tree.resolve(path)]
    assert entry.content is not None
    with MappedFiles() as sources:
        return sources.read(entry.content, what=path).decode()


def test_usr_is_merged(tmp_path: Path, store: Store) -> None:
    extra = Deb(name="tool", files={"bin/": b"", "bin/tool": b"x", "sbin/twin": "=> bin/tool", "lib64/ld": b"y"})
    tree = built(tmp_path, store, extra)
    assert [(tree.paths[tree.place(name)].target) for name in ("bin", "sbin", "lib", "lib64")] == [
        *("usr/bin", "usr/sbin", "usr/lib", "usr/lib64")
    ]
    assert text(tree, "bin/tool") == text(tree, "sbin/twin") == "x"


def test_accounts_are_the_masters_and_nobody_else(tmp_path: Path, store: Store) -> None:
    tree = built(tmp_path, store)
    assert text(tree, "etc/passwd") == "root:x:0:0:root:/root:/usr/sbin/nologin\n"
    assert text(tree, "etc/shadow") == "root:*:::::::\n"
    shadow = tree.get("etc/shadow")
    assert shadow is not None and (shadow.mode, shadow.gid) == (0o640, 42)


def test_roots_shell_is_the_one_there_is(tmp_path: Path, store: Store) -> None:
    tree = built(tmp_path, store, Deb(name="dash", files={"bin/dash": b"x"}))
    assert text(tree, "etc/passwd").endswith(":/bin/sh\n")
    assert tree.resolve("bin/sh") == "usr/bin/dash"


def test_certificates_are_joined_in_order_each_with_its_newline(tmp_path: Path, store: Store) -> None:
    assert text(built(tmp_path, store), "usr/lib/ssl/cert.pem") == "a\nb\n"


def test_wheels_and_debians_python_mean_one_folder(tmp_path: Path, store: Store) -> None:
    tree = built(tmp_path, store)
    assert tree.resolve("usr/local/lib/python3.11/dist-packages") == "usr/local/lib/python3.11/site-packages"
    assert tree.resolve("usr/local/bin/python3") == "usr/bin/python3.11"


def test_what_the_recipe_drops_is_gone_with_the_folders_it_leaves_empty(tmp_path: Path, store: Store) -> None:
    tree = built(tmp_path, store, Deb(name="doc", files={"usr/share/doc/doc/deep/x": b"", "var/empty/": b""}))
    assert "usr/share/doc/python3.11/copyright" in tree
    assert "usr/share/doc/python3.11/changelog" not in tree
    assert "usr/share/doc/doc" not in tree and "usr/share/base-passwd" not in tree
    assert "var/empty" in tree


def test_scanners_find_every_package(tmp_path: Path, store: Store) -> None:
    assert text(built(tmp_path, store), "var/lib/dpkg/status.d/tzdata").startswith("Package: tzdata\n")


def test_files_keep_their_time_and_folders_have_the_constant_one(tmp_path: Path, store: Store) -> None:
    tree = built(tmp_path, store)
    times = {entry.mtime for entry in tree if entry.kind is Kind.DIRECTORY}
    assert times == {MTIME}
    python = tree.get("usr/lib/python3.11/os.py")
    assert python is not None and python.mtime == DEB_MTIME


def test_modes_of_base_files_count(tmp_path: Path, store: Store) -> None:
    tree = built(tmp_path, store, Deb(name="aaa", files={"root/": b""}, modes={"root/": 0o777}))
    assert [tree.paths[tree.place(path)].mode for path in ("root", "tmp", "var/mail")] == [0o700, 0o1777, 0o2775]


def test_two_packages_that_differ_about_a_file_are_an_error(tmp_path: Path, store: Store) -> None:
    with pytest.raises(PathConflict, match=r"etc/x comes from both aaa 1\.0-1 and bbb 1\.0-1"):
        built(tmp_path, store, Deb(name="aaa", files={"etc/x": b"1"}), Deb(name="bbb", files={"etc/x": b"2"}))


def test_a_link_that_leads_nowhere_is_an_error(tmp_path: Path, store: Store) -> None:
    with pytest.raises(PackageError, match="etc/x → /nowhere leads nowhere"):
        built(tmp_path, store, Deb(name="aaa", files={"etc/x": "-> /nowhere"}))


def test_a_hard_link_to_nothing_is_an_error(tmp_path: Path, store: Store) -> None:
    with pytest.raises(PackageError, match="hard link to nothing"):
        built(tmp_path, store, Deb(name="aaa", files={"etc/x": "=> etc/y"}))
