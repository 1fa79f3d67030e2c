"""What is tried besides: hints of the same classes of errors at other places."""

from __future__ import annotations

import hashlib
import json
import re
import subprocess
import tarfile
from pathlib import Path

from tests.hints.tries import asking, instead_of, with_recipe
from tests.hints.trying import Try, Words, recipe, rewritten, said
from tests.support.tiny import Tiny
from tests.support.wheels import make_wheel

ZEROS = "0" * 64
NOWHERE = "http://127.0.0.1:9"


def fetching(*lines: str, address: str = f"{NOWHERE}/x.tar") -> Words:
    """The lines of a [[fetch]] of ``address``."""
    return ["[[fetch]]", f'url = "{address}"', f'sha256 = "{ZEROS}"', 'dest = "/x"', *lines]


def brought(tiny: Tiny) -> Path:
    """The archive of the [[fetch]], which is in fetched/ now, and its digest in the recipe."""
    archive = tiny.root / "x.tar"
    with tarfile.open(archive, "w") as tar:
        tar.addfile(tarfile.TarInfo("top/file"))
    digest = hashlib.sha256(archive.read_bytes()).hexdigest()
    rewritten(tiny, f'sha256 = "{ZEROS}"', f'sha256 = "{digest}"')
    place = tiny.image / "fetched" / f"{digest[:16]}-x.tar"
    place.parent.mkdir()
    return archive.rename(place)


def unpacked_after_all(tiny: Tiny, found: re.Match[str], words: Words) -> None:
    rewritten(tiny, "strip = 1", f"strip = 1\n{found[1]}")
    brought(tiny)


def named_in_dest(tiny: Tiny, found: re.Match[str], words: Words) -> None:
    rewritten(tiny, 'dest = "/x/"', 'dest = "/x/file"')


def copied_instead(tiny: Tiny, found: re.Match[str], words: Words) -> None:
    (tiny.image / "file").write_text("x")
    recipe(tiny, found[1], 'src = "file"', 'dest = "/x"')


def lock_and_source(tiny: Tiny) -> Words:
    rewritten(tiny, 'requirements = ["requirements.txt"]', 'requirements = ["requirements.txt", "pylock.toml"]')
    return tiny.words()


def the_source_alone(tiny: Tiny, found: re.Match[str], words: Words) -> None:
    rewritten(tiny, 'requirements = ["requirements.txt", "pylock.toml"]', 'requirements = ["requirements.txt"]')


def without_requirements(tiny: Tiny) -> Words:
    (tiny.image / "requirements.txt").unlink()
    return tiny.words()


def write_them(tiny: Tiny, found: re.Match[str], words: Words) -> None:
    tiny.require("many==1.0")


def grouped(*groups: str) -> tuple[str, str, str]:
    """The lines of a [user] in these groups."""
    return "[user]", 'name = "sandbox"', f"groups = {json.dumps(groups)}"


def open_to_all(tiny: Tiny) -> Words:
    tiny.cache.mkdir()
    tiny.cache.chmod(0o777)
    return tiny.words()


def change_mode(tiny: Tiny, found: re.Match[str], words: Words) -> None:
    subprocess.run(found[1].split(), check=True, timeout=60)


def own_cache(tiny: Tiny, found: re.Match[str], words: Words) -> Words:
    return [*words, found[1], str(tiny.root / "own")]


def led_elsewhere(tiny: Tiny) -> Words:
    """The records of a cache lie elsewhere, and a link leads to them."""
    said(tiny.words())
    records = tiny.cache / "v1" / "records"
    records.rename(tiny.root / "elsewhere").is_dir()
    records.symlink_to(tiny.root / "elsewhere")
    tiny.out.unlink()
    return tiny.words()


def remove_link(tiny: Tiny, found: re.Match[str], words: Words) -> None:
    (tiny.cache / "v1" / "records").unlink()


def wheel_at_address(tiny: Tiny, found: re.Match[str], words: Words) -> None:
    """A wheel is built of what the address leads to, as the hint says, but for the address: no test has one."""
    make_wheel(tiny.image / "dist", "mine", "1.0")
    tiny.require(found[1].replace("NAME.whl", "mine-1.0-py3-none-any.whl"), "whole==3.0")


