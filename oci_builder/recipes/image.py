"""``image.toml`` as values: the types say what can be written, ``__post_init__`` what types cannot."""

from __future__ import annotations

import json
import shlex
from collections.abc import Callable, Mapping
from typing import Annotated, ClassVar, Literal, TypeVar

from msgspec import Meta, field
from msgspec.structs import force_setattr

from oci_builder.debian.localenames import is_built_in
from oci_builder.errors import BadKey, InvalidValue
from oci_builder.oci.documents import Healthcheck, RunConfig
from oci_builder.platforms import Platform
from oci_builder.recipes import meant as meanings
from oci_builder.recipes.files import CopyRecipe, FetchRecipe, FolderRecipe, LinkRecipe
from oci_builder.recipes.foreign import (
    CONFIG_FOREIGN,
    FOREIGN,
    HEALTHCHECK_FOREIGN,
    PYTHON_FOREIGN,
    USER_FOREIGN,
)
from oci_builder.recipes.values import (
    Absolute,
    Account,
    DebianPackage,
    Duration,
    EnvName,
    GroupName,
    Id,
    Inside,
    LabelName,
    Line,
    LocaleName,
    Name,
    PathGlob,
    Port,
    Signal,
    Size,
    SuiteName,
    Table,
    Text,
    Version,
    countable,
    nanoseconds,
    normal_port,
    number_of_bytes,
    without_nul,
)
from oci_builder.recipes.words import Cmd, Entrypoint, Test
from oci_builder.reference import Reference

_WORDS = (
    "base build cache check completion delta diff download export help init inspect layer lock plan publish pull push "
    "rebase report run sbom schema show tags test tree update verify version why"
)
VERBS = frozenset(_WORDS.split())
"""First words the command line has a use for, now or one day: no image may be named like one."""

DEFAULT_CMD = ("python3",)
"""What an image runs when neither its recipe nor its base says anything: an entrypoint alone is enough."""

T = TypeVar("T")
BASE_DEFAULT = "python-3.11"
"""The base of a recipe that names none, where its project asks for no Python; told apart by identity."""

REQUIREMENTS_DEFAULT = ("requirements.txt",)
"""A recipe that does not name the file may do without it; told apart by identity."""


class PythonRecipe(Table, frozen=True, kw_only=True):
    """``[python]``: which wheels go in. Paths are relative to the recipe's folder."""

    meant = staticmethod(meanings.python)
    instead = staticmethod(meanings.python_instead)
    foreign: ClassVar[Mapping[str, str]] = PYTHON_FOREIGN
    requirements: Annotated[
        tuple[Line, ...],
        Meta(description="a list of requirements files or pyproject.toml, or one lock of another tool"),
    ] = REQUIREMENTS_DEFAULT
    project: Annotated[
        Line | None, Meta(description="the folder of a project to build and install, relative to the folder")
    ] = None
    extras: Annotated[tuple[Line, ...], Meta(description="a list of extras of the project or pyproject.toml")] = ()
    groups: Annotated[
        tuple[Line, ...], Meta(description="a list of dependency groups of the project or pyproject.toml")
    ] = ()
    find_links: Annotated[
        tuple[Line, ...], Meta(description="a list of folders or addresses to look for wheels in")
    ] = ()
    bytecode: Annotated[
        Literal["default", "all", "none"], Meta(description='"default" (all .pyc but those of tests), "all" or "none"')
    ] = "default"
    compiler: Annotated[
        Literal["auto", "base"],
        Meta(description='"auto", or "base" to let the Python of an image as base compile where no other here can'),
    ] = "auto"
    build: Annotated[
        tuple[Line, ...], Meta(description="a list of distributions that may be built from their source")
    ] = ()
    unverified: Annotated[
        tuple[Line, ...],
        Meta(description="a list of distributions whose files are not held to the digests in their RECORD"),
    ] = ()
    conflicts: Annotated[
        Literal["error", "last"],
        Meta(description='"error", or "last" to let the later of two wheels have a path, as pip does'),
    ] = "error"
    outside: Annotated[
        bool,
        Meta(description="true if requirements and project may lead out of the project, by .. or through a link"),
    ] = False


