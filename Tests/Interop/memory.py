"""What is erased is nowhere: /proc/PID/mem of running gateways and controllers holds no root key, master key, data key or
round key of a generation that was rotated away, as octets, in hex or in base64; the same search finds those that live.

    memory.py KEYWEAVE DIRECTORY
"""

import base64
import itertools
import os
import re
import sys
import time

import reference
import sandbox
from controller_rig import holds
from rotation_rig import LEVELS, Flow, Network, unharmed

PERIOD = 60
NUMBERS = {name: number for number, name in reference.LEVELS.items()}


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


class Auditor:
    """One more authorized member, in Python: it takes every generation over and keeps what it had."""

    def __init__(self, network):
        self.network = network
        self.identity = network.authority.issue("dpu/auditor")
        self.members, self.sets, self.keys, self.roots = {}, {}, {}, {}
        for name, one in network.controllers.items():
            network.enrol(one, self.identity)
            self.members[name] = network.member(name, self.identity)
        self.poll()

    def poll(self):
        for name, member in self.members.items():
            with self.network.node.inside():
                assert member.lease().status == 200
                acknowledged = holds(self.sets[name]) if name in self.sets else []
                answer = member.poll(acknowledgements=acknowledged)
                assert answer.status == 200, answer.text
                self.sets[name] = answer.json
                self.keys.update(member.keys(answer.json))
            series, = answer.json["root_keys"]
            self.roots[name] = series

    def generations(self, name):
        return {key["index"]: key["state"] for key in self.roots[name]["keys"]}

    def current(self):
        return tuple(
            next(key["index"] for key in self.roots[name]["keys"] if key["state"] == "current") for name in LEVELS)

    def root_keys(self):
        return [
            reference.RootKey(
                NUMBERS[series["level"]], bytes.fromhex(series["id"]), 0,
                {number: key for (id, number), key in self.keys.items() if id == series["id"]})
            for series in self.roots.values()]

    def master(self, combination):
        return reference.master_key(self.root_keys(), combination)

    def rotate(self):
        """Every level once."""
        for name, one in self.network.controllers.items():
            before = next(key["index"] for key in self.roots[name]["keys"] if key["state"] == "current")
            one.do("POST", f"/v1/root-keys/{one.root}/rotate", {"force": False})

            def is_current():
                self.poll()
                return self.generations(name).get(before + 1) == "current"

            sandbox.wait(is_current, f"{one.root} {before + 1} is current", 20, 0.2)
        wanted = dict(zip((root for root, _ in LEVELS.values()), self.current()))
        for gateway in self.network.gateways:
            sandbox.wait(lambda g=gateway: self.network.current(g) == wanted, f"{gateway.name} has it", 10)


def epochs(begin):
    """All that keys can have been derived for since then: a node without a record begins one ahead."""
    return range(int(begin) // PERIOD, int(time.time()) // PERIOD + 2)


def data_needles(needles, auditor, combination, devices, begin):
    for device, epoch in itertools.product(devices, epochs(begin)):
        key = reference.data_key(auditor.master(combination), 0, device, epoch % 65536, None)
        name = f"data key of device {device.hex()}, epoch {epoch}, under {combination}"
        needles.all[name] = key
        needles.add_rounds(name, key)


def main():
    keyweave, directory = map(os.path.abspath, sys.argv[1:3])
    sandbox.enter()
    network = Network(keyweave, directory, lease="30s")
    network.start()
    begin = time.time()
    devices = [
        bytes.fromhex(gateway.ask("status")["key_agent"]["device_id"]) for gateway in network.gateways]
    traffic = [Flow(network, side, 7000 + side) for side in (0, 1)]
    auditor = Auditor(network)
    erased = auditor.current()
    auditor.rotate()
    auditor.rotate()
    time.sleep(1)
    live = auditor.current()
    assert all(old + 2 == new for old, new in zip(erased, live)), (erased, live)

    gone, there = Needles(), Needles()
    for (name, series), old, new in zip(auditor.roots.items(), erased, live):
        assert old not in auditor.generations(name), f"{name} still offers {old}"
        gone.add(f"root key {name} {old}", auditor.keys[series["id"], old])
        there.add(f"root key {name} {new}", auditor.keys[series["id"], new])
    # Every combination with an erased generation in it that was ever accepted.
    middle = tuple(number + 1 for number in erased)
    for combination in itertools.product(*zip(erased, middle)):
        if combination != middle:
            gone.add(f"master key {combination}", auditor.master(combination))
            gone.add_rounds(f"master key {combination}", auditor.master(combination))
    data_needles(gone, auditor, erased, devices, begin)
    # The levels rotate one after the other: these were sealed with in between.
    for number in (1, 2):
        data_needles(gone, auditor, middle[:number] + erased[number:], devices, begin)
    there.add(f"master key {live}", auditor.master(live))
    there.add_rounds(f"master key {live}", auditor.master(live))
    data_needles(there, auditor, live, devices, time.time())

    for gateway in network.gateways:
        found = there.found(gateway.process.pid)
        for kind in ("root key region", "root key users", "root key tasks", "master key", "data key"):
            assert any(name.startswith(kind) for name in found), f"{gateway.name}: the search finds no live {kind}"
        assert any("round key" in name for name in found), f"{gateway.name}: the search finds no live round key"
        texts = [name for name in found if " in " in name]
        assert not texts, f"{gateway.name}: keys as text: {texts}"
        found_gone = gone.found(gateway.process.pid)
        assert not found_gone, f"{gateway.name}: found what was erased: {found_gone}"
        print(f"{gateway.name}: {len(gone.all)} forms of erased keys, none found; of {len(there.all)} live ones {len(found)}")

    # A controller's own keys are wrapped but for the moment of an answer: what lives is its wrapping key.
    for name, one in network.controllers.items():
        wrapping = Needles()
        with open(f"{directory}/{one.name}.kek") as file:
            wrapping.add("wrapping key", bytes.fromhex(file.read().strip()))
        found = {**wrapping.found(one.process.pid), **there.found(one.process.pid)}
        assert "wrapping key" in found or f"root key {name} {live[list(LEVELS).index(name)]}" in found, (
            f"{name}: the search finds nothing that lives: {found}")
        texts = [hit for hit in found if " in " in hit]
        assert not texts, f"{name}: keys as text: {texts}"
        foreign = [hit for hit in found if hit != "wrapping key" and not hit.startswith(f"root key {name}")]
        assert not foreign, f"{name}: found keys that are not its own: {foreign}"
        found_gone = gone.found(one.process.pid)
        assert not found_gone, f"{name}: found what was erased: {found_gone}"
        print(f"controller {name}: none of them either, nor another's keys; it holds {sorted(found)}")
    print(f"{unharmed(traffic, network)} datagrams meanwhile, none lost")


main()
