"""Wheels made by hand to be odd, installed by pip and by ocibuild: the same files, bytes and modes."""

from __future__ import annotations

import base64
import hashlib
import warnings
import zipfile
from collections.abc import Mapping
from pathlib import Path

import pytest

from oci_builder.errors import OcibuildError
from tests.parity.comparing import Comparison, PipRefused, by_ocibuild, by_pip, compare
from tests.support.wheels import record_line, write_member
from tests.support.zips import Part, wheel_parts, write_zip

WHEEL = "Wheel-Version: 1.0\nGenerator: hand\nRoot-Is-Purelib: true\nTag: py3-none-any\n"


def make(
    folder: Path,
    name: str,
    files: Mapping[str, bytes | str],
    *,
    info: Mapping[str, bytes | str | None] | None = None,
    dist_info: str = "",
    rows: Mapping[str, str | None] | None = None,
    first: str = "",
    executable: tuple[str, ...] = (),
    twice: tuple[str, ...] = (),
    wheel: str = WHEEL,
    build: str = "",
) -> Path:
    """A wheel of ``files``. ``rows`` are lines of RECORD by member, None for no line; ``first`` comes before them.

    ``info`` are files of .dist-info, or None for one that is not there.
    """
    place = dist_info or f"{name}-1.0.dist-info"
    members = {path: data.encode() if isinstance(data, str) else data for path, data in files.items()}
    members[f"{place}/METADATA"] = f"Metadata-Version: 2.1\nName: {name}\nVersion: 1.0\n".encode()
    members[f"{place}/WHEEL"] = wheel.encode()
    for path, data in (info or {}).items():
        members.pop(f"{place}/{path}", None)
        if data is not None:
            members[f"{place}/{path}"] = data.encode() if isinstance(data, str) else data
    told = {**{path: record_line(path, data) for path, data in members.items()}, **(rows or {})}
    lines = [line for line in (*told.values(), f"{place}/RECORD,,") if line is not None]
    folder.mkdir(parents=True, exist_ok=True)
    wheel_path = folder / f"{name}-1.0-{build}py3-none-any.whl"
    with warnings.catch_warnings(), zipfile.ZipFile(wheel_path, "w", zipfile.ZIP_DEFLATED) as archive:
        warnings.simplefilter("ignore")  # of zipfile, about names that come twice
        for member in (*members, *twice):
            write_member(archive, member, members[member], mode=0o755 if member in executable else 0o644)
        write_member(archive, f"{place}/RECORD", (first + "\n".join([*lines, ""])).encode())
    return wheel_path


def points(text: str) -> dict[str, str]:
    return {"entry_points.txt": text}


def two_writers(folder: Path) -> list[Path]:
    root = {"writers/a.py": "root\n", "writers/b.py": "root\n", "writers/c.py": "root\n"}
    data = {
        "writers-1.0.data/purelib/writers/a.py": "pure\n",
        "writers-1.0.data/platlib/writers/a.py": "plat\n",
        "writers-1.0.data/platlib/writers/b.py": "plat\n",
        "writers-1.0.data/scripts/tool": "#!python\nscript\n",
        "writers-1.0.data/data/bin/tool": "data\n",
        "writers-1.0.data/data/bin/started": "data\n",
        "writers-1.0.data/data/share/x": "x\n",
        "writers-1.0.data/purelib/writers-1.0.dist-info/INSTALLER": "me\n",
        "writers-1.0.data/purelib/writers-1.0.dist-info/RECORD": "lies\n",
        "writers-1.0.data/purelib/writers-1.0.dist-info/METADATA": "Name: writers\nVersion: 1.0\nSummary: again\n",
    }
    more = ("writers-1.0.data/platlib/writers/a.py", "writers/b.py", "writers-1.0.data/scripts/tool")
    notes = {"INSTALLER": "hand\n", "REQUESTED": "kept?", "direct_url.json": '{"url": "x"}'}
    return [
        make(
            folder,
            "writers",
            {**root, **data},
            info=notes | points("[console_scripts]\nstarted = writers.a:b\n"),
            executable=more,
        ),
        # The other order in the zip.
        make(folder, "reversed", {"reversed-1.0.data/purelib/r.py": "pure\n", "r.py": "root\n"}),
        make(folder, "notes", {"notes.py": ""}, info=notes),
    ]


