"""Native code: built once, found again, done without."""

import os
import shutil
import stat
import subprocess
import sys

import pytest

from fathom import native

COMPILER = next(filter(None, map(shutil.which, ("c++", "g++", "clang++"))), None)
needs_compiler = pytest.mark.skipif(COMPILER is None, reason="needs a C++ compiler")
ASK = "from fathom import native; print(native.ready(native.PERCEPTRON))"


def asked(folder, code=ASK, **variables):
    """What a process of its own says."""
    environment = {**os.environ, native.FOLDER: str(folder), **variables}
    done = subprocess.run([sys.executable, "-c", code], env=environment, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    return done.stdout.strip()


@needs_compiler
def test_two_processes_that_build_at_once_leave_one_library(tmp_path):
    environment = {**os.environ, native.FOLDER: str(tmp_path)}
    both = [
        subprocess.Popen([sys.executable, "-c", ASK], env=environment, stdout=subprocess.PIPE, text=True)
        for _ in range(2)
    ]
    assert [process.communicate()[0].strip() for process in both] == ["True", "True"]
    (library,) = tmp_path.iterdir()
    before = library.stat().st_mtime_ns
    assert asked(tmp_path, CXX="/bin/false") == "True"  # found, not built
    assert library.stat().st_mtime_ns == before


@pytest.mark.parametrize("compiler", ["/bin/false", "/no/such/compiler"])
def test_a_compiler_that_fails_leaves_nothing_behind(tmp_path, compiler):
    assert asked(tmp_path / "native", CXX=compiler) == "False"
    assert not (tmp_path / "native").exists() or not list((tmp_path / "native").iterdir())


def test_left_out_where_the_folder_is_empty_or_cannot_be_written():
    assert asked("") == "False"
    assert asked("/proc/no-such-folder") == "False"


@needs_compiler
def test_each_library_is_built_when_it_is_asked_for(tmp_path):
    code = "from fathom import native; print(native.ready(native.CONVOLUTION))"
    assert asked(tmp_path, code) == "True"
    assert [path.name.split("-")[0] for path in tmp_path.iterdir()] == ["convolution"]


@needs_compiler
def test_a_convolution_before_configure_does_not_keep_it_from_being_built(tmp_path):
    code = (
        "import os; folder = os.environ.pop('FATHOM_NATIVE');"
        "import jax; from fathom import native, nn; nn.Conv2d(1, 1, 1, jax.random.key(0));"
        "os.environ['FATHOM_NATIVE'] = folder; print(native.ready(native.CONVOLUTION))"
    )
    assert asked(tmp_path, code) == "True"


def test_where_it_cannot_be_built_the_compiler_is_asked_once(tmp_path):
    compiler, calls = tmp_path / "failing", tmp_path / "calls"
    compiler.write_text(f"#!/bin/sh\necho called >> {calls}\nexit 1\n")
    compiler.chmod(compiler.stat().st_mode | stat.S_IXUSR)
    code = (
        "import jax; from fathom import native, nn;"
        "[nn.Conv2d(1, 1, 1, jax.random.key(0)) for _ in range(3)]; print(native.ready(native.CONVOLUTION))"
    )
    assert asked(tmp_path / "native", code, CXX=str(compiler)) == "False"
    assert calls.read_text() == "called\n"


@needs_compiler
def test_a_library_that_was_cut_short_is_built_again(tmp_path):
    assert asked(tmp_path) == "True"
    (library,) = tmp_path.iterdir()
    whole = library.read_bytes()
    library.write_bytes(whole[:1000])
    assert asked(tmp_path, CXX="/bin/false") == "False"
    assert asked(tmp_path) == "True"
    assert library.read_bytes() == whole


def test_a_slow_compiler_is_given_up(tmp_path):
    compiler = tmp_path / "slow"
    compiler.write_text("#!/bin/sh\nexec sleep 60\n")
    compiler.chmod(compiler.stat().st_mode | stat.S_IXUSR)
    code = "from fathom import native; native._PATIENCE = 0.2; print(native.ready(native.PERCEPTRON))"
    assert asked(tmp_path / "native", code, CXX=str(compiler)) == "False"


def test_only_a_configured_process_uses_it():
    code = (
        "import os, fathom as fm; from fathom import native; os.environ.pop(native.FOLDER);"
        "print(native.ready(native.PERCEPTRON)); native.ready.cache_clear(); fm.configure();"
        "print(bool(os.environ[native.FOLDER]))"
    )
    assert asked("", code) == "False\nTrue"
