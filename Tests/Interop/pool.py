"""A pool of three members under traffic while its members are killed and started again, one every so many seconds.

    pool.py KEYWEAVE DIRECTORY [--seconds N | --minutes N] [--every N] [--stop]

A router at either side spreads packets over the members, each packet to the next one with whose BFD session BIRD is
content. Datagrams with sequence numbers go both ways between the server and the hosts of two clients, one outside the trust
group and one in it. Every datagram that is lost must be one that was sent into a killed member and never came out of it, in
one unbroken run: what its rings held when it died, and what the routers sent until they withdrew it. No packet fails to
authenticate, and no nonce is used twice in all that was captured.

    --stop    members are stopped (SIGTERM) in the place of killed: nothing at all is lost
"""

import argparse
import collections
import contextlib
import os
import signal
import struct
import time

from cryptography.hazmat.primitives.ciphers.aead import AESGCM

import audit
import flows
import outer
import reference
import sandbox
from auditor import Auditor
from pool_rig import PERIOD, POOL, PREFIX, Pool
from spreader import Routes, Spreader

MEMBERS = 3
# Frames that a port's two rings hold (8 MiB of 2 KiB each), and a burst.
RINGS = 2 * 4096 + 32
# Seconds within which the routers must have withdrawn a member that is dead.
WITHDRAWAL = 2


class Opener:
    """Opens what the reference opens, with keys that it derives once; every hundredth packet the reference itself judges."""

    def __init__(self, pool):
        self.auditor, self.now, self.keys, self.count = Auditor(pool), pool.now, {}, 0
        self.take()

    def take(self):
        """The generations that are held now."""
        self.auditor.poll()
        self.taken = time.monotonic()
        root, = self.auditor.root_keys()
        held = self.auditor.generations("region")
        root.keys = {number: key for number, key in root.keys.items() if number in held}
        self.group = reference.Group("front", [root], default=True, period=PERIOD)

    def open(self, packet, over_udp, source):
        word, = struct.unpack(">I", packet[:4])
        size, variant = 8 * (word >> 24 & 15) + 8, word >> 20 & 15
        self.count += 1
        if self.count % 100 == 1:
            return reference.open_packet(packet, [self.group], over_udp, source, int(self.now())).payload
        identifier = packet[4:12 if variant >> 3 else 8]
        options = reference.parse_options(packet[4 + len(identifier):size - 8], size - 12 - len(identifier))
        generation, = reference.held_generations(self.group, options, word >> 12 & 255)
        epoch, = struct.unpack(">H", packet[size - 8:size - 6])
        name = variant, identifier, epoch, generation
        if name not in self.keys:
            master = reference.master_key(self.group.roots, [generation])
            self.keys[name] = AESGCM(reference.data_key(master, variant, identifier, epoch, source))
        clear = packet[size:size + 4 * (word >> 4 & 255)]
        nonce = identifier[-4:] + packet[size - 8:size]
        return clear + self.keys[name].decrypt(nonce, packet[size + len(clear):], packet[:size] + clear)


def datagram(packet):
    """(port, sequence number) of a test's datagram, or nothing."""
    if packet[0] >> 4 != 4 or packet[9] != outer.UDP or len(packet) < 36:
        return None
    port, = struct.unpack(">H", packet[22:24])
    return (port, int.from_bytes(packet[28:36], "big")) if 7000 <= port < 8000 else None


class Passage:
    """One direction through one member: what was sent into it and has not come out."""

    def __init__(self):
        self.waiting = collections.OrderedDict()  # datagram: when it was sent in
        self.early = set()
        self.through = collections.deque(maxlen=4 * RINGS)  # when those were sent in that came out, lately
        self.count = 0

    def enter(self, name, when):
        if name in self.early:
            self.early.remove(name)
            self.through.append(when)
        else:
            self.waiting[name] = when
        self.count += 1

    def leave(self, name):
        when = self.waiting.pop(name, None)
        if when is None:
            self.early.add(name)
        else:
            self.through.append(when)


