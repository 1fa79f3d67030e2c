"""Modules that a wheel shares with the version before it are not compiled again, and no byte of a layer tells."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from oci_builder.bytecode import Compiler
from oci_builder.layer import Layer
from oci_builder.store import Store
from oci_builder.tree.tree import Tree
from oci_builder.wheels.layering import Group, Wheel
from tests.support.readers import read_back
from tests.support.targets import BYTECODE, base_tree, make_layers, shelve, wheel_of
from tests.support.wheels import make_wheel

SAME = {f"demo/m{number}.py": f"def f{number}():\n    return {number}\n".encode() for number in range(4)}
Files = Mapping[str, bytes]


class Compilations:
    """The names of the modules that interpreters compiled, written down by the worker that had them compiled."""

    def __init__(self, file: Path) -> None:
        self.file = file

    def since(self) -> list[str]:
        """Those since this was asked last."""
        lines = self.file.read_text().splitlines() if self.file.exists() else []
        self.file.unlink(missing_ok=True)
        return sorted(lines)


@pytest.fixture
def compiled(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Compilations:
    noted = Compilations(tmp_path / "compiled.txt")
    real = Compiler.compile

    def counted(self: Compiler, items: Iterable[tuple[str, bytes]], *, children: int = 1) -> Iterator[bytes | None]:
        given = list(items)
        with noted.file.open("a") as sink:
            sink.writelines(f"{path.rpartition('site-packages/')[2]}\n" for path, _ in given)
        return real(self, iter(given), children=children)

    monkeypatch.setattr(Compiler, "compile", counted)
    return noted


def version(folder: Path, number: str, files: Files, name: str = "demo") -> Wheel:
    return wheel_of(make_wheel(folder, name, number, files=dict(files)))


def layer(store: Store, *wheels: Wheel, base: Tree | None = None) -> Layer:
    (made,) = make_layers(
        [Group(wheels=tuple(shelve(wheels, store)))], store, base or base_tree(), bytecode=BYTECODE, jobs=1
    )
    read_back(made, store)
    return made


def alone(folder: Path, *wheels: Wheel, base: Tree | None = None) -> Layer:
    """The layer as an empty cache makes it."""
    return layer(Store(folder), *wheels, base=base)


def test_only_what_changed_is_compiled(tmp_path: Path, compiled: Compilations) -> None:
    store, new = Store(tmp_path / "cache"), {"demo/m1.py": b"x = 2\n", "demo/new.py": b"y = 3\n"}
    one, two = version(tmp_path, "1.0", SAME), version(tmp_path, "2.0", {**SAME, **new})
    layer(store, one)
    compiled.since()
    made = layer(store, two)
    assert compiled.since() == ["demo/m1.py", "demo/new.py"]
    assert made == alone(tmp_path / "other", two)


def test_a_wheel_that_shares_its_layer_has_a_predecessor_too(tmp_path: Path, compiled: Compilations) -> None:
    store, beside = Store(tmp_path / "cache"), version(tmp_path, "1.0", {"beside.py": b"z = 1\n"}, name="beside")
    one, two = version(tmp_path, "1.0", SAME), version(tmp_path, "2.0", {**SAME, "demo/m3.py": b"x = 2\n"})
    layer(store, one, beside)
    compiled.since()
    made = layer(store, two, beside)
    assert compiled.since() == ["demo/m3.py"]
    assert made == alone(tmp_path / "other", two, beside)


def test_the_way_back_is_as_short(tmp_path: Path, compiled: Compilations) -> None:
    store = Store(tmp_path / "cache")
    layer(store, version(tmp_path, "1.0", SAME))
    layer(store, version(tmp_path, "2.0", {**SAME, "demo/m0.py": b"x = 2\n"}))
    compiled.since()
    layer(store, version(tmp_path, "3.0", {**SAME, "demo/m0.py": b"x = 2\n", "demo/m1.py": b"x = 3\n"}))
    assert compiled.since() == ["demo/m1.py"]


@pytest.mark.parametrize("damage", ["gone", "cut off", "other bytes"])
def test_a_layer_that_does_not_hold_any_more_is_no_predecessor(
    damage: str, tmp_path: Path, compiled: Compilations
) -> None:
    store = Store(tmp_path / "cache")
    blob = store.path(layer(store, version(tmp_path, "1.0", SAME)).descriptor.digest)
    data = blob.read_bytes()
    if damage == "gone":
        blob.unlink()
    else:
        blob.write_bytes(data[: len(data) // 2] if damage == "cut off" else bytes(len(data)))
    compiled.since()
    two = version(tmp_path, "2.0", SAME)
    made = layer(store, two)
    assert compiled.since() == sorted(SAME)
    assert made == alone(tmp_path / "other", two)


def test_another_place_is_compiled_for_anew(tmp_path: Path, compiled: Compilations) -> None:
    """A source that moved is another module: its bytecode names its file."""
    store = Store(tmp_path / "cache")
    layer(store, version(tmp_path, "1.0", {"demo/a.py": b"x = 1\n"}))
    compiled.since()
    two = version(tmp_path, "2.0", {"demo/b.py": b"x = 1\n"})
    made = layer(store, two)
    assert compiled.since() == ["demo/b.py"]
    assert made == alone(tmp_path / "other", two)


SOURCES = st.sampled_from(
    [b"", b"x = 1\n", b"def f():\n    return 'a'\n", b"{{ not python }}\n", b"x = (1, 2, 'three')\n"]
)
PATHS = st.sampled_from(["demo/__init__.py", "demo/a.py", "demo/b/c.py", "demo/tests/t.py", "demo/d.txt", "top.py"])
WHEELS = st.lists(st.dictionaries(PATHS, SOURCES, min_size=1), min_size=2, max_size=4)


@settings(max_examples=15, deadline=None)
@given(versions=WHEELS)
def test_whatever_came_before_the_bytes_are_the_same(
    versions: list[dict[str, bytes]], tmp_path_factory: pytest.TempPathFactory
) -> None:
    folder = tmp_path_factory.mktemp("versions")
    store = Store(folder / "cache")
    for number, files in enumerate(versions):
        wheel = version(folder, f"{number}.0", files)
        assert layer(store, wheel) == alone(folder / f"alone{number}", wheel)
