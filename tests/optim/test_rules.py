"""One conformance suite over every learning rule; PyTorch and NumPy say what each computes."""

import functools
import json
import pathlib

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

from fathom.errors import UsageError
from fathom.optim import RULES, learning_rate_at, matrix_mask, trust_region_radius, update_rule

NAMES = RULES.names()
GOLDEN = json.loads((pathlib.Path(__file__).parents[1] / "golden" / "optim.json").read_text())
STEPS = 200
PARAMS = {
    "w": np.array([[1.0, -0.5, 0.3], [-1.2, 0.8, 0.6]], np.float32),
    "b": np.array([0.7, -0.9], np.float32),
}
TARGET = jax.tree.map(lambda leaf: 0.4 * leaf[::-1], PARAMS)
CURVATURE = {
    "w": np.array([[1.0, 0.5, 2.0], [1.5, 0.7, 1.0]], np.float32),
    "b": np.array([1.0, 0.6], np.float32),
}
# The last two members have one setting; the gradient of one element of the last is bumped in the first step.
RATES = [0.0, 1e-3, 1e-2, 0.1, 1.0, 10.0, 0.1, 0.1]
SETTINGS = {
    "learning_rate": np.array(RATES, np.float32),
    "weight_decay": np.array([0.3, 0, 0, 0, 0, 0, 0.1, 0.1], np.float32),
    "momentum": np.array([0.5, 0.9, 0.9, 0.9, 0.9, 0.9, 0.8, 0.8], np.float32),
    "beta2": np.array([0.9, 0.99, 0.99, 0.99, 0.99, 0.99, 0.95, 0.95], np.float32),
    "clip": np.array([np.inf] * 8, np.float32),
    "warmup": np.array([0.1] * 6 + [0.0] * 2, np.float32),
    "floor": np.zeros(8, np.float32),
}
BUMP = np.array([0.0] * 7 + [-5.0], np.float32)


def pack(tree):
    return jnp.concatenate([leaf.ravel() for leaf in jax.tree.leaves(tree)])


def path(name, packed, settings, bump):
    """The parameters to evaluate after each step, each element on a parabola of its own, for one member."""
    params, target, curvature = PARAMS, TARGET, CURVATURE
    mask = matrix_mask(params)
    if packed:
        mask = pack(jax.tree.map(lambda m, p: jnp.full_like(p, m), mask, params))
        params, target, curvature = pack(params), pack(target), pack(curvature)
    params = jax.tree.map(jnp.asarray, params)

    def step(carry, i):
        params, state = carry
        rule = update_rule(name, "none", settings, mask)
        grads = jax.tree.map(lambda p, t, c: c * (p - t), params, target, curvature)
        if not packed:
            grads["w"] = grads["w"].at[0, 0].add(jnp.where(i == 0, bump, 0.0))
        rate = learning_rate_at("cosine", settings, i, STEPS)
        updates, state = rule.update(grads, state, params, learning_rate=rate)
        params = optax.apply_updates(params, updates)
        evaluated = RULES[name].evaluation_params
        shown = params if evaluated is None else evaluated(state, params, settings)
        return (params, state), shown

    start = (params, update_rule(name, "none", settings, mask).init(params))
    return jax.lax.scan(step, start, jnp.arange(STEPS))[1]


@functools.cache
def lane(name):
    """All members at once: {"w": [member, step, 2, 3], "b": [member, step, 2]}."""
    run = jax.jit(jax.vmap(functools.partial(path, name, False)))
    return jax.tree.map(np.asarray, run(SETTINGS, BUMP))


def member(i):
    return {key: jnp.asarray(value[i]) for key, value in SETTINGS.items()}


@pytest.mark.parametrize("name", NAMES)
def test_minimizes_a_quadratic(name):
    # Oracle: the minimum is known. At the best of five learning rates the distance falls a hundredfold.
    final = jax.tree.map(lambda leaf: leaf[1:6, -1].astype(np.float64), lane(name))
    far = sum(np.sum((PARAMS[k] - TARGET[k]) ** 2) for k in PARAMS)
    near = sum(((final[k] - TARGET[k]) ** 2).reshape(5, -1).sum(1) for k in PARAMS)
    assert np.nanmin(near) < 1e-4 * far


@pytest.mark.parametrize("name", NAMES)
def test_learning_rate_zero_changes_nothing(name):
    # The averaging of schedule-free rules recomputes the parameters each step, which rounds.
    tolerance = 0 if RULES[name].evaluation_params is None else 1e-5
    for key, leaf in lane(name).items():
        np.testing.assert_allclose(
            leaf[0], np.broadcast_to(PARAMS[key], leaf[0].shape), rtol=0, atol=tolerance
        )


