"""What is kept in memory so that the same is not made twice. What is kept follows from its key alone."""

from collections import OrderedDict
from collections.abc import Callable, Hashable
from typing import Generic, TypeVar

Key = TypeVar("Key", bound=Hashable)
Value = TypeVar("Value")


class Kept(Generic[Key, Value]):
    """The values asked for most recently, at most so many of them."""

    def __init__(self, most: int) -> None:
        self._most = most
        self._values: OrderedDict[Key, Value] = OrderedDict()

    def get(self, key: Key, make: Callable[[], Value], good: Callable[[Value], bool] = lambda _: True) -> Value:
        """The value of the key: the one kept, if it is still good, else one that is made now."""
        value = self._values.get(key)
        if value is None or not good(value):
            value = self._values[key] = make()
        self._values.move_to_end(key)
        if len(self._values) > self._most:
            self._values.popitem(last=False)
        return value
