"""Attacks on the archive's trust, each against a signed mirror on the loopback interface and a set clock.

``docs/decisions/archive-trust.md`` has the table for people. What is in ``vectors`` was made with gpg: a key whose
subkey signs, the same key with the subkey revoked, and one Release text signed with SHA-256 and with SHA-1.
"""

from __future__ import annotations

import contextlib
import datetime
import email.utils
import lzma
import re
import shutil
import socket
import subprocess
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import pysequoia
import pytest

from oci_builder.bytecode import Compiler
from oci_builder.debian import rootfs
from oci_builder.debian.lock import RootfsLock
from oci_builder.debian.recipe import key_files, load_layer
from oci_builder.debian.signed import MAX_RELEASE
from oci_builder.debian.sources import Mirror, fetch_packages
from oci_builder.debian.trust import Trust
from oci_builder.debian.update import update
from oci_builder.digest import Digest
from oci_builder.errors import (
    ArchiveIndexError,
    OcibuildError,
    PackageError,
    PackageUnavailable,
    TransportError,
)
from oci_builder.platforms import AMD64
from oci_builder.reporter import Quiet
from oci_builder.store import Store
from oci_builder.transport import Transport
from oci_builder.tree.content import MappedFiles
from oci_builder.tree.tree import Tree
from tests.support.debian import (
    Deb,
    clearsigned,
    release,
    signing_key,
    small_base,
    write_layer_folder,
    write_suite,
)
from tests.support.webserver import WebServer, serving

VECTORS = Path(__file__).parent / "vectors"
NOW = 1_700_000_000
DAY = 86_400
PATH = "main/binary-amd64/Packages"
UNTIL = f"Acquire-By-Hash: yes\nValid-Until: {email.utils.formatdate(NOW + 7 * DAY, usegmt=True)}\n"


@dataclass
class Site:
    """A mirror, a base of its packages and a store; ``now`` is what the clock says, ``lock`` an earlier state."""

    folder: Path
    server: WebServer
    store: Store
    now: int = NOW
    lock: RootfsLock | None = None
    debs: list[Deb] = field(default_factory=small_base)
    address: str = ""
    transport: Transport = field(default_factory=lambda: Transport(timeout=20, attempts=1))

    @property
    def suite(self) -> Path:
        return self.folder / "mirror" / "debian" / "dists" / "bookworm"

    @property
    def keys(self) -> Path:
        return self.folder / "tiny" / "keys" / "archive.gpg"

    def publish(self, *more: Deb, date: int = NOW, who: str = "archive") -> None:
        """The archive's own hand: everything signed anew."""
        debs = [*self.debs, *more]
        write_suite(self.folder / "mirror", "debian", "bookworm", debs, date=date, who=who)
        write_suite(self.folder / "mirror", "debian-security", "bookworm-security", [], date=date, more=UNTIL)

    def use(self) -> RootfsLock:
        """What a user does: resolve, fetch, build."""
        folder = self.folder / "tiny"
        recipe = load_layer(folder)
        source = Mirror(self.address or self.server.url, ("debian", "debian-security"), transport=self.transport)
        suites = self.lock.suites if self.lock else ()
        trust = Trust(keys=key_files(folder), now=self.now, suites=suites, store=self.store)
        lock = update(recipe, AMD64, [source], trust=trust, reporter=Quiet())
        fetch_packages(lock.packages, [source], store=self.store, reporter=Quiet())
        with self.store.scratch() as spool:
            rootfs.entries(recipe, lock, AMD64, rootfs.Means(store=self.store, spool=spool, compilers=_no_compiler))
        return lock

    def sign(self, text: str, who: str = "archive") -> None:
        """Put ``text``, signed, in place of the suite's index."""
        (self.suite / "InRelease").write_bytes(clearsigned(text, who))

    def index(self, packed: bytes, plain: bytes) -> None:
        """Sign a list of packages, which the archive would not have."""
        files = {PATH: plain, f"{PATH}.xz": packed}
        (self.suite / f"{PATH}.xz").write_bytes(packed)
        self.sign(release("bookworm", files, date=NOW))

    def entry(self, change: Callable[[str], str]) -> None:
        """Sign a list of packages in which ``change`` has been done to the text."""
        plain = change((self.suite / PATH).read_text()).encode()
        self.index(lzma.compress(plain), plain)

    @property
    def blobs(self) -> set[str]:
        return {path.name for path, _ in self.store.kept() if path.suffix != ".json"}

    @property
    def records(self) -> dict[str, bytes]:
        return {path.name: path.read_bytes() for path, _ in self.store.kept() if path.suffix == ".json"}


