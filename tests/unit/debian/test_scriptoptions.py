"""Options of commands in maintainer scripts: each is known and does what the real program does, or ends the walk."""

from __future__ import annotations

from pathlib import Path

import pytest

from oci_builder.debian.commands import COMMANDS
from oci_builder.debian.scripttree import ScriptTree
from oci_builder.debian.shell import NotKnown, Shell
from oci_builder.tree.content import MappedFiles
from oci_builder.tree.entry import Entry, file
from oci_builder.tree.tree import Tree
from tests.support.real import need
from tests.unit.debian.test_scriptcommands import entries, real
from tests.unit.debian.test_shell import walked

SAYS = {
    "xargs with letters together": "printf 'a\\0b c\\0' | xargs -0r echo; printf 'a\\0b\\0' | xargs -r0n1 echo; "
    "printf 'a b\\n' | xargs --null -I{} echo '[{}]'; true | xargs -0r echo never",
    "sort by a key": "printf 'b 2\\na 2\\nc 1\\n' | sort -k2nr; printf '1 b\\n1 a\\n2 c\\n' | sort -n -u; "
    "printf 'b\\nA\\n' | sort -f; printf 'a 2\\nb 10\\n' | sort -k2,2n; printf '.5\\n0.4\\nx\\n' | sort -n",
    "tr with numbers of letters": "printf 'a\\nb' | tr '\\012' ' '; printf 'a\\001\\037b' | tr -d '\\000-\\037'; "
    "printf 'a-b' | tr -- - _; printf 'a-b' | tr 'a-' 'xy'",
    "sums that are checked": "md5sum list empty > sums; md5sum -c sums; echo $?; md5sum --quiet -c sums; "
    "echo x > empty; md5sum -c sums 2> /dev/null; echo $?; md5sum -c --status sums; echo $?; md5sum -b list",
    "options behind names": "ls deep -d; cat list -u; ls -d -- deep",
    "files that are one": "cp list list 2> /dev/null; echo $?; mv list list 2> /dev/null; echo $?; cat list",
    "an empty folder": "mkdir e; rm -d e; echo $?; rm -d deep 2> /dev/null; echo $?",
    "what is compared as numbers": "expr 01 = 1; expr a1 = 1; expr 2 != 02; echo $?",
    "shift": "set -- 1 2 3 4 5 6 7 8 9 10 11; shift 0; echo $1; shift 10; echo $*",
    "no patterns": "set -f; echo *; set +f; echo li*",
    "export behind command": "command export A=1; sh -c 'echo $A'; command export A; echo $A",
    "env holds for one command": "A=1; env A=2 sh -c 'echo $A'; echo $A; env B=1 sh -c 'echo $B'; echo [$B]",
    "hash and type": "hash cat; echo $?; hash nosuch 2> /dev/null; echo $?; hash -r; type cat > /dev/null; echo $?; "
    "type nosuch > /dev/null 2>&1; echo $?",
    "blanks of Unicode": "printf 'a\\302\\240b c\\n' > n; wc -w < n; xargs -n1 echo < n; awk '{ print NF }' n",
    "a return in a line": "printf 'a b\\r\\n' | awk '{ print $2 \"|\" }' | tr '\\r' R",
    "patterns of find": "find deep -iname '*.CONF' | sort; find deep -name '.*' -exec echo + {} \\;",
    "a script of bash between": "printf '#!/bin/bash\\necho x\\n' > b; chmod +x b; ./b; echo 'a\\tb'",
}

