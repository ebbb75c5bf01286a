"""Outer headers around a protected packet, and the rule by which `inspect` takes a packet for a protected one."""

import ipaddress
import struct

UDP, EESP = 17, 253
PORT = 4500
TPIDS = (0x8100, 0x88A8)
HOP_BY_HOP, ROUTING, FRAGMENT, AUTHENTICATION, DESTINATION, MOBILITY, HIP, SHIM6 = 0, 43, 44, 51, 60, 135, 139, 140


def checksum(octets):
    octets += bytes(len(octets) % 2)
    total = sum(struct.unpack(f">{len(octets) // 2}H", octets))
    while total >> 16:
        total = (total & 0xFFFF) + (total >> 16)
    return ~total & 0xFFFF


def udp(payload, port=PORT, source_port=50000, length=None):
    length = 8 + len(payload) if length is None else length
    return struct.pack(">HHHH", source_port, port, length & 0xFFFF, 0) + payload


def ipv4(source, protocol, payload, options=b"", flags=0x4000, total=None):
    words = 5 + len(options) // 4
    total = 4 * words + len(payload) if total is None else total
    destination = ipaddress.ip_address("198.51.100.1")
    fields = (0x40 | words, 0, total & 0xFFFF, 0x1234, flags, 64, protocol, 0, source.packed, destination.packed)
    header = struct.pack(">BBHHHBBH4s4s", *fields) + options
    return header[:10] + struct.pack(">H", checksum(header)) + header[12:] + payload


def ipv6(source, protocol, payload, extensions=(), length=None):
    """extensions: (kind, octets without the Next Header octet), outermost first."""
    kinds = [kind for kind, _ in extensions] + [protocol]
    chain = b"".join(bytes([following]) + octets for (_, octets), following in zip(extensions, kinds[1:]))
    length = len(chain) + len(payload) if length is None else length
    destination = ipaddress.ip_address("2001:db8:ffff::1")
    fixed = struct.pack(">IHBB", 6 << 28, length & 0xFFFF, kinds[0], 64)
    return fixed + source.packed + destination.packed + chain + payload


def ip(source, protocol, payload, **fields):
    return (ipv4 if source.version == 4 else ipv6)(source, protocol, payload, **fields)


def ethernet(packet, tags=(), ether_type=None, padding=0):
    if ether_type is None:
        ether_type = 0x86DD if packet[:1] and packet[0] >> 4 == 6 else 0x0800
    octets = bytes.fromhex("020000000002020000000001")
    for tpid, control in tags:
        octets += struct.pack(">HH", tpid, control)
    octets += struct.pack(">H", ether_type) + packet
    return octets + bytes(max(0, padding - len(octets)))


def protected(octets, raw):
    """(packet from the security header on, over UDP, outer source), or None for "other"."""
    family = None
    if not raw:
        if len(octets) < 14:
            return None
        kind, octets = struct.unpack(">H", octets[12:14])[0], octets[14:]
        for _ in range(2):
            if kind in TPIDS:
                if len(octets) < 4:
                    return None
                kind, octets = struct.unpack(">H", octets[2:4])[0], octets[4:]
        family = {0x0800: 4, 0x86DD: 6}.get(kind)
        if family is None:
            return None
    if not octets or (family or octets[0] >> 4) != octets[0] >> 4:
        return None
    upper = {4: upper_of_ipv4, 6: upper_of_ipv6}.get(octets[0] >> 4, lambda _: None)(octets)
    if upper is None:
        return None
    source, protocol, payload = upper
    if protocol == EESP:
        return payload, False, source
    if protocol != UDP or len(payload) < 8:
        return None
    port, length = struct.unpack(">HH", payload[2:6])
    if port != PORT or length > len(payload):
        return None
    return payload[8:length], True, source  # a length under 8 leaves nothing: fewer than 16 octets, malformed


def upper_of_ipv4(octets):
    if len(octets) < 20:
        return None
    header, total = 4 * (octets[0] & 15), struct.unpack(">H", octets[2:4])[0]
    if not 20 <= header <= total <= len(octets):
        return None
    if struct.unpack(">H", octets[6:8])[0] & 0x3FFF:
        return None
    return ipaddress.ip_address(octets[12:16]), octets[9], octets[header:total]


def upper_of_ipv6(octets):
    if len(octets) < 40:
        return None
    length, kind = struct.unpack(">HB", octets[4:7])
    if 40 + length > len(octets):
        return None
    source, payload = ipaddress.ip_address(octets[8:24]), octets[40 : 40 + length]
    while kind in (HOP_BY_HOP, ROUTING, FRAGMENT, AUTHENTICATION, DESTINATION, MOBILITY, HIP, SHIM6):
        if len(payload) < 8:
            return None
        size = 8 * payload[1] + 8
        if kind == FRAGMENT:
            size = 8
            if struct.unpack(">H", payload[2:4])[0] & 0xFFF9:  # an atomic fragment (RFC 6946) is whole
                return None
        elif kind == AUTHENTICATION:
            size = 4 * payload[1] + 8
        if size > len(payload):
            return None
        kind, payload = payload[0], payload[size:]
    return source, kind, payload
