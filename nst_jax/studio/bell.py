"""Something that changes in one thread, and those in event loops who wait for it to be newer than what they know."""

import asyncio
import threading


class Bell:
    """A version that grows, and who is told when it does."""

    def __init__(self):
        self.version = 0
        self._lock = threading.Lock()
        self._waiting: list[tuple[asyncio.AbstractEventLoop, asyncio.Event]] = []

    def ring(self) -> None:
        """Something is new: wake everyone who waits."""
        with self._lock:
            self.version += 1
            waiting, self._waiting = self._waiting, []
        for loop, event in waiting:
            if not loop.is_closed():
                loop.call_soon_threadsafe(event.set)

    async def newer(self, known: int) -> None:
        """Wait until the version is another than this one."""
        event = asyncio.Event()
        entry = asyncio.get_running_loop(), event
        with self._lock:
            if self.version != known:
                return
            self._waiting.append(entry)
        try:
            await event.wait()
        finally:
            with self._lock:
                self._waiting = [other for other in self._waiting if other is not entry]
