"""What an image takes over from the configuration of the one it stands on, the way a Dockerfile's FROM does."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from oci_builder.errors import UnsupportedImage
from oci_builder.oci.documents import Healthcheck, RunConfig, parse_rfc3339
from oci_builder.oci.jsonio import JSON

_DERIVED = frozenset({"architecture", "os", "variant", "created", "config", "rootfs", "history"})
"""What an image says of itself and never takes over."""

_OF_THE_BUILD = frozenset({"container", "container_config", "docker_version", "id", "parent", "Size"})
"""What docker notes of the step that made an image: untrue of whatever stands on it."""

_RUN = frozenset({"User", "Env", "Entrypoint", "Cmd", "WorkingDir", "Labels", "ExposedPorts", "Volumes", "StopSignal"})
_TRIGGERS = "OnBuild"
_OF_A_CONTAINER = frozenset({"Hostname", "Domainname", "AttachStdin", "AttachStdout", "AttachStderr", "Image"})
"""What ``docker commit`` leaves of the container an image was."""


@dataclass(frozen=True, kw_only=True)
class Inherited:
    """The configuration of a base. ``rest`` and ``run_rest`` are the keys nobody here knows, as they came.

    ``history`` has an entry for each of the base's ``layers`` layers, and those of steps without one. ``triggers`` are
    ONBUILD instructions, which nobody runs. ``created`` is in seconds since 1970, 0 where the base does not say.
    """

    run: RunConfig
    created: int
    layers: int
    history: tuple[JSON, ...]
    rest: JSON = field(default_factory=dict)
    run_rest: JSON = field(default_factory=dict)
    triggers: tuple[str, ...] = ()
    healthcheck: Healthcheck | None = None
    """What ``run_rest`` says of one, as far as it is read here."""


def inherit(config: Mapping[str, object], *, layers: int, what: str) -> Inherited:
    """Read the configuration of an image of so many layers. Raises UnsupportedImage, naming ``what``."""
    run = _object(config.get("config"), f"{what}: config")
    ignored = {*_RUN, *_OF_A_CONTAINER, _TRIGGERS}
    return Inherited(
        run=_run(run, what),
        created=max(parse_rfc3339(config.get("created")) or 0, 0),
        layers=layers,
        history=_history(config.get("history"), layers),
        rest={key: value for key, value in config.items() if key not in _DERIVED | _OF_THE_BUILD},
        run_rest={key: value for key, value in run.items() if key not in ignored and value},
        triggers=_strings(run.get(_TRIGGERS), f"{what}: {_TRIGGERS}"),
        healthcheck=_healthcheck(run.get("Healthcheck")),
    )


def _run(run: Mapping[str, object], what: str) -> RunConfig:
    # Cmd and Entrypoint were plain text once; docker runs such in a shell.
    env = (line.partition("=") for line in _strings(run.get("Env"), f"{what}: Env"))
    labels = _object(run.get("Labels"), f"{what}: Labels")
    return RunConfig(
        user=_text(run.get("User"), f"{what}: User"),
        env={name: value for name, _, value in env},
        entrypoint=_strings(run.get("Entrypoint"), f"{what}: Entrypoint"),
        cmd=_strings(run.get("Cmd"), f"{what}: Cmd"),
        workdir=_text(run.get("WorkingDir"), f"{what}: WorkingDir"),
        labels={name: _text(value, f"{what}: Labels") for name, value in labels.items()},
        exposed_ports=tuple(sorted(_object(run.get("ExposedPorts"), f"{what}: ExposedPorts"))),
        volumes=tuple(sorted(_object(run.get("Volumes"), f"{what}: Volumes"))),
        stop_signal=_text(run.get("StopSignal"), f"{what}: StopSignal"),
    )


def _healthcheck(value: object) -> Healthcheck | None:
    test = value.get("Test") if isinstance(value, dict) else None
    if not isinstance(test, list) or not test or not all(isinstance(word, str) for word in test):
        return None
    return Healthcheck(test=tuple(test))


def _history(value: object, layers: int) -> tuple[JSON, ...]:
    steps = [dict(step) for step in value if isinstance(step, dict)] if isinstance(value, list) else []
    # Readers pair the steps that have a layer with the layers; a history that cannot be paired says nothing.
    if sum(step.get("empty_layer") is not True for step in steps) != layers:
        return tuple({"comment": "from the base image"} for _ in range(layers))
    return tuple(steps)


def _object(value: object, what: str) -> JSON:
    if value is None:
        return {}
    if not isinstance(value, dict):
        raise UnsupportedImage(what, "expected a JSON object")
    return value


def _text(value: object, what: str) -> str:
    # docker reads null as empty text, and refuses whatever else is no text.
    if not (value is None or isinstance(value, str)):
        raise UnsupportedImage(what, "expected text")
    return value or ""


def _strings(value: object, what: str) -> tuple[str, ...]:
    if value is None:
        return ()
    values: Sequence[object] = [value] if isinstance(value, str) else value if isinstance(value, list) else [None]
    if not all(isinstance(item, str) for item in values):
        raise UnsupportedImage(what, "expected an array of strings")
    return tuple(map(str, values))
