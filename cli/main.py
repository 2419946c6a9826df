"""The command `prunescope`. Each subcommand imports its modules when it runs, so that `--help` and `up` do not import
torch."""

import contextlib
import io
import os
import sys
import traceback
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated, Any

import typer
from typer.core import TyperGroup

from prunescope.cli.errors import DONE, FAILED, debugging, ending, one_line
from prunescope.cli.explain import explain
from prunescope.cli.parameters import PATH, Data, Device, Dtype, Home, Host, Port, Seed
from prunescope.errors import Refusal
from prunescope.jobs.bounds import DEFAULT_PLACEBO

INTERRUPTED = 130
"""typer's exit code for Ctrl-C."""

STOPPED = "stopped; nothing was written"


class Group(TyperGroup):
    """The command group. It converts an exception to an exit code and one line on stderr."""

    def main(
        self,
        args: Sequence[str] | None = None,
        prog_name: str | None = None,
        complete_var: str | None = None,
        standalone_mode: bool = True,
        windows_expand_args: bool = True,
        **extra: Any,
    ) -> Any:
        """Run a subcommand and exit (see `cli/errors.py` for the exit codes). With `standalone_mode` False, return the
        subcommand's result and let exceptions pass, as in typer."""
        _repair_streams()
        try:
            _check_arguments(sys.argv[1:] if args is None else args)
            code = super().main(args, prog_name, complete_var, False, windows_expand_args, **extra)
            sys.stdout.flush()
        except Exception as error:
            if not standalone_mode:
                raise
            if debugging():
                traceback.print_exception(error)
            code, text = _ending(error)
            print(f"prunescope: {text}", file=sys.stderr)
        if not standalone_mode:
            return code
        if code == INTERRUPTED:
            print(f"prunescope: {STOPPED}", file=sys.stderr)
            code = FAILED
        _discard_unwritten()
        sys.exit(code if isinstance(code, int) else DONE)


def _check_arguments(arguments: Sequence[str]) -> None:
    """Raise Refusal for an argument that is not UTF-8 or has a null byte, because it can be neither stored nor
    printed."""
    for argument in arguments:
        try:
            argument.encode()
        except UnicodeEncodeError:
            raise Refusal(f"the argument {argument!r} is not UTF-8") from None
        if "\0" in argument:
            raise Refusal(f"the argument {argument!r} contains a null byte")


def _ending(error: Exception) -> tuple[int, str]:
    match error:
        case typer.TyperException():
            return error.exit_code, one_line(error.format_message())
        case typer.Abort():  # typer converts EOFError, which a truncated file raises, to Abort
            return ending(error.__cause__) if error.__cause__ else (FAILED, STOPPED)
        case _:
            return ending(error)


def _repair_streams() -> None:
    """Make stdout and stderr accept any text: characters that the terminal cannot show are escaped, and a closed stream
    is replaced by the null device."""
    for name in ("stdout", "stderr"):
        stream = getattr(sys, name)
        if stream is None:
            setattr(sys, name, Path(os.devnull).open("w", encoding="utf-8"))  # noqa: SIM115 - open until the process ends
        elif isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="backslashreplace")


def _discard_unwritten() -> None:
    """Discard output that cannot be written (a closed pipe, a full disk), because Python would try again at exit and
    print another error."""
    try:
        sys.stdout.flush()
    except OSError:
        with contextlib.suppress(OSError, ValueError):
            os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


app = typer.Typer(
    name="prunescope",
    cls=Group,
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
    help="See what pruning took out of a language model: prune it, measure it, and find the neurons behind the loss.",
)


@app.command()
def up(
    port: Port = None,
    host: Host = None,
    home: Home = None,
    demo: Annotated[
        bool, typer.Option("--demo/--no-demo", help="Start the demo study when there is no job yet.")
    ] = True,
) -> None:
    """Start everything on this machine: a private Redis, one worker and the web server. Ctrl-C ends it."""
    from prunescope.cli.up import run
    from prunescope.settings import read_settings

    run(read_settings(port=port, host=host, home=home), demo=demo)


