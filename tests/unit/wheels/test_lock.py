from __future__ import annotations

import json
import os
import re
import tomllib
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from packaging.pylock import Pylock

from oci_builder.digest import Digest
from oci_builder.errors import NotFound, RecipeError, StaleLock, UnsupportedRequirement
from oci_builder.platforms import ARM64
from oci_builder.wheels.lock import WheelLock, changes, encode, parse, read
from oci_builder.wheels.pins import Sdist, WheelPin
from oci_builder.wheels.target import Target
from tests.support.targets import TARGET
from tests.support.wheels import make_wheel, sha256

ON_ARM = replace(TARGET, platform=ARM64)
PATH = Path("build/demo/pylock.toml")


def pin(name: str, version: str = "1.0", tag: str = "py3-none-any", **fields: Any) -> WheelPin:
    filename = f"{name.replace('-', '_')}-{version}-{tag}.whl"
    made = WheelPin(
        name=name, version=version, filename=filename, sha256=Digest.of(filename.encode()), size=7, requested=False
    )
    return replace(made, **fields)


PURE = pin("pure", requested=True)
INTEL = pin("fast", "2.0", "cp311-cp311-manylinux_2_17_x86_64.manylinux2014_x86_64")
ARM = pin("fast", "2.0", "cp311-cp311-manylinux_2_28_aarch64")


def lock_of(*pins: WheelPin, **fields: str) -> WheelLock:
    return parse(encode({TARGET: pins}, fingerprint="f", **fields), path=PATH)


def test_what_is_written_is_read_back_for_every_target() -> None:
    url = "https://files.example/é/odd_one-1.0-py3-none-any.whl"
    odd = pin("odd-one", direct_url=f'{{"said": "\\"\\u0001\x7f", "url": "{url}"}}', size=None)
    built = pin("old", built_from=Sdist(filename="old-1.0.tar.gz", sha256=Digest.of(b"old")))
    only_arm = pin("only-arm", requested=True)
    pins = {TARGET: (INTEL, odd, built, PURE), ON_ARM: (ARM, only_arm, PURE)}
    lock = parse(encode(pins, fingerprint="f00", base="b45e"), path=PATH)
    for target, chosen in pins.items():
        assert lock.select(target) == tuple(sorted(chosen, key=lambda one: one.name))
    assert (lock.fingerprint, lock.base) == ("f00", "b45e")
    assert lock.targets == (str(TARGET), str(ON_ARM))


def test_the_same_pins_in_another_order_give_the_same_bytes() -> None:
    one = encode({TARGET: (PURE, INTEL), ON_ARM: (ARM, PURE)}, fingerprint="f")
    two = encode({ON_ARM: (PURE, ARM), TARGET: (INTEL, PURE)}, fingerprint="f")
    assert one == two


def test_the_file_is_a_valid_pylock_without_urls() -> None:
    text = encode({TARGET: (PURE, INTEL), ON_ARM: (ARM, PURE)}, fingerprint="f").decode()
    assert "://" not in text
    document = Pylock.from_dict(tomllib.loads(text))
    assert [package.name for package in document.packages] == ["fast", "pure"]
    fast = document.packages[0]
    assert [wheel.path for wheel in fast.wheels or ()] == [f"wheels/{INTEL.filename}", f"wheels/{ARM.filename}"]
    assert fast.marker is None


def test_a_project_of_one_platform_has_a_marker() -> None:
    document = parse(encode({TARGET: (PURE, INTEL), ON_ARM: (PURE,)}, fingerprint="f"), path=PATH).document
    assert str(document.packages[0].marker) == 'sys_platform == "linux" and platform_machine == "x86_64"'


def test_versions_may_differ_between_platforms() -> None:
    older = pin("pure", "0.9", requested=True)
    lock = parse(encode({TARGET: (PURE,), ON_ARM: (older,)}, fingerprint="f"), path=PATH)
    assert (lock.select(TARGET), lock.select(ON_ARM)) == ((PURE,), (older,))


