"""Rotations of three root keys under traffic, with real controllers and gateways, in namespaces.

    rotation.py KEYWEAVE DIRECTORY CASE [--seconds N | --minutes N]

    steady     a rotation every second, of the three levels in turn; gateways take keys over late; every rotation that was
               asked for is completed; nothing is lost, twice or unauthentic
    killed     the same while controllers are killed and started at random
    offline    all controllers down and a gateway restarted: traffic goes on
    revoked    a revoked generation is used by nobody after a second; with nothing staged nobody sends
"""

import argparse
import os
import random
import threading
import time

import sandbox
from flows import unharmed
from rotation_rig import LEVELS, Network

# Milliseconds from an offer to its being taken over: most of a second that lies between two rotations.
DELAYS = (800, 350)


def flows(network):
    return [network.flow(side, 7000 + 10 * side + number) for side in (0, 1) for number in range(3)]


def generations(network):
    return {one.root: one.report()["generations"] for one in network.controllers.values()}


def currents(network):
    return {
        root: next((g["index"] for g in all if g["state"] == "current"), None)
        for root, all in generations(network).items()}


def in_step(network):
    """Whether both gateways have on their lcores what the controllers call current."""
    wanted = currents(network)
    return all(network.current(gateway) == wanted for gateway in network.gateways)


def watch(one, keys):
    """Remembers the fingerprint of every generation of a controller; one number never has two."""
    answer = one.ask("GET", "/v1/root-keys") if one.is_up() else None
    if answer is None or answer.status != 200:
        return
    for generation in answer.json[0]["generations"]:
        known = keys.setdefault((one.root, generation["index"]), generation["fingerprint"])
        assert known == generation["fingerprint"], f"{one.root} {generation['index']} has two keys"


class Series(threading.Thread):
    """The rotations of one level, each asked for on its second, or as soon as the one before it is done; all of them come."""

    LONGEST = 30

    def __init__(self, network, one, seconds, keys):
        super().__init__(daemon=True)
        self.network, self.one, self.seconds, self.keys = network, one, seconds, keys
        self.first = self.current()
        self.late, self.error = 0.0, None
        self.begin = time.monotonic()

    def current(self):
        return next(g["index"] for g in self.one.report()["generations"] if g["state"] == "current")

    def run(self):
        try:
            for number, second in enumerate(self.seconds):
                due = self.begin + second
                time.sleep(max(0, due - time.monotonic()))
                self.until(self.first + number)
                self.late = max(self.late, time.monotonic() - due)
                self.one.do("POST", f"/v1/root-keys/{self.one.root}/rotate", {"force": False})
            self.until(self.first + len(self.seconds))
        except Exception as error:
            self.error = error

    def until(self, generation):
        """The rotation to this generation is done."""

        def is_done():
            watch(self.one, self.keys)
            found = self.current()
            assert found <= generation, f"{self.one.root}: generation {found}, and {generation} was asked for"
            return found == generation

        sandbox.wait(is_done, f"{self.one.root} {generation} is current", self.LONGEST, 0.1)


def rotate_each_second(network, seconds):
    """A rotation each second, of the levels in turn: how many each level had, all keys, how late the latest was asked for,
    and how long it took."""
    keys = {}
    series = [
        Series(network, one, range(level, seconds, len(LEVELS)), keys)
        for level, one in enumerate(network.controllers.values())]
    begin = time.monotonic()
    for one in series:
        one.begin = begin
        one.start()
    for one in series:
        one.join()
        assert one.error is None, one.error
    took = time.monotonic() - begin
    sandbox.wait(lambda: in_step(network), "both gateways have what the controllers call current", 30, 0.1)
    done = {one.one.root: one.current() - one.first for one in series}
    for one in series:
        watch(one.one, keys)
        assert done[one.one.root] == len(one.seconds), f"{len(one.seconds)} rotations asked for, done: {done}"
    return done, keys, max(one.late for one in series), took


def rotate(network, seconds, disturb=lambda: None):
    """Asks for a rotation of the next level every second while controllers come and go; how often each had one, and all
    fingerprints."""
    before, keys = currents(network), {}
    begin = time.monotonic()
    for turn in range(seconds):
        one = network.controllers[list(LEVELS)[turn % 3]]
        if one.is_up():
            # One that is under way still goes on; a controller that starts just then does not answer.
            one.ask("POST", f"/v1/root-keys/{one.root}/rotate", {"force": False})
        disturb()
        for one in network.controllers.values():
            watch(one, keys)
        time.sleep(max(0, begin + turn + 1 - time.monotonic()))
    for one in network.controllers.values():
        if not one.is_up():
            one.start()
    sandbox.wait(lambda: in_step(network), "both gateways have what the controllers call current", 30, 0.1)
    after = currents(network)
    for one in network.controllers.values():
        watch(one, keys)
    return {root: after[root] - before[root] for root in after}, keys


