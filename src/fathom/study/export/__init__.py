"""A trained model as a folder that is of use without Fathom: a frozen function and what encodes its inputs."""

from .folder import FILES as FILES
from .folder import export_model as export_model
from .frozen import Frozen as Frozen
from .frozen import freeze as freeze
