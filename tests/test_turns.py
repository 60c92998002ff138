"""Turns: what is changed while a painting goes on. Nothing compiles, nothing is forgotten, and what was stays valid."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from nst_jax import recipes
from nst_jax.objective import losses
from nst_jax.painting import batches, painter, transfer
from nst_jax.painting import runs as where
from nst_jax.painting.job import ANY, FastFirst, Job
from nst_jax.recipes import Turn

ADAM = recipes.get("gatys-notebook")._replace(
    content={"relu2_1": 1.0},
    style={"relu1_1": 0.02, "relu2_1": 0.02},
    variation=1.0,
    schedule=recipes.once(60),
    optimizer="adam",
    settings={"learning_rate": 0.02},
    edge="long",
)
LBFGS = ADAM._replace(optimizer="lbfgs", settings={"memory": 4})
TURNS = {
    "style": Turn(style=100.0),
    "variation": Turn(variation=30.0),
    "strength": Turn(strength=0.8),
    "mix": Turn(mix=(1.0, 3.0)),
    "rate": Turn(rate=0.25),
}


pytestmark = pytest.mark.usefixtures("quick_compiler")


def job(town, *styles, recipe=ADAM, **rest):
    return Job(town, losses.everywhere(*styles), recipe, town.shape[:2], **rest)


@pytest.fixture(scope="module")
def runs(narrow, town, night):
    """A run of each optimizer after four steps, of two styles."""
    each = {"adam": ADAM, "lbfgs": LBFGS}
    two = {name: job(town, night, town[::-1].copy(), recipe=recipe) for name, recipe in each.items()}
    return {name: painter.advance(painter.start(narrow, one), 4) for name, one in two.items()}


def same(a, b):
    for one, other in zip(*map(jax.tree.leaves, (a, b)), strict=True):
        np.testing.assert_array_equal(one, other)


def differs(a, b):
    return max(float(np.abs(x - y).max()) for x, y in zip(*map(jax.tree.leaves, (a, b)), strict=True))


def rate(run):
    """The factor of the rate in a run's state."""
    leaves = jax.tree_util.tree_leaves_with_path(run.state)
    (found,) = (leaf for path, leaf in leaves if getattr(path[-1], "name", "") == "rate")
    return np.asarray(found)


# Values only


@pytest.mark.parametrize(
    ("optimizer", "name"), [(o, n) for o in ("adam", "lbfgs") for n in TURNS if (o, n) != ("lbfgs", "rate")]
)
def test_a_turn_compiles_nothing_and_changes_the_picture(optimizer, name, runs, compilations):
    run, turn = runs[optimizer], TURNS[name]
    plain = painter.advance(run, 3)
    compilations.clear()
    turned = painter.advance(run, 3, turn=turn)
    assert compilations == []
    assert turned.done == plain.done == 7
    assert (turned.turn, turned.turns, plain.turns) == (turn, ((4, turn),), ())
    assert differs(turned.state.inner.image, plain.state.inner.image) > 1e-4
    assert painter.advance(turned, 2, turn=Turn()).turns == ((4, turn), (7, Turn()))


@pytest.mark.parametrize("optimizer", ["adam", "lbfgs"])
def test_the_same_turns_at_the_same_steps_are_the_same_bits(optimizer, runs):
    def painted(counts):
        run = runs[optimizer]
        for turn, several in zip((TURNS["style"], TURNS["mix"]), counts, strict=True):
            run = painter.advance(run, several[0], turn=turn)
            for count in several[1:]:
                run = painter.advance(run, count)
        return run

    one, other, later = painted([(3,), (4,)]), painted([(1, 2), (2, 1, 1)]), painted([(4,), (3,)])
    same(one.state, other.state)
    assert one.turns == other.turns == ((4, TURNS["style"]), (7, TURNS["mix"]))
    assert differs(one.state.inner.image, later.state.inner.image) > 1e-5


@pytest.mark.parametrize("optimizer", ["adam", "lbfgs"])
def test_branches_leave_their_parent_as_it_was(optimizer, runs):
    parent = runs[optimizer]
    before = jax.tree.map(np.array, (parent.state, parent.args))
    style, other = (painter.advance(parent, 3, turn=TURNS[name]) for name in ("style", "variation"))
    same((parent.state, parent.args), before)
    assert (parent.done, parent.turn, parent.turns) == (4, None, ())
    assert differs(style.state.inner.image, other.state.inner.image) > 1e-4
    same(painter.advance(parent, 3, turn=TURNS["style"]).state, style.state)


def test_a_turn_that_changes_nothing_goes_on_as_before(runs):
    same(painter.advance(runs["adam"], 3, turn=Turn()).state.inner, painter.advance(runs["adam"], 3).state.inner)


