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

PERIOD = 60
HOST_ADDRESS, FAR_ADDRESS = "10.1.0.2", "10.2.0.2"
MARK = b"crash test of the counter"


class Test:
    def __init__(self, keyweave, directory):
        self.keyweave, self.directory = keyweave, directory
        root = reference.RootKey(1, os.urandom(16), 1, {1: os.urandom(32)})
        self.group = reference.Group("crash", [root], period=PERIOD)
        self.audit = audit.Audit([self.group])
        with open(os.open(f"{directory}/keys.yaml", os.O_CREAT | os.O_WRONLY, 0o600), "w") as file:
            file.write(reference.keys_yaml([self.group]))
        self.host, self.far = sandbox.Node("host"), sandbox.Node("far")
        self.gateway = sandbox.Gateway("gateway", keyweave, directory, **self.configuration())
        sandbox.link(self.host, "eth0", self.gateway, "clear")
        sandbox.link(self.gateway, "fabric", self.far, "eth0")
        self.host.address("eth0", f"{HOST_ADDRESS}/24")
        self.host.route("10.1.0.1")
        self.mac = self.gateway.run("cat", "/sys/class/net/clear/address").strip()
        self.host.run("ip", "neighbour", "add", "10.1.0.1", "lladdr", self.mac, "dev", "eth0")
        self.sniffer = sandbox.Sniffer(self.far, "eth0", outgoing=False, frames=16384)
        self.environment = self.make_clock()
        self.boot("a")
        self.last_epoch = None
        self.sample = 40
        self.flood = self.start_flood()

    def configuration(self, lcores=1):
        fabric = {"name": "fabric", "device": "fabric", "role": "protected", "addresses": ["192.0.2.1/24"]}
        fabric["neighbours"] = [{"address": "192.0.2.2", "mac": "02:00:00:00:00:02"}]
        return {
            "identity": {"device_id": "0000002a", "member": 5},
            "lcores": {"count": lcores},
            "ports": [{"name": "clear", "device": "clear", "role": "clear", "addresses": ["10.1.0.1/24"]}, fabric],
            "peers": [{"name": "far", "address": "192.0.2.2"}],
            "routes": [{"to": "10.2.0.0/24", "peers": ["far"], "group": "crash"}],
            "groups": [{"name": "crash", "may_speak": ["10.0.0.0/8"]}],
        }

    # The clock and the boot, as this gateway sees them

    def make_clock(self):
        library, self.clock_path = f"{self.directory}/clock_shim.so", f"{self.directory}/clock"
        source = os.path.join(os.path.dirname(os.path.abspath(__file__)), "clock_shim.c")
        compiler = next(filter(None, map(shutil.which, ("cc", "clang", "gcc"))), "cc")
        subprocess.run([compiler, "-O1", "-shared", "-fPIC", "-o", library, source, "-ldl"], check=True)
        self.offset = 0
        with open(self.clock_path, "wb") as file:
            file.write(struct.pack("q", 0))
        return {"LD_PRELOAD": library, "CLOCK_OFFSET": self.clock_path}

    def set_clock(self, offset):
        self.offset = offset
        with open(self.clock_path, "r+b") as file:
            file.write(struct.pack("q", offset))

    def epoch(self):
        """The clock's, before the reduction modulo 2^16."""
        return int(time.time() + self.offset) // PERIOD

    def whole(self, epoch):
        """The number that a packet's 16 bits stand for: the one closest to the last, or to the clock's."""
        near = self.epoch() if self.last_epoch is None else self.last_epoch
        return near + (epoch - near + 32768) % 65536 - 32768

    def boot(self, name):
        """From now on the kernel's boot ID is another one."""
        path = f"/run/boot-{name}"
        with open(path, "w") as file:
            file.write("-".join(os.urandom(n).hex() for n in (4, 2, 2, 2, 6)) + "\n")
        subprocess.run(["mount", "--bind", path, "/proc/sys/kernel/random/boot_id"], check=True)

    # Traffic

    def start_flood(self):
        """A child that sends small datagrams of several flows, about 25,000 a second, until the script ends."""
        child = os.fork()
        if child:
            return child
        with self.host.inside():
            sockets = [socket.socket(socket.AF_INET, socket.SOCK_DGRAM) for _ in range(8)]
        for one in sockets:
            one.connect((FAR_ADDRESS, 9))
        while True:
            for one in sockets:
                for _ in range(8):
                    try:
                        one.send(MARK)
                    except OSError:
                        pass
            time.sleep(0.002)

    # One life of the gateway

    def launch(self, lcores=1):
        self.gateway.configure(**self.configuration(lcores))
        self.gateway.launch(self.environment)

    def sealing(self, timeout=20):
        """Waits until packets come out."""

        def found():
            assert self.gateway.process.poll() is None, self.gateway.output()
            return self.sniffer.frames

        sandbox.wait(found, "a sealed packet", timeout, interval=0.002)

    def check(self, low=None, high=None):
        """Judges what came out since the last call. Epochs must not go back, and be within low...high if those are given."""
        frames = self.sniffer.take()
        epochs = []
        for number, (_, frame, _) in enumerate(frames):
            # The fabric's side does not speak; what is not protected here is the gateway's own ARP or neighbour discovery.
            if frame[12:14] != b"\x08\x00":
                continue
            packet = frame[14 + 20 + 8 :]
            epochs.append(self.audit.nonce(packet))
            if number % self.sample == 0 or number == len(frames) - 1:
                found = audit.protected(frame)
                assert found and found[0] == packet, "not the plain outer headers that were configured"
                opened = self.audit.open(*found)
                assert opened.payload[28 : 28 + len(MARK)] == MARK, "another payload than the one sent"
        if epochs:
            epochs = [self.whole(epoch) for epoch in epochs]
            least, most = min(epochs), max(epochs)
            assert self.last_epoch is None or least >= self.last_epoch, f"epoch {least} after {self.last_epoch}"
            assert low is None or least >= low, f"epoch {least}, expected {low} at least"
            assert high is None or most <= high, f"epoch {most}, expected {high} at most"
            self.last_epoch = most
        return len(epochs)


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
                test.set_clock(test.offset + rng.randrange(60))
                time.sleep(rng.uniform(0, 0.06))  # about when the record of the new epoch is written
        test.gateway.kill()
        time.sleep(0.01)
        found = test.check(low - 1, test.epoch() + 1)
        silent += found == 0
        sealed += found
        test.set_clock(test.offset + rng.randrange(30))
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
    test.set_clock(test.offset + behind + 3 * PERIOD)


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

    for name, restore in (
        ("old record moved back", lambda: os.replace(shutil.copy2(old, old + ".copy"), record)),
        ("old record copied over", lambda: shutil.copy2(old, record)),
        ("old record and lock moved back", lambda: [shutil.copy2(o, p + ".new") and os.replace(p + ".new", p) for o, p in zip((old, old + ".lock"), both)]),
        ("old record and lock copied over", lambda: [shutil.copy2(o, p) for o, p in zip((old, old + ".lock"), both)]),
    ):  # fmt: skip
        ahead(test)
        now = test.epoch()
        restore()
        life(test, name, now + 1, now + 2, "may have been put back")

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
    test.set_clock(test.offset + 2 * PERIOD)
    sandbox.wait(lambda: not test.gateway.ask("status")["counter"]["sealing"], "sealing stops once the record is not its own")
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
        test.set_clock(test.offset + change)
        highest = max(before, test.epoch() + 1)
        life(test, f"clock set by {change:+} s", before, highest, "go on at its bound")
    for change in (-3600, 7200):
        before = test.last_epoch
        test.launch()
        test.sealing()
        test.gateway.ready()
        test.set_clock(test.offset + change)
        time.sleep(0.3)
        test.gateway.kill()
        found = test.check(before, max(before, test.epoch() + 1))
        print(f"clock set by {change:+} s while it runs: {found} packets, epoch {test.last_epoch}, the clock's {test.epoch()}")


def boots(test):
    ahead(test)
    now = test.epoch()
    test.boot("b")
    life(test, "reboot", now + 1, now + 2, "from another boot")
    life(test, "kill after the reboot", now + 1, now + 3, "go on at its bound")
    ahead(test)
    now = test.epoch()
    test.boot("c")
    test.set_clock(test.offset - 900)
    # The clock lost a quarter of an hour: nothing is sealed before it is at most one epoch behind.
    test.launch()
    test.gateway.ready()
    time.sleep(0.3)
    early = test.check()
    test.set_clock(test.offset + 900)
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
    second = subprocess.run(
        test.gateway.command(test.keyweave, "run", "--config", test.gateway.path),
        env={**os.environ, **test.environment}, capture_output=True, text=True, timeout=30,
    )  # fmt: skip
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
    done = subprocess.run(
        test.gateway.command(*command), env={**os.environ, **test.environment}, capture_output=True, text=True, timeout=30
    )
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
    test = Test(keyweave, os.path.abspath(sys.argv[2]))
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
