"""Where a build's images go, and all of them going there: files, an OCI image layout, registries."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from oci_builder.cli.messages import misused
from oci_builder.export.output import STDOUT, check_target, stream_of
from oci_builder.outputs import check_output
from oci_builder.platforms import Platform
from oci_builder.reference import Reference
from oci_builder.wording import making

if TYPE_CHECKING:
    from oci_builder.assemble.build import BuildTask, Built
    from oci_builder.assemble.context import BuildContext, BuildPolicy
    from oci_builder.cli.bills import Bills
    from oci_builder.cli.request import BuildRequest
    from oci_builder.cli.result import Result
    from oci_builder.inputs import Recording
    from oci_builder.recipes import ImageSource, ImageToml
    from oci_builder.registry.pushing import Pushed
    from oci_builder.registry.referrers import Attached

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
        """Whether the images of all platforms go somewhere as one."""
        return self.folder is not None or bool(self.pushes)


def outputs(recipe: ImageToml, platforms: Sequence[Platform], request: BuildRequest) -> Outputs:
    """What the flags ask for. Raises click.UsageError and InvalidValue for what could only fail after the build."""
    out, out_format = _out_of(recipe, platforms, request), request.out_format
    names = tuple(Reference.parse(filled(text, recipe)) for text in request.pushes)
    for name in names:
        if name.digest is not None:
            raise misused(f"--push {name}: a name to push to has a tag, and no digest")
    everything = tuple(platforms) or recipe.targets
    if request.load and len(platforms) > 1:
        raise misused("--load takes the image of one platform: name it alone, and build the others apart")
    loaded = everything[0] if request.load else None
    if is_folder(out, out_format):
        folder = out_folder(filled(out or f"{recipe.name}/", recipe))
        return Outputs(platforms=everything, files={}, folder=folder, pushes=names, loaded=loaded)
    if (names or loaded) and out is None:
        return Outputs(platforms=everything if names else everything[:1], files={}, pushes=names, loaded=loaded)
    files = out_files(out, platforms, recipe)
    check_streams(files.values(), as_json=request.as_json, verify=request.verify)
    return Outputs(platforms=everything if names else tuple(files), files=files, pushes=names, loaded=loaded)


def filled(text: str, recipe: ImageToml) -> str:
    """``text`` with what stands for the image in it: ``{name}`` and ``{version}``."""
    return text.replace("{name}", recipe.name).replace("{version}", recipe.release)


def _out_of(recipe: ImageToml, platforms: Sequence[Platform], request: BuildRequest) -> str | None:
    """``--out``, or what ``--out-dir`` makes of it. Raises click.UsageError where both are given."""
    if request.out_dir is None:
        return request.out
    if request.out is not None:
        raise misused("--out and --out-dir exclude each other: a folder for files, or the name of one")
    if not request.out_dir.is_dir():
        raise misused(f"--out-dir {request.out_dir}: there is no such folder")
    ending = "/" if request.out_format == "oci-dir" else f"{'-{arch}' if len(platforms) > 1 else ''}.tar"
    return f"{request.out_dir}/{recipe.name}{ending}"


def out_files(out: str | None, platforms: Sequence[Platform], recipe: ImageToml) -> dict[Platform, Path]:
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
    pattern = filled(pattern, recipe)
    targets = platforms or (recipe.targets if "{arch}" in pattern else recipe.targets[:1])
    files = {target: Path(pattern.replace("{arch}", target.architecture)) for target in targets}
    for path in files.values():
        if not path.parent.is_dir():
            raise misused(f"--out {path}: there is no folder {path.parent}; make it: {making(path.parent)}")
        if path.is_dir():
            raise misused(f"--out {path}: this is a folder")
        if out is None and path.is_symlink():
            # It may have come with the checkout: what it leads to is overwritten only if that was asked for.
            raise misused(f"{path} is a symbolic link: write --out {path} to have what it leads to replaced")
        check_target(path) if out else check_output(path)
    return files


def other_platform(path: Path, platform: Platform) -> str:
    """The platform of the image that a file holds already, where it is another one; nothing where it cannot be told."""
    from oci_builder.errors import OcibuildError
    from oci_builder.verify.reproduce import identity

    if not path.is_file():
        return ""
    try:
        there = identity(path).platform
    except OcibuildError:
        return ""  # whatever it is, it is replaced, as was asked for
    return "" if there == str(platform) else there


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


def check_since(wanted: Outputs, request: BuildRequest) -> None:
    """See that an update goes where one can, and where nobody takes it for the image. Raises click.UsageError."""
    since, named = request.since, request.out is not None or request.out_dir is not None
    if not named or not wanted.files or wanted.together or wanted.loaded:
        raise misused(f"--since {since}: an update is a file: name one with --out, and nothing else")


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
        raise misused(f"--out {out}: there is no folder {folder.parent}; make it: {making(folder.parent)}")
    if folder.is_file():
        raise misused(f"--out {out}: this is a file")
    check_folder(folder)
    return folder


@dataclass(frozen=True, kw_only=True)
class Job:
    """One recipe on its way: what is wanted of it, what its user chose, and what decides it.

    Files hold what is new ``since`` an older image, if there is one.
    """

    source: ImageSource
    wanted: Outputs
    bills: Bills
    policy: BuildPolicy
    noted: Recording
    verify: bool = False
    since: Path | Reference | None = None

    @property
    def tasks(self) -> tuple[BuildTask, ...]:
        """The images to make: one for each platform."""
        from oci_builder.assemble.build import BuildTask

        return tuple(
            BuildTask(source=self.source, platform=each, policy=self.policy, noted=self.noted)
            for each in self.wanted.platforms
        )

    def deliver(self, built: Sequence[Built], context: BuildContext) -> Delivered:
        """Write first, then push: what others see comes last."""
        from oci_builder.assemble.delivery import push_built, write_folder
        from oci_builder.assemble.proof import prove_served
        from oci_builder.assemble.sbom import write_bill

        references, wanted = self.source.recipe.references, self.wanted
        images = [each.image for each in built]
        written = 0
        if wanted.folder is not None:
            written = write_folder(images, wanted.folder, references=references, context=context, verify=self.verify)
        sizes = {each.image.platform: self._file(each, context) for each in built if self._has_file(each)}
        loaded = "".join(self._load(each, context) for each in built if each.image.platform == wanted.loaded)
        for each in built:
            if bill := self.bills.files.get(each.image.platform):
                with context.reporter.stage("sbom"):
                    write_bill(each, bill, references=references, store=context.store)
        pushed: Sequence[Pushed] = ()
        if wanted.pushes:
            pushed = push_built(built, wanted.pushes, context)
            if self.verify:
                prove_served(wanted.pushes, context)
        attached = self._attach(built, context)
        return Delivered(sizes=sizes, written=written, loaded=loaded, pushed=pushed, attached=attached)

    def results(self, built: Sequence[Built], done: Delivered, seconds: Mapping[str, float]) -> list[Result]:
        """What is told of each image."""
        from oci_builder.cli.result import Result

        return [
            Result(
                image=each.image,
                path=self.wanted.folder or self.wanted.files.get(each.image.platform),
                size=done.sizes.get(each.image.platform, done.written),
                references=self.source.recipe.references,
                seconds=seconds,
                # One push for all: told with the last.
                loaded=done.loaded if each.image.platform == self.wanted.loaded else "",
                pushed=done.pushed if each is built[-1] else (),
                attached=done.attached if each is built[-1] else (),
            )
            for each in built
        ]

    def _load(self, built: Built, context: BuildContext) -> str:
        from functools import partial

        from oci_builder.export import docker_archive
        from oci_builder.export.loading import find_engine, load

        engine = find_engine(context.environ)
        with context.reporter.stage("load"):
            write = partial(
                docker_archive.write_stream,
                built.image,
                references=self.source.recipe.references,
                store=context.store,
                reporter=context.reporter,
                name=engine.name,
            )
            return f"{engine.name}: {load(engine, write, context.environ)}"

    def _has_file(self, built: Built) -> bool:
        return built.image.platform in self.wanted.files

    def _attach(self, built: Sequence[Built], context: BuildContext) -> Sequence[Attached]:
        from oci_builder.assemble.sbom import attach_bills, make_bill

        form, references = self.bills.form, self.source.recipe.references
        if form is None or not self.wanted.pushes:
            return ()
        bills = [(each.image, make_bill(each, form, references=references, store=context.store)) for each in built]
        return attach_bills(bills, form, self.wanted.pushes, context.registries, reporter=context.reporter)

    def _file(self, built: Built, context: BuildContext) -> int:
        from oci_builder.assemble.build import write_image

        path, references = self.wanted.files[built.image.platform], self.source.recipe.references
        if there := other_platform(path, built.image.platform):
            keep = f"to keep both, build with --out {self.source.recipe.name}-{{arch}}.tar"
            context.reporter.note(
                f"{path} was an image for {there}, and becomes one for {built.image.platform}: {keep}"
            )
        if self.since is not None:
            return self._update(built, path, self.since, context)
        return write_image(built.image, path, references=references, context=context, verify=self.verify)

    def _update(self, built: Built, path: Path, since: Path | Reference, context: BuildContext) -> int:
        from oci_builder.assemble.updates import UpdateTask, write
        from oci_builder.cli.updated import told

        task = UpdateTask(
            old=since,
            new=built.image,
            platform=built.image.platform,
            references=self.source.recipe.references,
            verify=self.verify,
        )
        update, size = write(task, path, context)
        for line in told(update, path, size):
            context.reporter.note(line)
        return size


@dataclass(frozen=True, kw_only=True)
class Delivered:
    """What became of a job's images: the sizes of files by platform, bytes written to a folder, names pushed.

    ``loaded`` is what an engine said that loaded one.
    """

    sizes: Mapping[Platform, int]
    written: int
    loaded: str
    pushed: Sequence[Pushed]
    attached: Sequence[Attached]
