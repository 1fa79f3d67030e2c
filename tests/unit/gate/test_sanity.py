"""Image sanity: modes, secrets, duplicates and size, each found where it was put and nowhere else."""

from __future__ import annotations

import os

import pytest

from oci_builder.gate.gate import GateRules
from oci_builder.store import Store
from oci_builder.tree.entry import Entry, directory, file
from tests.support.gates import DEMO, judged, kinds, metadata, source

COPY = "copy"


def copied(path: str, data: bytes = b"x=1\n") -> Entry:
    return file(path, data, origin=COPY)


def test_ordinary_files_give_no_findings(store: Store) -> None:
    entries = [copied("opt/app.py"), directory("opt/data", mode=0o1777, origin=COPY), copied("opt/.env.example")]
    assert kinds(judged(store, *entries)) == []


@pytest.mark.parametrize("mode", [0o4755, 0o2755, 0o6711])
def test_a_file_that_lends_its_owners_rights_is_an_error(store: Store, mode: int) -> None:
    gated = judged(store, file("usr/local/bin/x", b"x\n", mode=mode, origin=DEMO))
    assert kinds(gated) == [("error", "setuid", "/usr/local/bin/x")]


@pytest.mark.parametrize(
    "entry", [file("opt/x", b"", mode=0o666, origin=COPY), directory("opt/x", mode=0o777, origin=COPY)]
)
def test_what_everybody_may_write_is_a_warning(store: Store, entry: Entry) -> None:
    assert kinds(judged(store, entry)) == [("warning", "world-writable", "/opt/x")]


@pytest.mark.parametrize(
    "path",
    [
        "opt/.env",
        "home/u/.ssh/id_rsa",
        "opt/.netrc",
        "opt/.pypirc",
        "root/.aws/credentials",
        "x/.git-credentials",
        "opt/.env.production",
    ],
)
def test_a_copied_secret_is_an_error(store: Store, path: str) -> None:
    assert kinds(judged(store, copied(path))) == [("error", "secret", f"/{path}")]


@pytest.mark.parametrize(
    ("path", "data", "found"),
    [
        ("etc/pip.conf", b"[global]\nindex-url = https://me:token@index.example/simple\n", True),
        ("etc/pip.conf", b"[global]\nindex-url = https://index.example/simple\n", False),
        ("etc/pip.conf", b"[global]\nindex-url = https://${USER}:${TOKEN}@index.example/simple\n", False),
        ("root/.npmrc", b"//registry.example/:_authToken=abc\n", True),
        ("root/.npmrc", b"//registry.example/:_authToken=${NPM_TOKEN}\nfund=false\n", False),
        ("etc/tls/server.key", b"-----BEGIN RSA PRIVATE KEY-----\n", True),
        ("etc/tls/server.pem", b"-----BEGIN CERTIFICATE-----\n", False),
    ],
)
def test_a_copied_file_is_a_secret_by_what_it_holds(store: Store, path: str, data: bytes, found: bool) -> None:
    assert kinds(judged(store, copied(path, data))) == ([("error", "secret", f"/{path}")] if found else [])


def test_a_wheel_may_bring_what_is_called_like_a_secret(store: Store) -> None:
    assert kinds(judged(store, source("demo/tests/.env"))) == []


def test_much_of_the_same_is_a_warning(store: Store) -> None:
    data = os.urandom(11 << 20)
    gated = judged(store, copied("opt/a", data), copied("opt/b", data), copied("opt/c", b"other"))
    assert kinds(gated) == [("warning", "same-bytes", "/opt/a")]


def test_a_size_over_the_limit_names_the_largest_and_who_asked_for_them(store: Store) -> None:
    big = source("demo/big.bin", "x" * 3_000_000)
    wanted = source("demo-1.0.dist-info/REQUESTED")
    other = [source("other/o.bin", "y" * 2_000_000, origin="other 1.0"), *metadata("other")]
    entries = [big, wanted, *metadata("demo", "1.0", "Requires-Dist: other"), *other]
    assert kinds(judged(store, *entries, rules=GateRules(max_size=6_000_000))) == []
    gated = judged(store, *entries, rules=GateRules(max_size=4_000_000))
    assert [finding.kind for finding in gated.errors] == ["max-size"]
    lines = gated.errors[0].message.splitlines()
    assert lines[0] == "the files have 5.0 MB, and max-size allows 4.0 MB; the largest are"
    assert [line.split() for line in lines[1:3]] == [
        ["3.0", "MB", "demo", "1.0,", "asked", "for"],
        ["2.0", "MB", "other", "1.0,", "required", "by", "demo"],
    ]
