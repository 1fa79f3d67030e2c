"""A plan is a value: its steps travel, and need nothing but a store that has their wheels."""

from __future__ import annotations

import pickle
import shutil
from dataclasses import replace
from pathlib import Path

import pytest

from oci_builder.assemble.context import BuildPolicy
from oci_builder.assemble.executor import LocalExecutor, run_step
from oci_builder.assemble.plan import BuildPlan
from oci_builder.assemble.planner import Planner
from oci_builder.errors import ToolFailed
from oci_builder.layer import find
from oci_builder.platforms import AMD64
from oci_builder.recipes import load_image
from oci_builder.store import Store
from oci_builder.wheels.steps import BytecodeChoice, CompilerRef
from tests.support.contexts import context_of
from tests.support.tiny import Tiny, make_tiny


@pytest.fixture
def tiny(tmp_path: Path) -> Tiny:
    return make_tiny(tmp_path / "project")


def plan_of(tiny: Tiny) -> BuildPlan:
    context = context_of(tiny.cache, project=tiny.root)
    return Planner(context, BuildPolicy()).plan(load_image(tiny.image), AMD64)


def test_planning_makes_no_layer_of_wheels(tiny: Tiny) -> None:
    plan = plan_of(tiny)
    store = Store(tiny.cache)
    assert plan.steps and plan.missing(store) == plan.steps


def test_the_same_inputs_give_the_same_steps(tiny: Tiny, tmp_path: Path) -> None:
    other = Tiny(tmp_path / "elsewhere")
    shutil.copytree(tiny.root, other.root)
    assert plan_of(other).steps == plan_of(tiny).steps


def test_a_step_travels_and_is_made_elsewhere_to_the_same_bytes(tiny: Tiny, tmp_path: Path) -> None:
    plan = plan_of(tiny)
    here = context_of(tiny.cache, project=tiny.root)
    made = {step.key: layer for step, layer in LocalExecutor(here, [plan]).run(plan.steps)}
    there = context_of(tmp_path / "there", project=tmp_path / "nowhere")
    for pin in plan.pins:
        there.store.put_bytes(here.store.path(pin.sha256).read_bytes())
    for step in plan.steps:
        sent = pickle.dumps(step)
        assert len(sent) < 10_000 and str(tiny.root).encode() not in sent
        layer = run_step(pickle.loads(sent), there)
        assert layer.descriptor == made[step.key].descriptor and layer.diff_id == made[step.key].diff_id
        assert find(step.key, there.store) == layer


def test_two_plans_share_their_steps(tiny: Tiny) -> None:
    plan = plan_of(tiny)
    context = context_of(tiny.cache, project=tiny.root)
    made = list(LocalExecutor(context, [plan, plan]).run([*plan.steps, *plan.steps]))
    assert [step.key for step, _ in made] == [step.key for step in plan.steps]


def test_a_step_whose_compiler_is_not_here_says_so(tiny: Tiny) -> None:
    (step, *_) = plan_of(tiny).steps
    absent = BytecodeChoice(mode="default", compiler=CompilerRef(name="x", version="3.11.99", layer="0" * 64))
    context = context_of(tiny.cache, project=tiny.root)
    with pytest.raises(ToolFailed, match=r"Python 3\.11\.99"):
        run_step(replace(step, bytecode=absent), context)


def test_a_plan_says_in_one_line_what_it_is(tiny: Tiny) -> None:
    plan = plan_of(tiny)
    assert repr(plan) == "BuildPlan(app, linux/amd64, 1 layer of wheels)"
    assert "\n" not in repr(plan.steps[0])
