"""Writers of capture files: pcap with microseconds or nanoseconds, and pcapng, in either byte order."""

import struct

ETHERNET, RAW = 1, 101
FORMATS = ("pcap", "pcap-nano", "pcapng")
ORDERS = {"little": "<", "big": ">"}


def capture(form, order, link, records):
    """records: (time in nanoseconds, captured octets, original length)."""
    order = ORDERS[order]
    if form == "pcapng":
        return pcapng(order, link, records)
    return pcap(order, link, records, nanoseconds=form == "pcap-nano")


def pcap(order, link, records, nanoseconds):
    magic = 0xA1B23C4D if nanoseconds else 0xA1B2C3D4
    octets = struct.pack(order + "IHHiIII", magic, 2, 4, 0, 0, 262144, link)
    for time, captured, original in records:
        fraction = time % 10**9 // (1 if nanoseconds else 1000)
        octets += struct.pack(order + "IIII", time // 10**9, fraction, len(captured), original) + captured
    return octets


def pcapng(order, link, records):
    """Three interfaces of one link type with microseconds, nanoseconds and 2^-10 s, taken in turn."""
    resolutions = ((6, 10**6), (9, 10**9), (0x80 | 10, 2**10))
    octets = section(order) + b"".join(interface(order, link, resolution) for resolution, _ in resolutions)
    octets += block(order, 0x0BAD, b"a block of an unknown type")
    for number, record in enumerate(records):
        chosen = number % len(resolutions)
        octets += packet(order, chosen, record, units=resolutions[chosen][1])
    return octets


def mixed(ethernet, raw):
    """Two sections of different byte orders; interfaces of Ethernet, RAW, and a link type that nobody can read.

    Gives the file and its records with their link types, in order.
    """
    octets, kept = b"", []
    for order, offset in (("<", 0), (">", 1_000_000_000)):
        octets += section(order)
        octets += interface(order, RAW, 6) + interface(order, ETHERNET, 9, offset) + interface(order, 113, 6)
        for one, other in zip(ethernet, raw):
            shifted = (one[0] - offset * 10**9, *one[1:])
            octets += packet(order, 1, shifted, units=10**9) + packet(order, 0, other, units=10**6)
            octets += packet(order, 2, other, units=10**6) + obsolete(order, 0, other)
            octets += block(order, 3, struct.pack(order + "I", len(other[1])) + other[1])
            kept += [(ETHERNET, one), (RAW, other), (113, other), (RAW, other), (RAW, (0, *other[1:]))]
    return octets, kept


def section(order):
    return block(order, 0x0A0D0D0A, struct.pack(order + "IHHq", 0x1A2B3C4D, 1, 0, -1))


def interface(order, link, resolution, offset=0):
    options = struct.pack(order + "HH4s", 2, 4, b"eth0") + struct.pack(order + "HHB3x", 9, 1, resolution)
    options += struct.pack(order + "HHq", 14, 8, offset) + struct.pack(order + "HH", 0, 0)
    return block(order, 1, struct.pack(order + "HHI", link, 0, 262144) + options)


def packet(order, interface, record, units):
    time, captured, original = record
    stamp = time * units // 10**9
    fields = (interface, stamp >> 32, stamp & 0xFFFFFFFF, len(captured), original)
    return block(order, 6, struct.pack(order + "IIIII", *fields) + captured)


def obsolete(order, interface, record):
    time, captured, original = record
    stamp = time // 1000
    fields = (interface, 0, stamp >> 32, stamp & 0xFFFFFFFF, len(captured), original)
    return block(order, 2, struct.pack(order + "HHIIII", *fields) + captured)


def block(order, kind, body):
    body += bytes(-len(body) % 4)
    length = struct.pack(order + "I", 12 + len(body))
    return struct.pack(order + "I", kind) + length + body + length
