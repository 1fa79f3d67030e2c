"""pip, made to answer for another machine and to take wheels alone. Run as a program of its own, never imported.

``pip_hook.py RULES ARGUMENT…`` where RULES is JSON (see ``HookRules``).

* pip evaluates markers for the interpreter it runs on, whatever --platform and --python-version say (pip#11664), so an
  amd64 host would take amd64's dependencies for an arm64 image.
* pip builds what is no wheel, whatever --only-binary says of direct URLs. Here whatever would build, unpack or run a
  source is a refusal, and no program is started. Refusals are told as JSON lines on the descriptor ``tell``.
* pip fetches a URL that a requirement or a wheel names, whatever --no-index says. Here, offline, nothing connects, and
  a wheel that a URL names is looked for, by name and hash, where wheels are.
* pip reports the hash that an index gives, and an index may give another than sha256. Here that is always computed.
* Of pip's configuration and environment only ``settings`` are heard.

Everything private that is touched here is checked first: a pip whose inside has changed is an error, not a wrong
answer. It imports nothing of ocibuild, and must be started with ``-P``: its folder has a ``pip.py``.
"""

from __future__ import annotations

import contextlib
import errno
import importlib
import json
import os
import select
import shutil
import signal
import socket
import stat
import sys
import threading
from collections.abc import Callable, Iterator
from dataclasses import replace
from functools import wraps
from pathlib import Path
from typing import Any, NoReturn
from urllib.parse import urlsplit

from pip._internal.cli import parser
from pip._internal.cli.main import main as run_pip
from pip._internal.exceptions import (
    ConnectionFailedError,
    ConnectionTimeoutError,
    HashMismatch,
    NetworkConnectionError,
    PipError,
)
from pip._internal.models import installation_report
from pip._internal.models.direct_url import ArchiveInfo
from pip._internal.models.link import Link
from pip._internal.network import auth, session
from pip._internal.operations import prepare
from pip._internal.req.req_install import InstallRequirement
from pip._internal.resolution.resolvelib import candidates
from pip._internal.utils.hashes import Hashes
from pip._internal.utils.misc import hash_file
from pip._internal.utils.urls import url_to_path
from pip._vendor.packaging import _musllinux, markers
from pip._vendor.packaging.utils import (
    InvalidSdistFilename,
    InvalidWheelFilename,
    canonicalize_name,
    parse_sdist_filename,
    parse_wheel_filename,
)
from pip._vendor.packaging.version import InvalidVersion
from pip._vendor.urllib3 import HTTPResponse

CHANGED = 97
"""The exit code that says: this pip is not the one the hook was written for."""

NEVER = (
    "pip._internal.operations.build.metadata_editable:generate_editable_metadata",
    "pip._internal.operations.build.wheel_editable:build_wheel_editable",
    "pip._internal.operations.prepare:RequirementPreparer.prepare_editable_requirement",
    "pip._internal.operations.prepare:unpack_vcs_link",
    "pip._internal.req.req_install:InstallRequirement.archive",
    "pip._internal.req.req_install:InstallRequirement.update_editable",
    "pip._internal.vcs.git:Git.run_command",
    "pip._internal.vcs.versioncontrol:VersionControl.obtain",
    "pip._internal.vcs.versioncontrol:VersionControl.run_command",
    "pip._internal.vcs.versioncontrol:VersionControl.unpack",
)
"""What has to do with checkouts and editable projects: refused even where something may be built."""

