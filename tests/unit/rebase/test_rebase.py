"""Images on other bases: what they are then, and every reason for which they are not put there."""

from __future__ import annotations

import json
import tarfile
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from oci_builder.assemble.context import BuildPolicy
from oci_builder.assemble.rebasing import (
    RebasedImage,
    RebaseRefused,
    RebaseTarget,
    RebaseTask,
    deliver,
    put_onto,
    refusal,
)
from oci_builder.errors import CheckFailed, UnsupportedImage
from oci_builder.rebase.config import OF_A_PATCH
from oci_builder.updates import words
from oci_builder.verify.verify import verify_file
from tests.support.archives import folder, member
from tests.support.contexts import context_of
from tests.support.elves import ElfSpec, make_elf
from tests.support.imported import GLIBC
from tests.support.overlaid import layers_of, root_of
from tests.support.rebasing import APP_RUN, BASE_RUN, LIB, LOADER, SITE, base_layer, own_layer, save, whiteout

Changed = Mapping[str, bytes | str | None]
_UNCHECKED = (3571).to_bytes(2, "little") + b"\r\n\1\0\0\0" + bytes(8)
_BY_TIME = (3571).to_bytes(2, "little") + b"\r\n\0\0\0\0" + bytes(8)
PYC = "usr/local/lib/python3.11/__pycache__/os.cpython-311.pyc"


def rebased(
    folder: Path,
    *,
    old: bytes | None = None,
    new: bytes | None = None,
    own: Sequence[bytes] = (),
    run: Mapping[str, Any] = APP_RUN,
    new_run: Mapping[str, Any] = BASE_RUN,
    kept: Sequence[str] = (),
) -> RebasedImage:
    """An image off one base and onto another, all of them files."""
    below = old or base_layer()
    save(folder / "old.tar", [below], BASE_RUN)
    save(folder / "new.tar", [new or base_layer({"etc/motd": b"newer"})], new_run, created="2025-01-01T00:00:00Z")
    save(folder / "image.tar", [below, *(own or [own_layer()])], run)
    task = RebaseTask(
        image=folder / "image.tar", onto=folder / "new.tar", base=folder / "old.tar", kept=frozenset(kept)
    )
    return put_onto(task, context_of(folder / "cache", project=folder), BuildPolicy())


def said(found: RebasedImage) -> list[str]:
    return [f"{finding.kind} {finding.subject}" for finding in found.findings]


def config_in(path: Path) -> dict[str, Any]:
    with tarfile.open(path) as archive:
        manifest = json.load(archive.extractfile("manifest.json") or pytest.fail())
        found: dict[str, Any] = json.load(archive.extractfile(manifest[0]["Config"]) or pytest.fail())
        return found


def test_the_images_own_layers_stay_and_the_new_base_is_below_them(tmp_path: Path) -> None:
    found = rebased(tmp_path)
    assert found.findings == ()
    out = tmp_path / "out.tar"
    deliver(found, RebaseTarget(file=out, verify=True), context_of(tmp_path / "cache", project=tmp_path))
    assert verify_file(out).findings == ()
    there, image = layers_of(out), layers_of(tmp_path / "image.tar")
    assert there == [*layers_of(tmp_path / "new.tar"), *image[1:]]
    assert root_of(there)["etc/motd"] != root_of(image)["etc/motd"]
    assert root_of(there)["opt/app/bin/tool"] == root_of(image)["opt/app/bin/tool"]


def test_what_the_image_left_as_the_old_base_had_it_is_the_new_bases(tmp_path: Path) -> None:
    new_run = {
        "Env": ["PATH=/usr/local/bin:/usr/bin:/bin:/sbin", "PYTHON_VERSION=3.11.12", "ADDED=1"],
        "Cmd": ["python3"],
        "Labels": {"maker": "the base's next"},
        "ExposedPorts": {"81/tcp": {}},
    }
    found = rebased(tmp_path, new_run=new_run)
    deliver(found, RebaseTarget(file=tmp_path / "out.tar"), context_of(tmp_path / "cache", project=tmp_path))
    document = config_in(tmp_path / "out.tar")
    run = document["config"]
    assert sorted(run["Env"]) == [
        "ADDED=1",
        "MODE=fast",
        "PATH=/opt/app/bin:/usr/local/bin:/usr/bin:/bin:/sbin",
        "PYTHON_VERSION=3.11.12",
    ]
    assert (run["Cmd"], run["User"], run["WorkingDir"]) == (["tool"], "app", "/opt/app")
    assert run["ExposedPorts"] == {"8080/tcp": {}, "81/tcp": {}}
    labels = run["Labels"]
    assert (labels["maker"], labels["app"]) == ("the base's next", "yes")
    assert labels["org.opencontainers.image.base.name"] == "new.tar"
    assert [step["created_by"] for step in document["history"]] == ["step 1", "step 2"]
    assert document["created"] == "2025-01-01T00:00:00Z"


