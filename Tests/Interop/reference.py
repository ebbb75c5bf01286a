"""An independent implementation of the wire format: what Keyweave's own code is tested against.

Written from the specification alone, for clarity and not for speed. It seals any packet, right or wrong, and gives the
verdict of section 6 for any octets. Needs Debian's python3-cryptography.
"""

import ipaddress
import json
import struct
from dataclasses import dataclass, field

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives import hashes, hmac
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.ciphers.algorithms import AES
from cryptography.hazmat.primitives.kdf.kbkdf import CounterLocation, KBKDFCMAC, Mode

LEVELS = {1: "trust-region", 2: "user-group", 3: "task-group"}
OPTION_LENGTHS = (18, 22, 26, 30, 34)
DEVICE, CONNECTION, SOURCE_ADDRESS, RESERVED_CONTEXT = range(4)
TAG = 16
VERSION = 0xF


# Keys (section 2)


@dataclass
class RootKey:
    level: int
    id: bytes
    current: int
    keys: dict  # generation number: 32 octets, for the generations previous, current and next


@dataclass
class Group:
    name: str
    roots: list  # rising levels
    default: bool = False
    period: int = 600
    max_coffset: int = 16
    max_ioffset: int = 0

    def pairs(self):
        return [(root.level, root.id) for root in self.roots]


def option(level, identifier, generation, padding=0):
    return struct.pack(">BBBB", level, 2 + len(identifier), generation % 256, padding) + identifier


def master_key(roots, generations):
    combined = bytes(32)
    message = b"EESP stateless master key"
    for root, generation in zip(roots, generations):
        combined = bytes(a ^ b for a, b in zip(combined, root.keys[generation]))
        message += option(root.level, root.id, generation)
    mac = hmac.HMAC(combined, hashes.SHA256())
    mac.update(message)
    return mac.finalize()


def data_key(master, variant, identifier, epoch, source):
    """identifier: 4 or 8 octets; source: an ipaddress object, used in the source address context only."""
    context = identifier.rjust(8, b"\0") + struct.pack(">H", epoch)
    if variant >> 1 & 3 == SOURCE_ADDRESS:
        context += mapped(source)
    length = 16 if variant & 1 else 32
    label = b"E" + bytes([0x40 + variant])
    # fmt: off
    return KBKDFCMAC(AES, Mode.CounterMode, length, rlen=1, llen=2, location=CounterLocation.BeforeFixed,
                     label=label, context=context, fixed=None).derive(master)
    # fmt: on


def mapped(address):
    return address.packed if address.version == 6 else bytes(10) + b"\xff\xff" + address.packed


# Sealing: every field can be given, also wrongly


@dataclass
class Header:
    variant: int
    id: bytes
    epoch: int
    counter: int
    options: bytes = b""
    reserve: int = 0
    coffset: int = 0
    ioffset: int = 0
    version: int = VERSION
    units: int = None  # HL; worked out when None
    padding: bytes = None  # between options and Epoch; worked out when None

    def encode(self):
        body = self.id + self.options
        padding = self.padding
        if padding is None:
            padding = bytes(-(4 + len(body) + 8) % 8)
        body += padding + struct.pack(">H", self.epoch) + self.counter.to_bytes(6, "big")
        units = (4 + len(body)) // 8 - 1 if self.units is None else self.units
        word = self.version << 28 | (units & 15) << 24 | self.variant << 20
        word |= self.reserve << 12 | self.coffset << 4 | self.ioffset
        return struct.pack(">I", word) + body

    def nonce(self):
        return self.id[-4:] + struct.pack(">H", self.epoch) + self.counter.to_bytes(6, "big")


def seal(header, payload, key):
    octets = header.encode()
    clear, secret = payload[: 4 * header.coffset], payload[4 * header.coffset :]
    return octets + clear + AESGCM(key).encrypt(header.nonce(), secret, octets + clear[4 * header.ioffset :])


# Opening: the order of checks of section 6


class Drop(Exception):
    pass


def check(condition, reason):
    if not condition:
        raise Drop(reason)


@dataclass
class Opened:
    variant: int
    id: bytes
    epoch: int
    counter: int
    coffset: int
    ioffset: int
    options: list  # (level, id, generation octet)
    payload: bytes = field(repr=False, default=b"")


