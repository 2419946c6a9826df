"""Describes the machine of a measurement, without host names and paths."""

import os
import platform
from importlib.metadata import version
from pathlib import Path

import torch

GIB = 1 << 30
PACKAGES = ("torch", "transformers", "numpy", "safetensors")


def machine(device: torch.device) -> dict[str, object]:
    """CPU, threads, memory, GPU, versions, and the load of the machine before the measurement."""
    return {
        "cpu": _cpu(),
        "cores": os.cpu_count(),
        "threads": torch.get_num_threads(),
        "memory_gib": round(os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / GIB, 1),
        "gpu": _gpu(device),
        "load_before": round(os.getloadavg()[0], 2),
        "system": f"{platform.system()} {platform.machine()}",
        "versions": {"python": platform.python_version(), **{name: version(name) for name in PACKAGES}},
    }


def described(facts: dict[str, object]) -> str:
    """The facts of `machine` as a sentence."""
    versions = facts["versions"]
    assert isinstance(versions, dict)
    return (
        f"{facts['cpu']}, {facts['threads']} threads on {facts['cores']} cores, {facts['memory_gib']} GiB, "
        f"{facts['gpu'] or 'no GPU'}, load {facts['load_before']} before; "
        + ", ".join(f"{name} {number}" for name, number in versions.items())
    )


def _cpu() -> str:
    # platform.processor() is empty on most Linux systems.
    info = Path("/proc/cpuinfo")
    lines = info.read_text().splitlines() if info.exists() else []
    named = {key.strip(): value.strip() for key, _, value in (line.partition(":") for line in lines)}
    if name := named.get("model name"):
        return f"{name} (family {named.get('cpu family')}, model {named.get('model')})"
    return platform.processor() or platform.machine()


def _gpu(device: torch.device) -> str | None:
    if device.type != "cuda":
        return None
    properties = torch.cuda.get_device_properties(device)
    return f"{properties.name}, {properties.total_memory / GIB:.0f} GiB"
