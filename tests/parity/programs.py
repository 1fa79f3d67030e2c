"""``make debian-parity DEBIAN=--programs``: programs of added packages, run in a built image as its unprivileged user.

They run in a chroot, in namespaces of their own, and in the distribution's docker, without network. An image has
several of them, so that they have to get along with each other; one that is refused is left out, and said.
"""

from __future__ import annotations

import contextlib
import io
import shutil
import subprocess
import tarfile
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from oci_builder.cli import main
from tests.support import engines
from tests.support.engines import DockerLike
from tests.support.overlaid import layers_of
from tests.support.real import need

_PDF = "head -c 4 /tmp/p.pdf"
_C = r"#include <libpq-fe.h>\n#include <stdio.h>\nint main(){printf(\"%%d\\n\", PQlibVersion() > 150000);return 0;}\n"
_CONF = (
    "pid /tmp/n; error_log /tmp/e; events {} http { access_log off; client_body_temp_path /tmp/1; "
    "proxy_temp_path /tmp/2; fastcgi_temp_path /tmp/3; uwsgi_temp_path /tmp/4; scgi_temp_path /tmp/5; }"
)


@dataclass(frozen=True)
class Program:
    """A program that ``packages`` bring: what is done with it, and what it then says."""

    name: str
    packages: tuple[str, ...]
    script: str
    says: str


def _program(name: str, packages: str, script: str, says: str) -> Program:
    return Program(name, tuple(packages.split()), script, says)


