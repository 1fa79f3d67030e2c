"""Scripts walked over a tree: as dash runs them, and bounded."""

from __future__ import annotations

import subprocess
import time
from collections.abc import Iterable
from pathlib import Path

import pytest

from oci_builder.debian.commands import COMMANDS
from oci_builder.debian.scripttree import ScriptTree
from oci_builder.debian.shell import NotKnown, Shell
from oci_builder.tree.content import MappedFiles
from oci_builder.tree.entry import Entry, directory, file, symlink
from oci_builder.tree.tree import Tree
from tests.support.real import need


def walked(
    text: str, *arguments: str, entries: Iterable[Entry] = (), removable: bool = False
) -> tuple[int, str, ScriptTree]:
    """The status and the output of a script, and what it leaves of a base, or of packages that are ``removable``."""
    tree = ScriptTree(Tree(entries), MappedFiles(), fixed=Tree() if removable else None)
    tree.origin = "demo 1"
    shell = Shell(tree, COMMANDS, {"DPKG_MAINTSCRIPT_ARCH": "amd64"}, list(arguments))
    status = shell.run(text)
    return status, shell.output, tree


LIKE_DASH = {
    "words": """x="a  b" y=c; echo $x "$x" $y"$x"z '$x' a\\ b "q\\"r\\$x" """,
    "two assignments before a line": 'f () {\n a=$1 b=$2\n echo "$a-$b"\n}\nf 1 2',
    "an assignment for one command": "x=1; f() { echo $x; }; x=2 f; echo $x",
    "defaults": """echo ${q:-w} "${q-a b}" ${q:+x} ${#x}; x=1; echo ${x:-w} ${x:+"a  b"}
y=; echo "[${y-u}]" "[${y:-u}]" """,
    "trimming": 'p=/usr/lib/a.b.c; echo ${p##*/} ${p%/*} ${p%%.*} ${p#*.} ${p%.c} ${p#x}; q=\'*\'; echo "${p#"$q"}"',
    "arguments": """set -- a "b c" d; for i in "$@"; do echo "[$i]"; done
for i; do echo $i; done; echo $# "$*" $2; shift; echo $1""",
    "no arguments": 'set --; for i in "$@"; do echo never; done; echo "[$*]" $#',
    "substitution": 'x=$(echo a; echo b); echo "$x" $x `echo c`; echo "$(echo "in $(echo er)")"',
    "a variable of a substitution": "x=1; y=$(x=2; echo $x); echo $x $y",
    "lists": "true && echo a || echo b; false && echo c || echo d; true || echo e && echo f; false || false || echo g",
    "redirection of a list's last": "echo a && echo b > /dev/null || echo c; false || echo d >/dev/null 2>&1; echo e",
    "negation": "if ! false; then echo a; fi; ! true || echo b",
    "if": "if false; then echo a; elif [ 1 = 1 ]; then echo b; else echo c; fi; if false; then :; fi; echo $?",
    "case": """for x in configure abort-upgrade "" a*b; do case "$x" in configure|x) echo 1;; abort-*) echo 2;;
"") echo 3;; "a*b") echo 4;; *) echo 5;; esac; done; case axb in "a*b") echo no;; a?b) echo yes;; esac""",
    "loops": """for x in 1 2 3 4; do [ $x = 2 ] && continue; [ $x = 4 ] && break; echo $x; done
n=; while [ "$n" != aaa ]; do n=a$n; done; echo $n; until true; do echo never; done
for a in 1 2; do for b in 1 2; do [ $b = 2 ] && continue 2; echo $a$b; done; done""",
    "functions": "f() { echo $1 $#; return 3; }; f a b; echo $?; g() { f x; echo after $?; }; g; echo $1",
    "exit in a function": "f() { exit 4; }; f; echo never",
    "exit in a subshell": "(exit 3); echo $?; x=$(exit 5); echo $?; (x=1); echo [$x]",
    "read": """echo 'a b  c d' | { read x y; echo "$y|$x"; }
printf '1 2\\n3 4\\n' | while read a b; do echo $b$a; done""",
    "pipelines": "echo a | cat; x=1; echo b | x=2; echo $x; false | true; echo $?; true | false; echo $?",
    "here-documents": "x=1\ncat <<EOF\n\n  two $x \"q\" ${x%1} \\$x\n#c\nEOF\ncat <<'E'\n$x `a`\nE",
    "errexit": """set -e; false || true; if false; then :; fi; ! true; x=$(true); echo end
f() { false; echo in; }; f || echo no""",
    "splitting at a letter": """IFS=:; p=a:b::c:; for x in $p; do echo "[$x]"; done
IFS=; x="a b"; for y in $x; do echo "[$y]"; done""",
    "tests": """[ -z "" ] && echo 1; [ -n "" ] || echo 2; [ a ] && echo 3; [ "" ] || echo 4
[ a = a -a b != c ] && echo 5; [ a = b -o c = c ] && echo 6; [ ! a = b ] && echo 7; [ 2 -gt 1 ] && echo 8
test 10 -le 9 || echo 9; [ "$q" = x -o -z "$q" ] && echo 10; [ ! -e /nowhere -a "a" = "a" ] && echo 11
true && echo 12; test -e && echo 13; test -n x && echo 14; [ ! -d /nowhere ] && echo 15""",
    "printf": "printf '%s\\n' a 'b c'; printf 'x%sy\\n'; printf '%s-%s\\n' 1 2 3; printf '%%\\t%s' z",
    "names": "basename /a/b.c; basename /a/b.c .c; dirname /a/b; dirname a; basename /; dirname /a; basename b b",
    "semicolons and comments": "echo a; echo b # c\n# d\necho '#' \"#\" x#y",
    "a word over two lines": 'echo a \\\n  b"c\\\nd"',
    "groups": "{ echo a; echo b; } | cat; { false; } || echo c",
    "echo of escapes": """echo 'a\\tb\\\\n' "x\\n"; echo 'a\\cb'; echo c; echo '\\101\\0101'; echo -n 'a\\n'
echo -e x""",
    "arithmetic": """x=5
echo $((1 + 2 * 3)) $((x / 2)) $((x % 3)) $(( (x + 1) << 2 )) $((x > 3 && x < 9)) $((0x10)) $((010))
echo "$((-7 / 2))" $((!x)) $((~x)) $((x == 5 ? 1 : 2)) $(($x * $(echo 4))) $((nothing + 1)); y=$((x + 1)); echo $y
[ $((x + 1)) -gt 5 ] && echo yes; set -- a b; echo $(( $# + 1 )) $((2 - -3)) $((1 | 6 ^ 2 & 3))""",
    "local variables": """f() { local a=1 b; b=2; a=3; g; }; g() { echo $a$b; a=4; }; a=x; b=y; f; echo $a$b
h() { local a; a=$1; [ $1 = 3 ] || h $(($1 + 1)); echo $a; }; h 1; echo $a; k() { local a=2; (a=9); x=$(a=8)
echo $a; }; k""",
    "traps": "trap 'echo bye; echo $?' EXIT; trap '' INT; trap - TERM; f() { exit 3; }; f",
    "traps that are taken back": "trap 'echo no' 0; trap - 0; trap 'echo yes' EXIT HUP; (exit 2); echo in",
    "eval": """x=y; eval "y=1; echo \\$$x"; eval 'f() { echo f$1; }'; f 2; eval "exit 4" """,
    "assigned defaults": 'echo ${x:=a b} "$x"; y=; echo ${y:=c} ${y=d} ${z=}"$z"; : ${q:="r s"}; echo "$q"',
    "fields that are read": """echo 'a:b:c' | { IFS=: read x y; echo "[$x][$y]"; }; echo ' a  b ' | { read x
echo "[$x]"; }
echo 'a:b' | { IFS=: read x y z; echo "[$x][$y][$z]"; }; echo 'a : b' | { IFS=': ' read x y; echo "[$x][$y]"; }
printf 'a:b:c:\\n' | { IFS=: read x y; echo "[$x][$y]"; }; printf 'no end' | { read x y; echo "$?[$x][$y]"; }""",
    "words before a line that goes on": "f() { s=m; echo /a/$s/$2 \\\n\t$2 /b/$1/$s/$2 \\\n\t$3; }; f 1 two 3",
    "redirections alone": "cd /; x=$(> /dev/null); echo [$x]; { > /dev/null; } && echo yes",
    "a failure in a subshell": "set -e; (false; echo no) || echo yes; x=$(false; echo in) && echo [$x]; "
    "if (false); then :; fi; echo end",
    "other shells": "x=1; export y=2; sh -c 'echo [$x][$y] $0 $1' a b; sh -ec 'false; echo no'; echo $?; "
    "env z=3 sh -c 'echo $z'",
    "numbers that are printed": "printf '%d-%03d|%5s|%-5s|%b\\n' 7 7 ab cd 'x\\ty'; printf '%s %s\\n' a b c; "
    "printf '\\101\\n'",
    "getopts": """set -- -a -bc -d x -ey -- z; while getopts abcd:e: o; do echo "$o [$OPTARG]"; done
shift $((OPTIND - 1))
echo $1; set -- -q -f; OPTIND=1; while getopts :f: o; do echo "$o [$OPTARG]"; done; f() { getopts x o && echo $o; }""",
    "options of the first line": "#!/bin/sh -u\nset -e; echo ${x-unset}",
    "a status of a test": '[ a = b ]; echo $?; x=$([ a = b ] && echo y); echo "[$x] $?"',
}


