"""Keys that other programs have, and what is written instead of them, by the table they stand in."""

from __future__ import annotations

_PACKAGES = 'Debian packages are named in base-packages = ["libgl1"], at the top of the file'
_BASE = 'the Python comes with the base: write base = "python-3.11" at the top of the file'
_PORTS = "write exposed-ports = [8080]"
_ENV = 'write env = { NAME = "VALUE" }'
_CMD = 'write cmd = ["python3", "-m", "MODULE"]'
_SHA256 = 'write sha256 = "…", the 64 digits that sha256sum prints'
_CONSTRAINTS = "write -c FILE into requirements.txt, in a line of its own"
_PYTHON = "write them into requirements.txt beside image.toml"
FOREIGN = {
    "run": "nothing is run in a build: Python packages go into requirements.txt, Debian's into base-packages, files "
    "into [[copy]]; what a container runs is cmd, below [config]",
    "apt": _PACKAGES,
    "apt-get": _PACKAGES,
    "apt-packages": _PACKAGES,
    "debian": _PACKAGES,
    "packages": _PACKAGES,
    "system-packages": _PACKAGES,
    "from": 'write base = "python-3.11", or an image of a registry',
    "image": 'write base = "python-3.11", or an image of a registry',
    "add": 'write [[copy]], and below it src = "FILE" and dest = "/PATH"',
    "files": 'write [[copy]], and below it src = "FILE" and dest = "/PATH"',
    "dependencies": _PYTHON,
    "pip": _PYTHON,
    "expose": "write exposed-ports = [8080] below [config]",
    "ports": "write exposed-ports = [8080] below [config]",
    "environment": 'write env = { NAME = "VALUE" } below [config]',
    "command": 'write cmd = ["python3", "-m", "MODULE"] below [config]',
}

PYTHON_FOREIGN = {
    "version": _BASE,
    "python-version": _BASE,
    "python": _BASE,
    "requires-python": _BASE,
    "packages": _PYTHON,
    "dependencies": _PYTHON,
    "install": _PYTHON,
    "pip": _PYTHON,
    "requirement": 'write requirements = ["requirements.txt"]',
    "constraint": _CONSTRAINTS,
    "constraints": _CONSTRAINTS,
    "index-url": "pip's settings say it: PIP_INDEX_URL, pip.conf, or --index-url ADDRESS in requirements.txt",
    "extra-index-url": "write --extra-index-url ADDRESS into requirements.txt, in a line of its own",
    "compile": 'write bytecode = "all", "default" or "none"',
}

CONFIG_FOREIGN = {
    "ports": _PORTS,
    "port": _PORTS,
    "expose": _PORTS,
    "exposedports": _PORTS,
    "environment": _ENV,
    "env-vars": _ENV,
    "command": _CMD,
    "run": _CMD,
    "args": _CMD,
    "working-dir": 'write workdir = "/PATH"',
    "cwd": 'write workdir = "/PATH"',
    "user": 'write [user], and below it name = "NAME"',
    "label": 'write labels = { NAME = "VALUE" }',
    "stopsignal": 'write stop-signal = "SIGTERM"',
    "volume": 'write volumes = ["/PATH"]',
}

USER_FOREIGN = {
    "username": 'write name = "NAME"',
    "user": 'write name = "NAME"',
    "id": "write uid = 1000",
    "user-id": "write uid = 1000",
    "group": 'write gid = 1000, or for further groups groups = ["NAME"]',
    "group-id": "write gid = 1000",
}

HEALTHCHECK_FOREIGN = {
    "cmd": 'write test = ["python3", "-c", "…"]',
    "command": 'write test = ["python3", "-c", "…"]',
}

COPY_FOREIGN = {
    "source": 'write src = "FILE"',
    "path": 'write src = "FILE"',
    "destination": 'write dest = "/PATH"',
    "target": 'write dest = "/PATH"',
    "to": 'write dest = "/PATH"',
    "chown": 'write owner = "user", or its numbers as in owner = "1000:1000"',
    "user": 'write owner = "user", or its numbers as in owner = "1000:1000"',
    "chmod": 'write mode = "0644"',
    "permissions": 'write mode = "0644"',
}

FETCH_FOREIGN = {
    "src": 'write url = "https://…"',
    "address": 'write url = "https://…"',
    "checksum": _SHA256,
    "digest": _SHA256,
    "hash": _SHA256,
    "destination": 'write dest = "/PATH"',
    "extract": "write unpack = true",
    "strip-components": "write strip = 1",
}

LINK_FOREIGN = {
    "name": 'write path = "/PATH", where the link is, and target = "/PATH", where it leads',
    "src": 'write path = "/PATH", where the link is, and target = "/PATH", where it leads',
    "dest": 'write path = "/PATH", where the link is, and target = "/PATH", where it leads',
}
