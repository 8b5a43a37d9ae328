"""Attention against a loop in NumPy and PyTorch's numbers; what a block is made of."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from fathom import nn
from fathom.errors import UsageError

from .golden import golden, with_weights


def walk(layer, x):
    """Head by head and place by place."""
    batch, time, features = x.shape
    size = features // layer.heads
    q, k, v = np.split(x @ np.asarray(layer.qkv.weight) + np.asarray(layer.qkv.bias), 3, axis=2)
    mixed = np.zeros_like(x)
    for b in range(batch):
        for head in range(layer.heads):
            part = slice(head * size, (head + 1) * size)
            for t in range(time):
                seen = range(t + 1 if layer.causal else time)
                match = np.array([q[b, t, part] @ k[b, s, part] / np.sqrt(size) for s in seen])
                weight = np.exp(match - match.max())
                weight /= weight.sum()
                mixed[b, t, part] = sum(w * v[b, s, part] for w, s in zip(weight, seen, strict=True))
    return mixed @ np.asarray(layer.out.weight) + np.asarray(layer.out.bias)


@pytest.mark.parametrize("causal", [False, True])
@pytest.mark.parametrize("heads", [1, 3])
def test_values_by_hand(causal, heads):
    """Oracle: loops over sequences, heads and places in NumPy."""
    layer = nn.MultiHeadAttention(6, heads, jax.random.key(0), causal=causal)
    layer = jax.tree.map(lambda w: w + 0.2, layer)
    x = jax.random.normal(jax.random.key(1), (2, 5, 6))
    np.testing.assert_allclose(layer(x)[0], walk(layer, np.asarray(x, np.float64)), rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("case", [0, 1])
def test_golden(case):
    """Oracle: torch.nn.MultiheadAttention, values and gradients."""
    found = golden("attention")[case]
    layer = nn.MultiHeadAttention(6, 2, jax.random.key(0), **found.settings)
    found.check(with_weights(layer, found.weights))


def test_causal_attention_never_looks_ahead():
    """Oracle: later places change nothing earlier."""
    layer = nn.TransformerBlock(8, 2, jax.random.key(0), causal=True)
    x = jax.random.normal(jax.random.key(1), (1, 6, 8))
    changed = x.at[:, 4:].add(10.0)
    assert jnp.array_equal(layer(x)[0][:, :4], layer(changed)[0][:, :4])
    assert not jnp.allclose(layer(x)[0][:, 4:], layer(changed)[0][:, 4:])


def test_attention_does_not_know_the_order():
    """Oracle: permuting the places permutes what comes out."""
    layer = nn.TransformerBlock(8, 2, jax.random.key(0))
    x = jax.random.normal(jax.random.key(1), (2, 6, 8))
    order = np.array([3, 1, 5, 0, 2, 4])
    np.testing.assert_allclose(layer(x[:, order])[0], layer(x)[0][:, order], rtol=1e-4, atol=1e-5)


def test_a_block_adds_to_what_comes_in():
    """Oracle: the block's formula, from its own parts; with its last layers at zero it is the identity."""
    block = nn.TransformerBlock(8, 2, jax.random.key(0), hidden=5, activation="relu")
    x = jax.random.normal(jax.random.key(1), (2, 6, 8))
    first = x + block.attention(block.first_norm(x)[0])[0]
    second = first + block.down(jax.nn.relu(block.up(block.second_norm(first)[0])[0]))[0]
    np.testing.assert_allclose(block(x)[0], second, rtol=1e-5, atol=1e-6)
    assert block.up.weight.shape == (8, 5)


def test_dropout_needs_a_key_and_rests_in_inference():
    block = nn.TransformerBlock(8, 2, jax.random.key(0), dropout=0.5)
    x = jax.random.normal(jax.random.key(1), (2, 3, 8))
    plain = nn.set_dropout(block, 0.0)(x)[0]
    assert jnp.array_equal(block(x, inference=True)[0], plain)
    assert not jnp.allclose(block(x, key=jax.random.key(1))[0], plain)
    with pytest.raises(UsageError, match="key=None"):
        block(x)


def test_strict_promotion_state():
    block = nn.TransformerBlock(8, 2, jax.random.key(0), causal=True)
    with jax.numpy_dtype_promotion("strict"), jax.numpy_rank_promotion("raise"):
        y, state = block(jnp.ones((2, 3, 8)), key=None, state=None, inference=False)
    assert y.shape == (2, 3, 8) and state is None


def test_misuse_is_refused():
    with pytest.raises(UsageError, match="heads=3 does not divide 8 features"):
        nn.MultiHeadAttention(8, 3, jax.random.key(0))
