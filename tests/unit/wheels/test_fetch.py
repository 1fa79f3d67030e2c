from __future__ import annotations

import os
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from oci_builder.digest import Digest
from oci_builder.errors import DigestMismatch, ResolutionError, TransportError
from oci_builder.platforms import ARM64
from oci_builder.reporter import Quiet
from oci_builder.store import Store
from oci_builder.wheels.fetch import fetch_wheels, sized
from oci_builder.wheels.pins import WheelPin
from oci_builder.wheels.pip import WheelSources
from tests.support.index import Index, serve_index
from tests.support.targets import TARGET
from tests.support.wheels import corrupt, make_wheel, sha256


class Progress(Quiet):
    def __init__(self) -> None:
        self.heard: list[tuple[str, int, int | None]] = []

    def advance(self, what: str, done: int, total: int | None) -> None:
        self.heard.append((what, done, total))


@pytest.fixture
def wheels(tmp_path: Path) -> Path:
    folder = tmp_path / "wheels"
    folder.mkdir()
    return folder


@pytest.fixture
def index(wheels: Path) -> Iterator[Index]:
    with serve_index(wheels) as running:
        yield running


def pin_of(path: Path, **fields: Any) -> WheelPin:
    name, version = path.name.split("-")[:2]
    pin = WheelPin(
        name=name.replace("_", "-"),
        version=version,
        filename=path.name,
        sha256=Digest(sha256(path)),
        size=path.stat().st_size,
        requested=True,
    )
    return replace(pin, **fields)


def online(index: Index, *links: Path) -> WheelSources:
    return WheelSources(find_links=links, environ=index.environ(os.environ))


def offline(*links: Path) -> WheelSources:
    return WheelSources(find_links=links, offline=True, environ=os.environ)


def test_wheels_come_from_the_index_into_the_store_with_progress(store: Store, wheels: Path, index: Index) -> None:
    paths = [make_wheel(wheels, f"app{number}", "1.0") for number in range(5)]
    pins = [pin_of(path) for path in paths]
    reporter = Progress()
    found = fetch_wheels(pins, TARGET, sources=online(index), store=store, jobs=2, reporter=reporter)
    assert {key: path.read_bytes() for key, path in found.items()} == {sha256(p): p.read_bytes() for p in paths}
    assert [done for _, done, _ in reporter.heard] == [1, 2, 3, 4, 5]
    assert {what for what, _, _ in reporter.heard} == {path.name for path in paths}


def test_wheels_of_another_machine_come_as_well(store: Store, wheels: Path, index: Index) -> None:
    pin = pin_of(make_wheel(wheels, "fast", "1.0", tag="cp311-cp311-manylinux_2_17_aarch64"))
    arm = replace(TARGET, platform=ARM64)
    fetch_wheels([pin], arm, sources=online(index), store=store, jobs=1, reporter=Quiet())
    assert store.has(pin.sha256, pin.size)


def test_what_the_store_has_is_not_asked_for_again(store: Store, wheels: Path, index: Index) -> None:
    pin = pin_of(make_wheel(wheels, "app", "1.0"))
    for _ in range(2):
        fetch_wheels([pin], TARGET, sources=online(index), store=store, jobs=1, reporter=Quiet())
    assert index.paths.count(f"/files/{pin.filename}") == 1


def test_a_folder_with_the_wheel_needs_no_index(store: Store, wheels: Path, tmp_path: Path) -> None:
    pin = pin_of(make_wheel(wheels, "app", "1.0"), size=None)
    fetch_wheels([pin], TARGET, sources=offline(tmp_path / "gone", wheels), store=store, jobs=1, reporter=Quiet())
    assert sized([pin], store)[0].size == (wheels / pin.filename).stat().st_size


def test_another_build_in_a_folder_is_passed_over_for_the_index(
    store: Store, wheels: Path, index: Index, tmp_path: Path
) -> None:
    pin = pin_of(make_wheel(wheels, "app", "1.0"))
    make_wheel(tmp_path / "mine", "app", "1.0", files={"app.py": "other"})
    fetch_wheels([pin], TARGET, sources=online(index, tmp_path / "mine"), store=store, jobs=1, reporter=Quiet())
    assert store.has(pin.sha256, pin.size)


def test_offline_another_build_in_the_folder_is_a_mismatch(store: Store, wheels: Path) -> None:
    path = make_wheel(wheels, "app", "1.0")
    pin = pin_of(path)
    corrupt(path)
    with pytest.raises(DigestMismatch, match=r"app-1\.0"):
        fetch_wheels([pin], TARGET, sources=offline(wheels), store=store, jobs=1, reporter=Quiet())
    assert not store.has(pin.sha256)


def test_offline_a_wheel_that_is_nowhere_is_named(store: Store, wheels: Path, tmp_path: Path) -> None:
    pin = pin_of(make_wheel(tmp_path / "elsewhere", "app", "1.0"))
    with pytest.raises(ResolutionError, match=r"app==1\.0") as caught:
        fetch_wheels([pin], TARGET, sources=offline(wheels), store=store, jobs=1, reporter=Quiet())
    assert "wheels/" in (caught.value.hint or "")


