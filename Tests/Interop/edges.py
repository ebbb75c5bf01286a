"""Cases at the edge of what is "other", `malformed` or fine, each with its verdict written down here.

    edges.py DIRECTORY

writes keys.yaml, edges.pcap and edges.json.
"""

import os
import sys

import captures
import outer
import reference
from vectors import write_private

TIME = 1_790_000_000
V4, V6, MAPPED = (reference.address(text) for text in ("192.0.2.1", "2001:db8::5", "::ffff:192.0.2.1"))
GROUP = reference.Group("edge", [reference.RootKey(1, bytes(range(16)), 7, {7: bytes(range(32))})], default=True)
PAYLOAD = bytes([0, 0, 17, 0]) + outer.udp(b"ping")


def sealed(source, variant=0, epoch=TIME // 600, payload=PAYLOAD, generation=7, reserve=0, **fields):
    identifier = bytes.fromhex("0000002a")
    options = reference.option(1, GROUP.roots[0].id, generation)
    header = reference.Header(variant, identifier, epoch % 65536, 77, options, reserve, **fields)
    key = reference.data_key(reference.master_key(GROUP.roots, [7]), variant, identifier, epoch % 65536, source)
    return reference.seal(header, payload, key)


def cases():
    """(verdict, frame, octets captured or None for all)"""
    packet = sealed(V4)
    over_udp = outer.udp(packet)

    def v4(upper, protocol=outer.UDP, **fields):
        return outer.ethernet(outer.ipv4(V4, protocol, upper, **fields))

    def v6(extensions, upper=outer.udp(sealed(V6))):
        return outer.ethernet(outer.ipv6(V6, outer.UDP, upper, extensions=extensions))

    whole = v4(over_udp)
    for verdict, frame in (
        ("open", whole),
        ("open", whole + bytes(20)),  # the link's padding
        ("open", v4(packet, outer.EESP)),
        ("open", v4(outer.udp(packet, length=8 + len(packet)) + bytes(9))),  # the datagram ends before its packet
        ("open", v4(over_udp, options=b"\1" * 40)),
        ("open", v4(over_udp, flags=0x8000)),  # the reserved bit
        ("open", outer.ethernet(outer.ipv4(V4, outer.UDP, over_udp), tags=[(0x88A8, 5), (0x8100, 0xFFFF)])),
        ("other", outer.ethernet(outer.ipv4(V4, outer.UDP, over_udp), tags=[(0x8100, 1)] * 3)),
        ("other", outer.ethernet(outer.ipv4(V4, outer.UDP, over_udp), ether_type=0x86DD)),
        ("other", outer.ethernet(outer.ipv4(V4, outer.UDP, over_udp), ether_type=0x0806)),
        # Fragments, the first one too; an atomic one is whole.
        ("other", v4(over_udp, flags=0x2000)),
        ("other", v4(over_udp, flags=0x0001)),
        ("other", v6([(outer.FRAGMENT, b"\0\0\1\0\0\0\1")])),
        ("other", v6([(outer.FRAGMENT, b"\0\0\x08\0\0\0\1")])),
        ("open", v6([(outer.FRAGMENT, b"\0\0\0\0\0\0\1")])),
        ("open", v6([(outer.HOP_BY_HOP, b"\0\1\4\0\0\0\0"), (outer.DESTINATION, b"\1\1\x0c" + bytes(12))])),
        ("other", v6([(outer.DESTINATION, b"\xff\1\4\0\0\0\0")])),  # longer than the packet
        # Lengths.
        ("other", v4(over_udp, total=20 + len(over_udp) + 1)),
        ("other", v4(over_udp, total=19)),
        ("other", v4(outer.udp(packet, length=len(over_udp) + 1))),
        ("other", v4(over_udp[:7])),
        ("malformed", v4(outer.udp(packet, length=7))),  # came to the port, and nothing is left
        ("malformed", v4(outer.udp(b""))),
        ("malformed", v4(b"", outer.EESP)),
        ("malformed", v4(outer.udp(bytes(15)))),
        ("version", v4(outer.udp(bytes(16)))),
        # Ports, protocols.
        ("other", v4(outer.udp(packet, port=4501))),
        ("other", v4(outer.udp(packet, port=53, source_port=4500))),
        ("other", v4(packet, 254)),
        # A keep-alive exists on UDP only.
        ("keepalive", v4(outer.udp(b"\xff"))),
        ("malformed", v4(b"\xff", outer.EESP)),
        ("malformed", v4(outer.udp(b"\xfe"))),
        ("malformed", v4(outer.udp(b"\xff\xff"))),
        # A mapped source, in the one context that looks at the source.
        ("open", outer.ethernet(outer.ipv6(MAPPED, outer.EESP, sealed(MAPPED)))),
        ("malformed", outer.ethernet(outer.ipv6(MAPPED, outer.EESP, sealed(MAPPED, variant=4)))),
        ("open", v4(sealed(V4, variant=4), outer.EESP)),
        # The capture time is the clock.
        ("open", v4(sealed(V4, epoch=TIME // 600 - 1), outer.EESP)),
        ("open", v4(sealed(V4, epoch=TIME // 600 + 1), outer.EESP)),
        ("epoch", v4(sealed(V4, epoch=TIME // 600 - 2), outer.EESP)),
        ("epoch", v4(sealed(V4, epoch=TIME // 600 + 2), outer.EESP)),
        # The first check that fails names the drop.
        ("epoch", v4(sealed(V4, epoch=5, generation=9, payload=bytes(80), coffset=17), outer.EESP)),
        ("policy-offset", v4(sealed(V4, generation=9, payload=bytes(80), coffset=17), outer.EESP)),
        ("policy-offset", v4(sealed(V4, payload=bytes(80), coffset=1, ioffset=1), outer.EESP)),
        ("unknown-key", v4(sealed(V4, generation=9), outer.EESP)),
        ("authentication", v4(sealed(V4)[:-1] + b"\0", outer.EESP)),
        ("malformed-inner", v4(sealed(V4, payload=b""), outer.EESP)),
        ("dummy", v4(sealed(V4, payload=bytes([0, 0, 59, 3]) + bytes(3)), outer.EESP)),
        ("malformed-inner", v4(sealed(V4, payload=bytes([0, 0, 59, 4]) + bytes(3)), outer.EESP)),
    ):
        yield verdict, frame, None
    yield "other", whole, len(whole) - 1  # captured short
    yield "open", whole + bytes(20), len(whole)  # only padding was not captured
    yield "other", whole, 13
    yield "other", whole, 0


def main():
    records, lines = [], []
    for number, (verdict, frame, count) in enumerate(cases(), start=1):
        captured = frame if count is None else frame[:count]
        records.append((TIME * 10**9, captured, len(frame)))
        if verdict == "other":
            lines.append(reference.line(number, "other"))
        elif verdict == "open":
            found = outer.protected(captured, raw=False)
            lines.append(reference.verdict_line(number, found[0], [GROUP], found[1], found[2], TIME))
        else:
            lines.append(reference.line(number, "drop", reason=verdict))
        expected = f'"verdict":"{verdict}"' if verdict in ("open", "other") else f'"reason":"{verdict}"'
        assert expected in lines[-1], (number, verdict, lines[-1])
    write_private(os.path.join(sys.argv[1], "keys.yaml"), reference.keys_yaml([GROUP]))
    with open(os.path.join(sys.argv[1], "edges.pcap"), "wb") as file:
        file.write(captures.capture("pcap", "little", captures.ETHERNET, records))
    with open(os.path.join(sys.argv[1], "edges.json"), "w", encoding="ascii") as file:
        file.write("".join(line + "\n" for line in lines))


if __name__ == "__main__":
    main()
