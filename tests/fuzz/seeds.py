"""Small right inputs for every target: ``python -m tests.fuzz.seeds`` writes them into the corpus."""

from __future__ import annotations

import gzip
import json
import lzma
import struct
import tempfile
from collections.abc import Mapping
from pathlib import Path

import zstandard

from oci_builder.layer import IndexEntry
from oci_builder.oci.mediatypes import CONFIG, DOCKER_MANIFEST, INDEX, LAYER_GZIP, MANIFEST
from tests.fuzz.archives import CONTROL, INFO, control_tar, digest, wheel_members
from tests.fuzz.harness import CORPUS
from tests.support.archives import HandMade, folder, make_tar, member
from tests.support.debian import Deb, clearsigned, public_key, release
from tests.support.elves import ElfSpec, make_elf
from tests.support.wheels import make_wheel

HEX = "0" * 64
_DIGEST = f"sha256:{HEX}"


def _cut(tar: bytes) -> bytes:
    """A tar without what fills its last record: two closing blocks are an end."""
    size = len(tar.rstrip(b"\0"))
    return tar[: size + -size % 512] + bytes(1024)


def _json(document: object) -> bytes:
    return json.dumps(document).encode()


def _wheels() -> Mapping[str, tuple[bytes, ...]]:
    with tempfile.TemporaryDirectory() as place:
        path = make_wheel(
            Path(place),
            files={"demo.py": b"x = 1\n", "demo/a.txt": b"a" * 400},
            data={"scripts/run": b"#!python\nx\n", "data/share/x": b"y"},
            entry_points={"console_scripts": {"demo": "demo:main"}},
        )
        whole = path.read_bytes()
    rows = "".join(f"{name},{digest(data)},{len(data)}\n" for name, data in wheel_members().items())
    return {
        "wheel": (whole,),
        "wheel-record": (f"{rows}{INFO}/RECORD,,\n".encode(), b'"demo.py",sha256=aa,6\n'),
        "wheel-entry-points": (b"[console_scripts]\ndemo = demo:main\n[gui_scripts]\ng = a.b:c.d [extra]\n[x]\ny=z\n",),
        "wheel-metadata": (
            b"Wheel-Version: 1.0\nRoot-Is-Purelib: true\nTag: py3-none-any\nName: demo\nVersion: 1.0\n",
        ),
    }


def _tars() -> Mapping[str, tuple[bytes, ...]]:
    members = (
        folder("usr/"),
        member("usr/a", data=b"a" * 600, mtime=1.5, pax_headers={"comment": "x"}),
        member("usr/b", b"2", target="a"),
        member("usr/c", b"1", target="usr/a"),
        member("usr/.wh.gone"),
        member("é" * 60, data=b"n"),
    )
    plain = _cut(make_tar(*members))
    gnu = _cut(make_tar(*members[:4], member("l" * 120, b"2", target="t" * 120), form=1))
    entry = IndexEntry("usr/a", "file", 0o644, 0, 0, 7, 1, "", HEX, "x 1", 512)
    record = {
        "digest": _DIGEST,
        "size": 3,
        "diff_id": _DIGEST,
        "created_by": "",
        "comment": "",
        "holds": ["x 1"],
        "unpacked": 3,
        "entries": [list(entry.__struct_fields__ and [getattr(entry, name) for name in entry.__struct_fields__])],
    }
    with tempfile.TemporaryDirectory() as place:
        layer = _cut(make_tar(folder("usr/"), member("usr/a", data=b"a")))
        image = _cut(HandMade([layer]).write(Path(place, "i.tar")).read_bytes())
    files = (member("./usr/a", data=b"a"), member("./usr/b", b"1", target="./usr/a"))
    packed = (plain, gnu, gzip.compress(plain, mtime=0), gzip.compress(plain[:512], mtime=0) * 2)
    return {
        "tar": (plain, gnu),
        "tar-headers": (plain, gnu),
        "layer": (*packed, zstandard.ZstdCompressor().compress(plain)),
        "layer-record": (_json(record),),
        "image-archive": (image, gzip.compress(image, mtime=0)),
        "deb-data": (_cut(make_tar(folder("./usr/"), *files, form=1)),),
        "deb-control": (_cut(control_tar(CONTROL)),),
        "deb": (Deb(name="demo", files={"usr/": b"", "usr/a": b"a", "usr/b": "-> a"}).build(),),
    }