def test_a_rebased_image_says_what_it_stands_on_and_no_more_what_it_was_patched_from(tmp_path: Path) -> None:
    assert set(OF_A_PATCH) == {words.EQUALS, words.SINCE, words.TREE}
    patched = {**APP_RUN, "Labels": {words.TREE: "sha256:1", "app": "yes"}}
    found = rebased(tmp_path, run=patched)
    labels = found.image.run.labels
    assert words.TREE not in labels and labels["app"] == "yes"
    with pytest.raises(RebaseRefused, match=r"stands on new\.tar already"):
        out = tmp_path / "out.tar"
        context = context_of(tmp_path / "cache", project=tmp_path)
        deliver(found, RebaseTarget(file=out), context)
        put_onto(RebaseTask(image=out, onto=tmp_path / "new.tar"), context, BuildPolicy())


def test_the_same_images_give_the_same_bytes(tmp_path: Path) -> None:
    made = []
    for name in ("one", "two"):
        (tmp_path / name).mkdir()
        found = rebased(tmp_path / name)
        context = context_of(tmp_path / name / "cache", project=tmp_path)
        deliver(found, RebaseTarget(file=tmp_path / name / "out.tar"), context)
        made.append((tmp_path / name / "out.tar").read_bytes())
    assert made[0] == made[1]


def test_an_image_does_not_stand_on_a_base_whose_layers_are_not_its_lowest(tmp_path: Path) -> None:
    save(tmp_path / "image.tar", [base_layer(), own_layer()], APP_RUN)
    save(tmp_path / "other.tar", [base_layer({"etc/motd": b"other"})], BASE_RUN)
    task = RebaseTask(image=tmp_path / "image.tar", onto=tmp_path / "other.tar", base=tmp_path / "other.tar")
    context = context_of(tmp_path / "cache", project=tmp_path)
    save(tmp_path / "new.tar", [base_layer({"etc/motd": b"new"})], BASE_RUN)
    with pytest.raises(UnsupportedImage, match="1 layer, of which none are the lowest of the image's 2") as refused:
        put_onto(replace(task, onto=tmp_path / "new.tar"), context, BuildPolicy())
    assert "--base" in str(refused.value.hint)
    with pytest.raises(RebaseRefused, match=r"nothing in .* says which base it stands on"):
        put_onto(replace(task, onto=tmp_path / "new.tar", base=None), context, BuildPolicy())


MUSL_NEW: Changed = {f"{LIB}/libc.so.6": None, "lib/ld-musl-x86_64.so.1": b"\0musl libc (x86_64)\n\x001.2.5\0"}
RUNS: Sequence[tuple[Changed, str]] = [
    ({f"{LIB}/libssl.so.3": None}, "library libssl.so.3"),
    ({f"{LIB}/libssl.so.3": make_elf(ElfSpec(soname="libssl.so.3", versions=("OPENSSL_2",)))}, "symbol-version "),
    ({f"{LIB}/libc.so.6": None}, "python 3.11.9"),
    ({"lib64/ld-linux-x86-64.so.2": None}, f"program-loader {LOADER}"),
    ({"usr/bin/sh": None}, "interpreter /opt/app/bin/script"),
    ({"etc/ssl/certs/ca-certificates.crt": None}, "path /etc/ssl/certs/ca-certificates.crt"),
    ({"etc/passwd": b"root:x:0:0::/root:/bin/sh\n"}, "user app"),
    ({"etc/passwd": b"root:x:0:0::/root:/bin/sh\napp:x:1501:1600::/app:/bin/sh\n"}, "user app"),
]


