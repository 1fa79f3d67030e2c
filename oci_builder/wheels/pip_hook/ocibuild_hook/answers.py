"""What pip answers: for the target's markers, by settings that count, with each sha256, and naming culprits."""

from __future__ import annotations

import contextlib
import dataclasses
from collections.abc import Callable, Iterator
from typing import Any

from pip._internal.cli import parser
from pip._internal.exceptions import PipError
from pip._internal.models import installation_report
from pip._internal.models.direct_url import ArchiveInfo
from pip._internal.models.link import Link
from pip._internal.operations import prepare
from pip._internal.req.req_install import InstallRequirement
from pip._internal.resolution.resolvelib import candidates
from pip._internal.utils.misc import hash_file
from pip._vendor.packaging import markers

from ocibuild_hook.insides import attribute, changed, replace
from ocibuild_hook.telling import Teller


def foresee(environment: dict[str, str]) -> None:
    """Make ``environment`` the one that markers are evaluated in."""
    if set(markers.default_environment()) != set(environment):
        changed("the marker environment has other names")
    # A word that no machine says: a marker that is true of it proves that markers ask here, and not the interpreter.
    answer = {**environment, "platform_release": "foreseen"}
    for module in (markers, installation_report):
        replace(module, "default_environment", lambda: dict(answer))
    if not markers.Marker("platform_release == 'foreseen'").evaluate():
        changed("markers do not ask for the default environment")
    answer["platform_release"] = environment["platform_release"]


def configure(settings: frozenset[str]) -> None:
    """Hear nothing of pip's configuration, in files and environment, but ``settings``."""
    items: Callable[[Any], Iterator[tuple[str, Any]]] = attribute(
        parser.ConfigOptionParser, "_get_ordered_configuration_items"
    )

    def heard(self: Any) -> Iterator[tuple[str, Any]]:
        for key, value in items(self):
            if key == "use-deprecated":
                # Of the old ways the resolver is not wanted; old certificates a company may need.
                value = " ".join({"legacy-certs"}.intersection(str(value).split()))
            if key in settings and value:
                yield key, value

    replace(parser.ConfigOptionParser, "_get_ordered_configuration_items", heard)


def name_what_does_not_read(teller: Teller) -> None:
    """Name the wheel whose metadata pip trips over: pip says what it tripped over, and not where."""
    backed = candidates._InstallRequirementBackedCandidate
    prepared, dependencies = attribute(backed, "_prepare"), attribute(backed, "iter_dependencies")

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

    replace(backed, "_prepare", prepare_)
    replace(backed, "iter_dependencies", iter_dependencies)


def hash_on_arrival() -> None:
    """Have the sha256 of every wheel in the report: one that an index gives no sha256 for is fetched and hashed."""
    preparer = prepare.RequirementPreparer
    metadata_only = attribute(preparer, "_fetch_metadata_only")
    prepared = attribute(preparer, "_prepare_linked_requirement")

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
                req.download_info = dataclasses.replace(info, archive_info=ArchiveInfo(hashes=hashes))
        return found

    replace(preparer, "_fetch_metadata_only", fetch_metadata_only)
    replace(preparer, "_prepare_linked_requirement", prepare_linked_requirement)


def _sha256(link: Link) -> bool:
    """Whether the hash that pip reports for ``link`` is a sha256: it takes the first."""
    return bool(link.hash_name == "sha256")
