"""Generates captures for `keyweave inspect` with the verdicts that the reference implementation gives.

    packets.py DIRECTORY [--seed N] [--packets N]

writes keys.yaml, and for each capture format NAME.pcap or NAME.pcapng, NAME.json (the capture time is the clock) and
NAME.any.json (--any-epoch). The same seed gives the same files.
"""

import argparse
import itertools
import os
import random
import struct
from collections import Counter

import captures
import outer
import reference
from vectors import write_private

TIME = 1_790_000_000
SHAPES = ((1,), (2,), (3,), (1, 2), (1, 3), (2, 3), (1, 2, 3))


class Generator:
    def __init__(self, seed):
        self.random = random.Random(seed)
        self.groups = self.make_groups()

    def chance(self, percent):
        return self.random.random() * 100 < percent

    # Keys

    def make_groups(self):
        groups = []
        for number, levels in enumerate(SHAPES + SHAPES[3:]):
            roots = [self.make_root(level) for level in levels]
            groups.append(reference.Group(f"group-{number}", roots, period=self.random.choice((60, 600, 1800, 77))))
        groups[3].default = True
        groups[0].max_coffset, groups[0].max_ioffset = 255, 15
        groups[1].max_coffset, groups[2].max_ioffset = 0, 3
        # A root key may serve several groups; IDs that YAML could take for numbers must stay text.
        groups[4].roots[0] = groups[3].roots[0]
        groups[5].roots[0].id = bytes.fromhex("00112233445566778899001122334455")
        groups[6].roots[0].id = bytes.fromhex("1234567890123456789012345678e123")
        return groups

    def make_root(self, level):
        identifier = self.random.randbytes(self.random.choice((16, 20, 24, 28, 32)))
        current = self.random.choice((1, 7, 255, 256, 65535, 2**63 - 1, 2**64 - 2, self.random.getrandbits(40) + 1))
        held = self.random.choice(((0,), (-1, 0), (0, 1), (-1, 0, 1)))
        keys = {current + generation: self.random.randbytes(32) for generation in held}
        return reference.RootKey(level, identifier, current, keys)

    # Payloads of every form, and of none

    def payload(self):
        body = self.random.randbytes(self.random.choice((0, 1, 8, 60, 300)))
        padding = self.random.choice((0, 0, 1, 4, 255))
        form = self.random.choices(("ipv4", "ipv6", "transport", "ethernet", "dummy", "wrong"), (5, 5, 4, 3, 2, 3))[0]
        if form == "ipv4":
            options = bytes(self.random.choice((0, 0, 4, 40)))
            return outer.ipv4(reference.address("10.0.0.1"), 17, outer.udp(body), options=options) + bytes(padding)
        if form == "ipv6":
            return outer.ipv6(reference.address("2001:db8:a::1"), 17, outer.udp(body)) + bytes(padding)
        if form == "wrong":
            return self.wrong_payload(body)
        following = {"transport": self.random.choice((6, 17, 1)), "ethernet": 143, "dummy": 59}[form]
        if form == "ethernet":
            body = outer.ethernet(body)
        return bytes([0, 0, following, padding]) + body + bytes(padding)

    def wrong_payload(self, body):
        good = outer.ipv4(reference.address("10.0.0.1"), 17, outer.udp(body))
        return self.random.choice(
            (
                b"",
                bytes([self.random.choice((0x10, 0x35, 0x5F, 0x7F, 0xF0))]) + body,
                bytes([0x44]) + good[1:],
                good[:19],
                good[:2] + struct.pack(">H", len(good) + 1) + good[4:],
                good[:2] + struct.pack(">H", 19) + good[4:],
                bytes([0x4F]) + good[1:2] + struct.pack(">H", 59) + good[4:] + bytes(60),
                (6 << 28).to_bytes(4, "big") + bytes(35),
                struct.pack(">IH", 6 << 28, len(body) + 1) + bytes(34) + body,
                bytes(3),
                bytes([0, 0, 17, len(body) + 1 & 255]) + body[:255],
                bytes([0, 0, 59, len(body) + 1 & 255]) + body[:255],
                bytes([0, 0, 143, 0]) + bytes(13),
                bytes([0, 0, 143, 5]) + bytes(18),
            )
        )

    # Protected packets

    def packet(self, source, seconds):
        """A sealed packet: mostly right, with mistakes that are sealed in, so that every later check still passes."""
        group = self.random.choice(self.groups)
        optional = not group.default or self.chance(50)
        generations = [self.random.choice(list(root.keys)) for root in group.roots]
        named = [(root.level, root.id, generation) for root, generation in zip(group.roots, generations)]
        variant = self.random.choice((0, 1, 4, 5, 8, 9, 10, 11, 12, 13))
        payload = self.payload()
        header = reference.Header(variant, self.random.randbytes(8 if variant & 8 else 4), 0, self.random.getrandbits(48))
        near = self.random.choice((0, 0, 0, -1, 1)) if self.chance(90) else self.random.choice((-2, 2, 3, 32768))
        header.epoch = (seconds // group.period + near) % 65536
        if self.chance(40):
            header.coffset = min(self.random.choice((1, 3, 5, 10, 16, 17)), len(payload) // 4)
            header.ioffset = min(header.coffset, 15, self.random.choice((0, 0, 0, 1, 3, 4, 15)))
        if optional:
            pad = self.random.choice((0, 0, 0, 255))
            header.reserve = self.random.choice((0, 0, self.random.getrandbits(8)))
        else:
            header.reserve = self.reserve(group, generations)
        if self.chance(12):
            named = self.misname(named)
        if optional:
            header.options = b"".join(reference.option(*triple, padding=pad) for triple in named)
        if self.chance(12):
            self.misform(header)
        master = reference.master_key(group.roots, generations)
        key = reference.data_key(master, header.variant, header.id, header.epoch, source)
        return reference.seal(header, payload, key)

    def reserve(self, group, generations):
        """Bits of absent levels are ignored by receivers, so they may be anything."""
        octet = self.random.getrandbits(8) if self.chance(20) else 0
        for root, generation in zip(group.roots, generations):
            shift = 2 * (root.level - 1)
            octet = octet & ~(3 << shift) | generation % 4 << shift
        return octet ^ (1 << self.random.randrange(8) if self.chance(10) else 0)

    def misname(self, named):
        level, identifier, generation = named[-1]
        other = self.random.choice(self.random.choice(self.groups).roots)
        return self.random.choice(
            (
                named[:-1] + [(level, identifier, generation + self.random.choice((1, 2, 3, 128)))],
                named[:-1] + [(level, bytes([identifier[0] ^ 1]) + identifier[1:], generation)],
                named[:-1] + [(self.random.choice((0, 1, 2, 3, 4)), identifier, generation)],
                named[:-1] + [(level, identifier[: self.random.randrange(len(identifier))], generation)],
                named[:-1] + [(level, identifier + bytes(4), generation)],
                named[:-1] + [(other.level, other.id, other.current)],
                named[::-1],
                named + named[-1:],
                named[1:],
            )
        )

    def misform(self, header):
        kind = self.random.randrange(7)
        if kind == 0:
            header.version = self.random.randrange(16)
        elif kind == 1:
            header.units = self.random.randrange(16)
        elif kind == 2:
            header.variant = self.random.randrange(16)
        elif kind == 3:
            header.padding = self.random.choice((bytes(12), bytes(4), b"\0\0\0\1", bytes(8), b""))
        elif kind == 4:
            header.ioffset = self.random.randrange(16)
        elif kind == 5:
            header.coffset = self.random.randrange(256)
        elif kind == 6:
            header.id = self.random.randbytes(self.random.choice((0, 4, 8)))

    def damage(self, octets):
        """Random damage: flipped bits, written octets, a cut, something appended."""
        octets = bytearray(octets)
        kind = self.random.randrange(5)
        if kind == 0 and octets:
            octets[self.random.randrange(len(octets))] ^= 1 << self.random.randrange(8)
        elif kind == 1:
            for _ in range(self.random.randrange(1, 6)):
                if octets:
                    octets[self.random.randrange(min(len(octets), 64))] = self.random.getrandbits(8)
        elif kind == 2:
            del octets[self.random.randrange(len(octets) + 1) :]
        elif kind == 3:
            octets += self.random.randbytes(self.random.randrange(1, 40))
        elif octets:
            start = self.random.randrange(len(octets))
            del octets[start : start + self.random.randrange(1, 9)]
        return bytes(octets)

    # What goes around them

    def source(self):
        sources = ("192.0.2.1", "10.1.2.3", "2001:db8::5", "::ffff:192.0.2.1")
        return reference.address(self.random.choices(sources, (5, 5, 8, 1))[0])

    def record(self, number, raw):
        """(time in nanoseconds, captured octets, original length)"""
        seconds = TIME + number * 7 + self.random.randrange(5)
        source = self.source()
        packet = self.packet(source, seconds)
        if self.chance(25):
            packet = self.damage(packet)
        elif self.chance(6):
            packet = self.random.choice((b"\xff", b"", b"\xfe", b"\xff\xff", self.random.randbytes(40), bytes(16)))
        octets = self.ip(source, packet)
        if not raw:
            tags = [(self.random.choice(outer.TPIDS), self.random.getrandbits(16)) for _ in range(self.random.choice((0, 0, 1, 2)))]
            if self.chance(2):
                tags = [(0x8100, 1)] * 3
            octets = outer.ethernet(octets, tags, padding=self.random.choice((0, 60, 64)))
            if self.chance(2):
                octets = octets[:12] + self.random.choice((b"\x08\x06", b"\x88\xcc", b"\x00\x20")) + octets[14:]
        length = len(octets)
        if self.chance(4):
            octets = octets[: self.random.randrange(length + 1)]
        elif self.chance(6):
            octets = self.damage(octets)
            length = len(octets)
        return seconds * 10**9 + self.random.randrange(10**9), octets, length

    def ip(self, source, packet):
        protocol, upper = outer.EESP, packet
        if self.chance(60):
            port = outer.PORT if self.chance(95) else self.random.choice((4501, 500, 53))
            source_port = self.random.choice((4500, 49152, 65535))
            length = None
            if self.chance(5):
                length = 8 + len(packet) + self.random.choice((1, 20, -1, -8, -9, -20, 60000))
                length = max(0, min(length, 65535))
            protocol, upper = outer.UDP, outer.udp(packet, port, source_port, length)
        elif self.chance(5):
            protocol = self.random.choice((1, 6, 50, 254))
        upper += bytes(self.random.choice((0, 0, 0, 0, 0, 4))) if protocol == outer.UDP else b""
        fields = {}
        if source.version == 4:
            fields["options"] = bytes([1] * self.random.choice((0, 0, 0, 4, 40)))
            if self.chance(5):
                fields["flags"] = self.random.choice((0x2000, 0x0001, 0x1FFF, 0x8000, 0x0000))
            if self.chance(3):
                fields["total"] = self.random.choice((0, 19, 20, len(upper), len(upper) + 21, 65535))
            return outer.ipv4(source, protocol, upper, **fields)
        if self.chance(25):
            fields["extensions"] = self.extensions()
        if self.chance(3):
            fields["length"] = self.random.choice((0, 7, 8, len(upper) // 2, len(upper) + 1, 65535))
        return outer.ipv6(source, protocol, upper, **fields)

    def extensions(self):
        known = (
            (outer.HOP_BY_HOP, b"\0\1\4\0\0\0\0"),
            (outer.DESTINATION, b"\1\1\14" + bytes(12)),
            (outer.ROUTING, b"\0\4\0\0\0\0\0"),
            (outer.FRAGMENT, b"\0\0\0\0\0\0\1"),  # atomic
            (outer.FRAGMENT, b"\0\0\1\0\0\0\1"),
            (outer.FRAGMENT, b"\0\0\x08\0\0\0\1"),
            (outer.AUTHENTICATION, b"\4" + bytes(22)),
            (outer.DESTINATION, b"\xff\1\4\0\0\0\0"),  # longer than the packet
        )
        chosen = self.random.choices(known, (5, 5, 5, 2, 1, 1, 2, 1), k=self.random.choice((1, 1, 2, 3)))
        fragments = [extension for extension in chosen if extension[0] == outer.FRAGMENT]
        return [extension for extension in chosen if extension not in fragments[1:]]

    def expected(self, records, any_epoch):
        """records: (link type, record)"""
        lines = []
        for number, (link, (time, octets, _)) in enumerate(records, start=1):
            found = outer.protected(octets, link == captures.RAW) if link in (captures.RAW, captures.ETHERNET) else None
            if found is None:
                lines.append(reference.line(number, "other"))
                continue
            packet, over_udp, source = found
            clock = None if any_epoch else time // 10**9
            lines.append(reference.verdict_line(number, packet, self.groups, over_udp, source, clock))
        return lines


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("directory")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--packets", type=int, default=840)
    arguments = parser.parse_args()
    generator = Generator(arguments.seed)
    path = lambda name: os.path.join(arguments.directory, name)
    quote = quoted(itertools.cycle((str, "'{}'".format, '"{}"'.format)))
    write_private(path("keys.yaml"), reference.keys_yaml(generator.groups, quote))
    kinds = list(itertools.product(captures.FORMATS, captures.ORDERS, (captures.ETHERNET, captures.RAW)))
    files, made = {}, {}
    for form, order, link in kinds:
        raw = link == captures.RAW
        made[link] = [generator.record(number, raw) for number in range(arguments.packets // len(kinds))]
        name = f"{form}-{order}-{'raw' if raw else 'ethernet'}"
        octets = captures.capture(form, order, link, made[link])
        files[name] = (form.split("-")[0], octets, [(link, record) for record in made[link]])
    files["mixed"] = ("pcapng", *captures.mixed(made[captures.ETHERNET][:20], made[captures.RAW][:20]))
    totals = Counter()
    for name, (extension, octets, records) in files.items():
        with open(path(f"{name}.{extension}"), "wb") as file:
            file.write(octets)
        for suffix, any_epoch in ((".json", False), (".any.json", True)):
            lines = generator.expected(records, any_epoch)
            with open(path(name + suffix), "w", encoding="ascii") as file:
                file.write("".join(line + "\n" for line in lines))
            totals.update(verdict_name(line) for line in lines)
    print(", ".join(f"{count} {name}" for name, count in sorted(totals.items())))


def quoted(styles):
    """Every style of a YAML scalar in turn, but never quotes around what YAML could take for a number."""
    return lambda text: text if set(text) <= set("0123456789e") else next(styles)(text)


def verdict_name(line):
    return line.split('"reason":"')[1].rstrip('"}') if '"reason"' in line else line.split('"')[5]


if __name__ == "__main__":
    main()