SOURCES = (
    "pip._internal.build_env.installer:InprocessBuildEnvironmentInstaller.install",
    "pip._internal.build_env.installer:SubprocessBuildEnvironmentInstaller.install",
    "pip._internal.build_env.venv:VenvBuildEnvironment.__init__",
    "pip._internal.build_env.virtual:VirtualBuildEnvironment.__init__",
    "pip._internal.distributions.sdist:SourceDistribution.prepare_distribution_metadata",
    "pip._internal.operations.build.metadata:generate_metadata",
    "pip._internal.operations.build.wheel:build_wheel_pep517",
    "pip._internal.operations.install.wheel:install_wheel",
    "pip._internal.pyproject:load_pyproject_toml",
    "pip._internal.req.req_install:InstallRequirement.configure_backend",
    "pip._internal.req.req_install:InstallRequirement.install",
    "pip._internal.req.req_install:InstallRequirement.load_pyproject_toml",
    "pip._internal.req.req_install:InstallRequirement.prepare_metadata",
    "pip._internal.utils.subprocess:call_subprocess",
    "pip._internal.utils.subprocess:runner_with_spinner_message",
    "pip._internal.utils.unpacking:unpack_file",
    "pip._internal.utils.unpacking:untar_file",
    "pip._internal.utils.unpacking:unzip_file",
    "pip._internal.wheel_builder:_build_one",
    "pip._internal.wheel_builder:build",
    "pip._vendor.pyproject_hooks:BuildBackendHookCaller._call_hook",
)
"""What prepares, unpacks, builds or installs: refused, but where the recipe lets something be built."""

_STARTS = ("os.exec", "os.fork", "os.forkpty", "os.posix_spawn", "os.spawn", "os.system", "pty.spawn")
FILES = 8
"""How many of the largest files that there may be are as much as may be downloaded."""

_IDLE = frozenset({"rustc", "lsb_release", "uname"})
"""Programs that pip asks for its user agent, and does without."""

_LONG, _SHORT = 2000, 200

MOST_PAGE = 128 << 20
"""Bytes that a page of an index may have, unpacked; pip holds it in memory."""


class Refused(BaseException):
    """Ends pip: no handler of pip's for its own errors may go on after it."""


class HookRules:
    """What a run of pip may do.

    ``markers`` is the marker environment of the target, or None for this host's. ``keep`` names the one project whose
    sdist is wanted, and the folder for it. ``names`` and ``paths`` are what may be built: projects of an index, and
    archives and folders of this machine. ``settings`` are the options that may be configured, ``tell`` a descriptor.
    ``shelves`` are the folders of wheels that stand for every network, or None where there is one. ``most`` are the
    bytes that may be downloaded in all.
    """

    def __init__(self, document: dict[str, Any]) -> None:
        self.markers: dict[str, str] | None = document["markers"]
        self.keep: tuple[str, str] | None = tuple(document["keep"]) if document["keep"] else None
        self.names = frozenset(document["names"])
        self.paths = frozenset(map(os.path.realpath, document["paths"]))
        self.settings = frozenset(document["settings"])
        self.tell: int = document["tell"]
        self.shelves: list[str] | None = document["shelves"]
        self.most: int = document["most"]

    @property
    def builds(self) -> bool:
        """Whether anything may be built at all."""
        return bool(self.names or self.paths)

    def allows(self, req: InstallRequirement, link: Link, kind: str) -> bool:
        """Whether the recipe has asked for ``link`` to be built, or kept."""
        if req.editable or kind not in ("archive", "folder"):
            return False
        if link.is_file and os.path.realpath(link.file_path) in self.paths:
            return True
        if req.is_direct or kind != "archive":
            # A URL may lead anywhere under any name: only what an index or a folder has under that name is taken.
            return False
        name = canonicalize_name(req.name or "")
        named = name in self.names or (self.keep is not None and name == self.keep[0])
        return named and _project(link.filename) == name


def _project(filename: str) -> str | None:
    try:
        return parse_sdist_filename(filename)[0]
    except InvalidSdistFilename:
        return None


class Teller:
    """Tells the parent what was refused, in data: its prose is pip's affair."""

    def __init__(self, descriptor: int) -> None:
        self._descriptor = descriptor
        os.set_inheritable(descriptor, False)

    def refuse(
        self, kind: str, req: InstallRequirement | None = None, *, link: Link | None = None, why: str = ""
    ) -> NoReturn:
        """End pip because of ``req``, or of ``link`` where it is not known what for; ``why`` where that varies.

        Raises Refused, which no handler of pip's catches.
        """
        what = str(req.req or req.link) if req is not None else ""
        self.say(kind, what or (link.url if link else ""), url=link.url if link else "", askers=_askers(req), why=why)
        raise Refused(kind)

    def say(self, kind: str, what: str, *, url: str = "", askers: list[str] | None = None, why: str = "") -> None:
        """Write one line, short enough for a pipe that nobody empties yet."""
        said = {"kind": kind, "what": what[:_LONG], "url": url[:_LONG], "askers": askers or [], "why": why[:_SHORT]}
        os.write(self._descriptor, json.dumps(said).encode() + b"\n")