@pytest.mark.parametrize(("changed", "kind"), RUNS)
def test_what_ran_on_the_old_base_and_would_not_on_the_new_is_refused(
    tmp_path: Path, changed: Changed, kind: str
) -> None:
    found = rebased(tmp_path, new=base_layer(changed))
    assert any(line.startswith(kind) for line in said(found)), said(found)
    with pytest.raises(CheckFailed) as refused:
        deliver(found, RebaseTarget(file=tmp_path / "x.tar"), context_of(tmp_path / "cache", project=tmp_path))
    assert refused.value.exit_code == 3 and not (tmp_path / "x.tar").exists()


def test_a_symbol_that_a_library_has_no_more_is_refused_where_a_file_asks_for_it(tmp_path: Path) -> None:
    old = base_layer({f"{LIB}/libz.so.1": make_elf(ElfSpec(soname="libz.so.1", offers=("inflate", "gone", "other")))})
    new = base_layer({f"{LIB}/libz.so.1": make_elf(ElfSpec(soname="libz.so.1", offers=("inflate", "added")))})
    asks = [ElfSpec(needed=("libz.so.1",), asks=names) for names in (("inflate", "gone"), ("inflate", "malloc"))]
    found = rebased(tmp_path, old=old, new=new, own=[own_layer({"opt/lib.so": make_elf(asks[0])})])
    assert said(found) == [f"symbol {LIB}/libz.so.1"]
    assert "needs gone, which /usr/lib/x86_64-linux-gnu/libz.so.1 of the new base lacks" in found.findings[0].message
    (tmp_path / "well").mkdir()
    well = own_layer({"opt/lib.so": make_elf(asks[1])})
    assert rebased(tmp_path / "well", old=old, new=new, own=[well]).findings == ()


def test_another_python_is_refused_and_a_newer_release_of_the_same_is_not(tmp_path: Path) -> None:
    for name in ("newer", "other"):
        (tmp_path / name).mkdir()
    assert rebased(tmp_path / "newer", new=base_layer(version="3.11.12")).findings == ()
    kinds = said(rebased(tmp_path / "other", new=base_layer(version="3.12.1")))
    assert "python 3.12" in kinds and "python python3.11" in kinds


def test_a_newer_c_library_is_no_reason_and_what_the_image_lacked_before_is_none(tmp_path: Path) -> None:
    lacking = own_layer({"opt/app/bin/odd": make_elf(ElfSpec(interpreter=LOADER, needed=("libnever.so.9",)))})
    newer = base_layer({f"{LIB}/libc.so.6": GLIBC.replace(b"2.36", b"2.41"), "usr/bin/more": b"#!/usr/bin/sh\n"})
    assert rebased(tmp_path, new=newer, own=[lacking]).findings == ()


PATHS: Sequence[tuple[str, Changed, bytes, Changed, str]] = [
    ("edited", {}, own_layer({"etc/motd": b"mine"}), {"etc/motd": b"newer"}, "changed /etc/motd of the old base"),
    ("copied up", {}, own_layer({"etc/motd": b"welcome"}), {"etc/motd": b"newer"}, "as the old base has it"),
    ("gone below", {}, own_layer({"etc/motd": b"mine"}), {"etc/motd": None}, "the new base has no such file"),
    ("both bring", {}, own_layer({"opt/x": b"mine"}), {"opt/x": b"theirs"}, "and so does the new base, another one"),
    ("deleted", {}, own_layer({}, whiteout("etc/motd")), {"etc/motd": None}, "deletes /etc/motd of the old base"),
    ("deletes new", {}, own_layer({}, whiteout("opt/x")), {"opt/x": b"1"}, "which the new base brings"),
    ("link now", {}, own_layer({"data/x": b"1"}), {"data": "srv"}, "is a symbolic link in the new base"),
    ("bytecode", {}, own_layer({PYC: _UNCHECKED}), {"usr/local/lib/python3.11/os.py": b"new"}, "has bytecode of"),
    ("link lost", {}, own_layer({"opt/l": "/usr/bin/curl"}), {"usr/bin/curl": None}, "leads to /usr/bin/curl"),
    (
        "a command",
        {},
        own_layer({"opt/app/bin/script": b"#!/usr/bin/sh\ncurl x\n"}),
        {"usr/bin/curl": None},
        "names curl, a command",
    ),
    ("folder", {}, own_layer({}, folder("srv", mode=0o700)), {"srv/x": b""}, "has mode 0755, owner 0:0 in the new"),
]