GROUPS: Sequence[Sequence[Program]] = (
    (
        _program(
            "git",
            "git",
            "cd /tmp && git init -q a && git -C a -c user.name=a -c user.email=a@b commit -q --allow-empty -m told && "
            "git clone -q file:///tmp/a b && git -C b log --format=%s",
            "told",
        ),
        _program("curl", "curl", "curl -s file:///etc/os-release", "Debian"),
        _program("wget", "wget", "wget --version", "GNU Wget"),
        _program("unzip", "unzip zip", "cd /etc && zip -q /tmp/z.zip os-release && unzip -l /tmp/z.zip", "os-release"),
        _program("ps", "procps", "ps ax", "PID"),
        _program("xz", "xz-utils", "echo told | xz | xz -d", "told"),
        _program("jq", "jq", "echo '{\"a\": 42}' | jq .a", "42"),
        _program("rsync", "rsync", "rsync -a /etc/os-release /tmp/r && cat /tmp/r", "Debian"),
        _program("tree", "tree", "tree -L 1 /usr", "directories"),
        _program("vim", "vim", "vim -es -u NONE -c 'r /etc/os-release' -c 'w! /tmp/v' -c 'q!'; cat /tmp/v", "Debian"),
        _program("bash", "bash", "bash -c 'a=(1 42); echo ${a[1]}'", "42"),
        _program("file", "file", "file /etc/os-release", "symbolic link"),
        _program("less", "less", "less --version", "less"),
        _program("tmux", "tmux", "tmux -V", "tmux 3"),
        _program("gpg", "gnupg", "gpg --homedir /tmp --version", "gpg (GnuPG)"),
        _program("ssh", "openssh-client", "ssh -V 2>&1", "OpenSSH"),
        _program("msgfmt", "gettext", "msgfmt --version", "GNU gettext"),
        _program("locale", "locales libc-bin", "locale -a", "C.utf8"),
    ),
    (
        _program(
            "gcc",
            "gcc libc6-dev libpq-dev",
            f"printf '{_C}' > /tmp/a.c && gcc -I/usr/include/postgresql /tmp/a.c -o /tmp/a -lpq && /tmp/a",
            "1",
        ),
        _program(
            "make",
            "build-essential",
            "cd /tmp && printf 'a:\\n\\t@c++ --version\\n' > Makefile && make a",
            "Free Software",
        ),
        _program("node", "nodejs", "node -e 'console.log(6 * 7)'", "42"),
        _program("java", "default-jre-headless", "java -version 2>&1", "OpenJDK"),
        _program("psql", "postgresql-client", "psql --version", "psql (PostgreSQL) 15"),
        _program("mysql", "default-mysql-client", "mysql --version", "MariaDB"),
        _program("sqlite3", "sqlite3", "sqlite3 :memory: 'select 6 * 7'", "42"),
        _program("redis-server", "redis-server", "redis-server --version", "Redis server"),
        _program("nginx", "nginx", f"echo '{_CONF}' > /tmp/n.conf; nginx -t -c /tmp/n.conf 2>&1", "successful"),
        _program("supervisord", "supervisor", "supervisord --version", "4."),
    ),
    (
        _program(
            "ffmpeg",
            "ffmpeg",
            "ffmpeg -loglevel error -f lavfi -i testsrc=d=1:s=64x64:r=5 -c:v libx264 -y /tmp/o.mp4 && "
            "ffprobe -v error -show_entries stream=codec_name -of csv=p=0 /tmp/o.mp4",
            "h264",
        ),
        _program("convert", "imagemagick", "convert rose: /tmp/r.png && identify /tmp/r.png", "PNG 70x46"),
        _program(
            "tesseract",
            "tesseract-ocr imagemagick",
            "convert -size 400x80 xc:white -font /usr/share/fonts/truetype/dejavu/DejaVuSans.ttf -pointsize 40 "
            "-annotate +10+50 'Hello 42' /tmp/t.png && tesseract /tmp/t.png - 2>/dev/null",
            "Hello 42",
        ),
        _program("dot", "graphviz", "echo 'digraph { a -> b }' | dot -Tsvg", "<svg"),
        _program("gs", "ghostscript", f"gs -q -sDEVICE=pdfwrite -o /tmp/p.pdf -c showpage; {_PDF}", "%PDF"),
        _program("pdftotext", "poppler-utils", "pdftotext -v 2>&1", "pdftotext version"),
        _program("pandoc", "pandoc", "echo '# told' | pandoc -t html", "<h1"),
        _program(
            "wkhtmltopdf",
            "wkhtmltopdf",
            "echo '<p>told' > /tmp/x.html; export QT_QPA_PLATFORM=offscreen XDG_RUNTIME_DIR=/tmp; "
            f"wkhtmltopdf -q /tmp/x.html /tmp/p.pdf; {_PDF}",
            "%PDF",
        ),
    ),
    (
        _program(
            "chromium",
            "chromium",
            "chromium --headless --no-sandbox --disable-gpu --disable-dev-shm-usage --user-data-dir=/tmp/c "
            f"--print-to-pdf=/tmp/p.pdf 'data:text/html,<h1>told</h1>' 2>/dev/null; {_PDF}",
            "%PDF",
        ),
        _program(
            "soffice",
            "libreoffice-writer",
            "echo told > /tmp/p.txt; soffice --headless --convert-to pdf --outdir /tmp /tmp/p.txt >/dev/null 2>&1; "
            f"{_PDF}",
            "%PDF",
        ),
    ),
)

_RECIPE = """name = "programs"
base = "{base}"
base-packages = [{packages}]
platforms = ["linux/amd64"]
[user]
name = "app"
uid = 1000
gid = 1000
"""

_INSIDE = """
set -e
cd "$ROOT"
for each in dev tmp run; do mount -t tmpfs tmpfs $each; done
chmod 1777 tmp
mount -t proc proc proc
mkdir dev/shm
chmod 1777 dev/shm
for each in null zero random urandom; do touch dev/$each; mount --bind /dev/$each dev/$each; done
ln -s /proc/self/fd dev/fd
exec chroot --userspec=1000:1000 . /usr/bin/env -i HOME=/home/app LANG=C.UTF-8 \\
    PATH=/usr/local/bin:/usr/local/sbin:/usr/sbin:/usr/bin:/sbin:/bin /bin/sh -c "$SCRIPT"
"""


@dataclass(frozen=True)
class Ran:
    """What became of a program: empty text where it said what it should, in a chroot and in docker."""

    program: Program
    refused: str = ""
    chroot: str = ""
    docker: str = ""


def ran(groups: Iterable[Sequence[Program]], base: str, folder: Path) -> Iterator[Ran]:
    """Build images with the programs of each group, in the empty ``folder``, and run them; needs root and docker."""
    need("/usr/sbin/dockerd", "/usr/bin/docker", "containerd", "runc", "unshare", "chroot")
    with engines.dockerd() as docker:
        for number, group in enumerate(groups):
            yield from _group(list(group), base, folder / str(number), docker)
            shutil.rmtree(folder / str(number))


