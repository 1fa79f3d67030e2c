"""Packages that mean harm, from an archive whose signature holds: each is refused with the reason, and none runs."""

from __future__ import annotations

import os
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from oci_builder.bases import Supply, open_base, update_base
from oci_builder.cli import main
from oci_builder.debian.lock import lock_path, write_lock
from oci_builder.platforms import Platform
from oci_builder.reporter import Quiet
from oci_builder.store import Store
from tests.support.debian import Deb, small_base, write_layer_folder, write_mirror, write_suite
from tests.support.webserver import WebServer, serving

HOST = Platform.parse(os.uname().machine)
SH = b"#!/bin/sh\nset -e\n"
OWN = "usr/lib/own/mkdir"
TRIGGERS = b"".join(b"interest /t%d\n" % number for number in range(50_000))


def scripted(name: str, script: bytes, **more: object) -> Deb:
    return Deb(name=name, scripts={"postinst": script}, **more)  # type: ignore[arg-type]


def debs(witness: bytes) -> list[Deb]:
    """A package of each kind; whatever of them runs leaves a file ``witness``."""
    run = b"touch " + witness + b"\n"
    return [
        scripted("loops", SH + b"while :; do :; done\n"),
        scripted("grows", SH + b'a=xxxxxxxx; while :; do a="$a$a"; done\n'),
        scripted("writes-out", SH + b"echo x > /../../proc/sys/kernel/core_pattern\n"),
        scripted("writes-through", SH + b"echo x > /etc/way/x\n", files={"etc/way": "-> ../../../../dev"}),
        scripted("names-device", SH + b"mknod /etc/sda b 8 0\n"),
        scripted("perl", b"#!/usr/bin/perl\nsystem('" + run.strip() + b"');\n"),
        scripted("elf", b"\x7fELF\x02\x01\x01" + bytes(64)),
        scripted("python", b"#!/usr/bin/env python3\nopen('" + witness + b"', 'w')\n"),
        scripted("no-shebang", run),
        scripted("eval", SH + b"eval \"$(printf 'ch%s x' passwd)\"; /usr/lib/own/runs\n"),
        scripted("own-program", SH + b"/usr/lib/own/mkdir /x\n", files={OWN: b"\x7fELF"}, modes={OWN: 0o755}),
        scripted("other-path", SH + b"PATH=/usr/lib/own:$PATH\nmkdir /x\n", files={OWN: b"\x7fELF"}),
        scripted("idle-function", SH + b"exit() { :; }\nexit 0\n" + run),
        scripted("controls", SH + b"frob '\x1b]0;owned\x07'\n"),
        scripted("direction", SH + "\u202efrob \u2028x\n".encode()),
        scripted("not-unicode", SH + b"mkdir /etc/\xff\n"),
        scripted("no-syntax", SH + b"if; then (\n"),
        scripted("nul", SH + b"true\0\n"),
        scripted("long", SH + b":\n" * 200_000),
        scripted("brackets", SH + b"<" * 200_000),
        scripted("bad-passwd", SH + b"echo 'x:y:zz:w::' >> /etc/passwd\nchown x /etc/passwd\n"),
        scripted("awk", SH + b"awk 'BEGIN { system(\"" + run.strip() + b"\") }'\n"),
        scripted("sed", SH + b"echo a | sed 's/a/" + run.strip().replace(b"/", b"\\/") + b"/e'\n"),
        scripted("exits", SH + b"exit 3\n"),
        Deb(name="many-triggers", scripts={"triggers": TRIGGERS, "postinst": SH + b"for x in $2; do :; done\nfrob\n"}),
        Deb(name="config-loops", scripts={"config": SH + b"until false; do :; done\n"}),
        Deb(name="preinst-runs", scripts={"preinst": SH + b"/bin/frob\n"}),
    ]  # fmt: skip


@pytest.fixture(scope="module")
def archive(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Path, WebServer, Path]]:
    """A project whose base is tiny, a mirror with the packages, and what tells that something of them ran."""
    folder = tmp_path_factory.mktemp("hostile")
    witness, store = folder / "ran", Store(folder / "cache")
    path, os.environ["PATH"] = os.environ["PATH"], "/nonexistent"
    try:
        with serving(folder / "mirror") as server:
            layer = write_layer_folder(folder / "project/layers/tiny", small_base())
            write_mirror(folder / "mirror", small_base())
            write_suite(folder / "mirror", "debian", "bookworm", [*small_base(), *debs(str(witness).encode())])
            supply = Supply(now=int(time.time()), mirrors=(server.url,))
            known = update_base(layer, HOST, store=store, supply=supply, reporter=Quiet())
            write_lock(known, lock_path(layer, HOST))
            open_base(layer, HOST, store=store, supply=supply, reporter=Quiet())
            yield folder, server, witness
    finally:
        os.environ["PATH"] = path


NAMES = [deb.name for deb in debs(b"x")]


@pytest.mark.parametrize("name", NAMES)
def test_a_package_that_means_harm_is_refused_and_none_of_it_runs(
    name: str,
    archive: tuple[Path, WebServer, Path],
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    folder, server, witness = archive
    monkeypatch.setenv("PATH", "/nonexistent")
    monkeypatch.setenv("OCIBUILD_CACHE_DIR", str(folder / "cache"))
    project, out = folder / "project" / "build" / name, folder / f"{name}.tar"
    project.mkdir(parents=True)
    recipe = f'name = "{name}"\nbase = "tiny"\nbase-packages = ["{name}"]\nplatforms = ["linux/{HOST.architecture}"]\n'
    (project / "image.toml").write_text(recipe)
    before = time.process_time()
    flags = ["--project-dir", str(folder / "project"), "--mirror", server.url, "--out", str(out), "--progress", "plain"]
    code = main(["build", name, *flags])
    said = capsys.readouterr().err
    assert code == 1, said
    assert f"{name} 1.0-1: its " in said and "would have to run" in said
    assert not out.exists() and not witness.exists()
    assert not (project / f"base.lock.{HOST.architecture}.json").exists()
    assert time.process_time() - before < 20
    assert all(letter.isprintable() or letter == "\n" for letter in said), ascii(said)