def copy_of_include(tiny: Tiny, found: re.Match[str], words: Words) -> None:
    (tiny.image / "more.txt").write_text("many==1.0\n")
    tiny.require("-r more.txt")


def wheelless(tiny: Tiny) -> Words:
    tiny.wheels.rename(tiny.root / "aside")
    return tiny.words("--offline")


def bring_back(tiny: Tiny, found: re.Match[str], words: Words) -> None:
    (tiny.root / "aside").rename(tiny.image / found[1])


def other_bytes(tiny: Tiny) -> Words:
    """The file of a [[fetch]] lies in fetched/, cut off."""
    words = recipe(tiny, *fetching())
    place = brought(tiny)
    place.rename(tiny.root / place.name)
    place.write_bytes(b"")
    return [*words, "--offline"]


def brought_again(tiny: Tiny, found: re.Match[str], words: Words) -> None:
    (cut_off,) = (tiny.image / "fetched").iterdir()
    cut_off.unlink()
    (tiny.root / cut_off.name).rename(cut_off)


def of_two_platforms(tiny: Tiny) -> Words:
    """A layout with the images of two platforms."""
    rewritten(tiny, 'platforms = ["linux/amd64"]', 'platforms = ["linux/amd64", "linux/arm64"]')
    tiny.require("many==1.0")
    code, text = said([*tiny.words()[:-3], f"{tiny.root}/both/"])
    assert code == 0, text
    return ["inspect", f"{tiny.root}/both/"]


