"""Names that are no UTF-8, as old layers have them: they pass through unchanged, and are shown escaped."""

from __future__ import annotations

import io
import json
import tarfile
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from oci_builder.cli import main
from oci_builder.errors import UnsupportedImage
from oci_builder.gate.facts import layer_facts
from oci_builder.imported.names import MAX_DEPTH, layer_path
from oci_builder.imported.opening import open_file
from oci_builder.layer import LayerKey, find, keep
from oci_builder.oci.jsonio import encode, name_of, text_of
from oci_builder.platforms import AMD64
from oci_builder.reporter import Quiet
from oci_builder.store import Store
from oci_builder.tree.content import MappedFiles
from oci_builder.tree.limits import Budget, Limits, Unfit
from oci_builder.tree.tarstream import TarStream
from oci_builder.verify.verify import verify_file
from tests.support.archives import folder, make_tar, member
from tests.support.bombs import END, extended, header, record
from tests.support.elves import ElfSpec, make_elf
from tests.support.imported import config_of, save_like_old_docker

MARK = ".wh..wh.plnk"
ODD = "etc/umlaut-\udce4.txt"
LAYER = make_tar(
    folder("etc"),
    member(ODD, data=b"x"),
    member("etc/library-\udce4.so", data=make_elf(ElfSpec())),
    member("etc/link", tarfile.SYMTYPE, target="umlaut-\udce4.txt"),
    encoding="utf-8",
    errors="surrogateescape",
    form=tarfile.GNU_FORMAT,
)


@pytest.fixture
def image(tmp_path: Path) -> Path:
    return save_like_old_docker(tmp_path / "base.tar", [LAYER], config_of([LAYER]))


def test_a_name_that_is_no_utf8_is_read_and_remembered(image: Path, store: Store) -> None:
    for _ in range(2):
        layer = open_file(image, AMD64, store=store, reporter=Quiet()).layers[0]
        assert [entry.path for entry in layer.entries][1:] == [ODD, "etc/library-\udce4.so", "etc/link"]
        assert layer.tree(store).paths[layer.tree(store).place("etc/link")].target == "umlaut-\udce4.txt"


def test_what_the_gate_knows_of_such_a_file_is_remembered_too(image: Path, store: Store) -> None:
    layer = open_file(image, AMD64, store=store, reporter=Quiet()).layers[0]
    first, again = layer_facts(layer, store), layer_facts(layer, store)
    assert first == again and [file.path for file in first.files] == ["etc/library-\udce4.so"]


def test_a_record_of_a_layer_holds_any_name(image: Path, store: Store) -> None:
    layer = open_file(image, AMD64, store=store, reporter=Quiet()).layers[0]
    key = LayerKey.of(names=[entry.path for entry in layer.entries])
    keep(layer, key, store)
    found = find(key, store)
    assert found is not None and list(found.entries) == list(layer.entries)


