"""What every test runs under: two CPU devices, a cache of compiled programs, and strict checks.

JAX reads its process settings once, so they are set here, before anything imports it.
"""

import os
from pathlib import Path

from fathom.process import arrange

os.environ.setdefault("JAX_PLATFORMS", "cpu")
os.environ.setdefault(
    "XLA_FLAGS", "--xla_force_host_platform_device_count=2 --xla_cpu_multi_thread_eigen=false"
)
os.environ.update(arrange(os.environ).variables)

from jaxtyping import install_import_hook

# Every annotation is checked at each call. Not in data/ and cli/, the doors of the house: what comes in there
# may be anything, and is refused in Fathom's own words, which their tests read.
_FLOORS = (
    "analysis",
    "engine",
    "models",
    "nn",
    "objectives",
    "optim",
    "study",
    "report",
    "settings",
    "catalogue",
    "task",
)
install_import_hook([f"fathom.{floor}" for floor in _FLOORS], "strict.check")

import jax  # noqa: E402
import pytest  # noqa: E402
from hypothesis import settings  # noqa: E402

jax.config.update("jax_numpy_rank_promotion", "raise")

# Every run draws the same examples: a failure of today is a failure of tomorrow.
settings.register_profile("fathom", derandomize=True, max_examples=30, deadline=None, database=None)
settings.load_profile("fathom")


def pytest_collection_modifyitems(items):
    """Leave out what asks for minutes or for data that is not there, and say so by name."""
    data = Path(os.environ.get("FATHOM_DATA", ""))
    for item in items:
        if item.get_closest_marker("slow") and os.environ.get("FATHOM_SLOW") != "1":
            item.add_marker(pytest.mark.skip(reason="slow; set FATHOM_SLOW=1"))
        if item.get_closest_marker("data") and not (os.environ.get("FATHOM_DATA") and data.is_dir()):
            item.add_marker(pytest.mark.skip(reason="needs the folder of data sets that FATHOM_DATA names"))


@pytest.fixture(scope="session")
def data_folder() -> Path:
    """The folder of real data sets, for tests marked `data`."""
    return Path(os.environ["FATHOM_DATA"])