@contextlib.contextmanager
def _no_compiler(tree: Tree, sources: MappedFiles) -> Iterator[Compiler | None]:
    yield None


@pytest.fixture
def site(tmp_path: Path) -> Iterator[Site]:
    with serving(tmp_path / "mirror") as server:
        made = Site(tmp_path, server, Store(tmp_path / "store"))
        made.publish()
        write_layer_folder(tmp_path / "tiny", made.debs)
        yield made


@dataclass(frozen=True)
class Attack:
    """``begin`` does it; ``refusal`` and ``word`` say how it ends. ``kept``: what was refused had been signed for."""

    name: str
    begin: Callable[[Site], object]
    refusal: type[OcibuildError]
    word: str
    kept: bool = False


def _rollback_behind_lock(site: Site) -> None:
    site.lock = site.use()
    shutil.rmtree(site.store.root)
    site.store = Store(site.folder / "store")
    site.publish(date=NOW - DAY)


def _rollback_behind_seen(site: Site) -> None:
    site.use()
    site.publish(date=NOW - DAY)


def _rollback_of_one(site: Site) -> None:
    site.lock = site.use()
    there = site.folder / "mirror"
    write_suite(there, "debian-security", "bookworm-security", [], date=NOW - DAY, more=UNTIL)


def _freeze(site: Site) -> None:
    site.now = NOW + 8 * DAY


def _other_date(site: Site) -> None:
    old = (site.suite / f"{PATH}.xz").read_bytes()
    site.debs.append(Deb(name="more"))
    site.publish()
    _serve(site, old)


def _serve(site: Site, data: bytes) -> None:
    """Give ``data`` for the suite's list of packages, by whatever name it is asked for."""
    for path in (site.suite / PATH).parent.rglob("*"):
        if path.is_file():
            path.write_bytes(data)


def _other_suite(site: Site) -> None:
    there = site.folder / "mirror" / "debian-security" / "dists" / "bookworm-security"
    shutil.copy(there / "InRelease", site.suite / "InRelease")


def _swapped_by_hash(site: Site) -> None:
    folder = (site.suite / PATH).parent / "by-hash" / "SHA256"
    for path in folder.iterdir():
        path.write_bytes(b"another")


def _fault(path: str, body: bytes, **headers: str) -> Callable[[Site], None]:
    named = {name.replace("_", "-"): value for name, value in headers.items()}
    return lambda site: site.server.faults.update({path: [(200, named, body)] * 9})


RELEASE = "/debian/dists/bookworm/InRelease"
DEB = "/debian/pool/main/tzdata/tzdata_1.0-1_all.deb"


def _longer_list(site: Site) -> None:
    _serve(site, (site.suite / f"{PATH}.xz").read_bytes() + bytes(1 << 20))


def _longer_deb(site: Site) -> None:
    path = site.folder / "mirror" / DEB.lstrip("/")
    path.write_bytes(path.read_bytes() + bytes(1 << 20))


def _dripping(site: Site) -> None:
    """A server that sends a byte now and then, and is never silent for long."""
    listening = socket.create_server(("127.0.0.1", 0))
    site.address = f"http://127.0.0.1:{listening.getsockname()[1]}"
    site.transport = Transport(timeout=20, attempts=1, total=1.0 - MAX_RELEASE / 64_000)

    def drip() -> None:
        with listening, contextlib.suppress(OSError):
            connection, _ = listening.accept()
            with connection:
                connection.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 4000\r\n\r\n")
                for _ in range(600):
                    connection.sendall(b"-")
                    time.sleep(0.05)

    threading.Thread(target=drip, daemon=True).start()


def _key(site: Site, key: bytes, index: bytes | None = None) -> None:
    site.keys.write_bytes(key)
    if index is not None:
        (site.suite / "InRelease").write_bytes(index)


def _vector(key: str, index: str) -> Callable[[Site], None]:
    return lambda site: _key(site, (VECTORS / key).read_bytes(), (VECTORS / index).read_bytes())


