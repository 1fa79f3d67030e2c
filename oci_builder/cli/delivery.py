"""Where a build's images go, and all of them going there: files, an OCI image layout, registries."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from oci_builder.cli.messages import misused
from oci_builder.files import check_output
from oci_builder.platforms import Platform
from oci_builder.reference import Reference

if TYPE_CHECKING:
    from oci_builder.assemble import Built, Options
    from oci_builder.cli.bills import Bills
    from oci_builder.cli.progress import Timed
    from oci_builder.cli.result import Result
    from oci_builder.recipes import ImageRecipe, ImageSource
    from oci_builder.registry.pushing import Pushed
    from oci_builder.registry.referrers import Attached
    from oci_builder.registry.registries import Registries
    from oci_builder.store import Store

SUFFIXES = (".tar", ".tar.gz", ".tgz")


@dataclass(frozen=True, kw_only=True)
class Outputs:
    """What to build for, and where it goes: a file per platform, one ``folder`` for all, ``pushes`` for all."""

    platforms: tuple[Platform, ...]
    files: Mapping[Platform, Path]
    folder: Path | None = None
    pushes: tuple[Reference, ...] = ()

    @property
    def together(self) -> bool:
        """Whether the images of all platforms go somewhere as one."""
        return self.folder is not None or bool(self.pushes)


def outputs(
    recipe: ImageRecipe,
    platforms: Sequence[Platform],
    *,
    out: str | None,
    out_format: str | None,
    pushes: Sequence[str],
) -> Outputs:
    """What the flags ask for. Raises click.UsageError and InvalidValue for what could only fail after the build."""
    names = tuple(Reference.parse(text) for text in pushes)
    for name in names:
        if name.digest is not None:
            raise misused(f"--push {name}: a name to push to has a tag, and no digest")
    everything = tuple(platforms) or recipe.targets
    if is_folder(out, out_format):
        folder = out_folder((out or f"{recipe.name}/").replace("{version}", recipe.release))
        return Outputs(platforms=everything, files={}, folder=folder, pushes=names)
    if names and out is None:
        return Outputs(platforms=everything, files={}, pushes=names)
    files = out_files(out, platforms, recipe)
    return Outputs(platforms=everything if names else tuple(files), files=files, pushes=names)


def out_files(out: str | None, platforms: Sequence[Platform], recipe: ImageRecipe) -> dict[Platform, Path]:
    """Where the image of each platform goes: of those asked for, or else of the recipe's.

    Of several that nobody asked for by name, a file name without ``{arch}`` has room for the first only. Raises
    click.UsageError for what could only fail after the build.
    """
    pattern = out or f"{recipe.name}{'-{arch}' if len(platforms) > 1 else ''}.tar"
    if not pattern.endswith(SUFFIXES) or Path(pattern).name in SUFFIXES:
        raise misused(f"--out {pattern}: a file name ends in {', '.join(SUFFIXES[:-1])} or {SUFFIXES[-1]}")
    if len(platforms) > 1 and "{arch}" not in pattern:
        raise misused(f"--out {pattern}: {len(platforms)} platforms need {{arch}} in the file name")
    pattern = pattern.replace("{version}", recipe.release)
    targets = platforms or (recipe.targets if "{arch}" in pattern else recipe.targets[:1])
    files = {target: Path(pattern.replace("{arch}", target.architecture)) for target in targets}
    for path in files.values():
        if not path.parent.is_dir():
            raise misused(f"--out {path}: there is no folder {path.parent}")
        if path.is_dir():
            raise misused(f"--out {path}: this is a folder")
        if out is None and path.is_symlink():
            # It may have come with the checkout: what it leads to is overwritten only if that was asked for.
            raise misused(f"{path} is a symbolic link: write --out {path} to have what it leads to replaced")
        check_output(path)
    return files


def is_folder(out: str | None, out_format: str | None) -> bool:
    """Whether ``--out`` is an OCI image layout's folder. Raises click.UsageError where ``--format`` says otherwise."""
    slash = out is not None and out.endswith("/")
    if slash and out_format == "tar":
        raise misused(f"--out {out}: a folder, and --format tar writes a file")
    return slash or out_format == "oci-dir"


