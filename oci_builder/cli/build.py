"""``ocibuild build``: a recipe to a file that docker, podman and containerd load."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from oci_builder.cli import options
from oci_builder.cli.messages import misused
from oci_builder.cli.terminal import say, tell_json

if TYPE_CHECKING:
    from oci_builder.assemble import Options
    from oci_builder.cli.delivery import Outputs
    from oci_builder.cli.progress import Timed
    from oci_builder.cli.result import Result
    from oci_builder.cli.settings import Settings
    from oci_builder.cli.unchanged import Before
    from oci_builder.platforms import Platform
    from oci_builder.recipes import ImageSource
    from oci_builder.store import Store


@click.command("build")
@options.image_name
@click.option(
    "-o",
    "--out",
    metavar="FILE|DIR/",
    help="Where to write: .tar, or .tar.gz or .tgz to compress the whole file too; with a slash at its end, the folder "
    "of an OCI image layout, for all platforms; - is stdout, and pipes are written to; {version} and {arch} are filled "
    "in. [NAME.tar]",
)
@click.option(
    "--load",
    is_flag=True,
    help="Hand the image to `docker load`, or to `podman load` where there is no docker. Without --out no file is "
    "written.",
)
@options.out_format
@options.push
@click.option(
    "--sbom",
    metavar="FILE|FORMAT",
    help="Write the bill of materials there as well: .cdx.json is CycloneDX, .spdx.json SPDX; {version} and {arch} are "
    "filled in. With --push it is also attached to the image in the registry; cyclonedx or spdx alone writes no file.",
)
@click.option(
    "--verify",
    is_flag=True,
    help="Read what was written from its first byte to its last, as `ocibuild verify` does, before it appears under "
    "its name; and what was pushed, as the registry serves it.",
)
@options.image_config
@options.recipe
@options.sources
@options.locking
@options.shared_cache
@options.registry
@options.project
@options.cache
@options.cache_limit
@options.jobs
@options.as_json
@options.talk
def command(**flags: Any) -> None:
    """Build an image and write it to a file, a folder or a registry.

    NAME is a folder under build/, or a path to such a folder.
    """
    from oci_builder.cli.settings import make_settings
    from oci_builder.cli.unchanged import find
    from oci_builder.store import Store

    settings = make_settings(**flags)
    store = Store(settings.cache, now=settings.now)
    before = find(store, flags, settings.environ)
    if before is None or not (_left_alone(before, settings, flags) or _written_again(before, settings, store, flags)):
        _act(settings, store, flags)


def _left_alone(before: Before, settings: Settings, flags: Mapping[str, Any]) -> bool:
    if not before.intact:
        return False
    if not settings.quiet:
        for line in (*before.notes, f"{before.summary}, nothing to do"):
            say(line)
    _tell(before, {"total": 0.0}, flags)
    return True


def _written_again(before: Before, settings: Settings, store: Store, flags: Mapping[str, Any]) -> bool:
    from oci_builder.cli.again import write_again
    from oci_builder.cli.unchanged import refresh

    seconds = write_again(before, settings, store)
    if seconds is None:
        return False
    if not settings.quiet:
        say(f"{before.summary}, {seconds['total']:.1f} s")
    _tell(before, seconds, flags)
    refresh(store, flags, settings.environ)
    return True


def _tell(before: Before, seconds: Mapping[str, float], flags: Mapping[str, Any]) -> None:
    if flags["as_json"]:
        tell_json({**before.document, "seconds": dict(seconds)})


def _act(settings: Settings, store: Store, flags: Mapping[str, Any]) -> None:
    from oci_builder.catalog import find_image
    from oci_builder.cli.bills import wanted_bills
    from oci_builder.cli.delivery import deliver
    from oci_builder.cli.progress import shown
    from oci_builder.cli.registries import base_references, make_registries
    from oci_builder.cli.sharing import cache_repositories, fill, open_cache
    from oci_builder.cli.unchanged import glance, keep, look
    from oci_builder.platforms import Platform
    from oci_builder.pruning import parse_size, prune

    limit = parse_size(flags["cache_max_size"]) if flags["cache_max_size"] else None
    # Before the recipe is read: who edits it meanwhile has edited another.
    glanced = glance(find_image(flags["name"], settings.project))
    source = open_source(settings, **flags)
    platforms = tuple(dict.fromkeys(Platform.parse(text) for text in flags["platforms"]))
    wanted = _wanted(source, platforms, settings, flags)
    bills = wanted_bills(flags["sbom"], wanted.platforms, source.recipe, pushes=wanted.pushes)
    # The lock is the recipe's: a build of something else reads it and leaves it as it is.
    as_written = not flags["base"] and not flags["requirements"] and set(platforms) <= set(source.recipe.targets)
    caches = cache_repositories((*flags["cache_from"], *flags["cache_to"]))
    login_for = wanted.pushes or caches or base_references(source.recipe.base)
    registries = make_registries(settings, login_for, **flags)
    lazily = bool(wanted.pushes) and not wanted.files and wanted.folder is None and wanted.loaded is None
    how = make_options(settings, keep_lock=as_written, registries=registries, lazily=lazily, **flags)
    base = _base_folder(source, how)
    looked = look(flags, source, base, glanced) if glanced else None
    if base != _base_folder(source, how):
        looked = None  # another came to be found first meanwhile
    with shown(settings) as listener:
        cache = open_cache(registries, settings, listener, sources=flags["cache_from"], targets=flags["cache_to"])
        store = store.sharing(cache) if cache else store
        if wanted.together:
            results = deliver(source, wanted, registries, how, store, listener, bills=bills)
        else:
            results = [
                _build(source, target, path, how, store, listener, bill=bills.files.get(target))
                for target, path in wanted.files.items()
            ]
        if cache and flags["cache_to"]:
            fill(cache, store, listener, images=[result.image for result in results], pushes=wanted.pushes)
    for result in results:
        result.tell(as_json=flags["as_json"], quiet=settings.quiet)
    if len(results) == 1:
        # Last of all: what is told of the file is told of it as it is now.
        keep(store, flags, settings.environ, looked=looked, result=results[0], notes=listener.notes)
    if limit is not None:
        # Others that build now are let be; whoever ends last prunes.
        prune(store, now=settings.now, max_size=limit)


def _wanted(
    source: ImageSource, platforms: Sequence[Platform], settings: Settings, flags: Mapping[str, Any]
) -> Outputs:
    """Where the images go. Raises, before any work is done, what could only fail after it."""
    from oci_builder.cli.delivery import check_streams, outputs
    from oci_builder.export.loading import find_engine

    wanted = outputs(
        source.recipe,
        platforms,
        out=flags["out"],
        out_format=flags["out_format"],
        pushes=flags["pushes"],
        load=flags["load"],
    )
    check_streams(wanted.files.values(), as_json=flags["as_json"], verify=flags["verify"])
    if wanted.loaded:
        find_engine(settings.environ)
    return wanted


def _base_folder(source: ImageSource, how: Options) -> Path | None:
    """Where the recipe of the base is; None for an image, whose tag may move."""
    from oci_builder.catalog import find_layer
    from oci_builder.errors import NotFound

    try:
        name = source.recipe.base
        return find_layer(name, recipe_folder=source.folder, project_dir=how.project, extra=how.layers)
    except NotFound:
        return None


def open_source(settings: Settings, *, name: str, **flags: Any) -> ImageSource:
    """The recipe that ``name`` leads to, changed by the flags. Raises NotFound, RecipeError, InvalidValue."""
    from oci_builder.catalog import find_image
    from oci_builder.recipes import ImageSource, load_image, with_overrides

    source = load_image(find_image(name, settings.project), project=flags.get("project_dir"))
    recipe = with_overrides(
        source.recipe,
        base=_base_from_here(flags.get("base")),
        tags=flags.get("tags", ()),
        # A file named on the command line is relative to where the user stands, not to the recipe.
        requirements=[str(path.absolute()) for path in flags.get("requirements", ())],
        user=flags.get("user"),
        env=flags.get("env"),
        labels=flags.get("labels"),
    )
    return ImageSource(source.folder, recipe, source.within)


def make_options(settings: Settings, *, keep_lock: bool = True, **flags: Any) -> Options:
    """How to build, from settings and flags. Raises click.UsageError where two flags exclude each other."""
    from oci_builder.assemble import Options

    for first, second in (("offline", "online"), ("locked", "frozen")):
        if flags.get(first) and flags.get(second):
            raise misused(f"--{first} and --{second} exclude each other")
    offline = True if flags.get("offline") else False if flags.get("online") else None
    return Options(
        find_links=tuple(_from_here(place) for place in flags.get("find_links", ())),
        offline=offline,
        locked=flags.get("locked", False),
        frozen=flags.get("frozen", False),
        keep_lock=keep_lock,
        mirrors=tuple(flags.get("mirrors", ())),
        layers=tuple(path.absolute() for path in flags.get("layers", ())),
        project=settings.project.absolute(),
        jobs=settings.jobs,
        epoch=settings.epoch,
        now=settings.now,
        environ=settings.environ,
        registries=flags.get("registries"),
        lazily=flags.get("lazily", False),
        verify=flags.get("verify", False),
        stands_on=flags.get("stands_on", ""),
    )


def _build(
    source: ImageSource,
    target: Platform,
    path: Path,
    how: Options,
    store: Store,
    listener: Timed,
    *,
    bill: Path | None,
) -> Result:
    from oci_builder.assemble import write
    from oci_builder.cli.result import Result

    references = source.recipe.references
    built, size = write(source, target, path, references=references, options=how, store=store, listener=listener)
    if bill is not None:
        from oci_builder.assemble.bill import write_bill

        with listener.stage("sbom"):
            write_bill(built, bill, references=references, store=store)
    return Result(image=built.image, path=path, size=size, references=references, seconds=listener.lap())


def _base_from_here(base: str | None) -> str | None:
    """An image's file or folder that lies where the user stands by its full path; all else as it is written."""
    from oci_builder.cli.delivery import SUFFIXES

    if base is None:
        return None
    is_file = base.endswith(SUFFIXES) and Path(base).is_file()
    is_folder = "/" in base and any(Path(base, name).is_file() for name in ("index.json", "manifest.json"))
    return str(Path(base).absolute()) if is_file or is_folder else base


def _from_here(place: str) -> str:
    return place if "://" in place else str(Path(place).absolute())
