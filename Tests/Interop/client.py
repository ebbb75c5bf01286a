"""An outside client, end to end: a controller, the two members of a pool, the client, and a host at each side.

    client.py KEYWEAVE DIRECTORY [--epochs N] [--real-time]

Numbered datagrams go both ways between the client's host and the pool's, through epochs' ends and through a rotation;
then the member that made the connection dies, and the client renews it at the other one and goes on there; then the client
is taken off the list. No data key of an epoch that is over, and none of the connection when it is closed, is in the memory
of client or members; the same search finds those in use.

The clocks of all of them skip the middle of epochs, unless the time is to be real (five minutes).
"""

import argparse
import itertools
import os
import time

import reference
import sandbox
from auditor import Auditor
from flows import unharmed
from needles import Needles
from pool_rig import PERIOD, Pool

CONNECTION = 0b1010  # wide ID, context connection, AES-256


class Story:
    def __init__(self, pool):
        self.pool = pool
        self.connection = pool.start()
        self.first_epoch = self.epoch()
        self.auditor = Auditor(pool)
        self.made = int(self.connection["member"][1])
        self.port = 7000
        pool.use(self.made)
        # A member without a record seals one epoch ahead, of which clients have keys in the last quarter only.
        pool.last_quarter()
        self.reach()

    def epoch(self):
        return int(self.pool.now()) // PERIOD

    def reach(self):
        address = self.connection["address"]
        sandbox.wait(lambda: self.pool.reaches(self.pool.client_host, address), "the server answers", 20)

    def traffic(self, what, happens):
        """Datagrams both ways while it happens; all of them arrive once."""
        self.port += 2
        traffic = self.pool.flows(self.port, self.connection["address"])
        begun = time.monotonic()
        try:
            said = happens()
        finally:
            for flow in traffic:
                flow.stopping.set()
        sent = unharmed(traffic, self.pool.gateways)
        print(f"{what}{said or ''}: {sent} datagrams in {time.monotonic() - begun:.0f} s, none lost, none twice", flush=True)

    def rotate(self):
        """STAGE, an epoch period in which clients learn of it, PROMOTE."""
        region = self.pool.region
        before = self.current()
        region.do("POST", "/v1/root-keys/region1/stage")
        staged = self.pool.now()
        sandbox.wait(lambda: not self.missing(), "all have the staged generation", 20)
        while self.pool.now() < staged + PERIOD + 1:
            self.pool.next_epoch()
        self.auditor.poll()
        sandbox.wait(
            lambda: region.ask("POST", "/v1/root-keys/region1/promote").status == 200, "the promotion", 20, 0.2)
        assert self.current() == before + 1
        sandbox.wait(lambda: not self.missing(), "all have promoted", 20)
        self.auditor.poll()
        # The client learns of it at its next renewal, and its packets are opened all the same.
        self.pool.last_quarter()
        return f" to generation {before + 1}"

    def current(self):
        return next(g["index"] for g in self.pool.region.report()["generations"] if g["state"] == "current")

    def missing(self):
        self.auditor.poll()
        return self.pool.region.report()["missing"]

    # Memory

    def keys(self, epochs):
        """The connection's data keys, of both directions, under every generation that there was."""
        needles = Needles()
        low = bytes.fromhex(self.connection["id"])
        for identifier in (low, low[:-1] + bytes([low[-1] | 1])):
            for generation, epoch in itertools.product({number for _, number in self.auditor.keys}, epochs):
                key = reference.data_key(
                    self.auditor.master((generation,)), CONNECTION, identifier, epoch % 65536, None)
                name = f"data key of {identifier.hex()}, epoch {epoch}, generation {generation}"
                needles.add(name, key)
                needles.add_rounds(name, key)
        return needles

    def scan(self, what, gateways, gone):
        found = {}
        for gateway in gateways:
            found[gateway.name] = gone.found(gateway.process.pid)
        assert not any(found.values()), f"{what}: {found}"
        print(f"{what}: {len(gone.all)} forms of its data keys, none in the memory of "
              f"{' or '.join(gateway.name for gateway in gateways)}", flush=True)

    def live(self, gateway, needles):
        found = needles.found(gateway.process.pid)
        assert any("round key" in name for name in found), f"{gateway.name}: the search finds no live round key: {found}"
        assert not any(" in " in name for name in found), f"{gateway.name}: keys as text: {found}"
        return len(found)

    def past(self):
        """Those in use are found, those of epochs that are over are not."""
        now = self.epoch()
        # Lcores look for them ten times a second.
        time.sleep(0.3)
        inside = self.pool.members[self.made - 1]
        live = self.keys(range(now, now + 2))
        counts = [self.live(gateway, live) for gateway in (self.pool.client, inside)]
        over = self.keys(range(self.first_epoch, now - 1))
        self.scan(f"epochs {self.first_epoch} to {now - 2} of the connection ({min(counts)} forms of {now}'s found)",
                  [self.pool.client, *self.pool.members], over)

    # What a client must survive, and its end

    def dies(self):
        """The member that made the connection; traffic is the other's by then."""
        other = 3 - self.made
        self.pool.members[self.made - 1].kill()
        at = self.pool.now()
        self.pool.last_quarter()
        renewed = sandbox.wait(
            lambda: self.pool.connection()["member"] == f"m{other}" and self.pool.connection(), "a renewal at the other", 70)
        assert renewed["renewed"] >= at
        assert (renewed["id"], renewed["address"]) == (self.connection["id"], self.connection["address"]), renewed
        self.pool.next_epoch()
        self.made = other
        return f", renewed at m{other}"

    def removed(self):
        gateway = self.pool.members[self.made - 1]
        closed = self.keys(range(self.first_epoch, self.epoch() + 2))
        self.traffic("before it is closed", lambda: [time.sleep(1), self.live(gateway, closed)] and None)
        host, address = self.pool.client_host, self.connection["address"]
        before = gateway.ask("status")["drops"].get("unknown-key", 0)
        self.pool.administer("clients", "remove", self.client_id())
        at = time.monotonic()

        def denied():
            self.pool.reaches(host, address)
            return gateway.ask("status")["drops"].get("unknown-key", 0) > before

        sandbox.wait(denied, "the client is denied", 10)
        print(f"taken off the list: denied {time.monotonic() - at:.2f} s later", flush=True)
        self.scan("closed", [gateway], closed)
        # The client is told so when it renews, and what it has ends with its epochs.
        sandbox.wait(lambda: "no client of this pool" in (self.pool.connection().get("problem") or ""), "the client knows",
                     PERIOD)
        end = self.epoch() + 3
        while self.epoch() < end:
            self.pool.skip(20) if self.pool.clock else time.sleep(1)
        sandbox.wait(lambda: not self.pool.reaches(host, address), "the client has no key left", 10)
        time.sleep(1.5)
        self.scan("closed", [self.pool.client, gateway], closed)

    def client_id(self):
        return f"{self.pool.region.identity.domain}/client/one"


def main():
    arguments = argparse.ArgumentParser()
    arguments.add_argument("keyweave")
    arguments.add_argument("directory")
    arguments.add_argument("--epochs", type=int, default=3, help="how many epochs' ends before the rotation")
    arguments.add_argument("--real-time", action="store_true")
    given = arguments.parse_args()
    sandbox.enter()
    directory = os.path.abspath(given.directory)
    clock = None if given.real_time else sandbox.Clock(directory)
    pool = Pool(os.path.abspath(given.keyweave), directory, members=2, clock=clock)
    story = Story(pool)
    print(f"connection {story.connection['id']}, inner address {story.connection['address']}, from m{story.made}",
          flush=True)
    story.traffic(f"{given.epochs} ends of an epoch", lambda: [pool.next_epoch() for _ in range(given.epochs)] and None)
    # Before anything new is installed, which would erase them as well.
    story.traffic("a look into the memory", story.past)
    story.traffic("a rotation", story.rotate)
    pool.use(3 - story.made)
    story.reach()
    story.traffic(f"m{story.made} killed", story.dies)
    story.removed()
    drops = pool.client.ask("status")["drops"]
    print(f"the client's drops: {drops}")


main()