class UserRecipe(Table, frozen=True, kw_only=True):
    """``[user]``: who runs. ``home`` is never empty afterwards, and root is root in every field."""

    meant = staticmethod(meanings.user)
    foreign: ClassVar[Mapping[str, str]] = USER_FOREIGN
    name: Account = "sandbox"
    uid: Id = 1000
    gid: Id = 1000
    home: Absolute = ""
    shell: Absolute = "/bin/sh"
    groups: Annotated[
        tuple[GroupName, ...],
        Meta(description='a list of further groups, such as "video" or, for a new one, "gpu:990"'),
    ] = ()

    def __post_init__(self) -> None:
        if self.is_root:
            if self.groups:
                raise BadKey("groups", "root needs no groups")
            if self.name not in ("root", "sandbox") or self.uid not in (0, 1000):
                raise BadKey("uid", f"{self.name!r} cannot have uid {self.uid}: root, and only root, is 0")
            for field, value in (("name", "root"), ("uid", 0), ("gid", 0)):
                force_setattr(self, field, value)
        if not self.home:
            force_setattr(self, "home", "/root" if self.is_root else f"/home/{self.name}")
        for field in ("home", "shell"):
            if ":" in getattr(self, field) or ".." in getattr(self, field).split("/"):
                raise BadKey(field, 'a path in /etc/passwd has no ":" and no ".."')

    @property
    def is_root(self) -> bool:
        """Whether the image runs as root: then no user is added."""
        return self.name == "root" or self.uid == 0


class HealthcheckRecipe(Table, frozen=True, kw_only=True):
    """``[config.healthcheck]``, as docker understands it."""

    meant = staticmethod(meanings.healthcheck)
    foreign: ClassVar[Mapping[str, str]] = HEALTHCHECK_FOREIGN
    test: Test
    interval: Annotated[Duration | None, Meta(description='the time between two checks, such as "30s" or "1m30s"')] = (
        None
    )
    timeout: Annotated[Duration | None, Meta(description='the time after which a check has failed, such as "5s"')] = (
        None
    )
    start_period: Annotated[
        Duration | None, Meta(description='the time in which failures do not count, such as "1m"')
    ] = None
    retries: Annotated[int, Meta(ge=0, le=1000, description="a number of tries from 0 to 1000")] = 0

    def __post_init__(self) -> None:
        if not self.test or self.test in (("CMD",), ("CMD-SHELL",)):
            raise BadKey("test", "a healthcheck runs something", hint='write test = ["python3", "-c", "…"]')
        if self.test[0] == "CMD-SHELL" and len(self.test) > 2:
            # A shell would run the first of them, and call it the second.
            words = self.test[1:]
            text = " ".join(words) if any(word in ("||", "&&", "|", ";") for word in words) else shlex.join(words)
            hint = f"write test = {json.dumps(['CMD-SHELL', text], ensure_ascii=False)}"
            raise BadKey("test", "behind CMD-SHELL stands one text, which a shell reads", hint=hint)
        for number, word in enumerate(self.test):
            without_nul(f"test[{number}]", word)
        for key, duration in (
            ("interval", self.interval),
            ("timeout", self.timeout),
            ("start-period", self.start_period),
        ):
            countable(key, duration)

    def value(self) -> Healthcheck:
        """The healthcheck of the image's configuration: a list runs without a shell, unless docker's mark says so."""
        return Healthcheck(
            test=self.test if self.test[0] in ("NONE", "CMD", "CMD-SHELL") else ("CMD", *self.test),
            interval=nanoseconds(self.interval),
            timeout=nanoseconds(self.timeout),
            start_period=nanoseconds(self.start_period),
            retries=self.retries,
        )


class ConfigRecipe(Table, frozen=True, kw_only=True):
    """``[config]``: how a container runs. ``exposed_ports`` are like ``80/tcp`` afterwards."""

    foreign: ClassVar[Mapping[str, str]] = CONFIG_FOREIGN
    env: Annotated[dict[EnvName, str], Meta(description="a table of environment variables")] = field(
        default_factory=dict
    )
    workdir: Absolute | None = None
    entrypoint: Entrypoint = ()
    cmd: Cmd | None = None
    labels: Annotated[dict[LabelName, str], Meta(description="a table of labels")] = field(default_factory=dict)
    exposed_ports: Annotated[tuple[Port, ...], Meta(description='a list of ports such as 8080 or "53/udp"')] = ()
    volumes: Annotated[tuple[Absolute, ...], Meta(description="a list of absolute paths of the image")] = ()
    stop_signal: Signal | None = None
    locale: (
        LocaleName
        | Annotated[tuple[LocaleName, ...], Meta(description="a list of locales, of which the first is LANG")]
    ) = ()
    healthcheck: HealthcheckRecipe | None = None

    def __post_init__(self) -> None:
        for key, table in (("env", self.env), ("labels", self.labels)):
            for name, value in table.items():
                without_nul(f"{key}.{name}", value)
        for key, words in (("entrypoint", self.entrypoint), ("cmd", self.cmd or ())):
            for number, word in enumerate(words):
                without_nul(f"{key}[{number}]", word)
        ports = {normal_port(f"exposed-ports[{number}]", port) for number, port in enumerate(self.exposed_ports)}
        force_setattr(self, "exposed_ports", tuple(sorted(ports, key=lambda port: (int(port.split("/")[0]), port))))

    @property
    def locales(self) -> tuple[str, ...]:
        """The locales that are in the image, the one of LANG first."""
        return tuple(dict.fromkeys((self.locale,) if isinstance(self.locale, str) else self.locale))


