"""Tables that maintainer scripts have programs write, as those programs write them."""

from __future__ import annotations

import hashlib
import struct
import subprocess
from pathlib import Path

import pytest

from oci_builder.debian import gvariant
from oci_builder.debian.gtkmodules import LOADERS, METHODS
from oci_builder.debian.keystore import keystore
from oci_builder.debian.shell import NotKnown
from oci_builder.tree.entry import Entry, directory, file
from tests.support.attributes import capability
from tests.support.real import need
from tests.unit.debian.test_shell import walked


def placed(files: dict[str, bytes]) -> list[Entry]:
    """Files with the folders that they are in."""
    folders = sorted({str(parent) for path in files for parent in Path(path).parents if str(parent) != "."})
    return [
        *(directory(path, origin="x 1") for path in folders),
        *(file(path, data, origin="x 1") for path, data in files.items()),
    ]


@pytest.mark.real
def test_pam_is_as_this_machines_own_program_left_it() -> None:
    places = ("usr/share/pam-configs", "usr/share/pam", "etc/pam.d", "var/lib/pam")
    if not all(Path(f"/{place}").is_dir() for place in places):
        pytest.skip("no pam-auth-update was run here")
    profiles = {path.name for path in Path("/usr/share/pam-configs").iterdir()}
    if set(Path("/var/lib/pam/seen").read_text().split()) != profiles:
        pytest.skip("profiles came or went since")
    files = {f"{place}/{path.name}": path.read_bytes() for place in places[:2] for path in Path(f"/{place}").iterdir()}
    entries = [*placed(files), directory("etc", origin="x 1"), directory("etc/pam.d", origin="x 1")]
    entries += [directory(path, origin="x 1") for path in ("var", "var/lib")]
    tree = walked('pam-auth-update --root "" --package --force', entries=entries)[2]
    for kind in ("auth", "account", "password", "session", "session-noninteractive"):
        assert tree.read(f"/etc/pam.d/common-{kind}") == Path(f"/etc/pam.d/common-{kind}").read_text()
        assert tree.read(f"/var/lib/pam/{kind}") == Path(f"/var/lib/pam/{kind}").read_text()
    assert tree.read("/var/lib/pam/seen") == Path("/var/lib/pam/seen").read_text()


@pytest.mark.real
@pytest.mark.parametrize(
    "text",
    [
        "cap_net_raw+ep",
        "cap_net_bind_service,cap_net_admin=ep",
        "cap_sys_admin,cap_kill=p",
        "=ep cap_chown-ep",
        "all=p",
    ],
)
def test_a_capability_is_the_attribute_that_setcap_writes(text: str, tmp_path: Path) -> None:
    need("setcap", "getcap")
    there = tmp_path / "program"
    there.write_bytes(b"x")
    said = subprocess.run(["setcap", text, str(there)], capture_output=True, text=True, timeout=60)
    if "not supported" in said.stderr:
        pytest.skip("no attributes on this disk")
    entries = placed({"usr/bin/program": b"x"})
    try:
        status, output, tree = walked(f"setcap '{text}' /usr/bin/program && getcap /usr/bin/program", entries=entries)
    except NotKnown:
        assert said.returncode
        return
    assert (status, said.returncode) == (0, 0)
    real = capability(there)
    entry = tree.get("/usr/bin/program")
    assert entry is not None
    assert [(name, value.encode("utf-8", "surrogateescape")) for name, value in entry.attributes] == [
        ("security.capability", real)
    ]
    listed = subprocess.run(["getcap", str(there)], capture_output=True, text=True, timeout=60).stdout
    if "all" not in text and not text.startswith("="):
        assert output == listed.replace(str(there), "/usr/bin/program")


SCHEMA = b"""<?xml version="1.0"?>
<schemalist>
  <enum id='org.demo.Mode'><value nick='recent' value='0'/><value nick='cwd' value='1'/></enum>
  <schema id='org.demo' path='/org/demo/' gettext-domain='demo'>
    <key name='startup-mode' enum='org.demo.Mode'><default>'recent'</default></key>
    <key name='last-folder-uri' type='s'><default>""</default><summary>x</summary></key>
    <key name='window-position' type='(ii)'><default>(-1, -1)</default></key>
    <key name='sidebar-width' type='i'><default>148</default></key>
    <key name='show' type='b'><default>true</default></key>
    <key name='names' type='as'><default>['a', "bc"]</default></key>
    <key name='size' type='d'><range min='0.5' max='2'/><default>1.0</default></key>
    <key name='word' type='s'><choices><choice value='one'/></choices><default l10n='messages'> 'one' </default></key>
  </schema>
</schemalist>
"""

