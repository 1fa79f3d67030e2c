"""Users and groups as Debian's own programs make them, and grep as grep finds."""

from __future__ import annotations

import shutil
import subprocess
import time
from pathlib import Path

import pytest

from oci_builder.debian.shell import NotKnown
from oci_builder.tree.entry import directory, file
from tests.support.real import need
from tests.unit.debian.test_shell import walked

PASSWD = """root:x:0:0:root:/root:/bin/bash
daemon:x:1:1:daemon:/usr/sbin:/usr/sbin/nologin
nobody:x:65534:65534:nobody:/nonexistent:/usr/sbin/nologin
"""
GROUP = "root:x:0:\ndaemon:x:1:\nssl-cert:x:105:\nusers:x:100:\nnogroup:x:65534:\n"
SHADOW = "root:*:19000:0:99999:7:::\n"
GSHADOW = "root:*::\ndaemon:*::\nssl-cert:!::\nusers:*::\nnogroup:*::\n"
FILES = {"passwd": PASSWD, "group": GROUP, "shadow": SHADOW, "gshadow": GSHADOW}

SCRIPTS = {
    "a group": "addgroup --system --quiet --force-badname _ssh",
    "a group that is there": "addgroup --system ssl-cert",
    "a user of nobody's": "adduser --system --no-create-home plain",
    "a user with a group": "adduser --system --quiet --group --no-create-home --home /nonexistent redis",
    "all that can be said": "adduser --quiet --system --ingroup ssl-cert --no-create-home --home /var/lib/x"
    " --gecos 'X server' --shell /bin/sh x",
    "two users": "adduser --system --group --no-create-home one; adduser --system --group --no-create-home two",
    "a user of a group": "adduser --system --no-create-home a; adduser --quiet a ssl-cert",
    "down from the top": "groupadd -r one; useradd -r -g one -d /var/lib/one -s /usr/sbin/nologin -c One one",
    "a group of its own": "useradd --system --no-create-home --home-dir /nonexistent --shell /usr/sbin/nologin two",
    "two down": "useradd -r -M a; useradd -r -M b; groupadd --system c; groupadd -r d",
    "a name with commas": "adduser --system --no-create-home --gecos 'A b,,' c",
    "a number that is asked for": "addgroup --system --gid 300 g; "
    "adduser --system --uid 301 --ingroup g --no-create-home u",
    "further groups": "useradd -r -M three; usermod -aG ssl-cert,users three",
}


def made(script: str) -> dict[str, str]:
    """The files of accounts as a script leaves them."""
    entries = [directory("etc", origin="base 1"), directory("var", origin="base 1")]
    entries += [file(f"etc/{name}", text.encode(), origin="base 1") for name, text in FILES.items()]
    status, _, tree = walked(f"set -e\n{script}\n", entries=entries)
    assert status == 0
    return {name: tree.read(f"/etc/{name}") for name in FILES}


@pytest.mark.real
@pytest.mark.parametrize("name", SCRIPTS)
def test_accounts_are_those_that_the_machines_own_programs_make(name: str, tmp_path: Path) -> None:
    need("adduser", "useradd", "unshare")
    etc = tmp_path / "etc"
    shutil.copytree("/etc", etc, symlinks=True, ignore=shutil.ignore_patterns("ssl", "alternatives", "*-", "subuid"))
    for each, text in FILES.items():
        (etc / each).write_text(text)
    inner = f"mount --make-rprivate / && mount --bind {etc} /etc && set -e && {SCRIPTS[name]}"
    done = subprocess.run(["unshare", "-m", "sh", "-c", inner], capture_output=True, text=True, timeout=120)
    assert done.returncode == 0, done.stderr
    ours = made(SCRIPTS[name])
    for each in FILES:
        assert _dateless(each, ours[each]) == _dateless(each, (etc / each).read_text())


def _dateless(file: str, text: str) -> list[list[str]]:
    """The lines; of shadow without the day of the last change, and what it says beside."""
    lines = [line.split(":") for line in text.splitlines()]
    return [line[:2] if file == "shadow" else line for line in lines]


def test_a_home_is_made_and_is_the_users() -> None:
    entries = [directory("etc", origin="base 1"), directory("var", origin="base 1"), directory("var/lib", origin="b 1")]
    entries += [file(f"etc/{name}", text.encode(), origin="base 1") for name, text in FILES.items()]
    _, _, tree = walked("adduser --system --group --home /var/lib/x x", entries=entries)
    home = tree.made["var/lib/x"]
    assert (home.uid, home.gid, home.mode) == (100, 101, 0o755)


