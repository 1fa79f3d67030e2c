"""Images as values that know where their bytes are: built just now, in a file or folder, or in a registry."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

from oci_builder.assemble.build import Built, write_image
from oci_builder.assemble.context import BuildContext
from oci_builder.errors import InvalidValue
from oci_builder.platforms import Platform
from oci_builder.recipes import ImageSource
from oci_builder.reference import Reference
from oci_builder.wording import counted

if TYPE_CHECKING:
    from oci_builder.assemble.updates import UpdateTask
    from oci_builder.inspect.diff import Difference
    from oci_builder.inspect.installed import Package
    from oci_builder.inspect.packages import Inventory
    from oci_builder.inspect.why import Reason
    from oci_builder.registry.pushing import Pushed
    from oci_builder.sbom import Format
    from oci_builder.updates.update import Update, UpdatePolicy
    from oci_builder.verify.results import Report


class AnyImage(ABC):
    """What can be asked of every image, wherever its bytes are. Layers are read when they are first asked for."""

    @cached_property
    @abstractmethod
    def inventory(self) -> Inventory:
        """All that is in it, and whose it is."""

    @property
    def id(self) -> str:
        """The digest of its configuration: what engines call its ID."""
        return str(self.inventory.contents.config_digest)

    @property
    def digest(self) -> str | None:
        """The digest of its manifest; None where a docker archive has none."""
        found = self.inventory.contents.manifest_digest
        return str(found) if found else None

    @property
    def platform(self) -> str:
        """``linux/amd64``."""
        return self.inventory.contents.platform

    @property
    def packages(self) -> tuple[Package, ...]:
        """Python distributions and Debian packages."""
        return self.inventory.packages

    def inspect(self) -> dict[str, Any]:
        """Documents, layers and packages, as ``ocibuild inspect --json`` prints them; sizes are bytes."""
        from oci_builder.inspect.inspect import describe

        return dict(describe(self.inventory))

    def diff(self, other: AnyImage | str | Path) -> Difference:
        """What changes from this image to ``other``, an image or where one is."""
        from oci_builder.inspect.diff import difference

        return difference(self.inventory, (other if isinstance(other, AnyImage) else self.opened(other)).inventory)

    def why(self, package: str) -> Reason:
        """Who requires ``package``, and which layer holds it. Raises NotFound."""
        from oci_builder.inspect.why import reason

        return reason(self.inventory, package)

    def sbom(self, form: Format = "cyclonedx") -> bytes:
        """The bill of materials, CycloneDX 1.6 or SPDX 2.3, as JSON."""
        from oci_builder.sbom import bill_of_materials
        from oci_builder.version import __version__

        return bill_of_materials(self.inventory, form, tool_version=__version__)

    def write_update(self, old: str | Path, path: str | Path, *, exact: bool = False, force: bool = False) -> Update:
        """Write to ``path`` what brings a machine that has the image ``old`` up to this one.

        ``old`` is where that image is, or a file with what ``docker image inspect`` says of it. The update is a layer
        of what differs, or if ``exact`` the layers that are missing; with ``force`` it is written whatever it saves.
        Raises UpdateRefused, UnsupportedImage, DigestMismatch, RegistryError, FileProblem.
        """
        from oci_builder.assemble.updates import write
        from oci_builder.catalog import find_image_file
        from oci_builder.updates.update import UpdatePolicy

        place = old if isinstance(old, Path) else find_image_file(old)
        task, context = self._update_task(place, UpdatePolicy(exact=exact, force=force))
        return write(task, Path(path), context)[0]

    @abstractmethod
    def _update_task(self, old: Path | Reference, policy: UpdatePolicy) -> tuple[UpdateTask, BuildContext]:
        """What is to be written for ``write_update``, and with what."""

    @abstractmethod
    def opened(self, place: str | Path) -> OpenedImage:
        """Another image, at ``place``. Raises NotFound, InvalidValue."""


@dataclass(frozen=True, repr=False)
class BuiltImage(AnyImage):
    """An image that was built: its layers are in the cache. Write it or push it."""

    source: ImageSource
    built: Built
    context: BuildContext

    def __repr__(self) -> str:
        image = self.built.image
        layers = counted(len(image.layers), "layer")
        return f"BuiltImage({self.source.recipe.name}, {image.platform}, {layers}, {image.id})"

    @cached_property
    def inventory(self) -> Inventory:
        """All that is in it, and whose it is."""
        from oci_builder.inspect.built import contents_of
        from oci_builder.inspect.packages import inventory

        names = [str(each) for each in self.source.recipe.references]
        name = self.source.recipe.name
        return inventory(contents_of(self.built.image, self.context.store, name=name, references=names))

    def write(self, path: str | Path, *, tags: Sequence[str] = (), verify: bool = False) -> OpenedImage:
        """Write it to a file that engines load, or with a slash at the end of ``path`` into an OCI image layout.

        ``tags`` are its names there, by default the recipe's; with ``verify`` it is read again before it appears. Gives
        what was written. Raises FileProblem, CheckFailed.
        """
        from oci_builder.assemble.delivery import write_folder

        names = [Reference.parse(tag) for tag in tags] or self.source.recipe.references
        if str(path).endswith("/"):
            write_folder([self.built.image], Path(path), references=names, context=self.context, verify=verify)
        else:
            write_image(self.built.image, Path(path), references=names, context=self.context, verify=verify)
        return self.opened(Path(path))

    def push(self, *references: str) -> tuple[Pushed, ...]:
        """Have every one of ``references`` name it; what the registries have is not sent. Raises RegistryError."""
        from oci_builder.assemble.delivery import push_built

        return push_built([self.built], [Reference.parse(text) for text in references], self.context)

    def sbom(self, form: Format = "cyclonedx") -> bytes:
        """The bill of materials, with the digests of its wheels, which an image alone does not keep."""
        from oci_builder.assemble.sbom import make_bill

        return make_bill(self.built, form, references=self.source.recipe.references, store=self.context.store)

    def _update_task(self, old: Path | Reference, policy: UpdatePolicy) -> tuple[UpdateTask, BuildContext]:
        from oci_builder.assemble.updates import UpdateTask

        image, names = self.built.image, self.source.recipe.references
        task = UpdateTask(old=old, new=image, platform=image.platform, references=names, policy=policy)
        return task, self.context

    def opened(self, place: str | Path) -> OpenedImage:
        """Another image, at ``place``. Raises NotFound, InvalidValue."""
        return OpenedImage.at(place, self.context)


@dataclass(frozen=True, repr=False)
class OpenedImage(AnyImage):
    """An image in a file, a folder or a registry, whoever made it. ``wanted`` chooses among several platforms."""

    place: Path | Reference
    context: BuildContext
    wanted: Platform | None = None

    @classmethod
    def at(cls, place: str | Path, context: BuildContext, *, platform: str | None = None) -> OpenedImage:
        """The image at ``place``: a path, or a reference where no such file is. Raises NotFound, InvalidValue."""
        from oci_builder.catalog import find_image_file

        wanted = Platform.parse(platform) if platform else None
        return cls(place if isinstance(place, Path) else find_image_file(place), context, wanted)

    def __repr__(self) -> str:
        return f"OpenedImage({str(self.place)!r})"

    @cached_property
    def inventory(self) -> Inventory:
        """All that is in it, and whose it is. Raises UnsupportedImage, DigestMismatch, RegistryError, FileProblem."""
        from oci_builder.inspect.memory import LayerMemory
        from oci_builder.inspect.packages import inventory
        from oci_builder.inspect.reading import read_image, read_parts
        from oci_builder.verify.registry import open_served

        context = self.context
        memory = LayerMemory(context.store)
        if isinstance(self.place, Path):
            return inventory(read_image(self.place, platform=self.wanted, memory=memory))
        served = open_served(
            self.place,
            self.wanted,
            context.registries,
            store=context.store,
            jobs=context.jobs,
            reporter=context.reporter,
        )
        with served as parts:
            return inventory(read_parts(parts, memory=memory))

    def verify(self) -> Report:
        """All that is wrong with it: every digest, size and reference is checked. Raises FileProblem, RegistryError."""
        from oci_builder.verify.verify import verify_file, verify_reference

        if isinstance(self.place, Path):
            return verify_file(self.place)
        return verify_reference(self.place, self.wanted, self.context.registries, store=self.context.store)

    def push(self, *references: str) -> tuple[Pushed, ...]:
        """Push the file or folder, as it is, under every one of ``references``.

        Raises RegistryError, UnsupportedImage, and InvalidValue for an image that is in a registry already.
        """
        from oci_builder.assemble.delivery import push_file

        if not isinstance(self.place, Path):
            raise InvalidValue("image to push", str(self.place), "it is in a registry", hint="pull it to a file first")
        return push_file(self.place, [Reference.parse(text) for text in references], self.context)

    def pull(self, path: str | Path) -> OpenedImage:
        """Write an image of a registry to a file, or to a folder where ``path`` ends in a slash; gives that.

        Raises RegistryError, FileProblem, and InvalidValue for an image that is a file already.
        """
        from oci_builder.assemble.delivery import pull_file

        if isinstance(self.place, Path):
            raise InvalidValue("image to pull", str(self.place), "it is here already")
        platforms = [self.wanted] if self.wanted else []
        folder = str(path).endswith("/")
        pull_file(self.place, Path(path), platforms=platforms, folder=folder, context=self.context)
        return self.opened(Path(path))

    def _update_task(self, old: Path | Reference, policy: UpdatePolicy) -> tuple[UpdateTask, BuildContext]:
        from oci_builder.assemble.updates import UpdateTask

        return UpdateTask(old=old, new=self.place, platform=self.wanted, policy=policy), self.context

    def opened(self, place: str | Path) -> OpenedImage:
        """Another image, at ``place``. Raises NotFound, InvalidValue."""
        return OpenedImage.at(place, self.context)