# As glib-compile-schemas 2.74 writes them, seen in its tables.
VALUES = {
    "startup-mode": b"recent\0\0e\0\0\0\0\0\0\0\xffrecent\0\0\0\0\xff\x01\0\0\0\xffcwd\0\0\0\xff\x07\0(s(yau))",
    "last-folder-uri": b"\0\0(s)",
    "window-position": b"\xff\xff\xff\xff\xff\xff\xff\xff\0((ii))",
    "sidebar-width": b"\x94\0\0\0\0(i)",
    "show": b"\x01\0(b)",
    ".path": b"/org/demo/\0\0s",
}


def looked_up(data: bytes, table: tuple[int, int], name: str) -> tuple[bytes, tuple[int, int]]:
    """What GLib finds in a table by a name: by its hash, in its bucket."""
    start, end = table
    _, count = struct.unpack_from("<II", data, start)
    hashed = 5381
    for letter in name.encode():
        hashed = (hashed * 33 + letter) & 0xFFFFFFFF
    buckets = struct.unpack_from(f"<{count}I", data, start + 8)
    items = start + 8 + 4 * count
    total = (end - items) // 24
    first = buckets[hashed % count]
    last = buckets[hashed % count + 1] if hashed % count + 1 < count else total
    for at in range(first, last):
        found, _, key, size, kind, begin, stop = struct.unpack_from("<IIIHcxII", data, items + 24 * at)
        if found == hashed and data[key : key + size] == name.encode():
            return kind, (begin, stop)
    raise KeyError(name)


def test_settings_are_found_in_their_table_as_glib_looks_for_them() -> None:
    folder = "usr/share/glib-2.0/schemas"
    tree = walked(f"glib-compile-schemas /{folder}", entries=placed({f"{folder}/org.demo.gschema.xml": SCHEMA}))[2]
    data = tree.data(f"/{folder}/gschemas.compiled")
    assert data[:8] == b"GVariant"
    root: tuple[int, int] = struct.unpack_from("<II", data, 16)
    kind, schema = looked_up(data, root, "org.demo")
    assert kind == b"H"
    for name, value in VALUES.items():
        kind, (begin, end) = looked_up(data, schema, name)
        assert (kind, data[begin:end]) == (b"v", value)
        assert begin % 8 == 0
    assert looked_up(data, schema, "")[0] == b"L"


@pytest.mark.parametrize(
    ("inside", "why"),
    [
        ("<key name='x' type='i'><default>'text'</default></key>", "no number"),
        ("<key name='x' type='i'><default>99999999999</default></key>", "no number"),
        ("<key name='x' type='q'/>", "without a default"),
        ("<key name='x' enum='none'><default>'a'</default></key>", "there is no none"),
        ("<odd/>", "a odd is not known"),
    ],
)
def test_settings_that_are_none_are_refused(inside: str, why: str) -> None:
    folder = "usr/share/glib-2.0/schemas"
    text = f"<schemalist><schema id='a'>{inside}</schema></schemalist>".encode()
    with pytest.raises(NotKnown, match=why):
        walked(f"glib-compile-schemas /{folder}", entries=placed({f"{folder}/a.gschema.xml": text}))


def test_values_are_laid_out_as_glib_lays_them_out() -> None:
    # The examples of the GVariant specification.
    assert gvariant.serialised("as", ["i", "can", "has", "strings?"]) == b"i\0can\0has\0strings?\0\x02\x06\x0a\x13"
    assert gvariant.serialised("(si)", ("foo", -1)) == b"foo\0\xff\xff\xff\xff\x04"
    assert gvariant.serialised("ab", [True, False, False, True, True]) == b"\x01\0\0\x01\x01"
    assert gvariant.serialised("(yy)", (0x70, 0x80)) == b"\x70\x80"
    assert gvariant.serialised("a(iy)", [(96, 32), (648, 112)]) == b"\x60\0\0\0\x20\0\0\0\x88\x02\0\0\x70\0\0\0"
    assert gvariant.serialised("ai", [4, 258]) == b"\x04\0\0\0\x02\x01\0\0"
    assert gvariant.parsed("a{si}", "{'a': 1, \"b\": 0x10}") == [("a", 1), ("b", 16)]


