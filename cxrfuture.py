"""The command `cxrfuture`: every stage, the reader's tools and the trainers behind one word each.

Commands import what they run only when they run, so `--help` is quick and a light install can
still `show` and `verify`.
"""

import errno
import os
import sys

import typer

from cxrfuture_data.command import (
    CARE,
    DEFAULT_PARAMS,
    EVALUATION,
    OWN_PACKAGES,
    import_part,
)
from cxrfuture_data.reader_command import reader
from cxrfuture_data.schema import ContractError
from etl.bench_command import bench
from etl.cache_command import cache
from etl.guard_command import guarding
from etl.look_command import look
from etl.report_command import reports
from etl.source_command import sources
from etl.stage_command import stages
from train.command import training
from train.evaluation_command import evaluating
from train.outcome_command import outcome
from train.results_command import result
from train.study.command import study

NAME = "cxrfuture"
INTERRUPTED = 130
SPEAK_FOR_THEMSELVES = ("browse", "study")  # one serves until it is stopped, one starts commands

app = typer.Typer(
    help="MIMIC-IV and MIMIC-CXR to sharded datasets, and models trained on them. Without a"
    " command: the stages, and where you are in them.",
    epilog="Exit codes: 0 done; 1 it could not be done, and one line says why and what to do, or"
    " what was asked about is not so; 2 a command line that is not understood (of guard: an"
    " error); 130 interrupted: the same command goes on.\n\n"
    "TAB completes commands, recipes and datasets after: cxrfuture --install-completion",
    invoke_without_command=True,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)
# Commands and their groups are shown in the order in which they are added.
for part in (look, sources, stages, reader, reports, training, evaluating, outcome, result):
    app.add_typer(part)
app.add_typer(study, name="study", rich_help_panel=EVALUATION)
app.add_typer(guarding)
app.add_typer(cache, name="cache", rich_help_panel=CARE)
app.add_typer(bench, name="bench", rich_help_panel=CARE)


@app.callback()
def begin(context: typer.Context) -> None:
    name = context.invoked_subcommand
    if name is None:
        import_part("etl.flow_print", "etl").run_flow(DEFAULT_PARAMS)
    elif name not in SPEAK_FOR_THEMSELVES:
        from cxrfuture_data.console import watched

        context.with_resource(watched(name))


def main() -> None:
    """Run a command. The only place that prints an error; a user's mistake is one line."""
    os.umask(0o077)  # outputs are for the user alone (MIMIC's terms)
    try:
        app(prog_name=NAME)  # also where it runs as `python -m cxrfuture`
    except ContractError as error:
        print(f"error: {error}", file=sys.stderr)
        sys.exit(1)
    except OSError as error:
        if error.errno not in {errno.EACCES, errno.EROFS, errno.ENOSPC, errno.EDQUOT}:
            raise
        print(f"error: {error}; nothing finished is lost, run it again then", file=sys.stderr)
        sys.exit(1)
    except ModuleNotFoundError as error:  # of a light install, deeper than import_part looks
        if (error.name or "").split(".")[0] in OWN_PACKAGES:
            raise
        extras = "pip install 'cxrfuture[etl,train]'"
        print(f"error: {error.name} is not installed; run: {extras}", file=sys.stderr)
        sys.exit(1)
    except SystemExit as ended:  # typer makes one of a KeyboardInterrupt
        if ended.code == INTERRUPTED:
            print("interrupted; run the same command again to go on", file=sys.stderr)
        raise


if __name__ == "__main__":
    main()