def _askers(req: InstallRequirement | None) -> list[str]:
    """Who asks for ``req``, nearest first; the last may be a place in a file, as pip writes it."""
    found: list[str] = []
    asker = req.comes_from if req is not None else None
    while asker is not None and len(found) < 10:
        found.append((asker if isinstance(asker, str) else str(asker.req or asker.link))[:_LONG])
        asker = None if isinstance(asker, str) else asker.comes_from
    return found


def _changed(what: str) -> NoReturn:
    sys.stderr.write(f"pip's inside has changed: {what}\n")
    sys.exit(CHANGED)


def _attribute(place: Any, name: str) -> Any:
    if not hasattr(place, name):
        _changed(f"{place!r} has no {name}")
    return getattr(place, name)


def _replace(place: Any, name: str, value: object) -> None:
    _attribute(place, name)
    setattr(place, name, value)


def foresee(environment: dict[str, str]) -> None:
    """Make ``environment`` the one that markers are evaluated in."""
    if set(markers.default_environment()) != set(environment):
        _changed("the marker environment has other names")
    # A word that no machine says: a marker that is true of it proves that markers ask here, and not the interpreter.
    answer = {**environment, "platform_release": "foreseen"}
    for module in (markers, installation_report):
        _replace(module, "default_environment", lambda: dict(answer))
    if not markers.Marker("platform_release == 'foreseen'").evaluate():
        _changed("markers do not ask for the default environment")
    answer["platform_release"] = environment["platform_release"]


def configure(settings: frozenset[str]) -> None:
    """Hear nothing of pip's configuration, in files and environment, but ``settings``."""
    items: Callable[[Any], Iterator[tuple[str, Any]]] = _attribute(
        parser.ConfigOptionParser, "_get_ordered_configuration_items"
    )

    def heard(self: Any) -> Iterator[tuple[str, Any]]:
        for key, value in items(self):
            if key == "use-deprecated":
                # Of the old ways the resolver is not wanted; old certificates a company may need.
                value = " ".join({"legacy-certs"}.intersection(str(value).split()))
            if key in settings and value:
                yield key, value

    _replace(parser.ConfigOptionParser, "_get_ordered_configuration_items", heard)


def wheels_only(rules: HookRules, teller: Teller) -> None:
    """Refuse everything but wheels before it is fetched, and again wherever pip would build, unpack or run it."""

    def checked(method: Callable[..., Any]) -> Callable[..., Any]:
        @wraps(method)
        def check(self: Any, req: InstallRequirement, *rest: Any, **more: Any) -> Any:
            if req.editable:
                teller.refuse("editable", req, link=req.link)
            for link in (req.source_link, req.link):
                if link is not None and (kind := kind_of(link)) and not rules.allows(req, link, kind):
                    teller.refuse(kind, req, link=link)
            asked = req.link if rules.shelves is not None and req.link and not req.link.is_file else None
            if asked is not None and not _shelved(asked, rules.shelves or []):
                teller.refuse("offline", req, link=asked)
            return method(self, req, *rest, **more)

        return check

    preparer = prepare.RequirementPreparer
    for name in ("prepare_linked_requirement", "_prepare_linked_requirement"):
        _replace(preparer, name, checked(_attribute(preparer, name)))
    for where in NEVER if rules.builds else (*NEVER, *SOURCES):
        _replace_everywhere(where, _refusal(where, teller))


def kind_of(link: Link) -> str:
    """What stands in the way of taking ``link`` as a wheel; "" for a wheel."""
    if link.is_vcs or "+" in link.scheme:
        return "checkout"
    if link.scheme not in ("http", "https", "file"):
        return "scheme"
    if link.is_file:
        try:
            mode = Path(link.file_path).stat().st_mode
        except OSError:
            mode = stat.S_IFREG  # pip says what is missing
        except (ValueError, AssertionError):
            return "scheme"  # on another machine, or with a NUL
        if stat.S_ISDIR(mode):
            return "folder"
        if not stat.S_ISREG(mode):
            return "device"
    return "" if link.is_wheel else "archive"


