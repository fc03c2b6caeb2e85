"""One fetch: what there is, whether there is room, the files several at a time, each verified, then the mark."""

import threading
import time
from collections.abc import Callable
from concurrent.futures import FIRST_COMPLETED, ThreadPoolExecutor, wait
from datetime import UTC, datetime
from pathlib import Path
from typing import TypeVar

import structlog

from maas_operator.api import times
from maas_operator.api.fetching import FetchProgress, Step
from maas_operator.api.sources import Source
from maas_operator.fetch.cache import PART, Cache, gib, present
from maas_operator.fetch.checksums import fault
from maas_operator.fetch.errors import FetchError, PassingError
from maas_operator.fetch.files import Listing, Manifest, Origin, RemoteFile, wanted
from maas_operator.fetch.pace import Pace

AT_ONCE = 4
"""Files under way: more fill no link that four do not."""
TRIES = 6
"""Without a byte more, before a fetch ends; whoever runs it tries again later."""
PAUSES = (1.0, 2.0, 4.0, 8.0, 15.0)
"""Seconds before each further try."""
LOOK_SECONDS = 1.0
"""Between two looks at how far it has come, and between two tries to get the lock."""

T = TypeVar("T")

log = structlog.get_logger()


class Fetch:
    """Fetches a source into a folder of a cache. `progress` may be read from any thread."""

    def __init__(self, text: str, source: Source, origin: Callable[[], Origin], cache: Cache, folder: str) -> None:
        self._text = text
        self._source = source
        self._origin = origin
        self._cache = cache
        self._folder = folder
        self._pace = Pace()
        self._giving_up = threading.Event()
        self.progress = FetchProgress(step=Step.LISTING)

    def whole(self) -> bool:
        """Whether all of it is there. Asks nobody, and changes nothing."""
        manifest = self._cache.whole(self._folder)
        if manifest is None:
            return False
        log.info("the weights are there", folder=self._folder, bytes=manifest.size, fetched=manifest.fetched_at)
        return True

    def check(self) -> None:
        """Raises FetchError where it is not there, and fetches nothing."""
        if not self.whole():
            called, what = self._cache.called, f"{self._folder} (of {self._text})"
            raise FetchError(f"{called} does not hold {what}, and nothing is fetched here: fill it first")

    def run(self) -> None:
        """Fetch what is not there yet. Raises FetchError, and OSError of the disk."""
        if self.whole():
            return
        self._cache.writable()
        with self._cache.locked(self._folder, self._wait):
            if not self.whole():
                self._fill()

    def _wait(self) -> None:
        """Another fetches the same: tell how far it is."""
        plan = self._cache.plan(self._folder)
        done = self._cache.done(self._folder, plan.files) if plan else 0
        self.progress = FetchProgress(step=Step.WAITING, done=done, total=plan.size if plan else 0)
        time.sleep(LOOK_SECONDS)

    def _fill(self) -> None:
        self.progress = FetchProgress(step=Step.LISTING)
        origin = self._origin()
        listing = self._patiently(lambda: self._listed(origin), lambda: 0)
        plan = Manifest(source=self._text, revision=listing.revision, files=wanted(listing.files))
        partial = self._cache.begin(self._folder, plan)
        self._cache.need(plan.size - self._cache.done(self._folder, plan.files))
        log.info("fetching", folder=self._folder, revision=plan.revision, files=len(plan.files), bytes=plan.size)
        with ThreadPoolExecutor(AT_ONCE) as pool:
            under_way = {pool.submit(self._file, origin, partial, file) for file in plan.files}
            while under_way:
                ended, under_way = wait(under_way, LOOK_SECONDS, FIRST_COMPLETED)
                self._look(plan)
                if any(each.exception() for each in ended):
                    self._giving_up.set()
                    pool.shutdown(cancel_futures=True)
                for each in ended:
                    each.result()
        self.progress = FetchProgress(step=Step.FINISHING, done=plan.size, total=plan.size)
        self._cache.finish(self._folder, plan.model_copy(update={"fetched_at": times.written(datetime.now(UTC))}))
        log.info("fetched", folder=self._folder, bytes=plan.size)

    def _listed(self, origin: Origin) -> Listing:
        """What there is: of the commit that an earlier attempt began with, as long as the source still has that."""
        plan = self._cache.plan(self._folder)
        if plan is None or not plan.revision:
            return origin.listing("")
        try:
            return origin.listing(plan.revision)
        except PassingError:
            raise
        except FetchError:
            return origin.listing("")

    def _look(self, plan: Manifest) -> None:
        done = self._cache.done(self._folder, plan.files)
        self._pace.note(time.monotonic(), done)
        step = Step.FETCHING if done < plan.size else Step.FINISHING
        left = self._pace.seconds_left(plan.size)
        self.progress = FetchProgress(step=step, done=done, total=plan.size, seconds_left=left)

    def _file(self, origin: Origin, partial: Path, file: RemoteFile) -> None:
        """Have one file there, whole and verified. Raises FetchError."""
        whole, part = partial / file.path, partial / f"{file.path}{PART}"
        if whole.exists() and present(partial, file) == file.size:
            return
        part.parent.mkdir(parents=True, exist_ok=True)
        self._verified(origin, file, part)
        part.rename(whole)

    def _verified(self, origin: Origin, file: RemoteFile, part: Path) -> None:
        """One whole file that is not what its source says is fetched once more: what came before may be to blame."""
        for last in (False, True):
            self._patiently(lambda: _rest(origin, file, part), lambda: _size(part))
            wrong = fault(part, file)
            if wrong is None:
                return
            log.warning("a file is not what its source says", file=file.path, fault=wrong)
            part.unlink()
            if last:
                raise FetchError(f"{wrong}; it was fetched twice")

    def _patiently(self, act: Callable[[], T], done: Callable[[], int]) -> T:
        """Do it, again and again as long as that may help and the others go on. done: bytes that are there."""
        tries, before = 0, done()
        while True:
            try:
                return act()
            except PassingError as error:
                now = done()
                tries, before = (0 if now > before else tries + 1), now
                log.warning("trying again", error=str(error), tries=tries)
                if tries >= TRIES or self._giving_up.wait(PAUSES[min(tries, len(PAUSES) - 1)]):
                    raise


def _rest(origin: Origin, file: RemoteFile, part: Path) -> None:
    """Fetch what is missing of a file."""
    if _size(part) > file.size:
        part.unlink()
    at = _size(part)
    with part.open("ab") as to:
        origin.append(file, to, at)
    if _size(part) < file.size:
        raise PassingError(f"{file.path} ended after {gib(_size(part))} of {gib(file.size)}")


def _size(path: Path) -> int:
    return path.stat().st_size if path.exists() else 0