@app.command()
def server(port: Port = None, host: Host = None, home: Home = None) -> None:
    """Start only the web server."""
    from prunescope.cli.up import serve
    from prunescope.settings import read_settings

    serve(read_settings(port=port, host=host, home=home))


@app.command()
def worker(home: Home = None, device: Device = None, dtype: Dtype = None) -> None:
    """Start only one worker, which runs jobs from the queue one at a time."""
    from prunescope.cli.doctor import check_services
    from prunescope.settings import read_settings
    from prunescope.worker.app import run

    settings = read_settings(home=home, device=device, dtype=dtype)
    check_services(settings)
    if code := run(settings):
        raise typer.Exit(code)


@app.command()
def prune(
    model: Annotated[str, typer.Argument(help="demo, a folder, or a hub id with an optional @revision.")],
    method: Annotated[str, typer.Option(help="magnitude, wanda, sparsegpt, ria, or a placebo: random or noise.")],
    output: Annotated[Path, typer.Option(help="Folder for the pruned model; must not exist yet, or be empty.", **PATH)],
    pattern: Annotated[
        str | None, typer.Option(help="n:m: of every m consecutive weights in a row, n are kept. Example: 2:4.")
    ] = None,
    sparsity: Annotated[float | None, typer.Option(help="Share of the weights that is removed, in [0, 1).")] = None,
    calibration: Annotated[
        str | None,
        typer.Option(
            help="c4, wikitext2, ptb, arc_challenge, arc_easy, boolq, rte, sst2, wnli, demo, "
            "or a .txt, .jsonl or .safetensors file."
        ),
    ] = None,
    calibration_mode: Annotated[
        str | None,
        typer.Option(
            help="concat fills a window with examples of the set, single puts one into each.  [default: concat]"
        ),
    ] = None,
    samples: Annotated[int | None, typer.Option(min=1, help="Calibration windows.  [default: 128]")] = None,
    seqlen: Annotated[
        int | None, typer.Option(min=1, help="Tokens of a window.  [default: the model's context, at most 2048]")
    ] = None,
    bos: Annotated[
        str,
        typer.Option(
            help="Whether every window begins with the tokenizer's BOS: auto (where the tokenizer puts one before a "
            "text), always or never (as published)."
        ),
    ] = "auto",
    seed: Seed = 0,
    option: Annotated[
        list[str] | None, typer.Option(help="An option of the method, key=value; may be repeated.")
    ] = None,
    allocation: Annotated[
        str, typer.Option(help="uniform: the same sparsity in every layer; owl: less in layers with more outliers.")
    ] = "uniform",
    allocation_option: Annotated[
        list[str] | None, typer.Option(help="An option of the allocation, key=value; may be repeated.")
    ] = None,
    data: Data = None,
    device: Device = None,
    dtype: Dtype = None,
) -> None:
    """Prune a model directly, without a server."""
    from prunescope.cli import stages
    from prunescope.settings import read_settings

    stages.prune(
        read_settings(data=data, device=device, dtype=dtype),
        output,
        model=model,
        method=method,
        options=option or [],
        allocation=allocation,
        allocation_options=allocation_option or [],
        pattern=pattern,
        sparsity=sparsity,
        calibration=calibration,
        mode=calibration_mode,
        samples=samples,
        seqlen=seqlen,
        bos=bos,
        seed=seed,
    )


