"""The same job in other forms: a request with curl, Python, YAML, and the command line."""

import json
import shlex
from collections.abc import Mapping, Sequence
from typing import Any, Literal

import yaml

from prunescope.jobs.documents import JobKind
from prunescope.jobs.specs import (
    Allocation,
    AttributeSpec,
    CorpusSpec,
    EvaluateSpec,
    ExplainSpec,
    Method,
    PruneSpec,
    Spec,
    Unstructured,
)
from prunescope.server import urls
from prunescope.server.site.documents import Document

Options = list[tuple[str, ...]]
"""Options of a command with their values: `[("--samples", "32"), ("--sinks",)]`."""

FILE = "job.yaml"
TEXTS = "texts.jsonl"


_ALONE = "without a server. Folders are named by their path; pruned:<id> is found in PRUNESCOPE_HOME."


Form = Literal["curl", "python", "yaml", "command", "local"]
LABELS: dict[Form, str] = {
    "curl": "curl",
    "python": "Python",
    "yaml": "YAML",
    "command": "command line",
    "local": "Python without a server",
}


class Command(Document):
    """A job in one form. ``text`` can be pasted as it is; ``note`` says where it runs."""

    form: Form
    label: str
    text: str
    note: str


def commands_of(spec: Spec, request: Mapping[str, Any], server: str) -> list[Command]:
    """A job in every form. ``request`` is the body that submits it (kind, spec and perhaps force), ``spec`` its spec,
    checked; ``server`` is the address of this server. A form that the kind of job does not have is left out."""
    kind, server = JobKind(request["kind"]), server.rstrip("/")
    force = bool(request.get("force"))
    submitted = _submitted(server, force)
    yaml_note = f"Save it as {FILE}; {submitted} submits it."
    forms = [
        _command("curl", _curl(request, server), "Sends the request to this server."),
        _command("python", _python(kind, request["spec"], server, force), "Runs it on this server and waits for it."),
        _command("yaml", _yaml({"kind": str(kind), "spec": request["spec"]}), yaml_note),
    ]
    if (direct := _direct(spec)) is None:
        forms.append(_command("command", submitted, f"{FILE} is the YAML. {_WITHOUT[kind]}"))
    else:
        forms.append(_command("command", direct, f"Runs in the shell, {_ALONE}"))
    if (call := _call(spec)) is not None:
        forms.append(_command("local", call, f"Runs in the Python process, {_ALONE}"))
    return forms


def _command(form: Form, text: str, note: str) -> Command:
    return Command(form=form, label=LABELS[form], text=text, note=note)


_WITHOUT = dict.fromkeys(JobKind, "This spec has no command that runs without a server.") | {
    JobKind.STUDY: "Studies run on a server only.",
    JobKind.ATTRIBUTE: "The command without a server takes own texts only.",
}


def _curl(request: Mapping[str, Any], server: str) -> str:
    body = shlex.quote(json.dumps(request, indent=2))
    address = shlex.quote(f"{server}{urls.api(urls.jobs())}")
    return f"curl {address} \\\n  --header 'content-type: application/json' \\\n  --data {body}"


def _submitted(server: str, force: bool) -> str:
    return f"prunescope submit {FILE} --server {shlex.quote(server)}{' --force' if force else ''} --wait"


def _yaml(document: Mapping[str, Any]) -> str:
    return yaml.safe_dump(document, sort_keys=False, allow_unicode=True, width=100).rstrip()


def _python(kind: JobKind, spec: Mapping[str, Any], server: str, force: bool) -> str:
    forced = ", force=True" if force else ""
    return (
        f"import prunescope\n\nclient = prunescope.connect({_literal(server)})\n"
        f"spec = {_literal(spec)}\njob = client.submit({_literal(str(kind))}, spec{forced}).wait()\nprint(job.result())"
    )


