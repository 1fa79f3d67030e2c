"""The base of a recipe: found by its name, pinned by the lock, opened; and who compiles for it."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache, cached_property, partial
from pathlib import Path
from typing import TypeAlias

from oci_builder import inputs
from oci_builder.assemble.context import BuildContext, BuildPolicy
from oci_builder.assemble.other_images import OtherImages
from oci_builder.assemble.pinned_images import ImagePinning
from oci_builder.bases import (
    Archives,
    Base,
    Compiling,
    Pulling,
    Suite,
    Supply,
    WantedPackages,
    absent_locales,
    archives_of,
    base_target,
    check_localizable,
    check_packaged,
    compiling,
    find_python,
    near_layer,
    open_base,
    release_of,
    with_packages,
)
from oci_builder.catalog import find_base, find_layer, layer_folders
from oci_builder.debian.archives import layer_of
from oci_builder.debian.locales import PACKAGE as LOCALES
from oci_builder.debian.recipe import is_layer
from oci_builder.debian.running import FindPython
from oci_builder.errors import InvalidValue, NotFound, RegistryError
from oci_builder.files import in_words
from oci_builder.platforms import Platform
from oci_builder.recipes import ImageSource
from oci_builder.reference import Reference
from oci_builder.tree.limits import allowing
from oci_builder.wheels.target import Target

Place: TypeAlias = Path | Reference | None
"""Where a base is: a folder, a file, an image of a registry by digest; None is nothing."""


@dataclass(frozen=True)
class BaseResolver:
    """The base that a recipe names. Its place is found once; what is opened there is asked for by platform."""

    source: ImageSource
    context: BuildContext
    policy: BuildPolicy

    @cached_property
    def place(self) -> Place:
        """Where it is, an image of a registry by digest; one that is a path may have been downloaded.

        Raises NotFound, InvalidValue, StaleLock, RegistryError.
        """
        # Kept, for a tag may move between two questions: all platforms, the lock and the bill are of one image.
        source = self.source
        if source.base_said:
            self.context.reporter.note(source.base_said)
        try:
            place = find_base(
                source.recipe.base,
                recipe_folder=source.folder,
                project_dir=self.context.project,
                extra=self.policy.layer_path,
            )
        except NotFound:
            copy = source.base_copy / Path(source.recipe.base).name
            if not inputs.is_file(copy) and not inputs.is_file(copy / "index.json"):
                raise
            return copy
        if not isinstance(place, Reference):
            return place
        pinning = ImagePinning(source, self.context, self.policy)
        try:
            return pinning.pinned(place, beside=source.base_copy)
        except RegistryError as error:
            if not source.base_said:
                raise
            raise _unreachable(error, source.recipe.base) from error

    @property
    def pin(self) -> str:
        """The image of a registry that it is, with its digest; empty for bases that have their own locks."""
        return str(self.place) if isinstance(self.place, Reference) else ""

    @cached_property
    def others(self) -> OtherImages:
        """The images that the recipe copies out of."""
        return OtherImages(self.source, self.context, self.policy)

    def open(self, platform: Platform) -> Base:
        """The base on ``platform``, with the recipe's ``base-packages`` and locales; all is in the store afterwards.

        Raises NotFound, InvalidValue, StaleLock, and what opening a base of its kind raises.
        """
        context = self.context
        base = self.opened(platform)
        if self.needs_packages(base):
            lock = self.source.base_lock(platform)
            base = with_packages(
                base,
                self.wanted(base),
                lock=lock,
                supply=self.supply,
                store=context.store,
                reporter=context.reporter,
            )
        if base.inherited is not None and base.inherited.triggers:
            triggers = "; ".join(base.inherited.triggers)
            context.reporter.note(f"{base.name}: its ONBUILD instructions are not run: {triggers}")
        return base

    def needs_packages(self, base: Base) -> bool:
        """Whether packages come over ``base``: those that the recipe names, or that of a locale which it has not."""
        recipe = self.source.recipe
        return bool(recipe.debian.packages) or bool(absent_locales(base, recipe.config.locales))

    def wanted(self, base: Base) -> WantedPackages:
        """The recipe's ``base-packages`` and locales, and where they come from. Raises as ``archives``."""
        recipe = self.source.recipe.debian
        return WantedPackages(
            names=recipe.names,
            keep=recipe.keep,
            drop=recipe.drop,
            skipped=recipe.skipped,
            locales=self.source.recipe.config.locales,
            archives=self.archives(base),
        )

    def archives(self, base: Base) -> Archives:
        """Where the packages over ``base`` come from: from the suites that the recipe names, or whence itself is.

        Raises PackageError for a base that is no Debian, or of a release that nobody has named, and InvalidValue where
        only a locale is wanted of it.
        """
        recipe = self.source.recipe.debian
        if not recipe.packages:
            check_localizable(base, self.source.recipe.config.locales[0])
        first = (*recipe.names, LOCALES)[0]
        check_packaged(base, first)
        if not recipe.suites:
            return archives_of(base, self._layers, wanted=first)
        return Archives(suites=tuple(map(Suite.parse, recipe.suites)), keys=tuple(map(self._key, recipe.keys)))

    def _key(self, name: str) -> Path:
        try:
            return self.source.within.find(name, follow=True).path
        except OSError as error:
            hint = "keys in [base-packages] are files beside image.toml, as /usr/share/keyrings of a Debian has them"
            raise InvalidValue("file of keys", name, in_words(error), hint=hint) from error

    def layer_of_release(self, base: Base) -> Path | None:
        """The base of ``layers/`` that is of the release of ``base``, an image made elsewhere; None where none is."""
        found = release_of(base)
        return layer_of(found, self._layers) if found is not None else None

    def target(self, platform: Platform) -> Target:
        """What the base promises on ``platform``. Raises NoPython, and what opening it raises."""
        if isinstance(self.place, Path) and is_layer(self.place):
            return base_target(self.place, platform)
        return self.opened(platform).target

    def promised_target(self, platform: Platform) -> Target | None:
        """What the base promises on ``platform``, if that can be told without it: by the recipe of a layer."""
        return base_target(self.place, platform) if isinstance(self.place, Path) and is_layer(self.place) else None

    @property
    def supply(self) -> Supply:
        """Where the packages of a base of ``layers/`` come from."""
        policy = self.policy
        return Supply(
            now=self.context.now,
            mirrors=policy.mirrors,
            debs=self.source.debs if inputs.is_dir(self.source.debs) else None,
            # A folder of wheels says nothing of packages.
            offline=bool(policy.offline),
            locked=policy.locked,
            writes_locks=policy.update_lock,
            jobs=self.context.jobs,
            host_python=self._host_python,
            image=self.source.called,
        )

    @cached_property
    def _host_python(self) -> FindPython:
        # Every interpreter of the machine is started to be asked for its version: once, however often that is needed.
        return cache(partial(find_python, environ=self.context.environ))

    @property
    def pulling(self) -> Pulling:
        """How a base of a registry comes: from the folder that a download filled, if it did, else from there."""
        return Pulling(
            registries=self.context.registries,
            jobs=self.context.jobs,
            lazily=self.policy.lazy_base,
            offline=bool(self.policy.offline),
            beside=self.source.base_copy,
            image=self.source.called,
        )

    def compiler(self, base: Base) -> Compiling | None:
        """Who makes the bytecode for ``base``; None, and the reporter is told, where nobody does."""
        if self.source.recipe.python.bytecode == "none":
            return None
        return compiling(
            base,
            wish=self.source.recipe.python.compiler,
            layers=self._layer,
            supply=self.supply,
            store=self.context.store,
            reporter=self.context.reporter,
        )

    def compiler_layer(self, target: Target) -> Path | None:
        """The base of ``layers/`` that may be asked to compile for ``target``; None where none is, or no bytecode."""
        return None if self.source.recipe.python.bytecode == "none" else self._layer(near_layer(target))

    def opened(self, platform: Platform) -> Base:
        """The base on ``platform`` alone. Raises as ``open``."""
        recipe = self.source.recipe
        with allowing(recipe.max_entries, unpacked=recipe.max_unpacked_bytes):
            return self._open(platform)

    def _open(self, platform: Platform) -> Base:
        return open_base(
            self.place,
            platform,
            store=self.context.store,
            supply=self.supply,
            pulling=self.pulling if isinstance(self.place, Reference) else None,
            reporter=self.context.reporter,
        )

    @property
    def _layers(self) -> tuple[Path, ...]:
        """The folders of all bases of ``layers/``."""
        return layer_folders(
            recipe_folder=self.source.folder, project_dir=self.context.project, extra=self.policy.layer_path
        )

    def _layer(self, name: str) -> Path | None:
        try:
            return find_layer(
                name,
                recipe_folder=self.source.folder,
                project_dir=self.context.project,
                extra=self.policy.layer_path,
            )
        except NotFound:
            return None


def _unreachable(error: RegistryError, base: str) -> RegistryError:
    """The error for a base that nobody named, and that its registry does not give: what to do instead."""
    hint = (
        f'where there is no way to it, write base = "REGISTRY/{base.partition("/")[2]}" into image.toml, or say '
        f"--base, for a registry that has it; or bring it as a file, as with skopeo copy docker://{base} "
        "docker-archive:python.tar, and name that"
    )
    return RegistryError(error.method, error.url, error.why, status=error.status, codes=error.codes, hint=hint)
