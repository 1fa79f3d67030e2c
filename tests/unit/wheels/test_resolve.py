from __future__ import annotations

import json
import os
from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path

import pytest

from oci_builder.errors import DigestMismatch, NoMatchingWheel, ResolutionError, TransportError, UnsupportedRequirement
from oci_builder.platforms import ARM64
from oci_builder.reporter import Quiet
from oci_builder.store import Store
from oci_builder.wheels.pins import WheelPin
from oci_builder.wheels.resolve import WheelSources, resolve
from oci_builder.wheels.target import Target
from tests.support.index import Index, serve_index
from tests.support.targets import TARGET
from tests.support.wheels import make_wheel, sha256

ON_ARM = replace(TARGET, platform=ARM64)


class Notes(Quiet):
    def __init__(self) -> None:
        self.lines: list[str] = []

    def note(self, line: str) -> None:
        self.lines.append(line)


@pytest.fixture
def wheels(tmp_path: Path) -> Path:
    folder = tmp_path / "wheels"
    folder.mkdir()
    return folder


@pytest.fixture
def index(wheels: Path) -> Iterator[Index]:
    with serve_index(wheels) as running:
        yield running


def ask(
    store: Store,
    text: str,
    *,
    index: Index | None = None,
    folder: Path | None = None,
    target: Target = TARGET,
    preferred: Sequence[WheelPin] = (),
    notes: Notes | None = None,
) -> dict[str, WheelPin]:
    """Resolve ``text`` from an index, or offline from a folder."""
    file = store.root.parent / "requirements.txt"
    file.write_text(text)
    if index is not None:
        sources = WheelSources(environ=index.environ(os.environ))
    else:
        sources = WheelSources(find_links=(folder,) if folder else (), offline=True, environ=os.environ)
    reporter = notes or Notes()
    pins = resolve([file], target, sources=sources, preferred=preferred, store=store, reporter=reporter)
    assert list(pins) == sorted(pins, key=lambda pin: pin.name)
    return {pin.name: pin for pin in pins}


def versions(pins: dict[str, WheelPin]) -> dict[str, str]:
    return {name: pin.version for name, pin in pins.items()}


def test_a_pin_says_what_was_chosen_and_whether_it_was_asked_for(store: Store, wheels: Path, index: Index) -> None:
    make_wheel(wheels, "App_One", "1.0", requires=["dep>=1"])
    dep = make_wheel(wheels, "dep", "1.5")
    make_wheel(wheels, "dep", "0.9")
    pins = ask(store, "app.one\n", index=index)
    assert versions(pins) == {"app-one": "1.0", "dep": "1.5"}
    assert (pins["app-one"].requested, pins["dep"].requested) == (True, False)
    assert (pins["dep"].filename, pins["dep"].sha256.hex) == (dep.name, sha256(dep))
    assert pins["dep"].direct_url is None


def test_markers_are_those_of_the_target_not_of_this_host(store: Store, wheels: Path, index: Index) -> None:
    make_wheel(
        wheels,
        "app",
        "1.0",
        requires=[
            "intel; platform_machine == 'x86_64'",
            "arm; platform_machine == 'aarch64'",
            "old; python_full_version == '3.11.2'",
            "new; python_full_version != '3.11.2'",
            "windows; sys_platform == 'win32'",
        ],
    )
    for name in ("intel", "arm", "old", "new", "windows"):
        make_wheel(wheels, name, "1.0")
    assert set(ask(store, "app\n", index=index)) == {"app", "intel", "old"}
    assert set(ask(store, "app\n", index=index, target=ON_ARM)) == {"app", "arm", "old"}


def test_the_newest_wheel_that_runs_on_the_targets_glibc_is_chosen(store: Store, wheels: Path) -> None:
    for version, tag in [
        ("1.0", "manylinux1"),
        ("2.0", "manylinux_2_17"),
        ("3.0", "manylinux_2_36"),
        ("4.0", "manylinux_2_39"),
    ]:
        make_wheel(wheels, "fast", version, tag=f"cp311-cp311-{tag}_x86_64")
    make_wheel(wheels, "fast", "2.5", tag="cp311-abi3-manylinux_2_28_aarch64")
    assert versions(ask(store, "fast\n", folder=wheels)) == {"fast": "3.0"}
    assert versions(ask(store, "fast<3\n", folder=wheels)) == {"fast": "2.0"}
    assert versions(ask(store, "fast\n", folder=wheels, target=ON_ARM)) == {"fast": "2.5"}


