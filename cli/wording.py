"""Times as the command writes them."""


def eta(seconds: float | None) -> str:
    """What is left of a stage: `eta 12s`, `eta 2m05s`, `eta 1h02m`; nothing where that is not known, or nothing is."""
    if seconds is None or seconds < 1:
        return ""
    minutes, rest = divmod(round(seconds), 60)
    if not minutes:
        return f"eta {rest}s"
    hours, minutes = divmod(minutes, 60)
    return f"eta {hours}h{minutes:02}m" if hours else f"eta {minutes}m{rest:02}s"
