"""What is erased is nowhere: /proc/PID/mem of running gateways and controllers holds no root key, master key, data key or
round key of a generation that was rotated away, as octets, in hex or in base64; the same search finds those that live.

    memory.py KEYWEAVE DIRECTORY
"""

import itertools
import os
import sys
import time

import reference
import sandbox
from auditor import Auditor
from flows import unharmed
from needles import Needles
from rotation_rig import LEVELS, Network

PERIOD = 60


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
    traffic = [network.flow(side, 7000 + side) for side in (0, 1)]
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
    print(f"{unharmed(traffic, network.gateways)} datagrams meanwhile, none lost")


main()