MORE: list[Try] = [
    Try(
        kind="BadKey",
        name="a part of an archive that is not unpacked",
        spoil=with_recipe(*fetching("strip = 1")),
        hint=r"write (unpack = true)",
        follow=unpacked_after_all,
    ),
    Try(
        kind="BadKey",
        name="an address without a name",
        spoil=with_recipe(
            "[[fetch]]", f'url = "{NOWHERE}/"', f'sha256 = "{hashlib.sha256(b"x").hexdigest()}"', 'dest = "/x/"'
        ),
        hint=r"write the name of the file (behind dest)",
        follow=named_in_dest,
        then="127.0.0.1:9",  # where nothing listens
    ),
    Try(
        kind="BadKey",
        name="a password in an address",
        spoil=with_recipe(*fetching(address="http://me:secret@127.0.0.1:9/x")),
        hint=r"name it in a (\[\[copy\]\])",
        follow=copied_instead,
    ),
    Try(
        kind="BadKey",
        name="a lock and what it was made from",
        spoil=lock_and_source,
        hint=r"name the lock, or (what it was made from), but not both",
        follow=the_source_alone,
    ),
    Try(
        kind="BadKey",
        name="requirements that are not there",
        spoil=without_requirements,
        hint=r"(write it), a package a line",
        follow=write_them,
    ),
    Try(
        kind="InvalidValue",
        name="a group that the base has not",
        spoil=with_recipe(*grouped("video")),
        hint=r"as in (groups = .+)",
        follow=instead_of(grouped("video")[2]),
    ),
    Try(
        kind="InvalidValue",
        name="a number for two groups",
        spoil=with_recipe(*grouped("a:990", "b:990")),
        hint=r"(choose another number)",
        follow=lambda tiny, found, words: rewritten(tiny, grouped("a:990", "b:990")[2], grouped("a:990", "b:991")[2]),
    ),
    Try(
        kind="InvalidValue",
        name="another number for a group of the base",
        spoil=with_recipe(*grouped("root:990")),
        hint=r"(leave its number out)",
        follow=lambda tiny, found, words: rewritten(tiny, grouped("root:990")[2], grouped("root")[2]),
    ),
    Try(
        kind="InvalidValue",
        name="a variable that nobody sets",
        spoil=with_recipe("[config]", 'env = { A = "${B}" }'),
        hint=r"write (\$\{B:-\}) for nothing",
        follow=lambda tiny, found, words: rewritten(tiny, 'env = { A = "${B}" }', f'env = {{ A = "{found[1]}" }}'),
    ),
    Try(
        kind="InvalidValue",
        name="letters that look like a variable",
        spoil=with_recipe("[config]", 'env = { A = "${B}" }'),
        hint=r"or (\$\$\{B\}) for these very letters",
        follow=lambda tiny, found, words: rewritten(tiny, 'env = { A = "${B}" }', f'env = {{ A = "{found[1]}" }}'),
    ),
    Try(
        kind="FileProblem",
        name="a cache that all may write to",
        spoil=open_to_all,
        hint=r"(chmod -R go-w [^;]+);",
        follow=change_mode,
    ),
    Try(
        kind="FileProblem",
        name="another cache than the one that all may write to",
        spoil=open_to_all,
        hint=r"a folder of your own with (--cache-dir)",
        follow=own_cache,
    ),
    Try(
        kind="FileProblem",
        name="a link in a cache",
        spoil=led_elsewhere,
        hint=r"(remove it);",
        follow=remove_link,
    ),
    Try(
        kind="UnsupportedRequirement",
        name="a checkout of version control",
        spoil=asking("mine @ git+https://127.0.0.1:9/mine"),
        hint=r"write its path, (\S+)",
        follow=wheel_at_address,
    ),
    Try(
        kind="UnsupportedRequirement",
        name="a source archive at an address",
        spoil=asking("mine @ https://127.0.0.1:9/mine-1.0.tar.gz"),
        hint=r"write its path, (\S+)",
        follow=wheel_at_address,
    ),
    Try(
        kind="UnsupportedRequirement",
        name="an include from elsewhere",
        spoil=asking("-r https://127.0.0.1:9/more.txt"),
        hint=r"(download it) beside requirements.txt and name the copy",
        follow=copy_of_include,
    ),
    Try(
        kind="ResolutionError",
        name="a folder of wheels without the wheels",
        spoil=wheelless,
        hint=r"put the wheel into the image's (wheels)/",
        follow=bring_back,
    ),
    Try(
        kind="DigestMismatch",
        name="a fetched file that is cut off",
        spoil=other_bytes,
        hint=r"(remove it); where there is a network, ocibuild download \S+ brings it again",
        follow=brought_again,
    ),
    Try(
        kind="UnsupportedImage",
        name="one of two platforms",
        spoil=of_two_platforms,
        hint=r"choose one with (--platform)",
        follow=lambda tiny, found, words: [*words, found[1], "linux/arm64"],
    ),
    Try(
        kind="RecipeError",
        name="a size without its unit",
        spoil=with_recipe(top="max-size = 500\n"),
        hint=r"write (max-size = .+)",
        follow=instead_of("max-size = 500"),
    ),
    Try(
        kind="RecipeError",
        name="a table in place of a key",
        spoil=with_recipe(top='user = "app"\n'),
        hint=r"write (user = .+)",
        follow=instead_of('user = "app"'),
    ),
    Try(
        kind="RecipeError",
        name="a duration as a number",
        spoil=with_recipe("[config.healthcheck]", 'test = ["python3", "-V"]', "interval = 30"),
        hint=r"write (interval = .+)",
        follow=instead_of("interval = 30"),
    ),
    Try(
        kind="RecipeError",
        name="variables as docker writes them",
        spoil=with_recipe("[config]", 'env = ["A=B", "C=D"]'),
        hint=r"write (env = .+)",
        follow=instead_of('env = ["A=B", "C=D"]'),
    ),
    Try(
        kind="RecipeError",
        name="a port of docker's run",
        spoil=with_recipe("[config]", 'exposed-ports = ["8080:80"]'),
        hint=r"write (exposed-ports = .+)",
        follow=instead_of('exposed-ports = ["8080:80"]'),
    ),
    Try(
        kind="RecipeError",
        name="a mode as a number",
        spoil=with_recipe("[[folder]]", 'path = "/data"', "mode = 755"),
        hint=r"write (mode = .+)",
        follow=instead_of("mode = 755"),
    ),
]