class Watch:
    """What passes both routers."""

    def __init__(self, pool):
        self.opener = Opener(pool)
        self.audit = audit.Audit([])
        self.passages = [{"in": Passage(), "out": Passage()} for _ in range(MEMBERS)]
        self.sources = [sandbox.Sniffer(pool.upstream, f"f{n}", outgoing=False, mtu=1700, frames=16384) for n in (81, 82)]
        self.fabric = [sandbox.Sniffer(pool.upstream, f"f{n + 1}", mtu=1700, frames=16384) for n in range(MEMBERS)]
        self.clear = [sandbox.Sniffer(pool.inside, f"c{n + 1}", frames=8192) for n in range(MEMBERS)]

    def read(self):
        for sniffer in self.sources:
            for _, frame, _ in sniffer.take():
                found = audit.protected(frame)
                if found:
                    self.audit.nonce(found[0])
        for member, sniffer in enumerate(self.fabric):
            for when, frame, sent in sniffer.take():
                found = audit.protected(frame)
                if not found:
                    continue
                if not sent:
                    self.audit.nonce(found[0])
                name = datagram(self.opener.open(*found))
                if name and sent:
                    self.passages[member]["in"].enter(name, when)
                elif name:
                    self.passages[member]["out"].leave(name)
        for member, sniffer in enumerate(self.clear):
            for when, frame, sent in sniffer.take():
                name = datagram(frame[14:]) if frame[12:14] == b"\x08\x00" else None
                if name and sent:
                    self.passages[member]["out"].enter(name, when)
                elif name:
                    self.passages[member]["in"].leave(name)

    def waiting(self):
        return sum(len(passage.waiting) for both in self.passages for passage in both.values())

    def lost(self):
        return sum(sniffer.count_lost() for sniffer in [*self.sources, *self.fabric, *self.clear])


