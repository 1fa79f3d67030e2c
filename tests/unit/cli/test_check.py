"""The gate as its users meet it: builds that are refused, and ``ocibuild check``."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from oci_builder.cli import main
from tests.support.elves import ElfSpec, make_elf
from tests.support.tiny import IMAGE, Tiny, build, make_tiny
from tests.support.wheels import make_wheel

ALLOW = '\n[checks]\nallow = [{ library = "libGL.so.1", reason = "the host has it" }]\n'


@pytest.fixture
def tiny(tmp_path: Path) -> Tiny:
    """A project with a wheel that needs a library nobody brings."""
    project = make_tiny(tmp_path)
    data = make_elf(ElfSpec(needed=["libGL.so.1"]))
    files: dict[str, bytes | str] = {"draw/__init__.py": "from . import _gl\n", "draw/_gl.abi3.so": data}
    make_wheel(project.wheels, "draw", "1.0", tag="cp311-abi3-linux_x86_64", files=files)
    project.lock()
    return project


def check(tiny: Tiny, *flags: str) -> int:
    places = ("--project-dir", str(tiny.root), "--cache-dir", str(tiny.cache))
    return main(["check", "app", *places, "--progress", "none", *flags])


def test_an_image_that_would_not_run_is_not_written(tiny: Tiny) -> None:
    ending = build(tiny)
    assert ending.code == 3
    assert "draw 1.0: draw/_gl.abi3.so needs libGL.so.1, which is not in the image" in ending.said
    assert "[checks] allow" in ending.said
    assert not tiny.out.exists()


def test_what_is_allowed_is_written(tiny: Tiny) -> None:
    (tiny.image / "image.toml").write_text(IMAGE + ALLOW)
    assert build(tiny).code == 0
    assert tiny.out.exists()


def test_a_size_over_the_limit_is_not_written(tiny: Tiny) -> None:
    (tiny.image / "image.toml").write_text(f'max-size = "100kB"\n{IMAGE}{ALLOW}')
    ending = build(tiny)
    assert ending.code == 3
    assert "many 1.0, asked for" in ending.said
    (tiny.image / "image.toml").write_text(f'max-size = "100MB"\n{IMAGE}{ALLOW}')
    assert build(tiny).code == 0


def test_a_copied_secret_is_not_written(tiny: Tiny) -> None:
    (tiny.image / ".env").write_text("PASSWORD=x\n")
    (tiny.image / "image.toml").write_text(f'{IMAGE}{ALLOW}\n[[copy]]\nsrc = ".env"\ndest = "/opt/"\n')
    ending = build(tiny)
    assert ending.code == 3
    assert "/opt/.env looks like a secret" in ending.said


def test_check_says_all_and_writes_nothing(tiny: Tiny, capsys: pytest.CaptureFixture[str]) -> None:
    assert check(tiny) == 3
    out, err = capsys.readouterr()
    assert out.splitlines() == [
        "error: draw 1.0: draw/_gl.abi3.so needs libGL.so.1, which is not in the image [library: libGL.so.1]"
    ]
    assert "1 error" in err
    assert not tiny.out.exists()


def test_check_says_what_is_allowed_and_why(tiny: Tiny, capsys: pytest.CaptureFixture[str]) -> None:
    (tiny.image / "image.toml").write_text(IMAGE + ALLOW)
    assert check(tiny) == 0
    assert capsys.readouterr().out.startswith("allowed: draw 1.0:")


def test_check_speaks_json(tiny: Tiny, capsys: pytest.CaptureFixture[str]) -> None:
    assert check(tiny, "--json") == 3
    found = json.loads(capsys.readouterr().out)["linux/amd64"]
    assert [error["subject"] for error in found["errors"]] == ["libGL.so.1"]
    assert (found["warnings"], found["allowed"]) == ([], [])


def test_check_says_many_warnings_of_one_kind_in_a_few_lines(tiny: Tiny, capsys: pytest.CaptureFixture[str]) -> None:
    plugins: dict[str, bytes | str] = {"qt/__init__.py": ""}
    for number in range(9):
        plugins[f"qt/plugins/p{number}.so"] = make_elf(ElfSpec(needed=[f"libx{number}.so.1"]))
    make_wheel(tiny.wheels, "qt", "1.0", tag="py3-none-linux_x86_64", files=plugins)
    tiny.lock()
    assert check(tiny) == 3
    lines = [line for line in capsys.readouterr().out.splitlines() if "qt 1.0" in line]
    assert len(lines) == 5
    assert (
        lines[3]
        == "warning: qt 1.0: qt/plugins/p3.so needs libx3.so.1, which is not in the image [library: libx3.so.1]"
    )
    others = "libx4.so.1, libx5.so.1, libx6.so.1, libx7.so.1, libx8.so.1"
    assert lines[4] == f"warning: qt 1.0: likewise {others} [library]"


def test_an_extra_that_the_requirements_ask_for_has_to_be_there(tiny: Tiny) -> None:
    extra = ["other; extra == 'more'"]
    make_wheel(tiny.wheels, "some", "1.0", requires=extra, extras=["more"])
    (tiny.image / "image.toml").write_text(IMAGE + ALLOW)
    tiny.require("some", "many[more]; sys_platform == 'win32'")
    tiny.lock()
    assert build(tiny).code == 0
    tiny.require("some[more]")
    tiny.lock()
    ending = build(tiny)
    assert ending.code == 3
    assert "some 1.0 requires other, and it is not in the image" in ending.said


@pytest.mark.parametrize("allowance", ['{ reason = "r" }', '{ library = "x" }', '{ library = "x", reason = "" }'])
def test_an_allowance_says_what_and_why(tiny: Tiny, allowance: str) -> None:
    (tiny.image / "image.toml").write_text(f"{IMAGE}\n[checks]\nallow = [{allowance}]\n")
    assert build(tiny).code == 2


@pytest.mark.parametrize("size", ["500", "5 parsecs", "-1MB"])
def test_a_size_has_a_unit(tiny: Tiny, size: str) -> None:
    (tiny.image / "image.toml").write_text(f'max-size = "{size}"\n{IMAGE}')
    assert build(tiny).code == 2