def test_strength_of_a_half_is_each_recipe_itself():
    for recipe in recipes.everything().values():
        assert recipe.with_turn(Turn()).weights((48, 64)) == recipe.weights((48, 64))


def test_a_turns_weights_are_those_of_a_job_that_began_with_them(narrow, town, night):
    turn = Turn(content=0.5, style=3.0, variation=2.0, strength=0.7)
    one = job(town, night, recipe=ADAM._replace(schedule=recipes.listed((24, 2), (48, 3))))
    turned = painter.advance(painter.advance(painter.start(narrow, one), 1, turn=turn), 3)
    given = painter.advance(painter.start(narrow, one._replace(turn=turn)), 4)
    assert (turned.stage, turned.step) == (given.stage, given.step) == (1, 2)
    same(turned.args, given.args)
    expected = one.recipe.times(content=0.5, style=3.0)._replace(variation=2.0).strength(0.7).weights(town.shape)
    assert turned.args[2] == one.recipe.with_turn(turn).weights(town.shape) == expected
    assert given.turns == ()


def test_a_mix_is_that_of_styles_given_in_these_shares(narrow, town, night):
    two = night, town[::-1].copy()
    shares = losses.everywhere(*two)[0].styles
    known = tuple(style._replace(weight=w) for style, w in zip(shares, (1.0, 3.0), strict=True))
    given = job(town, *two)._replace(regions=(losses.Region(known),))
    turned = painter.advance(painter.start(narrow, job(town, *two)), 2, turn=Turn(mix=(1.0, 3.0)))
    begun = painter.advance(painter.start(narrow, job(town, *two, turn=Turn(mix=(1.0, 3.0)))), 2)
    plain = painter.advance(painter.start(narrow, given), 2)
    same(turned.args[1], plain.args[1])
    same(begun.state, plain.state)
    alone = painter.advance(painter.start(narrow, job(town, *two)), 2, turn=Turn(mix=(0.0, 2.0)))
    np.testing.assert_allclose(
        alone.args[1].style["relu2_1"].outer[0],
        painter.start(narrow, job(town, two[1])).args[1].style["relu2_1"].outer[0],
        rtol=1e-6,
    )


# A hundred times the style's weight


KEPT = [(), ("clamped",), ("best",), ("averaged:0.8",), ("clamped", "averaged:0.8", "best")]


@pytest.mark.parametrize("keep", KEPT, ids=lambda keep: "+".join(keep) or "none")
@pytest.mark.parametrize("recipe", [ADAM, LBFGS], ids=["adam", "lbfgs"])
def test_after_a_hundredfold_weight_the_loss_goes_down_again(recipe, keep, narrow, town, night):
    run = painter.advance(painter.start(narrow, job(town, night, recipe=recipe._replace(keep=keep))), 15)
    turned = painter.advance(run, 1, turn=Turn(style=100.0))
    (before,), (after,) = painter.look(turned), painter.look(painter.advance(turned, 25))
    assert float(turned.info.loss) > 2 * float(run.info.loss), "another problem"
    assert float(after.info.loss) < 0.7 * float(turned.info.loss)
    losses_of = [float(sum(frame.terms.values())) for frame in (before, after)]
    assert losses_of[1] < 0.8 * losses_of[0], "of the picture that is shown, too"
    assert differs(before.image, after.image) > 0.01, "the old problem's best is not kept"


def test_what_lbfgs_remembers_of_the_old_problem_is_forgotten(runs):
    """From a turn on it goes as it would from this picture: the first step is along the new gradient."""
    run, turn = runs["lbfgs"], Turn(style=100.0)
    turned = painter.advance(run, 1, turn=turn)
    solver = run.subject.solver(run.now)
    fresh, info = transfer.advance(solver.step, transfer.begin(solver, run.state.inner.image), 1, *turned.args)
    np.testing.assert_allclose(turned.state.inner.image, fresh.inner.image, atol=1e-6)
    np.testing.assert_allclose(turned.info.loss, info.loss, rtol=1e-6)


# Rates


def test_a_rate_is_how_far_a_step_goes(runs):
    run = runs["adam"]
    steps = [
        painter.advance(run, 1, turn=Turn(rate=r)).state.inner.image - run.state.inner.image for r in (1.0, 0.25, 0.0)
    ]
    np.testing.assert_allclose(steps[1], 0.25 * steps[0], atol=1e-6)
    assert float(jnp.abs(steps[2]).max()) == 0


@pytest.mark.parametrize("name", ["adam", "keras-adam", "sgd"])
def test_every_optimizer_with_a_learning_rate_has_a_factor_of_it(name):
    def bowl(image, middle):
        return 0.5 * jnp.square(image - middle).sum()

    solver = transfer.solver(bowl, transfer.OPTIMIZERS[name](learning_rate=0.1))
    state = solver.init(np.full((2, 3, 3), 0.4, "f"))
    assert transfer.has_rate(state)
    whole, half = (solver.step(transfer.turn(state, rate=r), 1.0)[0].image - state.image for r in (1.0, 0.5))
    np.testing.assert_allclose(half, 0.5 * whole, rtol=1e-5)
    assert not transfer.has_rate(transfer.solver(bowl, transfer.lbfgs()).init(np.zeros((2, 3, 3), "f")))


