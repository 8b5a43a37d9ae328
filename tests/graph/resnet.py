"""A residual network of 50 layers (He et al. 2015), narrow, in Equinox and in Flax."""

import equinox as eqx
import flax.linen as nn
import jax
import jax.numpy as jnp
from jax import lax

DEPTHS = (3, 4, 6, 3)


class Conv(eqx.Module):
    weight: jax.Array
    stride: int = eqx.field(static=True)

    def __init__(self, size, inputs, outputs, stride, key):
        self.weight = (
            jax.random.normal(key, (size, size, inputs, outputs)) * (2 / (size * size * inputs)) ** 0.5
        )
        self.stride = stride

    def __call__(self, x):
        numbers = ("NHWC", "HWIO", "NHWC")
        strides = (self.stride, self.stride)
        return lax.conv_general_dilated(x, self.weight, strides, "SAME", dimension_numbers=numbers)


class BatchNorm(eqx.Module):
    scale: jax.Array
    shift: jax.Array

    def __init__(self, width):
        self.scale, self.shift = jnp.ones(width), jnp.zeros(width)

    def __call__(self, x):
        mean, spread = x.mean((0, 1, 2)), x.var((0, 1, 2))
        return (x - mean) * lax.rsqrt(spread + 1e-5) * self.scale + self.shift


class Bottleneck(eqx.Module):
    convs: list[Conv]
    norms: list[BatchNorm]
    shortcut: Conv | None

    def __init__(self, inputs, width, stride, key):
        a, b, c, d = jax.random.split(key, 4)
        self.convs = [
            Conv(1, inputs, width, 1, a),
            Conv(3, width, width, stride, b),
            Conv(1, width, 4 * width, 1, c),
        ]
        self.norms = [BatchNorm(width), BatchNorm(width), BatchNorm(4 * width)]
        self.shortcut = Conv(1, inputs, 4 * width, stride, d) if inputs != 4 * width or stride != 1 else None

    def __call__(self, x):
        y = jax.nn.relu(self.norms[0](self.convs[0](x)))
        y = jax.nn.relu(self.norms[1](self.convs[1](y)))
        y = self.norms[2](self.convs[2](y))
        return jax.nn.relu(y + (x if self.shortcut is None else self.shortcut(x)))


class ResNet(eqx.Module):
    stem: Conv
    norm: BatchNorm
    stages: list[list[Bottleneck]]
    head: eqx.nn.Linear

    def __init__(self, width=4, depths=DEPTHS):
        keys = iter(jax.random.split(jax.random.key(0), 2 + sum(depths)))
        self.stem, self.norm = Conv(3, 3, width, 1, next(keys)), BatchNorm(width)
        self.stages, inputs = [], width
        for place, depth in enumerate(depths):
            stage = []
            for block in range(depth):
                wide = width * 2**place
                stage.append(Bottleneck(inputs, wide, 2 if place and block == 0 else 1, next(keys)))
                inputs = 4 * wide
            self.stages.append(stage)
        self.head = eqx.nn.Linear(inputs, 10, key=next(keys))

    def __call__(self, x):
        x = jax.nn.relu(self.norm(self.stem(x)))
        for stage in self.stages:
            for block in stage:
                x = block(x)
        return jax.vmap(self.head)(x.mean((1, 2)))


def _arguments(model):
    labels = jax.ShapeDtypeStruct((4,), jnp.int32)
    return model, jax.ShapeDtypeStruct((4, 16, 16, 3), jnp.float32), labels


def resnet():
    """A loss and the shapes of its arguments, in Equinox."""

    def loss(model, images, labels):
        logits = jax.nn.log_softmax(model(images))
        return -jnp.take_along_axis(logits, labels[:, None], axis=1).mean()

    return loss, _arguments(eqx.filter_eval_shape(ResNet))


class LinenBottleneck(nn.Module):
    width: int
    stride: int = 1

    @nn.compact
    def __call__(self, x):
        y = x
        for size, width, stride in ((1, self.width, 1), (3, self.width, self.stride), (1, 4 * self.width, 1)):
            y = nn.Conv(width, (size, size), (stride, stride), use_bias=False)(y)
            y = nn.BatchNorm(use_running_average=False)(y)
            y = nn.relu(y) if width == self.width else y
        if x.shape != y.shape:
            x = nn.Conv(4 * self.width, (1, 1), (self.stride, self.stride), name="shortcut")(x)
        return nn.relu(x + y)


class LinenStage(nn.Module):
    width: int
    depth: int
    stride: int

    @nn.compact
    def __call__(self, x):
        for block in range(self.depth):
            x = LinenBottleneck(self.width, self.stride if block == 0 else 1, name=f"block{block}")(x)
        return x


class LinenResNet(nn.Module):
    width: int = 4
    depths: tuple[int, ...] = DEPTHS

    @nn.compact
    def __call__(self, x):
        x = nn.relu(nn.Conv(self.width, (3, 3), name="stem")(x))
        for place, depth in enumerate(self.depths):
            stride = 2 if place else 1
            x = LinenStage(self.width * 2**place, depth, stride, name=f"stage{place}")(x)
        return nn.Dense(10, name="head")(x.mean((1, 2)))


def linen_resnet():
    """The same in Flax, whose modules name themselves."""
    net = LinenResNet()
    images = jax.ShapeDtypeStruct((4, 16, 16, 3), jnp.float32)
    variables = jax.eval_shape(net.init, jax.random.key(0), images)

    def loss(params, images, labels):
        variables = {"params": params["params"], "batch_stats": params["batch_stats"]}
        logits, _ = net.apply(variables, images, mutable=["batch_stats"])
        return -jnp.take_along_axis(jax.nn.log_softmax(logits), labels[:, None], axis=1).mean()

    return loss, _arguments(variables)
