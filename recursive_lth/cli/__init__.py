"""The command line: one file a command."""

from recursive_lth.cli.entry import main

__all__ = ["main"]
