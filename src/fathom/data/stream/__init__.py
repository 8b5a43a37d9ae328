"""Data larger than memory: read a stretch of rows at a time, shuffled once on disk, read back in windows."""

from .batches import new_batches as new_batches
from .load import RESIDENT as RESIDENT
from .load import StreamedDataset as StreamedDataset
from .load import draw as draw
from .load import fits_memory as fits_memory
from .load import load_stream as load_stream
from .shuffle import Shuffled as Shuffled
from .shuffle import Shuffling as Shuffling
from .source import STRETCH as STRETCH
from .source import TableSource as TableSource
from .source import scratch_folder as scratch_folder
