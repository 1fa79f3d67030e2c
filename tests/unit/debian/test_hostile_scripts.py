"""Scripts that mean harm: each ends in a moment, in a moderate room, as what it is or as refused, and none is run."""

from __future__ import annotations

import resource
import subprocess
import time
from collections.abc import Iterable

import pytest

from oci_builder.debian.commands import COMMANDS
from oci_builder.debian.scripttree import ScriptTree
from oci_builder.debian.shell import NotKnown, Shell
from oci_builder.tree.content import MappedFiles
from oci_builder.tree.entry import Entry, directory, file, symlink
from oci_builder.tree.tree import Tree
from tests.support.real import need

SECONDS = 20
"""Of a processor, for one script; the slowest takes two on a machine of today."""

ROOM = 400_000
"""Kilobytes that one script may add to this process."""


def _entries() -> Iterable[Entry]:
    for path in ("etc", "usr", "usr/bin", "usr/share", "usr/share/many", "var", "var/lib", "loop"):
        yield directory(path, origin="base 1")
    yield file("etc/passwd", b"root:x:0:0:root:/root:/bin/sh\n", origin="base 1")
    yield file("etc/group", b"root:x:0:\n", origin="base 1")
    big = b"a" * 4000 + b"\n" + (b"y" * 60 + b"\n") * 15_000
    yield file("usr/share/big", big, origin="base 1")
    yield file("usr/share/lines", b"a\n" * 500_000, origin="base 1")
    for number in range(10):
        yield symlink(f"loop/l{number}", ".", origin="base 1")
    for number in range(39):
        target = "/".join(["usr/.."] * 600 + [f"deep{number + 1}" if number < 38 else "usr"])
        yield symlink(f"deep{number}", target, origin="base 1")
    for number in range(10_000):
        yield file(f"usr/share/many/f{number}", b"", origin="base 1")


TREE = Tree(_entries())


def outcome(text: str) -> str:
    """What becomes of a script: the reason that it is refused for, or its status."""
    tree = ScriptTree(TREE, MappedFiles())
    tree.origin = "evil 1"
    shell = Shell(tree, COMMANDS, {"0": "x", "PATH": "/usr/bin", "DPKG_MAINTSCRIPT_ARCH": "amd64"}, ["configure", ""])
    try:
        return f"status {shell.run(text)}"
    except NotKnown as error:
        return error.why