@pytest.mark.parametrize(
    "script",
    [
        "adduser somebody",
        "addgroup somebody",
        "useradd somebody",
        "adduser --system 'a:b'",
        "adduser --system --uid x a",
        "adduser --system --ingroup nowhere a",
        "adduser --system --conf /etc/x a",
        "usermod -L root",
        "".join(f"adduser --system --no-create-home u{number}\n" for number in range(1000)),
    ],
)
def test_what_is_not_known_of_accounts_ends_the_walk(script: str) -> None:
    with pytest.raises(NotKnown):
        made(script)


TEXT = "root:x:0\n# a comment\n\n  indented\nde_DE.UTF-8 UTF-8\na.b+c\nen_US [x]\n"
GREPS = {
    "letters": "grep root /etc/t",
    "not": 'grep -v "^$" /etc/t',
    "from a pipe": 'cat /etc/t | grep -v "^#" | grep -v "^$"',
    "quiet": "grep -q root /etc/t && echo yes; grep -q nobody /etc/t || echo no",
    "extended": 'grep -E "^(root|de_)" /etc/t; egrep "UTF-8|x" /etc/t',
    "plain signs": 'grep "b+c" /etc/t; grep -F "[x]" /etc/t; grep "a\\.b" /etc/t; grep "[x]" /etc/t',
    "classes": 'grep "^[[:space:]]*[a-z]" /etc/t; grep "[^[:alnum:]_:. -]" /etc/t',
    "whole lines": "grep -x 'a.b+c' /etc/t; grep -qx a.b /etc/t || echo no; grep -ci utf /etc/t",
    "no such file": "grep -qs x /etc/none; echo $?; grep x /etc/none; echo $?",
    "groups": "grep '\\(a\\)' /etc/t; grep 'r\\(o\\)\\1t' /etc/t; grep -E '(o)\\1' /etc/t; grep 'o\\{2\\}' /etc/t",
    "GNU's": "grep 'o\\+' /etc/t; grep '\\bUTF' /etc/t; grep '*a' /etc/t; grep -w UTF /etc/t; grep '\\<in' /etc/t",
    "several patterns": "grep -e root -e UTF /etc/t; printf 'a\\nb\\n' | grep -c 'a\nb'; grep -E 'o{2}|x]' /etc/t",
    "several files": "grep -c root /etc/t /etc/t | wc -l; grep -h root /etc/t /etc/t; "
    "grep -l root /etc/t > /dev/null; echo $?",
    "parts": "grep -o 'o[ot]' /etc/t; grep -oE '[A-Z]+' /etc/t; grep -o 'x*' /etc/t",
    "options behind": "grep root /etc/t -c; grep -iE ROOT /etc/t; grep -ve root /etc/t",
}


@pytest.mark.real
@pytest.mark.parametrize("name", GREPS)
def test_what_grep_finds_is_what_is_found(name: str, tmp_path: Path) -> None:
    need("grep", "dash", root=False)
    (tmp_path / "t").write_text(TEXT)
    script = GREPS[name]
    real = subprocess.run(
        ["dash", "-c", script.replace("/etc/", f"{tmp_path}/")], capture_output=True, text=True, timeout=60
    )
    entries = [directory("etc", origin="base 1"), file("etc/t", TEXT.encode(), origin="base 1")]
    status, output, _ = walked(script, entries=entries)
    assert (status, output) == (real.returncode, real.stdout)


@pytest.mark.parametrize("pattern", ["a**", "[[.x.]]", r"\(a", "[a", r"a\{2", r"\z", "a" * 401])
def test_patterns_that_are_read_in_several_ways_are_not_known(pattern: str) -> None:
    with pytest.raises(NotKnown):
        walked(f"echo x | grep '{pattern}'")


@pytest.mark.parametrize("pattern", ["(a+)+", "(a|b)*", "(a?)*x", "(a|b"])
def test_patterns_that_may_take_for_ever_are_not_known(pattern: str) -> None:
    with pytest.raises(NotKnown):
        walked(f"echo x | grep -E '{pattern}'")


@pytest.mark.parametrize("pattern", ["a*a*a*a*b", "(a*)(a*)(a*)c.*d", "[a-z]*[a-y]*[a-x]*[a-w]*9"])
def test_lines_in_which_a_pattern_may_look_for_ever_are_not_known(pattern: str) -> None:
    assert walked(f"echo aaaaab9 | grep -cE '{pattern}'")[0] in (0, 1)
    started = time.process_time()
    with pytest.raises(NotKnown, match="for ever"):
        walked(f"x={'a' * 3000}; echo $x | grep -E '{pattern}'")
    with pytest.raises(NotKnown):
        walked(f"x={'a' * 60}; while :; do echo $x | grep -qE '{pattern}'; done")
    assert time.process_time() - started < 20
