"""The configuration of an image on another base: what it left as the old base had it is the new base's now."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import TypeVar

from oci_builder.bases import Base
from oci_builder.oci.documents import RunConfig, rfc3339
from oci_builder.oci.inherited import Inherited
from oci_builder.oci.jsonio import JSON
from oci_builder.rebase.oldbase import OldBase, said_of

BASE_NAME, BASE_DIGEST = "org.opencontainers.image.base.name", "org.opencontainers.image.base.digest"
"""Labels and annotations of the base that an image stands on (annotations.md)."""

Value = TypeVar("Value")

CREATED = "org.opencontainers.image.created"
OF_A_PATCH = ("dev.ocibuild.equals", "dev.ocibuild.since", "dev.ocibuild.tree")
"""Labels of an image that was brought up to another: upon another base, they are untrue."""


def rebased_config(own: Inherited, old: OldBase, new: Base) -> Inherited:
    """What the image says on its new base. Its history has a step for each layer that it then has."""
    said = said_of(new)
    run = _run(own.run, old.run, said.run)
    labels = {**run.labels, **base_labels(new)}
    created = max(own.created, said.created)
    return Inherited(
        run=replace(run, labels={name: text for name, text in labels.items() if name not in OF_A_PATCH}),
        created=created,
        layers=said.layers + own.layers - old.layers,
        history=(*_dated(said.history, said, new, created), *_redated(_own_steps(own, old), own.created, created)),
        rest=_followed(own.rest, old.rest, said.rest),
        run_rest=_followed(own.run_rest, old.run_rest, said.run_rest),
        triggers=own.triggers,
    )


def base_labels(new: Base) -> Mapping[str, str]:
    """What an image says of the base that it stands on."""
    named = {BASE_NAME: new.name}
    return {**named, BASE_DIGEST: str(new.digest)} if new.digest is not None else named


def rebased_annotations(own: Mapping[str, str], new: Base, *, before: int, created: int) -> Mapping[str, str]:
    """The manifest's annotations, with the new base and date."""
    moved = {CREATED: rfc3339(created)} if own.get(CREATED) == rfc3339(before) else {}
    return {**own, **moved, **base_labels(new)}


def _run(own: RunConfig, old: RunConfig, new: RunConfig) -> RunConfig:
    entrypoint, cmd = own.entrypoint, own.cmd
    if own.entrypoint == old.entrypoint:
        # An entrypoint of the image's own took the base's cmd away, and keeps it away.
        entrypoint = new.entrypoint
        cmd = new.cmd if own.cmd == old.cmd else own.cmd
    return replace(
        own,
        user=new.user if own.user == old.user else own.user,
        env=_env(own.env, old.env, new.env),
        entrypoint=entrypoint,
        cmd=cmd,
        workdir=new.workdir if own.workdir == old.workdir else own.workdir,
        labels=_followed(own.labels, old.labels, new.labels),
        exposed_ports=_together(own.exposed_ports, old.exposed_ports, new.exposed_ports),
        volumes=_together(own.volumes, old.volumes, new.volumes),
        stop_signal=new.stop_signal if own.stop_signal == old.stop_signal else own.stop_signal,
    )


def _followed(own: Mapping[str, Value], old: Mapping[str, Value], new: Mapping[str, Value]) -> dict[str, Value]:
    """``own``, but what is in it as ``old`` has it as ``new`` has it. What was taken out of it stays out."""
    kept = {key: value for key, value in own.items() if key not in old or old[key] != value}
    taken_out = old.keys() - own.keys()
    return {**{key: value for key, value in new.items() if key not in taken_out}, **kept}


def _env(own: Mapping[str, str], old: Mapping[str, str], new: Mapping[str, str]) -> dict[str, str]:
    """Also where the image put something before or after what a variable held: ``PATH=/opt/venv/bin:$PATH``."""
    moved = {name: _within(text, old[name], new[name]) for name, text in own.items() if name in old and name in new}
    followed = _followed({**own, **moved}, old, new)
    # What was moved may now read as the old base's: it is the new one's all the same.
    return {name: moved.get(name, text) for name, text in followed.items()}


def _within(text: str, old: str, new: str) -> str:
    """A list of paths in which the old base's part is the new one's."""
    parts, inner = text.split(":"), old.split(":")
    if not old:
        return text
    for start in range(len(parts) - len(inner) + 1):
        if parts[start : start + len(inner)] == inner:
            return ":".join([*parts[:start], *new.split(":"), *parts[start + len(inner) :]])
    return text


def _together(own: Sequence[str], old: Sequence[str], new: Sequence[str]) -> tuple[str, ...]:
    return tuple(sorted({*(each for each in own if each not in old), *new}))


def _own_steps(own: Inherited, old: OldBase) -> Sequence[JSON]:
    """The image's history above its base."""
    steps = own.history
    if old.history and steps[: len(old.history)] == old.history:
        return steps[len(old.history) :]
    seen = 0
    for number, step in enumerate(steps):
        if seen == old.layers:
            return steps[number:]
        seen += step.get("empty_layer") is not True
    return ()


def _dated(steps: Sequence[JSON], said: Inherited, new: Base, created: int) -> Sequence[JSON]:
    """A base that was made here has no date of its own in an image: its layers carry the image's."""
    return _redated(steps, said.created, created) if new.inherited is None else steps


def _redated(steps: Sequence[JSON], before: int, after: int) -> Sequence[JSON]:
    """What carried the image's date carries its new one."""
    old, new = rfc3339(before), rfc3339(after)
    return [{**step, "created": new} if step.get("created") == old else step for step in steps]