def _elves() -> Mapping[str, tuple[bytes, ...]]:
    spec = ElfSpec(
        needed=["libc.so.6"],
        soname="libx.so.1",
        runpath="$ORIGIN:/x",
        interpreter="/lib64/ld.so",
        wanted={"libc.so.6": ["GLIBC_2.36", "GLIBC_2.4"]},
        versions=["X_1", "X_2"],
    )
    names = b"libx.so.1\0/usr/lib/libx.so.1\0"
    start = 48 + 24
    cache = b"glibc-ld.so.cache1.1" + struct.pack("<II", 1, len(names)) + bytes(20)
    cache += struct.pack("<iIIIQ", 0x303, start, start + 10, 0, 0) + names
    symbols = make_elf(ElfSpec(soname="liba.so.1", offers=("one", "two"), asks=("three",)))
    return {"elf": (make_elf(spec), make_elf()), "elf-symbols": (symbols,), "ld-cache": (cache,)}


def _documents() -> Mapping[str, tuple[bytes, ...]]:
    config = {"mediaType": CONFIG, "digest": _DIGEST, "size": 2}
    layer = {"mediaType": LAYER_GZIP, "digest": _DIGEST, "size": 2, "annotations": {"a": "b"}}
    manifest = {"schemaVersion": 2, "mediaType": MANIFEST, "config": config, "layers": [layer]}
    item = {**config, "mediaType": MANIFEST, "platform": {"os": "linux", "architecture": "amd64"}}
    run = {
        "User": "a:b",
        "Env": ["PATH=/bin", "X"],
        "Entrypoint": ["/x"],
        "Cmd": "x",
        "ExposedPorts": {"80/tcp": {}},
        "Volumes": {"/v": {}},
        "Labels": {"a": "b"},
        "OnBuild": ["RUN x"],
        "Healthcheck": {"Test": ["NONE"], "Interval": 5},
    }
    image: dict[str, object] = {
        "architecture": "amd64",
        "os": "linux",
        "created": "2024-01-02T03:04:05.678Z",
        "config": run,
    }
    image |= {"rootfs": {"type": "layers", "diff_ids": [_DIGEST]}, "history": [{"created_by": "x"}]}
    logins = {"registry.example.com": {"auth": "dTpw"}, "https://index.docker.io/v1/": {"identitytoken": "t"}}
    return {
        "receipt": (
            b"[%b]" % _json({"Id": _DIGEST, "Os": "linux", "RootFS": {"Type": "layers", "Layers": [_DIGEST]}}),
            _json({"Id": "ab" * 32, "Architecture": "amd64", "RootFS": {"Layers": [_DIGEST, _DIGEST]}}),
        ),
        "manifest": (
            _json(manifest),
            _json({**manifest, "mediaType": DOCKER_MANIFEST}),
            _json({"schemaVersion": 2, "mediaType": INDEX, "manifests": [item], "annotations": {}}),
        ),
        "config": (_json(image), _json({"os": "linux", "architecture": "arm64", "variant": "v8"})),
        "challenge": (b'Bearer realm="https://x/token",service="r",scope="repository:a/b:pull"', b"Basic realm=x"),
        "token": (b'{"token": "abc", "expires_in": 300}', b'{"access_token": "t\\u00e9", "expires_in": "60"}'),
        "logins": (
            _json({"auths": logins}),
            b'{"auths": {"registry.example.com/team": {"username": "u", "password": "p"}}}',
            b'{"credHelpers": {"registry.example.com": "x"}, "credsStore": "y"}',
        ),
        "references": (b"localhost:5000/a/b:1@" + _DIGEST.encode(), b"mypy", b"linux/arm64/v8", _DIGEST.encode()),
        "bounded": (b'{"a": [1, 2.5, "\\u00e9", null]}', b"12345678901234567890", b'a.b = 1\n[c]\nd = "x"\n', b"1e999"),
    }