@app.command()
def evaluate(
    model: Annotated[str, typer.Argument(help="demo, a folder, or a hub id with an optional @revision.")],
    tasks: Annotated[str, typer.Option(help="Names of tasks, separated by commas: sst2,yelp,reviews.")] = "",
    limit: Annotated[int | None, typer.Option(min=1, help="Rows of each task.  [default: all]")] = None,
    newline: Annotated[
        str, typer.Option(help="Line ends in the paper's own prompt: real, or literal (a backslash and an n).")
    ] = "real",
    seed: Seed = 0,
    perplexity: Annotated[
        str | None,
        typer.Option(
            help="Texts for perplexity, separated by commas: wikitext2, ptb, c4, demo, and .txt or .jsonl files."
        ),
    ] = None,
    seqlen: Annotated[
        int | None,
        typer.Option(min=2, help="Tokens of a window of text.  [default: the model's context, at most 2048]"),
    ] = None,
    windows: Annotated[
        int | None, typer.Option(min=1, help="Windows of each text.  [default: all, of c4 the first 256]")
    ] = None,
    bos: Annotated[
        str | None,
        typer.Option(
            help="Whether every window begins with the tokenizer's BOS: auto (where the tokenizer puts one before a "
            "text), always or never (as published).  [default: auto]"
        ),
    ] = None,
    json: Annotated[Path | None, typer.Option("--json", help="Also write the result to this file.", **PATH)] = None,
    data: Data = None,
    device: Device = None,
    dtype: Dtype = None,
) -> None:
    """Measure a model's accuracy on tasks and its perplexity on texts, without a server."""
    from prunescope.cli import stages
    from prunescope.settings import read_settings

    settings = read_settings(data=data, device=device, dtype=dtype)
    stages.evaluate(
        settings,
        model=model,
        tasks=tasks,
        limit=limit,
        newline=newline,
        seed=seed,
        perplexity=perplexity,
        seqlen=seqlen,
        windows=windows,
        bos=bos,
        file=json,
    )


@app.command()
def attribute(
    dense: Annotated[str, typer.Option(help="The unpruned model.")],
    pruned: Annotated[list[str], typer.Option(help="A pruned variant of it; may be repeated.")],
    texts: Annotated[Path, typer.Option(help='JSON lines: {"text": ..., "label"?: ..., "words"?: [...]}.', **PATH)],
    output: Annotated[Path, typer.Option(help="The Zarr group to write; must not exist yet, or be empty.", **PATH)],
    prompt: Annotated[str, typer.Option(help="A task whose prompt is put around the texts, or none.")] = "none",
    words: Annotated[
        str | None,
        typer.Option(
            help="auto, manual, cot, cot-free, occlusion or gradient.  [default: manual where the rows carry words, "
            "else auto]"
        ),
    ] = None,
    content_words: Annotated[
        bool, typer.Option("--content-words", help="Leave out function words, numbers and punctuation.")
    ] = False,
    activation: Annotated[
        str, typer.Option(help="Function of the activations in the Score: relu, abs or raw.")
    ] = "relu",
    layers: Annotated[str | None, typer.Option(help="Only these layers, separated by commas.  [default: all]")] = None,
    placebo: Annotated[
        int, typer.Option(min=0, help="Draws of random words in place of the influential ones, for p-values; 0: none.")
    ] = DEFAULT_PLACEBO,
    permutations: Annotated[
        int, typer.Option(min=0, help="Without placebo words: permutations for the p-values; 0 for none.")
    ] = 1000,
    floor: Annotated[
        float,
        typer.Option(help="Neurons below this quantile of their layer's absolute Score denominators are not ranked."),
    ] = 0.05,
    special_tokens: Annotated[
        bool, typer.Option("--special-tokens", help="Include tokens like <s> in the sums of the Score.")
    ] = False,
    sinks: Annotated[
        bool, typer.Option("--sinks", help="Count position 0 of every text and attention sinks as other tokens.")
    ] = False,
    causal: Annotated[
        str | None,
        typer.Option(
            help="A task on which the top neurons are ablated, and restored in the variants, as a causal test."
        ),
    ] = None,
    causal_limit: Annotated[
        int | None, typer.Option(min=0, help="Rows of that task; 0 for all.  [default: 200]")
    ] = None,
    causal_draws: Annotated[
        int | None, typer.Option(min=2, help="Random sets of other neurons as controls.  [default: 20]")
    ] = None,
    causal_neurons: Annotated[
        int | None, typer.Option(min=1, help="Top neurons.  [default: 5 % of the ranked, 10 to 100]")
    ] = None,
    causal_layers: Annotated[
        str | None, typer.Option(help="Only top neurons of these layers, separated by commas.  [default: all]")
    ] = None,
    seed: Seed = 0,
    data: Data = None,
    device: Device = None,
    dtype: Dtype = None,
) -> None:
    """Find the neurons that respond to the texts' influential words, and how pruning changed them, without a server."""
    from prunescope.cli import stages
    from prunescope.settings import read_settings

    stages.attribute(
        read_settings(data=data, device=device, dtype=dtype),
        output,
        dense=dense,
        pruned=pruned,
        texts=texts,
        prompt=prompt,
        words=words,
        content_words=content_words,
        activation=activation,
        layers=layers,
        placebo=placebo,
        permutations=permutations,
        floor=floor,
        special_tokens=special_tokens,
        sinks=sinks,
        causal=causal,
        causal_limit=causal_limit,
        causal_draws=causal_draws,
        causal_neurons=causal_neurons,
        causal_layers=causal_layers,
        seed=seed,
    )