def scripts(folder: Path) -> list[Path]:
    wrapped = ["demo", "demo.exe", "demo-script.py", "demo.pya", "Demo", "other", "gui"]
    odd = {
        "s-python": "#!python\nx\n",
        "s-python3": "#!python3 -E\nx\n",
        "s-pythonw": "#!pythonw\r\nx\r\n",
        "s-crlf": "#!python\r\nx\r\n",
        "s-shell": "#!/bin/sh\n",
        "s-space": "#! python\nx\n",
        "s-one-line": "#!python",
        "s-empty": "",
        "deep/s": "#!python\nx\n",
    }
    every = tuple(f"odd-1.0.data/scripts/{name}" for name in odd if name != "s-space")
    text = "[console_scripts]\ndemo = scripts.a:b.c [extra]\nDemo2=scripts:main\n# no = comment:x\n"
    text += "demo = scripts.a:later\n\n[gui_scripts]\ngui = scripts.g:run\nboth = scripts.g:run\n"
    text += "[other]\nx = nothing at all\n[console_scripts]\nboth = scripts.c:run\n"
    text += " a-b.c_d   =   m.n:o.p\nsub/é = m:n\n"
    versions = "".join(f"{name} = pipscripts:{name[:3]}\n" for name in ("pip", "pip3", "pip3.9", "pip4", "pipx"))
    versions += "easy_install = pipscripts:easy\neasy_install-3.6 = pipscripts:easy\neasy_install_x = pipscripts:easy\n"
    return [
        make(
            folder,
            "scripts",
            {f"scripts-1.0.data/scripts/{name}": "#!python\n" for name in wrapped},
            info=points(text),
            executable=tuple(f"scripts-1.0.data/scripts/{name}" for name in wrapped),
        ),
        make(folder, "odd", {f"odd-1.0.data/scripts/{name}": data for name, data in odd.items()}, executable=every),
        make(folder, "pipscripts", {"pipscripts.py": ""}, info=points(f"[console_scripts]\n{versions}")),
        make(folder, "crlf", {"crlf.py": ""}, info=points("[console_scripts]\r\nfrom-crlf = crlf:main\r\n")),
        make(folder, "marked", {"marked.py": ""}, info=points("\ufeff[console_scripts]\nlost = marked:main\n")),
    ]


def folders(folder: Path) -> list[Path]:
    data = {
        "Other.Spelling-1.0.data/scripts/spelt": "#!python\n",
        "x.data/data/share/spelt": "d",
        "other_spelling.py": "",
    }
    mixed = {
        "./mixed/one.py": "1",
        "mixed//two.py": "2",
        "mixed/./three.py": "3",
        "mixed/four.py": "4",
        "mixed/back\\slash.py": "5",
        "mixed/é.txt": "6",
        "spelt_1.data/headers/mixed.h": "h",
    }
    return [
        make(
            folder,
            "other_spelling",
            data,
            dist_info="Other.Spelling-1.0.dist-info",
            executable=("Other.Spelling-1.0.data/scripts/spelt",),
        ),
        make(folder, "mixed", mixed, twice=("mixed/four.py",), build="7-"),
        again(make(folder, "again", {"again.py": "1"}), "again.py"),
        make(folder, "plat", {"plat.py": ""}, wheel=WHEEL.replace("true", "False").replace("1.0", "1.9")),
        make(folder, "upper", {"upper.py": ""}, wheel=WHEEL.replace("true", "TRUE").replace("\n", "\r\n")),
    ]


def again(wheel: Path, name: str) -> Path:
    """The same, with another file called ``name`` before the one that RECORD means."""
    with zipfile.ZipFile(wheel) as archive:
        members = {info: archive.read(info) for info in archive.infolist()}
    with warnings.catch_warnings(), zipfile.ZipFile(wheel, "w") as archive:
        warnings.simplefilter("ignore")
        write_member(archive, name, b"before")
        for info, data in members.items():
            archive.writestr(info, data)
    return wheel


def records(folder: Path) -> list[Path]:
    strong = base64.urlsafe_b64encode(hashlib.sha512(b"s").digest()).decode().rstrip("=")
    padded = base64.urlsafe_b64encode(hashlib.sha256(b"p").digest()).decode()
    files = {"rec/dot.py": "d", "rec/back.py": "b", "rec/strong.py": "s", "rec/padded.py": "p", "rec/a,b.py": "c"}
    rows = {
        "rec/dot.py": record_line("./rec/dot.py", b"d"),
        "rec/back.py": record_line("rec\\back.py", b"b"),
        "rec/strong.py": f"rec/strong.py,sha512={strong},1",
        "rec/padded.py": f"rec/padded.py,sha256={padded},",
        "rec/a,b.py": f'"rec/a,b.py",{record_line("", b"c")[1:]}',
        "rec-1.0.dist-info/RECORD.jws": None,
        "rec-1.0.dist-info/RECORD.p7s": "rec-1.0.dist-info/RECORD.p7s,,",
    }
    signed = {"RECORD.jws": "{}", "RECORD.p7s": "x"}
    itself = "rec-1.0.dist-info/RECORD,sha256=AAAA,5\n"
    more = f"{itself}rec/,,\nrec,,\nrec-1.0.dist-info/,,\n"
    more += "rec/__pycache__/dot.cpython-39.pyc,,\nrec-1.0.dist-info/INSTALLER,,\n"
    return [
        make(folder, "rec", files, info=signed, rows=rows, first=more),
        make(folder, "bom", {"bom.py": "1"}, first="\ufeff"),
        # As an old Python zips: names in UTF-8 that are not said to be.
        write_zip(
            folder / "unsaid-1.0-py3-none-any.whl",
            wheel_parts(Part(name="unsaid/é.py".encode(), data=b"1"), name="unsaid"),
        ),
        make(folder, "compiled", {"compiled.py": "", "__pycache__/compiled.cpython-311.pyc": "x", "top.pyc": "x"}),
    ]


