"""Words that people bring along from docker, pip and git, and what to type here instead."""

from __future__ import annotations

_VERBS = {
    "run": "ocibuild runs nothing: `ocibuild {name} --load` hands the image to docker or podman, then "
    "`docker run --rm {name}`",
    "test": "`ocibuild check {name}` says whether it would run, without running it",
    "show": "`ocibuild inspect {name}` shows an image, `ocibuild plan {name}` what a build would do",
    "publish": "`ocibuild push {name}.tar REFERENCE` sends an image to a registry",
    "export": "`ocibuild {name} --out {name}.tar` writes a file",
    "completion": "`ocibuild --help` says at its end how completion is switched on",
    "version": "`ocibuild --version` says it",
    "layer": "`ocibuild inspect {name}` lists the layers of an image, `ocibuild base` looks after those of bases",
}
"""What to type instead of a first word that is no verb, and that no image may be called."""

_OPTIONS = {
    "-v": "`--progress plain` says what goes on, `--debug` shows the traceback of an error; what docker mounts with -v "
    "is copied by [[copy]] in image.toml",
    "--verbose": "`--progress plain` says what goes on, `--debug` shows the traceback of an error",
    "-p": "`--platform linux/arm64` chooses the platform; a port that is told of goes into image.toml: [config] "
    "exposed-ports = [8080]",
    "-e": "`--env NAME=VALUE` sets a variable of the image",
    "-f": "the recipe is build/NAME/image.toml; requirements of another file: `-r FILE`",
    "--file": "the recipe is build/NAME/image.toml; requirements of another file: `-r FILE`",
    "--no-cache": "`--cache-dir` with an empty folder builds all anew; `ocibuild cache clear` empties the cache",
    "--build-arg": "nothing is run in a build; a variable of the image is set with `--env NAME=VALUE`",
    "--output": "`--out FILE` says where the image is written",
    "--name": "`--tag NAME` says what the image is called",
    "--verify": "`ocibuild verify FILE` checks an image that is there",
    "--upgrade": "`ocibuild lock NAME --upgrade` takes newer wheels",
}
"""What to type instead of an option that another program has."""


def verb_hint(word: str, rest: list[str]) -> str | None:
    """What to type instead of the first word ``word``, None where nobody is known to mean anything by it."""
    said = _VERBS.get(word)
    name = next((each for each in rest if not each.startswith("-")), "NAME")
    if not said:
        return None
    import shlex

    return said.replace("{name}", shlex.quote(name) if name != "NAME" else name)


def option_hint(option: str) -> str | None:
    """What to type instead of an option that there is not, None where nobody is known to mean anything by it."""
    return _OPTIONS.get(option)