REFUSED = (
    *(
        "diff -s list list",
        "tac -s x list",
        "sort -k1 -k2 list",
        "sort -k12 list",
        "sort -z list",
        "sort -g list",
        "sort -t ab list",
    ),
    *("sort -k2n -r list", "cut -c 0 list", "cut -c 3-1 list", "cut -f1 -f2 list", "tr é e < list", "tr a < list"),
    *("find deep -execdir ls {} ;", "find deep -name 'a\\*'", "find deep -exec echo +", "xargs -P2 echo", "xargs -n0"),
    *(
        "sed -ie s/a/b/ list",
        "grep -e",
        "x=$(diff list conf)",
        "cmp list conf | cat",
        "diff -s list list",
        "cmp -w a b",
    ),
    *("x=$(mkdir -v new)", "chmod -v 644 list | cat", "chmod --no-dereference 644 list", "mktemp --suffix XXX aXXX"),
    *("cp list conf none", "mv list conf none", "cp -t none list", "basename a b c", "which -a cat", "command -V cat"),
    *("set", "shift 5", "shift x", "exit 300", "exit 1 2", "read", "pwd -x", "wait 1", "export -p", ". list a"),
    *("set -C; echo x > list", "dpkg-query -S bin/cat", "dpkg-query -W --admindir=/x cat", "dpkg -S /w"),
    *("dpkg-query -W -f '${source:Package}' demo", "dpkg-query -W -f '${db:Status-Abbrev}' demo"),
)
STATUS = {
    "demo": "Package: demo\nVersion: 1\nArchitecture: amd64\nMulti-Arch: same\n",
    "plain": "Package: plain\nVersion: 2\nArchitecture: all\n",
}


def packages() -> list[Entry]:
    return [file(f"var/lib/dpkg/status.d/{name}", text.encode(), origin="base 1") for name, text in STATUS.items()]


@pytest.mark.real
@pytest.mark.parametrize("name", SAYS)
def test_an_option_does_what_the_real_one_does(name: str, tmp_path: Path) -> None:
    need("dash", "find", root=False)
    (tmp_path / "w").mkdir()
    status, output, _ = walked(f"cd /w; {SAYS[name]}", entries=entries(), removable=True)
    assert (status, output) == real(SAYS[name], tmp_path / "w")


@pytest.mark.parametrize("command", REFUSED)
def test_an_option_that_is_not_known_ends_the_walk(command: str) -> None:
    with pytest.raises(NotKnown):
        walked(f"cd /w; {command}", entries=[*entries(), *packages()], removable=True)


def test_dpkg_names_a_package_of_several_architectures_with_its_own() -> None:
    text = "dpkg-query -W; dpkg-query -W -f 'a=${binary:Package} ${Package} ${db:Status-Status}\\n' demo plain"
    wanted = "a=demo:amd64 demo installed\na=plain plain installed\n"
    assert walked(text.partition("; ")[2], entries=packages())[1] == wanted
    assert walked(text.partition("; ")[2].replace("-f ", "--showformat "), entries=packages())[1] == wanted
    assert walked(text.partition("; ")[2].replace("-f ", "-f="), entries=packages())[1] == wanted


def test_an_answer_that_is_given_under_env_stays() -> None:
    shell = Shell(ScriptTree(Tree(()), MappedFiles()), COMMANDS, {"debconf:a": "before"})
    assert shell.run("env X=1 db_set a after; env X=1 dpkg-trigger t; db_get a; echo $RET") == 0
    assert (shell.output, "trigger:t" in shell.variables) == ("after\n", True)


def test_links_in_a_folder_change_hands_themselves() -> None:
    _, _, tree = walked("cd /w; ln -s list deep/link; chown -R 12:13 deep", entries=entries(), removable=True)
    link, target = tree.get("/w/deep/link", follow=False), tree.get("/w/list")
    assert link is not None and target is not None
    assert (link.uid, link.gid, target.uid) == (12, 13, 0)


def test_work_that_multiplies_is_counted() -> None:
    many = ",".join(str(number) for number in range(1, 3000))
    with pytest.raises(NotKnown, match="steps"):
        walked(f"x=$(printf '%0999d' 1); x=$x$x$x$x$x$x$x$x; echo $x$x | cut -c {many} > /dev/null")
    with pytest.raises(NotKnown, match="set of letters"):
        walked(f"echo a | tr -d {'a-z' * 2000}")
