"""What is said before anything else: that the operator may not do what the objects shown need. Pure but for `say`."""

from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from typing import Any

import click

from maas_operator.api.conditions import ConditionType, Reason
from maas_operator.api.kinds import Kind
from maas_operator.api.times import moment
from maas_operator.cli.tables import shown

UNSEEN = timedelta(minutes=1)
"""Age up to which an object without a status is merely new: an operator that starts may need so long."""
_CHECK = "kubectl maas auth check names all that is missing"


def say(kind: Kind, objects: Sequence[dict[str, Any]]) -> None:
    """Print the first line, if there is one; beside what is shown, which programs may read."""
    if words := first_line(kind, objects, datetime.now(UTC)):
        click.echo(words, err=True)


def first_line(kind: Kind, objects: Sequence[dict[str, Any]], now: datetime) -> str | None:
    """Of objects of one kind: what the operator says that it may not do for them, or that it says nothing at all."""
    told = [words for each in objects if (words := _forbidden(each))]
    if told:
        return shown(f"{_counted(kind, told)} held up: {told[0]}; {_CHECK}")
    silent = [each for each in objects if _silent(each, now)]
    if silent:
        whom = _counted(kind, silent)
        return shown(f"{whom} not seen by the operator: does it run, and may it report on them? {_CHECK}")
    return None


def _forbidden(manifest: dict[str, Any]) -> str | None:
    conditions = manifest.get("status", {}).get("conditions", ())
    told = (each for each in conditions if (each["status"], each["reason"]) == ("False", Reason.FORBIDDEN))
    return next((each["message"] for each in told if each["type"] == ConditionType.RECONCILED), None)


def _silent(manifest: dict[str, Any], now: datetime) -> bool:
    made = moment(manifest["metadata"].get("creationTimestamp"))
    return not manifest.get("status", {}).get("conditions") and made is not None and now - made > UNSEEN


def _counted(kind: Kind, objects: Sequence[Any]) -> str:
    return f"1 {kind.kind} is" if len(objects) == 1 else f"{len(objects)} {kind.plural} are"