@pytest.mark.parametrize("name", LIKE_DASH)
@pytest.mark.real
def test_a_script_says_what_it_says_in_dash(name: str) -> None:
    need("dash", root=False)
    text = LIKE_DASH[name]
    said = subprocess.run(
        ["dash", "-c", text], capture_output=True, text=True, timeout=60, env={"PATH": "/usr/bin:/bin"}
    )
    status, output, _ = walked(text)
    assert (status, output) == (said.returncode, said.stdout)


def test_dash_is_asked_of_all_that_is_known_to_differ_only_by_refusing() -> None:
    for text in (
        "echo ~/x",
        "echo $((x = 1))",
        "cd -",
        "trap x ERR",
        "a & b",
        "[[ a = b ]]",
        "(trap x 0)",
        "exec > /x",
    ):
        with pytest.raises(NotKnown):
            walked(text)


FILES = [
    directory("etc", origin="base 1"),
    file("etc/passwd", b"root:x:0:0:root:/root:/bin/sh\nwww-data:x:33:33::/:/bin/sh\n", origin="base 1"),
    file("etc/group", b"root:x:0:\nwww-data:x:33:\n", origin="base 1"),
    directory("usr", origin="base 1"),
    directory("usr/bin", origin="base 1"),
    symlink("bin", "usr/bin", origin="base 1"),
    file("usr/bin/tool", b"x", mode=0o755, origin="tool 1"),
    directory("var", origin="base 1"),
    symlink("var/run", "/run", origin="base 1"),
    directory("usr/share", origin="base 1"),
    *(file(f"usr/share/{name}", b"", origin="base 1") for name in ("a.conf", "b.conf", ".c.conf", "d")),
]