def _expiring(seconds: int) -> bytes:
    key = signing_key("archive")
    end = datetime.datetime.now(datetime.UTC) + datetime.timedelta(seconds=seconds)
    return bytes(key.extract_certificate().set_expiration(end, key.certifier()))


def _expired(site: Site) -> None:
    # Signed while the key was good, and looked at when it no longer is: whoever has the key can date back.
    _key(site, _expiring(DAY))
    now = int(time.time())
    site.publish(date=now)
    site.now = now + 3 * DAY


def _revoked(site: Site) -> None:
    key = signing_key("archive")
    certificate = key.extract_certificate()
    _key(site, bytes(certificate) + bytes(certificate.revoke(key.certifier())))


def _text(site: Site) -> str:
    signed = (site.suite / "InRelease").read_text()
    return signed.partition("\n\n")[2].partition("-----BEGIN PGP SIGNATURE")[0]


def _md5_alone(site: Site) -> None:
    site.sign(_text(site).replace("SHA256:", "MD5Sum:"))


def _sha1_alone(site: Site) -> None:
    site.sign(_text(site).replace("SHA256:", "SHA1:"))


def _unsigned(site: Site) -> None:
    (site.suite / "Release").write_text(_text(site))
    signature = pysequoia.sign(
        signing_key("archive").signer(), _text(site).encode(), mode=pysequoia.SignatureMode.DETACHED
    )
    (site.suite / "Release.gpg").write_bytes(bytes(signature))
    (site.suite / "InRelease").unlink()


def _bare(site: Site) -> None:
    (site.suite / "InRelease").write_text(_text(site))


def _with(change: Callable[[bytes], bytes]) -> Callable[[Site], None]:
    return lambda site: (site.suite / "InRelease").write_bytes(change((site.suite / "InRelease").read_bytes()))  # type: ignore[return-value]


def _without(line: str) -> Callable[[Site], None]:
    return lambda site: site.sign(re.sub(rf"^{line}.*\n", "", _text(site), flags=re.MULTILINE))


def _lying(**fields: Any) -> Callable[[Site], None]:
    """A package whose control file says something else than the signed list does."""

    def begin(site: Site) -> None:
        wrong = next(deb for deb in site.debs if deb.name == "tzdata")
        site.debs = [deb for deb in site.debs if deb is not wrong]
        site.publish(_Listed(wrong, replace(wrong, **fields)))

    return begin


class _Listed(Deb):
    """``listed`` to the index, ``real`` in the file."""

    def __init__(self, listed: Deb, real: Deb) -> None:
        super().__init__(**{name: getattr(listed, name) for name in listed.__dataclass_fields__})
        object.__setattr__(self, "_real", real)

    def build(self) -> bytes:
        """The other one's file."""
        return self._real.build()  # type: ignore[attr-defined, no-any-return]


def _other_package(site: Site) -> None:
    path = site.folder / "mirror" / DEB[1:]
    path.write_bytes(bytes(path.stat().st_size))


def _bomb(site: Site) -> None:
    site.index(lzma.compress(bytes(64 << 20)), b"Package: a\n")


def _endless_list(site: Site) -> None:
    plain = (site.suite / PATH).read_bytes()
    filler = b"".join(b"Package: p%d\nVersion: 1\n\n" % number for number in range(500_000))
    again = b"Package: tzdata\nVersion: 9\nArchitecture: arm64\n\n" * 500_000
    site.index(lzma.compress(plain + filler + again, preset=0), plain + filler + again)


def _huge(site: Site) -> None:
    text = _text(site)
    site.sign(re.sub(rf"(\S+) \d+ ({PATH}.xz)", rf"\1 {1 << 40} \2", text))


def _changed(old: str, new: str) -> Callable[[Site], None]:
    return lambda site: site.entry(lambda text: re.sub(old, new, text))


