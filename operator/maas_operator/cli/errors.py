"""What the CLI says when something cannot be done: what, where, and what to do."""

import click


class CliError(click.ClickException):
    """An error that people can do something about: printed as it is, exit code 1."""