HOSTILE = {
    "loop": "while :; do :; done",
    "double": "a=x; while :; do a=$a$a; done",
    "double quoted": 'a=xxxxxxxxxxxxxxxx; while :; do a="$a$a"; done',
    "many in word": "a=x;" + "a=$a$a;" * 15 + ': "' + "$a" * 60000 + '"',
    "many in heredoc": "a=x;" + "a=$a$a;" * 15 + "cat <<E\n" + "$a" * 60000 + "\nE\n",
    "args double": "set -- " + '"" ' * 50000 + ";" + 'set -- "$@" "$@";' * 20,
    "printf": "printf '%s' " + "a " * 80000 + "; while :; do printf '%s%s%s' a b c; done",
    "recursion": "f() { f; }; f",
    "recursion subst": "f() { x=$(f); }; f",
    "mutual": "f() { g; }; g() { f; }; f",
    "nested subst": "x=" + "$(" * 3000 + "echo a" + ")" * 3000,
    "nested paren": "(" * 20000 + "echo" + ")" * 20000,
    "nested brace": "{ " * 20000 + "echo; " + "}; " * 20000,
    "nested if": "if true; then " * 5000 + ":; " + "fi; " * 5000,
    "nested expansion": "echo " + "${a:-" * 20000 + "b" + "}" * 20000,
    "nested quotes": 'echo "' + '$(echo "' * 5000 + '")' * 5000 + '"',
    "test nest": "[ " + "\\( " * 90 + "a" + " \\)" * 90 + " ]",
    "test many": "[ " + "a -a " * 20000 + "a ]",
    "test bang": "[ " + "! " * 20000 + "a ]",
    "case many": "x=aaaaaaaaaaaaaaaaaaaaaaaa; while :; do case $x in "
    + "|".join(f"*a*a*a*a*a*b{i}" for i in range(10000))
    + ") ;; esac; done",
    "case stars": "a=x;" + "a=$a$a;" * 12 + "p=*x; " + "p=$p$p;" * 9 + "while :; do case $a in ${p}y) ;; esac; done",
    "trim": "a=x;" + "a=$a$a;" * 13 + "while :; do b=${a%%*x*x*x*x*x*x*x*y}; done",
    "trim form": "a=x;" + "a=$a$a;" * 11 + "p=*x;" + "p=$p$p;" * 9 + "while :; do b=${a%%$p}; done",
    "glob": "while :; do : /*/*/*; done",
    "glob links": ": /loop/*/*/*/*/*/*/*/*",
    "glob many": "while :; do for x in /usr/share/many/*; do break; done; done",
    "glob stars": ": /usr/share/many/" + "*a" * 2000,
    "deep links": "while :; do [ -e /deep0/x ]; done",
    "mkdir loop": "i=; while :; do i=${i}a; mkdir /etc/$i; done",
    "touch rm": "while :; do touch /etc/x; rm /etc/x; done",
    "append": "while :; do cat /usr/share/big >> /etc/x; done",
    "copies": "i=; while :; do i=${i}a; cp /usr/share/big /etc/$i; echo >> /etc/$i; done",
    "cat": "while :; do cat /usr/share/big > /dev/null; done",
    "cat sub": "while :; do x=$(cat /usr/share/big); done",
    "read big": "while :; do read x < /usr/share/lines; done",
    "grep loop": "while :; do grep -q nothing /usr/share/big; done",
    "grep re": "while :; do grep -qE '(a*)*(a|b)*c' /usr/share/big; done",
    "rmdir": "while :; do rmdir --ignore-fail-on-non-empty /usr/share/many; done",
    "accounts": "i=; while :; do i=${i}a; addgroup --system $i; done",
    "alternatives": (
        "i=; while :; do i=${i}a; touch /usr/bin/$i; update-alternatives --install /usr/bin/z z /usr/bin/$i 1; done"
    ),
    "alternatives slaves": "touch /usr/bin/q; update-alternatives --install /usr/bin/z z /usr/bin/q 1 "
    + " ".join(f"--slave /usr/bin/s{i} s{i} /usr/bin/t{i}" for i in range(4000)),
    "alternatives both": "touch /usr/bin/q; update-alternatives --install /usr/bin/z z /usr/bin/q 1 "
    + " ".join(f"--slave /usr/bin/s{i} s{i} /usr/bin/t{i}" for i in range(2000))
    + "\ni=; while :; do i=${i}a; touch /usr/bin/$i; update-alternatives --install /usr/bin/z z /usr/bin/$i 1; done",
    "vars": "\n".join(f"v{i}=" for i in range(9000)) + "\nwhile :; do (:); done",
    "long string loop": "while :; do : '" + "a" * 200000 + "'; done",
    "heredoc loop": "while :; do : <<E\n" + "a" * 200000 + "\nE\ndone",
    "big body": "while :; do break; done; while :; do { continue; " + ":; " * 60000 + "}; done",
    "functions sub": "\n".join(f"f{i}() {{ :; }}" for i in range(9000)) + "\nwhile :; do (:); done",
    "ifs": "IFS=" + "a" * 200000 + "; while :; do echo $x; done",
    "source self": "echo '. /etc/s' > /etc/s; . /etc/s",
    "source loop": "cat > /etc/s <<'E'\n" + ":;" * 50000 + "\nE\nwhile :; do . /etc/s; done",
    "versions": "a=1;" + "a=$a$a;" * 15 + "while :; do dpkg --compare-versions $a lt 1; done",
    "long path": "a=/x;" + "a=$a$a;" * 14 + "while :; do [ -e $a ]; done",
    "dirname": "a=/x;" + "a=$a$a;" * 14 + "while :; do x=$(dirname $a); done",
    "pipes": "while :; do " + "echo a | " * 5000 + "cat; done",
    "or lists": "false" + " || false" * 30000,
    "and lists": "true" + " && true" * 30000,
    "debconf": "while :; do db_set x y; db_get x; done",
    "trigger": "i=; while :; do i=${i}a; dpkg-trigger $i; done",
    "echo": "a=x;" + "a=$a$a;" * 15 + "while :; do echo $a; done",
    "quotes": "'" * 200001,
    "backticks": "`" * 200001,
    "dollarparens": "$(" * 100000,
    "open braces": "${" * 100000,
    "lt": "<" * 200000,
    "heredocs": "\n".join(f"cat <<E{i}" for i in range(15000)),
    "heredoc open": "cat " + "<<A " * 50000 + "\n" + "A\n" * 50000,
    "parens": ")" * 200000,
    "case open": "case x in " * 20000,
    "funcs open": "f() { " * 30000,
    "esc": "\\\n" * 100000,
    "hash": "#" * 250000,
    "arith": "echo $((" + "(" * 50000 + "1" + ")" * 50000 + "))",
    "arith2": "x=1; while :; do x=$((x*x+1)); done",
    "arith3": "x=9; while :; do x=$((x<<9999999)); done",
    "seq": "seq 1 100000000",
    "yes": "yes | while read x; do :; done",
    "proc": "echo x > /proc/sys/kernel/core_pattern",
    "dev": "echo x > /dev/sda",
    "mknod": "mknod /etc/x b 8 0",
    "mkfifo": "mkfifo /etc/x",
    "dev null file": "cat < /dev/zero",
    "dots": "echo x > ../../../../etc/../../x; mkdir -p ../../../a/../b",
    "canary": (
        "touch /dev/shm/canary; /usr/bin/touch /dev/shm/canary; $(touch /dev/shm/canary); `touch /dev/shm/canary`"
    ),
    "eval": "eval 'touch /x'",
    "exec": "exec touch /x",
    "trap": "trap 'touch /x' EXIT; exit 0",
    "long line": ": " + "a" * 250000,
    "globstar class": ": /usr/share/many/" + "[" * 2000,
    "sed re": "while :; do sed -n 's/(a*)*b//p' /usr/share/big; done",
    "sed double": "echo a > /etc/s; while :; do sed 's/./&&/g' /etc/s > /etc/t; cp /etc/t /etc/s; done",
    "sed loop": "echo a | sed ':a; s/a/aa/; ta'",
    "sed loop2": "echo a | sed ':a; ba'",
    "sed hold": "echo a | sed ':a; G; h; ba'",
    "sed exec": "echo a | sed 's/a/touch x/e'; sed 'w /etc/passwd' /etc/group; sed '1e id' /etc/group",
    "sed big number": "sed " + "9" * 5000 + "p /etc/passwd",
    "sed nest": "sed '" + "{" * 20000 + "}" * 20000 + "' /etc/passwd",
    "sed -i": "while :; do sed -i 's/x/xx/g' /usr/share/big; done",
    "awk loop": "awk 'BEGIN { while (1) x = x \"a\" }'",
    "awk double": "awk 'BEGIN { x=\"a\"; while (1) x = x x }'",
    "awk system": "awk 'BEGIN { system(\"touch x\") }'",
    "awk nest": "awk 'BEGIN { x = " + "(" * 5000 + "1" + ")" * 5000 + " }'",
    "awk big": "while :; do awk '{ print $1 }' /usr/share/lines > /dev/null; done",
    "awk nf": "awk '{ $99999999 = 1; print }' /etc/passwd",
    "awk for": "awk 'BEGIN { for (i=0;i<1e9;i++) ; }'",
    "awk pow": "awk 'BEGIN { print 9^9^9^9 }'",
    "arith pow": "echo $((9**999999999))",
    "arith div": "echo $((1/0)) $((1%0))",
    "arith nest": "echo $((" + "-" * 100000 + "1))",
    "arith rec": "a=b; b=a; echo $((a))",
    "arith num": "echo $((" + "9" * 100000 + "))",
    "arith assign": "x=1; while :; do x=$((x*x+1)); done",
    "arith shift": "echo $((1<<99999999999)) $((1>>-1))",
    "find": "while :; do find / -name '*a*a*a*a*b'; done",
    "find nest": "find / " + "\\( " * 5000 + "-name x " + "\\) " * 5000,
    "find delete": "find /usr -delete",
    "find links": "find -L /loop",
    "ls": "while :; do ls /usr/share/many; done",
    "sort": "while :; do sort /usr/share/lines > /dev/null; done",
    "tr": "while :; do tr a b < /usr/share/lines > /dev/null; done",
    "cut": "while :; do cut -d: -f1-99999999999 /usr/share/lines > /dev/null; done",
    "head": "while :; do head -n 1 /usr/share/lines; done",
    "head num": "head -n " + "9" * 5000 + " /etc/passwd",
    "wc": "while :; do wc -l /usr/share/lines >/dev/null; done",
    "printf width": "printf '" + "%999s" * 40000 + "' a",
    "printf num": "printf '%d' " + "9" * 5000,
    "expr": "expr " + "9" * 5000 + " + 1; expr " + "a" * 5000 + " : '\\(a*\\)*b'",
    "expr re": "expr " + "a" * 5000 + " : '.*.*.*.*.*.*x'",
    "eval loop": 'x=\'eval "$x"\'; eval "$x"',
    "eval double": 'x=:; while :; do x="$x;$x"; eval "$x"; done',
    "sh -c": 'f=\'sh -c "$f"\'; export f; sh -c "$f"',
    "sh self": "printf '#!/bin/sh\\n/etc/s\\n' > /etc/s; chmod 755 /etc/s; /etc/s",
    "trap loop": "trap 'exit 0' EXIT; exit 1",
    "trap trap": "trap 'trap \"evil\" EXIT; exit 0' EXIT",
    "xargs": "yes | xargs echo; echo a | xargs touch /etc/x",
    "seq2": "for i in $(seq 1 99999999); do :; done",
    "mktemp": "while :; do mktemp; done",
    "cp -r": "while :; do cp -r /usr/share /etc/x; done",
    "mv up": "mkdir /etc/a; mv /etc/a /etc/a/b",
    "rm root": "rm -rf / ; rm -rf /*",
    "ln loops": "ln -s a /etc/a; cat /etc/a; echo x > /etc/a; mkdir -p /etc/a/b",
    "ln out": (
        "ln -s ../../../../../../proc/sys /etc/p; echo x > /etc/p/kernel; ln -s / /etc/root; echo x > /etc/root/dev/sda"
    ),
    "chmod odd": "chmod 99999999 /etc/passwd; chmod u+zzz /etc/passwd; chmod -R 777 /",
    "install odd": "install -m 99999 /etc/passwd /etc/x; install -o 99999999999 /etc/passwd /etc/y",
    "useradd odd": (
        "useradd -r -u 99999999999999 x; usermod -aG root x:y; echo 'a:b:c:d' >> /etc/passwd; chown a /etc/group"
    ),
    "group odd": "echo 'g:x:zz:' >> /etc/group; addgroup --system q; chgrp g /etc/passwd",
    "divert": (
        "dpkg-divert --add --rename --divert /../../x /etc/passwd; "
        "dpkg-divert --add --rename --divert /dev/sda /etc/group"
    ),
    "statoverride": "dpkg-statoverride --update --add root root 99999999 /etc/passwd",
    "ucf": "ucf /etc/passwd /dev/sda; ucf /etc/passwd /../proc/x",
    "state file": (
        "mkdir -p /var/lib/dpkg/alternatives; "
        "printf 'auto\\n/usr/bin/z\\n\\n/usr/bin/q\\nnumber\\n\\n' > /var/lib/dpkg/alternatives/z; "
        "touch /usr/bin/q; update-alternatives --install /usr/bin/z z /usr/bin/q 1"
    ),
    "alt name": (
        "update-alternatives --install /usr/bin/z ../../../etc/passwd /etc/group 1; "
        "update-alternatives --install /usr/bin/z z /etc/group --5"
    ),
    "command skip": "mkdir() { :; }; command mkdir /dev/x",
    "setcap": "setcap " + "cap_chown," * 20000 + "+ep /etc/passwd",
    "crlf": "echo a\r\nexit 0\r\n",
    "nul": "echo a\0b",
    "esc seq": "echo '\x1b]0;x\x07'; /bin/\x1b[31mred",
    "reads in a letter": "((" * 8000 + "\udcff" * 8000,
    "notutf8": "mkdir /etc/\udcff; /bin/\udcff",
    "unicode ctl": "mkdir /etc/\u202eabc; frob\u202e\u2028 x",
}


