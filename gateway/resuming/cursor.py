"""The cursor: how far a client has come in each partition, opaque to it and untrusted by us.

Text: the socket's id, a dot, and in base64url a version, the log's fingerprint and an offset for each partition. All
sockets that are as far as the tail share the second part. What is done with it is in resume.py.
"""

import base64
import binascii
import hashlib
import re
import struct
from collections.abc import Mapping, Sequence
from typing import NamedTuple

from schemas.ids import MAX_ID, read_position
from schemas.topics import CONVERSATIONS

VERSION = 1
MOST_CHARACTERS = 64 * 1024

_FORM = re.compile(r"([0-9a-f]{1,14})\.([A-Za-z0-9_-]{1,65536})", re.ASCII)


class BadCursor(ValueError):
    """A cursor that cannot be resumed from; the text is the `reason` of the resync."""


class Cursor(NamedTuple):
    """The socket that the client had, and the first offset of each partition that it has not been given."""

    socket_id: int
    positions: dict[int, int]


class Cursors:
    """Writes and reads the cursors of one log."""

    def __init__(self, epoch: str, partitions: int) -> None:
        self._fingerprint = hashlib.blake2s(epoch.encode(), digest_size=8).digest()
        self._layout = struct.Struct(f">B8s{partitions}Q")
        self._partitions = partitions

    def positions_text(self, positions: Sequence[int]) -> str:
        """Write the part that sockets share: an offset for each partition, in order."""
        packed = self._layout.pack(VERSION, self._fingerprint, *positions)
        return base64.urlsafe_b64encode(packed).rstrip(b"=").decode()

    def write(self, socket_id: int, positions: Mapping[int, int]) -> str:
        """Write a socket's cursor."""
        return join(socket_id, self.positions_text([positions[number] for number in range(self._partitions)]))

    def read(self, text: str, since: str) -> Cursor:
        """Read a cursor and fold the positions in that the client has seen since (`3:1042,7:99`); BadCursor."""
        form = _FORM.fullmatch(text)
        if form is None:
            raise BadCursor("malformed_cursor")
        socket_id = int(form[1], 16)
        positions = self._unpack(form[2])
        for partition, offset in _since(since):
            if partition not in positions:
                raise BadCursor("malformed_cursor")
            positions[partition] = max(positions[partition], offset + 1)
        if not 1 <= socket_id <= MAX_ID or any(offset > MAX_ID for offset in positions.values()):
            raise BadCursor("malformed_cursor")
        return Cursor(socket_id, positions)

    def _unpack(self, text: str) -> dict[int, int]:
        try:
            packed = base64.b64decode(text + "=" * (-len(text) % 4), altchars=b"-_", validate=True)
        except binascii.Error:
            raise BadCursor("malformed_cursor") from None
        if len(packed) < 9 or packed[0] != VERSION:
            raise BadCursor("malformed_cursor")
        if packed[1:9] != self._fingerprint:
            raise BadCursor("unknown_epoch")
        if len(packed) != self._layout.size:
            raise BadCursor("malformed_cursor")
        return dict(enumerate(self._layout.unpack(packed)[2:]))


def join(socket_id: int, positions_text: str) -> str:
    """Put a cursor together from its two parts."""
    return f"{socket_id:x}.{positions_text}"


def _since(text: str) -> list[tuple[int, int]]:
    found = []
    for part in text.split(",") if text else ():
        try:
            partition, offset = read_position(part)
        except ValueError:
            raise BadCursor("malformed_cursor") from None
        if partition.topic != CONVERSATIONS:
            raise BadCursor("malformed_cursor")
        found.append((partition.partition, offset))
    return found
