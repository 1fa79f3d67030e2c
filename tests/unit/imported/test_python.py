"""The Python of an image, told from its files: docker.io's, Debian's and Alpine's layouts, environments, and none."""

from __future__ import annotations

import tarfile
from collections.abc import Mapping, Sequence
from pathlib import Path

import pytest

from oci_builder.errors import NoPython
from oci_builder.imported.libc import Libc
from oci_builder.imported.opening import open_file
from oci_builder.imported.python import Python, find_python
from oci_builder.platforms import AMD64
from oci_builder.reporter import Quiet
from oci_builder.store import Store
from tests.support.archives import make_tar, member
from tests.support.imported import (
    GLIBC,
    MUSL,
    Member,
    alpine_python,
    config_of,
    debian_python,
    docker_python,
    files,
    save_like_old_docker,
)

GLIBC_236 = Libc("glibc", (2, 36))


class Found:
    """Looks for the Python of a root filesystem given as tar members."""

    def __init__(self, tmp_path: Path, store: Store) -> None:
        self._path, self._store = tmp_path / "image.tar", store

    def __call__(self, members: Sequence[Member], env: Mapping[str, str] | None = None) -> Python:
        layer = make_tar(*members)
        save_like_old_docker(self._path, [layer], config_of([layer]))
        tree = open_file(self._path, AMD64, store=self._store, reporter=Quiet()).tree
        return find_python(tree, env or {}, machine="x86_64", what="the image")


@pytest.fixture
def found(tmp_path: Path, store: Store) -> Found:
    return Found(tmp_path, store)


def test_docker_ios_python_is_its_own_and_not_debians(found: Found) -> None:
    assert found(docker_python()) == Python(
        version="3.11.9",
        interpreter="/usr/local/bin/python3.11",
        prefix="/usr/local",
        purelib="/usr/local/lib/python3.11/site-packages",
        scripts="/usr/local/bin",
        libc=GLIBC_236,
    )


@pytest.mark.parametrize("version", ["3.9.21", "3.10.16", "3.12.8", "3.13.1", "3.14.0rc1"])
def test_any_python_3_is_found(version: str, found: Found) -> None:
    python = found(docker_python(version)) if "rc" not in version else found(_prerelease(version))
    minor = ".".join(version.split(".")[:2])
    assert (python.version, python.interpreter) == (version, f"/usr/local/bin/python{minor}")
    assert python.purelib == f"/usr/local/lib/python{minor}/site-packages"


def _prerelease(version: str) -> list[Member]:
    return files(
        ("usr/lib/x86_64-linux-gnu/libc.so.6", GLIBC),
        ("usr/local/bin/python3.14", b"\0" + version.encode() + b"\0"),
        ("usr/local/bin/python3", "python3.14"),
        ("usr/local/lib/python3.14/os.py", b""),
    )


def test_debians_python_installs_into_dist_packages(found: Found) -> None:
    assert found(debian_python()) == Python(
        version="3.11.2",
        interpreter="/usr/bin/python3.11",
        prefix="/usr/local",
        purelib="/usr/local/lib/python3.11/dist-packages",
        scripts="/usr/local/bin",
        libc=GLIBC_236,
    )


def test_a_link_to_site_packages_is_followed_as_in_our_own_bases(found: Found) -> None:
    extra = [
        ("usr/local/lib/python3.11/dist-packages", "site-packages"),
        ("usr/local/bin/python3.11", "/usr/bin/python3.11"),
    ]
    members = files(*debian_python(), *extra)
    python = found(members)
    assert python.purelib == "/usr/local/lib/python3.11/site-packages"
    assert python.interpreter == "/usr/local/bin/python3.11"


def test_alpines_python_is_for_musl(found: Found) -> None:
    assert found(alpine_python()) == Python(
        version="3.12.8",
        interpreter="/usr/bin/python3.12",
        prefix="/usr",
        purelib="/usr/lib/python3.12/site-packages",
        scripts="/usr/bin",
        libc=Libc("musl", (1, 2)),
    )


def test_the_first_python_on_the_images_path_is_it(found: Found) -> None:
    python = found(docker_python(), {"PATH": "/usr/bin:/usr/local/bin"})
    assert (python.version, python.purelib) == ("3.9.2", "/usr/lib/python3.9/site-packages")


def test_a_virtual_environment_on_the_path_is_installed_into(found: Found) -> None:
    environment = files(
        ("opt/venv/pyvenv.cfg", b"home = /usr/local/bin\n"), ("opt/venv/bin/python3", "/usr/local/bin/python3")
    )
    python = found([*docker_python(), *environment], {"PATH": "/opt/venv/bin:/usr/local/bin"})
    assert python.prefix == "/opt/venv" and python.scripts == "/opt/venv/bin"
    assert python.purelib == "/opt/venv/lib/python3.11/site-packages"
    assert python.interpreter == "/opt/venv/bin/python3"


def test_headers_tell_a_version_that_the_binary_does_not(found: Found) -> None:
    plain = [(info, data.replace(b"\x003.11.9\0", b"?")) for info, data in docker_python()]
    for info, data in plain:
        info.size = len(data)
    header = ("usr/local/include/python3.11/patchlevel.h", b'#define PY_VERSION      "3.11.9"\n')
    assert found(files(*plain, header)).version == "3.11.9"


def test_a_version_that_the_linker_kept_only_as_the_end_of_a_path_is_found(found: Found) -> None:
    members = files(
        ("usr/lib/x86_64-linux-gnu/libc.so.6", GLIBC),
        ("opt/python/3.13.0/bin/python3.13", b"\0/opt/python/3.13.0/lib\0"),
        ("opt/python/3.13.0/bin/python3", "python3.13"),
        ("opt/python/3.13.0/lib/libpython3.13.so.1.0", b"\0/opt/python/3.13.0\0EXEC_PREFIX\0"),
        ("opt/python/3.13.0/lib/python3.13/os.py", b""),
    )
    python = found(members, {"PATH": "/opt/python/3.13.0/bin:/usr/bin"})
    assert (python.version, python.prefix) == ("3.13.0", "/opt/python/3.13.0")


@pytest.mark.parametrize(
    ("members", "why"),
    [
        (files(("bin/sh", b"")), "there is no Python in it"),
        (files(("usr/bin/python3", b"\x003.11.2\0")), "there is no Python in it"),
        (files(("usr/bin/python3.4", b"\x003.4.2\0"), ("usr/lib/python3.4/os.py", b"")), "3.8 is the oldest"),
        (files(("usr/bin/python3.11", b"?"), ("usr/lib/python3.11/os.py", b"")), "exact version"),
        (files(("usr/bin/python3.11", b"\x003.11.2\0"), ("usr/lib/python3.11/os.py", b"")), "C library"),
        (files(("usr/bin/python3", "python3")), "no Python|circles"),
    ],
)
def test_an_image_without_a_python_that_can_be_told_is_refused(members: list[Member], why: str, found: Found) -> None:
    with pytest.raises(NoPython, match=f"the image: .*({why})"):
        found(members)


def test_the_loader_of_the_interpreter_decides_between_two_c_libraries(found: Found) -> None:
    assert found(files(*docker_python(), ("usr/lib/ld-musl-x86_64.so.1", MUSL))).libc == GLIBC_236


def test_nothing_is_followed_out_of_the_image(found: Found) -> None:
    members = [
        *docker_python(),
        member("usr/local/lib/python3.11/site-packages/up", tarfile.SYMTYPE, target="../../../../../../.."),
    ]
    assert found(members).prefix == "/usr/local"