app.command()(explain)


@app.command()
def corpus(
    model: Annotated[list[str], typer.Option(help="The dense model first, then variants of it; may be repeated.")],
    dataset: Annotated[
        str, typer.Option(help="A calibration set (c4, wikitext2, demo, ...), or a .txt or .jsonl file.")
    ],
    output: Annotated[Path, typer.Option(help="Folder for the results; must not exist yet, or be empty.", **PATH)],
    tokens: Annotated[int, typer.Option(min=1, help="Tokens that are counted at most.")] = 100_000,
    seqlen: Annotated[
        int | None, typer.Option(min=2, help="Tokens of a window.  [default: 256, at most the model's context]")
    ] = None,
    examples: Annotated[int, typer.Option(min=1, help="Examples kept for each neuron and sign.")] = 10,
    layers: Annotated[str | None, typer.Option(help="Only these layers, separated by commas.  [default: all]")] = None,
    writes: Annotated[bool, typer.Option(help="Whether the tokens that neurons write are computed.")] = True,
    sinks: Annotated[
        bool, typer.Option("--sinks", help="Count position 0 of every window and attention sinks as other tokens.")
    ] = False,
    json: Annotated[Path | None, typer.Option("--json", help="Also write what was read to this file.", **PATH)] = None,
    seed: Seed = 0,
    data: Data = None,
    device: Device = None,
    dtype: Dtype = None,
) -> None:
    """Read running text and keep what every neuron does on it: extreme examples, quantiles, tokens that it writes."""
    from prunescope.cli.corpus import run
    from prunescope.settings import read_settings

    document: dict[str, Any] = {
        "models": model,
        "dataset": dataset,
        "tokens": tokens,
        "seqlen": seqlen,
        "examples": examples,
        "writes": writes,
        "sinks": sinks,
        "seed": seed,
    }
    run(read_settings(data=data, device=device, dtype=dtype), output, document, layers=layers, file=json)


@app.command()
def submit(
    file: Annotated[Path, typer.Argument(help="YAML: kind and spec of a job or a study, as in studies/.", **PATH)],
    wait: Annotated[bool, typer.Option("--wait", help="Follow the job until it ends.")] = False,
    force: Annotated[bool, typer.Option("--force", help="Run it again, even if its result exists.")] = False,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Only print an estimate of a study's work.")] = False,
    server: Annotated[
        str | None, typer.Option(help="Address of the server.  [default: PRUNESCOPE_HOST and PRUNESCOPE_PORT]")
    ] = None,
) -> None:
    """Send a job or a study to a running server. For a study, first print an estimate of the work."""
    from prunescope.cli.submit import run
    from prunescope.settings import read_settings

    run(read_settings(), file, server=server, wait=wait, force=force, dry_run=dry_run)


@app.command()
def doctor(home: Home = None) -> None:
    """Check what works on this machine, and say how to fix what does not."""
    from prunescope.cli.doctor import run
    from prunescope.settings import read_settings

    if not run(read_settings(home=home)):
        raise typer.Exit(FAILED)