def _refusal(where: str, teller: Teller) -> Callable[..., NoReturn]:
    def refused(*arguments: Any, **more: Any) -> NoReturn:
        given = (*arguments, *more.values())
        # A distribution has its requirement within.
        reqs = [each for each in given if isinstance(each, InstallRequirement)]
        reqs += [each.req for each in given if isinstance(getattr(each, "req", None), InstallRequirement)]
        if not reqs:
            teller.say("source", where.rpartition(":")[2])
            raise Refused(where)
        teller.refuse("source", reqs[0], link=reqs[0].link)

    return refused


def _replace_everywhere(where: str, value: Callable[..., Any]) -> None:
    """Put ``value`` in the place of "module:name", and of what other modules have imported from there."""
    module_name, _, name = where.partition(":")
    try:
        module = importlib.import_module(module_name)
    except ImportError:
        _changed(f"there is no {module_name}")
    owner, _, last = name.rpartition(".")
    if owner:
        _replace(_attribute(module, owner), last, value)
        return
    original = _attribute(module, name)
    # "from x import y" gave others a name of their own for it, which what is put into x does not reach.
    for other in [each for each_name, each in sys.modules.items() if each_name.startswith("pip.")]:
        for key in [key for key, held in vars(other).items() if held is original]:
            setattr(other, key, value)


def keep_sdist(folder: Path, teller: Teller) -> None:
    """Copy the archive that would be unpacked into ``folder`` and stop: nothing of it runs."""
    unpacked = _attribute(prepare, "unpack_url")

    def unpack_url(link: Link, *rest: Any, **more: Any) -> Any:
        def kept(filename: str, *_: Any, **__: Any) -> NoReturn:
            # By the name that was judged: what was served may call itself otherwise.
            shutil.copyfile(filename, folder / Path(link.filename).name)
            raise Refused("kept")

        _replace(prepare, "unpack_file", kept)
        return unpacked(link, *rest, **more)

    _replace(prepare, "unpack_url", unpack_url)


def start_nothing(teller: Teller) -> Callable[[int], None]:
    """Refuse to start programs, but for the user's keyring and the host's loader.

    What is given back has to be called at the end, with pip's exit code.
    """
    # Of each thread: leave to ask a keyring is not leave for what pip does meanwhile in another.
    permitted = threading.local()
    refused: list[str] = []

    def audit(event: str, arguments: tuple[Any, ...]) -> None:
        if not (event == "subprocess.Popen" or event in _STARTS) or getattr(permitted, "now", False):
            return
        name = Path(os.fsdecode(arguments[0])).name if arguments and _is_path(arguments[0]) else event
        if name not in _IDLE:
            refused.append(name)
        raise PermissionError(errno.EACCES, "no program is started while wheels are chosen", name)

    def with_leave(method: Callable[..., Any]) -> Callable[..., Any]:
        @wraps(method)
        def run(*arguments: Any, **more: Any) -> Any:
            permitted.now = True
            try:
                return method(*arguments, **more)
            finally:
                permitted.now = False

        return run

    for owner, name in (
        (auth.KeyRingCliProvider, "_get_creds"),
        (auth.KeyRingCliProvider, "_set_password"),
        (_musllinux, "_get_musl_version"),  # asks this host's loader for its version
    ):
        _replace(owner, name, with_leave(_attribute(owner, name)))
    # An audit hook is for good: nothing that is imported later can take it out again.
    sys.addaudithook(audit)

    def ended(code: int) -> None:
        if code != 0 and refused:
            teller.say("program", refused[0])

    return ended


def _is_path(value: object) -> bool:
    return isinstance(value, str | bytes | os.PathLike)


def open_only_files(teller: Teller) -> None:
    """Refuse pipes and devices where pip reads pages and wheels of this machine: it would wait for ever."""
    send = _attribute(session.LocalFSAdapter, "send")

    def checked(self: Any, request: Any, *rest: Any, **more: Any) -> Any:
        with contextlib.suppress(OSError, ValueError):
            mode = Path(url_to_path(request.url)).stat().st_mode
            if not stat.S_ISREG(mode) and not stat.S_ISDIR(mode):
                teller.refuse("device", link=Link(request.url))
        return send(self, request, *rest, **more)

    _replace(session.LocalFSAdapter, "send", checked)