class UnscriptedPackage(Table, frozen=True, kw_only=True):
    """A Debian package that is taken without what its maintainer scripts would do, though that is not known."""

    name: DebianPackage
    scripts: Annotated[Literal["skip"], Meta(description='"skip", to pass over its maintainer scripts')]
    reason: Text


DebianPackages = Annotated[
    tuple[DebianPackage | UnscriptedPackage, ...],
    Meta(description='a list of Debian packages, such as "libgl1"'),
]


class PackagesRecipe(Table, frozen=True, kw_only=True):
    """``[base-packages]``: Debian packages over the base, and which of their files.

    ``keep`` is stronger than ``drop``. ``suites``, whose indexes ``keys`` sign, are needed for a base of a release
    that no base of ``layers/`` is of.
    """

    packages: DebianPackages = ()
    keep: Annotated[tuple[PathGlob, ...], Meta(description="a list of globs of files that stay all the same")] = ()
    drop: Annotated[tuple[PathGlob, ...], Meta(description="a list of globs of files that are left out too")] = ()
    suites: Annotated[
        tuple[SuiteName, ...], Meta(description='a list of suites to take them from, such as "ubuntu/jammy"')
    ] = ()
    keys: Annotated[tuple[Inside, ...], Meta(description="a list of files with the public keys that sign suites")] = ()

    def __post_init__(self) -> None:
        for one, other in (("suites", "keys"), ("keys", "suites")):
            if getattr(self, one) and not getattr(self, other):
                raise BadKey(other, f"there are {one} and no {other}: a suite is believed by the keys that sign it")

    @property
    def names(self) -> tuple[str, ...]:
        """What the packages are called."""
        return tuple(each if isinstance(each, str) else each.name for each in self.packages)

    @property
    def skipped(self) -> Mapping[str, str]:
        """The packages whose maintainer scripts are passed over, with the reasons."""
        return {each.name: each.reason for each in self.packages if not isinstance(each, str)}


class LayeringRecipe(Table, frozen=True, kw_only=True):
    """``[layering]``: how wheels are spread over layers, and over how many at most."""

    meant = staticmethod(meanings.layering)
    strategy: Annotated[
        Literal["size", "one", "each"],
        Meta(description='"size" (large wheels alone), "one" (all together) or "each" (every wheel alone)'),
    ] = "size"
    budget: Annotated[int, Meta(ge=1, le=120, description="a number of layers from 1 to 120")] = 20
    order: Annotated[
        Literal["name", "size"], Meta(description='"name", or "size" (the largest wheels in the lowest layers)')
    ] = "name"


class AllowRecipe(Table, frozen=True, kw_only=True):
    """One of ``[checks] allow``: a finding that is right as it is, with the reason."""

    reason: Text
    library: Annotated[Line | None, Meta(description="a shared library such as libGL.so.1, or a glob")] = None
    finding: Annotated[Line | None, Meta(description='a kind of finding, such as "world-writable"')] = None
    package: Annotated[Line | None, Meta(description="the name of a distribution")] = None
    subject: Annotated[Line | None, Meta(description="what a finding is about, a path or a name, or a glob")] = None

    def __post_init__(self) -> None:
        if not (self.library or self.finding or self.package or self.subject):
            raise BadKey("", "it would allow everything: say library, finding, package or subject")


class ChecksRecipe(Table, frozen=True, kw_only=True):
    """``[checks]``: what the gate is told."""

    allow: Annotated[tuple[AllowRecipe, ...], Meta(description="a list of findings that are right as they are")] = ()


