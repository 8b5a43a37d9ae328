"""The catalogue itself. Oracle: a plain dictionary."""

import dataclasses

import pytest

from fathom.catalogue import Catalogue
from fathom.errors import UsageError


@dataclasses.dataclass(frozen=True)
class Shade:
    name: str
    depth: int = 0


@pytest.fixture
def shades():
    catalogue = Catalogue("shade")
    for name in ("teal", "rust", "ash"):
        catalogue.add(Shade(name))
    return catalogue


def test_records_keep_their_order(shades):
    assert shades.names() == ["teal", "rust", "ash"] == [record.name for record in shades]
    assert len(shades) == 3
    assert "rust" in shades and "plum" not in shades and 3 not in shades


def test_add_gives_the_record_back(shades):
    plum = Shade("plum", 4)
    assert shades.add(plum) is plum is shades["plum"]


def test_a_name_is_used_once(shades):
    with pytest.raises(ValueError, match="shade name='ash' is in the catalogue already; choose another name"):
        shades.add(Shade("ash", 9))
    assert shades["ash"].depth == 0


@pytest.mark.parametrize("name", ["rusty", "", "Teal "])
def test_an_unknown_name_lists_the_names(shades, name):
    with pytest.raises(UsageError, match="is not known; use one of: teal, rust, ash") as error:
        shades[name]
    assert ("did you mean 'rust'?" in str(error.value)) == (name == "rusty")


def test_an_empty_catalogue():
    empty = Catalogue("shade")
    assert list(empty) == [] and len(empty) == 0
    with pytest.raises(UsageError, match="shade='ash' is not known"):
        empty["ash"]
