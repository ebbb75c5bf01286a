"""What all captured packets together must fulfil, as the reference implementation judges it."""

import struct

import outer
import reference


class Audit:
    """Sees every frame of a fabric; the order does not matter."""

    def __init__(self, groups):
        self.groups = groups
        self.seen = {}  # ID: the epochs and counters that it was used with, 8 octets each
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
    """(packet, over UDP, source) of a protected packet, or None."""
    return outer.protected(frame, raw=False)


def whole(frames):
    """The frames with the fragments among them put together: each datagram comes where its last fragment was."""
    waiting = {}
    for frame in frames:
        link, packet = split(frame)
        piece = fragment(packet)
        if piece is None:
            yield frame
            continue
        key, start, is_last, body, header = piece
        parts = waiting.setdefault(key, {})
        parts[start] = (body, is_last, header)
        joined, complete = b"", False
        while len(joined) in parts and not complete:
            body, complete, _ = parts[len(joined)]
            joined += body
        if complete and 0 in parts:
            del waiting[key]
            yield link + parts[0][2](joined)
    assert not waiting, f"fragments without the rest: {waiting.keys()}"


def split(frame):
    """Ethernet header with its tags, and what it carries."""
    at = 14
    while frame[at - 2 : at] in (b"\x81\x00", b"\x88\xa8"):
        at += 4
    return frame[:at], frame[at:]


def fragment(packet):
    """(key, offset, last, body, what makes a whole packet of the whole body), or None for what is no fragment."""
    if packet[0] >> 4 == 4:
        size, word = 4 * (packet[0] & 15), struct.unpack(">H", packet[6:8])[0]
        if not word & 0x3FFF:
            return None
        total = struct.unpack(">H", packet[2:4])[0]

        def header(body):
            made = packet[:2] + struct.pack(">H", size + len(body)) + packet[4:6] + bytes(2) + packet[8:10]
            made += bytes(2) + packet[12:size]
            return made[:10] + struct.pack(">H", outer.checksum(made)) + made[12:] + body

        key = packet[12:20], packet[9], packet[4:6]
        return key, 8 * (word & 0x1FFF), not word & 0x2000, packet[size:total], header
    if packet[0] >> 4 == 6 and packet[6] == outer.FRAGMENT:
        following, _, word, identification = struct.unpack(">BBHI", packet[40:48])

        def header(body):
            return packet[:4] + struct.pack(">HB", len(body), following) + packet[7:40] + body

        return (packet[8:40], identification), word & 0xFFF8, not word & 1, packet[48:], header
    return None


def is_housekeeping(frame):
    """ARP, and IPv6 neighbour discovery and multicast listener reports: what a link speaks in clear."""
    link, packet = split(frame)
    if link[-2:] == b"\x08\x06":
        return True
    if link[-2:] != b"\x86\xdd":
        return False
    upper = packet[48:] if packet[6] == outer.HOP_BY_HOP else packet[40:]
    kind = packet[40] if packet[6] == outer.HOP_BY_HOP else packet[6]
    return kind == 58 and upper[0] in (130, 131, 132, 133, 134, 135, 136, 137, 143)