def test_what_is_made_below_tmp_is_found_again_and_is_in_no_image() -> None:
    text = """d=$(mktemp -d)
f=$(mktemp)
echo a > $f
cp $f $d/x
cat $d/x
[ $d != $f ] && mv $d/x /etc/kept
mkdir /run/demo
"""
    _, output, tree = walked(text, entries=[*FILES, directory("run", origin="base 1")])
    assert output == "a\n"
    assert tree.made.keys() == {"etc/kept", "run/demo"}


def test_a_shell_script_of_the_tree_is_walked_and_a_program_is_not() -> None:
    script = file("usr/bin/helper", b"#!/bin/sh -e\necho $0 $1 [$inner][$outer]\nexit 3\n", mode=0o755, origin="x")
    program = file("usr/bin/program", b"\x7fELF", mode=0o755, origin="x")
    text = "inner=1; export outer=2; helper a || echo $?; [ -x /usr/bin/program ] && echo $inner"
    assert walked(text, entries=[*FILES, script, program])[1] == "/usr/bin/helper a [][2]\n3\n1\n"
    with pytest.raises(NotKnown, match="what program does is not known"):
        walked("program", entries=[*FILES, program])
    broken = file("usr/bin/helper", b"#!/bin/sh\ntrue\nodd --now\n", mode=0o755, origin="x")
    with pytest.raises(NotKnown, match="what odd does is not known") as caught:
        walked("\nhelper", entries=[*FILES, broken])
    assert (caught.value.line, caught.value.command) == (2, "helper, line 3: odd --now")


