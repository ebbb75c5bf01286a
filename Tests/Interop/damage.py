"""Damaged packets on both sides: every truncation, every octet of the headers changed, random octets, fragments that overlap.
Each is counted, none gets through changed, nothing leaks and nobody dies."""

import random
import socket
import struct
import time

from lab import HOSTS, expect, inside, is_alive, reaches, resident, settled

random.seed(1)
ETH_P_ALL = 3


def raw(namespace, interface):
    with inside(namespace):
        door = socket.socket(socket.AF_PACKET, socket.SOCK_RAW, socket.htons(ETH_P_ALL))
        door.bind((interface, 0))
    door.settimeout(2)
    return door


def checksum(octets):
    total = sum(struct.unpack(f"!{len(octets) // 2}H", octets))
    while total >> 16:
        total = (total & 0xFFFF) + (total >> 16)
    return ~total & 0xFFFF


def send(door, frames):
    """Not faster than the gateway empties its ring, so that each of them is looked at."""
    count = 0
    for number, frame in enumerate(frames):
        if len(frame) < 14:
            continue
        door.send(frame)
        count += 1
        if number % 64 == 63:
            time.sleep(0.002)
    return count


def truncations(frame):
    return [frame[:length] for length in range(14, len(frame))]


def changes(frame, first, last):
    for place in range(first, min(last, len(frame))):
        for value in (0x00, 0x01, 0x7F, 0x80, 0xFF):
            if frame[place] != value:
                yield frame[:place] + bytes([value]) + frame[place + 1:]


def noise(head, count):
    return [head + random.randbytes(random.randrange(1, 1400)) for _ in range(count)]


def fragments(frame):
    """Overlapping, out of order, first or last one missing, beyond 65535 octets; right header checksums."""
    ip, rest = frame[14:34], frame[34:]
    for _ in range(200):
        number = random.randrange(65536)
        for _ in range(random.randrange(1, 5)):
            offset = random.choice([0, 1, 2, 5, 60, 8189, 8191])
            more = random.randrange(2)
            piece = rest[: random.choice([8, 16, 24, 56])]
            head = ip[:2] + struct.pack("!HHH", 20 + len(piece), number, more << 13 | offset) + ip[8:10] + b"\0\0" + ip[12:]
            yield frame[:14] + head[:10] + struct.pack("!H", checksum(head)) + head[12:] + piece


expect(reaches(), "host B does not answer at the start")

# A packet of each side as it really is; what is sent on gateway B's end of the fabric arrives at gateway A.
watch = raw("gateway-a", "fabric")
throw = raw("gateway-b", "fabric")
with inside("host-b"):
    speaker = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
with inside("host-a"):
    listener = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    listener.bind((HOSTS["host-a"], 7009))
listener.settimeout(2)
text = b"only this text may ever arrive"
speaker.sendto(text, (HOSTS["host-a"], 7009))
expect(listener.recv(2000) == text, "the datagram did not arrive")
sealed = None
while sealed is None:
    frame, source = watch.recvfrom(65536)
    # To UDP port 4500.
    if frame[12:14] == b"\x08\x00" and frame[36:38] == b"\x11\x94":
        sealed = frame
clear_head = None
door = raw("host-a", "eth0")
with inside("host-a"):
    asker = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
asker.sendto(b"x" * 64, (HOSTS["host-b"], 7010))
while clear_head is None:
    frame, source = door.recvfrom(65536)
    if source[2] == socket.PACKET_OUTGOING and frame[12:14] == b"\x08\x00" and frame[36:38] == b"\x1b\x62":
        clear_head = frame

before = settled("gateway-a")
memory = resident("gateway-a")
fabric = truncations(sealed) + list(changes(sealed, 14, len(sealed))) + noise(sealed[:42], 500) + \
    noise(sealed[:14], 500) + noise(sealed[:12], 500) + list(fragments(sealed))
clear = truncations(clear_head) + list(changes(clear_head, 12, 60)) + noise(clear_head[:14], 500) + \
    noise(clear_head[:34], 200) + noise(clear_head[:12] + b"\x86\xdd", 500) + noise(clear_head[:12] + b"\x81\x00", 500) + \
    list(fragments(clear_head))
sent = send(throw, fabric)
sent += send(door, clear)
for _ in range(3):
    time.sleep(0.5)
    expect(is_alive("gateway-a"), "gateway A died")
after = settled("gateway-a")
came = after["totals"]["in"] - before["totals"]["in"]
expect(came >= sent * 0.95, f"{sent} packets were sent, gateway A counts {came}")

# Fields that no key protects (outer TTL, DSCP, the UDP source port and the like) may change without harm.
listener.settimeout(0.2)
copies = 0
try:
    while True:
        arrived = listener.recv(65536)
        expect(arrived == text, f"a changed datagram got through: {arrived!r}")
        copies += 1
except TimeoutError:
    pass
expect(after["drops"].get("authentication", 0) > 200, f"too few packets failed to authenticate: {after['drops']}")
growth = resident("gateway-a") - memory
expect(growth < 4 << 20, f"gateway A grew by {growth} octets")
expect(reaches(5), "host B does not answer after the damage")
settled("gateway-b")
print(f"{sent} damaged packets sent, {came} counted, {copies} harmless, {growth >> 10} KiB more; {after['drops']}")