@pytest.mark.parametrize("name", HOSTILE)
def test_a_script_that_means_harm_ends_in_a_moment(name: str) -> None:
    before, room = time.process_time(), resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    told = outcome(HOSTILE[name])
    assert time.process_time() - before < SECONDS, told
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - room < ROOM, told
    assert told.startswith("status ") == (name in HARMLESS), told


HARMLESS = frozenset(
    (
        *("glob stars", "alternatives slaves", "hash", "dots", "eval", "exec", "trap", "long line", "globstar class"),
        *("trap loop", "trap trap", "command skip"),
    )
)
"""Those that do little, though they are long."""

# What a shell does, and does not do, where a script might pretend to have ended.
LIKE_DASH = {
    "locals": "x=1 y=2; f() { local x=3 y; y=4; g; echo $x$y; }; g() { echo $x; x=5; z=6; }; f; echo $x$y$z",
    "an assignment before a function": "f() { y=$x; x=9; }; x=1; x=2 f; echo $x $y; z=3 :; echo $z; z=4 true; echo $z",
    "exit in a pipeline": (
        "echo a | exit 3; echo $?; echo b | { read x; exit 4; }; echo $? [$x]; exit 5 | echo c; echo d"
    ),
    "a status of a substitution": "$(exit 3); echo $?; x=; $x; echo $?; $(true); echo $?",
    "a function and a program": "basename() { echo mine; }; basename /a/b; command basename /a/b",
    "a loop in a function": "f() { for y in 1 2; do break; done; echo f; }; for x in 1 2; do f; done",
    "options of the shell": "set -eu; x=1; echo ${x} ${y-none}; false || echo a; set +u; echo [$y]",
    "empty arguments": 'set -- "" "" a; echo $# "[$*]"; for x in "$@"; do echo "<$x>"; done; set -- $1 $3; echo $#',
    "returns": "f() { return 2; }; f; echo $?; x=$(f; echo never $?; exit 4); echo $? $x",
}