def _python() -> Mapping[str, tuple[bytes, ...]]:
    recipe = (
        b'name = "demo"\nbase = "python-3.11"\ntags = ["demo:1"]\n[python]\nbuild = ["x"]\n[config]\ncmd = ["python"]\n'
        b'[config.env]\nA = "b"\n[user]\nname = "app"\nuid = 1000\n[[copy]]\nsrc = "a"\ndest = "/a"\nmode = "0644"\n'
    )
    whole = b"""name = "demo"
version = "1.2"
base = "docker.io/library/python:3.11-slim"
base-packages = ["libgl1"]
platforms = ["linux/amd64", "linux/arm64/v8"]
max-size = "1.5 GB"
python.bytecode = "none"
python.find-links = ["wheels"]
[layering]
strategy = "each"
budget = 7
[checks]
allow = [{ reason = "x", library = "libGL.so.*" }]
[config]
workdir = "/srv"
entrypoint = ["/bin/x"]
exposed-ports = ["8080", "53/udp"]
volumes = ["/data"]
stop-signal = "SIGTERM"
[config.healthcheck]
test = ["CMD-SHELL", "true"]
interval = "1m30s"
retries = 3
[[copy]]
src = "."
dest = "/srv/app"
owner = "user"
mode = "0755"
"""
    lock = f"""lock-version = "1.0"
created-by = "ocibuild"
[[packages]]
name = "demo"
version = "1.0"
marker = "python_version >= '3.8'"
[[packages.wheels]]
name = "demo-1.0-py3-none-any.whl"
path = "wheels/demo-1.0-py3-none-any.whl"
size = 3
hashes = {{sha256 = "{HEX}"}}
[packages.tool.ocibuild]
requested = true
direct-url = '{{"url": "https://x/demo-1.0-py3-none-any.whl"}}'
[tool.ocibuild]
fingerprint = "f"
targets = ["x"]
"""
    log = (
        b"Found link https://x/demo-1.0-py3-none-any.whl (from https://x/), version: 1.0\n"
        b"Skipping link: none of the wheel's tags (cp39-cp39-win32) are compatible: https://x/demo-1.1-cp39-cp39-win32.whl\n"
        b"Skipping link: 1.2 Requires-Python >=3.12: https://x/demo-1.2.tar.gz (requires-python:>=3.12)\n"
        b"ERROR: No matching distribution found for demo==1.3 (from versions: 1.0)\n"
    )
    conflict = (
        b"ERROR: Cannot install a==1 and b==2 because these package versions have conflicting dependencies.\n"
        b"The conflict is caused by:\n    a 1 depends on c<1\n    b 2 depends on c>=1\n\n"
    )
    mismatch = (
        b"ERROR: THESE PACKAGES DO NOT MATCH THE HASHES FROM THE REQUIREMENTS FILE.\n    demo from https://x:\n"
        b"        Expected sha256 aa\n             Got        bb\n"
    )
    network = b"WARNING: Could not fetch URL https://x/: 500 Server Error: x - skipping\n"
    return {
        "image-toml": (recipe, whole),
        "project": (
            b"from fastapi import FastAPI\napp = FastAPI()\n---\n\n---\n*.log\n!a/b\n---\nfastapi\nuvicorn\n",
            b"import os\ndef create_app(a=1):\n    app = flask.Flask()\n    return app\n"
            b"if __name__ == '__main__':\n    create_app()\n"
            b"---\nweb: gunicorn 'main:create_app()' -b :$PORT\nrelease: x\n---\n\\!a[!b]\n---\n"
            b"-r requirements.txt\nflask[a,b]==1\n",
            b"import streamlit as st\nst.run(port=1)\n---\nworker: A=1 uv run --x y | z\n---\n---\nstreamlit\n",
        ),
        "line-of": (
            b'name = "x"\n[[copy]]\nsrc = "a"\n[[copy]]\nsrc = """\n[x]\n"""\n[python]\nbuild = ["a"]\n'
            b'[ "a.b" ]\nc = 1\n',
        ),
        "pylock": (lock.encode(),),
        "requirements": (
            b"numpy==2.4.6 --hash=sha256:aa # x\nidna>=3; python_version < '4' \\\n  and os_name == 'posix'\n",
            b"--index-url https://u:p@x/simple\n-r other.txt\n-c ${HERE}/c.txt\n./demo-1.0-py3-none-any.whl\n",
            b"demo @ https://x/demo-1.0-py3-none-any.whl#sha256=aa\ngit+https://x/y\n-e .\n",
            "\ufeffdemo[a,b]~=1.0\n".encode("utf-16"),
        ),
        "pyproject": (
            b'[build-system]\nrequires = ["hatchling"]\n[project]\nname = "x"\ndependencies = ["a>1"]\n'
            b'[project.optional-dependencies]\na = ["x[b]", "c"]\nb = ["d"]\n'
            b'[dependency-groups]\ndev = ["e", {include-group = "t"}]\nt = ["f"]\n',
        ),
        "pip-log": (log, conflict, mismatch, network),
        "distribution": (
            b"Metadata-Version: 2.1\nName: Demo\nVersion: 1.0\nSummary: x\nRequires-Dist: a>1; extra == 'b'\n"
            b"License-Expression: MIT OR Apache-2.0\nClassifier: License :: OSI Approved :: MIT License\n\ntext\n",
            b'{"url": "https://x", "archive_info": {"hashes": {"sha256": "aa"}}}',
            b"demo.py,sha256=aa,6\n../../../bin/demo,,\n",
        ),
        "removal": (b'demo.py,sha256=aa,6\n"../../../bin/x",,\n/usr/local/lib/y,,\n',),
        "accounts": (b"root:x:0:0:root:/root:/bin/sh\napp:x:7:7::/home/app:/bin/sh\n", b"app2:x:7:\n"),
    }


