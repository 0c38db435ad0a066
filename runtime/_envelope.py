"""pykka's envelope: the one private part of pykka that is used, and only here."""

from pykka._envelope import Envelope

__all__ = ["Envelope"]
