"""Event bus daemon for a trading platform, and the kit to write its agents."""

from ._version import __version__

__all__ = ["__version__"]
