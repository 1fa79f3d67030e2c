"""What goes wrong in a build says so: thing, place, next step; nothing is half written, and the cache stays good."""

from __future__ import annotations

import shutil
import socket
import zipfile
from pathlib import Path

import pytest

from tests.support.index import serve_index
from tests.support.tiny import Tiny, build, built, make_tiny, unsound
from tests.support.wheels import add_member, corrupt, make_wheel, record_line

TRACEBACK = "Traceback (most recent call last)"


@pytest.fixture
def tiny(tmp_path: Path) -> Tiny:
    """A project that builds."""
    return make_tiny(tmp_path / "project")


def refused(tiny: Tiny, *flags: str, code: int = 1, once: bool = False) -> str:
    """What a build says that must fail with ``code`` and leave nothing behind.

    Built again for whoever asks for the traceback, unless ``once`` is enough: pip takes its time.
    """
    ending = build(tiny, *flags)
    assert ending.code == code, ending.said
    assert TRACEBACK not in ending.said
    assert ending.said.startswith("ocibuild: ") or "\nocibuild: " in ending.said
    assert list(tiny.root.glob("*app.tar*")) == []
    assert unsound(tiny.cache) == []
    if not once:
        debugged = build(tiny, "--debug", *flags)
        assert (debugged.code, TRACEBACK in debugged.said) == (code, True)
    return ending.said


def test_a_tiny_project_builds_and_builds_the_same_again(tiny: Tiny) -> None:
    assert built(tiny) == built(tiny)
    assert unsound(tiny.cache) == []


def test_no_such_image(tiny: Tiny) -> None:
    shutil.move(tiny.image, tiny.image.with_name("other"))
    assert "no image 'app'" in (said := refused(tiny, code=2))
    assert "hint: the only image here is other" in said


def test_a_recipe_that_is_no_toml(tiny: Tiny) -> None:
    (tiny.image / "image.toml").write_text('base = "tiny"\ncmd = [\n')
    assert "build/app/image.toml:" in (said := refused(tiny, code=2))
    assert "not TOML" in said


def test_a_key_that_is_none(tiny: Tiny) -> None:
    tiny.configure(byte_code="none")
    said = refused(tiny, code=2)
    assert "build/app/image.toml:7: python.byte_code: unknown key" in said
    assert "did you mean 'bytecode'?" in said


