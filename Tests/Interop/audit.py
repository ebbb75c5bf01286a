"""What all captured packets together must fulfil, as the reference implementation judges it."""

import outer
import reference


class Audit:
    """Sees every frame of a fabric; the order does not matter."""

    def __init__(self, groups):
        self.groups = groups
        self.seen = {}  # (header up to the options): the set of epoch and counter, 8 octets each
        self.keys = {}
        self.packets = self.opened = 0

    def nonce(self, packet):
        """Counts a protected packet in; (ID, epoch, counter) must be new. Gives the epoch."""
        wide, size = packet[1] & 0x80, 8 * (packet[0] & 15) + 8
        identifier = packet[4:12] if wide else packet[4:8]
        used = self.seen.setdefault(identifier, set())
        before = len(used)
        used.add(packet[size - 8 : size])
        epoch, counter = packet[size - 8 : size - 6], packet[size - 6 : size]
        if len(used) == before:
            raise AssertionError(f"nonce used twice: {identifier.hex()} {epoch.hex()} {counter.hex()}")
        self.packets += 1
        return int.from_bytes(epoch, "big")

    def open(self, packet, over_udp, source, time=None):
        opened = reference.open_packet(packet, self.groups, over_udp, source, time)
        self.opened += 1
        return opened


def protected(frame):
    """(packet, over UDP, source) or None; `outer` judges."""
    return outer.protected(frame, raw=False)