def test_two_pythons_on_one_platform_are_told_apart() -> None:
    newer = replace(TARGET, promise=replace(TARGET.promise, version="3.12.1"))
    later = pin("fast", "2.0", "cp312-cp312-manylinux_2_17_x86_64")
    backport = pin("backport")
    lock = parse(encode({TARGET: (INTEL, backport), newer: (later,)}, fingerprint="f"), path=PATH)
    assert (lock.select(TARGET), lock.select(newer)) == ((backport, INTEL), (later,))


def test_a_later_patch_release_of_python_can_use_the_lock() -> None:
    later = replace(TARGET, promise=replace(TARGET.promise, version="3.11.9"))
    assert lock_of(PURE).select(later) == (PURE,)


@pytest.mark.parametrize(
    "target",
    [
        ON_ARM,
        replace(TARGET, promise=replace(TARGET.promise, version="3.12.1")),
        replace(TARGET, promise=replace(TARGET.promise, version="3.11.1")),
        replace(TARGET, promise=replace(TARGET.promise, glibc=(2, 12))),
    ],
    ids=str,
)
def test_a_lock_for_another_target_is_stale_and_says_what_it_was_made_for(target: Target) -> None:
    with pytest.raises(StaleLock, match=r"made for Python 3\.11\.2, glibc 2\.36, linux/amd64") as caught:
        lock_of(PURE, INTEL).select(target)
    assert "ocibuild lock" in (caught.value.hint or "")


def test_a_lock_of_another_tool_is_read() -> None:
    text = """
lock-version = "1.0"
created-by = "another tool"
[[packages]]
name = "pure"
version = "1.0"
index = "https://index.example/simple"
sdist = {url = "https://files.example/pure-1.0.tar.gz", hashes = {sha256 = "00"}}
[[packages.wheels]]
url = "https://files.example/pure-1.0-py3-none-any.whl"
hashes = {sha256 = "HASH"}
""".replace("HASH", PURE.sha256.hex)
    lock = parse(text.encode(), path=PATH)
    url = "https://files.example/pure-1.0-py3-none-any.whl"
    assert lock.select(TARGET) == (replace(PURE, size=None, requested=False, url=url),)
    assert lock.fingerprint == ""


FOREIGN = 'lock-version = "1.0"\ncreated-by = "x"\n[[packages]]\nname = "a"\nversion = "1"\n'


@pytest.mark.parametrize(
    ("text", "why", "typed"),
    [
        ('sdist = {path = "a-1.tar.gz", hashes = {sha256 = "00"}}', "no wheel", "pip wheel --no-deps -w dist a==1"),
        (
            'vcs = {type = "git", url = "https://host.example/a.git", commit-id = "12", subdirectory = "b"}',
            "a checkout of git, https://host.example/a.git, is not a wheel",
            "pip wheel --no-deps -w dist 'git+https://host.example/a.git@12#subdirectory=b'",
        ),
        (
            'archive = {url = "https://me:secret@host.example/a-1.tar.gz", hashes = {sha256 = "00"}}',
            "a source archive, https://host.example/a-1.tar.gz, is not a wheel",
            "pip wheel --no-deps -w dist https://host.example/a-1.tar.gz",
        ),
        ('archive = {path = "../a", hashes = {sha256 = "00"}}', "an archive, '../a', that is no wheel", "../a"),
        ('archive = {path = "a-1.zip", hashes = {sha256 = "00"}}', "a source archive, 'a-1.zip'", "a-1.zip"),
    ],
)
def test_a_locked_package_without_a_wheel_is_refused_with_what_to_type(text: str, why: str, typed: str) -> None:
    with pytest.raises(UnsupportedRequirement, match=re.escape(why)) as caught:
        parse(f"{FOREIGN}{text}\n".encode(), path=PATH).select(TARGET)
    assert typed in (caught.value.hint or "")


