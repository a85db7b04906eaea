"""The command `pillow-inr`: the group of its commands. Each command has its own module."""

import sys
from typing import Any

import click

from .._version import __version__
from . import running
from .autoload import group as autoload_group
from .batch import batch_command
from .decode import decode
from .encode import encode
from .info import info
from .learn import learn
from .report import report
from .show import compare, view
from .warm import warm


class _Commands(click.Group):
    """Commands in the order in which they were added; Ctrl-C ends each with code 130."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        return list(self.commands)

    def main(self, *args: Any, **extra: Any) -> Any:
        running.print_in_any_encoding()
        return super().main(*args, **extra)

    def invoke(self, ctx: click.Context) -> Any:
        try:
            with running.plain_warnings():
                return super().invoke(ctx)
        except KeyboardInterrupt:  # outside `Run.each`, whose message says more
            click.echo("pillow-inr: interrupted", err=True)
            sys.exit(running.INTERRUPTED)


@click.group(
    cls=_Commands,
    context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100},
    epilog="Example: pillow-inr encode photo.jpg && pillow-inr decode photo.inr -o copy.png",
)
@click.version_option(__version__, prog_name="pillow-inr")
def main() -> None:
    """Store images as small neural networks (.inr files), and get them back.

    Each COMMAND has its own --help. Encoding fits a network to the image, which takes seconds to minutes. Decoding
    takes a fraction of a second per megapixel.
    """


main.add_command(encode)
main.add_command(batch_command, "batch")
main.add_command(decode)
main.add_command(info)
main.add_command(compare)
main.add_command(view)
main.add_command(report)
main.add_command(learn)
main.add_command(warm)
main.add_command(autoload_group)