def _literal(value: Any, indent: int = 0) -> str:
    """A value as a Python literal; dictionaries and lists of dictionaries have a line for each item."""
    inner, outer = " " * (indent + 4), " " * indent
    if isinstance(value, Mapping) and value:
        rows = "".join(f"{inner}{_literal(key)}: {_literal(each, indent + 4)},\n" for key, each in value.items())
        return f"{{\n{rows}{outer}}}"
    if isinstance(value, list | tuple):
        if not any(isinstance(each, Mapping) for each in value):
            return f"[{', '.join(map(_literal, value))}]"
        return "[\n" + "".join(f"{inner}{_literal(each, indent + 4)},\n" for each in value) + f"{outer}]"
    # JSON's quotes, which are also Python's; characters that are not ASCII are escaped in the same way in both.
    return json.dumps(value) if isinstance(value, str) and value.isascii() else repr(value)


def _changed(spec: Spec) -> dict[str, Any]:
    """The fields of a spec that differ from their defaults, as JSON values."""
    return spec.model_dump(mode="json", exclude_defaults=True)


def _call(spec: Spec) -> str | None:
    """The call of the Python API that does the same in its own process; None for a study."""
    changed = _changed(spec)
    match spec:
        case PruneSpec():
            name, value = _amount(spec)
            given: dict[str, Any] = {"model": spec.model, "method": _named(spec.method), name: value}
            given |= {"allocation": _named(spec.allocation)} if "allocation" in changed else {}
            given |= {"calibration": changed["calibration"]} if "calibration" in changed else {}
            return _written("prune", {**given, "output": "pruned"})
        case EvaluateSpec():
            return _written("evaluate", changed)
        case AttributeSpec():
            # Prompt and words have defaults that depend on the texts.
            chosen = {"prompt": spec.prompt, "words": spec.words.model_dump(mode="json")}
            return _written("attribute", {**changed, **chosen, "output": "attribution.zarr"})
        case ExplainSpec():
            return _written("explain", {**changed, "rows": spec.rows, "output": "explanation"})
        case CorpusSpec():
            return _written("corpus", {**changed, "output": "corpus"})
        case _:
            return None


def _written(function: str, arguments: Mapping[str, Any]) -> str:
    rows = "".join(f"    {name}={_literal(value, 4)},\n" for name, value in arguments.items())
    return f"import prunescope\n\nresult = prunescope.{function}(\n{rows})\nprint(result)"


def _named(part: Method | Allocation) -> Any:
    """The name of a method or an allocation, with the options that differ from their defaults."""
    options = part.model_dump(mode="json", exclude={"name"}, exclude_defaults=True)
    return {"name": part.name, **options} if options else part.name


def _amount(spec: PruneSpec) -> tuple[str, Any]:
    pattern = spec.pattern
    return ("sparsity", pattern.sparsity) if isinstance(pattern, Unstructured) else ("pattern", str(pattern))


def _direct(spec: Spec) -> str | None:
    """The command that does the same without a server; None if no options express the spec."""
    match spec:
        case PruneSpec():
            return _prune(spec)
        case EvaluateSpec():
            return _evaluate(spec)
        case AttributeSpec():
            return _attribute(spec)
        case ExplainSpec():
            return _explain(spec)
        case CorpusSpec():
            return _corpus(spec)
        case _:
            return None


def _line(command: str, options: Options) -> str:
    parts = [" ".join(map(shlex.quote, option)) for option in options]
    return " \\\n  ".join([f"prunescope {command}", *parts])


def _prune(spec: PruneSpec) -> str:
    name, value = _amount(spec)
    options: Options = [("--method", spec.method.name), (f"--{name}", str(value))]
    options += _key_values("--option", spec.method.model_dump(mode="json", exclude_defaults=True))
    if spec.allocation.name != "uniform":
        options.append(("--allocation", spec.allocation.name))
        options += _key_values("--allocation-option", spec.allocation.model_dump(mode="json", exclude_defaults=True))
    if spec.calibration is not None:
        given = spec.calibration
        options.append(("--calibration", given.dataset or given.file or ""))
        named = {"calibration-mode": given.mode, "samples": given.samples, "seqlen": given.seqlen}
        options += _given({**named, "bos": given.bos, "seed": given.seed})
    return _line(f"prune {shlex.quote(spec.model)}", [*options, ("--output", "pruned")])