def test_a_pin_that_nobody_has(tiny: Tiny, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    make_wheel(tmp_path / "index", "many", "1.1")
    make_wheel(tmp_path / "index", "many", "1.2")
    shutil.rmtree(tiny.wheels)
    tiny.require("many==9.9")
    with serve_index(tmp_path / "index") as index:
        for name, value in index.environ({}).items():
            monkeypatch.setenv(name, value)
        said = refused(tiny, "--online", once=True)
    assert "many==9.9" in said
    assert "1.1" in said and "1.2" in said


def test_no_wheel_for_the_platform(tiny: Tiny) -> None:
    make_wheel(tiny.wheels, "native", "1.0", tag="cp311-cp311-win_amd64")
    make_wheel(tiny.wheels, "native", "1.0", tag="cp312-cp312-manylinux_2_17_x86_64")
    tiny.require("native==1.0")
    said = refused(tiny, once=True)
    assert "no wheel of native" in said and "linux/amd64" in said
    assert "win_amd64" in said and "cp312" in said


def test_a_wheel_built_on_this_machine_for_it_is_taken_from_wheels(tiny: Tiny) -> None:
    # No index has such wheels: which glibc it needs is not in its name, and the gate looks.
    make_wheel(tiny.wheels, "local", "1.0", tag="cp311-cp311-linux_x86_64")
    make_wheel(tiny.wheels, "other", "1.0", tag="cp311-cp311-linux_aarch64")
    tiny.require("local==1.0")
    assert build(tiny).code == 0
    tiny.require("other==1.0")
    tiny.out.unlink()
    assert "aarch64" in refused(tiny, once=True)


@pytest.mark.parametrize("locked", [True, False], ids=["locked", "resolved"])
def test_a_wheel_whose_record_says_otherwise(tiny: Tiny, locked: bool) -> None:
    lie = {"bad.py": record_line("bad.py", b"something else ")}
    make_wheel(tiny.wheels, "bad", "1.0", files={"bad.py": b"what was built!"}, record_lies=lie)
    tiny.lock() if locked else tiny.require("bad==1.0")
    said = refused(tiny, once=not locked)
    assert "bad 1.0" in said and "bad.py" in said and "RECORD" in said


def test_a_wheel_that_is_cut_off(tiny: Tiny) -> None:
    wheel = next(tiny.wheels.glob("many*"))
    wheel.write_bytes(wheel.read_bytes()[:-100])
    tiny.lock()
    said = refused(tiny)
    assert "many-1.0-py3-none-any.whl: not a readable zip archive" in said
    assert "get it again" in said


def test_a_wheel_with_a_damaged_stream(tiny: Tiny) -> None:
    wheel = next(tiny.wheels.glob("many*"))
    with zipfile.ZipFile(wheel) as archive:
        member = archive.getinfo("many/part07.py")
    corrupt(wheel, at=member.header_offset + 30 + len(member.filename) + 5)
    tiny.lock()
    assert "many 1.0" in (said := refused(tiny))
    assert "many/part07.py" in said and "get it again" in said


def test_a_wheel_that_is_not_the_locked_one(tiny: Tiny) -> None:
    corrupt(next(tiny.wheels.glob("many*")))
    said = refused(tiny)
    assert "wheels/many-1.0-py3-none-any.whl: expected sha256:" in said


def test_a_wheel_that_would_leave_its_folder(tiny: Tiny) -> None:
    add_member(next(tiny.wheels.glob("tool*")), "../../etc/passwd", b"root::0:0:::\n")
    tiny.lock()
    assert "refusing path '../../etc/passwd'" in refused(tiny)


def test_two_wheels_that_want_one_file_until_the_recipe_says_who_wins(tiny: Tiny) -> None:
    make_wheel(tiny.wheels, "rival", "1.0", files={"tool.py": "MINE = True\n"})
    tiny.lock()
    said = refused(tiny)
    assert "site-packages/tool.py comes from both" in said and "rival 1.0" in said and "tool 2.0" in said
    assert 'conflicts = "last"' in said
    tiny.configure(conflicts="last")
    ending = build(tiny)
    assert ending.code == 0
    assert "tool.py is tool's; rival has other bytes there" in ending.said or "tool.py is rival's" in ending.said


@pytest.mark.parametrize("damage", ["flipped", "cut"])
def test_a_package_that_is_not_the_locked_one(tiny: Tiny, damage: str) -> None:
    deb = next(tiny.debs.glob("libc6_*"))
    corrupt(deb) if damage == "flipped" else deb.write_bytes(deb.read_bytes()[:-9])
    said = refused(tiny)
    assert "cannot get libc6 2.36-9" in said
    assert f"{deb.name} is damaged or another version" in said


@pytest.mark.parametrize("number", range(3), ids=["base", "wheels", "top"])
def test_a_damaged_layer_in_the_cache_is_made_again(tiny: Tiny, number: int) -> None:
    first = built(tiny)
    layers = sorted(path for path in blobs(tiny) if path.read_bytes()[:2] == b"\x1f\x8b")
    assert len(layers) == 3
    corrupt(layers[number])
    tiny.out.unlink()  # one that is as it was left is left alone, whatever the cache holds
    assert built(tiny) == first
    assert unsound(tiny.cache) == []


def test_everything_in_the_cache_damaged_at_once_is_made_again(tiny: Tiny) -> None:
    first = built(tiny)
    for path in blobs(tiny):
        corrupt(path)
    assert built(tiny) == first


@pytest.mark.parametrize("at", [None, 0, -40], ids=["middle", "head", "directory"])
def test_a_damaged_wheel_in_the_cache_is_taken_anew(tiny: Tiny, at: int | None) -> None:
    first = built(tiny)
    for path in blobs(tiny):
        if path.read_bytes()[:2] == b"PK":
            corrupt(path, at=at)
    shutil.rmtree(tiny.cache / "v1" / "records")
    assert built(tiny) == first
    assert unsound(tiny.cache) == []


def test_records_of_the_cache_that_do_not_read_are_made_again(tiny: Tiny) -> None:
    first = built(tiny)
    for path in (tiny.cache / "v1" / "records").rglob("*.json"):
        path.write_bytes(path.read_bytes()[:-20])
    assert built(tiny) == first


def test_a_mirror_that_is_down(tiny: Tiny, monkeypatch: pytest.MonkeyPatch) -> None:
    shutil.rmtree(tiny.debs)
    # This machine's own apt would be asked first, and these packages are not Debian's.
    monkeypatch.setenv("PATH", "/nonexistent")
    with socket.socket() as unused:
        unused.bind(("127.0.0.1", 0))
        mirror = f"http://127.0.0.1:{unused.getsockname()[1]}"
        ending = build(tiny, "--online", "--mirror", mirror)
    assert ending.code == 1
    assert f"{mirror}: connection refused" in ending.said
    assert TRACEBACK not in ending.said
    assert unsound(tiny.cache) == [] and not tiny.out.exists()


def test_an_output_that_is_a_folder(tiny: Tiny) -> None:
    tiny.out.mkdir()
    ending = build(tiny)
    assert (ending.code, list(tiny.out.iterdir())) == (2, [])
    assert "app.tar: this is a folder" in ending.said


def test_an_image_that_is_there_stays_when_the_next_build_fails(tiny: Tiny) -> None:
    first = built(tiny)
    corrupt(next(tiny.wheels.glob("many*")))
    shutil.rmtree(tiny.cache)
    assert build(tiny).code == 1
    assert tiny.out.read_bytes() == first


def blobs(tiny: Tiny) -> list[Path]:
    """The files of its cache."""
    return sorted((tiny.cache / "v1" / "blobs" / "sha256").iterdir())
