"""Why a message could not be delivered. Written by us, word for word: what libraries say may hold a URL or a key."""


class Undeliverable(Exception):  # noqa: N818 it is an answer
    """An attempt that failed. `words` says what to do, and holds nothing secret."""

    def __init__(self, words: str, retry_after: float | None = None, final: bool = False) -> None:
        super().__init__(words)
        self.words = words
        self.retry_after = retry_after
        """Seconds that the receiver asks to be left alone."""
        self.final = final
        """Whether trying again is pointless."""


class NoLongerWanted(Exception):  # noqa: N818
    """The topic, or the channel, is gone: there is nobody to tell."""
