"""What a device keeps of a log, and how it goes on from there: docs/protocol.md, "How a client keeps everything exactly once"."""

import asyncio
import random

from .codes import FINAL, Ended, Refused


class Broken(Exception):
    """An entry that does not follow the one before it."""


class Log:
    """The entries of a log up to a cursor, and the epoch that they are of. A real client writes all three in one step."""

    def __init__(self):
        self.entries, self.cursor, self.epoch = [], 0, None

    def take(self, page):
        """Takes the entries of a page, which must go on where this log ends."""
        if self.epoch not in (None, page["epoch"]):
            raise Broken("a page of another epoch")
        for entry in page["entries"]:
            if entry["seq"] != self.cursor + 1:
                raise Broken(f"{entry['seq']} after {self.cursor}")
            self.entries.append(entry)
            self.cursor = entry["seq"]
        self.epoch = page["epoch"]


async def follow(log, connect, haste=1.0):
    """Follows a log for ever, over one connection after another. `connect` opens one, which has `tail` and `close`. Of every wait
    the part `haste` is waited, which is for tests.
    """
    patience = 0.02
    while True:
        connection = None
        try:
            connection = await connect()
            async for page in await connection.tail(log.cursor, log.epoch):
                log.take(page)
                patience = 0.02
        except Ended as ended:
            if ended.name in FINAL:
                raise
            patience = max(patience, ended.retry_after / 1000)
        except Refused as refused:
            if not refused.retryable:
                raise
            patience = max(patience, refused.retry_after / 1000)
        except OSError:
            pass  # Nobody is there.
        finally:
            if connection:
                await connection.close()
        # With jitter, so that not all clients of a server that was restarted come at once.
        await asyncio.sleep(haste * patience * random.uniform(0.5, 1.0))
        patience = min(patience * 2, 10.0)
