"""Who makes layers: here, in processes of this machine."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass, field
from typing import Protocol

from oci_builder import inputs
from oci_builder.assemble.context import BuildContext
from oci_builder.assemble.plan import BuildPlan
from oci_builder.bases import lend_compiler
from oci_builder.errors import OcibuildError
from oci_builder.gate.facts import FactsCollector
from oci_builder.layer import Layer, LayerKey, find
from oci_builder.wheels.layering import Wheel
from oci_builder.wheels.layers import CompilerProcess, LayerMaker, make_layer, start_compiler
from oci_builder.wheels.steps import CompilerRef, LayerStep


class Executor(Protocol):
    """Runs steps, wherever that is."""

    def run(self, steps: Iterable[LayerStep]) -> Iterator[tuple[LayerStep, Layer]]:
        """Each step once, by its key, with its layer, which is where others will look for it. Raises OcibuildError."""


@dataclass
class LocalExecutor:
    """Makes layers in processes of this machine: for ``plans``, what they lend and fetch is used.

    With ``keep_going`` a step that fails ends no other: it is in ``failed``, by its key, and given by nobody.
    ``seconds`` are what making each layer took.
    """

    context: BuildContext
    plans: Sequence[BuildPlan] = ()
    keep_going: bool = False
    failed: dict[LayerKey, OcibuildError] = field(default_factory=dict)
    seconds: dict[LayerKey, float] = field(default_factory=dict)

    def run(self, steps: Iterable[LayerStep]) -> Iterator[tuple[LayerStep, Layer]]:
        """Each step once, by its key, with its layer, which is in the store. Raises OcibuildError."""
        maker = LayerMaker(
            store=self.context.store,
            reporter=self.context.reporter,
            jobs=self.context.jobs,
            lend=self._lend,
            # The gate asks for these facts: here, all processors gather them, from contents that are at hand.
            observe=FactsCollector,
            fetch=self._fetch,
            keep_going=self.keep_going,
            timed=lambda step, seconds: self.seconds.update({step.key: seconds}),
        )
        for step, made in maker.run(tuple(steps)):
            if isinstance(made, OcibuildError):
                self.failed[step.key] = made
            else:
                yield step, made

    def _lend(self, ref: CompilerRef) -> AbstractContextManager[CompilerProcess]:
        for plan in self.plans:
            if plan.compiling is not None and plan.compiling.ref == ref:
                return plan.compiling.start()
        return lend_compiler(ref, self.context.store, self.context.environ)

    def _fetch(self, wheels: Sequence[Wheel]) -> None:
        for plan in self.plans:
            mine = [wheel for wheel in wheels if wheel.pin in plan.pins and not inputs.is_file(wheel.path)]
            if mine and plan.fetch is not None:
                plan.fetch(mine)


def run_step(step: LayerStep, context: BuildContext) -> Layer:
    """Make the layer of ``step`` in this process, or find it: all it needs is a store that has its wheels.

    Raises what making it raises, and ToolFailed where the interpreter that compiles is not here.
    """
    store = context.store
    found = find(step.key, store)
    if found is not None:
        return found
    ref = step.bytecode.compiler
    if ref is None:
        return make_layer(step, store, None, observer=FactsCollector(store))
    with lend_compiler(ref, store, context.environ) as process, start_compiler(process) as compiler:
        return make_layer(step, store, compiler, observer=FactsCollector(store), children=context.jobs)
