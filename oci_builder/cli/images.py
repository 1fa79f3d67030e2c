"""The images that commands look at: files, folders and registries, named in the words of the command line."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import click

from oci_builder.cli import options
from oci_builder.cli.options import together

if TYPE_CHECKING:
    from oci_builder.cli.request import CommandRequest, LookRequest
    from oci_builder.cli.settings import Settings
    from oci_builder.gate.finding import GateResult
    from oci_builder.inspect.contents import FileRecord, ImageContents
    from oci_builder.inspect.packages import Inventory
    from oci_builder.inspect.reading import Watch
    from oci_builder.platforms import Platform
    from oci_builder.projects.contents import LockContents
    from oci_builder.reference import Reference
    from oci_builder.registry.registries import Registries
    from oci_builder.reporter import Reporter
    from oci_builder.store import Store
    from oci_builder.verify.results import Report

image = click.argument("image", metavar="IMAGE")

platform = click.option(
    "--platform", metavar="PLATFORM", help="Which one, where there are several: linux/amd64 or linux/arm64."
)


def _bytes(context: click.Context, option: click.Parameter, value: str | None) -> int | None:
    from oci_builder.pruning import parse_size

    return parse_size(value) if value else None


limits = together(
    click.option(
        "--max-entries",
        type=click.IntRange(1, 100_000_000),
        metavar="N",
        help="Read images of so many files and folders, too. [320000]",
    ),
    click.option(
        "--max-unpacked",
        callback=_bytes,
        metavar="SIZE",
        help="Read images that unpack to so much (200GB), too. [100GiB, and 1000 times what is packed]",
    ),
)

reaching = together(options.registry, options.cache, options.jobs, limits)

one_image = together(image, platform, reaching)


@dataclass(frozen=True)
class Looking:
    """The images a command looks at, found; what is needed to read them is opened when it is needed, and once."""

    places: tuple[Path | Reference, ...]
    platform: Platform | None
    settings: Settings
    registries: Registries

    def contents(self, *, watch: Watch | None = None) -> list[ImageContents]:
        """What is in each; ``watch`` sees the files.

        Raises UnsupportedImage, DigestMismatch, RegistryError, FileProblem.
        """
        from oci_builder.cli.progress import shown
        from oci_builder.inspect.memory import LayerMemory
        from oci_builder.inspect.reading import read_image
        from oci_builder.reporter import Quiet

        found: list[ImageContents] = []
        with contextlib.ExitStack() as stack:
            served = not all(isinstance(place, Path) for place in self.places)
            reporter = stack.enter_context(shown(self.settings)) if served else Quiet()
            store = self._store()
            memory = LayerMemory(store) if store is not None else None
            for place in self.places:
                # Images that are looked at together are alike, nearly always.
                like = found[0].tree if found else {}
                if isinstance(place, Path):
                    found.append(read_image(place, platform=self.platform, watch=watch, like=like, memory=memory))
                else:
                    found.append(self._served(place, reporter, watch, like))
        return found

    def _store(self) -> Store | None:
        """The cache, which remembers what was read before; None where there can be none: looking needs none."""
        from oci_builder.errors import FileProblem
        from oci_builder.store import Store

        with contextlib.suppress(FileProblem):
            return Store(self.settings.cache)
        return None

    def inventories(self) -> list[Inventory]:
        """What is in each, and whose it is. Raises what ``contents`` raises."""
        from oci_builder.inspect.packages import inventory

        return [inventory(each) for each in self.contents()]

    def verify(self, place: Path | Reference) -> Report:
        """All that is wrong with one. Raises RegistryError, FileProblem."""
        from oci_builder.store import Store
        from oci_builder.verify.verify import verify_file, verify_reference

        if isinstance(place, Path):
            return verify_file(place)
        with _taken_for_a_reference(place):
            return verify_reference(place, self.platform, self.registries, store=Store(self.settings.cache))

    def findings(self, place: Path | Reference) -> tuple[str, ...]:
        """What ``verify`` finds in one, or found in the very same file before. Raises RegistryError, FileProblem."""
        from oci_builder.verify.memory import known_findings

        if isinstance(place, Path):
            return known_findings(place, self._store())
        return self.verify(place).findings

    def gated(self, found: Inventory) -> GateResult:
        """What of the Python distributions of the first image would not run; ``found`` is what is in it."""
        from oci_builder.assemble.gate import judge_made
        from oci_builder.bases import Pulling
        from oci_builder.cli.progress import shown
        from oci_builder.store import Store

        place, store = self.places[0], Store(self.settings.cache)
        pulling = Pulling(registries=self.registries, jobs=self.settings.jobs)
        with shown(self.settings) as reporter, reporter.stage("check"), store.scratch() as folder:
            # What lies in a file here is not worth a second place in the cache.
            used = Store(folder) if isinstance(place, Path) else store
            return judge_made(place, found, pulling=pulling, store=used, memory=store, reporter=reporter)

    def _served(
        self, reference: Reference, reporter: Reporter, watch: Watch | None, like: Mapping[str, FileRecord]
    ) -> ImageContents:
        from oci_builder.inspect.memory import LayerMemory
        from oci_builder.inspect.reading import read_parts
        from oci_builder.store import Store
        from oci_builder.verify.registry import open_served

        store = Store(self.settings.cache)
        jobs = self.settings.jobs
        with (
            _taken_for_a_reference(reference),
            reporter.stage("pull"),
            open_served(reference, self.platform, self.registries, store=store, jobs=jobs, reporter=reporter) as parts,
        ):
            return read_parts(parts, watch=watch, like=like, memory=LayerMemory(store))


@contextlib.contextmanager
def _taken_for_a_reference(reference: Reference) -> Iterator[None]:
    """Say of a short name, which might have been meant as a file's, where it was looked for."""
    from oci_builder.errors import RegistryError

    try:
        yield
    except RegistryError as error:
        if reference.registry == "docker.io":
            taken = f"{reference.familiar} is no file or folder here, and was taken for an image of docker.io"
            error.hint = f"{error.hint}; {taken}" if error.hint else taken
        raise