def count_what_comes(most: int, teller: Teller) -> None:
    """Refuse what a server that never ends sends: more than a page has, than a file may, or than all of them.

    pip takes files as they come, and has pages decoded: a redirect may give either any name.
    """
    stream = _attribute(HTTPResponse, "stream")
    came = 0

    def counted(self: Any, amt: int, decode_content: bool | None = None) -> Iterator[bytes]:
        nonlocal came
        size = 0
        for data in stream(self, amt, decode_content=decode_content):
            size += len(data)
            # Of all responses together: a limit for each alone a server passes by sending many.
            came += len(data)
            if decode_content and size > MOST_PAGE:
                teller.refuse("endless-page", link=Link(self.geturl() or ""))
            if came > most or size > most // FILES:
                teller.refuse("endless", link=Link(self.geturl() or ""))
            yield data

    _replace(HTTPResponse, "stream", counted)


def name_what_does_not_read(teller: Teller) -> None:
    """Name the wheel whose metadata pip trips over: pip says what it tripped over, and not where."""
    backed = candidates._InstallRequirementBackedCandidate
    prepared, dependencies = _attribute(backed, "_prepare"), _attribute(backed, "iter_dependencies")

    @contextlib.contextmanager
    def named(candidate: Any) -> Iterator[None]:
        try:
            yield
        except (PipError, OSError):
            raise
        except (AttributeError, LookupError, RecursionError, TypeError, ValueError) as error:
            # Some of pip's name the object that they are about, by its place in memory.
            why = getattr(error, "reason", "") or str(error) or type(error).__name__
            teller.refuse("metadata", candidate._ireq, link=candidate._link, why=why)

    def prepare_(self: Any) -> Any:
        with named(self):
            return prepared(self)

    def iter_dependencies(self: Any, with_requires: bool) -> Iterator[Any]:
        with named(self):
            found = list(dependencies(self, with_requires))
            for needed in found:
                asked = needed.get_candidate_lookup()[1] if needed is not None else None
                if asked is not None:
                    # Versions are read when they are first compared, which would be elsewhere.
                    asked.specifier.contains("0")
        yield from found

    _replace(backed, "_prepare", prepare_)
    _replace(backed, "iter_dependencies", iter_dependencies)


def hash_on_arrival() -> None:
    """Have the sha256 of every wheel in the report: one that an index gives no sha256 for is fetched and hashed."""
    preparer = prepare.RequirementPreparer
    metadata_only = _attribute(preparer, "_fetch_metadata_only")
    prepared = _attribute(preparer, "_prepare_linked_requirement")

    def fetch_metadata_only(self: Any, req: InstallRequirement) -> Any:
        # None is pip's own word for "no metadata to be had alone": it then fetches the wheel.
        return metadata_only(self, req) if req.link and _sha256(req.link) else None

    def prepare_linked_requirement(self: Any, req: InstallRequirement, *rest: Any, **more: Any) -> Any:
        found = prepared(self, req, *rest, **more)
        info = req.download_info
        if info is not None and info.archive_info is not None and req.local_file_path:
            hashes = dict(info.archive_info.hashes or {})
            if "sha256" not in hashes:
                hashes["sha256"] = hash_file(req.local_file_path)[0].hexdigest()
                req.download_info = replace(info, archive_info=ArchiveInfo(hashes=hashes))
        return found

    _replace(preparer, "_fetch_metadata_only", fetch_metadata_only)
    _replace(preparer, "_prepare_linked_requirement", prepare_linked_requirement)


def _sha256(link: Link) -> bool:
    """Whether the hash that pip reports for ``link`` is a sha256: it takes the first."""
    return bool(link.hash_name == "sha256")


