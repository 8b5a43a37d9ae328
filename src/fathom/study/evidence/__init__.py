"""The evidence of a run: what its predictions were, row by row, and what follows from them."""

from .record import FOLDER as FOLDER
from .record import Evidence as Evidence
from .record import Rows as Rows
