from __future__ import annotations

import os
import sys
from pathlib import Path

import pytest

from oci_builder.errors import ToolFailed
from oci_builder.redaction import redact_text
from oci_builder.wheels import pip
from oci_builder.wheels.pip import Here, PipRules, WheelSources, for_target, run
from tests.support.targets import TARGET

OFFLINE = WheelSources(offline=True, environ=os.environ)
RULES = PipRules(markers=TARGET.markers())
HOOK = Path(pip.__file__).with_name("pip_hook")


def test_this_pip_has_the_inside_that_the_hook_was_written_for() -> None:
    # When this fails after an upgrade of pip, read pip_hook against the new pip before touching the pin.
    outcome = run(["--version"], sources=OFFLINE, rules=RULES)
    assert (outcome.code, outcome.said.split()[0]) == (0, "pip")


def test_a_pip_with_another_inside_is_an_error_that_says_so() -> None:
    with pytest.raises(ToolFailed, match="marker environment has other names") as caught:
        run(["--version"], sources=OFFLINE, rules=PipRules(markers={**TARGET.markers(), "platform_colour": "blue"}))
    assert "pip>=26" in (caught.value.hint or "")


def test_lines_are_heard_as_pip_says_them() -> None:
    heard: list[str] = []
    run(["help"], sources=OFFLINE, rules=RULES, hear=heard.append)
    assert any("Usage" in line for line in heard)


def test_an_interpreter_that_is_not_there_is_a_tool_that_failed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "executable", "/nonexistent/python")
    with pytest.raises(ToolFailed, match="cannot be started"):
        run(["--version"], sources=OFFLINE, rules=RULES)


def test_a_module_named_pip_where_the_user_stands_is_not_run(tmp_path: Path) -> None:
    (tmp_path / "pip.py").write_text("raise SystemExit(5)\n")
    assert run(["--version"], sources=OFFLINE, rules=RULES, here=Here(folder=tmp_path)).code == 0


def test_a_target_is_told_to_pip_with_every_tag_down_to_the_oldest() -> None:
    told = for_target(TARGET)
    assert "--platform=manylinux_2_36_x86_64" in told
    assert "--platform=manylinux_2_5_x86_64" in told
    assert "--platform=manylinux1_x86_64" in told
    assert "--platform=manylinux_2_37_x86_64" not in told
    assert "--python-version=3.11.2" in told
    assert "--abi=cp311" in told


@pytest.mark.parametrize(
    "text, clean",
    [
        ("https://me:secret@host.example/x", "https://****@host.example/x"),
        ("https://me:p@ss@host.example/x", "https://****@host.example/x"),
        ("https://token@host.example/x.whl (1 MB)", "https://****@host.example/x.whl (1 MB)"),
        ("https://host.example/x.whl?X-Signature=secret#sha256=00", "https://host.example/x.whl#sha256=00"),
        ("git+ssh://git@host.example/x", "git+ssh://****@host.example/x"),
        ("mail me@host.example", "mail me@host.example"),
        ("numpy @ https://host.example/a@b", "numpy @ https://host.example/a@b"),
    ],
)
def test_credentials_and_signatures_are_taken_out_of_what_pip_says(text: str, clean: str) -> None:
    assert redact_text(text) == clean


def test_sources_do_not_show_the_environment_they_carry() -> None:
    assert "secret" not in repr(WheelSources(environ={"PIP_INDEX_URL": "https://me:secret@host.example"}))


def test_the_hook_imports_nothing_of_ours() -> None:
    files = sorted(HOOK.rglob("*.py"))
    assert len(files) > 5
    for file in files:
        assert "oci_builder" not in file.read_text(), file


def test_the_folder_of_the_hook_hides_no_module_of_anybody() -> None:
    # It is looked in first, before Python's own.
    assert {path.name for path in HOOK.iterdir()} - {"__pycache__"} == {"__main__.py", "ocibuild_hook"}


def test_nothing_takes_the_place_of_a_file_of_the_hook(tmp_path: Path) -> None:
    for name in ("ocibuild_hook", "pip_hook", "pip"):
        (tmp_path / name).mkdir()
        (tmp_path / name / "__init__.py").write_text("raise SystemExit('shadowed')\n")
    sources = WheelSources(offline=True, environ={**os.environ, "PYTHONPATH": str(tmp_path / "none")})
    rules = PipRules(markers=None)
    ended = pip.run(["--version"], sources=sources, rules=rules, here=Here(folder=tmp_path))
    assert ended.code == 0 and ended.said.startswith("pip ")
    # Of PYTHONPATH pip itself may come, which is its owner's affair, but not the hook.
    (tmp_path / "pip" / "__init__.py").unlink()
    (tmp_path / "pip").rmdir()
    sources = WheelSources(offline=True, environ={**os.environ, "PYTHONPATH": str(tmp_path)})
    assert pip.run(["--version"], sources=sources, rules=rules).code == 0
