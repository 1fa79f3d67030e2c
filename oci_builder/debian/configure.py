"""What the packages' maintainer scripts would have done, written down instead of run."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass

from oci_builder.debian.deb import DebFile
from oci_builder.debian.recipe import LayerRecipe
from oci_builder.errors import PackageError
from oci_builder.tree.content import MappedFiles
from oci_builder.tree.entry import Entry, directory, file, symlink
from oci_builder.tree.tree import Tree

ORIGIN = "ocibuild"
_SHADOW = 42
_MAIL = 8
_STICKY = 0o1777
_ZONE = "Etc/UTC"
_NETWORKS = "default\t\t0.0.0.0\nloopback\t127.0.0.0\nlink-local\t169.254.0.0\n"
_FOLDERS = (
    *("mnt", "srv", "opt", "media", "etc/opt", "var/opt", "var/local", "usr/local/bin", "usr/local/etc"),
    *("usr/local/lib", "usr/local/sbin", "usr/local/share", "usr/local/share/ca-certificates", "usr/lib/ssl"),
)


@dataclass(frozen=True, slots=True)
class _Unpacked:
    """All that the packages hold, before anything is dropped."""

    tree: Tree
    sources: MappedFiles

    def read(self, path: str) -> bytes:
        entry = self.tree.get(path)
        if entry is None or entry.content is None:
            raise PackageError("the base", f"no package brings /{path}", hint="a package is missing from layer.toml")
        return self.sources.read(entry.content, what=f"{entry.origin}: {path}")


def configuration(tree: Tree, recipe: LayerRecipe, sources: MappedFiles) -> list[Entry]:
    """The entries that maintainer scripts would make of ``tree``, the packages as they are.

    Raises PackageError when a package they come from is not among them.
    """
    unpacked = _Unpacked(tree, sources)
    steps: tuple[Callable[[_Unpacked], Iterator[Entry]], ...] = (_accounts, _folders, _network, _certificates)
    entries = [entry for step in steps for entry in step(unpacked)]
    return [*entries, *_time(), *_python(recipe)]


def status(name: str, package: DebFile) -> list[Entry]:
    """What tells scanners that a package is here: as in distroless images, since there is no dpkg to keep a list."""
    folder = "var/lib/dpkg/status.d"
    entries = [file(f"{folder}/{name}", package.control, origin=ORIGIN)]
    if package.md5sums:
        entries.append(file(f"{folder}/{name}.md5sums", package.md5sums, origin=ORIGIN))
    return entries


def _accounts(unpacked: _Unpacked) -> Iterator[Entry]:
    """base-passwd's masters, as its own script copies them. Root's shell is bash, else the one there is."""
    passwd = unpacked.read("usr/share/base-passwd/passwd.master").decode().replace(":*:", ":x:")
    group = unpacked.read("usr/share/base-passwd/group.master").decode().replace(":*:", ":x:")
    shells = {"bash": "/bin/bash", "dash": "/bin/sh"}
    shell = next((path for name, path in shells.items() if f"usr/bin/{name}" in unpacked.tree), "/usr/sbin/nologin")
    passwd = passwd.replace(":/bin/bash\n", f":{shell}\n")
    shadow = "".join(f"{line.split(':')[0]}:*:::::::\n" for line in passwd.splitlines())
    yield file("etc/passwd", passwd.encode(), origin=ORIGIN)
    yield file("etc/group", group.encode(), origin=ORIGIN)
    yield file("etc/shadow", shadow.encode(), mode=0o640, gid=_SHADOW, origin=ORIGIN)


def _folders(unpacked: _Unpacked) -> Iterator[Entry]:
    for path in _FOLDERS:
        yield directory(path, origin=ORIGIN)
    for path in ("tmp", "var/tmp", "run/lock"):
        yield directory(path, mode=_STICKY, origin=ORIGIN)
    yield directory("var/mail", mode=0o2775, gid=_MAIL, origin=ORIGIN)
    yield directory("etc/ssl/private", mode=0o700, origin=ORIGIN)
    yield directory("var/cache/ldconfig", mode=0o700, origin=ORIGIN)
    yield symlink("var/spool/mail", "../mail", origin=ORIGIN)
    yield symlink("var/run", "/run", origin=ORIGIN)
    yield symlink("var/lock", "/run/lock", origin=ORIGIN)
    if "etc/dpkg/origins/debian" in unpacked.tree:
        yield symlink("etc/dpkg/origins/default", "debian", origin=ORIGIN)
    if "usr/bin/dash" in unpacked.tree and "usr/bin/sh" not in unpacked.tree:
        yield symlink("usr/bin/sh", "dash", origin=ORIGIN)


def _network(unpacked: _Unpacked) -> Iterator[Entry]:
    yield file("etc/nsswitch.conf", unpacked.read("usr/share/libc-bin/nsswitch.conf"), origin=ORIGIN)
    yield file("etc/networks", _NETWORKS.encode(), origin=ORIGIN)


def _time() -> Iterator[Entry]:
    yield symlink("etc/localtime", f"/usr/share/zoneinfo/{_ZONE}", origin=ORIGIN)
    yield file("etc/timezone", f"{_ZONE}\n".encode(), origin=ORIGIN)


def _certificates(unpacked: _Unpacked) -> Iterator[Entry]:
    """update-ca-certificates' bundle, and the links of the openssl package, which is not here.

    No openssl.cnf: libssl's own defaults are Debian's, and a file would have to follow its package.
    """
    start = "usr/share/ca-certificates/mozilla/"
    paths = sorted(path for path in unpacked.tree.paths if path.startswith(start) and path.endswith(".crt"))
    bundle = b"".join(unpacked.read(path).rstrip(b"\n") + b"\n" for path in paths)
    yield file("etc/ssl/certs/ca-certificates.crt", bundle, origin=ORIGIN)
    yield symlink("usr/lib/ssl/certs", "/etc/ssl/certs", origin=ORIGIN)
    yield symlink("usr/lib/ssl/private", "/etc/ssl/private", origin=ORIGIN)
    yield symlink("usr/lib/ssl/cert.pem", "/etc/ssl/certs/ca-certificates.crt", origin=ORIGIN)


def _python(recipe: LayerRecipe) -> Iterator[Entry]:
    """The names Python goes by, and one place for wheels.

    Debian's own Python looks for wheels in ``dist-packages`` only; docker.io's image has ``site-packages``. Both are
    one folder here, so that an image works the same on either base.
    """
    python = f"python{recipe.python.minor}"
    for name in ("python", "python3"):
        yield symlink(f"usr/bin/{name}", python, origin=ORIGIN)
    for name in ("python", "python3", python):
        yield symlink(f"usr/local/bin/{name}", f"/usr/bin/{python}", origin=ORIGIN)
    yield directory(f"usr/local/lib/{python}/site-packages", origin=ORIGIN)
    yield symlink(f"usr/local/lib/{python}/dist-packages", "site-packages", origin=ORIGIN)
