"""What is tried, and of which errors nothing can be."""

from __future__ import annotations

import os
import re
import shutil
from collections.abc import Callable
from pathlib import Path

from tests.hints.trying import Try, Words, recipe, rewritten, typed
from tests.support.tiny import Tiny
from tests.support.wheels import make_wheel, record_line

Spoiler = Callable[[Tiny], Words]
Follower = Callable[[Tiny, re.Match[str], Words], Words | None]

BACKEND = """
import base64, hashlib, pathlib, zipfile
NAME = "mine-1.0-py3-none-any.whl"
def build_wheel(folder, config_settings=None, metadata_directory=None):
    parts = {"mine.py": "", "mine-1.0.dist-info/METADATA": "Metadata-Version: 2.1\\nName: mine\\nVersion: 1.0\\n",
             "mine-1.0.dist-info/WHEEL": "Wheel-Version: 1.0\\nGenerator: x\\nRoot-Is-Purelib: true\\n"
             "Tag: py3-none-any\\n"}
    digest = lambda text: base64.urlsafe_b64encode(hashlib.sha256(text.encode()).digest()).rstrip(b"=").decode()
    record = "".join(f"{name},sha256={digest(text)},{len(text)}\\n" for name, text in parts.items())
    parts["mine-1.0.dist-info/RECORD"] = record + "mine-1.0.dist-info/RECORD,,\\n"
    with zipfile.ZipFile(pathlib.Path(folder, NAME), "w") as archive:
        for name, text in parts.items():
            archive.writestr(name, text)
    return NAME
"""
PYPROJECT = """
[build-system]
requires = []
build-backend = "backend"
backend-path = ["."]
[project]
name = "mine"
version = "1.0"
"""


def asking(*lines: str) -> Spoiler:
    """A spoiler: these requirements, and no lock."""

    def spoil(tiny: Tiny) -> Words:
        tiny.require(*lines)
        return tiny.words()

    return spoil


def with_recipe(*lines: str, top: str = "") -> Spoiler:
    """A spoiler: these lines in image.toml."""
    return lambda tiny: recipe(tiny, *lines, top=top)


def instead_of(line: str) -> Follower:
    """A follower: what the hint says to write stands where ``line`` stood."""
    return lambda tiny, found, words: rewritten(tiny, line, found[1])


def type_it(tiny: Tiny, found: re.Match[str], words: Words) -> None:
    typed(tiny, found[1])


def project(tiny: Tiny) -> Words:
    """A project of one's own beside the recipe, required as an editable one; its backend needs nothing."""
    (tiny.image / "mine").mkdir()
    (tiny.image / "mine" / "backend.py").write_text(BACKEND)
    (tiny.image / "mine" / "pyproject.toml").write_text(PYPROJECT)
    tiny.require("-e ./mine", "whole==3.0")
    return tiny.words()


def wheel_of_project(tiny: Tiny, found: re.Match[str], words: Words) -> None:
    typed(tiny, found[1].replace("DIR", "./mine"), folder=tiny.image)
    (wheel,) = (tiny.image / "dist").iterdir()
    tiny.require(found[2].replace("NAME.whl", wheel.name), "whole==3.0")


def project_of_recipe(tiny: Tiny, found: re.Match[str], words: Words) -> None:
    tiny.require("whole==3.0")
    tiny.configure(**{found[1]: found[2].replace("PATH", "mine")})


def rivals(tiny: Tiny) -> Words:
    make_wheel(tiny.wheels, "rival", "1.0", files={"tool.py": "MINE = True\n"})
    tiny.lock()
    return tiny.words()


def unlocked(tiny: Tiny) -> Words:
    tiny.require("whole==3.0")
    return tiny.words("--locked")


def behind(tiny: Tiny) -> Words:
    """A lock that was made from other requirements."""
    typed(tiny, f"rm {tiny.image}/pylock.toml && ocibuild lock {tiny.image}")
    (tiny.image / "requirements.txt").write_text("many==1.0\n")
    return tiny.words("--locked")


def checked(tiny: Tiny) -> Words:
    behind(tiny)
    return ["lock", "app", "--check", "--project-dir", str(tiny.root), "--cache-dir", str(tiny.cache)]