class Test:
    # The last two are BFD's: the router's word that nobody listens for it yet, and what it still says of a session before.
    HARMLESS = {"handled", "no-route", "not-for-us", "outer-icmp", "bfd"}

    def __init__(self, pool, given):
        self.pool, self.given = pool, given
        self.connection = pool.start()
        macs = [
            [member.run("cat", f"/sys/class/net/{device}/address").strip() for member in pool.members]
            for device in ("fabric", "clear")]
        self.spreaders = [
            Spreader(pool.upstream, ["f81", "f82"], [(f"f{n + 1}", macs[0][n]) for n in range(MEMBERS)], [f"{POOL}/32"]),
            Spreader(pool.inside, ["servers"], [(f"c{n + 1}", macs[1][n]) for n in range(MEMBERS)],
                     [PREFIX, "10.1.0.0/24"])]
        members = [(f"f{n + 1}", f"198.51.{n + 1}.1") for n in range(MEMBERS)]
        Routes(pool.upstream, pool.directory, POOL, members, self.spreaders).start()
        sandbox.wait(lambda: all(self.is_up(n) for n in range(MEMBERS)), "all members are up", 20)
        self.drops, self.kills = collections.Counter(), []
        pool.last_quarter()
        for host, source in ((pool.client_host, self.connection["address"]), (pool.branch_host, "10.1.0.2")):
            # Each member, and each member's neighbours, at least once.
            sandbox.wait(lambda: sum(pool.reaches(host, source) for _ in range(6)) == 6, f"{host.name} reaches it", 30)
        self.watch = Watch(pool)

    def is_up(self, member):
        return self.spreaders[0].is_up(member) and self.spreaders[1].is_up(member)

    def note_drops(self, gateway):
        for reason, count in gateway.ask("status")["drops"].items():
            self.drops[reason] += count

    def end(self, member):
        """Kills or stops a member; what it dropped is asked for just before."""
        gateway = self.pool.members[member]
        self.note_drops(gateway)
        when = time.time()
        if self.given.stop:
            gateway.process.send_signal(signal.SIGTERM)
            assert gateway.process.wait(20) == 0, gateway.output()
        else:
            gateway.kill()
        return when

    def run(self):
        pool, given = self.pool, self.given
        traffic = pool.flows(7000, self.connection["address"], given.rate)
        traffic += pool.branch_flows(7002, given.rate)
        begun, turn = time.monotonic(), 0
        next_rotation = 30
        while time.monotonic() - begun < given.seconds:
            self.until(begun + (turn + 0.5) * given.every)
            member = turn % MEMBERS
            when = self.end(member)
            sandbox.wait(lambda: not self.is_up(member), f"m{member + 1} is withdrawn", 20)
            self.until(begun + (turn + 0.5) * given.every + min(2, given.every / 4))
            pool.members[member].launch()
            sandbox.wait(lambda: self.is_up(member), f"m{member + 1} is back", 30)
            self.kills.append((member, when, time.time()))
            turn += 1
            self.until(begun + turn * given.every)
            if time.monotonic() - begun > next_rotation and given.seconds > 120:
                # Staged for an epoch period, then promoted by itself.
                pool.region.ask("POST", "/v1/root-keys/region1/rotate", {"force": False})
                next_rotation += 100
        self.judge(traffic)

    def until(self, moment):
        while True:
            self.watch.read()
            if time.monotonic() > self.watch.opener.taken + 5:
                self.watch.opener.take()
            left = moment - time.monotonic()
            if left <= 0:
                return
            time.sleep(min(left, 0.25))

    def judge(self, traffic):
        for flow in traffic:
            flow.stop_sending()

        def is_still():
            self.watch.read()
            return sum(flow.missing() for flow in traffic) == self.watch.waiting()

        with contextlib.suppress(AssertionError):  # what is wrong is said below
            sandbox.wait(is_still, "as many are missing as did not come out of a member", flows.Flow.PATIENCE, 0.2)
        results = [flow.stop(patience=0) for flow in traffic]
        self.watch.read()
        for gateway in self.pool.gateways:
            self.note_drops(gateway)
        harm = {reason: count for reason, count in self.drops.items() if reason not in self.HARMLESS}
        assert not harm, f"dropped: {harm}"
        assert self.watch.lost() == 0, "the captures are not whole"
        routers = [sum(spreader.count(which) for spreader in self.spreaders) for which in (Spreader.LOST, Spreader.NOBODY)]
        assert routers[0] == 0, f"the routers lost {routers[0]} packets"
        if routers[1]:
            print(f"{routers[1]} packets were forwarded while no member seemed to be up")
        explained = self.explain()
        for flow, (missing, twice) in zip(traffic, results):
            assert flow.sent > 100 and not twice, f"{flow.name}: {len(twice)} of {flow.sent} came twice"
            strange = [number for number in missing if (flow.port, number) not in explained]
            assert not strange, (
                f"{flow.name}: {len(strange)} of {flow.sent} are missing for another reason, {strange[:20]}"
                f"{flows.account(self.pool.gateways)}")
        lost = sum(len(missing) for missing, _ in results)
        assert lost == len(explained), f"{lost} are missing, {len(explained)} did not come out of a member"
        assert not (self.given.stop and lost), f"{lost} are missing, and members were only stopped"
        sent = sum(flow.sent for flow in traffic)
        shares = [sum(passage.count for passage in both.values()) for both in self.watch.passages]
        print(f"{self.given.seconds} s, a member {'stopped' if self.given.stop else 'killed'} {len(self.kills)} times: {sent} "
              f"datagrams in {len(traffic)} flows, {lost} lost, each of them explained; the members took {shares}; "
              f"{self.watch.audit.packets} protected packets, none failed to authenticate, no nonce was used twice")

    def explain(self):
        """All datagrams that did not come out of a member; each lies in the run of a kill."""
        explained, held_most, blind_most, lost_most = set(), 0, 0.0, 0
        for number, both in enumerate(self.watch.passages):
            for way, passage in both.items():
                assert not passage.early, f"m{number + 1} {way}: came out and never went in: {list(passage.early)[:10]}"
                rest = sorted(passage.waiting.items(), key=lambda item: item[1])
                for member, killed, back in self.kills:
                    if member != number:
                        continue
                    run = [(name, when) for name, when in rest if when < back]
                    rest = rest[len(run):]
                    if not run:
                        continue
                    first, last = run[0][1], max(run[-1][1], killed)
                    held = sum(when <= killed for _, when in run)
                    between = [when for when in passage.through if first < when < last]
                    assert not between, f"m{number + 1} {way}: {len(between)} passed among those that were lost"
                    assert held <= RINGS, f"m{number + 1} {way}: {held} were lost that it had taken"
                    assert last - killed < WITHDRAWAL, f"m{number + 1}: packets were sent to it for {last - killed:.2f} s"
                    held_most, blind_most = max(held_most, held), max(blind_most, last - killed)
                    lost_most = max(lost_most, len(run))
                    explained.update(name for name, _ in run)
                assert not rest, f"m{number + 1} {way}: {len(rest)} were lost while it was up: {rest[:10]}"
        print(f"of one kill and direction at most {lost_most} datagrams were lost: {held_most} held by its rings, the others "
              f"sent to it in the {blind_most:.3f} s until it was withdrawn")
        return explained


def main():
    arguments = argparse.ArgumentParser()
    arguments.add_argument("keyweave")
    arguments.add_argument("directory")
    arguments.add_argument("--seconds", type=int, default=40)
    arguments.add_argument("--minutes", type=int)
    arguments.add_argument("--every", type=int, default=10)
    arguments.add_argument("--rate", type=int, default=150, help="datagrams a second in each of four flows")
    arguments.add_argument("--stop", action="store_true")
    given = arguments.parse_args()
    if given.minutes:
        given.seconds = given.minutes * 60
    sandbox.enter()
    directory = os.path.abspath(given.directory)
    clock = sandbox.Clock(directory)
    pool = Pool(os.path.abspath(given.keyweave), directory, members=MEMBERS, clock=clock, branch=True, bfd=True)
    Test(pool, given).run()


main()