@pytest.mark.parametrize("name", NAMES)
def test_a_lane_equals_its_members_one_at_a_time(name):
    # Oracle: the same program without the member axis, over the few steps in which rounding cannot grow.
    alone = jax.jit(functools.partial(path, name, False))
    for i in (3, 7):
        for key, leaf in alone(member(i), BUMP[i]).items():
            np.testing.assert_allclose(leaf[:8], lane(name)[key][i, :8], rtol=2e-5, atol=2e-5)


@pytest.mark.parametrize("name", NAMES)
def test_elementwise_says_whether_elements_are_independent(name):
    plain, bumped = (jax.tree.map(lambda leaf, i=i: leaf[i], lane(name)) for i in (6, 7))
    assert np.abs(plain["w"][:, 0, 0] - bumped["w"][:, 0, 0]).max() > 1e-4
    others = np.abs(plain["w"] - bumped["w"]).reshape(STEPS, -1)[:, 1:].max()
    assert (others < 1e-7) == RULES[name].elementwise


@pytest.mark.parametrize("name", [rule.name for rule in RULES if rule.elementwise])
def test_elementwise_rules_work_on_packed_parameters(name):
    packed = jax.jit(functools.partial(path, name, True))(member(6), 0.0)
    each = jax.vmap(pack)(jax.tree.map(lambda leaf: leaf[6], lane(name)))
    np.testing.assert_allclose(packed[:8], each[:8], rtol=2e-5, atol=2e-5)


@pytest.mark.parametrize("name", NAMES)
def test_state_structure_does_not_depend_on_values(name):
    def state(settings):
        rule = update_rule(name, "none", settings, matrix_mask(PARAMS))
        params = jax.tree.map(jnp.asarray, PARAMS)
        before = rule.init(params)
        return before, rule.update(params, before, params)[1]

    numbers = {key: float(value[1]) for key, value in SETTINGS.items()}
    traced = jax.eval_shape(state, member(0))
    plain = jax.eval_shape(lambda: state(numbers))
    kinds = [jax.tree.map(lambda leaf: (leaf.shape, leaf.dtype), tree) for tree in (*traced, *plain)]
    assert all(kind == kinds[0] for kind in kinds)


@pytest.mark.parametrize("name", NAMES)
def test_records_are_complete(name):
    rule = RULES[name]
    assert rule.summary and rule.reference
    assert set(rule.uses) <= {"momentum", "beta2"}
    assert rule.decay in ("decoupled", "gradient", "inside")


@pytest.mark.parametrize("name", NAMES)
def test_builds_on_its_own_with_plain_numbers(name):
    # The rules work in anyone's Optax code, without Fathom's settings.
    numbers = dict.fromkeys(RULES[name].uses, 0.9)
    rule = RULES[name].build(1e-2, **numbers)
    params = jax.tree.map(jnp.asarray, PARAMS)
    updates = jax.jit(lambda params: rule.update(params, rule.init(params), params)[0])(params)
    assert np.isfinite(trust_region_radius(updates)) and trust_region_radius(updates) > 0


def follow(name, steps, learning_rate, numbers):
    """Ten steps on the golden problem."""
    a, y, w = (jnp.asarray(GOLDEN[key], jnp.float32) for key in ("a", "y", "w0"))
    settings = {"learning_rate": learning_rate, "weight_decay": 0.0, "clip": jnp.inf, **numbers}
    rule = update_rule(name, "none", settings)

    @jax.jit
    def step(w, state):
        grads = jax.grad(lambda w: jnp.sum(jnp.log(jnp.cosh(a @ w - y))))(w)
        updates, state = rule.update(grads, state, w)
        return w + updates, state, grads

    state, out, gradients = rule.init(w), [], []
    for _ in range(steps):
        w, state, grads = step(w, state)
        out.append(np.asarray(w))
        gradients.append(np.asarray(grads, np.float64))
    return np.stack(out), gradients


@pytest.mark.parametrize("name", GOLDEN["rules"])
def test_follows_torch(name):
    # Oracle: golden numbers of PyTorch in float64 (tests/golden/make_optim.py).
    golden = GOLDEN["rules"][name]
    got, _ = follow(name, len(golden["path"]), golden["learning_rate"], golden["numbers"])
    np.testing.assert_allclose(got, golden["path"], rtol=1e-4, atol=1e-5)


B1, B2, RATE = 0.8, 0.95, 0.05


def lion(w, g, s, t):
    step = np.sign(B1 * s["m"] + (1 - B1) * g)
    s["m"] = B2 * s["m"] + (1 - B2) * g
    return w - RATE * step


