"""A task gets its machine, its stages and the beginning of its record: all that is decided before the first step."""

import time
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import jax

from nst_jax import recipes
from nst_jax.orders import customise, words
from nst_jax.orders import record as records
from nst_jax.orders.compose import Task
from nst_jax.orders.order import Order, Refused
from nst_jax.orders.record import Record
from nst_jax.orders.watchers import Watcher
from nst_jax.painting import budget, devices, memory
from nst_jax.painting import job as jobs
from nst_jax.painting.job import Stage
from nst_jax.painting.memory import Machine, Plan

PLAIN = "float32"  # what convolutions compute in where a record says nothing


class Item(NamedTuple):
    """A picture to paint: its task, what its record says so far, and its watchers."""

    task: Task
    record: Record
    watchers: tuple[Watcher, ...] = ()


def item(task: Task, machine: Machine, *, stages: tuple[Stage, ...] = (), watchers: Sequence[Watcher] = ()) -> Item:
    """A task with its stages resolved and its record begun; minutes become the steps that fit into them."""
    if task.order.ends.minutes:
        task = within_minutes(task, 60 * task.order.ends.minutes)
    stages = stages or jobs.stages(task.params, task.job, machine)
    return Item(task, begin_record(task, stages, devices.describe(machine.mesh)), tuple(watchers))


def begin_record(task: Task, stages: Sequence[Stage], device: str) -> Record:
    """What a picture's record says before the run, checked now and not after it: with room for its terms."""
    job = task.job
    record = Record(
        order=words.write(_as_painted(task.order)),
        versions=records.versions(),
        inputs=inputs_of(task.paths),
        device=device,
        network=dict(task.network),
        settings=customise.describe(job.recipe, job.weights(job.shape, recipes.WIDTHS)),
        stages=write_stages(stages),
        turns=records.write_turns(task.order.turns),
    )
    records.text(record, room=records.ROOM)
    return record


def _as_painted(order: Order) -> Order:
    """An order that says what convolutions compute in, where that is not what a record means that says nothing."""
    own = devices.own_precision()
    return order if order.machine.precision or own == PLAIN else order.with_values(precision=own)


def as_then(order: Order) -> Order:
    """The order of a record as it was painted: one that says nothing means what most devices compute in."""
    return order if order.machine.precision or devices.own_precision() == PLAIN else order.with_values(precision=PLAIN)


def inputs_of(paths: Mapping[str, list[str]]) -> dict[str, list[dict[str, str]]]:
    """Names and digests of files, by what they are for."""
    return {kind: records.digests(of) for kind, of in paths.items()}


def write_stages(stages: Sequence[Stage]) -> list[dict[str, Any]]:
    """Stages as plain data: what differs from the whole picture by the main network."""
    found, plain = [], Plan()._asdict()
    for stage in stages:
        (h, w), plan = stage.shape, {k: v for k, v in stage.plan._asdict().items() if v != plain[k]}
        row = {"size": [w, h], "steps": stage.steps, "plan": plan}
        row |= {} if stage.network == jobs.MAIN else {"network": stage.network}
        found.append(row if stage.near is None else row | {"near": list(stage.near)})
    return found


def stages_of(record: Record) -> tuple[Stage, ...]:
    """The stages that a record names."""
    return tuple(map(read_stage, record.stages))


def read_stage(row: Mapping[str, Any]) -> Stage:
    """The stage that a row of `write_stages` is."""
    plan, near = Plan(**row.get("plan", {})), row.get("near")
    shape = row["size"][1], row["size"][0]
    return Stage(shape, row["steps"], row.get("network", jobs.MAIN), plan, None if near is None else tuple(near))


class Followed(NamedTuple):
    """Stages that are computed as a record has them; or this machine's own, and why."""

    stages: tuple[Stage, ...]
    why: str = ""


def follow(task: Task, record: Record, machine: Machine) -> Followed:
    """The stages of a task as its record has them, if they are known and this machine can hold them."""
    mine = jobs.stages(task.params, task.job, machine)
    theirs = stages_of(record) if all("plan" in row for row in record.stages) else ()
    if theirs == mine:
        return Followed(mine)
    if [stage._replace(plan=Plan()) for stage in theirs] != [stage._replace(plan=Plan()) for stage in mine]:
        return Followed(mine)
    for stage in theirs:
        load = jobs.load_at(jobs.params_of(task.params, task.job, stage), task.job, stage.shape, machine=machine)
        plan = stage.plan._replace(direct=False)
        known = plan in memory.candidates(load) and not (machine.mesh and plan.window)
        if not known or memory.peak(plan, load) > (machine.memory or memory.total()):
            return Followed(mine, f"was computed {plan}, which this machine does not hold: it goes on by its own plan")
    return Followed(theirs)


def machine_of(order: Order, *, runs: int = 1, height: int | None = None, spread: bool = True) -> Machine:
    """What an order's run may use of this machine; spread over its devices as the order says, or as they fit."""
    asked = order.machine
    dtype = dtype_of(order)
    if runs < (data := (asked.mesh or {}).get("data", 1)):
        got = f"got data={data}: write space={data * (asked.mesh or {}).get('space', 1)}"
        raise Refused(f"mesh must not spread more runs than there are, {runs}, {got}")
    mesh = None
    if spread and (asked.mesh or len(jax.devices()) > 1):
        mesh = devices.make_mesh(**asked.mesh) if asked.mesh else devices.mesh_for(runs=runs, height=height)
    return Machine(asked.max_memory, dtype, None if mesh is None or mesh.size == 1 else mesh)


def dtype_of(order: Order) -> str | None:
    """What an order's convolutions compute in here; None: float32."""
    found = order.machine.precision or devices.own_precision()
    return None if found == PLAIN else found


def within_minutes(task: Task, seconds: float) -> Task:
    """A task with the sizes and steps that fit into this time, which its order then asks for."""
    begun = time.perf_counter()
    cost = budget.measure(task.params, task.job, machine=Machine(dtype=dtype_of(task.order)))
    sizes = budget.fit_steps(task.job, cost, seconds - (time.perf_counter() - begun))
    ladder = tuple((size.edge, size.steps) for size in sizes)
    note = f"plan:     ladder {','.join(f'{n}:{steps}' for n, steps in ladder)}"
    note += f" (a step costs {cost.of(task.job.shape):.2f} s at full size)"
    recipe = task.job.recipe._replace(schedule=recipes.listed(*sizes))
    order = task.order.with_values(ladder=ladder, steps=None, minutes=None)
    return task._replace(order=order, job=task.job._replace(recipe=recipe), notes=(*task.notes, note))
