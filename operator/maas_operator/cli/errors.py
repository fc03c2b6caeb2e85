"""What the CLI says when something cannot be done: what, where, and what to do."""

import click


class CliError(click.ClickException):
    """An error that people can do something about: printed as it is, exit code 1."""


class AwayError(CliError):
    """The API server does not answer now: the same may go well a moment later."""


class GoneError(CliError):
    """What a request was about is not there."""


class ConflictError(CliError):
    """It is there already, or is no longer what it was."""
