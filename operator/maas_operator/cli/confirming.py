"""Asking before what cannot be had back."""

import click

from maas_operator.cli.errors import CliError


def confirm(word: str, asked: str, otherwise: str) -> None:
    """Have a word typed. Raises CliError, with what was not done, where another one is."""
    if click.prompt(f"{asked}. Type {word} to go on", err=True) != word:
        raise CliError(otherwise)
