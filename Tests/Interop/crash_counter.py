"""Kills a gateway under traffic again and again, and looks for a nonce that was used twice in all that left it.

    crash_counter.py KEYWEAVE DIRECTORY     KILLS=1000 in the environment: so many instead of 110; SEED repeats a run

The gateway's packets are taken at the other end of its cable, outside of the process that is killed. Then what must not
bring a nonce back either: another process with the same record, a deleted record, an old one put back, a clock that is
set, another boot.
"""

import os
import random
import shutil
import socket
import struct
import subprocess
import sys
import time

import audit
import captures
import outer
import reference
import sandbox
from crash_rig import FAR_ADDRESS, HOST_ADDRESS, MARK, PERIOD, Rig


def kills(test, count, rng):
    """kill -9 at random moments, restart at once; the clock jumps on so that epochs and windows pass as well."""
    first_packet, silent, sealed = [], 0, 0
    for number in range(count):
        low = test.epoch()
        begun = time.monotonic()
        test.launch(lcores=rng.choice((1, 1, 2)))
        if rng.random() < 0.15 and first_packet:
            time.sleep(rng.uniform(0, 1.2) * first_packet[0])  # while it starts
        else:
            test.sealing()
            first_packet.append(time.monotonic() - begun)
            time.sleep(min(rng.expovariate(1 / 0.12), 0.6))
            if rng.random() < 0.3:
                test.clock.set(test.clock.offset + rng.randrange(60))
                time.sleep(rng.uniform(0, 0.06))  # about when the record of the new epoch is written
        test.gateway.kill()
        time.sleep(0.01)
        found = test.check(low - 1, test.epoch() + 1)
        silent += found == 0
        sealed += found
        test.clock.set(test.clock.offset + rng.randrange(30))
    first_packet.sort()
    middle = first_packet[len(first_packet) // 2]
    print(f"{count} kills, {silent} before anything was sealed; {sealed} packets sealed, none with a used nonce")
    print(f"first sealed packet after {middle * 1000:.0f} ms (median), {first_packet[-1] * 1000:.0f} ms at most")
    assert silent < count / 2 and sealed > 100 * count, "too little traffic for a test of the counter"


def life(test, name, low=None, high=None, start=None, timeout=20):
    """A start that shall seal, say why it began where it did, and use no nonce twice; killed afterwards."""
    said = len(test.gateway.output())
    test.launch()
    test.sealing(timeout)
    test.gateway.ready()
    time.sleep(0.2)
    said = test.gateway.output()[said:]
    assert start is None or start in said, f"{name}: expected {start!r}, found {said!r}"
    test.gateway.kill()
    time.sleep(0.01)
    found = test.check(low, high)
    assert found, name
    print(f"{name}: {found} packets, epoch {test.last_epoch}, the clock's {test.epoch()}")


def ahead(test):
    """Sets the clock on until no epoch that was used is ahead of it: leads of earlier starts are over."""
    behind = max(0, (test.last_epoch - test.epoch()) * PERIOD)
    test.clock.set(test.clock.offset + behind + 3 * PERIOD)


def records(test):
    record, old = test.gateway.record, f"{test.directory}/old.record"
    both = (record, record + ".lock")
    for path, saved in zip(both, (old, old + ".lock")):
        shutil.copy2(path, saved)
    life(test, "same boot", start="go on at its bound")

    for path in both:
        os.unlink(path)
    now = test.epoch()
    life(test, "record and lock deleted", now + 1, now + 2, "there was no counter record")

    ahead(test)
    now = test.epoch()
    os.unlink(record)
    life(test, "record deleted", now + 1, now + 2, "counts start at random")

    for what, suffixes in (("record", [""]), ("record and lock", ["", ".lock"])):
        for how in ("moved back", "copied over"):
            ahead(test)
            now = test.epoch()
            for suffix in suffixes:
                if how == "moved back":
                    os.replace(shutil.copy2(old + suffix, old + ".copy"), record + suffix)
                else:
                    shutil.copy2(old + suffix, record + suffix)
            life(test, f"old {what} {how}", now + 1, now + 2, "may have been put back")

    ahead(test)
    now = test.epoch()
    size = os.path.getsize(record)
    with open(record, "r+b") as file:
        for slot in (0, size // 2):
            file.seek(slot + 24)
            file.write(os.urandom(8))
    life(test, "both slots damaged", now + 1, now + 2, "is damaged and counts as missing")

    with open(record, "r+b") as file:
        file.write(os.urandom(size))
    said = len(test.gateway.output())
    test.launch()
    assert test.gateway.process.wait(20) == 1 and not test.check(), "started with a file that is no record"
    print(f"a record that is none: {test.gateway.output()[said:].strip()}")
    os.unlink(record)
    ahead(test)
    now = test.epoch()
    life(test, "record deleted again", now + 1, now + 2, "counts start at random")

    # Under the running gateway: what it would write from now on would be lost, so it stops sealing.
    test.launch()
    test.sealing()
    test.gateway.ready()
    os.replace(shutil.copy2(old, old + ".copy"), record)
    test.clock.set(test.clock.offset + 2 * PERIOD)
    sandbox.wait(lambda: not test.gateway.ask("status")["counter"]["sealing"], "no sealing with another's record")
    time.sleep(0.05)
    test.check()
    time.sleep(0.2)
    assert test.check() == 0, "sealed without a record"
    drops = test.gateway.ask("status")["drops"]
    assert drops.get("counter-exhausted"), drops
    print(f"record replaced under the running gateway: sealing stopped, {drops['counter-exhausted']} dropped")
    test.gateway.kill()
    ahead(test)
    life(test, "after that")


def clocks(test):
    ahead(test)
    life(test, "clock right", test.epoch() - 1, test.epoch() + 1)
    for change in (-7200, 7200, -20 * 86400, 20 * 86400 + 3600):
        before = test.last_epoch
        test.clock.set(test.clock.offset + change)
        highest = max(before, test.epoch() + 1)
        life(test, f"clock set by {change:+} s", before, highest, "go on at its bound")
    for change in (-3600, 7200):
        before = test.last_epoch
        started = test.epoch()
        test.launch()
        test.sealing()
        test.gateway.ready()
        test.clock.set(test.clock.offset + change)
        time.sleep(0.3)
        test.gateway.kill()
        found = test.check(before, max(before, started + 1, test.epoch() + 1))
        epochs = f"epoch {test.last_epoch}, the clock's {test.epoch()}"
        print(f"clock set by {change:+} s while it runs: {found} packets, {epochs}")


def boots(test):
    ahead(test)
    now = test.epoch()
    test.boot("b")
    life(test, "reboot", now + 1, now + 2, "from another boot")
    life(test, "kill after the reboot", now + 1, now + 3, "go on at its bound")
    ahead(test)
    now = test.epoch()
    test.boot("c")
    test.clock.set(test.clock.offset - 900)
    # The clock lost a quarter of an hour: nothing is sealed before it is at most one epoch behind.
    test.launch()
    test.gateway.ready()
    time.sleep(0.3)
    early = test.check()
    test.clock.set(test.clock.offset + 900)
    test.sealing()
    test.gateway.kill()
    found = test.check(test.epoch() - 1, test.epoch() + 1)
    print(f"reboot with the clock a quarter of an hour late: {early} packets before it was set right, {found} after")


def others(test):
    """Nobody else seals with the identity while `run` does."""
    ahead(test)
    test.launch()
    test.sealing()
    test.gateway.ready()
    second = beside(test, test.keyweave, "run", "--config", test.gateway.path)
    assert second.returncode == 1, second
    assert str(test.gateway.process.pid) in second.stderr or "lock" in second.stderr, second.stderr
    print(f"a second run: {second.stderr.strip()}")
    seal(test, refused=True)
    time.sleep(0.1)
    assert test.gateway.process.poll() is None
    test.gateway.kill()
    test.check()
    seal(test, refused=False)
    life(test, "run after seal")


def beside(test, *command):
    environment = {**os.environ, **test.clock.environment}
    return subprocess.run(
        test.gateway.command(*command), env=environment, capture_output=True, text=True, timeout=30
    )


def seal(test, refused):
    clear, sealed = f"{test.directory}/clear.pcap", f"{test.directory}/sealed.pcap"
    mac = bytes.fromhex(test.mac.replace(":", ""))
    source = reference.address(HOST_ADDRESS)
    inner = outer.ipv4(source, 17, outer.udp(MARK, port=9))
    inner = inner[:16] + socket.inet_aton(FAR_ADDRESS) + inner[20:]
    inner = inner[:10] + bytes(2) + inner[12:]
    inner = inner[:10] + struct.pack(">H", outer.checksum(inner[:20])) + inner[12:]
    frame = mac + bytes.fromhex("020000000001") + b"\x08\x00" + inner
    with open(clear, "wb") as file:
        file.write(captures.capture("pcap", "little", captures.ETHERNET, [(0, frame, len(frame))] * 500))
    if os.path.exists(sealed):
        os.unlink(sealed)
    command = [test.keyweave, "seal", "--config", test.gateway.path, "--in", clear, "--out", sealed]
    done = beside(test, *command)
    if refused:
        assert done.returncode == 1, done
        assert not os.path.exists(sealed) or os.path.getsize(sealed) <= 24, "packets in spite of the refusal"
        print(f"seal beside run: {done.stderr.strip()}")
        return
    assert done.returncode == 0, done
    found = 0
    for frame in frames_of(sealed):
        taken = audit.protected(frame)
        if taken:
            test.audit.nonce(taken[0])
            test.audit.open(*taken)
            found += 1
    assert found == 500, f"{found} of 500 packets sealed: {done}"
    print("seal after run: 500 packets, no nonce of run's")


def frames_of(path):
    with open(path, "rb") as file:
        octets = file.read()
    assert octets[:4] in (b"\xd4\xc3\xb2\xa1", b"\x4d\x3c\xb2\xa1"), "a little-endian pcap"
    at = 24
    while at < len(octets):
        size = struct.unpack_from("<I", octets, at + 8)[0]
        yield octets[at + 16 : at + 16 + size]
        at += 16 + size


def proof(test):
    """The audit finds what it looks for."""
    identifier, used = next(iter(test.audit.seen.items()))
    header = reference.Header(0, identifier, 0, 0, bytes(4)).encode()
    again = header[:-8] + next(iter(used))
    try:
        test.audit.nonce(again)
    except AssertionError:
        return
    raise AssertionError("the audit does not see a nonce that is used twice")


def main():
    keyweave = os.path.abspath(sys.argv[1])
    seed = int(os.environ.get("SEED", time.time_ns() % 10**6))
    print(f"SEED={seed}")
    test = Rig(keyweave, os.path.abspath(sys.argv[2]))
    begun = time.monotonic()
    kills(test, int(os.environ.get("KILLS", "110")), random.Random(seed))
    others(test)
    records(test)
    clocks(test)
    boots(test)
    proof(test)
    assert test.sniffer.lost == 0, f"the sniffer lost {test.sniffer.lost} packets"
    total = f"{test.audit.packets} packets audited, {test.audit.opened} of them opened"
    print(f"{total}, in {time.monotonic() - begun:.0f} s: no (ID, epoch, counter) twice")


if __name__ == "__main__":
    sandbox.enter()
    main()