def test_files_links_and_folders_are_made_with_modes_and_owners() -> None:
    text = """
mkdir -p /var/lib/demo/sub
install -d -m 750 /var/lib/other
chown www-data:www-data /var/lib/demo
chmod 2755 /var/lib/demo /bin/tool
echo "x = $(which tool)" > /etc/demo.conf
echo y >> /etc/demo.conf
touch /etc/demo.conf /etc/empty
ln -s /usr/bin/tool /bin/twin
ln -sf ../a /usr/share/link
cp /usr/share/d /etc/copied
[ -x /bin/twin ] && [ -L /usr/bin/twin ] && [ "$(readlink /bin/twin)" = /usr/bin/tool ] && echo seen
"""
    status, output, tree = walked(text, entries=FILES)
    assert (status, output) == (0, "seen\n")
    assert {
        path: (entry.kind.value, oct(entry.mode), entry.uid, entry.target) for path, entry in tree.made.items()
    } == {
        "var/lib": ("directory", "0o755", 0, ""),
        "var/lib/demo": ("directory", "0o2755", 33, ""),
        "var/lib/demo/sub": ("directory", "0o755", 0, ""),
        "var/lib/other": ("directory", "0o750", 0, ""),
        "etc/demo.conf": ("file", "0o644", 0, ""),
        "etc/empty": ("file", "0o644", 0, ""),
        "etc/copied": ("file", "0o644", 0, ""),
        "usr/bin/tool": ("file", "0o2755", 0, ""),
        "usr/bin/twin": ("symlink", "0o777", 0, "/usr/bin/tool"),
        "usr/share/link": ("symlink", "0o777", 0, "../a"),
    }
    assert tree.read("/etc/demo.conf") == "x = /usr/bin/tool\ny\n"
    assert tree.made["usr/bin/tool"].origin == "tool 1" and tree.made["etc/empty"].origin == "demo 1"


def test_patterns_are_paths_of_the_tree() -> None:
    assert walked("echo /usr/share/*.conf /usr/*/d /nowhere/* '/usr/*'", entries=FILES)[1] == (
        "/usr/share/a.conf /usr/share/b.conf /usr/share/d /nowhere/* /usr/*\n"
    )


@pytest.mark.parametrize(
    ("text", "line", "why"),
    [
        ("\nchpasswd x", 2, "what chpasswd does is not known"),
        ("if true; then\n  /opt/x/fc-cache\nfi", 2, "what /opt/x/fc-cache does is not known"),
        ("/usr/bin/../../opt/fc-cache", 1, "is not known"),
        ("x=fc-cache.sh; $x", 1, "what fc-cache.sh does is not known"),
        ("echo x > /proc/sys/kernel/core_pattern", 1, "is no part of an image"),
        ("ln -s a /dev/x", 1, "is no part of an image"),
        ("echo x > /run/demo", 1, "is no part of an image"),
        ("ln -s a /var/run/demo", 1, "is no part of an image"),
        ("mkdir -p /../../x/../y", 1, "refusing path"),
        ("echo x > /no/folder/x", 1, "is no folder"),
        ("rm /usr/bin/tool", 1, "it would take away /usr/bin/tool"),
        ("mv /usr/bin/tool /usr/bin/x", 1, "it would take away"),
        ("rm -rf /usr", 1, "/usr, which is of the base"),
        ("chmod u+q /usr/bin/tool", 1, "the mode 'u\\+q' is not known"),
        ("chown nobody /usr/bin/tool", 1, "there is no nobody in /etc/passwd"),
        ("set -e\nfalse\ntrue", 2, "it would fail there, with status 1"),
        ("set -u; echo $nothing", 1, "it is not set"),
        (". /etc/shadow", 1, "is no file"),
        (". /usr/share/nothing", 1, "is no file"),
        ("echo $$", 1, "its value is not known"),
        ("if then", 0, "in no syntax"),
        ("umask u=rwx", 1, "modes that are not known"),
        ("update-alternatives --config editor", 1, "what it is to do is not known"),
        ("dpkg-trigger", 1, "what it is to do"),
    ],
)
def test_what_is_not_known_ends_the_walk_at_its_line(text: str, line: int, why: str) -> None:
    with pytest.raises(NotKnown, match=why) as caught:
        walked(text, entries=FILES)
    assert caught.value.line == line


