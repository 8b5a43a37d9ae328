"""The population as a user meets it. Oracles: a plain loop over the same batches; gradients by hand."""

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import pytest

from fathom.engine import Population, Rung
from fathom.engine.feed import Feed, epoch_order
from fathom.errors import DataError, UsageError

from .worlds import bits, loop, net_evaluate, net_init, net_population, net_step, regression

TRAIN, HELD = regression(40), regression(16, seed=8)
RATES = [0.005, 0.02, 0.08]


def slope_init(key, settings):
    return jnp.zeros(3)


def slope_step(w, batch, settings):
    loss, slope = jax.value_and_grad(lambda w: jnp.mean((batch["x"] @ w - batch["y"]) ** 2))(w)
    return w - settings["learning_rate"] * slope, {"loss": loss}


def numpy_slopes(rate, seed, epochs, batch):
    """Least squares by hand in float64: the slope of the mean square, the batches in the seed's order."""
    feed, w, losses = Feed.of(TRAIN), np.zeros(3), []
    x, y = TRAIN["x"].astype(float), TRAIN["y"].astype(float)
    steps = -(-len(x) // batch)
    for epoch in range(epochs):
        for rows in epoch_order(feed, seed, 0, epoch, steps * batch).reshape(steps, batch):
            error = x[rows] @ w - y[rows]
            losses.append(np.mean(error**2))
            w = w - rate * 2 * x[rows].T @ error / batch
    return w, np.reshape(losses, (epochs, steps)).mean(1)


@pytest.mark.parametrize("width", [1, 4])
def test_every_step_is_that_of_numpy(width):
    population = Population(slope_init, slope_step, None, {"learning_rate": RATES, "seed": [0, 1, 2]})
    seen = []
    result = population.run(TRAIN, epochs=3, batch_size=16, lane_width=width, callbacks=[seen.append])
    for member, rate in enumerate(RATES):
        w, losses = numpy_slopes(rate, member, 3, 16)
        slot = result._training.slot(member)
        np.testing.assert_allclose(slot["state"], w, rtol=1e-5, atol=1e-6)
        told = [event["report"].train["loss"][member] for event in seen if event["event"] == "epoch"]
        np.testing.assert_allclose(told, losses, rtol=1e-5)


@pytest.fixture(scope="module")
def trained():
    population = net_population(learning_rate=[0.02, 0.3, 0.06], seed=[4, 5, 6])
    return population.run(TRAIN, HELD, epochs=6, batch_size=16, lane_width=1)


def test_a_net_with_its_own_key_follows_the_loop(trained):
    functions = trained.population.functions
    *_, last = loop(functions, Feed.of(TRAIN, HELD), 6, {"noise": 0.05, "learning_rate": 0.06}, 3, 16)
    assert last[1] == 8
    short = net_population(learning_rate=[0.02, 0.3, 0.06], seed=[4, 5, 6])
    result = short.run(TRAIN, HELD, epochs=3, batch_size=16, lane_width=1)
    state = result._training.slot(2)["state"]
    assert int(state["step"]) == 9
    for name, array in last[2]["params"].items():
        np.testing.assert_allclose(state["params"][name], array, rtol=1e-4, atol=1e-5)


def test_the_best_epoch_is_kept(trained):
    # Oracle: the same member trained for that many epochs only, whose last state is then its best.
    early = [m for m, record in trained.records.items() if record.best_epoch < 5]
    assert early, "one member must get worse for this test"
    for member in early:
        record = trained.records[member]
        columns = {name: column[[member]] for name, column in trained.population.settings.items()}
        seed = trained.population.seeds[[member]]
        retrained = net_population(seed=seed, **columns).run(
            TRAIN, HELD, epochs=record.best_epoch + 1, batch_size=16, lane_width=1
        )
        assert bits(retrained._training.slot(0)["state"]) == bits(trained.state(member))
        assert retrained.records[0].score == record.best_score


def test_scores_are_the_validation_metric_of_the_kept_state(trained):
    for member, score in enumerate(trained.scores):
        np.testing.assert_allclose(net_evaluate(trained.state(member), HELD)["loss"], score, rtol=1e-5)
    assert trained.best == int(np.argmin(trained.scores))
    assert [row["best_score"] for row in trained.table()] == sorted(trained.scores)


def test_a_rising_score_and_its_name():
    def evaluate(state, split):
        return {"loss": net_evaluate(state, split)["loss"], "fit": -net_evaluate(state, split)["loss"]}

    settings = {"noise": 0.05, "learning_rate": [0.02, 0.3, 0.06], "seed": [4, 5, 6]}
    population = Population(net_init, net_step, evaluate, settings, score="fit", greater_is_better=True)
    result = population.run(TRAIN, HELD, epochs=6, batch_size=16, lane_width=1)
    assert result.best == int(np.argmax(result.scores))
    assert (result.scores < 0).all()
    assert [row["best_score"] for row in result.table()] == sorted(result.scores, reverse=True)


@pytest.mark.parametrize("width", [1, 8])
def test_patience_stops_a_member_and_keeps_its_best(width, trained):
    """Oracle: the scores of the run without patience, read one by one."""
    settings = {"noise": 0.05, "learning_rate": np.geomspace(0.01, 0.3, 8), "seed": 3}
    seen, run = [], {"epochs": 9, "batch_size": 16, "lane_width": width}
    whole = Population(net_init, net_step, net_evaluate, settings)
    whole.run(TRAIN, HELD, **run, callbacks=[seen.append])
    scores = np.array([event["report"].values["score"] for event in seen if event["event"] == "epoch"])
    seen.clear()
    result = whole.run(TRAIN, HELD, **run, patience=1, callbacks=[seen.append])
    told = {event["member"]: event["epoch"] for event in seen if event["event"] == "stopped"}
    assert told
    for member, record in result.records.items():
        best, at, stop = np.inf, -1, None
        for epoch, score in enumerate(scores[:, member]):
            if score < best:
                best, at = score, epoch
            if epoch - at > 1:
                stop = epoch
                break
        assert told.get(member) == stop
        assert record.status == ("finished" if stop is None else "stopped")
        assert (record.best_epoch, record.best_score) == (at, best)
        assert record.epochs == (9 if stop is None else stop + 1)
        # The state kept is that of the best epoch before the stop, however long the lane went on.
        np.testing.assert_allclose(net_evaluate(result.state(member), HELD)["loss"], best, rtol=1e-5)


class Tagged(eqx.Module):
    """A module with what is no array."""

    weight: jax.Array
    name: str
    activation: object = eqx.field(static=True)


def rbg_init(key, settings):
    return jax.random.wrap_key_data(jax.random.bits(key, (4,)), impl="rbg")


def test_a_key_that_depends_on_its_neighbors_gets_a_lane_of_its_own():
    population = Population(
        rbg_init, lambda key, batch, settings: (key, {"loss": 0.0}), None, {"a": [1, 2, 3, 4]}
    )
    with pytest.raises(UsageError, match=r"state: itself is no threefry2x32 key, .* use lane_width=1"):
        population.run(TRAIN, epochs=1, lane_width=2)
    result = population.run(TRAIN, epochs=1, batch_size=40)
    assert result._training.cohorts[0].kind.width == 1


@pytest.mark.parametrize(("implementation", "width"), [("threefry2x32", 1), ("threefry2x32", 2), ("rbg", 1)])
def test_keys_and_modules_live_in_a_state(implementation, width):
    def init(key, settings):
        words = jax.random.bits(key, (jax.random.key_data(jax.random.key(0, impl=implementation)).size,))
        own = jax.random.wrap_key_data(words, impl=implementation)
        return {
            "net": Tagged(jnp.zeros(()), "tag", jnp.tanh),
            "key": own,
            "steps": jnp.int32(0),
            "on": jnp.array(True),
        }

    def step(state, batch, settings):
        assert state["net"].name == "tag" and state["net"].activation is jnp.tanh
        key, drawn = jax.random.split(state["key"])
        weight = state["net"].weight + settings["scale"] * jax.random.uniform(drawn)
        net = eqx.tree_at(lambda net: net.weight, state["net"], weight)
        return {**state, "net": net, "key": key, "steps": state["steps"] + 1}, {"loss": weight}

    population = Population(init, step, None, {"scale": [1.0, 2.0], "seed": [1, 1]})
    result = population.run({"x": np.zeros((4, 1), np.float32)}, epochs=2, batch_size=2, lane_width=width)
    state = result._training.slot(0)["state"]
    assert isinstance(state["net"], Tagged) and state["net"].name == "tag"
    assert str(jax.random.key_impl(state["key"])) == implementation
    own, total = init(jax.random.key(1), None)["key"], 0.0
    for _ in range(4):
        own, drawn = jax.random.split(own)
        total += float(jax.random.uniform(drawn))
    np.testing.assert_allclose(state["net"].weight, total, rtol=1e-6)
    np.testing.assert_allclose(result._training.slot(1)["state"]["net"].weight, 2 * total, rtol=1e-6)
    assert bits(state["key"]) == bits(own)


def misuse(init=slope_init, step=slope_step, evaluate=None, settings=None, **run):
    settings = {"learning_rate": RATES} if settings is None else settings
    population = Population(init, step, evaluate, settings)
    return population.run(TRAIN, **{"epochs": 1, "batch_size": 16, "lane_width": 1, **run})


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        ({"epochs": 0}, "epochs=0 is not allowed; give a whole number, 1 or more"),
        ({"epochs": True}, "epochs=True is not allowed"),
        ({"batch_size": 0}, "batch_size=0 is not allowed; give a whole number, 1 or more"),
        ({"lane_width": 3}, "lane_width=3 is not allowed; give a power of two"),
        ({"patience": -1.0}, "patience=-1.0 is not allowed; give a number of epochs"),
        ({"rungs": [Rung(0.5, 2), Rung(0.5, 1)]}, r"rungs at \[0.5, 0.5\] are out of order"),
        ({"evaluate": net_evaluate}, "validation=None: evaluate was given but no examples"),
        ({"settings": {"learning_rate": [1.0, None]}}, r"learning_rate=\[1.0, None\] are not all numbers"),
        ({"settings": {"learning_rate": ["fast"]}}, r"learning_rate=\['fast'\] are not numbers"),
        ({"settings": {"learning_rate": []}}, "settings have shapes"),
        (
            {"settings": {"learning_rate": [1, 2], "seed": [1, 2, 3]}},
            "give each one number, or one for each member",
        ),
        (
            {"settings": {"learning_rate": [1, 2], "seed": [0, -1]}},
            "seed=-1 is not allowed; give whole numbers",
        ),
        ({"settings": {"learning_rate": [1, 2], "seed": [0, 0.5]}}, "seed=0.5 is not allowed"),
        ({"step": lambda w, batch, settings: (w, w)}, "2 arrays came back where init gave 1, different in"),
        (
            {"step": lambda w, batch, settings: w[:2]},
            r"itself came back as float32\[2\] where init gave float32\[3\]",
        ),
        ({"step": lambda w, batch, settings: jnp.int32(w)}, r"came back as int32\[3\]"),
        ({"step": lambda w, batch, settings: w}, "score='loss' is not among the metrics that step returns"),
    ],
)
def test_misuse_is_one_sentence(wrong, message):
    with pytest.raises(UsageError, match=message) as error:
        misuse(**wrong)
    assert "\n" not in str(error.value)