@pytest.mark.real
@pytest.mark.parametrize("name", LIKE_DASH)
def test_what_ends_in_a_shell_ends_here_and_nothing_else(name: str) -> None:
    need("dash", root=False)
    shell = Shell(ScriptTree(TREE, MappedFiles()), COMMANDS, {})
    said = subprocess.run(["dash", "-c", LIKE_DASH[name]], capture_output=True, text=True, timeout=60)
    assert (shell.run(LIKE_DASH[name]), shell.output) == (said.returncode, said.stdout)


@pytest.mark.parametrize(
    "text",
    [
        *(
            "for x in 1; do f() { break; }; f; done",
            "break",
            "exit() { echo a; }; exit 0",
            "local() { echo a; }",
            "local x=1",
        ),
        *(
            "PATH=/opt:$PATH; echo a",
            "readonly a=1; a=2",
            "case a1 in *[[:digit:]]) ;; esac",
            "case a in [^b]) ;; esac",
        ),
        *("echo a > /etc/a > /etc/b", "echo a &> /etc/a", "unset -f x", "alias x=y", "continue 2"),
        *(
            "echo a 3> /etc/x",
            "echo 1 | read 1x",
            "true & echo a",
            "for PATH in /opt; do echo a; done",
        ),
        *("(break)", "for x in 1; do (break); done", "env PATH=/opt echo a", "echo /opt | { read PATH; echo a; }"),
    ],
)
def test_what_shells_do_not_agree_about_or_what_hides_a_command_is_refused(text: str) -> None:
    shell = Shell(ScriptTree(TREE, MappedFiles()), COMMANDS, {})
    with pytest.raises(NotKnown):
        shell.run(text)
