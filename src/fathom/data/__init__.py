"""The ground floor: open any source of data, infer its schema, split it, turn it into network inputs."""

from .dataset import Dataset as Dataset
from .dataset import Table as Table
from .encode import Encoder as Encoder
from .encode import shares_unit as shares_unit
from .load import NewData as NewData
from .load import load as load
from .load import read_new as read_new
from .load import read_table as read_table
from .read.columns import MISSING_MARKERS as MISSING_MARKERS
from .read.sources import SOURCES as SOURCES
from .read.sources import Source as Source
from .scaling import SCALINGS as SCALINGS
from .schema import Column as Column
from .schema import Schema as Schema
from .split.split import Split as Split
from .split.split import make_split as make_split
