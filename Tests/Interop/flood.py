"""Floods of ARP and neighbour discovery from invented senders: answered or counted, without growth, and others are served."""

import os
import random
import socket
import struct

from lab import expect, inside, is_alive, reaches, resident, settled

random.seed(1)
OWN_MAC = b"\x02\x00\x00\x00\x00\x66"


def checksum(octets):
    if len(octets) % 2:
        octets += b"\0"
    total = sum(struct.unpack(f"!{len(octets) // 2}H", octets))
    while total >> 16:
        total = (total & 0xFFFF) + (total >> 16)
    return ~total & 0xFFFF


def arp(operation, sender, target):
    mac = random.randbytes(6)
    mac = bytes([mac[0] & 0xFE | 2]) + mac[1:]
    return b"\xff" * 6 + mac + b"\x08\x06" + struct.pack("!HHBBH", 1, 0x0800, 6, 4, operation) + mac + sender + \
        b"\0" * 6 + target


def solicitation(sender, target):
    mac = b"\x02" + random.randbytes(5)
    body = target + b"\x01\x01" + mac
    group = bytes.fromhex("ff0200000000000000000001ff") + target[13:]
    message = b"\x87\0\0\0\0\0\0\0" + body
    total = checksum(sender + group + struct.pack("!II", len(message), 58) + message)
    message = message[:2] + struct.pack("!H", total) + message[4:]
    return b"\x33\x33\xff" + target[13:] + mac + b"\x86\xdd" + struct.pack("!IHBB", 0x60000000, len(message), 58, 255) + \
        sender + group + message


def anyone(network):
    """An address of the network that nobody has: who poses as a real neighbour gets its packets, as everywhere with ARP."""
    return network + bytes([random.randrange(3, 255)])


def flood(sender, port, count):
    """Invented neighbours on the link and off it, requests and replies nobody asked for."""
    network = bytes([10, 1, 0]) if port == "clear" else bytes([192, 0, 2])
    own = network + b"\x01"
    prefix = bytes.fromhex("20010db8000100000000" if port == "clear" else "20010db8000f00000000")
    own6 = prefix + b"\0" * 5 + b"\x01"
    for _ in range(count):
        kind = random.randrange(5)
        if kind == 0:
            frame = arp(1, anyone(network), own)
        elif kind == 1:
            frame = arp(1, random.randbytes(4), own)
        elif kind == 2:
            frame = arp(2, anyone(network), own)
        elif kind == 3:
            frame = arp(1, anyone(network), anyone(network))
        else:
            frame = solicitation(prefix + random.randbytes(6), own6)
        try:
            sender.send(frame)
        except OSError:
            pass


def raw(namespace, interface):
    with inside(namespace):
        sender = socket.socket(socket.AF_PACKET, socket.SOCK_RAW)
        sender.bind((interface, 0))
    return sender


# What is sent on gateway B's end of the fabric arrives at gateway A.
doors = [(raw("host-a", "eth0"), "clear"), (raw("gateway-b", "fabric"), "fabric")]
expect(reaches(), "host B does not answer at the start")
for sender, port in doors:
    flood(sender, port, 5000)
settled("gateway-a")
before = resident("gateway-a")
for _ in range(4):
    for sender, port in doors:
        flood(sender, port, 10000)
    expect(is_alive("gateway-a"), "gateway A died of the flood")
after = settled("gateway-a")
growth = resident("gateway-a") - before
expect(growth < 4 << 20, f"gateway A grew by {growth} octets")
expect(len(after["neighbours"]) <= 4096, f"gateway A holds {len(after['neighbours'])} neighbours")
expect(after["totals"]["in"] > 60000, f"only {after['totals']['in']} packets came in")
expect(reaches(5), "host B does not answer after the flood")
settled("gateway-b")
print(f"{after['totals']['in']} packets in, {len(after['neighbours'])} neighbours kept, {growth >> 10} KiB more, "
      f"dropped: {after['drops']}")
