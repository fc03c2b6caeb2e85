"""Which objects belong together: sets by a common word, empty ones not kept."""

from collections.abc import Hashable
from typing import Generic, TypeVar

Group = TypeVar("Group", bound=Hashable)
Member = TypeVar("Member", bound=Hashable)


class Groups(Generic[Group, Member]):
    """Members by group. Insertion order is kept, so that what is made from it is the same each time."""

    def __init__(self) -> None:
        self._members: dict[Group, dict[Member, None]] = {}

    def add(self, group: Group, member: Member) -> None:
        """Put a member into a group; it may be in several."""
        self._members.setdefault(group, {})[member] = None

    def remove(self, group: Group, member: Member) -> None:
        """Take a member out of a group, if it is in it."""
        members = self._members.get(group)
        if members is None:
            return
        members.pop(member, None)
        if not members:
            del self._members[group]

    def of(self, group: Group) -> tuple[Member, ...]:
        """The members of a group."""
        return tuple(self._members.get(group, ()))
