from __future__ import annotations

import json
from pathlib import Path
from posixpath import normpath

import pytest
from packageurl import PackageURL

from oci_builder.errors import NotFound
from oci_builder.inspect.installed import Licence
from oci_builder.inspect.licences import debian_licences
from tests.support.installed import OS_RELEASE, SITE, distribution, found, layer, package


def test_a_distribution_is_read_from_what_its_installer_left(tmp_path: Path) -> None:
    url = json.dumps({"url": "x", "archive_info": {"hashes": {"sha256": "ab" * 32}}}).encode()
    parts = distribution(
        "Demo_App",
        "1.0+local",
        files={"demo/__init__.py": b"", "demo.libs/libz-1.so.1": b"elf", "../../../bin/demo": b"#!"},
        metadata=["Summary: It demos", "License-Expression: mit or apache-2.0", "Home-page: https://demo.example"],
        dist_info={"direct_url.json": url, "sboms/auditwheel.cdx.json": b"{}"},
        requested=True,
        missing=["demo/gone.py"],
    )
    inventory = found(tmp_path / "x.tar", layer({normpath(path): data for path, data in parts.items()}))
    (demo,) = inventory.packages
    assert (demo.kind, demo.label, demo.summary) == ("python", "demo-app 1.0+local", "It demos")
    assert demo.licence == Licence("MIT OR Apache-2.0", spdx=True)
    assert demo.purl == "pkg:pypi/demo-app@1.0%2Blocal"
    assert demo.missing == (f"{SITE}/demo/gone.py",)
    assert "usr/local/bin/demo" in demo.files
    assert demo.vendored == (f"{SITE}/demo.libs/libz-1.so.1",)
    assert demo.sboms == (f"{SITE}/Demo_App-1.0+local.dist-info/sboms/auditwheel.cdx.json",)
    assert (demo.requested, demo.installer, demo.sha256) == (True, "pip", "ab" * 32)


def test_bytecode_belongs_to_whose_the_module_is(tmp_path: Path) -> None:
    compiled = {f"{SITE}/__pycache__/demo.cpython-311.pyc": b"1234", f"{SITE}/__pycache__/other.cpython-311.pyc": b"1"}
    inventory = found(tmp_path / "x.tar", layer(distribution("demo")), layer(compiled))
    (demo,) = inventory.packages
    assert inventory.sizes[demo][2] == 4
    assert inventory.layers(demo) == (1, 2)


def test_nothing_is_marked_as_asked_for_where_no_installer_marks(tmp_path: Path) -> None:
    (demo,) = found(tmp_path / "x.tar", layer(distribution("demo"))).packages
    assert demo.requested is None
    marked = layer(distribution("demo"), distribution("tool", requested=True))
    assert [each.requested for each in found(tmp_path / "y.tar", marked).packages] == [False, True]


@pytest.mark.parametrize(
    ("metadata", "licence"),
    [
        (["License: BSD 3-Clause"], Licence("BSD-3-Clause", spdx=True)),
        (["License: MIT"], Licence("MIT", spdx=True)),
        (["License: see LICENSE"], Licence("see LICENSE")),
        (["Classifier: License :: OSI Approved :: MIT License"], Licence("MIT", spdx=True)),
        (["Classifier: License :: OSI Approved :: BSD License"], Licence("BSD License")),
        (
            [f"Classifier: License :: OSI Approved :: {name}" for name in ("MIT License", "ISC License (ISCL)")],
            Licence("MIT, ISC"),
        ),
        (
            ["License: Copyright (c) them", "        All rights", "Classifier: License :: OSI Approved :: BSD License"],
            Licence("BSD License"),
        ),
        (["License: UNKNOWN"], Licence("UNKNOWN")),
        ([], Licence()),
    ],
)
def test_a_licence_is_an_expression_where_it_means_one(tmp_path: Path, metadata: list[str], licence: Licence) -> None:
    (demo,) = found(tmp_path / "x.tar", layer(distribution("demo", metadata=metadata))).packages
    assert demo.licence == licence


