"""Bytes against quality: the last phase at several sizes, each with its control (a DVC project of its own)."""
