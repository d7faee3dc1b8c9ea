"""Agent Forge: from nothing to one file that answers, on two CPU cores."""

__version__ = "0.1.0"
