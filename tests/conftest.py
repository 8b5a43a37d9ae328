"""What every test runs under: two CPU devices, a cache of compiled programs, and strict checks.

JAX reads its process settings once, so they are set here, before anything imports it.
"""

import contextlib
import os
import shutil
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


@pytest.fixture(scope="module")
def native_code():
    """Native code, built into the cache of the tests."""
    from fathom import native
    from fathom.process import cache_root

    with pytest.MonkeyPatch.context() as patch:
        patch.setenv(native.FOLDER, str(cache_root(os.environ) / "native"))
        native.ready.cache_clear()
        assert native.ready(native.PERCEPTRON)
        yield
    native.ready.cache_clear()


@pytest.fixture(scope="module")
def browser():
    """Headless Chromium; skips with what is missing."""
    playwright = pytest.importorskip("playwright.sync_api", reason="needs playwright")
    chromium = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None)
    if chromium is None:
        pytest.skip("needs Chromium (chromium or google-chrome on the PATH)")
    with playwright.sync_playwright() as started:
        opened = started.chromium.launch(executable_path=chromium, args=["--no-sandbox", "--disable-gpu"])
        yield opened
        opened.close()


@pytest.fixture
def watched(browser):
    """`with watched(bad) as opened`: opens pages; fails where one logs what is bad or asks a network for anything."""

    @contextlib.contextmanager
    def watch(bad=("error",)):
        wrong, pages = [], []

        def opened(address, width=1280, height=900, **more):
            page = browser.new_context(viewport={"width": width, "height": height}, **more).new_page()
            page.on("console", lambda said: wrong.append(said.text) if said.type in bad else None)
            page.on("pageerror", lambda error: wrong.append(str(error)))
            page.on(
                "request", lambda asked: wrong.append(asked.url) if asked.url.startswith("http") else None
            )
            page.goto(address)
            pages.append(page)
            return page

        yield opened
        for page in pages:
            page.context.close()
        assert wrong == []

    return watch
