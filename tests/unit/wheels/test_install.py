"""Installing a wheel into entries."""

from __future__ import annotations

import csv
from pathlib import Path

import pytest

from oci_builder.errors import UnsafePath, WheelError
from oci_builder.tree.content import MappedFiles
from oci_builder.tree.entry import Entry, EntryPath, Inline
from oci_builder.wheels.archive import open_wheel
from oci_builder.wheels.install import Installed, install
from tests.support.targets import SITE, TARGET
from tests.support.wheels import make_wheel


def installed(wheel: Path, *, requested: bool = False, direct_url: str | None = None) -> Installed:
    return install(open_wheel(wheel, wheel.name), TARGET, requested=requested, direct_url=direct_url)


def by_path(result: Installed) -> dict[str, Entry]:
    return {entry.path: entry for entry in (*result.entries, result.record(()))}


def text(entry: Entry) -> str:
    assert entry.content is not None
    with MappedFiles() as sources:
        return sources.read(entry.content, what=entry.path).decode()


def rows(entry: Entry) -> dict[str, tuple[str, str]]:
    return {row[0]: (row[1], row[2]) for row in csv.reader(text(entry).splitlines())}


def test_every_scheme_goes_where_the_target_says(tmp_path: Path) -> None:
    data = {"data/share/d.txt": b"d", "headers/h.h": b"h", "scripts/run": b"#!/bin/sh\n", "purelib/p.py": b"p"}
    entries = by_path(installed(make_wheel(tmp_path, data=data | {"platlib/q.py": b"q"})))
    info = f"{SITE}/demo-1.0.dist-info"
    assert set(entries) == {
        *(f"{SITE}/{name}" for name in ("demo.py", "p.py", "q.py")),
        *(f"{info}/{name}" for name in ("METADATA", "WHEEL", "RECORD", "INSTALLER")),
        "usr/local/share/d.txt",
        "usr/local/include/python3.11/demo/h.h",
        "usr/local/bin/run",
    }


def test_scripts_are_executable_and_start_the_targets_python(tmp_path: Path) -> None:
    data = {"scripts/tool": b"#!python -E\nprint(1)\n", "scripts/sh": b"#!/bin/sh\n"}
    entries = by_path(installed(make_wheel(tmp_path, data=data)))
    assert text(entries["usr/local/bin/tool"]) == "#!/usr/local/bin/python3.11\nprint(1)\n"
    assert text(entries["usr/local/bin/sh"]) == "#!/bin/sh\n"
    assert {entries[f"usr/local/bin/{name}"].mode for name in ("tool", "sh")} == {0o755}


def test_entry_points_become_the_scripts_pip_writes(tmp_path: Path) -> None:
    points = {"console_scripts": {"demo": "demo.cli:app.main"}, "gui_scripts": {"demo-gui": "demo.gui:run"}}
    entries = by_path(installed(make_wheel(tmp_path, entry_points=points)))
    assert text(entries["usr/local/bin/demo"]) == (
        "#!/usr/local/bin/python3.11\nimport sys\nfrom demo.cli import app\nif __name__ == '__main__':\n"
        "    sys.argv[0] = sys.argv[0].removesuffix('.exe')\n    sys.exit(app.main())\n"
    )
    assert entries["usr/local/bin/demo-gui"].mode == 0o755


def test_the_x_bit_of_a_zip_entry_is_kept(tmp_path: Path) -> None:
    wheel = make_wheel(tmp_path, files={"demo/bin/x": b"1", "demo/y": b"2"}, executable=["demo/bin/x"])
    entries = by_path(installed(wheel))
    assert (entries[f"{SITE}/demo/bin/x"].mode, entries[f"{SITE}/demo/y"].mode) == (0o755, 0o644)


def test_record_lists_every_file_relative_to_site_packages(tmp_path: Path) -> None:
    wheel = make_wheel(tmp_path, entry_points={"console_scripts": {"demo": "demo:main"}}, data={"data/share/d": b"d"})
    result = installed(wheel)
    listed = rows(by_path(result)[f"{SITE}/demo-1.0.dist-info/RECORD"])
    there = {str(Path("/") / SITE / path) for path in listed}
    assert {str(Path(path).resolve()) for path in there} == {f"/{path}" for path in by_path(result)}
    assert listed["demo-1.0.dist-info/RECORD"] == ("", "")
    assert listed["../../../bin/demo"][0].startswith("sha256=")


def test_bytecode_is_listed_in_record_without_a_digest(tmp_path: Path) -> None:
    result = installed(make_wheel(tmp_path))
    pyc = EntryPath(result.entries[0].path.replace("demo.py", "__pycache__/demo.cpython-311.pyc"))
    assert rows(result.record([pyc]))["__pycache__/demo.cpython-311.pyc"] == ("", "")


def test_requested_and_direct_url_are_written_where_pip_writes_them(tmp_path: Path) -> None:
    wheel = make_wheel(tmp_path)
    info = f"{SITE}/demo-1.0.dist-info"
    plain, asked = by_path(installed(wheel)), by_path(installed(wheel, requested=True, direct_url='{"url": "x"}'))
    assert set(asked) - set(plain) == {f"{info}/REQUESTED", f"{info}/direct_url.json"}
    assert asked[f"{info}/REQUESTED"].content == Inline(b"")
    assert text(plain[f"{info}/INSTALLER"]) == "ocibuild\n"


def test_bytecode_inside_a_wheel_is_left_out(tmp_path: Path) -> None:
    wheel = make_wheel(tmp_path, files={"demo.py": b"", "__pycache__/demo.cpython-311.pyc": b"not ours"})
    assert not [path for path in by_path(installed(wheel)) if "__pycache__" in path]


@pytest.mark.parametrize("name", ["..", "a/../../x"])
def test_an_entry_point_cannot_write_outside_the_scripts(tmp_path: Path, name: str) -> None:
    wheel = make_wheel(tmp_path, entry_points={"console_scripts": {name: "demo:main"}})
    with pytest.raises(UnsafePath):
        installed(wheel)


def test_an_entry_point_that_names_no_function_is_explained(tmp_path: Path) -> None:
    wheel = make_wheel(tmp_path, entry_points={"console_scripts": {"demo": "not a function"}})
    with pytest.raises(WheelError, match="entry point"):
        installed(wheel)


def test_a_wheel_of_another_major_version_is_refused(tmp_path: Path) -> None:
    wheel = make_wheel(tmp_path, wheel_version="2.0")
    with pytest.raises(WheelError, match=r"Incompatible Wheel-Version 2\.0"):
        installed(wheel)


def test_data_for_a_scheme_that_does_not_exist_is_refused(tmp_path: Path) -> None:
    wheel = make_wheel(tmp_path, data={"etc/passwd": b"root"})
    with pytest.raises(WheelError, match=r"not contained in a valid \.data subdirectory"):
        installed(wheel)
