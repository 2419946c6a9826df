"""The options that several commands share."""

from pathlib import Path
from typing import Annotated, Any

import typer

from prunescope.jobs.paths import BadPath, expanded


def _path(text: str) -> Path:
    """The path that an argument names, with `~` expanded. Raises BadParameter for an invalid path."""
    try:
        return expanded(text)
    except BadPath as error:
        raise typer.BadParameter(str(error)) from None


PATH: dict[str, Any] = {"parser": _path, "metavar": "<path>"}

Home = Annotated[Path | None, typer.Option(help="Data folder (PRUNESCOPE_HOME).  [default: ./.prunescope]", **PATH)]
Host = Annotated[str | None, typer.Option(help="Address to listen on.  [default: 127.0.0.1]")]
Port = Annotated[int | None, typer.Option(min=0, max=65535, help="Port to listen on.  [default: 8000]")]
Data = Annotated[Path | None, typer.Option(help="Folder with eval/ and calibration/, searched before the hub.", **PATH)]
Device = Annotated[str | None, typer.Option(help="auto, cpu, cuda or cuda:1.")]
Dtype = Annotated[str | None, typer.Option(help="Number type of the computation: auto, float32, float16 or bfloat16.")]
Seed = Annotated[int, typer.Option(min=0, help="Seed of every random choice.")]