def damaged_lock(tiny: Tiny) -> Words:
    (tiny.image / "pylock.toml").write_text("x")
    return tiny.words()


def other_wheel(tiny: Tiny) -> Words:
    """The wheel that is locked is there with other bytes."""
    make_wheel(tiny.wheels, "many", "1.0", files={"many/__init__.py": "OTHER = 1\n"})
    return tiny.words()


def lying(tiny: Tiny) -> Words:
    lie = {"bad.py": record_line("bad.py", b"something else ")}
    make_wheel(tiny.wheels, "bad", "1.0", files={"bad.py": b"what was built!"}, record_lies=lie)
    tiny.lock()
    return tiny.words()


def foreign_wheel(tiny: Tiny) -> Words:
    make_wheel(tiny.wheels, "native", "1.0", tag="cp311-cp311-win_amd64")
    tiny.require("native==1.0")
    return tiny.words()


def put_wheel(name: str) -> Follower:
    """A follower: a wheel of ``name`` is put where the hint says."""

    def follow(tiny: Tiny, found: re.Match[str], words: Words) -> None:
        make_wheel(Path(found[1]), name, "1.0")

    return follow


def incomplete(tiny: Tiny) -> Words:
    """A lock in which what one wheel requires is missing."""
    (many,) = tiny.wheels.glob("many*")
    aside = many.rename(tiny.root / many.name)
    tiny.lock()
    aside.rename(many)
    return tiny.words()


def list_it(tiny: Tiny, found: re.Match[str], words: Words) -> None:
    tiny.require("whole==3.0", "many==1.0")
    typed(tiny, f"ocibuild lock {tiny.image}")


def misspelt(tiny: Tiny) -> Words:
    return [word if word != "app" else "ap" for word in tiny.words()]


def named_right(tiny: Tiny, found: re.Match[str], words: Words) -> Words:
    return [word if word != "ap" else found[1] for word in words]


def nothing_there(tiny: Tiny) -> Words:
    shutil.copytree(tiny.debs, tiny.root / "build" / "new" / "debs")
    return [word if word != "app" else "new" for word in tiny.words()]


def write_requirements(tiny: Tiny, found: re.Match[str], words: Words) -> Words:
    Path(found[1]).write_text("")
    return [*words, "--base", "tiny", "--offline"]


def outside(tiny: Tiny) -> Words:
    (tiny.root.parent / "beside.txt").write_text("x\n")
    return recipe(tiny, "[[copy]]", 'src = "../../../beside.txt"', 'dest = "/x.txt"')


def piped(tiny: Tiny) -> Words:
    (tiny.image / "files").mkdir()
    os.mkfifo(tiny.image / "files" / "pipe")
    (tiny.image / "files" / "file").write_text("x")
    return recipe(tiny, "[[copy]]", 'src = "files"', 'dest = "/files"')


def leave_out(tiny: Tiny, found: re.Match[str], words: Words) -> None:
    rewritten(tiny, 'src = "files"', f'src = "files"\n{found[1]} = ["pipe"]')


def into_folder(tiny: Tiny) -> Words:
    (tiny.root / "full").mkdir()
    (tiny.root / "full" / "mine.txt").write_text("x")
    return [*tiny.words(), "--out", f"{tiny.root}/full/"]


def into_table(tiny: Tiny, found: re.Match[str], words: Words) -> None:
    recipe(tiny, found[1], "budget = 3")