def look_at(
    places: Sequence[str | Path | Reference], request: CommandRequest, *, platform: str | None = None
) -> Looking:
    """Find images by what the command line calls them. Raises NotFound, InvalidValue, click.UsageError."""
    from oci_builder.catalog import find_image_file
    from oci_builder.cli.registries import make_registries
    from oci_builder.cli.settings import make_settings
    from oci_builder.platforms import Platform

    chosen = Platform.parse(platform) if platform else None
    found = tuple(find_image_file(place) if isinstance(place, str) else place for place in places)
    settings = make_settings(request)
    references = [place for place in found if not isinstance(place, Path)]
    return Looking(found, chosen, settings, make_registries(settings, references, request))


def read_inventory(request: LookRequest) -> Inventory:
    """What is in the image that is asked for. Raises NotFound, InvalidValue, UnsupportedImage and more."""
    (found,) = look_at([request.image], request, platform=request.platform).inventories()
    return found


def read_lock(path: Path, environment: Mapping[str, str]) -> LockContents:
    """The lock at ``path`` for an image, by whichever tool it was written, with the projects that are built beside it.

    Raises NotFound, RecipeError.
    """
    from oci_builder.errors import OcibuildError
    from oci_builder.projects.contents import lock_contents
    from oci_builder.recipes import FILE, load_image
    from oci_builder.wheels.project_requirements import PYPROJECT, project_name

    folders = [path.parent]
    if (path.parent / FILE).is_file():
        # What is wrong with the recipe is no matter here.
        with contextlib.suppress(OcibuildError):
            source = load_image(path.parent)
            folders += [source.project] if source.project is not None else []
    names = filter(None, (project_name(each / PYPROJECT) for each in folders))
    return lock_contents(path, environment, projects=frozenset(names))
