"""Whatever is no wheel, refused: before it is fetched, and again wherever pip would build, unpack or run it."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from functools import wraps
from pathlib import Path
from typing import Any, NoReturn

from pip._internal.models.link import Link
from pip._internal.operations import prepare
from pip._internal.req.req_install import InstallRequirement

from ocibuild_hook.insides import attribute, replace, replace_everywhere
from ocibuild_hook.rules import HookRules, kind_of
from ocibuild_hook.shelves import shelved
from ocibuild_hook.telling import Refused, Teller

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
            if asked is not None and not shelved(asked, rules.shelves or []):
                teller.refuse("offline", req, link=asked)
            return method(self, req, *rest, **more)

        return check

    preparer = prepare.RequirementPreparer
    for name in ("prepare_linked_requirement", "_prepare_linked_requirement"):
        replace(preparer, name, checked(attribute(preparer, name)))
    for where in NEVER if rules.builds else (*NEVER, *SOURCES):
        replace_everywhere(where, _refusal(where, teller))


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


def keep_sdist(folder: Path, teller: Teller) -> None:
    """Copy the archive that would be unpacked into ``folder`` and stop: nothing of it runs."""
    unpacked = attribute(prepare, "unpack_url")

    def unpack_url(link: Link, *rest: Any, **more: Any) -> Any:
        def kept(filename: str, *_: Any, **__: Any) -> NoReturn:
            # By the name that was judged: what was served may call itself otherwise.
            shutil.copyfile(filename, folder / Path(link.filename).name)
            raise Refused("kept")

        # Now, and not before: until an archive was judged, whatever unpacks is a refusal.
        replace(prepare, "unpack_file", kept)
        return unpacked(link, *rest, **more)

    replace(prepare, "unpack_url", unpack_url)
