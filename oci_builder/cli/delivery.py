"""Where a build's images go, and all of them going there: files, an OCI image layout, registries."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from oci_builder.cli.messages import misused
from oci_builder.export.output import STDOUT, check_target, stream_of
from oci_builder.files import check_output
from oci_builder.platforms import Platform
from oci_builder.reference import Reference

if TYPE_CHECKING:
    from oci_builder.assemble import Built, Options
    from oci_builder.cli.bills import Bills
    from oci_builder.cli.progress import Timed
    from oci_builder.cli.result import Result
    from oci_builder.recipes import ImageRecipe, ImageSource
    from oci_builder.registry.access import Registries
    from oci_builder.registry.pushing import Pushed
    from oci_builder.registry.referrers import Attached
    from oci_builder.store import Store

SUFFIXES = (".tar", ".tar.gz", ".tgz")


@dataclass(frozen=True, kw_only=True)
class Outputs:
    """What to build for, and where it goes: a file per platform, one ``folder`` for all, ``pushes`` for all.

    ``loaded`` is the platform whose image an engine of this machine gets.
    """

    platforms: tuple[Platform, ...]
    files: Mapping[Platform, Path]
    folder: Path | None = None
    pushes: tuple[Reference, ...] = ()
    loaded: Platform | None = None

    @property
    def together(self) -> bool:
        """Whether the images are made together: all platforms go somewhere as one, or one goes somewhere besides."""
        return self.folder is not None or bool(self.pushes) or self.loaded is not None


def outputs(
    recipe: ImageRecipe,
    platforms: Sequence[Platform],
    *,
    out: str | None,
    out_format: str | None,
    pushes: Sequence[str],
    load: bool = False,
) -> Outputs:
    """What the flags ask for. Raises click.UsageError and InvalidValue for what could only fail after the build."""
    names = tuple(Reference.parse(text) for text in pushes)
    for name in names:
        if name.digest is not None:
            raise misused(f"--push {name}: a name to push to has a tag, and no digest")
    everything = tuple(platforms) or recipe.targets
    if load and len(platforms) > 1:
        raise misused("--load takes the image of one platform: name it alone, and build the others apart")
    loaded = everything[0] if load else None
    if is_folder(out, out_format):
        folder = out_folder((out or f"{recipe.name}/").replace("{version}", recipe.release))
        return Outputs(platforms=everything, files={}, folder=folder, pushes=names, loaded=loaded)
    if (names or load) and out is None:
        return Outputs(platforms=everything if names else everything[:1], files={}, pushes=names, loaded=loaded)
    files = out_files(out, platforms, recipe)
    return Outputs(platforms=everything if names else tuple(files), files=files, pushes=names, loaded=loaded)


def out_files(out: str | None, platforms: Sequence[Platform], recipe: ImageRecipe) -> dict[Platform, Path]:
    """Where the image of each platform goes: of those asked for, or else of the recipe's.

    Of several that nobody asked for by name, a file name without ``{arch}`` has room for the first only. Raises
    click.UsageError for what could only fail after the build.
    """
    stream = stream_of(stream_path(out)) if out else None
    if stream is not None:
        if len(platforms) > 1:
            raise misused(f"--out {out}: {len(platforms)} platforms, and it takes the image of one")
        stream.check()
        return dict.fromkeys((platforms or recipe.targets)[:1], stream.path)
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
        check_target(path) if out else check_output(path)
    return files


def stream_path(out: str) -> Path:
    """The path that ``--out`` names; ``-`` is what everybody means by it."""
    return STDOUT if out == "-" else Path(out)


def check_streams(paths: Iterable[Path], *, as_json: bool, verify: bool = False) -> None:
    """See that nothing else goes where an image streams past. Raises click.UsageError."""
    for path in paths:
        stream = stream_of(path)
        if stream is not None and verify:
            raise misused(f"--verify reads what was written again, and of {stream} nothing can be: name a file")
        if stream is not None and as_json and stream.descriptor == 1:
            raise misused("--json and the image both go to stdout: have the image written elsewhere with --out")


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
    listener: Timed,
    *,
    bills: Bills,
) -> list[Result]:
    """Build for all platforms, write and push; one result for each image."""
    from oci_builder.assemble import made
    from oci_builder.cli.result import Result

    references = source.recipe.references
    work = _Work(wanted, references, registries, how, store, listener, bills)
    built, done = made(source, wanted.platforms, work.run, options=how, store=store, listener=listener)
    seconds = listener.lap()
    return [
        Result(
            image=each.image,
            path=wanted.folder or wanted.files.get(each.image.platform),
            size=done.sizes.get(each.image.platform, done.written),
            references=references,
            seconds=seconds,
            # One push for all: told with the last.
            loaded=done.loaded if each.image.platform == wanted.loaded else "",
            pushed=done.pushed if each is built[-1] else (),
            attached=done.attached if each is built[-1] else (),
        )
        for each in built
    ]


@dataclass(frozen=True, kw_only=True)
class _Done:
    sizes: Mapping[Platform, int]
    written: int
    loaded: str
    pushed: Sequence[Pushed]
    attached: Sequence[Attached]


@dataclass(frozen=True)
class _Work:
    wanted: Outputs
    references: Sequence[Reference]
    registries: Registries
    how: Options
    store: Store
    listener: Timed
    bills: Bills

    def run(self, built: tuple[Built, ...]) -> _Done:
        """Write first, then push: what others see comes last."""
        from oci_builder.assemble.bill import write_bill
        from oci_builder.assemble.delivery import deliver, write_folder
        from oci_builder.assemble.proof import layout_proof, prove_served

        images = [each.image for each in built]
        written = 0
        if self.wanted.folder is not None:
            written = write_folder(
                images,
                self.wanted.folder,
                references=self.references,
                store=self.store,
                listener=self.listener,
                proof=layout_proof(self.wanted.folder, self.how, self.listener),
            )
        sizes = {each.image.platform: self._file(each) for each in built if each.image.platform in self.wanted.files}
        loaded = "".join(self._load(each) for each in built if each.image.platform == self.wanted.loaded)
        for each in built:
            if bill := self.bills.files.get(each.image.platform):
                with self.listener.stage("sbom"):
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
                listener=self.listener,
            )
            prove_served(self.wanted.pushes, self.registries, self.how, store=self.store, listener=self.listener)
        return _Done(sizes=sizes, written=written, loaded=loaded, pushed=pushed, attached=self._attach(built))

    def _load(self, built: Built) -> str:
        from functools import partial

        from oci_builder.export import docker_archive
        from oci_builder.export.loading import find_engine, load

        engine = find_engine(self.how.environ)
        with self.listener.stage("load"):
            write = partial(
                docker_archive.write_stream,
                built.image,
                references=self.references,
                store=self.store,
                listener=self.listener,
                name=engine.name,
            )
            return f"{engine.name}: {load(engine, write, self.how.environ)}"

    def _attach(self, built: tuple[Built, ...]) -> Sequence[Attached]:
        from oci_builder.assemble.bill import attach_bills, make_bill

        form = self.bills.form
        if form is None or not self.wanted.pushes:
            return ()
        bills = [(each.image, make_bill(each, form, references=self.references, store=self.store)) for each in built]
        return attach_bills(bills, form, self.wanted.pushes, self.registries, listener=self.listener)

    def _file(self, built: Built) -> int:
        from oci_builder.assemble.proof import file_proof
        from oci_builder.export import docker_archive

        path = self.wanted.files[built.image.platform]
        with self.listener.stage("write"):
            return docker_archive.write_file(
                built.image,
                path,
                references=self.references,
                store=self.store,
                listener=self.listener,
                proof=file_proof(path, self.how, self.listener),
            )
