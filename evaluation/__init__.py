"""Accuracy of a language model on tasks, with its statistics."""

from evaluation.accuracy import ExampleResult, TaskResult, evaluate
from evaluation.catalogue import TASKS, Task

__all__ = ["TASKS", "ExampleResult", "Task", "TaskResult", "evaluate"]
