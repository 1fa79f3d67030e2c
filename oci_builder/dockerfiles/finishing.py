"""What was gathered of a Dockerfile, as the document of a recipe."""

from __future__ import annotations

import posixpath
import re
import shlex
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from oci_builder.dockerfiles.draft import INSTALLERS_OWN, Account, Copied, Draft, Place, Verdict, number_of
from oci_builder.dockerfiles.locales import PACKAGES, settle_locales
from oci_builder.dockerfiles.locking import LOCKS
from oci_builder.dockerfiles.running import FETCHERS
from oci_builder.projects.packages import is_foreign

_ROOT = ("root", "0", "0:0", "root:root")
_WRITTEN = "requirements.txt"
_WRITTEN_TOO = "requirements.image.txt"


def finish(draft: Draft, place: Place) -> tuple[dict[str, Any], dict[str, str]]:
    """The document, in the order in which it is written, and what stands above its keys."""
    comments: dict[str, str] = {}
    config, user = draft.config, draft.user
    document: dict[str, Any] = {"base": draft.base}
    locales = settle_locales(draft, place.env)
    packages = _packages(draft, config)
    if packages:
        document["base-packages"] = packages
        if not draft.base.startswith("python-"):
            draft.remarks.append(
                "base-packages go over bases of layers/ and images of Debian: look whether this is one"
            )
    document["python"] = _python(draft)
    document["user"] = _user(draft, user)
    document["config"] = _config(config, place, locales)
    kept = [copy for copy in draft.copies if not copy.is_dropped]
    document["copy"] = [_copy(copy, draft, user) for copy in kept]
    comments |= {f"copy[{number}]": copy.note for number, copy in enumerate(kept) if copy.note}
    for copy in draft.copies:
        _say(copy, draft)
    document["folder"] = _folders(draft, user, config)
    document["link"] = [{"path": path, "target": target} for path, target in draft.links.items()]
    if not user and "user" not in document["user"]:
        draft.remarks.append('no USER: the image runs as sandbox; [user] name = "root" keeps root')
    return {key: value for key, value in document.items() if value}, comments


def _say(copy: Copied, draft: Draft) -> None:
    if copy.is_dropped:
        draft.say(copy.line, Verdict.NOT_NEEDED, f"{copy.src}: {copy.note or 'read when wheels are chosen'}")
    else:
        out_of = f" of {copy.image}" if copy.image else ""
        draft.say(copy.line, Verdict.DONE, f"[[copy]] {copy.src}{out_of} to {copy.dest}")


def _listed(value: object) -> list[str]:
    return [str(word) for word in value] if isinstance(value, list) else []


def _packages(draft: Draft, config: dict[str, object]) -> list[str]:
    """Those that something in the image may use: a program that only fetched files while it was built is none."""
    said = f"{config.get('cmd')} {config.get('entrypoint')} {config.get('healthcheck')}"
    kept = []
    for name, line in draft.packages.items():
        if name in PACKAGES and draft.locales:
            draft.say(line, Verdict.NOT_NEEDED, f"{name}: [config] locale says it")
        elif name in FETCHERS and name not in said:
            draft.say(line, Verdict.NOT_NEEDED, f"{name}: nothing that runs in the image names it")
        else:
            draft.say(line, Verdict.DONE, f"base-packages: {name}")
            kept.append(name)
    return kept


def _python(draft: Draft) -> dict[str, Any]:
    requirements = list(draft.requirements)
    lock = next((name for name in requirements if is_foreign(Path(name))), None)
    if lock is not None:
        _beside_lock(lock, [*draft.pins, *(name for name in requirements if name != lock)], draft)
        requirements = [lock]
    elif draft.pins:
        name = _WRITTEN_TOO if requirements else _WRITTEN
        requirements.append(draft.write(name, "".join(f"{pin}\n" for pin in draft.pins)))
    found: dict[str, Any] = {"requirements": requirements} if requirements else {}
    if draft.project:
        found["project"] = draft.project
    has_table = bool(draft.project) or lock is not None
    for key, names in (("extras", draft.extras), ("groups", draft.groups)):
        if names and has_table:
            found[key] = list(dict.fromkeys(names))
    return found


def _beside_lock(lock: str, names: Sequence[str], draft: Draft) -> None:
    """What is asked for besides a lock, which has to stand alone, is left to whoever makes the lock."""
    tool = next(tool for tool, name in LOCKS.items() if name == posixpath.basename(lock))
    add = f"{tool} {'install' if tool == 'pipenv' else 'add'}"
    for number, row in enumerate(draft.rows):
        said = next(
            (name for name in names if row.text in (f"requirement {name}", f"[python] requirements: {name}")), ""
        )
        if said:
            text = f"{said}: {lock} has to name all there is; before the build: {add} {shlex.quote(said)}"
            draft.rows[number] = replace(row, verdict=Verdict.BY_HAND, text=text)