POOL = "Filename: pool/main/tzdata/tzdata_1.0-1_all.deb"
ATTACKS = [
    Attack("rollback behind the lock", _rollback_behind_lock, ArchiveIndexError, "before the lock's own index"),
    Attack("rollback behind what was seen", _rollback_behind_seen, ArchiveIndexError, "before one seen before"),
    Attack("rollback of one suite of two", _rollback_of_one, ArchiveIndexError, "before the lock's own index"),
    Attack("freeze past Valid-Until", _freeze, ArchiveIndexError, "expired on"),
    Attack("date in the future", lambda site: site.publish(date=NOW + DAY), ArchiveIndexError, "in the future"),
    Attack(
        "date that is none", lambda site: site.sign("Codename: bookworm\nDate: 99\n"), ArchiveIndexError, "not a date"
    ),
    Attack("list of another date", _other_date, ArchiveIndexError, "not the one InRelease names"),
    Attack("list of another by-hash", _swapped_by_hash, ArchiveIndexError, "not the one InRelease names"),
    Attack("index of another suite", _other_suite, ArchiveIndexError, "signed for 'bookworm-security'"),
    Attack("index of no suite", _without("Codename:"), ArchiveIndexError, "signed for None"),
    Attack("endless InRelease", _fault(RELEASE, bytes(MAX_RELEASE + 1)), TransportError, "longer than the"),
    Attack("endless list", _longer_list, TransportError, "longer than the"),
    Attack("endless package", _longer_deb, PackageUnavailable, "longer than the"),
    Attack("size of a terabyte", _huge, ArchiveIndexError, "more than 268435456"),
    Attack(
        "body longer than it says",
        _fault(RELEASE, bytes(99), Content_Length="9"),
        ArchiveIndexError,
        "one signed block",
    ),
    Attack("body shorter than it says", _fault(RELEASE, b"-", Content_Length="99"), TransportError, "connection broke"),
    Attack("slow drip", _dripping, TransportError, "not finished within"),
    Attack("somebody else's key", lambda site: site.publish(who="stranger"), ArchiveIndexError, "no valid signature"),
    Attack("expired key", _expired, ArchiveIndexError, "a key that has expired"),
    Attack("revoked key", _revoked, ArchiveIndexError, "no valid signature"),
    Attack("revoked subkey", _vector("revoked-subkey.gpg", "good.InRelease"), ArchiveIndexError, "no valid signature"),
    Attack("signature over SHA-1", _vector("key.gpg", "sha1.InRelease"), ArchiveIndexError, "no valid signature"),
    Attack("MD5 sums alone", _md5_alone, ArchiveIndexError, "lists no main/binary-amd64/Packages"),
    Attack("SHA-1 sums alone", _sha1_alone, ArchiveIndexError, "lists no main/binary-amd64/Packages"),
    Attack("detached signature alone", _unsigned, TransportError, "404"),
    Attack("unsigned index", _bare, ArchiveIndexError, "not one signed block"),
    Attack(
        "signature over another text",
        _with(lambda it: it.replace(b"Origin: Debian", b"Origin: Debiam")),
        ArchiveIndexError,
        "no valid signature",
    ),
    Attack("text before the block", _with(lambda it: b"Codename: x\n" + it), ArchiveIndexError, "not one signed block"),
    Attack("text behind the block", _with(lambda it: it + b"Codename: x\n"), ArchiveIndexError, "not one signed block"),
    Attack("two signed blocks", _with(lambda it: it + it), ArchiveIndexError, "not one signed block"),
    Attack("another architecture", _changed("Architecture: all", "Architecture: arm64"), PackageError, "in none of"),
    Attack(
        "another component",
        lambda site: site.sign(_text(site).replace(" main/", " evil/")),
        ArchiveIndexError,
        "lists no main/",
    ),
    Attack("bytes of another package", _other_package, PackageUnavailable, "expected"),
    Attack("another name in the package", _lying(name="evil"), PackageError, "says package 'evil'", kept=True),
    Attack("another version in it", _lying(version="0.9-1"), PackageError, "says version '0.9-1'", kept=True),
    Attack("another architecture in it", _lying(architecture="arm64"), PackageError, "architecture 'arm64'", kept=True),
    Attack("xz bomb", _bomb, ArchiveIndexError, "not the one InRelease names"),
    Attack("a million entries", _endless_list, ArchiveIndexError, "lists tzdata more than 100 times"),
    Attack("path above the pool", _changed(POOL, "Filename: ../../x.deb"), PackageError, "not a path below"),
    Attack("path hidden in the pool", _changed(POOL, "Filename: pool/../../x.deb"), PackageError, "not a path below"),
    Attack("absolute path", _changed(POOL, "Filename: /etc/passwd"), PackageError, "not a path below"),
    Attack("address for a path", _changed(POOL, "Filename: http://evil/x.deb"), PackageError, "not a path below"),
    Attack("query in a path", _changed(POOL, "Filename: pool/x.deb?y"), PackageError, "not a path below"),
    Attack("size that is no number", _changed(r"Size: \d+", "Size: 1_000"), PackageError, "size is not a whole number"),
    Attack("size of nothing", _changed(r"Size: \d+", "Size: 0"), PackageError, "a file of 0 bytes"),
    Attack("digest that is none", _changed(r"SHA256: \S+", "SHA256: ../../x"), PackageError, "digest is none"),
    Attack("version that is an option", _changed("Version: 1.0-1", "Version: 1 --x"), PackageError, "not a version"),
    Attack("no digest", _changed(r"SHA256: .*\n", ""), PackageError, "no field 'sha256'"),
]