def test_a_wheel_that_is_asked_for_by_its_url_is_taken_as_pip_takes_it() -> None:
    url = "https://me:secret@host.example/a-1-py3-none-any.whl"
    text = f'{FOREIGN}archive = {{url = "{url}", size = 3, hashes = {{sha256 = "{PURE.sha256.hex}"}}}}\n'
    (pin,) = parse(text.encode(), path=PATH).select(TARGET)
    assert (pin.filename, pin.sha256, pin.size, pin.url) == ("a-1-py3-none-any.whl", PURE.sha256, 3, None)
    assert json.loads(pin.direct_url or "")["url"] == "https://host.example/a-1-py3-none-any.whl"


@pytest.mark.parametrize(
    "files",
    [
        'wheels = [{path = "dist/a-1-py3-none-any.whl", hashes = {sha256 = "HASH"}}]',
        'wheels = [{url = "file://DIST/a-1-py3-none-any.whl", hashes = {sha256 = "HASH"}}]',
        'archive = {path = "dist/a-1-py3-none-any.whl", hashes = {sha256 = "HASH"}}',
        'archive = {url = "file://DIST/a-1-py3-none-any.whl", hashes = {sha256 = "HASH"}}',
    ],
)
def test_a_wheel_beside_another_tools_lock_is_found_where_that_says(files: str, tmp_path: Path) -> None:
    wheel = make_wheel(tmp_path / "dist", "a", "1")
    text = FOREIGN + files.replace("HASH", sha256(wheel)).replace("DIST", str(tmp_path / "dist"))
    found = parse(text.encode(), path=tmp_path / "pylock.toml").choose(TARGET)
    assert [(digest.hex, path) for digest, path in found.local.items()] == [(sha256(wheel), wheel)]
    assert str(tmp_path) not in str(found.pins)


def test_a_folder_of_another_tools_lock_is_a_project_to_build() -> None:
    text = FOREIGN + 'directory = {path = "../a", subdirectory = "b", editable = true}\n'
    found = parse(text.encode(), path=PATH).choose(TARGET)
    assert (found.pins, [(each.name, each.folder) for each in found.projects]) == ((), [("a", PATH.parent / "../a/b")])


def test_an_archive_of_another_name_is_refused() -> None:
    text = f'{FOREIGN}archive = {{path = "b-1-py3-none-any.whl", hashes = {{sha256 = "{PURE.sha256.hex}"}}}}\n'
    with pytest.raises(RecipeError, match="not the name of a wheel of a"):
        parse(text.encode(), path=PATH)


@pytest.mark.parametrize(
    "text, why",
    [
        ("not toml", "not TOML"),
        ("\xff", "not TOML"),
        ("", "Missing required value"),
        ('lock-version = "2.0"\ncreated-by = "x"\npackages = []\n', "not supported"),
        (FOREIGN + 'wheels = [{name = "b-1-py3-none-any.whl", path = "b", hashes = {sha256 = "00"}}]\n', "consistent"),
        (
            FOREIGN + 'wheels = [{name = "a-1-py3-none-x/../y.whl", path = "b", hashes = {sha256 = "00"}}]\n',
            "file ?name",
        ),
    ],
)
def test_what_is_no_lock_is_refused(text: str, why: str) -> None:
    with pytest.raises(RecipeError, match=why) as caught:
        parse(text.encode("latin-1"), path=PATH)
    assert caught.value.file == str(PATH)


@pytest.mark.parametrize("hashes", ['{md5 = "00"}', '{sha256 = "short"}'])
def test_a_wheel_without_a_sha256_is_refused(hashes: str) -> None:
    text = (
        FOREIGN
        + f'wheels = [{{name = "a-1-py3-none-any.whl", path = "wheels/a-1-py3-none-any.whl", hashes = {hashes}}}]\n'
    )
    with pytest.raises(RecipeError, match="no sha256"):
        parse(text.encode(), path=PATH).select(TARGET)


def test_a_missing_lock_is_not_found(tmp_path: Path) -> None:
    with pytest.raises(NotFound, match=r"pylock\.toml"):
        read(tmp_path / "pylock.toml")