def _user(draft: Draft, user: str) -> dict[str, Any]:
    name, _, group = user.partition(":")
    if user in _ROOT:
        return {"name": "root"}
    account = draft.accounts.get(name)
    if account is None and (uid := number_of(name)) is not None:
        account = next((each for each in draft.accounts.values() if each.uid == uid), None)
    if account is None:
        numbers = _numbers(name, group)
        if name and not numbers:
            draft.remarks.append(f"USER {user} is made by no line: give it a number with [user] uid")
        return numbers if not name or "uid" in numbers else {"name": name, **numbers}
    return _account(account, draft)


def _numbers(name: str, group: str) -> dict[str, Any]:
    uid, gid = number_of(name), number_of(group)
    gid = uid if gid is None else gid
    return {key: value for key, value in (("uid", uid), ("gid", gid)) if value is not None}


def _account(account: Account, draft: Draft) -> dict[str, Any]:
    found: dict[str, Any] = {"name": account.name}
    gid = account.gid if account.gid is not None else draft.group_ids.get(account.group or account.name)
    if account.uid is not None:
        found["uid"] = account.uid
    if gid is not None or account.uid is not None:
        found["gid"] = gid if gid is not None else account.uid
    if account.home or account.uid is not None:
        found["home"] = account.home or f"/home/{account.name}"
    if account.shell:
        found["shell"] = account.shell
    if account.groups:
        numbers = {name: draft.group_ids.get(name) for name in account.groups}
        found["groups"] = [name if number is None else f"{name}:{number}" for name, number in numbers.items()]
    return found


def _config(config: dict[str, object], place: Place, locales: Sequence[str]) -> dict[str, Any]:
    env = {name: value for name, value in place.env.items() if not INSTALLERS_OWN.fullmatch(name)}
    for folder in place.environments:
        env = {name: value for name, value in env.items() if value != folder}
        if "PATH" in env:
            env["PATH"] = ":".join(part for part in env["PATH"].split(":") if part != f"{folder}/bin")
    if env.get("PATH") in ("", "${PATH}"):
        del env["PATH"]
    found: dict[str, Any] = {}
    if "workdir" in config:
        found["workdir"] = config["workdir"]
    if locales:
        found["locale"] = locales[0] if len(locales) == 1 else list(locales)
    if env:
        found["env"] = {name: _literal(name, value) for name, value in env.items()}
    for key in ("labels", "exposed-ports", "volumes", "stop-signal", "entrypoint", "cmd", "healthcheck"):
        if config.get(key):
            found[key] = (
                [_short(word, place) for word in _listed(config[key])] if key in ("entrypoint", "cmd") else config[key]
            )
    return found


def _literal(name: str, value: str) -> str:
    """The value for a recipe, where ``${NAME}`` is a reference: the only one that is left is PATH's own."""
    if name == "PATH":
        return value
    return value.replace("${PATH}", "").replace("${", "$${")


def _short(word: str, place: Place) -> str:
    """A program of a virtual environment is on PATH here."""
    for folder in place.environments:
        word = word.replace(f"{folder}/bin/", "") if folder != "/" else word
    return word


def _copy(copy: Copied, draft: Draft, user: str) -> dict[str, Any]:
    image = {"from": copy.image} if copy.image else {}
    found: dict[str, Any] = {**image, "src": copy.src, "dest": copy.dest}
    if copy.include:
        found["include"] = [copy.include]
    if copy.src == ".":
        found["exclude"] = ["Dockerfile*", ".dockerignore", "build", "*.tar", *draft.ignored, *copy.exclude]
    elif copy.exclude:
        found["exclude"] = list(copy.exclude)
    if copy.mode:
        found["mode"] = copy.mode
    owner = copy.owner
    given = [name for path, name in draft.owned if _is_in(copy.place, path)]
    # As the sandbox's own user it could not write where root of the Dockerfile could.
    is_all = not owner and not user and copy.is_folder and copy.src == "."
    if is_all or any(_is_user(name, user) for name in (owner, *given)):
        found["owner"] = "user"
    elif re.fullmatch(r"\d+(:\d+)?", owner) and owner not in ("0", "0:0"):
        found["owner"] = owner if ":" in owner else f"{owner}:{owner}"
    return found


def _is_user(owner: str, user: str) -> bool:
    """Whether whoever runs is meant, by name or number."""
    name = owner.partition(":")[0]
    return bool(name) and name == user.partition(":")[0] and name not in ("root", "0")


def _is_in(path: str, folder: str) -> bool:
    path = posixpath.normpath(path)
    return path == folder or path.startswith(f"{folder.rstrip('/')}/")


def _folders(draft: Draft, user: str, config: dict[str, object]) -> list[dict[str, Any]]:
    """Folders that nothing else makes; of the working folder and of volumes the user is the owner anyway."""
    made = {posixpath.normpath(copy.dest) for copy in draft.copies if copy.is_folder and not copy.is_dropped}
    others = {str(config.get("workdir", "")), *_listed(config.get("volumes"))}
    owned = {path for path, name in draft.owned if _is_user(name, user) or number_of(name) is not None}
    found = []
    for path, said in draft.folders.items():
        mode = {"mode": said["mode"]} if "mode" in said else {}
        if (path in made or path in others) and not mode:
            continue
        owner = {"owner": "user"} if any(_is_in(path, each) for each in owned) else {}
        found.append({"path": path, **mode, **owner})
    return found