@pytest.mark.parametrize("attack", ATTACKS, ids=lambda attack: attack.name)
def test_an_attack_is_refused_and_nothing_of_it_is_kept(attack: Attack, site: Site) -> None:
    honest = {Digest.of(deb.build()).hex for deb in site.debs}
    attack.begin(site)
    before, began = site.records, time.process_time()
    with pytest.raises(attack.refusal, match=re.escape(attack.word)):
        site.use()
    assert time.process_time() - began < 20
    assert attack.kept or site.blobs <= honest
    if attack.refusal in (ArchiveIndexError, TransportError):
        assert site.records == before
    assert list(site.store.leftovers()) == []


def test_the_page_has_every_attack_and_no_other() -> None:
    page = (Path(__file__).parents[3] / "docs" / "decisions" / "archive-trust.md").read_text()
    rows = re.findall(r"^\| (.+?) \| (\w+): (.+) \|$", page, re.MULTILINE)
    listed = [(attack.name, attack.refusal.__name__, attack.word) for attack in ATTACKS]
    assert rows[: len(listed)] == listed and len(rows) == len(listed) + 1


def test_an_honest_archive_is_used_again_and_again(site: Site) -> None:
    site.lock = site.use()
    site.publish(date=NOW + DAY)
    site.now = NOW + DAY
    assert site.use().packages == site.lock.packages
    # The vectors fail for the reason that is named, and for no other.
    _vector("key.gpg", "good.InRelease")(site)
    with pytest.raises(ArchiveIndexError, match=r"lists no main/binary-amd64/Packages\.xz"):
        replace(site, lock=None, store=Store(site.folder / "fresh"), now=NOW).use()


def test_a_redirect_to_another_host_brings_no_other_bytes_and_no_password(site: Site, tmp_path: Path) -> None:
    with serving(tmp_path / "mirror") as other:
        moved = (302, {"Location": f"{other.url}{RELEASE}"}, b"")
        site.server.faults[RELEASE] = [moved]
        site.address = site.server.url.replace("://", "://me:secret@")
        assert site.use().packages
        assert [path for path, headers in other.asked if "Authorization" in headers] == []
        assert [path for path, headers in site.server.asked if "Authorization" not in headers] == []


def test_a_redirect_from_https_to_http_is_not_followed(
    site: Site, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    if shutil.which("openssl") is None:
        pytest.skip("needs openssl to make a certificate")
    key, certificate = tmp_path / "key.pem", tmp_path / "certificate.pem"
    made = ["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-days", "2"]
    made += [
        "-subj",
        "/CN=localhost",
        "-addext",
        "subjectAltName=IP:127.0.0.1",
        "-keyout",
        str(key),
        "-out",
        str(certificate),
    ]
    subprocess.run(made, check=True, capture_output=True)
    monkeypatch.setenv("SSL_CERT_FILE", str(certificate))
    with serving(tmp_path / "mirror", certificate=certificate, key=key) as encrypted:
        site.address = encrypted.url
        assert site.use().packages
        encrypted.faults[RELEASE] = [(302, {"Location": f"{site.server.url}{RELEASE}"}, b"")]
        asked = len(site.server.asked)
        with pytest.raises(TransportError, match="redirects to an unencrypted place"):
            site.use()
        assert len(site.server.asked) == asked
