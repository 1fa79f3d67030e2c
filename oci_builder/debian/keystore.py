"""Java's keystore of certificates, as ca-certificates-java writes it: JKS, which every Java reads."""

from __future__ import annotations

import base64
import binascii
import hashlib
import posixpath
import re
import struct
from collections.abc import Iterator, Mapping

from oci_builder.debian.scripttree import ScriptTree
from oci_builder.debian.shell import Call
from oci_builder.tree.entry import MTIME, Entry, symlink

_JAR = "/usr/share/ca-certificates-java/ca-certificates-java.jar"
_STORE = "/etc/ssl/certs/java/cacerts"
_LINKS, _CERTIFICATES = "/etc/ssl/certs", "/usr/share/ca-certificates/mozilla"
_MAGIC, _VERSION, _TRUSTED = 0xFEEDFEED, 2, 2
_PEM = re.compile(r"-----BEGIN CERTIFICATE-----\s+(.*?)-----END CERTIFICATE-----", re.DOTALL)


def certificate_links(tree: ScriptTree) -> Iterator[Entry]:
    """The links that update-ca-certificates makes to each certificate, and a base of ours has no use for."""
    if not tree.is_folder(_CERTIFICATES) or not tree.is_folder(_LINKS):
        return
    for name in tree.children(_CERTIFICATES):
        link = f"{_LINKS}/{re.sub('[ ,]', '_', re.sub('[()]', '=', name.removesuffix('.crt')))}.pem"
        if name.endswith(".crt") and tree.get(link, follow=False) is None:
            yield symlink(link.lstrip("/"), f"{_CERTIFICATES}/{name}", origin="ocibuild")


def java(call: Call) -> int:
    """The one program of Java's that scripts start: it adds the certificates that it is told of to the keystore."""
    words = [word for word in call.arguments if not word.startswith("-Xmx")]
    if len(words) != 4 or words[:3] != ["-jar", _JAR, "-storepass"] or call.tree.has(_STORE):
        raise call.unknown("what it is to do is not known here")
    found: dict[str, bytes] = {}
    for line in call.stdin.splitlines():
        if not line.startswith("+"):
            raise call.unknown("what it takes out is not known here")
        match = _PEM.search(call.tree.read(line[1:]))
        try:
            found[f"debian:{posixpath.basename(line[1:])}".lower()] = base64.b64decode(match[1] if match else "*")
        except binascii.Error as error:
            raise call.unknown(f"{line[1:]} is no certificate") from error
    call.shell.spend(sum(map(len, found.values())))
    call.tree.write(_STORE, keystore(found, words[3]))
    return 0


def keystore(certificates: Mapping[str, bytes], password: str) -> bytes:
    """A keystore of trusted certificates by their names, sealed with ``password``; all of the same day."""
    data = struct.pack(">III", _MAGIC, _VERSION, len(certificates))
    for name, certificate in sorted(certificates.items()):
        data += struct.pack(">I", _TRUSTED) + _text(name) + struct.pack(">Q", MTIME * 1000)
        data += _text("X.509") + struct.pack(">I", len(certificate)) + certificate
    seal = hashlib.sha1(password.encode("utf-16-be") + b"Mighty Aphrodite" + data, usedforsecurity=False)
    return data + seal.digest()


def _text(text: str) -> bytes:
    return struct.pack(">H", len(text.encode())) + text.encode()