def _debian() -> Mapping[str, tuple[bytes, ...]]:
    index = "main/binary-amd64/Packages"
    text = release("bookworm", {index: b"x", f"{index}.xz": b"y"}, date=1_600_000_000, more="Acquire-By-Hash: yes\n")
    until = release("bookworm", {}, date=1_600_000_000, more="Valid-Until: Wed, 15 Nov 2023 00:00:00 UTC\n")
    stanza = (
        f"Package: demo\nSource: d (1.0)\nVersion: 1:1.0~rc1-1+b2\nArchitecture: amd64\nDepends: a (>= 1) | b, c:any\n"
        f"Provides: e (= 1)\nFilename: pool/main/d/demo.deb\nSize: 12\nSHA256: {HEX}\nDescription: x\n more\n\n"
    ).encode()
    pin: dict[str, object] = {
        "name": "demo",
        "version": "1.0",
        "architecture": "all",
        "source": "demo",
        "archive": "debian",
    }
    pin |= {"suite": "bookworm", "path": "pool/d.deb", "size": 3, "sha256": HEX}
    suite = {
        "archive": "debian",
        "suite": "bookworm",
        "date": "2023-11-01T00:00:00Z",
        "inrelease": HEX,
        "signers": ["A"],
    }
    lock = {"schema": 1, "architecture": "amd64", "suites": [suite], "packages": [pin]}
    extra = {**lock, "base": "x", "requested": ["demo"], "left_out": {"demo": ["a"]}}
    licence = b"Format: https://x\n\nFiles: *\nCopyright: x\nLicense: GPL-2+ and MIT\n text\n\nLicense: MIT\n x\n"
    layer = Path(__file__).parents[2] / "layers"
    return {
        "release": (text.encode(), until.encode()),
        "inrelease": (clearsigned(text),),
        "key": (public_key(),),
        "packages": (stanza + stanza.replace(b"demo", b"libc6"),),
        "control": (b"Package: demo\nDepends: a (>= 1) | b,\n c:any (<< 2:1~)\nProvides: e (= 1)\n",),
        "packages-xz": (lzma.compress(b"Package: demo\n"), lzma.compress(bytes(1 << 16))),
        "base-lock": (_json(lock), _json(extra), b'{"schema": 1, "packages": {"libx1": "libx.so.1 liby.so.2"}}'),
        "apt-sources": (
            b"deb [arch=amd64 signed-by=/k.gpg] http://x/debian bookworm main # x\ndeb-src http://x y z\n",
            b"Types: deb\nURIs: http://x/debian\nSuites: bookworm\nComponents: main\nSigned-By:\n -----BEGIN\n .\n x\n",
        ),
        "contents": (b"usr/lib/x86_64-linux-gnu/libx.so.1    libs/libx1,libs/liby\nlib/libz.so devel/libz-dev\n",),
        "versions": (b"1:2.0~rc1-1+deb12u1\n2.0-1", b"1.0a\n1.0"),
        "maintainer-script": (
            b'#!/bin/sh -e\n. /usr/share/debconf/confmodule\nf() { x=${1:-a}; echo "$x" | read y || return 1; }\n'
            b'case "$1" in configure|b*) f "$@" >> /etc/x 2>&1;; esac\nif [ -f /etc/x -a ! -L "$2" ]; then\n'
            b"update-alternatives --install /etc/a a /etc/x 5 --slave /etc/b b /etc/x\nfi\n",
            b"cat <<E > /etc/y\n ${z%%*.} `id -u`\nE\n"
            b"for i in /etc/* $(cat /etc/x); do mkdir -p -m 0750 /var/$i && break; done\n"
            b'while read a b; do ln -s "$b" "/etc/$a"; done < /etc/x\nchown root:0 /etc/y\nset -- a; shift\n',
        ),
        "layer-toml": tuple(sorted(path.read_bytes() for path in layer.glob("*/layer.toml"))[:1]),
        "ground": (
            b"Package: a\nStatus: install ok installed\nVersion: 1\nArchitecture: amd64\nProvides: b (= 1)\n\n"
            + stanza,
            b"/usr/bin/x\n/usr/bin/x.real\na\n/bin/y\n/usr/share/y\n:\n",
            b"root #7 2750 /usr/bin/x\n/.\n/usr\n/usr/bin/x\npath-exclude=/usr/share/doc/*\npath-include /usr/*\n",
            b'ID=debian\nVERSION_ID="12"\nVERSION="12 (bookworm)"\nPRETTY_NAME="a \\"b\\""\n',
            b"include /etc/ld.so.conf\n/opt/lib # x\ninterest-noawait /usr/share/x\nName: a/b\nValue: c\n",
        ),
        "dpkg-status": (
            b"Package: a\nStatus: install ok installed\nVersion: 1\nArchitecture: amd64\n" + stanza,
            b'ID=debian\nVERSION_ID="12"\n',
            licence,
            b"/usr/share/doc/a/copyright\n/bin/x\n",
        ),
    }


def main() -> None:
    """Write every seed; signed ones, which are never the same, where there is none yet."""
    for seeds in (_wheels(), _tars(), _elves(), _documents(), _python(), _debian()):
        for target, inputs in seeds.items():
            (CORPUS / target).mkdir(parents=True, exist_ok=True)
            for number, data in enumerate(inputs, 1):
                path = CORPUS / target / f"seed-{number}"
                if target not in ("key", "inrelease") or not path.exists():
                    path.write_bytes(data)


if __name__ == "__main__":
    main()
