"""A pool's member and millions of connections: its memory is the same as with ten.

    ids.py KEYWEAVE DIRECTORY [--ids N] [--rate N]

Every connection's packet is sealed apart from Keyweave (sealer.c: OpenSSL and the wire format), authenticates, and comes
out on the clear side: first many packets on ten connections, then one on each of N others.
"""

import argparse
import os
import shutil
import subprocess
import time

import audit
import reference
import sandbox
from auditor import Auditor
from pool_rig import PERIOD, POOL, Pool

PREFIX = "2001:db8:c::/97"
SERVER = "2001:db8:2::2"
PER_CLIENT = 4096  # members x serials
FEW = 10
# Packets are lost where a ring is full for a moment; so many connections more make up for it.
SPARE = 1.1


class Rig:
    def __init__(self, keyweave, directory, ids):
        self.directory = directory
        self.pool = pool = Pool(
            keyweave, directory, members=1, prefix=PREFIX, limits={"requests_per_second": 10000, "connections": 64})
        self.member, = pool.members
        mac = pool.inside.run("cat", "/sys/class/net/c1/address").strip()
        # What it has no address for, the node there drops.
        pool.inside.run("sysctl", "-qw", "net.ipv6.conf.c1.disable_ipv6=1")
        ports = pool.ports(1, "2001:db8:3::1/64", f"{POOL}/32")
        ports[0]["neighbours"] = [{"address": "2001:db8:3::2", "mac": mac}]
        self.member.rewrite(ports=ports, routes=[{"to": "2001:db8:2::/64", "via": "2001:db8:3::2"}], peers=None,
                            groups=[{"name": "front", "may_speak": ["2001:db8:1::/64"]}])
        slots = self.enrol(int(ids * SPARE) // PER_CLIENT + 2)
        assert slots == list(range(slots[0], slots[0] + len(slots))) and slots[0] == 1, "slots from 1 on"
        self.member.launch()
        self.member.ready()
        sandbox.wait(lambda: pool.seals(self.member), "the member has keys", 60)
        self.auditor = Auditor(pool)
        self.generation, = self.auditor.current()
        self.device = int(self.member.ask("status")["key_agent"]["device_id"], 16)
        self.mac = self.member.run("cat", "/sys/class/net/fabric/address").strip()
        self.sealer = f"{directory}/sealer"
        compiler = next(filter(None, map(shutil.which, ("cc", "clang", "gcc"))), "cc")
        source = os.path.join(os.path.dirname(os.path.abspath(__file__)), "sealer.c")
        subprocess.run([compiler, "-O2", "-o", self.sealer, source, "-lcrypto"], check=True)
        self.judge()

    def enrol(self, count):
        """So many clients; the pool's own is the first."""
        identity = self.pool.authority.issue("client/many")
        slots = [1]
        for number in range(count):
            identity.id = f"{identity.domain}/client/{number}"
            slots.append(self.pool.enrol_client(identity, "198.51.1.2")["slot"])
        return sorted(slots)

    def seal(self, first, count, rate, repeat=1):
        """Puts packets onto the member's fabric; how many."""
        words = [self.sealer, "f1", self.mac, "198.51.1.2", POOL, f"{self.device:x}", self.generation % 4,
                 int(time.time()) // PERIOD % 65536, first, count, rate, repeat, PREFIX.split("/")[0], SERVER]
        done = subprocess.run(
            self.pool.upstream.command(*map(str, words)), input=self.auditor.master((self.generation,)).hex(),
            capture_output=True, text=True)
        assert done.returncode == 0, done.stderr
        return int(done.stdout)

    def judge(self):
        """The sealer's packets are what the reference makes of the wire format, and come out as they were sealed."""
        sniffers = [sandbox.Sniffer(self.pool.upstream, "f1"), sandbox.Sniffer(self.pool.inside, "c1", outgoing=False)]
        self.seal(0, 50, 1000)
        time.sleep(1)
        sealed, clear = ([frame for _, frame, _ in sniffer.stop()] for sniffer in sniffers)
        roots = self.auditor.root_keys()
        groups = [reference.Group("front", roots, default=True, period=PERIOD)]
        found = filter(None, map(audit.protected, sealed))
        opened = [reference.open_packet(packet, groups, over_udp, source) for packet, over_udp, source in found]
        assert len({one.id for one in opened}) == 50, f"{len(opened)} packets"
        inner = {one.payload[:7] + bytes([one.payload[7] - 1]) + one.payload[8:] for one in opened}
        arrived = {frame[14:] for frame in clear if frame[12:14] == b"\x86\xdd" and frame[54:58] == b"\x1b\x58\x1b\x58"}
        assert inner == arrived, f"{len(arrived)} came out of {len(inner)}"

    def status(self):
        status = self.member.ask("status")
        harm = {k: v for k, v in status["drops"].items() if k not in ("handled", "no-route", "not-for-us")}
        assert not harm, f"dropped: {harm}"
        return status["totals"]["opened"], status["cache"]

    def resident(self):
        """Octets of the process's memory that lie in the machine's."""
        with open(f"/proc/{self.member.process.pid}/status") as file:
            return next(int(line.split()[1]) for line in file if line.startswith("VmRSS")) << 10


def main():
    arguments = argparse.ArgumentParser()
    arguments.add_argument("keyweave")
    arguments.add_argument("directory")
    arguments.add_argument("--ids", type=int, default=200_000)
    arguments.add_argument("--rate", type=int, default=100_000)
    given = arguments.parse_args()
    sandbox.enter()
    rig = Rig(os.path.abspath(given.keyweave), os.path.abspath(given.directory), given.ids)

    before, _ = rig.status()
    sent = rig.seal(0, FEW, given.rate, given.ids // 20)
    opened, cache = rig.status()
    few = rig.resident()
    print(f"{FEW} connections, {sent} packets sent, {opened - before} opened: {few / 2**20:.1f} MiB resident, "
          f"{cache['entries']} of {cache['capacity']} data keys cached")
    assert opened - before > sent // 2, "too few were opened"

    before, first, begun = opened, FEW, time.monotonic()
    while opened - before < given.ids:
        missing = given.ids - opened + before
        part = min(500_000, missing + missing // 50 + 100)
        assert first + part <= given.ids * SPARE + PER_CLIENT, f"only {opened - before} of {first} were opened"
        rig.seal(first, part, given.rate)
        first += part
        time.sleep(0.2)
        opened, cache = rig.status()
    many = rig.resident()
    took = time.monotonic() - begun
    print(f"{opened - before} connections of {first} sealed were opened, one packet each, in {took:.0f} s: "
          f"{many / 2**20:.1f} MiB resident, {100 * (many / few - 1):+.2f} %, {cache['entries']} of {cache['capacity']} "
          "data keys cached")
    assert abs(many / few - 1) <= 0.05, "the memory depends on the number of connections"


main()