def test_requires_python_is_asked_of_the_full_version(store: Store, wheels: Path, index: Index) -> None:
    make_wheel(wheels, "picky", "1.0", requires_python=">=3.11.2")
    make_wheel(wheels, "picky", "2.0", requires_python=">=3.11.5")
    assert versions(ask(store, "picky\n", index=index)) == {"picky": "1.0"}


def test_extras_constraints_and_hashes_are_pips_business(store: Store, wheels: Path, index: Index) -> None:
    app = make_wheel(wheels, "app", "1.0", extras=["more"], requires=["dep; extra == 'more'"])
    make_wheel(wheels, "dep", "1.0")
    make_wheel(wheels, "dep", "2.0")
    (store.root.parent / "limits.txt").write_text("dep<2\n")
    assert versions(ask(store, "app[more]\n-c limits.txt\n", index=index)) == {"app": "1.0", "dep": "1.0"}
    assert versions(ask(store, f"app==1.0 --hash=sha256:{sha256(app)}\n", index=index)) == {"app": "1.0"}


def test_a_wheel_that_is_not_the_hashed_one_is_refused(store: Store, wheels: Path, index: Index) -> None:
    app = make_wheel(wheels, "app", "1.0")
    with pytest.raises(DigestMismatch) as caught:
        ask(store, f"app==1.0 --hash=sha256:{'0' * 64}\n", index=index)
    assert caught.value.actual == f"sha256:{sha256(app)}"


