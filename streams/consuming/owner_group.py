"""The owners of one worker's partitions, as one: what the transport asks of them, and tells them."""

import asyncio
from collections.abc import Collection, Mapping, Sequence

from faust.types import TP

from streams.consuming.transport import Owner
from streams.process.exits import Die


class OwnerGroup:
    """Each owner knows its own topic, and leaves the others' alone."""

    def __init__(self, die: Die, owners: Sequence[Owner]) -> None:
        self.die = die
        self._owners = owners

    @property
    def topics(self) -> Collection[str]:
        return [topic for owner in self._owners for topic in owner.topics]

    def positions(self) -> Mapping[TP, int]:
        return {tp: position for owner in self._owners for tp, position in owner.positions().items()}

    def marked(self) -> Mapping[TP, int]:
        return {tp: offset for owner in self._owners for tp, offset in owner.marked().items()}

    async def on_revoke(self, revoked: set[TP]) -> None:
        await asyncio.gather(*(owner.on_revoke(revoked) for owner in self._owners))

    async def on_assigned(self, assigned: set[TP], generation: int) -> None:
        await asyncio.gather(*(owner.on_assigned(assigned, generation) for owner in self._owners))
