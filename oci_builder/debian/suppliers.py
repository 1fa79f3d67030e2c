"""Which package brings which library, asked of the archives a base is from."""

from __future__ import annotations

from pathlib import Path

from oci_builder.debian.apt import Apt
from oci_builder.debian.recipe import key_files, load_layer
from oci_builder.debian.sonames import sonames
from oci_builder.debian.sources import ArchiveSource, Mirror, reason, way_to_packages
from oci_builder.debian.supply import Supply
from oci_builder.debian.trust import Trust
from oci_builder.errors import OcibuildError, PackageUnavailable
from oci_builder.files import is_full
from oci_builder.platforms import Platform
from oci_builder.reporter import Reporter
from oci_builder.store import Store


def suppliers(folder: Path, platform: Platform, *, store: Store, supply: Supply, reporter: Reporter) -> dict[str, str]:
    """Soname to package, by the signed lists of contents of the suites of the base in ``folder``.

    Of the supply, only mirrors and clock are looked at. Raises RecipeError, and PackageUnavailable when no source has
    such lists.
    """
    recipe = load_layer(folder)
    suites = recipe.source.suite_list()
    archives = sorted({suite.archive for suite in suites})
    trust = Trust(keys=key_files(folder), now=supply.now, store=store)
    tried: list[str] = []
    with store.scratch() as scratch:
        sources: list[ArchiveSource] = [Apt(suites, platform.architecture, scratch, contents=True)]
        sources += [Mirror(url, archives) for url in (*supply.mirrors, *recipe.source.mirrors)]
        for source in sources:
            reporter.advance(source.name, 0, None)
            found: dict[str, str] = {}
            for suite in suites:
                try:
                    release = trust.release(source, suite)
                    found |= sonames(source.contents(release, platform.architecture))
                except OcibuildError as error:
                    if is_full(error):
                        raise
                    # Some suites have none, Debian's security archive for one; its libraries are in the others too.
                    tried.append(f"{source.name}: {reason(error)}")
            if found:
                return found
    raise PackageUnavailable("the lists of contents", tried=tried, hint=way_to_packages())