@pytest.mark.parametrize(("old", "own", "new", "why"), [each[1:] for each in PATHS], ids=[each[0] for each in PATHS])
def test_a_path_that_would_mean_something_else_is_refused(
    tmp_path: Path, old: Changed, own: bytes, new: Changed, why: str
) -> None:
    found = rebased(tmp_path, old=base_layer(old), own=[own], new=base_layer(new))
    assert why in "\n".join(finding.message for finding in found.findings)
    assert all("layer 2" in each.message for each in found.findings if each.kind == "path")


@pytest.mark.parametrize(
    ("own", "new"),
    [
        (own_layer({"etc/motd": b"mine"}), {"etc/shells": b"other"}),
        (own_layer({"etc/motd": b"newer"}), {"etc/motd": b"newer"}),
        (own_layer({"var/cache/x": b"1", "etc/hostname": b"a"}), {"var/cache/x": b"2", "etc/hostname": b"b"}),
        (own_layer({}, whiteout("etc/motd")), {"etc/motd": b"newer"}),
        (own_layer({PYC: _BY_TIME}), {PYC: b"theirs", "usr/local/lib/python3.11/os.py": b"new"}),
        (own_layer({"opt/x": b"1"}, whiteout("opt/y")), {"etc/shells": b"other"}),
        (own_layer({"etc/ld.so.cache": b"mine"}), {"etc/ld.so.cache": b"theirs"}),
    ],
)
def test_a_path_that_means_what_it_did_is_no_reason(tmp_path: Path, own: bytes, new: Changed) -> None:
    assert rebased(tmp_path, own=[own], new=base_layer(new)).findings == ()


def test_a_path_that_somebody_found_right_is_kept(tmp_path: Path) -> None:
    own, new = own_layer({"etc/motd": b"mine"}), base_layer({"etc/motd": b"newer"})
    assert said(rebased(tmp_path, own=[own], new=new)) == ["path /etc/motd"]
    assert rebased(tmp_path, own=[own], new=new, kept=["/etc/motd"]).findings == ()


def test_files_of_users_that_are_somebody_else_are_refused(tmp_path: Path) -> None:
    owned = member("opt/owned", data=b"1", uid=1500, gid=1600, mode=0o644)
    new = base_layer({"etc/passwd": b"root:x:0:0::/root:/bin/sh\nother:x:1500:1600::/app:/bin/sh\n"})
    found = rebased(tmp_path, own=[own_layer({}, owned)], new=new, run={**APP_RUN, "User": "1500:1600"})
    assert said(found) == ["user 1500"]
    assert "was app on the old base and is other" in found.findings[0].message


def test_an_environment_that_names_what_is_gone_is_refused(tmp_path: Path) -> None:
    run = {**APP_RUN, "Env": [*APP_RUN["Env"], "TOOL=/usr/bin/curl", "SITE=http://x/y"]}
    found = rebased(tmp_path, run=run, new=base_layer({"usr/bin/curl": None}))
    assert said(found) == ["env /usr/bin/curl"]


def test_an_image_that_would_run_as_somebody_else_is_refused(tmp_path: Path) -> None:
    run = {name: value for name, value in APP_RUN.items() if name != "User"}
    found = rebased(tmp_path, run=run, new_run={**BASE_RUN, "User": "1500"})
    assert said(found) == ["user 1500"]
    assert "ran as 0:0 on the old one" in found.findings[0].message


def test_a_variable_that_a_script_names_and_a_command_that_looks_after_the_image_have_to_be_there(
    tmp_path: Path,
) -> None:
    script = own_layer({"opt/app/bin/script": b"#!/usr/bin/sh\necho ${PYTHON_VERSION}\n"})
    run = {**APP_RUN, "Healthcheck": {"Test": ["CMD-SHELL", "curl -f localhost"]}}
    less = {**BASE_RUN, "Env": ["PATH=/usr/local/bin:/usr/bin:/bin"]}
    found = rebased(tmp_path, own=[script], run=run, new=base_layer({"usr/bin/curl": None}), new_run=less)
    assert sorted(said(found)) == ["env PYTHON_VERSION", "start curl"]


def test_a_module_that_the_new_bases_python_lacks_is_refused_where_it_is_imported(tmp_path: Path) -> None:
    sqlite = {"usr/local/lib/python3.11/sqlite3/__init__.py": b"", "usr/local/lib/python3.11/turtle.py": b""}
    own = own_layer({f"{SITE}/demo.py": b"import sqlite3\ntry:\n    import turtle\nexcept ImportError:\n    pass\n"})
    found = rebased(tmp_path, old=base_layer(sqlite), own=[own])
    assert said(found) == ["import sqlite3"]


