"""Start-up and compiling: from the launch of a process to the end of the first epoch of one 64-32-32-10 on digits.

Each side imports what it needs, reads the digits, compiles, trains one epoch of 34 batches and judges, three times with
empty and three times with filled caches of compiled programs. What is trained is that of `mlp.py`.

- fathom: one `Study`, with all that a study does beside; jax loop: one jitted step; torch eager and torch compiled: in
  the process itself, one thread; keras: Keras 3 on JAX; scikit-learn: MLPClassifier in the process itself.

JAX, for jax loop and keras, keeps every compiled program (`JAX_COMPILATION_CACHE_DIR`), as PyTorch's compiler does.
"""

from ..harness import Job
from . import mlp

MEASURES, COUNTS, HELD = "starts", "steps", mlp.HELD
SIZES = {"w32-m1-e1": {"width": 32, "members": 1, "epochs": 1}}
CHECK: dict[str, int] = {}


def scikit_learn(width: int, members: int, epochs: int) -> Job:
    """MLPClassifier in this process."""
    x, y, held, held_y = mlp.rows()[:4]
    setting = (0, mlp.settings(members)[0])
    return Job(lambda: mlp.scikit_one(width, epochs, setting, x, y, held, held_y), epochs * mlp.STEPS)


SIDES = {
    "fathom": mlp.fathom,
    "jax loop": mlp.jax_loop,
    "torch eager": mlp.torch_eager,
    "torch compiled": mlp.torch_compiled,
    "keras": mlp.keras,
    "scikit-learn": scikit_learn,
}
NEEDS = {side: side.split()[0] for side in SIDES if side.startswith(("torch", "keras"))}
