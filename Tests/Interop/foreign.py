"""Captures that other programs built: the positive vectors in frames made by scapy's layers and written by scapy.

    foreign.py VECTORS DIRECTORY

writes NAME.yaml, NAME.json, NAME.pcap and NAME.pcapng for some vectors. Needs Debian's python3-scapy.
"""

import json
import logging
import os
import sys

logging.getLogger("scapy.runtime").setLevel(logging.ERROR)

from scapy.layers.inet import IP, UDP  # noqa: E402
from scapy.layers.inet6 import IPv6, IPv6ExtHdrDestOpt, IPv6ExtHdrFragment, IPv6ExtHdrHopByHop  # noqa: E402
from scapy.layers.inet import IPOption_NOP  # noqa: E402
from scapy.layers.l2 import ARP, Dot1AD, Dot1Q, Ether  # noqa: E402
from scapy.packet import Raw  # noqa: E402
from scapy.utils import PcapNgWriter, wrpcap  # noqa: E402

import reference  # noqa: E402
import vectors  # noqa: E402


def frames(packet, source):
    """(frame, whether it carries the packet)"""
    ethernet = Ether(src="02:00:00:00:00:01", dst="02:00:00:00:00:02")
    udp = UDP(sport=50123, dport=4500) / Raw(packet)
    if source.version == 4:
        network = IP(src=str(source), dst="198.51.100.1")
        padded = IP(src=str(source), dst="198.51.100.1", options=[IPOption_NOP()] * 4)
        yield ethernet / padded / udp, True
        yield ethernet / IP(src=str(source), dst="198.51.100.1", flags="MF") / udp, False
        yield ethernet / IP(src=str(source), dst="198.51.100.1", frag=2) / udp, False
        yield ethernet / IP(src=str(source), dst="198.51.100.1", proto=253) / Raw(packet), True
    else:
        network = IPv6(src=str(source), dst="2001:db8::99")
        yield ethernet / network / IPv6ExtHdrHopByHop() / IPv6ExtHdrDestOpt() / udp, True
        yield ethernet / network / IPv6ExtHdrFragment(offset=0, m=1) / udp, False
        yield ethernet / IPv6(src=str(source), dst="2001:db8::99", nh=253) / Raw(packet), True
    yield ethernet / network / udp, True
    yield ethernet / Dot1Q(vlan=7) / network / udp, True
    yield ethernet / Dot1AD(vlan=8) / Dot1Q(vlan=7) / network / udp, True
    yield ethernet / network / UDP(sport=4500, dport=4501) / Raw(packet), False
    yield ethernet / ARP(), False


def main():
    with open(sys.argv[1], encoding="ascii") as file:
        positive = json.load(file)["positive"]
    for vector in positive[:5]:
        source = reference.address(vector["outer_source"])
        made = list(frames(bytes.fromhex(vector["packet"]), source))
        lines = []
        for number, (_, carries) in enumerate(made, start=1):
            lines.append(vectors.verdict(number, vector, vector) if carries else reference.line(number, "other"))
        stem = os.path.join(sys.argv[2], vector["name"])
        vectors.write_private(stem + ".yaml", reference.keys_yaml(vectors.groups_of(vector)))
        wrpcap(stem + ".pcap", [frame for frame, _ in made])
        with PcapNgWriter(stem + ".pcapng") as writer:
            for frame, _ in made:
                writer.write(frame)
        with open(stem + ".json", "w", encoding="ascii") as file:
            file.write("".join(line + "\n" for line in lines))


if __name__ == "__main__":
    main()
