"""The secrets that sign tokens (I1): a file, mounted from a Secret, and read again when it changes. What is in it never
shows up in a log or an error."""

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Annotated

import structlog
import yaml
from pydantic import AfterValidator, ConfigDict, Field, TypeAdapter, ValidationError

from maas_operator.api.fields import Part

INTERVAL = 1.0
"""Seconds between two looks at the file. The kubelet takes up to a minute or two to bring a changed Secret."""

log = structlog.get_logger()


class SigningKey(Part):
    """A secret that signs the tokens of clients with credentials."""

    model_config = ConfigDict(extra="forbid", hide_input_in_errors=True)

    id: Annotated[str, Field(min_length=1, max_length=64, pattern=r"^[A-Za-z0-9._-]+$")] = Field(
        description="Names the secret in the tokens."
    )
    secret: Annotated[str, Field(min_length=32, max_length=256)] = Field(
        description="Random text, 32 characters or more.", repr=False
    )


def _different(keys: tuple[SigningKey, ...]) -> tuple[SigningKey, ...]:
    if len({key.id for key in keys}) < len(keys):
        raise ValueError("two keys have the same id")
    return keys


Keys = Annotated[tuple[SigningKey, ...], Field(min_length=1, max_length=8), AfterValidator(_different)]
"""The first signs, all are believed."""
_KEYS: TypeAdapter[tuple[SigningKey, ...]] = TypeAdapter(Keys, config=ConfigDict(hide_input_in_errors=True))


def parse(text: str) -> tuple[SigningKey, ...]:
    """Keys from YAML: a list of {id, secret}. Raises ValueError, which says where it is wrong, never what is there."""
    try:
        return _KEYS.validate_python(yaml.safe_load(text))
    except ValidationError as error:
        wrong = (f"{'.'.join(map(str, each['loc'])) or 'the list'}: {each['msg']}" for each in error.errors())
        raise ValueError("; ".join(wrong)) from None
    except yaml.MarkedYAMLError as error:
        where = f" at line {error.problem_mark.line + 1}" if error.problem_mark else ""
        raise ValueError(f"no YAML{where}") from None
    except yaml.YAMLError:
        raise ValueError("no YAML") from None


async def follow(path: Path) -> AsyncIterator[tuple[SigningKey, ...]]:
    """The keys now, and whenever they are others; none while there is no file. Of a file that is not as it should be,
    what it said before holds."""
    keys: tuple[SigningKey, ...] | None = None
    seen: tuple[SigningKey, ...] | str | None = None
    while True:
        found = _read(path)
        if found != seen:
            seen = found
            if isinstance(found, str):
                log.error("the signing keys cannot be read: those before hold on", path=str(path), error=found)
            else:
                log.info("signing keys", path=str(path), ids=[key.id for key in found])
        new = keys or () if isinstance(found, str) else found
        if new != keys:
            keys = new
            yield keys
        await asyncio.sleep(INTERVAL)


def _read(path: Path) -> tuple[SigningKey, ...] | str:
    """The keys, or what is wrong with the file."""
    try:
        return parse(path.read_text())
    except FileNotFoundError:
        return ()
    except UnicodeDecodeError:
        return "no text"
    except (OSError, ValueError) as error:
        return str(error)
