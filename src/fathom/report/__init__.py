"""Figures and the report of a run."""

from .html import write_report as write_report
