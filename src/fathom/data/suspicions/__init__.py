"""Suspicions: what about a dataset is worth a look before it is trained on, one kind of thing a file."""

from .find import CHECKS as CHECKS
from .find import Check as Check
from .find import find_suspicions as find_suspicions
from .suspicion import Suspicion as Suspicion
