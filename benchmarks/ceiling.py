"""What the machine can do at most: the fastest square product, in thousand million operations a second.

    python -m benchmarks.ceiling

Measured by JAX on its default device, with all of a CPU's cores. The suite divides what a side does by it.
"""

import importlib.util
import json
import re
import time
from pathlib import Path
from typing import Any

SIZES = {"cpu": (512, 1024, 2048), "gpu": (4096, 8192)}
REPEATS = 7


def machine() -> dict[str, Any]:
    """The device of JAX, that of PyTorch (None without PyTorch), and JAX's ceiling for each precision."""
    import jax

    device = jax.devices()[0]
    return {
        "device": processor() if device.platform == "cpu" else device.device_kind,
        "torch": _torch_device() if importlib.util.find_spec("torch") else None,
        "ceiling": {precision: ceiling(precision) for precision in ("float32", "bfloat16")},
    }


def ceiling(precision: str) -> float:
    """The most operations a second, in thousand millions, of products of square matrices."""
    import jax
    import jax.numpy as jnp

    sizes = SIZES.get(jax.default_backend(), SIZES["gpu"])
    product = jax.jit(lambda a, b: jnp.matmul(a, b, preferred_element_type=jnp.float32))
    best = 0.0
    for size in sizes:
        a = jax.random.normal(jax.random.key(0), (size, size)).astype(precision)
        product(a, a).block_until_ready()
        for _ in range(REPEATS):
            start = time.perf_counter()
            product(a, a).block_until_ready()
            best = max(best, 2 * size**3 / (time.perf_counter() - start) / 1e9)
    return best


def processor() -> str:
    """The processor's name."""
    about = Path("/proc/cpuinfo")
    found = re.search(r"model name\s*:\s*(.+)", about.read_text()) if about.exists() else None
    return found[1] if found else "CPU"


def _torch_device() -> str:
    import torch

    return torch.cuda.get_device_name() if torch.cuda.is_available() else processor()


if __name__ == "__main__":
    print(json.dumps(machine()))