def test_a_program_that_another_would_come_before_is_refused(tmp_path: Path) -> None:
    own = own_layer({"usr/bin/helper": b"#!/usr/bin/sh\n"})
    found = rebased(tmp_path, own=[own], new=base_layer({"usr/local/bin/helper": b"#!/usr/bin/sh\n"}))
    assert said(found) == ["start helper"]
    assert "was /usr/bin/helper, and on the new base /usr/local/bin/helper" in found.findings[0].message


def test_a_library_that_another_would_be_loaded_for_is_refused(tmp_path: Path) -> None:
    parts = {
        "usr/lib/libown.so.1": make_elf(ElfSpec(soname="libown.so.1")),
        "opt/app/bin/more": make_elf(ElfSpec(interpreter=LOADER, needed=("libown.so.1",))),
    }
    new = base_layer({f"{LIB}/libown.so.1": make_elf(ElfSpec(soname="libown.so.1", versions=("X",)))})
    found = rebased(tmp_path, own=[own_layer(parts)], new=new)
    assert said(found) == ["library /usr/lib/libown.so.1"]


def test_what_the_image_deletes_and_a_program_of_the_new_base_needs_is_missed(tmp_path: Path) -> None:
    own = own_layer({}, whiteout(f"{LIB}/libz.so.1"))
    curl = make_elf(ElfSpec(interpreter=LOADER, needed=("libz.so.1",)))
    found = rebased(tmp_path, own=[own], new=base_layer({"usr/bin/curl": curl}))
    assert said(found) == ["library libz.so.1"]
    (tmp_path / "alone").mkdir()
    lacking = make_elf(ElfSpec(interpreter=LOADER, needed=("libnever.so.9",)))
    assert rebased(tmp_path / "alone", new=base_layer({"usr/bin/curl": lacking})).findings == ()


def test_another_build_of_the_same_python_is_refused(tmp_path: Path) -> None:
    dynload = "usr/local/lib/python3.11/lib-dynload/_ssl.cpython-311"
    old, new = (base_layer({f"{dynload}{flag}-x86_64-linux-gnu.so": b"x"}) for flag in ("", "d"))
    found = rebased(tmp_path, old=old, new=new)
    assert said(found) == ["python cpython-311-x86_64-linux-gnu.so"]


def test_another_home_of_whoever_runs_is_refused_unless_the_image_says_it(tmp_path: Path) -> None:
    new = base_layer({"etc/passwd": b"root:x:0:0::/root:/bin/sh\napp:x:1500:1600::/home/app:/bin/sh\n"})
    assert said(rebased(tmp_path, new=new)) == ["user app"]
    (tmp_path / "well").mkdir()
    run = {**APP_RUN, "Env": [*APP_RUN["Env"], "HOME=/opt/app"]}
    assert rebased(tmp_path / "well", new=new, run=run).findings == ()


def test_requirements_that_the_old_base_met_have_to_be_met(tmp_path: Path) -> None:
    pip = {f"{SITE}/pip-24.0.dist-info/METADATA": b"Metadata-Version: 2.1\nName: pip\nVersion: 24.0\n"}
    newer = {f"{SITE}/pip-26.0.dist-info/METADATA": b"Metadata-Version: 2.1\nName: pip\nVersion: 26.0\n"}
    needs = b"Metadata-Version: 2.1\nName: demo\nVersion: 1\nRequires-Dist: pip<25\n"
    own = own_layer({f"{SITE}/demo-1.dist-info/METADATA": needs})
    found = rebased(tmp_path, old=base_layer(pip), new=base_layer(newer), own=[own])
    assert said(found) == ["requirement pip"]


def test_all_reasons_are_said_at_once_and_many_of_one_kind_in_a_few_lines(tmp_path: Path) -> None:
    mine: Changed = {f"etc/x{number}": b"mine" for number in range(9)}
    theirs: Changed = {f"etc/x{number}": b"theirs" for number in range(9)}
    found = rebased(tmp_path, own=[own_layer(mine)], new=base_layer({**theirs, "usr/bin/sh": None}))
    error = refusal(found)
    assert len(found.findings) >= 10
    assert "more of that kind (path)" in str(error)
    assert "/usr/bin/sh" in str(error) and "--keep" in str(error.hint)
