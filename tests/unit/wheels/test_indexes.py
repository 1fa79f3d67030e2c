"""Indexes as they are: what they say of their files, and what they do not."""

from __future__ import annotations

import hashlib
import http.server
import os
import socket
import threading
from collections.abc import Iterator, Mapping
from functools import partial
from pathlib import Path

import pytest

from oci_builder.errors import DigestMismatch, NoMatchingWheel
from oci_builder.reporter import Quiet
from oci_builder.store import Store
from oci_builder.wheels.fetch import fetch_wheels
from oci_builder.wheels.pins import WheelPin
from oci_builder.wheels.pip import WheelSources
from oci_builder.wheels.requirements import index_options
from oci_builder.wheels.resolve import resolve
from tests.support.index import serve_index
from tests.support.targets import TARGET
from tests.support.wheels import make_wheel, sha256


@pytest.fixture
def pool(tmp_path: Path) -> Path:
    folder = tmp_path / "pool"
    folder.mkdir()
    return folder


def taken(store: Store, text: str, environ: Mapping[str, str], *, offline: Path | None = None) -> dict[str, WheelPin]:
    """Resolve and fetch; every wheel that comes is what its pin says."""
    file = store.root.parent / "requirements.txt"
    file.write_text(text)
    options = index_options([file], environ=environ)
    links = (offline,) if offline else ()
    sources = WheelSources(environ=environ, options=options, find_links=links, offline=offline is not None)
    pins = resolve([file], TARGET, sources=sources, store=store, reporter=Quiet())
    found = fetch_wheels(pins, TARGET, sources=sources, store=store, jobs=2, reporter=Quiet())
    assert all(sha256(path) == digest for digest, path in found.items())
    return {pin.name: pin for pin in pins}


@pytest.mark.parametrize("as_json", [True, False])
@pytest.mark.parametrize("hashes", [(), ("md5",), ("sha512",), ("md5", "sha256"), ("sha1",)])
def test_what_an_index_gives_no_sha256_for_is_hashed_on_arrival(
    store: Store, pool: Path, hashes: tuple[str, ...], as_json: bool
) -> None:
    demo, needed = make_wheel(pool, "demo", requires=["needed"]), make_wheel(pool, "needed")
    with serve_index(pool, as_json=as_json, hashes=hashes) as index:
        pins = taken(store, "demo\n", index.environ(os.environ))
    assert {name: pin.sha256.hex for name, pin in pins.items()} == {"demo": sha256(demo), "needed": sha256(needed)}


def test_a_digest_in_capitals_is_the_same_digest(store: Store, pool: Path) -> None:
    demo = make_wheel(pool, "demo")
    with serve_index(pool) as index:
        place = f"http://127.0.0.1:{index.port}/files/{demo.name}#sha256={sha256(demo).upper()}"
        pins = taken(store, f"demo @ {place}\n", index.environ(os.environ))
        assert pins["demo"].sha256.hex == sha256(demo)
        pins = taken(store, f"demo==1.0 --hash=sha256:{sha256(demo).upper()}\n", index.environ(os.environ))
        assert pins["demo"].sha256.hex == sha256(demo)


@pytest.mark.parametrize("hashes", [("md5",), ("sha512",)])
def test_the_hash_that_an_index_does_give_is_compared(store: Store, pool: Path, hashes: tuple[str, ...]) -> None:
    demo = make_wheel(pool, "demo")
    with (
        serve_index(pool, hashes=hashes, broken=frozenset({demo.name})) as index,
        pytest.raises(DigestMismatch),
    ):
        taken(store, "demo\n", index.environ(os.environ))


def test_a_sha512_beside_a_requirement_is_held_to(store: Store, pool: Path) -> None:
    demo = make_wheel(pool, "demo")
    digest = hashlib.sha512(demo.read_bytes()).hexdigest()
    with serve_index(pool, hashes=("sha512",)) as index:
        pins = taken(store, f"demo==1.0 --hash=sha512:{digest}\n", index.environ(os.environ))
        assert pins["demo"].sha256.hex == sha256(demo)
        with pytest.raises(DigestMismatch):
            taken(
                store, f"demo==1.0 --hash=sha512:{digest[:-1]}{(int(digest[-1], 16) + 1) % 16:x}\n", index.environ({})
            )


def test_a_plain_folder_over_http_serves_as_find_links(store: Store, pool: Path) -> None:
    demo = make_wheel(pool, "demo")
    handler = partial(_Quiet, directory=str(pool))
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        url = f"http://127.0.0.1:{server.server_address[1]}/"
        pins = taken(store, f"--no-index\n--find-links {url}\ndemo\n", {"NO_PROXY": "127.0.0.1", **os.environ})
        server.shutdown()
    assert pins["demo"].sha256.hex == sha256(demo)


class _Quiet(http.server.SimpleHTTPRequestHandler):
    def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - the library's name
        return


def test_yanked_files_are_taken_by_their_exact_version_alone(store: Store, pool: Path) -> None:
    make_wheel(pool, "demo", "1.0")
    later = make_wheel(pool, "demo", "1.1")
    with serve_index(pool, as_json=False, yanked={later.name: "bad"}) as index:
        assert taken(store, "demo\n", index.environ(os.environ))["demo"].version == "1.0"
        assert taken(store, "demo==1.1\n", index.environ(os.environ))["demo"].version == "1.1"


@pytest.mark.parametrize("as_json", [True, False])
def test_what_an_index_says_of_python_decides(store: Store, pool: Path, as_json: bool) -> None:
    make_wheel(pool, "demo", "1.0")
    make_wheel(pool, "demo", "1.1", requires_python=">=3.11.5")
    with serve_index(pool, as_json=as_json) as index:
        assert taken(store, "demo\n", index.environ(os.environ))["demo"].version == "1.0"
        with pytest.raises(NoMatchingWheel, match=r"needs Python >=3\.11\.5"):
            taken(store, "demo==1.1\n", index.environ(os.environ))


@pytest.fixture
def dead() -> Iterator[str]:
    """The address of an index where nobody answers."""
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        yield f"http://127.0.0.1:{taken.getsockname()[1]}/simple/"


@pytest.mark.parametrize("first", [True, False])
def test_a_mirror_that_is_down_beside_one_that_works_is_asked_once(
    store: Store, pool: Path, dead: str, first: bool
) -> None:
    names = [f"demo{number}" for number in range(12)]
    for name in names:
        make_wheel(pool, name)
    with serve_index(pool) as index:
        environ = index.environ(os.environ) | {"PIP_RETRIES": "1"}
        urls = (dead, index.url) if first else (index.url, dead)
        environ |= {"PIP_INDEX_URL": urls[0], "PIP_EXTRA_INDEX_URL": urls[1]}
        pins = taken(store, "".join(f"{name}\n" for name in names), environ)
    assert sorted(pins) == sorted(names)


def test_credentials_in_pips_configuration_open_an_index(store: Store, pool: Path, tmp_path: Path) -> None:
    make_wheel(pool, "demo")
    with serve_index(pool, user="me", password="p%40ss", hashes=("md5",)) as index:
        address = f"http://me:p%2540ss@127.0.0.1:{index.port}/simple/"
        (tmp_path / "pip.conf").write_text(f"[global]\nindex-url = {address}\n")
        kept = {name: value for name, value in os.environ.items() if not name.startswith("PIP_")}
        environ = {**kept, "PIP_CONFIG_FILE": str(tmp_path / "pip.conf"), "NO_PROXY": "127.0.0.1"}
        assert taken(store, "demo\n", environ)["demo"].version == "1.0"
