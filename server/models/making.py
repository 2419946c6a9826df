"""How a model was made: settings and versions that the result depends on, and seconds of each stage."""

from collections.abc import Mapping
from dataclasses import dataclass

from prunescope.server.models.documents import CalibrationDocument, ModelDocument
from prunescope.server.site import formats

STAGES = {
    "load": "loading",
    "calibration": "calibration text",
    "allocation": "allocation",
    "statistics": "statistics",
    "decide": "deciding",
    "forward": "forward passes",
    "save": "saving",
}
"""What a page calls the stages, in their order."""
OTHER = "other"
MIN_OTHER = 0.01
"""Time that no stage counted is shown from this share on."""


@dataclass(frozen=True)
class About:
    """One line of the settings; ``code`` is shown in a fixed-width font."""

    name: str
    value: str
    href: str | None = None
    code: bool = False


def stage_seconds(document: ModelDocument) -> dict[str, float]:
    """Stage -> seconds, in the order of the stages, and the time that no stage accounts for."""
    order = [*STAGES, *(name for name in document.stages if name not in STAGES)]
    seconds = {STAGES.get(name, name): document.stages[name] for name in order if document.stages.get(name)}
    total = document.seconds or 0.0
    rest = total - sum(seconds.values())
    return {**seconds, OTHER: rest} if seconds and rest > MIN_OTHER * total else seconds


def about_lines(document: ModelDocument) -> tuple[About, ...]:
    """The settings that the result depends on, as far as the report has them."""
    base = document.base
    lines = [
        About("made from", base.label, base.href) if base else About("made from", document.made_from or ""),
        About("method", document.method or ""),
        *(About(name.replace("_", " "), _plain(value)) for name, value in document.options.items()),
        About("pattern", document.pattern or ""),
        About("allocation", _allocation(document.allocation)),
        *_windows(document.windows, document.calibration),
        About("device", document.device or ""),
        About("computed in", document.dtype or ""),
        About("saved as", document.saved_dtype or ""),
        About("batch", f"at most {formats.plural(document.batch, 'window')}" if document.batch else ""),
    ]
    return tuple(line for line in lines if line.value)


def _windows(windows: CalibrationDocument | None, name: str | None) -> tuple[About, ...]:
    if windows is None:
        return (About("calibration", name or ""),)
    text = " · ".join(part for part in (windows.source or name, windows.mode) if part)
    full = (windows.samples or 0) * (windows.seqlen or 0)
    padded = windows.tokens if windows.tokens != full else None
    shape = f"{formats.count(windows.samples)} {formats.TIMES} {formats.count(windows.seqlen)} tokens"
    shape += ", each with BOS" if windows.bos else ""
    return (
        About("calibration", text),
        About("windows", shape if windows.samples and windows.seqlen else ""),
        About("without padding", formats.plural(padded, "token") if padded else ""),
        About("seed", "" if windows.seed is None else f"{windows.seed}"),
        About("sha256", windows.sha256 or "", code=True),
    )


def _allocation(allocation: Mapping[str, object] | None) -> str:
    if allocation is None:
        return ""
    rest = ", ".join(f"{name} {_plain(value)}" for name, value in allocation.items() if name != "name")
    return " · ".join(part for part in (_plain(allocation.get("name")), rest) if part)


def _plain(value: object) -> str:
    """An option's value as a user types it."""
    if isinstance(value, bool):
        return "yes" if value else "no"
    return f"{value:g}" if isinstance(value, float) else formats.NOTHING if value is None else str(value)
