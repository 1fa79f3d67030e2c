from __future__ import annotations

import gzip
import tarfile
from pathlib import Path

import pytest

from oci_builder.verify.verify import verify_file
from tests.support.archives import HandMade, folder, make_tar, member

LINK, HARD = tarfile.SYMTYPE, tarfile.LNKTYPE


def said(tmp_path: Path, *layers: bytes) -> tuple[list[str], list[str]]:
    """Findings and remarks about an image of these layers, without the part that names the layer."""
    report = verify_file(HandMade(layers).write(tmp_path / "x.tar"))
    first, second = ([line.partition(": ")[2] for line in lines] for lines in (report.findings, report.remarks))
    return first, second


def findings(tmp_path: Path, *layers: bytes) -> list[str]:
    """What is wrong with an image of these layers."""
    return said(tmp_path, *layers)[0]


GOOD = [
    make_tar(),
    make_tar(folder("a"), member("a/f", data=b"x"), member("a/l", LINK, target="../../anything")),
    make_tar(folder("./"), folder("./a/"), member("./a/f")),
    make_tar(folder("a"), member("a/f"), member("a/g", HARD, target="a/f"), member("a/h", HARD, target="a/f")),
    make_tar(folder("a"), member("a/.wh..wh..opq"), member("a/f")),
    make_tar(folder("a"), member("a/.wh.gone"), member("a/f"), member(".wh.other")),
    make_tar(member("x" * 200, data=b"long"), form=tarfile.GNU_FORMAT),
    make_tar(member("l", LINK, target="y" * 200), form=tarfile.GNU_FORMAT),
    make_tar(member("x" * 200, data=b"long"), member("größe"), member("big", uid=2**30)),
]


@pytest.mark.parametrize("layer", GOOD)
def test_a_layer_that_every_engine_takes_is_fine(tmp_path: Path, layer: bytes) -> None:
    assert said(tmp_path, layer) == ([], [])


@pytest.mark.parametrize(
    ("layer", "finding"),
    [
        (make_tar(member("a"), member("a")), "a is listed twice"),
        (make_tar(member("a"), member("./a")), "a is listed twice"),
        (make_tar(folder("a"), folder("a/")), "a is listed twice"),
        (make_tar(member("a"), member("a/f")), "a/f lies below a, which is no folder"),
        (make_tar(folder("a"), member("a/../a")), "a is listed twice"),
        (make_tar(member("d", tarfile.CONTTYPE)), "d is a contiguous file, which engines refuse"),
        (make_tar(member("d", b"Z")), "d has the unknown tar type 'Z'"),
        (make_tar(member("h", HARD, target="f"), member("f")), "h is a hard link to f, which does not come before it"),
        (make_tar(member("h", HARD, target="h")), "h is a hard link to h, which does not come before it"),
        (make_tar(member("h", HARD, target="../f")), "h is a hard link to ../f, which does not come before it"),
        (make_tar(folder("d"), member("h", HARD, target="d")), "h is a hard link to d, which is a folder"),
        (make_tar(member(".wh.")), ".wh. deletes an entry of its own layer"),
        (make_tar(member("x"), member(".wh.x")), ".wh.x deletes an entry of its own layer"),
    ],
)
def test_what_breaks_an_engine_is_named(tmp_path: Path, layer: bytes, finding: str) -> None:
    assert findings(tmp_path, layer) == [finding]