def out_folder(out: str) -> Path:
    """The folder of a layout. Raises click.UsageError where it cannot be, UnsupportedImage if it is something else."""
    from oci_builder.export.oci_layout import check_folder

    folder = Path(out)
    if not folder.absolute().parent.is_dir():
        raise misused(f"--out {out}: there is no folder {folder.parent}")
    if folder.is_file():
        raise misused(f"--out {out}: this is a file")
    check_folder(folder)
    return folder


def deliver(
    source: ImageSource,
    wanted: Outputs,
    registries: Registries,
    how: Options,
    store: Store,
    reporter: Timed,
    *,
    bills: Bills,
) -> list[Result]:
    """Build for all platforms, write and push; one result for each image."""
    from oci_builder.assemble import build_and
    from oci_builder.cli.result import Result

    references = source.recipe.references
    work = _Work(wanted, references, registries, how, store, reporter, bills)
    built, done = build_and(source, wanted.platforms, work.run, options=how, store=store, reporter=reporter)
    seconds = reporter.lap()
    return [
        Result(
            image=each.image,
            path=wanted.folder or wanted.files.get(each.image.platform),
            size=done.sizes.get(each.image.platform, done.written),
            references=references,
            seconds=seconds,
            # One push for all: told with the last.
            pushed=done.pushed if each is built[-1] else (),
            attached=done.attached if each is built[-1] else (),
        )
        for each in built
    ]


@dataclass(frozen=True, kw_only=True)
class _Done:
    sizes: Mapping[Platform, int]
    written: int
    pushed: Sequence[Pushed]
    attached: Sequence[Attached]


@dataclass(frozen=True)
class _Work:
    wanted: Outputs
    references: Sequence[Reference]
    registries: Registries
    how: Options
    store: Store
    reporter: Timed
    bills: Bills

    def run(self, built: tuple[Built, ...]) -> _Done:
        """Write first, then push: what others see comes last."""
        from oci_builder.assemble.delivery import deliver, write_folder
        from oci_builder.assemble.proof import layout_proof, prove_served
        from oci_builder.assemble.sbom import write_bill

        images = [each.image for each in built]
        written = 0
        if self.wanted.folder is not None:
            written = write_folder(
                images,
                self.wanted.folder,
                references=self.references,
                store=self.store,
                reporter=self.reporter,
                proof=layout_proof(self.wanted.folder, self.how, self.reporter),
            )
        sizes = {each.image.platform: self._file(each) for each in built if each.image.platform in self.wanted.files}
        for each in built:
            if bill := self.bills.files.get(each.image.platform):
                with self.reporter.stage("sbom"):
                    write_bill(each, bill, references=self.references, store=self.store)
        pushed: Sequence[Pushed] = ()
        if self.wanted.pushes:
            pushed = deliver(
                images,
                self.wanted.pushes,
                self.registries,
                sources={digest: place for each in built for digest, place in each.sources.items()},
                store=self.store,
                jobs=self.how.jobs,
                reporter=self.reporter,
            )
            prove_served(self.wanted.pushes, self.registries, self.how, store=self.store, reporter=self.reporter)
        return _Done(sizes=sizes, written=written, pushed=pushed, attached=self._attach(built))

    def _attach(self, built: tuple[Built, ...]) -> Sequence[Attached]:
        from oci_builder.assemble.sbom import attach_bills, make_bill

        form = self.bills.form
        if form is None or not self.wanted.pushes:
            return ()
        bills = [(each.image, make_bill(each, form, references=self.references, store=self.store)) for each in built]
        return attach_bills(bills, form, self.wanted.pushes, self.registries, reporter=self.reporter)

    def _file(self, built: Built) -> int:
        from oci_builder.assemble.proof import file_proof
        from oci_builder.export import docker_archive

        path = self.wanted.files[built.image.platform]
        with self.reporter.stage("write"):
            return docker_archive.write_file(
                built.image,
                path,
                references=self.references,
                store=self.store,
                reporter=self.reporter,
                proof=file_proof(path, self.how, self.reporter),
            )