@pytest.mark.parametrize("command", ["inspect", "verify", "tree", "sbom", "report", "diff"])
def test_every_command_shows_such_a_name_escaped(
    command: str, image: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    plain = make_tar(folder("etc"))
    other = save_like_old_docker(tmp_path / "other.tar", [plain], config_of([plain]))
    more = {
        "diff": [str(other)],
        "report": ["--out", str(tmp_path / "r.html")],
        "tree": ["--depth", "9", "--at-least", "0"],
    }
    assert main([command, str(image), *more.get(command, [])]) in (0, 1, 3)
    said = "".join(capsys.readouterr())
    said.encode()
    assert "internal error" not in said
    if command in ("diff", "tree"):
        assert r"umlaut-\xe4.txt" in said


@pytest.mark.parametrize("command", ["inspect", "tree", "diff"])
def test_documents_for_programs_are_json_whatever_names_there_are(
    command: str, image: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    plain = make_tar(folder("etc"))
    other = save_like_old_docker(tmp_path / "other.tar", [plain], config_of([plain]))
    main([command, str(image), *([str(other)] if command == "diff" else []), "--json"])
    encode(json.loads(capsys.readouterr().out))


@given(st.binary(min_size=1).filter(lambda data: b"\0" not in data))
def test_every_name_has_one_text_in_json(data: bytes) -> None:
    name = data.decode("utf-8", "surrogateescape")
    assert name_of(text_of(name)) == name
    assert json.loads(encode([text_of(name)])) == [text_of(name)]
    assert text_of(name) == name or max(name) >= "\udc80"


@given(st.text(st.sampled_from("\0e4c3a\xe4")))
def test_no_two_texts_stand_for_one_name(text: str) -> None:
    try:
        name = name_of(text)
    except ValueError:
        return
    assert "\0" in name or text_of(name) == text


@pytest.mark.parametrize("name", ["a\0b", "a/" * 300, "a" * 256, "ä" * 128, "/".join(["a" * 200] * 25)])
def test_what_is_no_path_of_a_layer_is_none(name: str) -> None:
    with pytest.raises(Unfit):
        layer_path(name)


@pytest.mark.parametrize(
    ("name", "path"),
    [
        ("/usr", "usr"),
        ("./usr/", "usr"),
        ("usr//x/./y", "usr/x/y"),
        ("./", ""),
        (".", ""),
        ("", ""),
        ("..", ""),
        ("a/../b", "b"),
        ("../../b", "b"),
        ("a" * 255, "a" * 255),
    ],
)
def test_a_path_is_the_one_that_engines_read(name: str, path: str) -> None:
    assert layer_path(name) == path


def test_a_path_may_be_deep() -> None:
    assert layer_path("/".join(["a"] * MAX_DEPTH)) == "/".join(["a"] * MAX_DEPTH)


@pytest.mark.parametrize(
    ("members", "why"),
    [
        ([member("a", pax_headers={"mtime": "nan"})], "PAX time"),
        ([member("a", pax_headers={"atime": "1e9"})], "PAX time"),
        ([member("a", pax_headers={"mtime": "9" * 30})], "PAX time"),
        ([member("a", pax_headers={"mtime": "9" * 19})], "PAX time"),
        ([member("a", pax_headers={"uid": "²"})], "PAX number"),
        ([member("a", pax_headers={"gid": "1_0"})], "PAX number"),
        ([member("a", pax_headers={"size": "9" * 5000})], "PAX number"),
        ([member("a", pax_headers={"linkpath": "b\0c"})], "PAX record"),
        ([member("a", tarfile.GNUTYPE_SPARSE)], "sparse"),
        ([member("a", tarfile.CONTTYPE)], "contiguous"),
        ([member("a", b"Z")], "unknown tar type"),
        ([member("a"), member("./a")], "listed twice"),
        ([member("a"), member("a/b")], "lies below a"),
        ([member("a"), member(".wh.a")], "deletes an entry"),
        ([member("a", tarfile.LNKTYPE, target="a")], "does not come before it"),
        ([folder("a"), member("b", tarfile.LNKTYPE, target="a")], "which is a folder"),
        ([member("a", tarfile.LNKTYPE, target="../b")], "hard link"),
    ],
)
def test_what_no_engine_takes_is_refused_by_build_and_verify_alike(
    members: list[tuple[tarfile.TarInfo, bytes]], why: str, tmp_path: Path, store: Store
) -> None:
    tar = make_tar(*members)
    path = save_like_old_docker(tmp_path / "x.tar", [tar], config_of([tar]))
    with pytest.raises(UnsupportedImage, match=f"layer 1: .*{why}"):
        open_file(path, AMD64, store=store, reporter=Quiet())
    assert any(line.startswith("layer 1") for line in verify_file(path).findings)


@pytest.mark.parametrize("mtime", [-1, -1.5, 2**33, 2**62])
def test_a_time_that_no_header_holds_is_1970(mtime: float, tmp_path: Path, store: Store) -> None:
    tar = make_tar(member("a", mtime=mtime))
    path = save_like_old_docker(tmp_path / "x.tar", [tar], config_of([tar]))
    (entry,) = open_file(path, AMD64, store=store, reporter=Quiet()).tree
    assert entry.mtime == 0


def counted(tar: bytes, limits: Limits, *, packed: int = 1000) -> int:
    """How many members are read within limits."""
    budget = Budget(limits)
    source = budget.unpacking(io.BytesIO(tar), key="x", packed=packed, what="x")
    return sum(1 for _ in TarStream(source, what="x", budget=budget).members())


TEN = make_tar(*(member(f"{number}", data=bytes(100_000)) for number in range(10)))


def test_limits_bind_the_sum_of_all_members() -> None:
    assert counted(TEN, Limits(entries=10, names=10, unpacked=len(TEN)), packed=2000) == 10
    with pytest.raises(Unfit, match="more than 9 entries"):
        counted(TEN, Limits(entries=9))
    with pytest.raises(Unfit, match="more than 9 bytes of paths"):
        counted(TEN, Limits(names=9))
    with pytest.raises(Unfit, match="unpacks to more than 900000 bytes"):
        counted(TEN, Limits(unpacked=900_000))
    with pytest.raises(Unfit, match="1000 times its 900 bytes"):
        counted(TEN, Limits(unsuspected=0), packed=900)


def test_a_blob_that_is_named_twice_stands_for_twice_as_much() -> None:
    budget = Budget(Limits(unsuspected=0, ratio=15))
    first = budget.unpacking(io.BytesIO(bytes(1000)), key="x", packed=100, what="x")
    again = budget.unpacking(io.BytesIO(bytes(1000)), key="x", packed=100, what="x")
    assert first.read(1000)
    with pytest.raises(Unfit, match="15 times"):
        again.read(1000)


@pytest.mark.parametrize(
    ("members", "seen"),
    [
        ([member("a", data=b"x"), member("b", tarfile.LNKTYPE, target="/a")], {"a": b"x", "b": b"x"}),
        ([member(".wh.a"), member("a", data=b"x")], {"a": b"x"}),
        ([folder("d"), member("l", tarfile.SYMTYPE, target="d"), member("l/f", data=b"x")], {"d/f": b"x"}),
        ([folder(MARK), member(f"{MARK}/1", data=b"x"), member("a", tarfile.LNKTYPE, target=f"{MARK}/1")], {"a": b"x"}),
        ([member("f", tarfile.FIFOTYPE), member("b", tarfile.LNKTYPE, target="f")], {}),
        ([member("a", data=b"x"), member("b", tarfile.LNKTYPE, target="a"), member("c", b"1", target="./b")], None),
    ],
)
def test_what_docker_loads_is_read_as_its_container_sees_it(
    members: list[tuple[tarfile.TarInfo, bytes]], seen: dict[str, bytes] | None, tmp_path: Path, store: Store
) -> None:
    tar = make_tar(*members)
    path = save_like_old_docker(tmp_path / "x.tar", [tar], config_of([tar]))
    tree = open_file(path, AMD64, store=store, reporter=Quiet()).tree
    with MappedFiles() as sources:
        files = {str(each.path): sources.read(each.content, what="x") for each in tree if each.content is not None}
    assert files == (dict.fromkeys("abc", b"x") if seen is None else seen)
    assert verify_file(path).findings == ()


def test_the_last_of_several_headers_counts_and_gnus_name_counts_most() -> None:
    two = extended(tarfile.XHDTYPE, record("path", b"one")) + extended(tarfile.XHDTYPE, record("comment", b"two"))
    gnu = extended(tarfile.GNUTYPE_LONGNAME, b"three\0") + extended(tarfile.XHDTYPE, record("path", b"four"))
    lost = extended(tarfile.XHDTYPE, record("path", b"five")) + extended(tarfile.XGLTYPE, record("path", b"six"))
    tar = two + header("a") + gnu + header("b") + lost + header("c") + END
    names = [member.name for member in TarStream(io.BytesIO(tar), what="x", budget=Budget()).members()]
    assert names == ["a", "three", "c"]
