"""What our long-running processes have in common."""

import asyncio
import gc
import resource
import signal

COLLECT_AFTER = 50_000
"""Objects made before Python looks for cycles; its default of 700 costs a tenth of all CPU time where thousands of
objects are kept."""


def collect_seldom() -> None:
    """Look for cycles less often."""
    gc.set_threshold(COLLECT_AFTER, 50, 100)


def open_as_many_files_as_allowed() -> None:
    """Raise the soft limit to the hard one: container runtimes start processes with 1,024."""
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))


def stop_on_signals(stopping: asyncio.Event) -> None:
    """SIGTERM and SIGINT set the event, so that the process ends in order. Called in the loop's thread."""
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stopping.set)
