"""apt-get, asked what it would install: over given packages, by a given index, without anything of this machine's."""

from __future__ import annotations

import re
import subprocess
from collections.abc import Collection, Mapping
from pathlib import Path

from tests.support.real import need

_CONFIGURATION = """
#clear APT::Update;
#clear DPkg;
#clear APT::Architectures;
APT::Architecture "amd64";
APT::Architectures { "amd64"; };
APT::Sandbox::User "root";
APT::Get::List-Cleanup "false";
Acquire::Languages "none";
Debug::NoLocking "true";
Dir "FOLDER";
Dir::State "FOLDER/state";
Dir::State::status "FOLDER/status";
Dir::Cache "FOLDER/cache";
Dir::Cache::pkgcache "pkgcache.bin";
Dir::Cache::srcpkgcache "srcpkgcache.bin";
Dir::Etc "FOLDER/etc";
Dir::Etc::sourcelist "FOLDER/sources.list";
Dir::Etc::sourceparts "/dev/null";
"""
_STATUS = frozenset(("package", "version", "architecture", "provides", "breaks", "conflicts", "replaces", "multi-arch"))
_INSTALLED = re.compile(r"^Inst (\S+) (?:\[\S+\] )?\((\S+) ", re.MULTILINE)
_REMOVED = re.compile(r"^Remv (\S+)", re.MULTILINE)


class AptOracle:
    """An apt-get that works in ``folder``, which is empty.

    ``index`` is a list of packages, ``installed`` are the control fields of those that are there. What these depend on
    is kept from apt, for a base lacks some of it on purpose, and the index may not have them: apt would take them for
    others of the same version, and install them anew.
    """

    def __init__(self, folder: Path, index: bytes, installed: Collection[Mapping[str, str]]) -> None:
        need("apt-get", root=False)
        self._configuration = folder / "apt.conf"
        for part in ("state/lists/partial", "cache/archives/partial", "etc", "index"):
            (folder / part).mkdir(parents=True)
        (folder / "index" / "Packages").write_bytes(index)
        (folder / "sources.list").write_text(f"deb [trusted=yes] file:{folder}/index ./\n")
        (folder / "status").write_text("\n".join(map(_stanza, installed)))
        self._configuration.write_text(_CONFIGURATION.replace("FOLDER", str(folder)))
        self._run("update").check_returncode()

    def installs(self, *names: str) -> set[tuple[str, str]] | None:
        """Names and versions of what comes by ``names``; None where apt refuses, or would remove anything."""
        said = self._run("-s", "install", "--no-install-recommends", *names)
        if said.returncode or _REMOVED.search(said.stdout):
            return None
        return set(_INSTALLED.findall(said.stdout))

    def _run(self, *arguments: str) -> subprocess.CompletedProcess[str]:
        command = ["apt-get", "-q", "-c", str(self._configuration), *arguments]
        environment = {"PATH": "/usr/sbin:/usr/bin:/sbin:/bin", "LC_ALL": "C", "APT_CONFIG": str(self._configuration)}
        return subprocess.run(command, capture_output=True, text=True, timeout=600, check=False, env=environment)


def _stanza(fields: Mapping[str, str]) -> str:
    kept = {key: " ".join(value.split()) for key, value in fields.items() if key in _STATUS}
    kept |= {"status": "install ok installed", "maintainer": "nobody <nobody@localhost>", "description": "one"}
    return "".join(f"{key.title()}: {value}\n" for key, value in kept.items())