def clean(network):
    drops = network.rest()
    for reason in ("authentication", "unknown-key", "epoch", "replay-late", "replay-duplicate"):
        assert not drops.get(reason), f"{drops[reason]} packets dropped: {reason}"


def steady(network, seconds):
    traffic = flows(network)
    done, keys, late, took = rotate_each_second(network, seconds)
    sent = unharmed(traffic, network.gateways)
    clean(network)
    print(f"{sum(done.values())} rotations of {seconds} asked for, in {took:.1f} s {done}, the latest {late:.2f} s after its "
          f"second; {len(keys)} keys, none with two values: {sent} datagrams in {len(traffic)} flows, 0 lost, 0 twice, 0 "
          "authentication failures")


def killed(network, seconds):
    traffic = flows(network)
    kills = 0

    def disturb():
        nonlocal kills
        one = random.choice(list(network.controllers.values()))
        if not one.is_up():
            one.start()
        elif random.random() < 0.7:
            time.sleep(random.random() * 0.7)
            one.kill()
            kills += 1

    done, keys = rotate(network, seconds, disturb)
    sent = unharmed(traffic, network.gateways)
    clean(network)
    assert kills > seconds // 5, f"only {kills} controllers were killed"
    assert sum(done.values()) >= 3, f"too few rotations: {done}"
    print(f"{seconds} s, {kills} controllers killed, {sum(done.values())} rotations {done}, no number with two keys: {sent} "
          "datagrams, 0 lost, 0 twice, 0 authentication failures")


def offline(network, seconds):
    rotate(network, 4)
    for one in network.controllers.values():
        one.kill()
    before = network.current(network.gateways[1])
    network.gateways[1].kill()
    network.gateways[1].launch()
    network.gateways[1].ready()
    begin = time.monotonic()
    # Its record is from the same boot; its keys are in the sealed file.
    sandbox.wait(network.reaches, "host B answers host A without any controller", 30)
    took = time.monotonic() - begin
    assert network.current(network.gateways[1]) == before
    status = network.gateways[1].ask("status")["key_agent"]
    assert status["state"] == "degraded" and status["deadline"] > time.time(), status
    traffic = flows(network)
    time.sleep(5)
    sent = unharmed(traffic, network.gateways)
    for one in network.controllers.values():
        one.start()
    done, _ = rotate(network, 6)
    assert sum(done.values()) >= 3, f"no rotations after the controllers came back: {done}"
    print(f"all controllers down, a gateway killed and started: traffic after {took:.1f} s, {sent} datagrams, 0 lost; then "
          f"{done} rotations")


def revoked(network, seconds):
    one = network.controllers["users"]
    # With a staged generation, which takes over.
    one.do("POST", f"/v1/root-keys/{one.root}/stage")
    sandbox.wait(lambda: not one.report()["missing"], "both have the staged generation")
    old = network.current(network.gateways[0])[one.root]

    def revoke():
        begin = time.monotonic()
        one.do("POST", f"/v1/root-keys/{one.root}/revoke")
        sandbox.wait(lambda: all(network.current(g).get(one.root) != old for g in network.gateways), "nobody uses it", 5)
        took = time.monotonic() - begin
        assert took < 1, f"a revoked generation was used for {took:.2f} s"
        return took

    first = revoke()
    assert [network.current(g)[one.root] for g in network.gateways] == [old + 1] * 2
    sandbox.wait(network.reaches, "traffic under the generation that took over")
    # With nothing staged: members stop sending, and never in clear.
    old += 1
    second = revoke()
    sniffer = sandbox.Sniffer(network.hosts[1], "eth0")
    assert not network.reaches(), "host B answered without any key"
    assert not [frame for _, frame, _ in sniffer.stop() if frame[12:14] == b"\x08\x00"], "a packet came through"
    one.do("POST", f"/v1/root-keys/{one.root}/rotate")
    sandbox.wait(network.reaches, "traffic under a new generation", 20)
    print(f"revoked with one staged: {first * 1000:.0f} ms; with none: {second * 1000:.0f} ms, and nobody sent until the next")


def main():
    arguments = argparse.ArgumentParser()
    arguments.add_argument("keyweave")
    arguments.add_argument("directory")
    arguments.add_argument("case", choices=["steady", "killed", "offline", "revoked"])
    arguments.add_argument("--seconds", type=int, default=30)
    arguments.add_argument("--minutes", type=int)
    given = arguments.parse_args()
    sandbox.enter()
    seconds = given.minutes * 60 if given.minutes else given.seconds
    delays = DELAYS if given.case in ("steady", "killed") else (0, 0)
    network = Network(os.path.abspath(given.keyweave), os.path.abspath(given.directory), delays)
    network.start()
    {"steady": steady, "killed": killed, "offline": offline, "revoked": revoked}[given.case](network, seconds)


main()