def _evaluate(spec: EvaluateSpec) -> str:
    options: Options = []
    if spec.tasks:
        options.append(("--tasks", ",".join(spec.tasks)))
    options += _given({"limit": spec.limit, "newline": spec.newline, "seed": spec.seed})
    if spec.perplexity is not None:
        texts = spec.perplexity
        options.append(("--perplexity", ",".join(texts.datasets)))
        options += _given({"seqlen": texts.seqlen, "windows": texts.windows, "bos": texts.bos})
    return _line(f"evaluate {shlex.quote(spec.model)}", options)


def _attribute(spec: AttributeSpec) -> str | None:
    if not isinstance(spec.texts, tuple):
        return None
    rows = [json.dumps(each.model_dump(mode="json", exclude_none=True)) for each in spec.texts]
    options: Options = [("--dense", spec.dense), *(("--pruned", name) for name in spec.pruned)]
    options += [("--texts", TEXTS), ("--prompt", spec.prompt), ("--words", spec.words.source)]
    options += [("--content-words",)] if spec.words.content else []
    options += _given({"activation": spec.activation, "layers": _numbers(spec.layers), "placebo": spec.placebo})
    options += _given({"permutations": spec.permutations, "floor": spec.floor})
    options += _flags(special_tokens=spec.special_tokens, sinks=spec.sinks)
    if spec.causal is not None:
        causal = spec.causal
        limit = 0 if causal.limit is None else causal.limit
        options += [("--causal", causal.task), ("--causal-limit", str(limit)), ("--causal-draws", str(causal.draws))]
        options += _given({"causal-neurons": causal.neurons, "causal-layers": _numbers(causal.layers)})
    options += [("--seed", str(spec.seed)), ("--output", "attribution.zarr")]
    texts = "\n".join(rows)
    return f"cat > {TEXTS} <<'END'\n{texts}\nEND\n{_line('attribute', options)}"


def _explain(spec: ExplainSpec) -> str | None:
    options: Options = [("--dense", spec.dense), ("--pruned", spec.pruned)]
    if spec.perplexity is not None:
        if spec.perplexity.bos != "auto":  # the command has no option for it
            return None
        options += [("--perplexity", spec.perplexity.dataset), *_given({"seqlen": spec.perplexity.seqlen})]
    options += _given({"task": spec.task, "limit": spec.limit, "rows": spec.rows, "neurons": _numbers(spec.neurons)})
    options += [] if spec.heads else [("--no-heads",)]
    options += _flags(sinks=spec.sinks, content=spec.content)
    options += _given({"steps": spec.steps, "draws": spec.draws, "seed": spec.seed})
    return _line("explain", [*options, ("--output", "explanation")])


def _corpus(spec: CorpusSpec) -> str:
    options: Options = [("--model", name) for name in spec.models]
    options += _given({"dataset": spec.dataset, "tokens": spec.tokens, "seqlen": spec.seqlen})
    options += _given({"examples": spec.examples, "layers": _numbers(spec.layers)})
    options += [] if spec.writes else [("--no-writes",)]
    options += [*_flags(sinks=spec.sinks), ("--seed", str(spec.seed)), ("--output", "corpus")]
    return _line("corpus", options)


def _given(values: Mapping[str, Any]) -> Options:
    """The options of the values that are not None."""
    return [(f"--{name}", str(value)) for name, value in values.items() if value is not None]


def _flags(**flags: bool) -> Options:
    return [(f"--{name.replace('_', '-')}",) for name, is_set in flags.items() if is_set]


def _numbers(values: Sequence[int] | None) -> str | None:
    return None if values is None else ",".join(map(str, values))


def _key_values(option: str, values: Mapping[str, Any]) -> Options:
    """Options of a method or an allocation as key=value; the values are YAML, as the command reads them."""
    written = {key: yaml.safe_dump(value).partition("\n")[0] for key, value in values.items() if key != "name"}
    return [(option, f"{key}={value}") for key, value in written.items()]
