"""Drawings of a graph: for a paper, for a browser, for a terminal."""

from .drawing import Drawing as Drawing
