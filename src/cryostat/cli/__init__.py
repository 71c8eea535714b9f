"""The command line: thin modules, one a command group, loaded only when called."""

from __future__ import annotations

import importlib
import sys
from typing import TYPE_CHECKING

import click

if TYPE_CHECKING:
    from cryostat.core.errors import CryostatError

COMMANDS = {
    "data": ("cryostat.cli.data", "Import, list, show, audit, split and build cell datasets."),
    "encoders": ("cryostat.cli.encoders", "List encoders, read their cards, check them."),
    "features": ("cryostat.cli.features", "Extract, list and verify stored features."),
    "cases": ("cryostat.cli.cases", "Check cohorts of patients, and simulate one."),
    "plan": ("cryostat.cli.plan", "What a study costs and what stands in its way, before any work."),
    "run": ("cryostat.cli.run", "Train and score heads on frozen encoders: one run, or a whole study."),
    "score": ("cryostat.cli.score", "Score predictions that were made elsewhere."),
    "segmentation": ("cryostat.cli.segmentation", "Score predicted instance maps: PQ, mPQ+, R², detection F1, Dice."),
    "results": ("cryostat.cli.results", "List and compare finished runs."),
    "replicate": ("cryostat.cli.replicate", "A paper's tables beside ours: paper, ours, interval, within it or not."),
    "compare": ("cryostat.cli.compare", "Differences between runs, with intervals and tests; loss under shift."),
    "figures": ("cryostat.cli.figures", "Draw what finished runs found, ready for a paper or a talk."),
    "report": ("cryostat.cli.report", "A report of finished runs: a static site that opens from a file, offline."),
    "view": ("cryostat.cli.view", "Reports, whole slides and fields of datasets in the browser, with deep zoom."),
    "export": ("cryostat.cli.export", "Runs and datasets for other tools: AnnData, QuPath, Croissant, trackers."),
    "doctor": ("cryostat.cli.doctor", "What works on this machine, and the remedy for each lack."),
    "demo": ("cryostat.cli.demo", "Both benchmarks on built-in data, offline, on a CPU."),
}
"""Command to its module and help line; each module has a click command named `command`."""


class LazyGroup(click.Group):
    """Commands that are imported when they are called, so that `--help` answers at once."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        """The commands in the order of the table."""
        return list(COMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        """Import one command."""
        if cmd_name not in COMMANDS:
            return None
        command: click.Command = importlib.import_module(COMMANDS[cmd_name][0]).command
        return command

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """List the commands from the table, without importing them."""
        with formatter.section("Commands"):
            formatter.write_dl([(name, line) for name, (_, line) in COMMANDS.items()])


@click.group(cls=LazyGroup, context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 110})
@click.option(
    "--home",
    metavar="FOLDER",
    envvar="CRYOSTAT_HOME",
    help="Where datasets, features and runs live (default ~/.cryostat).",
)
@click.version_option(package_name="cryostat")
@click.pass_context
def cryostat(ctx: click.Context, home: str | None) -> None:
    """What frozen foundation models of oncology imaging can really do."""
    from cryostat.core.home import Home

    ctx.obj = Home.find(home)


def main() -> None:
    """Entry point: our errors end with their message and remedy, without a traceback."""
    from cryostat.core.errors import CryostatError
    from cryostat.core.extras import missing_extra

    try:
        cryostat(prog_name="cryostat")
    except CryostatError as error:
        _end_with(error)
    except ModuleNotFoundError as error:
        ours = missing_extra(error)
        if ours is None:
            raise
        _end_with(ours)


def _end_with(error: CryostatError) -> None:
    place = f"{error.where}: " if error.where else ""
    click.secho("error: ", fg="red", bold=True, err=True, nl=False)
    click.echo(f"{place}{error.problem}.", err=True)
    click.secho("remedy: ", fg="green", bold=True, err=True, nl=False)
    click.echo(f"{error.remedy}.", err=True)
    sys.exit(2)
