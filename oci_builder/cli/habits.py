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

_LISTS = "`ls build` lists what can be built, `ocibuild cache` what is kept, `ocibuild tags` what a registry has"
_WORDS = {
    "ps": "ocibuild runs nothing, so nothing of it runs: `docker ps` lists containers",
    "images": "`ls build` lists what can be built, `docker images` what docker has",
    "ls": _LISTS,
    "list": _LISTS,
    "install": "what is to be installed stands in requirements.txt, a package a line; then `ocibuild .`",
    "add": "what is to be installed stands in requirements.txt, a package a line; then `ocibuild .`",
    "login": "`docker login` or `podman login` keeps logins, or OCIBUILD_REGISTRY_USER and OCIBUILD_REGISTRY_PASSWORD",
    "logout": "`docker logout` or `podman logout` forgets logins: ocibuild keeps none",
    "load": "`ocibuild {name} --load` builds an image and hands it to docker or podman; a file: `docker load -i FILE`",
    "import": "`docker load -i FILE` loads a file that ocibuild wrote",
    "save": "`ocibuild {name} --out {name}.tar` writes a file; `ocibuild pull REFERENCE --out FILE` a registry's image",
    "rmi": "`docker rmi {name}` removes an image of docker's; ocibuild's are files",
    "rm": "`docker rm` removes a container; ocibuild's images are files",
    "exec": "ocibuild runs nothing: `docker exec` does, in a container that runs",
    "start": "ocibuild runs nothing: `ocibuild {name} --load`, then `docker run --rm {name}`",
    "up": "ocibuild runs nothing: `docker compose up` does",
    "clean": "`ocibuild cache clear` empties the folder of finished work, `ocibuild cache prune` keeps it small",
    "clear": "`ocibuild cache clear` empties the folder of finished work",
    "prune": "`ocibuild cache prune --cache-max-size 20GB` keeps the folder of finished work small",
    "tag": "`ocibuild {name} --tag REFERENCE` names an image; `ocibuild push {name}.tar REFERENCE` gives it another",
    "buildx": "`ocibuild build {name}` builds, and needs no buildx",
    "image": "`ocibuild build NAME` builds, `ocibuild inspect FILE` shows an image",
    "search": "`ocibuild tags REPOSITORY` lists the tags of a repository; what there is, the registry's own page shows",
    "new": "`ocibuild init` writes the recipe of the project in this folder",
    "create": "`ocibuild init` writes the recipe of the project in this folder",
    "freeze": "`ocibuild lock {name}` writes down which wheels an image is made of",
    "scan": "`ocibuild sbom FILE` writes the bill of materials that scanners read",
    "history": "`ocibuild inspect FILE` lists the layers of an image",
    "config": "image.toml says it, and ~/.config/ocibuild.toml which mirror is asked: `ocibuild schema` has all keys",
}
"""What to type instead of a first word that is no verb, where no image is called so."""

_OPTIONS = {
    "--destination": "`--push REFERENCE` sends the image to a registry, `--out FILE` writes a file",
    "--context": "the folder itself is named: `ocibuild FOLDER`, or `ocibuild .` for this one",
    "--dockerfile": "`ocibuild init FOLDER` makes a recipe of a Dockerfile",
    "--index-url": "pip's settings say it: PIP_INDEX_URL, pip.conf, or --index-url ADDRESS in requirements.txt",
    "-i": "pip's settings say it: PIP_INDEX_URL, pip.conf, or --index-url ADDRESS in requirements.txt",
    "--extra-index-url": "write it into requirements.txt, in a line of its own, or set PIP_EXTRA_INDEX_URL",
    "--no-deps": "what a package depends on comes with it: a lock that leaves it out is taken with --frozen",
    "-c": "write -c FILE into requirements.txt: constraints stand there; a command is cmd in image.toml, [config]",
    "--constraint": "write -c FILE into requirements.txt: constraints stand there",
    "--dry-run": "`ocibuild plan NAME` shows what a build would do, and does none of it",
    "-n": "`ocibuild plan NAME` shows what a build would do, and does none of it",
    "--python": "`--base python-3.12` chooses the base, and with it the Python",
    "--python-version": "`--base python-3.12` chooses the base, and with it the Python",
    "--network": "nothing is run in a build, so nothing of it reaches a network; without one: `--offline`",
    "--arch": "`--platform linux/arm64` chooses the platform",
    "--target": "a recipe is one image: further ones lie in other folders of build/",
    "--pull": "a base is taken as its lock has it; `ocibuild lock NAME --upgrade` looks for newer",
    "--rm": "there is no container to remove: nothing is run in a build",
    "--squash": 'how layers are cut says image.toml: [layering] strategy = "one"',
    "--secret": "nothing is run in a build that could read a secret; logins of indexes are pip's: PIP_INDEX_URL, netrc",
    "--volume": "files are copied by [[copy]] in image.toml; volumes are named below [config]",
    "--port": "a port that is told of goes into image.toml: [config] exposed-ports = [8080]",
    "--publish": "a port that is told of goes into image.toml: [config] exposed-ports = [8080]",
    "--expose": "a port that is told of goes into image.toml: [config] exposed-ports = [8080]",
    "--entrypoint": 'image.toml says it: [config] entrypoint = ["PROGRAM"]',
    "--cmd": 'image.toml says it: [config] cmd = ["PROGRAM"]; `ocibuild init --cmd` writes one that does',
    "--workdir": 'image.toml says it: [config] workdir = "/PATH"',
    "-w": 'image.toml says it: [config] workdir = "/PATH"',
    "--username": "`docker login` keeps logins, or OCIBUILD_REGISTRY_USER and OCIBUILD_REGISTRY_PASSWORD say one",
    "--password": "`docker login` keeps logins, or OCIBUILD_REGISTRY_USER and OCIBUILD_REGISTRY_PASSWORD say one",
    "--silent": "`--quiet` says nothing but errors",
    "--force": "what is there is replaced: there is nothing to force",
    "--yes": "nothing is asked: there is nothing to agree to",
    "-y": "nothing is asked: there is nothing to agree to",
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
    return _filled(_VERBS.get(word), rest)


def word_hint(word: str, rest: list[str]) -> str | None:
    """The same of a word that an image may be called: asked where none is."""
    return _filled(_WORDS.get(word), rest)


def _filled(said: str | None, rest: list[str]) -> str | None:
    name = next((each for each in rest if not each.startswith("-")), "NAME")
    if not said:
        return None
    import shlex

    return said.replace("{name}", shlex.quote(name) if name != "NAME" else name)


def option_hint(option: str) -> str | None:
    """What to type instead of an option that there is not, None where nobody is known to mean anything by it."""
    return _OPTIONS.get(option)