class ImageToml(Table, frozen=True, kw_only=True):
    """A whole ``image.toml``. ``name`` is empty only where a file leaves it to its folder."""

    extends: Annotated[Inside | None, Meta(description="the image.toml that this one is laid over")] = None
    foreign: ClassVar[Mapping[str, str]] = FOREIGN
    name: Name = ""
    version: Version | None = None
    tags: Annotated[tuple[Line, ...], Meta(description='a list of image references such as "mypy:1.4.2"')] = ()
    base: Annotated[
        Line,
        Meta(
            description="a base layer, an image of a registry, an image file or folder, or scratch",
            extra={"meant": meanings.base},
        ),
    ] = BASE_DEFAULT
    base_packages: DebianPackages | PackagesRecipe = ()
    platforms: Annotated[tuple[Line, ...], Meta(description='a list of "linux/amd64", "linux/arm64" or both')] = (
        "linux/amd64",
    )
    python: PythonRecipe = PythonRecipe()
    user: UserRecipe = UserRecipe()
    config: ConfigRecipe = ConfigRecipe()
    copy: tuple[CopyRecipe, ...] = ()
    folder: tuple[FolderRecipe, ...] = ()
    link: tuple[LinkRecipe, ...] = ()
    fetch: tuple[FetchRecipe, ...] = ()
    layering: LayeringRecipe = LayeringRecipe()
    checks: ChecksRecipe = ChecksRecipe()
    max_size: Size | None = None
    max_unpacked: Size | None = None
    max_entries: Annotated[
        int, Meta(ge=0, le=100_000_000, description="a number of files and folders that an image as base may have")
    ] = 0

    def __post_init__(self) -> None:
        if self.name in VERBS:
            raise BadKey("name", f"{self.name!r} is a command of ocibuild", hint=f'write name = "{self.name}-image"')
        if not self.platforms:
            raise BadKey("platforms", "an image runs on one platform at least")
        for number, tag in enumerate(self.tags):
            reference = _held(f"tags[{number}]", Reference.parse, tag)
            if reference.digest:
                raise BadKey(f"tags[{number}]", "a tag has no digest: that is computed")
        for number, platform in enumerate(self.platforms):
            _held(f"platforms[{number}]", Platform.parse, platform)

    @property
    def debian(self) -> PackagesRecipe:
        """The Debian packages over the base, however they are written."""
        packages = self.base_packages
        return packages if isinstance(packages, PackagesRecipe) else PackagesRecipe(packages=packages)

    @property
    def needs_packages(self) -> bool:
        """Whether Debian packages come over the base: those that are named, or that of a locale."""
        return bool(self.debian.packages) or not all(map(is_built_in, self.config.locales))

    @property
    def references(self) -> tuple[Reference, ...]:
        """The tags of the image; without any, its name as ``latest``."""
        return tuple(dict.fromkeys(Reference.parse(tag) for tag in self.tags or (f"{self.name}:latest",)))

    @property
    def targets(self) -> tuple[Platform, ...]:
        """The platforms to build for, each once."""
        return tuple(dict.fromkeys(Platform.parse(text) for text in self.platforms))

    @property
    def release(self) -> str:
        """What ``{version}`` in a file name stands for: the version, else the tag of the first reference."""
        return self.version or self.references[0].tag

    @property
    def max_bytes(self) -> int:
        """How many bytes the image's files may have; 0 for no limit."""
        return number_of_bytes(self.max_size)

    @property
    def max_unpacked_bytes(self) -> int:
        """How many bytes a wheel, and all layers together, may unpack to; 0 for the limits that all recipes have."""
        return number_of_bytes(self.max_unpacked)

    def run(self) -> RunConfig:
        """How the image runs; of the base's environment it knows nothing."""
        config = self.config
        return RunConfig(
            # With a group, engines do not look for further ones.
            user=str(self.user.uid) if self.user.groups else f"{self.user.uid}:{self.user.gid}",
            env=config.env,
            entrypoint=config.entrypoint,
            cmd=config.cmd if config.cmd is not None else () if config.entrypoint else DEFAULT_CMD,
            workdir=config.workdir or self.user.home,
            labels=config.labels,
            exposed_ports=tuple(str(port) for port in config.exposed_ports),
            volumes=config.volumes,
            stop_signal=config.stop_signal or "",
            healthcheck=config.healthcheck.value() if config.healthcheck else None,
        )


def _held(key: str, parse: Callable[[str], T], text: str) -> T:
    try:
        return parse(text)
    except InvalidValue as error:
        raise BadKey(key, str(error), hint=error.hint) from error
