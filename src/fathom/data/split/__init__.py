"""Dividing rows: into training, validation and test rows, whatever must stay together."""

from .duplicates import digests as digests
from .duplicates import twins as twins
from .split import Split as Split
from .split import make_split as make_split
