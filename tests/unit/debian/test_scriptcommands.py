"""Commands of maintainer scripts, held to the programs that they are named after: what they say, leave and end with."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest

from oci_builder.debian.shell import NotKnown
from oci_builder.tree.entry import Entry, Kind, directory, file, symlink
from tests.support.real import need
from tests.unit.debian.test_shell import walked

FILES = {
    "list": "pear 10\napple 9\nfig 2\n\npear 10\nApple 1\n",
    "passwd": "root:x:0:0:root:/root:/bin/bash\nwww:x:33:33::/var/www:/bin/sh\nnobody:x:65534:65534::/:/none\n",
    "conf": "# a comment\nkey = value # more\n  indented=yes\nPermitRootLogin no\n#Port 22\n[a]\nx=1\n[b]\nx=2",
    "empty": "",
    "deep/one.conf": "1\n",
    "deep/two.txt": "2\n",
    "deep/er/three.conf": "3\n",
    "deep/.hidden": "h\n",
}
FOLDERS = ("deep", "deep/er", "deep/void")

SAYS = {
    "sort": "sort list; sort -u list; sort -r list; sort -k2n list; sort -t: -k3n passwd; sort -nk2 -r list",
    "sort two files": "sort list passwd; echo b | sort - empty; sort -c list; echo $?; sort none; echo $?",
    "uniq": "sort list | uniq; sort list | uniq -c; sort list | uniq -d; sort list | uniq -u",
    "cut": "cut -d: -f1 passwd; cut -d: -f1,3-4 passwd; cut -d: -f3- passwd; cut -c2-4 list; cut -d: -f2 -s list",
    "tr": "tr a-z A-Z < list; tr -d aeiou < list; tr -s p < list; tr '\\n' ' ' < list; tr -cd 0-9 < list; "
    "tr ' ' '\\n' < list; tr ab x < list; tr -s ' \\n' < list; tr '[:lower:]' '[:upper:]' < list",
    "head and tail": "head -n2 list; head -2 list; tail -1 list; tail -n +3 list; head -c 5 list; "
    "tail -n2 conf; head empty",
    "wc": "wc -l < list; wc -l list; wc -w < conf; wc -c conf",
    "tac and tee": "tac list; echo x | tee new; cat new; echo y | tee -a new > /dev/null; cat new",
    "sums": "md5sum list empty; sha256sum < list; md5sum list | cut -d' ' -f1; md5sum none; echo $?",
    "cmp": "cmp -s list list; echo $?; cmp -s list conf; echo $?; cmp -s list none; echo $?; diff -q list list; "
    "echo $?",
    "expr": "expr 3 + 4; expr 3 - 3; echo $?; expr abc : 'a\\(.\\)c'; expr abc : ab; expr xbc : 'a.*'; echo $?; "
    "expr 7 '*' 6; expr a = a; expr a = b; echo $?; expr '' : 'x*'; echo $?",
    "seq": "seq 3; seq 2 4",
    "base64": "echo aGVsbG8K | base64 -d",
    "find": "find deep | sort; find deep -name '*.conf' | sort; "
    "find deep -type f -name '*.conf' -o -type d -empty | sort; "
    "find deep -maxdepth 1 -type f | sort; find deep ! -name '*.conf' -type f | sort; find deep none -type l; echo $?; "
    "find deep -mindepth 2 | sort; find deep \\( -name '*.txt' -o -name '.h*' \\) -print | sort; "
    "find deep -path '*er/*'",
    "find that prints": "find deep -name '*.conf' -printf '%f %P %p\\n' | sort; "
    "find deep -maxdepth 0 -printf '[%P]\\n'",
    "find acts": "find deep -name '*.conf' -exec echo got {} \\; | sort; find deep -name '*.txt' -delete; ls deep; "
    "find deep -type d -empty -delete; ls deep; find deep -name '*.conf' -print0 | xargs -0 -n1 basename | sort; "
    "find deep -type f -exec cat {} + | sort",
    "xargs": "echo a b c | xargs echo x; echo a b c | xargs -n2 echo; printf 'a\\nb\\n' | xargs -I{} echo [{}]; "
    "true | xargs echo none; true | xargs -r echo never; echo list | xargs cat",
    "ls": "ls deep; ls -1 deep/er; ls -A deep; ls list none; echo $?; ls -d deep; ls deep deep/er; "
    "for i in `ls deep`; do echo $i; done",
    "stat": "chmod 4750 list; stat -c %a list; stat -c '%a %F %n' list deep; stat -c %s conf; stat -c %s none; echo $?",
    "paths": "basename -s .conf deep/one.conf; dirname deep/er/ /a/b a; (cd deep; echo *; pwd | tail -c 5; "
    "cat one.conf); "
    "ln -s deep/er l; readlink l; readlink list; echo $?; readlink -e none; echo $?; cd deep && ls er; cd ..; "
    "ls -d deep; cd nowhere || echo $?; "
    "cd ./deep/../deep/er; pwd; cd ..; for i in *.conf; do echo $i; done; find . -name '*.txt'; echo */*",
    "tests of files": "[ -s list ] && echo 1; [ -s empty ] || echo 2; [ -d deep ] && echo 3; [ -e none ] || echo 4; "
    "ln -s none dangling; [ -L dangling ] && echo 5; [ -e dangling ] || echo 6; [ -f deep ] || echo 7",
}

SEDS = {
    "substitution": "sed s/p/P/ list; sed s/p/P/g list; sed 's/p/P/2' list; sed 's/\\(.\\)p/\\1-&/' list; "
    "sed 's,e,/,' list",
    "extended": "sed -E 's/([a-z]+) ([0-9]+)/\\2 \\1/' list; sed -r 's/(apple|pear)/X/' list; sed -E 's/x?/-/g' list",
    "basic": "sed 's/a\\+/X/; s/e\\?r/Y/' list; sed 's/p\\{2\\}/Z/' list; sed 's/^[[:space:]]*//' conf; "
    "sed 's/a*/x/g' list",
    "addresses": "sed -n 2p list; sed -n '2,4p' list; sed -n '$p' list; sed 2d list; sed '/pear/d' list; "
    "sed -n '/apple/,/^$/p' list; "
    "sed '1,/apple/d' list; sed -n '2!p' list; sed -n '/pear/,+1p' list; sed -n '0~2p' list; "
    "sed -n '4,2p' list; sed -n '0,/pear/p' list",
    "sections": "sed -n '/^\\[a\\]/,/^\\[/p' conf; sed '/^#/d; /^$/d' conf; sed -n 's/^x=\\(.*\\)/\\1/p' conf",
    "blocks": "sed -n '/pear/{s/pear/PEAR/;p}' list; sed '/pear/{/10/d}' list; sed -e '1{' -e 's/p/q/' -e '}' list",
    "quitting": "sed 2q list; sed -n '/fig/{p;q}' list; sed '/^$/q' list; sed '3q;s/p/q/' list; sed 1Q list",
    "adding": "sed '1i first' list; sed '$a last' list; sed '2c other' list; sed '/fig/a\\\nafter' list; "
    "sed '2,3c gone' list",
    "other commands": "sed y/abc/xyz/ list; sed = list; sed -n 'n;p' list; sed '$!N;s/\\n/+/' list; "
    "sed -n 'H;${x;s/\\n/,/g;p}' list; "
    "sed ':a;s/^\\(.\\{1,6\\}\\)$/ \\1/;ta' list; sed 'G' list; sed -n 'l;d' list || true",
    "no newline at the end": "sed s/x/y/ conf; sed -n '$p' conf; sed '$d' conf; sed p conf",
    "in place": "sed -i s/p/P/ list; cat list; sed -i -e 1d -e '$d' list conf; cat list conf; "
    "sed -i 's/^#*Port .*/Port 23/' conf; cat conf",
    "ignoring case": "sed 's/APPLE/x/I' list; sed -n '/APPLE/Ip' list; sed 's/permitrootlogin/y/Ig' conf",
    "delimiters": "sed 's|/bin/|/usr/bin/|g' passwd; sed -n '\\,/root,p' passwd; sed 's/\\//:/g' passwd; "
    "sed 's,[/,],-,g' passwd",
    "of locales": "sed -e 's/^ *[a-zA-Z]/# &/' list; sed -e '/^[a-zA-Z]/!d' -e 's/ *$//g' list",
    "an empty pattern": "sed -n '/pear/s//PEAR/p' list",
    "two files": "sed -n '$p' list conf; sed -s -n '$p' list conf; sed q list conf; sed p none; echo $?",
}

AWKS = {
    "fields": "awk '{print $1}' list; awk '{print $2, $1}' list; awk -F: '{print $1}' passwd; "
    "awk '{print $NF}' list; awk '{print NF}' list",
    "patterns": "awk '/pear/' list; awk '/pear/ {print $2}' list; awk '$1 == \"fig\" {print $2}' list; "
    "awk -F: '$3 > 30' passwd; "
    "awk '$2 ~ /^1/ && NF == 2' list; awk '!/pear/' list; awk 'NR == 2 {print; exit}' list; "
    "awk '$1 ~ /^[^#]/ {print $1}' conf",
    "numbers": "awk '{n = n + $2} END {print n}' list; awk -v x=3 '{print $2 * x - 1}' list; "
    "awk 'END {print NR, int(7/2), 7 % 4}' list",
    "text": 'awk \'{print $1 "-" $2}\' list; awk \'{gsub("p", "P"); print}\' list; awk \'{sub(/e.*/, ""); print $0}\' '
    "list; "
    "awk '{print length($1), substr($1, 2, 2), toupper($1), index($1, \"p\")}' list",
    "choices": 'awk \'{if ($2 > 9) print "many"; else if ($2 > 1) { print "some" } else print "one"}\' list',
    "beginning and end": 'awk \'BEGIN {print "a"} END {print "b"}\' list; awk \'BEGIN {x = "q"; print x}\'; '
    "awk -F: 'END {print $1}' passwd",
    "of libpam": "awk '{if ($1 ~ /^key/) { p=$2 } else if ($0 ~ /^x=[12]/) { print p, $0 }}' conf",
    "numbers that are read": "awk '$2 == 10.0 {print \"same\"}' list; awk '\"10\" == 10.0' list; "
    "awk '$1 > 5 {print $1}' list",
}

LEAVES = {
    "modes in octal": "chmod 600 list; chmod 2755 deep; chmod 755 deep; chmod 00755 deep; chmod 1777 deep/er; "
    "chmod 0640 conf",
    "modes in letters": "chmod u+x,go-r list; chmod a=r conf; chmod u+s empty; chmod g+s deep; chmod o= passwd; "
    "chmod +x deep/one.conf; "
    "chmod -R go-rwX deep/er; chmod u=rwx,g=u deep/two.txt; chmod +t deep/void; chmod g=rx,o-rx deep/er; "
    "chmod -x deep/one.conf",
    "umask": "umask 027; mkdir a; touch b; echo x > c; mkdir -m 755 d; (umask 077; touch e); touch f; "
    "umask > g; mkdir -p h/i",
    "install": "install -d -m 750 a b/c; install -m 600 list d; install list conf deep/er; "
    "install -D -m 644 list x/y/z; "
    "install -m 4755 -T conf e; install --mode 644 /dev/null n; install -t deep/void list; install -dm700 o",
    "copies": "cp list a; cp list conf deep/er; chmod 640 list; cp -p list b; cp -a list c; cp list d; cp -r deep e; "
    "ln -s list l; cp l f; cp -d l g; cp -n conf f; cp conf a; cp -T list deep/void/q",
    "moves": "mv list a; mv conf passwd deep/er; mv -f a b; ln -s b l; mv l m; mv empty deep/void/; "
    "mv -n b deep/one.conf; true",
    "links": "ln -s list a; ln -s ../list deep/b; ln -sf conf a; ln -s list deep; ln -sfn deep/er d; "
    "ln -sfn deep d; ln -sf list passwd; "
    "ln -sT x t; ln -snf deep/void deep/void; ln -sr deep/er/three.conf r; ln -s a a || echo no > n; ln list hard",
    "removals": "rm list; rm -f none conf; rm -rf deep/er none; rmdir deep/void; rm deep/one.conf; "
    "rmdir deep || true; mkdir -p a/b/c; "
    "rmdir -p a/b/c; rm -r deep; touch q; rm -- q; rmdir --ignore-fail-on-non-empty none || true",
    "folders": "mkdir a b; mkdir -p c/d/e; mkdir a || touch failed; mkdir -p a; mkdir -m 2770 f; "
    "mkdir -pm 700 g/h; mkdir i/j || touch no",
    "appending": "echo x >> list; echo y >> new; : > conf; > passwd; cat deep/*.conf > all; { echo a; echo b; } >> all",
    "find that changes": "find deep -type f -exec chmod 600 {} +; find deep -type d -exec chmod 700 {} \\;; "
    "find . -empty -delete",
}


def world(folder: Path) -> None:
    for name in FOLDERS:
        (folder / name).mkdir(parents=True)
    for name, text in FILES.items():
        (folder / name).write_text(text)
        (folder / name).chmod(0o644)


def entries() -> list[Entry]:
    found: list[Entry] = [directory("w", origin="base 1")]
    found += [directory(f"w/{name}", origin="base 1") for name in FOLDERS]
    found += [file(f"w/{name}", text.encode(), origin="base 1") for name, text in FILES.items()]
    return found


def real(script: str, folder: Path) -> tuple[int, str]:
    world(folder)
    said = subprocess.run(
        ["dash", "-c", f"umask 022; cd {folder}; {script}"],
        capture_output=True,
        text=True,
        timeout=60,
        env={"PATH": "/usr/sbin:/usr/bin:/sbin:/bin", "LC_ALL": "C"},
    )
    return said.returncode, said.stdout.replace(str(folder), "/w")


@pytest.mark.real
@pytest.mark.parametrize("name", [*SAYS, *SEDS, *AWKS])
def test_a_command_says_what_the_real_one_says(name: str, tmp_path: Path) -> None:
    need("dash", "sed", "awk", "find", root=False)
    script = {**SAYS, **SEDS, **AWKS}[name]
    if "sed -n 'l;d'" in script:
        script = script.replace("; sed -n 'l;d' list || true", "")
    (tmp_path / "w").mkdir()
    status, output, _ = walked(f"cd /w; {script}", entries=entries(), removable=True)
    assert (status, output) == real(script, tmp_path / "w")


def shape(path: Path) -> dict[str, tuple[str, str, str]]:
    found = {}
    for each in sorted(path.rglob("*")):
        name = str(each.relative_to(path))
        if each.is_symlink():
            found[name] = ("symlink", "", str(each.readlink()))
        elif each.is_dir():
            found[name] = ("directory", f"{each.stat().st_mode & 0o7777:o}", "")
        else:
            found[name] = ("file", f"{each.stat().st_mode & 0o7777:o}", each.read_text())
    return found


@pytest.mark.real
@pytest.mark.parametrize("name", LEAVES)
def test_a_command_leaves_what_the_real_one_leaves(name: str, tmp_path: Path) -> None:
    need("dash", "find", root=False)
    (tmp_path / "w").mkdir()
    real(LEAVES[name], tmp_path / "w")
    _, _, tree = walked(f"cd /w; {LEAVES[name]}", entries=entries(), removable=True)
    found = {}
    for path in tree.below("/w"):
        entry = tree.get(path, follow=False)
        assert entry is not None
        text = tree.read(path) if entry.kind is Kind.FILE else entry.target
        mode = "" if entry.kind is Kind.SYMLINK else f"{entry.mode:o}"
        found[path.removeprefix("/w/")] = (entry.kind.value, mode, text)
    assert found == shape(tmp_path / "w")


@pytest.mark.parametrize(
    "text",
    [
        "sed 'w /etc/x' list",
        "sed 's/a/b/w x' list",
        "sed 's/a/b/e' list",
        "sed e list",
        "sed 'r /etc/passwd' list",
        "awk 'BEGIN {system(\"id\")}'",
        "awk '{print > \"x\"}' list",
        "awk 'BEGIN {while (1) x = x \"a\"}'",
        "awk '{ getline; print }' list",
        "find . -newer list",
        "find . -exec nothing {} \\;",
        "find . -fprint x",
        "sort -R list",
        "xargs -P4 echo",
        "ls -l",
        "stat -c %i list",
        "su -c id",
        "git clone x",
        "java -jar x.jar",
        "gzip list",
        "chown -R root:root /w --reference=x",
        "cp --reflink list a",
        "tar xf list",
    ],
)
def test_what_a_command_cannot_be_known_to_do_is_refused(text: str) -> None:
    with pytest.raises(NotKnown):
        walked(f"cd /w; {text}", entries=entries(), removable=True)


def test_what_the_base_has_is_not_taken_away() -> None:
    for text in ("rm list", "rm -rf deep", "find deep -name '*.txt' -delete", "mv list a", "rmdir deep/void"):
        with pytest.raises(NotKnown, match=r"which is of the base|is there"):
            walked(f"cd /w; {text}", entries=entries())


def test_a_link_in_a_folder_is_not_followed_by_what_takes_all_away() -> None:
    more = [*entries(), symlink("w/deep/out", "/w/list", origin="base 1")]
    tree = walked("cd /w; rm -rf deep", entries=more, removable=True)[2]
    assert tree.has("/w/list") and not tree.has("/w/deep")