def test_requirements_count_for_the_images_python_and_machine(tmp_path: Path) -> None:
    requires = [
        "one; python_version < '3.12'",
        "two; python_full_version >= '3.11.5'",
        "three; platform_machine == 'x86_64'",
        "four; sys_platform == 'win32'",
        "five>=2; extra == 'More'",
        "six[fast]>1",
        "!!",
    ]
    parts = layer(distribution("demo", requires=requires))
    env = {"Env": ["PYTHON_VERSION=3.11.2"]}
    (demo,) = found(tmp_path / "x.tar", parts, run=env).packages
    assert [(need.names[0], need.asked, need.extra, need.extras) for need in demo.needs] == [
        ("one", "", "", ()),
        ("three", "", "", ()),
        ("five", ">=2", "more", ()),
        ("six", ">1", "", ("fast",)),
    ]


def test_a_debian_package_is_found_in_status_d_with_files_behind_links(tmp_path: Path) -> None:
    parts = package("libz", "1:1.2+b1", fields="Source: zlib (1.2)\nDepends: libc (>= 2), awk | mawk\n")
    listed = b"0  lib/libz.so.1\n0  usr/share/absent\n"
    parts |= {"usr/lib/libz.so.1": b"elf", "var/lib/dpkg/status.d/libz.md5sums": listed, "etc/os-release": OS_RELEASE}
    inventory = found(tmp_path / "x.tar", layer(parts, links={"lib": "usr/lib"}))
    (libz,) = inventory.packages
    assert (libz.kind, libz.label, libz.source) == ("debian", "libz 1:1.2+b1", "zlib 1.2")
    assert libz.purl == "pkg:deb/debian/libz@1:1.2%2Bb1?arch=amd64&distro=debian-12"
    assert PackageURL.from_string(libz.purl).version == "1:1.2+b1"
    assert [need.names for need in libz.needs] == [("libc",), ("awk", "mawk")]
    assert inventory.owners["usr/lib/libz.so.1"] is libz


def test_dpkgs_status_counts_what_is_installed_and_knows_its_files(tmp_path: Path) -> None:
    status = (
        b"Package: here\nStatus: install ok installed\nArchitecture: all\nVersion: 1\n\n"
        b"Package: gone\nStatus: deinstall ok config-files\nArchitecture: all\nVersion: 1\n"
    )
    listed = b"/.\n/usr\n/usr/here\n"
    parts = {"var/lib/dpkg/status": status, "var/lib/dpkg/info/here:all.list": listed, "usr/here": b"123"}
    inventory = found(tmp_path / "x.tar", layer(parts))
    (here,) = inventory.packages
    assert (here.name, here.files, inventory.size(here)) == ("here", ("usr/here",), 3)


def test_a_copyright_file_for_machines_names_licences(tmp_path: Path) -> None:
    text = "Format: https://www.debian.org/doc/packaging-manuals/copyright-format/1.0/\n\nFiles: *\nLicense: GPL-2+\n"
    assert debian_licences(f"{text} the text\n\nFiles: x\nLicense: MIT\n") == Licence("GPL-2+, MIT")
    assert debian_licences("This is free software.") == Licence()


def test_what_does_not_read_as_a_package_is_left_out(tmp_path: Path) -> None:
    bad = {
        f"{SITE}/a-1.dist-info/METADATA": b"\xff\xfe",
        f"{SITE}/b-1.dist-info/METADATA": b"Name: b\n",
        f"{SITE}/c-1.dist-info/METADATA": b"Name: c\nVersion: 1\n",
        f"{SITE}/c-1.dist-info/RECORD": b'"open\n\0',
        "var/lib/dpkg/status": b"Package: x\n\n:::\n",
        "var/lib/dpkg/status.d/y": b"no stanza",
    }
    assert [package.label for package in found(tmp_path / "x.tar", layer(bad)).packages] == ["c 1"]


def test_a_package_is_found_by_any_spelling_of_its_name(tmp_path: Path) -> None:
    inventory = found(tmp_path / "x.tar", layer(distribution("Demo.App"), package("libstdc++6")))
    assert inventory.find("demo_app").name == "demo-app"
    assert inventory.find("libstdc++6").kind == "debian"
    with pytest.raises(NotFound, match="no package 'demo'") as caught:
        inventory.find("demo")
    assert caught.value.hint == "there is demo-app"
