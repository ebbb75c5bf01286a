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
    octets = block(order, 0x0A0D0D0A, struct.pack(order + "IHHq", 0x1A2B3C4D, 1, 0, -1))
    resolutions = ((6, 10**6), (9, 10**9), (0x80 | 10, 2**10))
    for resolution, _ in resolutions:
        tsresol = struct.pack(order + "HHB3xHH", 9, 1, resolution, 0, 0)
        octets += block(order, 1, struct.pack(order + "HHI", link, 0, 262144) + tsresol)
    octets += block(order, 0x0BAD, b"a block of an unknown type")
    for number, (time, captured, original) in enumerate(records):
        interface = number % len(resolutions)
        stamp = time * resolutions[interface][1] // 10**9
        fields = (interface, stamp >> 32, stamp & 0xFFFFFFFF, len(captured), original)
        octets += block(order, 6, struct.pack(order + "IIIII", *fields) + captured)
    return octets


def block(order, kind, body):
    body += bytes(-len(body) % 4)
    length = struct.pack(order + "I", 12 + len(body))
    return struct.pack(order + "I", kind) + length + body + length