def _group(programs: list[Program], base: str, folder: Path, docker: DockerLike) -> Iterator[Ran]:
    refused: dict[str, str] = {}
    taken, number = programs, 0
    why = _built(taken, base, folder / "0")
    while why:
        # A package that is named is why; or one that others link to, and then each is tried alone.
        named = why.removeprefix("ocibuild: ").partition(" ")[0]
        named_by = {one.name: why for one in taken if named in one.packages}
        refused |= named_by or {one.name: alone for one in taken if (alone := _alone(one, base, folder / "alone"))}
        left = [one for one in programs if one.name not in refused]
        if not left or left == taken:
            break
        taken, number = left, number + 1
        why = _built(taken, base, folder / str(number))
    yield from (Ran(one, refused=refused.get(one.name, why)) for one in programs if why or one.name in refused)
    if why:
        return
    archive = folder / str(number) / "image.tar"
    root = folder / "root"
    for layer in layers_of(archive):
        with tarfile.open(fileobj=io.BytesIO(layer)) as plain:
            plain.extractall(root, filter="fully_trusted")
    image = docker.load(archive)
    for one in taken:
        yield Ran(one, chroot=_in_chroot(one, root), docker=_in_docker(one, image, docker))
    docker.remove(image)


def _alone(one: Program, base: str, folder: Path) -> str:
    try:
        return _built([one], base, folder)
    finally:
        shutil.rmtree(folder)


def _built(programs: Sequence[Program], base: str, folder: Path) -> str:
    """Build an image; why it is refused, or nothing."""
    packages = dict.fromkeys(name for one in programs for name in one.packages)
    (folder / "project").mkdir(parents=True)
    text = _RECIPE.format(base=base, packages=", ".join(f'"{name}"' for name in packages))
    (folder / "project" / "image.toml").write_text(text)
    said = io.StringIO()
    with contextlib.redirect_stderr(said):
        code = main(["build", str(folder / "project"), "--out", str(folder / "image.tar"), "--progress", "none"])
    if not code:
        return ""
    return next((line for line in said.getvalue().splitlines() if line.startswith("ocibuild: ")), said.getvalue())


def _in_chroot(one: Program, root: Path) -> str:
    command = ["unshare", "--mount", "--pid", "--net", "--ipc", "--fork", "--kill-child", "sh", "-c", _INSIDE]
    environment = {"PATH": "/usr/sbin:/usr/bin:/sbin:/bin", "ROOT": str(root), "SCRIPT": one.script}
    done = subprocess.run(command, capture_output=True, timeout=300, check=False, env=environment)
    return _wrong(one, done.stdout.decode("utf-8", "replace"), done.stderr.decode("utf-8", "replace"))


def _in_docker(one: Program, image: str, docker: DockerLike) -> str:
    done = docker.run(image, "-c", one.script, entrypoint="/bin/sh", tmpfs=["/tmp:exec,mode=1777"], check=False)
    return _wrong(one, done.stdout, done.stderr)


def _wrong(one: Program, said: str, errors: str) -> str:
    return "" if one.says in said else f"it said {said[-300:]!r} {errors[-300:]!r}"


def table(outcomes: Sequence[Ran]) -> str:
    """A table of what became of all programs."""
    lines = [
        f"{len(outcomes)} programs, each run in an image as its user, without network: "
        f"{sum(not (one.refused or one.chroot or one.docker) for one in outcomes)} did what they were to do.",
        "",
        "| program | packages | in a chroot | in Docker 20.10 |",
        "|---|---|---|---|",
    ]
    for one in outcomes:
        told = [" ".join((text or "ran").replace("|", "\\|").split()) for text in (one.chroot, one.docker)]
        cells = [f"refused: {one.refused}".replace("|", "\\|"), ""] if one.refused else told
        lines.append(f"| {one.program.name} | {' '.join(one.program.packages)} | {cells[0]} | {cells[1]} |")
    return "\n".join(lines) + "\n"