HOSTILE = {
    "a loop without end": "while true; do x=1; done",
    "a loop over itself": "x='a a a a a a a a a a'; while :; do x=\"$x $x\"; done",
    "much output": "x=aaaaaaaaaaaaaaaa; while :; do x=$x$x; echo $x; done",
    "a function that calls itself": "f() { f; }; f",
    "two functions that call each other": "f() { g; }; g() { f; }; f",
    "a substitution in a function": "f() { x=$(f); }; f",
    "a file that sources itself": ". /etc/self",
    "deep nesting": "(" * 3000 + "true" + ")" * 3000,
    "many nested ifs": "if true; then " * 500 + "true;" + "fi; " * 500,
    "a long list": "true" + " && true" * 5000,
    "a value that is split again and again": "x='" + "a " * 100000 + "'; while :; do : $x; done",
    "a file that is read again and again": "x="
    + "a" * 100000
    + "; echo $x > /etc/l; while :; do x=$(cat /etc/l); done",
    "a value that is trimmed again and again": "x=" + "a" * 9000 + "; while :; do y=${x%%*b*}; done",
    "many files": "n=; while :; do n=a$n; touch /etc/$n; done",
    "a pattern of many stars": "x="
    + "a" * 5000
    + "; case $x in "
    + "*a" * 50
    + "b) echo;; esac; echo ${x##"
    + "*a" * 30
    + "b}; while :; do "
    "case $x in *a*a*a*a*b) ;; esac; done",
    "many words": "x='" + "a " * 50000 + "'; while :; do for i in $x; do :; done; done",
    "a large file": "x=" + "a" * 100000 + "; while :; do echo $x >> /etc/large; done",
    "globs": "while :; do for f in /*/* /*/*/* /etc/*; do :; done; touch /etc/$f; done",
    "no shell": "\x00\x01\xff" * 100,
    "too long": "#" * (300 << 10),
}


@pytest.mark.parametrize("name", HOSTILE)
def test_a_hostile_script_ends_within_seconds(name: str) -> None:
    entries = [*FILES, file("etc/self", b". /etc/self\n", origin="x")]
    started = time.process_time()
    with pytest.raises(NotKnown):
        walked(HOSTILE[name], entries=entries)
    assert time.process_time() - started < 20


@pytest.mark.real
def test_alternatives_are_as_dpkgs_own_tool_makes_them(tmp_path: Path) -> None:
    need("update-alternatives", root=False)
    programs = ("one", "two", "three", "man1", "man2", "only2")
    calls = [
        "--install /usr/bin/prog prog /usr/bin/one 10 --slave /usr/share/prog.1 prog.1 /usr/bin/man1",
        "--install /usr/bin/prog prog /usr/bin/two 50 --slave /usr/share/prog.1 prog.1 /usr/bin/man2 "
        "--slave /usr/share/extra a-extra /usr/bin/only2 --slave /usr/share/gone gone /usr/bin/gone",
        "--install /usr/bin/prog prog /usr/bin/three 20",
        "--install /usr/bin/tie tie /usr/bin/one 5",
        "--install /usr/bin/tie tie /usr/bin/two 5",
        "--install /usr/bin/low low /usr/bin/one -5 --slave /usr/share/low.1 low.1 /usr/bin/man1",
    ]
    for folder in ("usr/bin", "usr/share", "etc/alternatives", "var/lib/dpkg/alternatives", "var/log"):
        (tmp_path / folder).mkdir(parents=True)
    for name in programs:
        (tmp_path / "usr/bin" / name).write_text("x")
    for call in calls:
        command = ["update-alternatives", "--root", str(tmp_path), "--log", "/dev/null", "--quiet", *call.split()]
        subprocess.run(command, check=True, capture_output=True, timeout=60)
    entries = [directory(each, origin="x") for each in ("usr", "usr/bin", "usr/share", "etc", "var", "var/lib")]
    entries += [file(f"usr/bin/{name}", b"x", origin="x") for name in programs]
    tree = walked("\n".join(f"update-alternatives {call}" for call in calls), entries=entries)[2]
    states = {path.name: path.read_text() for path in (tmp_path / "var/lib/dpkg/alternatives").iterdir()}
    assert {name: tree.read(f"/var/lib/dpkg/alternatives/{name}") for name in states} == states
    links = {
        f"/{path.relative_to(tmp_path)}": str(path.readlink()) for path in tmp_path.rglob("*") if path.is_symlink()
    }
    made = {f"/{path}": entry.target for path, entry in tree.made.items() if entry.target}
    assert made == {place: target.removeprefix(str(tmp_path)) for place, target in links.items()}