LOADERS_AT = "usr/lib/x86_64-linux-gnu/gdk-pixbuf-2.0/2.10.0/loaders"
STATUS = {"var/lib/dpkg/status.d/libgdk-pixbuf-2.0-0": b"Package: libgdk-pixbuf-2.0-0\nVersion: 2.42.10+dfsg-1\n"}


def test_loaders_of_images_are_listed_as_they_say_themselves() -> None:
    module = b"gif gdk-pixbuf GIF LGPL image/gif GIF8"
    entries = placed({**STATUS, f"{LOADERS_AT}/libpixbufloader-gif.so": module})
    program = "/usr/lib/x86_64-linux-gnu/gdk-pixbuf-2.0/gdk-pixbuf-query-loaders"
    output = walked(f"{program} /{LOADERS_AT}/libpixbufloader-gif.so", entries=entries)[1]
    assert (
        output
        == f"""# GdkPixbuf Image Loader Modules file
# Automatically generated file, do not edit
# Created by gdk-pixbuf-query-loaders from gdk-pixbuf-2.42.10
#
"/{LOADERS_AT}/libpixbufloader-gif.so"
"gif" 4 "gdk-pixbuf" "GIF" "LGPL"
"image/gif" ""
"gif" ""
"GIF8" "" 100

"""
    )
    with pytest.raises(NotKnown, match="has no 'gif'"):
        walked(
            f"{program} /{LOADERS_AT}/libpixbufloader-gif.so",
            entries=placed({**STATUS, f"{LOADERS_AT}/libpixbufloader-gif.so": b"x"}),
        )
    with pytest.raises(NotKnown, match=r"what images odd\.so loads"):
        walked(f"{program} /{LOADERS_AT}/odd.so", entries=placed({**STATUS, f"{LOADERS_AT}/odd.so": module}))
    assert all(text.startswith("\n") and text.endswith("\n") for text in (*LOADERS.values(), *METHODS.values()))


def test_drivers_of_odbc_are_entered_as_odbcinst_does() -> None:
    freetds = b"[FreeTDS]\nDescription\t= TDS driver (Sybase/MS SQL)\nDriver\t\t= libtdsodbc.so\nCPTimeout\t= \n"
    other = b"[PostgreSQL ANSI]\nDriver=psqlodbca.so\nDebug=0\nUsageCount=1\n"
    entries = [*placed({"usr/share/a.ini": freetds, "usr/share/b.ini": other}), directory("etc", origin="x 1")]
    tree = walked("odbcinst -i -d -f /usr/share/a.ini; odbcinst -i -d -f /usr/share/b.ini", entries=entries)[2]
    assert tree.read("/etc/odbcinst.ini") == (
        "[FreeTDS]\nDescription=TDS driver (Sybase/MS SQL)\nDriver=libtdsodbc.so\nCPTimeout=\nUsageCount=1\n\n"
        "[PostgreSQL ANSI]\nDriver=psqlodbca.so\nDebug=0\nUsageCount=1\n\n"
    )


def test_a_keystore_is_sealed_and_holds_each_certificate() -> None:
    data = keystore({"debian:b.pem": b"BB", "debian:a.pem": b"A"}, "changeit")
    assert data[:12] == bytes.fromhex("feedfeed 00000002 00000002")
    assert data.index(b"debian:a.pem") < data.index(b"debian:b.pem") < data.index(b"\x00\x00\x00\x02BB")
    sealed = "changeit".encode("utf-16-be") + b"Mighty Aphrodite" + data[:-20]
    assert data[-20:] == hashlib.sha1(sealed, usedforsecurity=False).digest()


def test_parts_of_apache_are_linked_with_what_they_depend_on() -> None:
    available = "etc/apache2/mods-available"
    files = {
        f"{available}/a.load": b"# Depends: b\nLoadModule a\n",
        f"{available}/b.load": b"LoadModule b\n",
        f"{available}/b.conf": b"x\n",
        f"{available}/c.load": b"# Conflicts: b\n",
    }
    folders = [directory(path, origin="x 1") for path in ("etc/apache2/mods-enabled", "var", "var/lib")]
    status, _, tree = walked("a2enmod -q -m a; a2enmod -q c", entries=[*placed(files), *folders])
    assert status == 1
    links = {path: entry.target for path, entry in tree.made.items() if entry.target}
    assert links == {
        f"etc/apache2/mods-enabled/{name}": f"../mods-available/{name}" for name in ("a.load", "b.load", "b.conf")
    }
    assert tree.has("/var/lib/apache2/module/enabled_by_maint/a")