def test_a_missing_score_is_misuse():
    population = Population(slope_init, slope_step, lambda w, split: {"error": 0.0}, {"learning_rate": RATES})
    with pytest.raises(
        UsageError, match=r"score='loss' is not among the metrics that evaluate returns .error.;"
    ):
        population.run(TRAIN, HELD, epochs=1, lane_width=1)


@pytest.mark.parametrize(
    ("train", "validation", "message"),
    [
        (
            {"x": np.zeros((4, 2)), "y": np.zeros(3)},
            None,
            "train: arrays of shapes .* do not share their first axis",
        ),
        ({"x": np.zeros((0, 2))}, None, "train has 0 rows"),
        ({"x": np.zeros((4, 2))}, {"z": np.zeros((4, 2))}, "differs in structure from"),
        ({"x": np.zeros((4, 2))}, {"x": np.zeros((4, 3))}, r"shape \(4, 3\) where train has \(4, 2\)"),
    ],
)
def test_wrong_examples_are_refused(train, validation, message):
    with pytest.raises(DataError, match=message):
        net_population(learning_rate=0.1).run(
            train, validation if validation is not None else train, epochs=1
        )


def test_what_no_device_holds_is_refused_before_any_compilation():
    population = Population(
        lambda key, settings: jnp.zeros((10**6, 10**6)), slope_step, None, {"learning_rate": 0.1}
    )
    compiled = []
    jax.monitoring.register_event_duration_secs_listener(
        listener := lambda name, *_, **__: compiled.append(name)
    )
    with pytest.raises(UsageError, match=r"memory=.* is needed and .* is allowed .*; train fewer members"):
        population.run(TRAIN, epochs=1, lane_width=1)
    jax.monitoring.unregister_event_duration_listener(listener)
    assert not [name for name in compiled if "backend_compile" in name]


def test_a_dropped_or_unknown_member_has_no_state(trained):
    population = net_population(learning_rate=[0.02, 0.3, 0.06], seed=[4, 5, 6])
    result = population.run(TRAIN, HELD, epochs=6, batch_size=16, lane_width=1, rungs=[Rung(0.5, 1)])
    dropped = next(m for m, record in result.records.items() if record.status == "dropped")
    with pytest.raises(UsageError, match=f"member={dropped} was dropped at a rung"):
        result.state(dropped)
    with pytest.raises(UsageError, match="member=9: there are members 0 to 2"):
        result.state(9)


def test_one_member_without_settings():
    def step(w, batch, settings):
        return slope_step(w, batch, {"learning_rate": 0.1})

    result = Population(slope_init, step, None, {}).run(TRAIN, epochs=2, batch_size=8, lane_width=1)
    assert result.best == 0
