from __future__ import annotations

import os
from dataclasses import replace
from pathlib import Path

import pytest
from packaging.utils import canonicalize_name

from oci_builder.errors import DigestMismatch, ResolutionError, UnsafeArchive, WheelError
from oci_builder.reporter import Quiet
from oci_builder.store import Store
from oci_builder.wheels.fetch import fetch_wheels
from oci_builder.wheels.pins import WheelPin
from oci_builder.wheels.pip import WheelSources
from oci_builder.wheels.resolve import resolve
from tests.support.sdists import make_sdist, symlink, write_tar
from tests.support.targets import TARGET
from tests.support.wheels import make_wheel


def ask(store: Store, folder: Path, text: str, *build: str) -> tuple[WheelPin, ...]:
    file = folder.parent / "requirements.txt"
    file.write_text(text)
    sources = WheelSources(find_links=(folder,), offline=True, environ=os.environ)
    return resolve(
        [file],
        TARGET,
        sources=replace(sources, build=frozenset(map(canonicalize_name, build))),
        store=store,
        reporter=Quiet(),
    )


def test_a_named_project_is_built_from_its_sdist_and_pinned(store: Store, tmp_path: Path) -> None:
    sdist = make_sdist(tmp_path / "wheels", "old", "1.5")
    make_wheel(tmp_path / "wheels", "app", "1.0", requires=["old"])
    make_wheel(tmp_path / "wheels", "old", "0.5")
    app, old = ask(store, tmp_path / "wheels", "app\n", "Old")
    assert (app.name, old.name, old.version, old.filename) == ("app", "old", "1.5", "old-1.5-py3-none-any.whl")
    assert old.built_from is not None
    assert (old.built_from.filename, old.direct_url, old.requested) == (sdist.name, None, False)
    assert store.has(old.sha256, old.size)


def test_the_sdist_is_the_newest_that_the_requirements_allow(store: Store, tmp_path: Path) -> None:
    for version in ("1.0", "2.0", "3.0"):
        make_sdist(tmp_path / "wheels", "old", version)
    (old,) = ask(store, tmp_path / "wheels", "old<3\n", "old")
    assert old.version == "2.0"


def test_a_wheel_that_is_not_pure_is_refused(store: Store, tmp_path: Path) -> None:
    make_sdist(tmp_path / "wheels", "old", "1.0", tag="cp311-cp311-linux_x86_64")
    with pytest.raises(WheelError, match="not a pure wheel"):
        ask(store, tmp_path / "wheels", "old\n", "old")


def test_a_build_that_fails_says_what_it_said(store: Store, tmp_path: Path) -> None:
    make_sdist(tmp_path / "wheels", "old", "1.0", broken=True)
    with pytest.raises(WheelError, match="no compiler here"):
        ask(store, tmp_path / "wheels", "old\n", "old")


def test_an_unsafe_sdist_is_refused_before_any_of_it_runs(store: Store, tmp_path: Path) -> None:
    witness = tmp_path / "witness"
    make_sdist(tmp_path / "wheels", "old", "1.0", witness=str(witness), more=[symlink("old-1.0/x", "/etc/passwd")])
    with pytest.raises(UnsafeArchive, match=r"old-1\.0\.tar\.gz"):
        ask(store, tmp_path / "wheels", "old\n", "old")
    assert not witness.exists()


def test_no_sdist_is_named_with_where_it_was_asked_for(store: Store, tmp_path: Path) -> None:
    make_wheel(tmp_path / "wheels", "old", "1.0")
    with pytest.raises(ResolutionError, match="old") as caught:
        ask(store, tmp_path / "wheels", "old\n", "old")
    assert "[python] build" in (caught.value.hint or "")


def test_a_locked_build_is_built_again_where_it_is_missing(store: Store, tmp_path: Path) -> None:
    make_sdist(tmp_path / "wheels", "old", "1.0")
    pins = ask(store, tmp_path / "wheels", "old\n", "old")
    elsewhere = Store(tmp_path / "elsewhere")
    sources = WheelSources(
        find_links=(tmp_path / "wheels",), offline=True, build=frozenset({"old"}), environ=os.environ
    )
    fetch_wheels(pins, TARGET, sources=sources, store=elsewhere, jobs=1, reporter=Quiet())
    assert elsewhere.has(pins[0].sha256, pins[0].size)


def test_a_build_that_gives_another_wheel_than_it_once_did_is_noticed(store: Store, tmp_path: Path) -> None:
    make_sdist(tmp_path / "wheels", "old", "1.0", random=True)
    pins = ask(store, tmp_path / "wheels", "old\n", "old")
    assert ask(store, tmp_path / "wheels", "old\n", "old") == pins
    sources = WheelSources(
        find_links=(tmp_path / "wheels",), offline=True, build=frozenset({"old"}), environ=os.environ
    )
    with pytest.raises(DigestMismatch, match="built from"):
        fetch_wheels(pins, TARGET, sources=sources, store=Store(tmp_path / "new"), jobs=1, reporter=Quiet())


def test_a_zip_is_no_source_archive(store: Store, tmp_path: Path) -> None:
    (tmp_path / "wheels").mkdir()
    write_tar(tmp_path / "wheels" / "old-1.0.zip", {"x": ""})
    with pytest.raises((UnsafeArchive, ResolutionError)):
        ask(store, tmp_path / "wheels", "old\n", "old")