def test_changes_are_told_a_line_for_each_project() -> None:
    old = lock_of(pin("gone"), pin("moved", "1.0"), pin("same"), pin("rebuilt", sha256=Digest.of(b"1")))
    new = lock_of(pin("moved", "1.1"), pin("new"), pin("rebuilt", sha256=Digest.of(b"2")), pin("same"))
    assert changes(old, new) == ["- gone 1.0", "moved 1.0 → 1.1", "+ new 1.0", "rebuilt 1.0: other files"]
    assert changes(None, lock_of(PURE)) == ["+ pure 1.0"]
    assert changes(new, new) == []


@pytest.mark.parametrize(
    "fields",
    [
        'name = "b-1-py3-none-any.whl", path = "wheels/a-1-py3-none-any.whl"',
        'name = "a-2-py3-none-any.whl", path = "wheels/a-1-py3-none-any.whl"',
        'name = "a-1.tar.gz", path = "wheels/a-1.tar.gz"',
        'name = "a-1-py3-none-any.whl", path = "wheels/a-1.tar.gz"',
        'path = "../a-1.zip"',
        'name = "a-1-py3-none-any.whl", url = "https://h.example/a-1.tar.gz"',
        'name = "a-1-py3-none-any.whl", url = "git+https://h.example/a-1-py3-none-any.whl"',
        'name = "a-1-py3-none-any.whl", url = "https://h.example/x\\n-e ./a\\n/a-1-py3-none-any.whl"',
        'name = "a-1-py3-none-any.whl", url = "https://h.example/${TOKEN}/a-1-py3-none-any.whl"',
        'name = "a-1-py3-none-any.whl", url = "https://h.example/b-1-py3-none-any.whl"',
        'url = "https://h.example"',
    ],
)
def test_every_place_in_a_lock_is_that_of_a_wheel_of_its_package(fields: str) -> None:
    text = FOREIGN + f'wheels = [{{{fields}, hashes = {{sha256 = "{"0" * 64}"}}}}]\n'
    with pytest.raises(RecipeError, match=r"pylock\.toml: packages"):
        parse(text.encode(), path=PATH)


@pytest.mark.parametrize(
    "document",
    [
        '{"url": "https://h.example/pure-1.0.tar.gz"}',
        '{"url": "https://h.example/other-1.0-py3-none-any.whl"}',
        '{"url": "https://h.example/pure-1.0-py3-none-any.whl", "vcs_info": {}}',
        '{"url": "https://h.example/pure-1.0-py3-none-any.whl", "dir_info": {}}',
        '{"url": 5}',
        '{"url": ' + "[" * 3000 + "]" * 3000 + "}",
        '{"url": NaN}',
        "[]",
    ],
)
def test_a_direct_url_in_a_lock_is_that_of_a_wheel(document: str) -> None:
    with pytest.raises(RecipeError, match=r"packages\.pure"):
        lock_of(pin("pure", direct_url=document))


def test_a_pipe_is_no_lock(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pylock.toml")
    with pytest.raises(NotFound):
        read(tmp_path / "pylock.toml")


def test_extras_and_groups_of_another_tool_s_lock_are_chosen_or_refused() -> None:
    wheel = f'[[packages.wheels]]\npath = "tool-2.0-py3-none-any.whl"\nhashes = {{ sha256 = "{"a" * 64}" }}\n'
    head = 'lock-version = "1.0"\ncreated-by = "x"\nextras = ["web"]\ndependency-groups = ["run"]\n[[packages]]\n'
    for marker, chosen in (
        ("'web' in extras", {"extras": ["web"]}),
        ("'run' in dependency_groups", {"groups": ["run"]}),
    ):
        text = f'{head}name = "tool"\nversion = "2.0"\nmarker = "{marker}"\n{wheel}'
        lock = parse(text.encode(), path=Path("pylock.x.toml"))
        assert lock.select(TARGET) == ()
        assert [pin.name for pin in lock.select(TARGET, **chosen)] == ["tool"]
        with pytest.raises(RecipeError, match=r"there is no (extra|group) 'other' in this lock"):
            lock.select(TARGET, **{name: ["other"] for name in chosen})
