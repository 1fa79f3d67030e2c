"""What an image was made of the last time, and how long that took: what tells why a layer has to be made now."""

from __future__ import annotations

import json
from collections.abc import Mapping

import msgspec

from oci_builder.assemble.plan import BuildPlan
from oci_builder.digest import Digest
from oci_builder.inputs import InputSet
from oci_builder.layer import LayerKey
from oci_builder.platforms import Platform
from oci_builder.recipes import ImageSource
from oci_builder.store import Store
from oci_builder.wheels.steps import LayerStep

_KIND, _INPUTS = "plans", "plan-inputs"


class PastLayer(msgspec.Struct, frozen=True, kw_only=True):
    """A layer as it was planned: what its key comes from, one digest or word each; ``seconds`` is what making took."""

    key: str
    wheels: dict[str, str]
    base: str
    bytecode: str
    weight: int
    seconds: float | None = None


class PastPlan(msgspec.Struct, frozen=True, kw_only=True):
    """A plan that was carried out."""

    base: str
    layers: tuple[PastLayer, ...]

    def like(self, step: LayerStep) -> PastLayer | None:
        """The layer that ``step`` takes the place of: the one it has most of its wheels' names in common with."""
        names = {wheel.pin.name for wheel in step.wheels}
        shared = [(len(names & layer.wheels.keys()), layer) for layer in self.layers]
        most, found = max(shared, key=lambda pair: pair[0], default=(0, None))
        return found if most else None

    def seconds_for(self, step: LayerStep) -> float | None:
        """How long making the layer of ``step`` should take, by what those like it took; None where none was timed."""
        past = self.like(step)
        timed = [past] if past is not None and past.seconds is not None else self.layers
        seconds = sum(layer.seconds for layer in timed if layer.seconds is not None)
        weight = sum(layer.weight for layer in timed if layer.seconds is not None)
        return seconds * step.weight / weight if weight else None


def recall(source: ImageSource, platform: Platform, store: Store) -> PastPlan | None:
    """The plan of the last build of this recipe for ``platform``, if ``store`` knows of one."""
    data = store.record(_KIND, _key(source, platform))
    try:
        return msgspec.json.decode(data, type=PastPlan) if data is not None else None
    except msgspec.MsgspecError:
        return None


def remember(plan: BuildPlan, seconds: Mapping[LayerKey, float], store: Store) -> None:
    """Keep what ``plan`` says; ``seconds`` are those of the layers that were made, the others keep what they took."""
    before = recall(plan.source, plan.platform, store)
    known = {layer.key: layer.seconds for layer in before.layers} if before else {}
    layers = tuple(past_of(step, seconds.get(step.key, known.get(step.key.hex))) for step in plan.steps)
    past = PastPlan(base=plan.base.name, layers=layers)
    if past != before:
        store.put_record(_KIND, _key(plan.source, plan.platform), msgspec.json.encode(past))


def remember_inputs(plan: BuildPlan, environ: Mapping[str, str], store: Store) -> None:
    """Keep what was read to make ``plan``; nothing, where it is not as it was, as after a lock that was written."""
    key, known = _key(plan.source, plan.platform), plan.inputs
    if known is None or any(True for _ in known.moved(environ)):
        store.drop_record(_INPUTS, key)
        return
    # Names may be no UTF-8, which json spells as ASCII.
    data = json.dumps(known.document()).encode()
    if store.record(_INPUTS, key) != data:
        store.put_record(_INPUTS, key, data)


def recall_inputs(source: ImageSource, platform: Platform, store: Store) -> InputSet | None:
    """What was read to make the plan of the last build of this recipe for ``platform``, if ``store`` knows of it."""
    data = store.record(_INPUTS, _key(source, platform))
    try:
        return InputSet(**json.loads(data)) if data is not None else None
    except (ValueError, TypeError, AttributeError, RecursionError):
        return None


def past_of(step: LayerStep, seconds: float | None = None) -> PastLayer:
    """``step`` as it is remembered."""
    return PastLayer(
        key=step.key.hex,
        wheels={wheel.pin.name: f"{wheel.pin.version} {wheel.pin.sha256.hex[:12]}" for wheel in step.wheels},
        base=Digest.of(step.anchors.decides).hex[:12],
        bytecode=" ".join(step.bytecode.key),
        weight=step.weight,
        seconds=None if seconds is None else round(seconds, 3),
    )


def reasons(step: LayerStep, past: PastPlan | None) -> tuple[str, ...]:
    """Which inputs moved since, in words; what nobody knows about was not made here before."""
    before = past.like(step) if past is not None else None
    if before is None:
        return ("not made here before",)
    now = past_of(step)
    if now.key == before.key:
        return ("its layer is gone from the cache",)
    found = [_moved(name, before.wheels.get(name), now.wheels.get(name)) for name in {**before.wheels, **now.wheels}]
    if before.base != now.base:
        found.append("the folders of the base are others")
    if before.bytecode != now.bytecode:
        found.append(f"bytecode: {before.bytecode.strip()} is now {now.bytecode.strip()}")
    return tuple(text for text in found if text) or ("how it is installed has changed",)


def _moved(name: str, before: str | None, now: str | None) -> str:
    if before == now:
        return ""
    if before is None or now is None:
        return f"{name} {'joined it' if before is None else 'left it'}"
    old, new = before.partition(" ")[0], now.partition(" ")[0]
    return f"{name} {old} is now {new}" if old != new else f"{name} {new} is another file"


def _key(source: ImageSource, platform: Platform) -> str:
    return Digest.of(f"{source.folder.absolute()}\0{platform}".encode(errors="surrogateescape")).hex