def nadam(w, g, s, t):
    s["m"] = B1 * s["m"] + (1 - B1) * g
    s["v"] = B2 * s["v"] + (1 - B2) * g * g
    ahead = B1 * s["m"] / (1 - B1 ** (t + 1)) + (1 - B1) * g / (1 - B1**t)
    return w - RATE * ahead / (np.sqrt(s["v"] / (1 - B2**t)) + 1e-8)


def amsgrad(w, g, s, t):
    s["m"] = B1 * s["m"] + (1 - B1) * g
    s["v"] = B2 * s["v"] + (1 - B2) * g * g
    s["top"] = np.maximum(s["top"], s["v"] / (1 - B2**t))
    return w - RATE * s["m"] / (1 - B1**t) / (np.sqrt(s["top"]) + 1e-8)


def adabelief(w, g, s, t):
    s["m"] = B1 * s["m"] + (1 - B1) * g
    s["v"] = B2 * s["v"] + (1 - B2) * (g - s["m"]) ** 2
    return w - RATE * s["m"] / (1 - B1**t) / np.sqrt(s["v"] / (1 - B2**t))


def lamb(w, g, s, t):
    s["m"] = B1 * s["m"] + (1 - B1) * g
    s["v"] = B2 * s["v"] + (1 - B2) * g * g
    step = s["m"] / (1 - B1**t) / (np.sqrt(s["v"] / (1 - B2**t)) + 1e-6)
    return w - RATE * step * np.linalg.norm(w) / np.linalg.norm(step)


def schedule_free_sgd(w, g, s, t):
    if t == 1:
        s["z"] = s["x"] = w
    s["z"] = s["z"] - RATE * g
    s["x"] = (1 - 1 / t) * s["x"] + s["z"] / t
    return B1 * s["x"] + (1 - B1) * s["z"]


@pytest.mark.parametrize("reference", [lion, nadam, amsgrad, adabelief, lamb, schedule_free_sgd])
def test_follows_a_numpy_reference(reference):
    # Oracle: the rule as published, written out in float64, fed with the gradients that were seen.
    got, gradients = follow(reference.__name__, 6, RATE, {"momentum": B1, "beta2": B2})
    w, state = np.asarray(GOLDEN["w0"]), {"m": 0.0, "v": 0.0, "top": 0.0}
    for t, (now, grads) in enumerate(zip(got, gradients, strict=True), start=1):
        w = reference(w, grads, state, t)
        np.testing.assert_allclose(now, w, rtol=1e-4, atol=1e-5)


def test_muon_steps_are_nearly_orthogonal_and_as_long_as_adams():
    # Oracle: the singular values of 0.2 sqrt(max(m, n)) times an orthogonal matrix are all that number; the
    # Newton-Schulz iteration is known to leave them within about 0.7 to 1.2 of it.
    grads = jax.random.normal(jax.random.key(0), (8, 20)) @ jnp.diag(jnp.linspace(0.1, 3.0, 20))
    rule = RULES["muon"].build(1.0, momentum=0.9, beta2=0.99)
    updates, _ = rule.update(grads, rule.init(grads), grads)
    ratio = np.linalg.svd(np.asarray(updates), compute_uv=False) / (0.2 * np.sqrt(20))
    assert 0.6 < ratio.min() <= ratio.max() < 1.3


def test_prodigy_starts_after_a_warm_up_and_stays_finite_without_a_gradient():
    rule = RULES["prodigy"].build(1.0, momentum=0.9, beta2=0.99, weight_decay=0.1)
    params = jnp.array([1.0, -2.0])
    updates, state = rule.update(jnp.zeros(2), rule.init(params), params)
    assert updates.tolist() == [0.0, 0.0]
    updates, _ = rule.update(params, state, params)
    assert np.isfinite(updates).all() and np.all(updates * params < 0)


def test_a_gradient_step_is_the_trust_region_step_of_its_radius():
    # Oracle: the least of g.d over |d| <= r is -r g / |g| (the Lagrangian's solution).
    grads = {"w": jnp.array([[1.0, -2.0]]), "b": jnp.array([2.0])}
    rule = RULES["sgd"].build(0.1)
    updates, _ = rule.update(grads, rule.init(grads), grads)
    radius = trust_region_radius(updates)
    np.testing.assert_allclose(radius, 0.1 * 3.0, rtol=1e-6)
    for step, grad in zip(jax.tree.leaves(updates), jax.tree.leaves(grads), strict=True):
        np.testing.assert_allclose(step, -radius * grad / 3.0, rtol=1e-6)


def test_an_unknown_rule_is_an_early_error():
    with pytest.raises(
        UsageError, match=r"optimizer='adm' is not known; use one of: sgd.*did you mean 'adam'"
    ):
        update_rule("adm", "none", {})