@pytest.mark.parametrize(
    ("layer", "remark"),
    [
        (make_tar(member("a/f")), "a/f comes before its folder a, or without it"),
        (make_tar(member("a/f"), folder("a")), "a/f comes before its folder a, or without it"),
        (make_tar(member("/etc")), "/etc is absolute"),
        (make_tar(member("d", tarfile.CHRTYPE)), "d is a character device"),
        (make_tar(member("d", tarfile.BLKTYPE)), "d is a block device"),
        (make_tar(member("d", tarfile.FIFOTYPE)), "d is a FIFO"),
        (
            make_tar(folder("b"), member("a", LINK, target="b"), member("a/f")),
            "a/f lies below a, a symbolic link of its own layer",
        ),
        (make_tar(member("f"), member("h", HARD, target="/f")), "h is a hard link to /f, which is no relative path"),
        (make_tar(member("../x")), "../x leads through .., and means x"),
        (make_tar(member(".wh.x", data=b"x")), ".wh.x is a whiteout, but no empty file"),
        (make_tar(folder(".wh.x")), ".wh.x is a whiteout, but no empty file"),
        (make_tar(folder("a"), member("a/.wh..wh.x")), "a/.wh..wh.x is a whiteout of a strange name"),
        (
            make_tar(folder("a"), member("a/f"), member("a/.wh..wh..opq")),
            "a/.wh..wh..opq empties its folder after entries of it",
        ),
        (
            make_tar(member("l", LINK, target="b"), member("h", HARD, target="l")),
            "h is a hard link to l, which is no file",
        ),
        (make_tar(member(".wh..wh.plnk")), ".wh..wh.plnk is a mark of aufs, which engines pass over"),
        (make_tar(member(".wh.x"), member("x")), "x is deleted by its own layer, before it comes"),
        (make_tar(member("d", mtime=-1), form=tarfile.PAX_FORMAT), "d has a time before 1970"),
        (
            make_tar(member("f"), member("h", HARD, target="f", uid=5)),
            "h is a hard link to f, but with another mode, owner or time",
        ),
        (
            make_tar(member("f"), pax_headers={"comment": "for all"}),
            "././@PaxHeader is a global PAX header, which engines apply differently",
        ),
        (make_tar(member("f"))[:512], "the tar ends at byte 512 without its two closing blocks"),
        (make_tar(member("f", data=b"x"))[:513], "the tar ends at byte 513 without its two closing blocks"),
        (b"", "the tar ends at byte 0 without its two closing blocks"),
        (make_tar(member("f"))[:1024], "the tar ends with one closing block at byte 512, where two belong"),
        (
            make_tar(member("f", data=b"x"))[:512] + b"x" * 512 + bytes(1024),
            "stray bytes before byte 1024, where zeros belong",
        ),
        (make_tar(member("f")) + b"more", "bytes after the end of the tar, after byte 10240"),
    ],
)
def test_what_every_engine_takes_and_few_people_mean_is_remarked(tmp_path: Path, layer: bytes, remark: str) -> None:
    assert said(tmp_path, layer) == ([], [remark])


def test_an_absolute_path_is_the_same_path_and_another_name(tmp_path: Path) -> None:
    remarks = ["/a is absolute", "a is listed twice, under two names"]
    assert said(tmp_path, make_tar(member("a"), member("/a"))) == ([], remarks)


def test_a_name_cannot_steer_the_terminal(tmp_path: Path) -> None:
    assert said(tmp_path, make_tar(member("\x1b[31m/f")))[1] == [
        "\\x1b[31m/f comes before its folder \\x1b[31m, or without it"
    ]


def test_a_folder_over_a_link_of_a_lower_layer_is_named(tmp_path: Path) -> None:
    lower = make_tar(member("lib", LINK, target="usr/lib"), member("gone", LINK, target="x"))
    upper = make_tar(folder("lib"), member("lib/x"))
    assert said(tmp_path, lower, upper) == ([], ["lib is a folder in place of a symbolic link of a lower layer"])
    assert said(tmp_path, lower, make_tar(member(".wh.gone")), make_tar(folder("gone"))) == ([], [])


def test_many_findings_of_one_layer_are_counted_rather_than_listed(tmp_path: Path) -> None:
    found = findings(tmp_path, make_tar(*(member(f"h{number}", HARD, target="f") for number in range(100))))
    assert (len(found), found[-1]) == (21, "and 80 more of the kind")


@pytest.mark.parametrize(
    ("layer", "finding"),
    [
        (make_tar(member("f"))[:700], "cut off at byte 700"),
        (make_tar(member("f", data=b"x" * 600))[:1100], "cut off at byte"),
        (make_tar(member("f"))[:512] + bytes(512) + b"x" * 512, "only one closing block"),
        (b"g" + make_tar(member("f"))[1:], "has no proper checksum"),
        (b"no tar at all" * 100, "has no proper checksum"),
    ],
)
def test_a_damaged_tar_is_said_to_be_one(tmp_path: Path, layer: bytes, finding: str) -> None:
    (line,) = findings(tmp_path, layer)
    assert finding in line


@pytest.mark.parametrize("behind", [b"trailing", bytes(8)])
def test_bytes_behind_the_last_member_are_named(tmp_path: Path, behind: bytes) -> None:
    made = HandMade([make_tar()], behind_gzip=behind)
    (line,) = verify_file(made.write(tmp_path / "x.tar")).findings
    assert "not valid gzip" in line


def test_a_gzip_of_many_members_some_empty_is_fine(tmp_path: Path) -> None:
    plain = make_tar(folder("a"), member("a/f", data=b"x" * 5000))
    pieces = [gzip.compress(plain[at : at + 700]) for at in range(0, len(plain), 700)]
    assert findings(tmp_path, b"".join([gzip.compress(b""), *pieces, gzip.compress(b"")])) == []


def test_a_member_that_inflates_to_much_may_be_followed_by_another(tmp_path: Path) -> None:
    plain = make_tar(member("zeros", data=bytes(5 << 20)), member("f", data=b"x" * 5000))
    pieces = [gzip.compress(plain[: (5 << 20) + 512]), gzip.compress(plain[(5 << 20) + 512 :])]
    assert findings(tmp_path, b"".join(pieces)) == []
