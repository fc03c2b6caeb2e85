"""What can go wrong with a cluster, as the errors its caller sees.

ClusterError
    something did not start, answer or end within its limit; the message names the process, its log and the log's tail
└── PrerequisitesError
    this machine lacks something; `complaints` says each time what, and what to do
"""

from collections.abc import Sequence


class ClusterError(Exception):
    """A step failed; the message says which, where to look, and what to do."""


class PrerequisitesError(ClusterError):
    """This machine cannot run the profile; `complaints` has a line for each thing to change."""

    def __init__(self, complaints: Sequence[str]) -> None:
        self.complaints = tuple(complaints)
        super().__init__("this machine is not ready:\n" + "\n".join(f"- {line}" for line in complaints))
