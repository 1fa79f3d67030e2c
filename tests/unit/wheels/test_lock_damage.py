"""A lock damaged in each of its fields, and what is said of it."""

from __future__ import annotations

from pathlib import Path

import pytest

from oci_builder.digest import Digest
from oci_builder.errors import OcibuildError, RecipeError, StaleLock
from oci_builder.wheels.lock import encode, parse, read
from oci_builder.wheels.pins import Sdist, WheelPin
from tests.support.targets import TARGET

PATH = Path("build/demo/pylock.toml")
TAG = "cp311-cp311-manylinux_2_17_x86_64"
FAST = f"fast-2.0-{TAG}.whl"
HEX, SDIST = Digest.of(b"fast").hex, Digest.of(b"sdist").hex
PINS = [
    WheelPin(name="fast", version="2.0", filename=FAST, sha256=Digest(HEX), size=7, requested=False),
    WheelPin(
        name="odd",
        version="1.0",
        filename="odd-1.0-py3-none-any.whl",
        sha256=Digest.of(b"odd"),
        size=7,
        requested=True,
        direct_url='{"url": "file:///odd-1.0-py3-none-any.whl"}',
        built_from=Sdist(filename="odd-1.0.tar.gz", sha256=Digest(SDIST)),
    ),
]
TEXT = encode({TARGET: PINS}, fingerprint="f00", base="b45e").decode()


def test_the_lock_that_is_damaged_below_is_sound() -> None:
    assert parse(TEXT.encode(), path=PATH).select(TARGET) == tuple(PINS)


@pytest.mark.parametrize(
    ("was", "becomes", "said"),
    [
        ('lock-version = "1.0"', "", "lock-version: Missing required value"),
        ('lock-version = "1.0"', 'lock-version = "2.0"', "lock-version: pylock version 2.0 is not supported"),
        ('lock-version = "1.0"', "lock-version = 1", "lock-version: Unexpected type int"),
        ('created-by = "ocibuild"', "", "created-by: Missing required value"),
        ('environments = ["', 'environments = ["nonsense ', "environments[0]: Expected a marker"),
        ('requires-python = ">=', 'requires-python = "~~', "requires-python: Invalid specifier: '~~3.11.2'"),
        ("[[packages]]", "[packages]", "stands here a second time"),
        ('name = "fast"', 'name = "Fa st"', "packages[0].name: Name 'Fa st' is not normalized"),
        ('name = "fast"\n', "", "packages[0].name: Missing required value"),
        ('version = "2.0"', 'version = "x.y"', "packages[0].version: Invalid version: 'x.y'"),
        ('name = "fast-2.0', 'name = "../fast-2.0', f"packages[0].wheels[0]: Invalid wheel filename '../{FAST}'"),
        ('name = "fast-2.0', 'name = "other-2.0', "is not consistent with package name 'fast'"),
        (f'path = "wheels/{FAST}"\n', "", "packages[0].wheels[0]: path or url must be provided"),
        ("size = 7", "size = -7", "packages.fast: a size of -7 bytes"),
        ("size = 7", 'size = "7"', "packages[0].wheels[0].size: Unexpected type str"),
        (HEX, HEX[:-1], f"packages.fast: {FAST} has no sha256 of 64 lower-case hex digits"),
        (f'sha256 = "{HEX}', f'md5 = "{HEX[:32]}', f"packages.fast: {FAST} has no sha256"),
        (f'{{sha256 = "{HEX}"}}', "{}", "packages[0].wheels[0].hashes: At least one hash must be provided"),
        (f'hashes = {{sha256 = "{HEX}"}}\n', "", "packages[0].wheels[0].hashes: Missing required value"),
        ('fingerprint = "f00"', "fingerprint = 1", "tool.ocibuild: expected `str`, got `int` in `fingerprint`"),
        ("targets = [", "targets = 5 #", "tool.ocibuild: expected `array`, got `int` in `targets`"),
        ('base = "b45e"', "base = []", "tool.ocibuild: expected `str`, got `array` in `base`"),
        ("\n[tool.ocibuild]\n", "\n[tool]\nocibuild = 5\n[x]\n", "tool.ocibuild: expected `object`, got `int`"),
        ("requested = true", 'requested = "yes"', "packages.odd.tool.ocibuild: expected `bool`, got `str`"),
        ('direct-url = "{', 'direct-url = "{{', "direct-url is not JSON: Expecting property name"),
        ("direct-url = ", "direct-url = 5 #", "expected `str | null`, got `int` in `direct-url`"),
        ('{name = "odd-1.0.tar.gz", ', "{", "object missing required field `name` in `built-from`"),
        ("built-from = ", "built-from = 5 #", "expected `object | null`, got `int` in `built-from`"),
        (SDIST, "zz", "in `built-from.sha256`"),
        ("[packages.tool.ocibuild]", "[packages.tool]\nocibuild = 3\n[packages.x]", "packages.odd.tool.ocibuild: exp"),
    ],
)
def test_a_damaged_field_is_named_with_the_file_and_what_to_do(was: str, becomes: str, said: str) -> None:
    assert was in TEXT
    with pytest.raises(RecipeError) as raised:
        parse(TEXT.replace(was, becomes).encode(), path=PATH).select(TARGET)
    assert said in str(raised.value)
    assert str(raised.value).startswith(f"{PATH}: ")
    assert raised.value.hint == "use a newer ocibuild" or (raised.value.hint or "").startswith("make it anew: rm ")


@pytest.mark.parametrize(
    ("was", "becomes", "said"),
    [
        ("x86_64'", "riscv64'", "nothing for Python 3.11.2, glibc 2.36, linux/amd64"),
        (">=3.11.2,<3.12", ">=3.12", "nothing for Python 3.11.2"),
        (TAG, TAG.replace("311", "310"), "no wheel found matching the provided tags for package 'fast'"),
    ],
)
def test_a_lock_for_something_else_is_stale(was: str, becomes: str, said: str) -> None:
    with pytest.raises(StaleLock) as raised:
        parse(TEXT.replace(was, becomes).encode(), path=PATH).select(TARGET)
    assert said in str(raised.value) and raised.value.hint


def test_a_cut_lock_fails_as_ours_wherever_it_is_cut(tmp_path: Path) -> None:
    path = tmp_path / "pylock.toml"
    for end in range(0, len(TEXT), 7):
        path.write_text(TEXT[:end])
        try:
            read(path).select(TARGET)
        except OcibuildError as error:
            assert str(path) in str(error)


@pytest.mark.parametrize("data", [b"\xff\xfe", b"\0" * 8, b"[" * 5000, b"x = " + b"9" * 5000])
def test_what_is_no_text_is_no_lock(data: bytes) -> None:
    with pytest.raises(RecipeError):
        parse(data, path=PATH)
