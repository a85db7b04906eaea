"""The commands `pillow-inr autoload enable | disable | status`."""

import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TypeVar

import click

from ..plugins import autoload
from ..plugins.import_hook import KILL_SWITCH

_Result = TypeVar("_Result")


@click.group("autoload", short_help="Let programs that do not know .inr files open them.")
def group() -> None:
    """Let programs that never import pillow_inr open and save .inr files.

    'enable' puts three small files into the site-packages of this Python. From then on pillow_inr is loaded as soon as
    a program imports Pillow or imageio. The files themselves import neither, and do nothing once pillow_inr is gone.

    This affects every program that this Python runs, and no other environment. It has no effect on Python started with
    -S, or on programs frozen into an executable.
    """


@group.command()
def enable() -> None:
    """Write the start-up files."""
    written = _attempt(autoload.enable)
    _list("Written", written)
    click.echo("Autoload is enabled." if written else "Autoload is enabled already.")
    click.echo("Programs of this Python now open and save .inr files without a change:")
    click.echo("    from PIL import Image")
    click.echo('    Image.open("photo.inr").show()')
    click.echo("To undo it: pillow-inr autoload disable (before pillow_inr is uninstalled).")
    click.echo(f"To switch it off for one run: {KILL_SWITCH}=0.")
    if autoload.status().switched_off:
        click.secho(f"{KILL_SWITCH}=0 is set here, so it stays off in programs that you start from here.", fg="yellow")


@group.command()
def disable() -> None:
    """Remove the start-up files."""
    removed = _attempt(autoload.disable)
    _list("Removed", removed)
    click.echo("Autoload is disabled." if removed else "Autoload was not enabled: there is nothing to remove.")


@group.command()
def status() -> None:
    """Show whether there are start-up files, and where."""
    found = _attempt(autoload.status)
    if not found.enabled:
        click.echo(f"Autoload is not enabled for {sys.executable}.")
        return
    click.echo(f"Autoload is enabled for {sys.executable}, by pillow_inr_autoload.* in")
    for folder in found.folders:
        click.echo(f"    {folder}")
    if found.current:
        click.echo("The files are those of this release.")
    else:
        click.secho("Files are missing or of another release: 'pillow-inr autoload enable' renews them.", fg="yellow")
    if found.switched_off:
        click.secho(f"{KILL_SWITCH}=0 is set here, so it is off in programs that you start from here.", fg="yellow")


def _attempt(work: Callable[[], _Result]) -> _Result:
    try:
        return work()
    except OSError as error:
        click.secho(f"pillow-inr: {error.filename}: {error.strerror}", err=True, fg="red")
        sys.exit(1)


def _list(heading: str, paths: Sequence[Path]) -> None:
    if paths:
        click.echo(f"{heading}:")
    for path in paths:
        click.echo(f"    {path}")
