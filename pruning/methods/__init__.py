"""The pruning methods, by name."""

from prunescope.pruning.methods.registry import METHODS, build

__all__ = ["METHODS", "build"]
