"""What the operator may not see, of what a decision has to have seen."""

from collections.abc import Collection, Mapping

from maas_operator.act.answers import may_not
from maas_operator.api.conditions import Reason
from maas_operator.api.permissions import Lack
from maas_operator.api.seen import WriteFailure
from maas_operator.watch.watched import OPERATORS

SEEING = frozenset({"get", "list", "watch"})


def unseen(missing: Collection[Lack]) -> Mapping[str, WriteFailure]:
    """By kind of ours: what is missing of what has to be seen to decide on its objects; nothing where all is there."""
    found: dict[str, WriteFailure] = {}
    if not missing:
        return found
    for kind, needed in OPERATORS.needed.items():
        seen = {(each.group, each.plural) for each in OPERATORS.all if each.kind in needed}
        lacks = sorted(each for each in missing if each[:2] in seen and each.verb in SEEING)
        if lacks:
            found[kind] = WriteFailure("seeing what is there", Reason.FORBIDDEN, may_not(lacks), retry=False)
    return found
