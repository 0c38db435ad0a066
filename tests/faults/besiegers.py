"""Who besieges a port: ``python -m faults.besiegers PORT DRIPPING IDLE``, until it is killed.

Some send a head that never ends, a line a second; some connect and say nothing; some have sent a
request and keep the connection. Whoever is cut off comes again at once. They come from several
addresses of loopback, so that no limit of one address spares the daemon. Prints ``ready`` when all
are there for the first time.
"""

import asyncio
import itertools
import random
import sys
from collections.abc import Awaitable, Callable

ADDRESSES = [f"127.0.0.{number}" for number in range(2, 10)]
HEAD = b"GET /health HTTP/1.1\r\nHost: localhost\r\n"
LINE_S = 1.0
AGAIN_S = 0.1
Kind = Callable[[asyncio.StreamReader, asyncio.StreamWriter], Awaitable[None]]


class Siege:
    """All of them."""

    def __init__(self, port: int) -> None:
        self.port = port
        self._to_come = 0
        self._all_there = asyncio.Event()
        self._addresses = itertools.cycle(ADDRESSES)

    async def begin(self, dripping: int, idle: int) -> None:
        """Hold on for ever."""
        kinds: list[Kind] = [self._drip] * dripping + [self._idle] * (idle // 2)
        kinds += [self._keep] * (idle - idle // 2)
        random.Random(0).shuffle(kinds)
        self._to_come = len(kinds)
        everyone = [asyncio.create_task(self._again(kind)) for kind in kinds]
        await self._all_there.wait()
        sys.stdout.write("ready\n")
        sys.stdout.flush()
        await asyncio.gather(*everyone)

    async def _again(self, kind: Kind) -> None:
        source, first = (next(self._addresses), 0), True
        while True:
            try:
                reader, writer = await asyncio.open_connection(
                    "127.0.0.1", self.port, local_addr=source
                )
                self._to_come -= first
                first = False
                if not self._to_come:
                    self._all_there.set()
                await kind(reader, writer)
            except OSError:
                await asyncio.sleep(AGAIN_S)
            else:
                writer.close()

    async def _drip(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        ended = asyncio.ensure_future(reader.read())
        writer.write(HEAD)
        while not ended.done():
            writer.write(b"X-A: b\r\n")
            await asyncio.wait([ended], timeout=LINE_S)
        await ended

    async def _idle(self, reader: asyncio.StreamReader, _writer: asyncio.StreamWriter) -> None:
        await reader.read()

    async def _keep(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(HEAD + b"\r\n")
        await reader.read()


if __name__ == "__main__":
    asyncio.run(Siege(int(sys.argv[1])).begin(int(sys.argv[2]), int(sys.argv[3])))
