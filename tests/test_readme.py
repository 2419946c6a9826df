"""The README's picture and its examples: one job by command, over REST and from Python."""

import json
import re
import shlex
from pathlib import Path

from prunescope.jobs.specs import PruneSpec, parse_spec

ROOT = Path(__file__).parents[1]
README = (ROOT / "README.md").read_text(encoding="utf-8")
MAX_PICTURE_BYTES = 200_000


def test_its_picture_is_there_and_small() -> None:
    pictures = [ROOT / name for name in re.findall(r"!\[[^\]]+\]\(([^)]+)\)", README)]
    assert pictures == [ROOT / "docs" / "neuron.webp"]
    for picture in pictures:
        content = picture.read_bytes()
        assert content[:4] == b"RIFF" and content[8:12] == b"WEBP"
        assert 20_000 < len(content) < MAX_PICTURE_BYTES, "make picture takes it anew"


def test_command_rest_and_python_ask_for_the_same_job() -> None:
    table = README[README.index("<table>") : README.index("</table>")]
    command, request, script = re.findall(r"```(?:python)?\n(.*?)```", table, re.DOTALL)
    _, verb, model, *options = shlex.split(command.replace("\\\n", " "))
    given = dict(zip(options[::2], options[1::2], strict=True))
    body = json.loads(shlex.split(request.replace("\\\n", " "))[-1])
    asked = re.search(r'submit\("(\w+)", (\{.*?\})\)', script, re.DOTALL)
    assert asked is not None
    assert verb == body["kind"] == asked[1] == "prune"
    assert body["spec"] == json.loads(asked[2])
    assert body["spec"] == {"model": model, "method": given["--method"], "pattern": given["--pattern"]}
    assert isinstance(parse_spec("prune", body["spec"]), PruneSpec)