def test_a_rate_survives_a_step_that_is_not_finite(runs):
    """`guarded` begins again there; a weight that is no number makes such a step, of the same program."""
    run = painter.advance(runs["adam"], 2, turn=Turn(rate=0.25))
    wrong = painter.advance(run, 1, turn=Turn(rate=0.25, variation=float("nan")))
    assert not np.isfinite(wrong.info.loss)
    np.testing.assert_array_equal(wrong.state.inner.image, run.state.inner.image)
    assert rate(wrong) == 0.25
    right = painter.advance(wrong, 1, turn=Turn(rate=0.25))
    assert np.isfinite(right.info.loss)
    fresh = painter.advance(wrong, 1, turn=Turn())
    moved = [each.state.inner.image - wrong.state.inner.image for each in (right, fresh)]
    np.testing.assert_allclose(moved[0], 0.25 * moved[1], atol=1e-6)


@pytest.mark.parametrize("first", [False, True], ids=["one network", "another first"])
def test_a_rate_survives_stages(first, narrow, town, night):
    other = {**narrow, "conv1_1": {k: 2 * v for k, v in narrow["conv1_1"].items()}}
    recipe = ADAM._replace(schedule=recipes.listed((24, 2), (48, 4)), keep=("clamped", "averaged:0.9"))
    one = job(town, night, recipe=recipe, first=FastFirst(other, 2) if first else None)
    run = painter.advance(painter.start(narrow, one), 1, turn=Turn(rate=0.25))
    seen = [float(rate(run))]
    while not run.finished:
        run = painter.advance(run, 1)
        seen.append(float(rate(run)))
    assert seen == [0.25] * 6
    begun = painter.start(narrow, one._replace(turn=Turn(rate=0.5)))
    assert (float(rate(begun)), float(rate(painter.advance(begun, 6)))) == (0.5, 0.5)


# Refused


def test_a_rate_is_refused_with_lbfgs(runs, narrow, town, night):
    message = r"^rate must stay 1 with lbfgs, which searches along each line, got 0\.25: drop it$"
    with pytest.raises(ValueError, match=message):
        painter.advance(runs["lbfgs"], 1, turn=Turn(rate=0.25))
    assert runs["lbfgs"].turns == ()
    assert painter.advance(runs["lbfgs"], 1).done == 5
    with pytest.raises(ValueError, match=message):
        painter.start(narrow, job(town, night, recipe=LBFGS, turn=Turn(rate=0.25)))


@pytest.mark.parametrize("mix", [(1.0,), (1.0, 2.0, 3.0), (1.0, -0.1), (0.0, 0.0), (1.0, float("nan"))])
def test_a_mix_that_is_none(mix, runs):
    said = ", ".join(map(str, mix))
    message = rf"^mix must be a share from 0 for each of a region's 2 styles, got {said}$"
    with pytest.raises(ValueError, match=message):
        painter.advance(runs["adam"], 1, turn=Turn(mix=mix))


def test_a_single_style_has_no_mix(narrow, town, night):
    with pytest.raises(ValueError, match=r"for each of a region's 1 styles, got 1\.0$"):
        painter.start(narrow, job(town, night, turn=Turn(mix=(1.0,))))


# Several at once


def test_a_turn_of_several_pictures_is_each_ones_own(narrow, town, night, compilations):
    recipe = ADAM._replace(schedule=recipes.once(12), keep=("clamped", "best"))
    each = [job(town, night, town[::-1].copy(), recipe=recipe.times(style=x)) for x in (1.0, 3.0, 10.0)]
    known = batches.Known(narrow, each, ANY)
    run = where.begin(batches.Many(known, (0, 1, 2), batches.axes_of(each), ANY))
    run = painter.advance(run, 4)
    painter.look(run)
    turns = Turn(style=20.0, mix=(1.0, 3.0)), Turn(rate=0.5, strength=0.6)
    compilations.clear()
    for turn in turns:
        run = painter.advance(run, 4, turn=turn)
    found = painter.look(run)
    assert compilations == []
    for one, frame in zip(each, found, strict=True):
        alone = painter.advance(painter.start(narrow, one), 4)
        for turn in turns:
            alone = painter.advance(alone, 4, turn=turn)
        (expected,) = painter.look(alone)
        np.testing.assert_allclose(frame.image, expected.image, atol=2e-3)
        assert list(frame.terms) == list(expected.terms)
        np.testing.assert_allclose([*frame.terms.values()], [*expected.terms.values()], rtol=0.02)
