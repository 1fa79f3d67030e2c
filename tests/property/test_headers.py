"""Tar headers written directly are those of the standard library."""

from __future__ import annotations

import tarfile

from hypothesis import given
from hypothesis import strategies as st

from oci_builder.tree.entry import Entry, EntryPath, Kind
from oci_builder.tree.tarwrite import header

TYPES = {Kind.FILE: b"0", Kind.DIRECTORY: b"5", Kind.SYMLINK: b"2", Kind.HARDLINK: b"1"}
NAMES = st.text(st.sampled_from("ab/.é☃"), min_size=1, max_size=120).filter(lambda name: name == name.strip("/"))
IDS = st.sampled_from([0, 1000, 8**7 - 1, 8**7, 2**31])
NUMBERS = st.sampled_from([0, 7, 315_532_800, 8**11 - 1, 8**11])


@given(
    kind=st.sampled_from(list(TYPES)),
    path=NAMES,
    target=st.one_of(st.just(""), NAMES, st.text(st.just("x"), min_size=99, max_size=101)),
    mode=st.integers(0, 0o7777),
    uid=IDS,
    gid=IDS,
    size=NUMBERS,
    mtime=NUMBERS,
)
def test_every_header_is_what_tarfile_writes(
    kind: Kind, path: str, target: str, mode: int, uid: int, gid: int, size: int, mtime: int
) -> None:
    info = tarfile.TarInfo(path)
    info.type, info.linkname, info.size = TYPES[kind], target, size if kind is Kind.FILE else 0
    info.mode, info.uid, info.gid, info.mtime = mode, uid, gid, mtime
    entry = Entry(
        path=EntryPath(path), kind=kind, mode=mode, uid=uid, gid=gid, size=size, mtime=mtime, target=target, origin="t"
    )
    assert header(entry) == info.tobuf(tarfile.PAX_FORMAT, "utf-8", "strict")