def test_a_wheel_damaged_on_the_way_is_a_mismatch_and_not_kept(store: Store, wheels: Path) -> None:
    path = make_wheel(wheels, "app", "1.0")
    with serve_index(wheels, broken=frozenset({path.name})) as index, pytest.raises(DigestMismatch) as caught:
        fetch_wheels([pin_of(path)], TARGET, sources=online(index), store=store, jobs=1, reporter=Quiet())
    assert caught.value.expected == f"sha256:{sha256(path)}"
    assert not store.has(Digest(sha256(path)))


def test_a_wheel_that_the_index_has_changed_since_is_refused(store: Store, wheels: Path, index: Index) -> None:
    pin = pin_of(make_wheel(wheels, "app", "1.0"))
    make_wheel(wheels, "app", "1.0", files={"app.py": "changed"})
    with pytest.raises(DigestMismatch, match="app"):
        fetch_wheels([pin], TARGET, sources=online(index), store=store, jobs=1, reporter=Quiet())


def test_an_index_that_refuses_is_a_transport_error_without_the_password(store: Store, wheels: Path) -> None:
    pin = pin_of(make_wheel(wheels, "app", "1.0"))
    with serve_index(wheels, password="right") as index:
        environ = {**index.environ(os.environ), "PIP_INDEX_URL": index.url.replace("//", "//user:wrong-secret@")}
        with pytest.raises(TransportError) as caught:
            fetch_wheels([pin], TARGET, sources=WheelSources(environ=environ), store=store, jobs=1, reporter=Quiet())
    assert "wrong-secret" not in f"{caught.value} {caught.value.hint}"


def test_a_pin_by_url_is_fetched_from_there(store: Store, wheels: Path, index: Index, tmp_path: Path) -> None:
    path = make_wheel(wheels, "app", "1.0")
    url = f"http://127.0.0.1:{index.port}/files/{path.name}"
    pin = pin_of(path, direct_url=f'{{"url": "{url}"}}')
    sources = WheelSources(environ={**index.environ(os.environ), "PIP_NO_INDEX": "1"})
    fetch_wheels([pin], TARGET, sources=sources, store=store, jobs=1, reporter=Quiet())
    assert store.has(pin.sha256, pin.size)


def test_an_index_that_the_requirements_name_is_asked(store: Store, wheels: Path, index: Index) -> None:
    pin = pin_of(make_wheel(wheels, "app", "1.0"))
    environ = {**index.environ(os.environ), "PIP_INDEX_URL": f"http://127.0.0.1:{index.port}/nothing/"}
    sources = WheelSources(environ=environ, options=(f"--extra-index-url {index.url}",))
    fetch_wheels([pin], TARGET, sources=sources, store=store, jobs=1, reporter=Quiet())
    assert store.has(pin.sha256, pin.size)


def test_a_damaged_copy_in_the_store_is_replaced_when_its_length_shows_it(store: Store, wheels: Path) -> None:
    pin = pin_of(make_wheel(wheels, "app", "1.0"))
    store.path(pin.sha256).write_bytes(b"short")
    fetch_wheels([pin], TARGET, sources=offline(wheels), store=store, jobs=1, reporter=Quiet())
    assert store.read(pin.sha256, pin.size or 0)


def test_a_wheel_its_index_does_not_have_is_fetched_where_its_lock_says(
    wheels: Path, index: Index, tmp_path: Path, store: Store
) -> None:
    here = pin_of(make_wheel(wheels, "here"), url="http://127.0.0.1:9/nobody/here-1.0-py3-none-any.whl")
    with serve_index(tmp_path / "other") as other:
        elsewhere = make_wheel(tmp_path / "other", "elsewhere")
        url = other.url.replace("/simple/", f"/files/{elsewhere.name}")
        found = fetch_wheels(
            [pin_of(elsewhere, url=url)], TARGET, sources=online(index), store=store, jobs=1, reporter=Quiet()
        )
        assert [path.read_bytes() for path in found.values()] == [elsewhere.read_bytes()]
    assert "/simple/elsewhere/" in index.paths
    # A mirror that has it is enough, wherever the lock's author had it from.
    fetch_wheels([here], TARGET, sources=online(index), store=store, jobs=1, reporter=Quiet())
    assert store.has(here.sha256)


def test_offline_no_address_is_asked(wheels: Path, index: Index, store: Store) -> None:
    path = make_wheel(wheels, "far")
    url = index.url.replace("/simple/", f"/files/{path.name}")
    pin = pin_of(path, url=url, direct_url=f'{{"url": "{url}"}}')
    sources = WheelSources(find_links=(), offline=True, environ=index.environ(os.environ))
    with pytest.raises(ResolutionError):
        fetch_wheels([pin], TARGET, sources=sources, store=store, jobs=1, reporter=Quiet())
    assert index.paths == []


def test_what_was_whole_when_another_failed_stays(wheels: Path, index: Index, store: Store) -> None:
    good = [pin_of(make_wheel(wheels, f"good{number}")) for number in range(9)]
    lost = pin_of(make_wheel(wheels, "lost"))
    (wheels / lost.filename).unlink()
    with pytest.raises(ResolutionError, match="lost"):
        fetch_wheels([*good, lost], TARGET, sources=online(index), store=store, jobs=1, reporter=Quiet())
    assert sum(store.has(pin.sha256) for pin in good) >= 5