def stay_offline(shelves: list[str]) -> None:
    """Connect to nothing. The wheel that a URL names is the one of that name, and of its hash, in ``shelves``."""
    get_file_url = _attribute(prepare, "get_file_url")

    def from_shelf(link: Link, download: Any, download_dir: str | None = None, hashes: Hashes | None = None) -> Any:
        found = _shelved(link, shelves)
        for path in found:
            try:
                return get_file_url(Link(path.as_uri()), download_dir, hashes=hashes)
            except HashMismatch:
                if path == found[-1]:
                    raise
        raise NetworkConnectionError(f"offline, {link.filename} is in none of the folders of wheels")

    def request(self: Any, method: str, url: str, *rest: Any, **more: Any) -> Any:
        if not url.startswith("file:"):
            raise NetworkConnectionError("offline, nothing is asked for")
        return requested(self, method, url, *rest, **more)

    requested = _attribute(session.PipSession, "request")
    _replace(prepare, "get_http_url", from_shelf)
    _replace(session.PipSession, "request", request)
    # Should pip have other ways: no socket of a network is used.
    sys.addaudithook(_no_network)


def ask_the_silent_once() -> None:
    """Not wait again for a server that did not answer, with all retries: others have what it has."""
    requested = _attribute(session.PipSession, "request")
    silent: dict[str, Exception] = {}

    def request(self: Any, method: str, url: str, *rest: Any, **more: Any) -> Any:
        server = urlsplit(url).netloc
        if server in silent:
            raise silent[server]
        try:
            return requested(self, method, url, *rest, **more)
        except (ConnectionFailedError, ConnectionTimeoutError) as error:
            silent[server] = error
            raise

    _replace(session.PipSession, "request", request)


def _no_network(event: str, arguments: tuple[Any, ...]) -> None:
    if event in ("socket.connect", "socket.sendto", "socket.sendmsg"):
        if arguments[0].family != socket.AF_UNIX:
            raise PermissionError(errno.EACCES, "offline, nothing connects")
    elif event in ("socket.getaddrinfo", "socket.gethostbyname", "socket.gethostbyaddr", "socket.getnameinfo"):
        raise PermissionError(errno.EACCES, "offline, no name is looked up")


def _shelved(link: Link, shelves: list[str]) -> list[Path]:
    """The wheels that ``link`` may mean: those of its file name, as it stands or as it is normalised."""
    exact = [path for shelf in shelves if (path := Path(shelf, link.filename)).is_file()]
    if exact:
        return exact
    try:
        wanted = parse_wheel_filename(link.filename)
    except (InvalidWheelFilename, InvalidVersion):
        return []
    return [path for shelf in shelves for path in sorted(Path(shelf).glob("*.whl")) if _is_wheel(path, wanted)]


def _is_wheel(path: Path, wanted: tuple[Any, ...]) -> bool:
    try:
        return parse_wheel_filename(path.name) == wanted and path.is_file()
    except (InvalidWheelFilename, InvalidVersion):
        return False


def end_with_reader(descriptor: int) -> None:
    """End this session as soon as nobody reads the other end of a pipe any more: who asked is gone, however it went."""
    watch = select.poll()
    # Nothing is asked for: what is reported all the same is that the other end was closed (POLLERR).
    watch.register(descriptor, 0)
    while not watch.poll():
        pass
    if os.getpgrp() == os.getpid():
        # What builds for us leads no group of its own.
        os.killpg(os.getpgrp(), signal.SIGKILL)
    os._exit(1)


def main(arguments: list[str]) -> int:
    """Run pip behind the hook: the rules, then pip's own arguments."""
    rules = HookRules(json.loads(arguments[0]))
    threading.Thread(target=end_with_reader, args=(rules.tell,), daemon=True).start()
    teller = Teller(rules.tell)
    configure(rules.settings)
    if rules.markers is not None:
        foresee(rules.markers)
    open_only_files(teller)
    count_what_comes(rules.most, teller)
    if rules.shelves is not None:
        stay_offline(rules.shelves)
    else:
        ask_the_silent_once()
    hash_on_arrival()
    name_what_does_not_read(teller)
    wheels_only(rules, teller)
    if rules.keep is not None:
        keep_sdist(Path(rules.keep[1]), teller)
    if rules.builds:
        return run_pip(arguments[1:])
    ended = start_nothing(teller)
    code = run_pip(arguments[1:])
    ended(code)
    return code


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