def loose(folder: Path) -> list[Path]:
    return [
        make(folder, "missing", {"missing.py": "1"}, rows={"missing.py": None}),
        make(folder, "hashless", {"hashless.py": "1"}, rows={"hashless.py": "hashless.py,,"}),
        make(folder, "weak", {"weak.py": "1"}, rows={"weak.py": "weak.py,md5=xMpCOKC5I4INzFCab3WEmw,1"}),
        make(folder, "absolute", {"absolute.py": "1"}, rows={"absolute.py": record_line("/absolute.py", b"1")}),
        make(folder, "size", {"size.py": "1"}, rows={"size.py": record_line("size.py", b"1") + "0"}),
        make(folder, "gone", {"gone.py": "1"}, rows={"lost.py": record_line("lost.py", b"1")}),
        make(folder, "two", {"two.py": "1"}, first=f"{record_line('two.py', b'2')}\n"),
    ]


@pytest.fixture(scope="module")
def compared(tmp_path_factory: pytest.TempPathFactory) -> Comparison:
    """All of them, in one run of pip."""
    folder = tmp_path_factory.mktemp("wheels")
    wheels = [each for kind in (two_writers, scripts, folders, records, loose) for each in kind(folder)]
    return compare(wheels, tmp_path_factory.mktemp("root"))


def test_odd_wheels_are_installed_as_pip_installs_them(compared: Comparison) -> None:
    assert compared.files > 120
    assert set(compared.unintended) <= {"unverified"}, compared.unintended


def test_the_differences_that_are_meant_are_met(compared: Comparison) -> None:
    assert {each.rpartition("/")[2].partition(".")[0] for each in compared.differences["bytecode"]} == {
        "compiled",
        "dot",
    }
    assert [each.partition(" ")[0] for each in compared.differences["x bit"]] == ["usr/local/bin/s-space"]
    assert {"row of nothing", "row of a loser", "row of a weak digest", "installer"} <= compared.differences.keys()


def test_what_record_does_not_prove_is_taken_only_when_it_is_named(compared: Comparison) -> None:
    refused = {each.partition("-")[0] for each in compared.differences["unverified"]}
    assert refused == {"missing", "hashless", "weak", "absolute", "size", "gone", "two"}


@pytest.mark.parametrize(
    ("files", "info"),
    [
        ({"bad.py": ""}, points("[console_scripts]\nbad = no.function\n")),
        ({"bad.py": ""}, points("[console_scripts]\nbad = a:b:c\n")),
        ({"bad.py": ""}, points("[console_scripts]\nbad = a:b [\n")),
        ({"bad.py": ""}, points("[console_scripts]\nbad\n")),
        ({"bad.py": ""}, points("[console_scripts]\n../../bad = a:b\n")),
        ({"bad-1.0.data/etc/passwd": ""}, {}),
        ({"bad-1.0.data/scripts": ""}, {}),
        ({"top.data": ""}, {}),
        ({"../bad.py": ""}, {}),
        ({"bad.py": ""}, {"WHEEL": WHEEL.replace("1.0", "2.0")}),
        ({"bad.py": ""}, {"WHEEL": "Generator: hand\n"}),
        ({"bad.py": ""}, {"WHEEL": b"\xff"}),
        ({"bad.py": ""}, {"METADATA": None}),
        ({"bad.py": ""}, {"WHEEL": None}),
        ({"bad.py": ""}, {"entry_points.txt": b"\xff"}),
    ],
)
def test_what_pip_refuses_is_refused(
    tmp_path: Path, files: dict[str, str], info: dict[str, str | bytes | None]
) -> None:
    wheel = make(tmp_path / "wheels", "bad", files, info=info)
    with pytest.raises(OcibuildError):
        by_ocibuild(wheel, unverified=True)
    (tmp_path / "root").mkdir()
    with pytest.raises(PipRefused):
        by_pip([wheel], tmp_path / "root")
