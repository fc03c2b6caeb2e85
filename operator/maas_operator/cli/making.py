"""Making an ApiKey: its name, and the spec that holds its key's digest."""

import hashlib
import re
from datetime import datetime
from typing import Any

from pydantic import ValidationError

from maas_operator.api import limits
from maas_operator.api.apikey import ApiKeySpec, KeyKind, KeyLimits
from maas_operator.api.names import API_VERSION
from maas_operator.api.times import written
from maas_operator.cli.errors import CliError
from maas_operator.cli.moments import after
from maas_operator.keymaking import digest_of

_DNS_LABEL = re.compile(r"^[a-z0-9]([-a-z0-9]*[a-z0-9])?$")


def name_of(tag: str) -> str:
    """The ApiKey's name: the tag where it is a DNS label, or else one made of it; the same for the same tag."""
    if len(tag) <= 63 and _DNS_LABEL.match(tag):
        return tag
    slug = re.sub(r"[^a-z0-9]+", "-", tag.lower()).strip("-")[:50].rstrip("-")
    return f"{slug or 'key'}-{hashlib.sha256(tag.encode()).hexdigest()[:8]}"


def spec_of(
    key: str,
    tag: str,
    description: str,
    kind: str | None,
    services: tuple[str, ...],
    limits: dict[str, int],
    expires: str | None,
    now: datetime,
) -> dict[str, Any]:
    """The ApiKey's spec, as JSON. Raises CliError, which says which rule of M22 does not hold."""
    fields: dict[str, Any] = {
        "tag": tag,
        "description": description,
        "sha256": digest_of(key),
    }
    if kind:
        fields["kind"] = KeyKind(kind)
    if services:
        fields["services"] = list(services)
    if limits:
        fields["limits"] = limits
    if expires:
        moment = after(expires, now, "--expires")
        if moment <= now:
            raise CliError(f"--expires {expires} has passed: name a time to come")
        fields["expiresAt"] = written(moment)
    try:
        spec = ApiKeySpec.model_validate(fields)
    except ValidationError as error:
        raise CliError("\n".join(_broken(each["loc"], fields) for each in error.errors())) from error
    return spec.model_dump(mode="json", by_alias=True, exclude_unset=True)


def manifest(name: str, account: str, spec: dict[str, Any]) -> dict[str, Any]:
    """The ApiKey."""
    return {
        "apiVersion": API_VERSION,
        "kind": "ApiKey",
        "metadata": {"name": name, "namespace": account},
        "spec": spec,
    }


def limits_of(text: str, option: str = "--limits") -> dict[str, int]:
    """From NAME=NUMBER,NAME=NUMBER, each name once. Raises CliError."""
    try:
        found = limits.limits_of(text)
    except ValueError as error:
        raise CliError(f"{option} {error}") from error
    named = [part.partition("=")[0].strip() for part in text.split(",") if part.strip()]
    if twice := next((name for name in found if named.count(name) > 1), None):
        raise CliError(f"{option} {text}: {twice} is named twice")
    return found


def _broken(where: tuple[int | str, ...], fields: dict[str, Any]) -> str:
    """The rule of the field, in the words of `kubectl explain`."""
    aliases = {field.alias or name: field for name, field in ApiKeySpec.model_fields.items()}
    field = str(where[0])
    rule = aliases[field].description
    if field == "limits" and len(where) > 1:
        bounds = KeyLimits.model_fields[limits.LIMITS[str(where[1])]]
        rule = bounds.description
    value = fields.get(field)
    shown = value if isinstance(value, str) else ", ".join(map(str, value or ()))
    return f"{'.'.join(map(str, where))} cannot be '{shown}': {rule}"
