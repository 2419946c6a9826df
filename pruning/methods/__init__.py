"""The pruning methods."""

from prunescope.pruning.methods.registry import METHODS, build

__all__ = ["METHODS", "build"]