def open_packet(packet, groups, over_udp, source, time=None):
    """The opened packet, or Drop. time is the receiver's clock in seconds; None accepts every epoch."""
    check(not (over_udp and packet == b"\xff"), "keepalive")
    check(len(packet) >= 16, "malformed")
    word = struct.unpack(">I", packet[:4])[0]
    check(word >> 28 == VERSION, "version")
    units, variant, reserve = word >> 24 & 15, word >> 20 & 15, word >> 12 & 255
    coffset, ioffset = word >> 4 & 255, word & 15
    size = 8 * units + 8
    check(units > 0 and size <= len(packet), "malformed")
    wide, context = variant >> 3, variant >> 1 & 3
    check(context != RESERVED_CONTEXT and (context != CONNECTION or wide), "variant")

    identifier = packet[4 : 12 if wide else 8]
    options = parse_options(packet[4 + len(identifier) : size - 8], size - 12 - len(identifier))
    check(context != SOURCE_ADDRESS or source.version == 4 or source.ipv4_mapped is None, "malformed")
    check(ioffset <= coffset and len(packet) - size >= 4 * coffset + TAG, "malformed")

    if options:
        named = [group for group in groups if group.pairs() == [(level, id) for level, id, _ in options]]
    else:
        named = [group for group in groups if group.default]
    check(named, "unknown-key")
    group = named[0]
    epoch, counter = struct.unpack(">H", packet[size - 8 : size - 6])[0], int.from_bytes(packet[size - 6 : size], "big")
    if time is not None:
        check((epoch - time // group.period) % 65536 in (65535, 0, 1), "epoch")
    check(coffset <= group.max_coffset and ioffset <= group.max_ioffset, "policy-offset")
    generations = held_generations(group, options, reserve)

    key = data_key(master_key(group.roots, generations), variant, identifier, epoch, source)
    nonce = identifier[-4:] + packet[size - 8 : size]
    clear, secret = packet[size : size + 4 * coffset], packet[size + 4 * coffset :]
    try:
        payload = clear + AESGCM(key).decrypt(nonce, secret, packet[:size] + clear[4 * ioffset :])
    except InvalidTag:
        raise Drop("authentication") from None
    check_payload(payload)
    return Opened(variant, identifier, epoch, counter, coffset, ioffset, options, payload)


def parse_options(octets, size):
    """The options in a header's room of `size` octets between ID and Epoch; the rest must be no or four zero octets."""
    check(size >= 0, "malformed")  # no room for the ID
    options, last = [], 0
    while len(octets) > 4:
        level, length, generation, _ = struct.unpack(">BBBB", octets[:4])
        check(level in LEVELS and level > last and length in OPTION_LENGTHS, "malformed")
        check(2 + length <= len(octets), "malformed")
        options.append((level, octets[4 : 2 + length], generation))
        octets, last = octets[2 + length :], level
    check(octets in (b"", bytes(4)), "malformed")
    return options


def held_generations(group, options, reserve):
    generations = []
    for position, root in enumerate(group.roots):
        if options:
            modulus, wanted = 256, options[position][2]
        else:
            modulus, wanted = 4, reserve >> 2 * (root.level - 1) & 3
        held = [generation for generation in root.keys if generation % modulus == wanted]
        check(held, "unknown-key")
        generations.append(held[0])
    return generations


def check_payload(payload):
    """Section 3: malformed-inner, then dummy."""
    check(payload, "malformed-inner")
    nibble = payload[0] >> 4
    check(nibble in (0, 4, 6), "malformed-inner")
    if nibble == 4:
        check(len(payload) >= 20, "malformed-inner")
        header, total = 4 * (payload[0] & 15), struct.unpack(">H", payload[2:4])[0]
        check(20 <= header <= total <= len(payload), "malformed-inner")
    elif nibble == 6:
        check(len(payload) >= 40, "malformed-inner")
        check(40 + struct.unpack(">H", payload[4:6])[0] <= len(payload), "malformed-inner")
    else:
        check(len(payload) >= 4 and 4 + payload[3] <= len(payload), "malformed-inner")
        check(payload[2] != 143 or len(payload) - 4 - payload[3] >= 14, "malformed-inner")
        check(payload[2] != 59, "dummy")


# What `keyweave inspect --json` prints


def line(number, verdict, **fields):
    return json.dumps({"packet": number, "verdict": verdict, **fields}, separators=(",", ":"))


def verdict_line(number, packet, groups, over_udp, source, time=None):
    try:
        opened = open_packet(packet, groups, over_udp, source, time)
    except Drop as drop:
        return line(number, "drop", reason=str(drop))
    options = [{"level": LEVELS[level], "id": id.hex(), "index": index} for level, id, index in opened.options]
    return line(
        number,
        "open",
        v=opened.variant,
        id=opened.id.hex(),
        epoch=opened.epoch,
        counter=opened.counter,
        options=options,
        coffset=opened.coffset,
        ioffset=opened.ioffset,
        payload=opened.payload.hex(),
    )


# The keys file


def keys_yaml(groups, quote=lambda text: text):
    lines = ["trust_groups:"]
    for group in groups:
        lines.append(f"  - name: {group.name}")
        if group.default:
            lines.append("    default: true")
        lines.append(f"    epoch_period: {group.period}s")
        lines.append(f"    max_coffset: {group.max_coffset}")
        lines.append(f"    max_ioffset: {group.max_ioffset}")
        lines.append("    root_keys:")
        for root in group.roots:
            lines.append(f"      - level: {LEVELS[root.level]}")
            lines.append(f"        id: {quote(root.id.hex())}")
            for name, generation in (("previous", -1), ("current", 0), ("next", 1)):
                key = root.keys.get(root.current + generation)
                if key:
                    lines.append(f"        {name}: {{ index: {root.current + generation}, key: {quote(key.hex())} }}")
    return "\n".join(lines) + "\n"


def address(text):
    return ipaddress.ip_address(text)
