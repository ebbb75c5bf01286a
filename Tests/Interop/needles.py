"""Looks for keys in the memory of running processes, in every form in which they could lie there."""

import base64
import re

# AES-256's key schedule (FIPS 197), which no library shows.


def s_box():
    box, p, q = [0x63] * 256, 1, 1
    while True:
        p ^= (p << 1) ^ (0x11B if p & 0x80 else 0)
        q ^= q << 1
        q ^= q << 2
        q ^= q << 4
        q &= 0xFF
        q ^= 0x09 if q & 0x80 else 0
        rotated = [(q << n | q >> (8 - n)) & 0xFF for n in range(5)]
        box[p & 0xFF] = rotated[0] ^ rotated[1] ^ rotated[2] ^ rotated[3] ^ rotated[4] ^ 0x63
        if p == 1:
            return box


def round_keys(key, box=s_box()):
    """15 round keys; the first two are the key itself."""
    words, constant = [key[n:n + 4] for n in range(0, 32, 4)], 1
    while len(words) < 60:
        word = words[-1]
        if len(words) % 8 == 0:
            word = bytes(box[octet] for octet in word[1:] + word[:1])
            word = bytes([word[0] ^ constant]) + word[1:]
            constant <<= 1
        elif len(words) % 8 == 4:
            word = bytes(box[octet] for octet in word)
        words.append(bytes(a ^ b for a, b in zip(word, words[-8])))
    return [b"".join(words[n:n + 4]) for n in range(0, 60, 4)]


# Of FIPS 197, A.3: the last words of the schedule.
EXAMPLE = bytes.fromhex("603deb1015ca71be2b73aef0857d77811f352c073b6108d72d9810a30914dff4")
assert round_keys(EXAMPLE)[14].hex() == "fe4890d1e6188d0b046df344706c631e"


class Needles:
    """What to look for: {name: octets}."""

    def __init__(self):
        self.all = {}

    def add(self, name, key):
        self.all[name] = key
        self.all[f"{name} in hex"] = key.hex().encode()
        self.all[f"{name} in HEX"] = key.hex().upper().encode()
        # As far as the end does not depend on what follows.
        self.all[f"{name} in base64"] = base64.b64encode(key)[:42]
        self.all[f"{name} in base64url"] = base64.urlsafe_b64encode(key)[:42]

    def add_rounds(self, name, key):
        for number in (2, 14):
            self.all[f"{name}, round key {number}"] = round_keys(key)[number]

    def found(self, pid):
        """The names of those that are in a process's memory, with the places."""
        hits = {}
        for place, octets in pieces(pid):
            for name, needle in self.all.items():
                if needle in octets:
                    hits.setdefault(name, []).append(place)
        return hits


def pieces(pid):
    """What a process has written, by mappings without their empty pages; only code and constants are left out."""
    with open(f"/proc/{pid}/maps") as maps, open(f"/proc/{pid}/mem", "rb", 0) as memory:
        for line in maps:
            begin, end, rights = re.match(r"([0-9a-f]+)-([0-9a-f]+) (\S+)", line).groups()
            begin, end = int(begin, 16), int(end, 16)
            if rights[:2] != "rw":
                continue
            run = bytearray()
            for place in range(begin, end, 1 << 20):
                try:
                    memory.seek(place)
                    octets = memory.read(min(end - place, 1 << 20))
                except OSError:
                    continue
                for page in range(0, len(octets), 4096):
                    one = octets[page:page + 4096]
                    # An empty page ends what lies in one piece; a key has no 4096 zeros in it.
                    if one.count(0) == len(one):
                        if run and run[-1:] != b"\xff":
                            run += b"\xff"
                    else:
                        run += one
            if run:
                yield f"{line.split()[0]} {line.split()[-1]}", bytes(run)