def test_offline_the_folder_is_all_there_is(
    store: Store, wheels: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    make_wheel(wheels, "app", "1.0")
    elsewhere = make_wheel(tmp_path / "elsewhere", "app", "2.0")
    (tmp_path / "pip.conf").write_text(f"[global]\nfind-links = {elsewhere.parent}\n")
    monkeypatch.setenv("PIP_FIND_LINKS", str(elsewhere.parent))
    monkeypatch.setenv("PIP_CONFIG_FILE", str(tmp_path / "pip.conf"))
    assert versions(ask(store, "app\n", folder=wheels)) == {"app": "1.0"}


def test_what_pip_is_told_about_this_machine_does_not_reach_the_target(
    store: Store, wheels: Path, index: Index, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    make_wheel(wheels, "app", "1.0")
    sources = {
        "PIP_TARGET": str(tmp_path / "x"),
        "PIP_USER": "1",
        "PIP_REQUIRE_VIRTUALENV": "1",
        "PIP_NO_BINARY": ":all:",
    }
    file = tmp_path / "requirements.txt"
    file.write_text("app\n")
    environ = {**index.environ(os.environ), **sources}
    pins = resolve([file], TARGET, sources=WheelSources(environ=environ), store=store, reporter=Quiet())
    assert [pin.name for pin in pins] == ["app"]
    assert not (tmp_path / "x").exists()


def test_no_wheel_for_the_target_says_which_there_are_and_why_not(store: Store, wheels: Path, index: Index) -> None:
    make_wheel(wheels, "fast", "1.0", tag="cp311-cp311-manylinux_2_39_x86_64")
    make_wheel(wheels, "fast", "1.0", tag="cp312-cp312-manylinux_2_17_x86_64")
    make_wheel(wheels, "fast", "1.0", tag="cp311-cp311-win_amd64")
    make_wheel(wheels, "fast", "1.0", tag="cp311-cp311-musllinux_1_2_aarch64")
    (wheels / "fast-1.0.tar.gz").write_bytes(b"")
    with pytest.raises(NoMatchingWheel) as caught:
        ask(store, "fast==1.0\n", index=index)
    assert caught.value.requirement == "fast==1.0"
    assert set(caught.value.rejected) == {
        "fast-1.0-cp311-cp311-manylinux_2_39_x86_64.whl: needs glibc 2.39",
        "fast-1.0-cp312-cp312-manylinux_2_17_x86_64.whl: is for CPython 3.12",
        "fast-1.0-cp311-cp311-win_amd64.whl: is for Windows",
        "fast-1.0-cp311-cp311-musllinux_1_2_aarch64.whl: is for musl libc",
        "fast-1.0.tar.gz: a source archive, no wheel",
    }
    assert "newer glibc" in (caught.value.hint or "")
    assert "requirements.txt:1" in (caught.value.hint or "")


def test_a_wheel_for_a_newer_python_says_so(store: Store, wheels: Path, index: Index) -> None:
    make_wheel(wheels, "picky", "2.0", requires_python=">=3.11.5")
    with pytest.raises(NoMatchingWheel, match=r"needs Python >=3\.11\.5") as caught:
        ask(store, "picky\n", index=index)
    assert 'base = "docker.io/library/python:3.11-slim" in image.toml' in (caught.value.hint or "")


def test_a_project_with_source_archives_only_can_be_built_when_asked(store: Store, wheels: Path, index: Index) -> None:
    (wheels / "old-1.0.tar.gz").write_bytes(b"")
    with pytest.raises(NoMatchingWheel) as caught:
        ask(store, "old\n", index=index)
    assert 'build = ["old"]' in (caught.value.hint or "")


def test_a_version_that_is_not_there_names_those_that_are(store: Store, wheels: Path, index: Index) -> None:
    make_wheel(wheels, "app", "1.0")
    make_wheel(wheels, "app", "1.1")
    with pytest.raises(ResolutionError, match=r"app==9: no such version.* are 1\.1, 1\.0") as caught:
        ask(store, "app==9\n", index=index)
    assert "requirements.txt:1" in (caught.value.hint or "")


def test_a_name_that_nobody_has_is_told_from_a_version_that_nobody_has(
    store: Store, wheels: Path, index: Index
) -> None:
    with pytest.raises(ResolutionError, match="the index has nothing named nope"):
        ask(store, "nope\n", index=index)
    with pytest.raises(ResolutionError, match="has nothing named nope") as caught:
        ask(store, "nope\n", folder=wheels)
    assert str(wheels) in (caught.value.hint or "")


@pytest.mark.parametrize(
    ("tag", "text", "where"),
    [
        ("py3-none-any", "nope\n", "with pip alone: pip download "),
        ("cp312-cp312-manylinux1_x86_64", "app\n", "with pip alone: pip download "),
        ("py3-none-macosx_11_0_arm64", "app\n", "with pip alone on linux/amd64: pip download "),
        ("cp312-cp312-win_amd64", "app\n", "with pip alone on linux/amd64: pip download "),
        ("py3-none-manylinux_2_39_x86_64", "app\n", "ocibuild download"),
        ("py3-none-any", "app\nlib==1\n", "with pip alone: pip download "),
        ("py3-none-any", "--find-links http://127.0.0.1:9/\nnope\n", "with pip alone: pip download "),
    ],
)
def test_what_a_folder_lacks_is_brought_by_what_the_hint_says(
    store: Store, wheels: Path, tag: str, text: str, where: str
) -> None:
    make_wheel(wheels, "app", "1.0", tag=tag, requires=["lib==2"] if "lib" in text else [])
    make_wheel(wheels, "lib", "1")
    make_wheel(wheels, "lib", "2")
    with pytest.raises((ResolutionError, NoMatchingWheel)) as caught:
        ask(store, text, folder=wheels)
    hint = caught.value.hint or ""
    assert "where there is a network: ocibuild download" in hint and where in hint, caught.value


def test_a_conflict_says_who_wants_what(store: Store, wheels: Path, index: Index) -> None:
    make_wheel(wheels, "app", "1.0", requires=["dep<2"])
    make_wheel(wheels, "dep", "1.0")
    make_wheel(wheels, "dep", "2.0")
    with pytest.raises(ResolutionError, match=r"the requirements ask for dep==2\.0, but app 1\.0 depends") as caught:
        ask(store, "app\ndep==2.0\n", index=index)
    assert "requirements.txt:2" in (caught.value.hint or "")


def test_an_index_that_wants_a_password_gets_it_and_it_is_never_shown(store: Store, wheels: Path) -> None:
    make_wheel(wheels, "app", "1.0")
    with serve_index(wheels, password="hunter2") as index:
        assert versions(ask(store, "app\n", index=index)) == {"app": "1.0"}
        with pytest.raises(ResolutionError) as missing:
            ask(store, "app==2\n", index=index)
        environ = {**index.environ(os.environ), "PIP_INDEX_URL": index.url.replace("//", "//user:wrong-secret@")}
        file = store.root.parent / "requirements.txt"
        with pytest.raises(TransportError, match="401") as refused:
            resolve([file], TARGET, sources=WheelSources(environ=environ), store=store, reporter=Quiet())
    assert "hunter2" not in f"{missing.value} {missing.value.hint}"
    assert "wrong-secret" not in f"{refused.value} {refused.value.hint}"


def test_an_index_that_does_not_answer_is_a_transport_error(store: Store, wheels: Path) -> None:
    with serve_index(wheels) as index:
        pass
    with pytest.raises(TransportError, match=r"refused|broken"):
        ask(store, "app\n", index=index)


def test_a_url_of_a_wheel_becomes_a_pin_that_remembers_it(store: Store, wheels: Path, index: Index) -> None:
    app = make_wheel(wheels, "app", "1.0")
    url = f"http://127.0.0.1:{index.port}/files/{app.name}"
    pin = ask(store, f"app @ {url}\n", index=index)["app"]
    told = json.loads(pin.direct_url or "")
    assert (told["url"], told["archive_info"]["hashes"]["sha256"]) == (url, sha256(app))


def test_a_local_wheel_is_in_the_store_and_its_folder_is_not_remembered(
    store: Store, wheels: Path, index: Index
) -> None:
    app = make_wheel(store.root.parent / "vendor", "app", "1.0", requires=["dep"])
    make_wheel(wheels, "dep", "1.0")
    pin = ask(store, f"./vendor/{app.name}\n", index=index)["app"]
    assert store.read(pin.sha256, pin.size or 0) == app.read_bytes()
    assert json.loads(pin.direct_url or "")["url"] == f"file:///{app.name}"


def test_preferred_pins_are_kept_where_the_requirements_let_them(store: Store, wheels: Path, index: Index) -> None:
    make_wheel(wheels, "app", "1.0", requires=["dep"])
    make_wheel(wheels, "dep", "1.0")
    first = ask(store, "app\n", index=index)
    make_wheel(wheels, "dep", "2.0")
    make_wheel(wheels, "app", "2.0", requires=["dep"])
    kept = ask(store, "app==2.0\n", index=index, preferred=tuple(first.values()))
    assert versions(kept) == {"app": "2.0", "dep": "1.0"}


def test_preferred_pins_that_no_longer_fit_are_let_go_with_a_note(store: Store, wheels: Path, index: Index) -> None:
    make_wheel(wheels, "app", "1.0", requires=["dep"])
    make_wheel(wheels, "dep", "1.0")
    first = ask(store, "app\n", index=index)
    make_wheel(wheels, "dep", "2.0")
    make_wheel(wheels, "app", "2.0", requires=["dep>=2"])
    notes = Notes()
    moved = ask(store, "app==2.0\n", index=index, preferred=tuple(first.values()), notes=notes)
    assert versions(moved) == {"app": "2.0", "dep": "2.0"}
    assert len(notes.lines) == 1


def test_a_yanked_wheel_that_was_pinned_is_taken_and_noted(store: Store, wheels: Path) -> None:
    app = make_wheel(wheels, "app", "1.0")
    notes = Notes()
    with serve_index(wheels, yanked={app.name: "broken"}) as index:
        assert versions(ask(store, "app==1.0\n", index=index, notes=notes)) == {"app": "1.0"}
    assert notes.lines == ["app 1.0 has been yanked by its authors"]


def test_nothing_asked_is_nothing_chosen_and_pip_is_not_started(store: Store) -> None:
    assert ask(store, "# nothing yet\n") == {}


def test_an_unsupported_line_is_refused_before_pip_is_started(store: Store) -> None:
    with pytest.raises(UnsupportedRequirement):
        ask(store, "git+https://host.example/x.git\n")


def test_an_html_index_serves_as_well(store: Store, wheels: Path) -> None:
    make_wheel(wheels, "app", "1.0", requires_python=">=3.8")
    with serve_index(wheels, as_json=False) as index:
        assert versions(ask(store, "app\n", index=index)) == {"app": "1.0"}
