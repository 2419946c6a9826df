"""The pruning methods."""

from pruning.methods.registry import METHODS, build

__all__ = ["METHODS", "build"]
