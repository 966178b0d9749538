"""Audobon: AI work on comic pages, on your own machine first."""

__version__ = "0.1.0"
