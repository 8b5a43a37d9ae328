"""Figures and the report of a run."""

from .export import write_figures as write_figures
from .html import write_report as write_report