TRIES: list[Try] = [
    Try(
        kind="RecipeError",
        name="a command written as one text",
        spoil=with_recipe("[config]", 'cmd = "python3.11 -m tool"'),
        hint=r"write (cmd = .+)",
        follow=instead_of('cmd = "python3.11 -m tool"'),
    ),
    Try(
        kind="RecipeError",
        name="a command for a shell",
        spoil=with_recipe("[config]", 'cmd = "cd /tmp && exec python3.11 -m tool"'),
        hint=r"write (cmd = .+)",
        follow=instead_of('cmd = "cd /tmp && exec python3.11 -m tool"'),
        then="/bin/sh",  # this base has none, and the gate says so
    ),
    Try(
        kind="RecipeError",
        name="one value where a list goes",
        spoil=with_recipe('groups = "x"'),
        hint=r"write (groups = .+)",
        follow=instead_of('groups = "x"'),
        then="a requirements.txt has none",
    ),
    Try(
        kind="RecipeError",
        name="text without quotes",
        spoil=with_recipe(top="version = 3\n"),
        hint=r"write (version = .+)",
        follow=instead_of("version = 3"),
    ),
    Try(
        kind="RecipeError",
        name="a key with a slip in it",
        spoil=with_recipe('conflict = "last"'),
        hint=r"did you mean '(.+)'\?",
        follow=lambda tiny, found, words: rewritten(tiny, 'conflict = "last"', f'{found[1]} = "last"'),
    ),
    Try(
        kind="RecipeError",
        name="a key outside of its table",
        spoil=with_recipe(top="budget = 3\n"),
        hint=r"'budget' belongs in (\[.+\])",
        follow=into_table,
    ),
    Try(
        kind="RecipeError",
        name="a table where several go",
        spoil=lambda tiny: (
            (tiny.image / "x").write_text("x"),
            recipe(tiny, "[copy]", 'src = "x"', 'dest = "/x"'),
        )[1],
        hint=r"write (\[\[copy\]\])",
        follow=instead_of("[copy]"),
    ),
    Try(
        kind="RecipeError",
        name="packages by apt",
        spoil=with_recipe(top='apt = ["libc6"]\n'),
        hint=r"(base-packages = \[.+\])",
        follow=lambda tiny, found, words: rewritten(tiny, 'apt = ["libc6"]', found[1].replace("libgl1", "libc6")),
        then="cannot get the signed indexes",  # those of Debian, which a test does not ask
    ),
    Try(
        kind="RecipeError",
        name="one equals sign",
        spoil=asking("many=1.0"),
        hint=r"NAME(==)VERSION",
        follow=lambda tiny, found, words: tiny.require(f"many{found[1]}1.0"),
    ),
    Try(
        kind="RecipeError",
        name="a lock that does not read",
        spoil=damaged_lock,
        hint=r"make it anew: (.+)",
        follow=type_it,
    ),
    Try(
        kind="BadKey",
        name="an image called like a command",
        spoil=with_recipe(top='name = "run"\n'),
        hint=r"write (name = .+)",
        follow=instead_of('name = "run"'),
    ),
    Try(
        kind="BadKey",
        name="a healthcheck of nothing",
        spoil=with_recipe("[config.healthcheck]", "test = []"),
        hint=r"write (test = .+)",
        follow=instead_of("test = []"),
    ),
    Try(kind="NotFound", name="a name with a slip in it", spoil=misspelt, hint=r"here is (\S+)", follow=named_right),
    Try(
        kind="NotFound",
        name="a folder without a recipe",
        spoil=nothing_there,
        hint=r"or (\S+requirements\.txt)",
        follow=write_requirements,
    ),
    Try(
        kind="NotFound",
        name="a base with a slip in it",
        spoil=lambda tiny: [*tiny.words(), "--base", "tinny"],
        hint=r"the layers here are (\S+),",
        follow=lambda tiny, found, words: [*words[:-1], found[1]],
    ),
    Try(
        kind="FileProblem",
        name="a copy of nothing",
        spoil=with_recipe("[[copy]]", 'src = "nope"', 'dest = "/x"'),
        hint=r"(make it)",
        follow=lambda tiny, found, words: (tiny.image / "nope").touch(),
    ),
    Try(
        kind="UnsupportedRequirement",
        name="an editable project as a wheel",
        spoil=project,
        hint=r"beside this file: (pip [^)]+)\) and write its path, (\S+);",
        follow=wheel_of_project,
    ),
    Try(
        kind="UnsupportedRequirement",
        name="an editable project of the recipe's",
        spoil=project,
        hint=r'(project) = "(PATH)" in image.toml, below \[python\]',
        follow=project_of_recipe,
    ),
    Try(
        kind="PathConflict",
        name="two wheels with one file",
        spoil=rivals,
        hint=r'(conflicts) = "(last)"',
        follow=lambda tiny, found, words: tiny.configure(**{found[1]: found[2]}),
    ),
    Try(kind="StaleLock", name="no lock", spoil=unlocked, hint=r"write it: (ocibuild .+)", follow=type_it),
    Try(
        kind="StaleLock",
        name="a lock behind its requirements",
        spoil=behind,
        hint=r"bring it up to date: (ocibuild lock \S+)",
        follow=type_it,
    ),
    Try(kind="CheckFailed", name="a lock that no longer fits", spoil=checked, hint=r"run `(.+)`", follow=type_it),
    Try(
        kind="CheckFailed",
        name="a requirement that is missing",
        spoil=incomplete,
        hint=r"list (it) in the requirements, and lock again",
        follow=list_it,
    ),
    Try(
        kind="OutsideProject",
        name="a copy from outside",
        spoil=outside,
        hint=r"write (outside = true)",
        follow=lambda tiny, found, words: rewritten(tiny, 'dest = "/x.txt"', f'dest = "/x.txt"\n{found[1]}'),
    ),
    Try(
        kind="FileProblem",
        name="a pipe among copies",
        spoil=piped,
        hint=r"leave it out with (exclude)",
        follow=leave_out,
    ),
    Try(
        kind="ResolutionError",
        name="a version that is not there",
        spoil=asking("many==9"),
        hint=r"change (\S+:1)",
        follow=lambda tiny, found, words: tiny.require("many==1.0"),
    ),
    Try(
        kind="ResolutionError",
        name="a wheel that is not there",
        spoil=asking("other==1.0"),
        hint=r"put its wheel, and those it depends on, into (\S+);",
        follow=put_wheel("other"),
    ),
    Try(
        kind="NoMatchingWheel",
        name="a wheel for another platform",
        spoil=foreign_wheel,
        hint=r"put a wheel of it into (\S+?)[,;]",
        follow=put_wheel("native"),
    ),
    Try(
        kind="DigestMismatch",
        name="a wheel with other bytes",
        spoil=other_wheel,
        hint=r"lock this one: (ocibuild lock \S+)",
        follow=type_it,
    ),
    Try(
        kind="DigestMismatch",
        name="a wheel whose RECORD lies",
        spoil=lying,
        hint=r"(unverified)",
        follow=lambda tiny, found, words: rewritten(tiny, "[python]", f'[python]\n{found[1]} = ["bad"]'),
    ),
    Try(
        kind="UnsupportedImage",
        name="a folder with other things in it",
        spoil=into_folder,
        hint=r"name (a new folder)",
        follow=lambda tiny, found, words: [*words[:-1], f"{tiny.root}/new/"],
    ),
    Try(
        kind="LoadFailed",
        name="no engine",
        spoil=lambda tiny: ["build", "app", "--project-dir", str(tiny.root), "--cache-dir", str(tiny.cache), "--load"],
        hint=r"write a file: (--out) FILE",
        follow=lambda tiny, found, words: [*words[:-1], found[1], str(tiny.out)],
        environ={"PATH": "/nonexistent"},
    ),
]

_ARCHIVE = "what helps is another archive, mirror or base, which no test of ours can publish"
UNTRIED = {
    "ArchiveIndexError": _ARCHIVE,
    "PackageError": _ARCHIVE,
    "PackageUnavailable": "what helps is a network: tests/real/test_offline.py downloads and builds",
    "TransportError": "what helps is a network, a proxy or an index that answers",
    "RegistryError": "what helps is a login or a registry that answers: tests/real/test_registry_logins.py logs in",
    "NoPython": "what helps is another base",
    "WheelError": "what helps is a wheel that its maker mends",
    "MissingLibrary": "the gate says it of a file that is read: what helps is Debian's package, from an archive",
    "UnclearCommand": "what helps is a person who says what is started",
    "ToolFailed": "what helps is a program that works: its own words say what keeps it",
    "MachineExhausted": "what helps is a limit that the machine's owner raises",
}
"""Errors of which no hint is tried, and why."""
