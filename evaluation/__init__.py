"""Measures the accuracy of a language model on tasks, with statistics."""

from prunescope.evaluation.accuracy import ExampleResult, TaskResult, evaluate
from prunescope.evaluation.catalogue import TASKS, Task

__all__ = ["TASKS", "ExampleResult", "Task", "TaskResult", "evaluate"]
