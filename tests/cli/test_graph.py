"""`fathom graph`: how a function and its arguments are found, what is printed and written, what is refused."""

import json
import textwrap

import jax.numpy as jnp
import numpy as np
import pytest

from fathom.cli.target import find_target, read_spec
from fathom.errors import UsageError

from .documented import keys_of, lacking

MODULE = """
import jax.numpy as jnp

class Holder:
    @staticmethod
    def inner(x):
        return (x * 2).sum()

def loss(w, x):
    return jnp.tanh(x @ w).sum()

def loss_args():
    return jnp.ones((3, 2)), jnp.ones((4, 3))

named = {"w": jnp.ones((3, 2)), "x": jnp.zeros((1, 3))}

def root(x):
    return jnp.sqrt(x).sum()

def alone():
    return jnp.sin(jnp.arange(3.0)).sum()

def picky(x):
    return x @ jnp.ones((7, 7))

not_a_function = 3

def broken_args():
    raise ValueError("no file")

def broken(x):
    return x
"""


@pytest.fixture
def module(tmp_path, monkeypatch):
    name = f"net_{abs(hash(tmp_path)) % 10**9}"
    path = tmp_path / f"{name}.py"
    path.write_text(textwrap.dedent(MODULE))
    (tmp_path / f"{name}_falls.py").write_text("import nothing_of_that_name\n")
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr("sys.path", [*__import__("sys").path])
    return path


class TestTarget:
    def test_arguments_beside_the_function(self, module):
        target = find_target(f"{module}:loss", None, (), 0)
        assert [x.shape for x in target.args] == [(3, 2), (4, 3)] and target.said == "loss_args"

    def test_arguments_by_name_and_by_file(self, module):
        assert find_target(f"{module}:loss", "named", (), 0).kwargs["x"].shape == (1, 3)
        assert find_target(f"{module}:root", f"{module}:named", (), 0).kwargs.keys() == {"w", "x"}

    def test_arguments_by_shape_are_the_same_for_the_same_seed(self, module):
        one, two, other = (
            find_target(f"{module}:loss", None, ("f32[3,2]", "f32[4,3]"), seed).args for seed in (0, 0, 1)
        )
        assert np.array_equal(one[0], two[0]) and not np.array_equal(one[0], other[0])
        assert not np.array_equal(one[0].ravel(), one[1].ravel()[:6])

    def test_an_import_path_and_a_dotted_name(self, module):
        assert find_target("jax.nn:softmax", None, ("f32[4]",), 0).name == "softmax"
        assert find_target(f"{module.stem}:Holder.inner", None, ("f32[4]",), 0).fn(jnp.ones(2)) == 4

    def test_a_function_that_takes_nothing(self, module):
        assert find_target(f"{module}:alone", None, (), 0).args == ()

    @pytest.mark.parametrize(
        ("target", "args", "specs", "message"),
        [
            ("nowhere.py:loss", None, (), "there is no such file"),
            ("nowhere", None, (), "there is no such run; name a function as file.py:function"),
            ("no_such_package.x:f", None, (), "importing it failed: ModuleNotFoundError"),
            ("{falls}:f", None, (), "importing it failed: ModuleNotFoundError.*nothing_of_that_name"),
            ("{net}:los", None, (), "'los' is not known; .*did you mean 'loss'"),
            ("{net}:not_a_function", None, (), "not_a_function is int, which cannot be called"),
            ("{net}:root", None, (), r"no arguments are known for root\(x\); give --arg .* or write root_args"),
            ("{net}:loss", "nothing", (), "'nothing' is not known"),
            ("{net}:loss", "named", ("f32[2]",), "arguments come from one of them"),
            ("{net}:loss", None, ("f99[2]",), r"arg='f99\[2\]' is not understood; write f32"),
            ("{net}:broken", None, (), "args='broken_args': it failed: ValueError: no file"),
        ],
    )  # fmt: skip
    def test_misuse(self, module, target, args, specs, message):
        written = target.format(net=module, falls=module.with_name(f"{module.stem}_falls.py"))
        with pytest.raises(UsageError, match=message):
            find_target(written, args, specs, 0)


@pytest.mark.parametrize(
    ("spec", "dtype", "shape"),
    [
        ("f32[8,3]", "float32", (8, 3)),
        ("bf16[]", "bfloat16", ()),
        ("i32[9]<4", "int32", (9,)),
        ("bool[5]", "bool", (5,)),
    ],
)
def test_a_spec_is_an_array(spec, dtype, shape):
    found = read_spec(spec, 3)
    assert (str(found.dtype), found.shape) == (dtype, shape)
    if dtype == "int32":
        assert found.min() >= 0 and 1 < found.max() < 4


def test_a_spec_may_be_a_number_or_a_key():
    assert (
        read_spec("7", 0) == 7
        and read_spec("-0.5", 0) == -0.5
        and str(read_spec("key", 0).dtype) == "key<fry>"
    )


class TestCommand:
    def test_the_tree(self, fathom, module):
        ended = fathom("graph", f"{module}:loss")
        assert (ended.code, ended.err) == (0, "")
        assert "loss: 3 operations" in ended.out and "tanh" in ended.out and "\x1b" not in ended.out
        assert max(map(len, ended.out.splitlines())) <= 100

    def test_json_has_the_documented_keys(self, fathom, module):
        ended = fathom("graph", f"{module}:loss", "--json")
        printed = json.loads(ended.out)
        assert lacking(printed, keys_of("graph")) == []
        product = printed["graph"]["nodes"][0]
        assert product["primitive"] == "dot_general" and product["operations"] == 4 * 2 * 2 * 3
        assert product["value"]["mean"] == 3 and product["gradient"]["norm"] > 0

    def test_files(self, fathom, module, tmp_path):
        files = [tmp_path / f"a.{kind}" for kind in ("svg", "html", "txt")]
        ended = fathom("graph", f"{module}:loss", *(part for path in files for part in ("--out", str(path))))
        assert ended.code == 0 and all(f"Drawing written to {path}" in ended.out for path in files)
        assert files[0].read_text().startswith("<svg") and files[1].read_text().startswith("<!doctype html>")

    def test_the_first_nan(self, fathom, module):
        ended = fathom("graph", f"{module}:root", "--arg", "f32[6]", "--find-nonfinite")
        assert ended.code == 0 and ended.out.startswith("Forward, sqrt [6] at ") and "✕ sqrt" in ended.out
        ended = fathom("graph", f"{module}:loss", "--find-nonfinite")
        assert ended.out == "Every result is finite.\n"

    @pytest.mark.parametrize(
        ("tokens", "message"),
        [
            (["{net}:picky", "--arg", "f32[3]"], "calling picky failed: TypeError: .*arguments were random, seed 0"),
            (["{net}:loss", "--out", "a.gif"], "a drawing is written as one of .svg, .png, .html, .txt"),
            (["{net}:loss", "--fold", "modules"], "did you mean 'module'"),
            (["{net}:picky", "--arg", "f32[7]", "--backward"], "a backward pass starts from a loss"),
        ],
    )  # fmt: skip
    def test_misuse_is_one_sentence(self, fathom, module, tokens, message):
        import re

        ended = fathom("graph", *(token.format(net=module) for token in tokens))
        assert ended.code == 2 and ended.out == "" and ended.err.count("\n") == 1
        assert re.search(message, ended.err)
