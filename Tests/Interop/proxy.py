"""Three trust groups in a row, with a controller each, in namespaces:

    host-1 -- gateway-1 ==site-1== proxy-1 ==world== proxy-2 ==site-2== gateway-2 -- host-2

    proxy.py KEYWEAVE DIRECTORY [--seconds N] [--iperf]

Every domain has its own keys, suite, key context, outer family and MTU, and rotates by itself while ping, TCP and datagrams with
sequence numbers cross all three: nothing is lost. A foreign member of each domain takes its keys; all frames of the three wires are
judged by the reference implementation: opened under their own domain's keys and no other's, no nonce twice, nothing of the
payload in clear. What no policy lets through stops at the proxy, and its errors come back sealed.
"""

import argparse
import contextlib
import hashlib
import ipaddress
import json
import os
import threading
import time

import audit
import reference
import sandbox
from controller_rig import Authority, Client, holds
from flows import Flow, unharmed
from rotation_rig import NamespacedController

MARK = b"in clear this would be seen. "
HOSTS = ("10.1.0.2", "10.2.0.2")
HOSTS6 = ("2001:db8:1::2", "2001:db8:2::2")
INNER = (["10.1.0.0/16", "2001:db8:1::/48"], ["10.2.0.0/16", "2001:db8:2::/48"])
# Of the policies: the second address of host 1 is outside.
ALLOWED = (["10.1.0.0/24", "2001:db8:1::/64"], ["10.2.0.0/24", "2001:db8:2::/64"])
STRANGER = "10.1.9.2"
FILE_SIZE = 1_500_000
# Payloads, and the addresses of inner headers.
NEEDLES = [MARK[:16], MARK[-16:]] + [
    b"".join(ipaddress.ip_address(one).packed for one in pair)
    for ends in (HOSTS, HOSTS6) for pair in (ends, ends[::-1])]


class Domain:
    """A wire with its trust group: how packets are sealed there, between which two gateways."""

    def __init__(self, number, name, networks, mtu, pause, carriage="udp", **route):
        self.number, self.name, self.networks, self.mtu, self.route = number, name, networks, mtu, route
        self.pause, self.carriage = pause, carriage
        self.controller, self.sniffers, self.rotations, self.keys, self.series = None, [], 0, {}, None
        self.variants, self.opened, self.marked = set(), 0, 0

    def address(self, end):
        return self.networks.format(end + 1)

    def groups(self):
        """For the reference, as a member had it at one time after the other: previous, current and next."""
        keys = {number: key for (_, number), key in self.keys.items()}
        identifier = bytes.fromhex(self.series["id"])
        for first in range(min(keys), max(keys) + 1):
            held = {number: keys[number] for number in range(first, first + 3) if number in keys}
            yield reference.Group(self.name, [reference.RootKey(1, identifier, first, held)], True, 60)


DOMAINS = (
    Domain(0, "site-1", "192.0.2.{}", 1600, 1.0),
    Domain(1, "world", "2001:db8:f::{}", 1500, 1.3, carriage="ip", suite="aes-128-gcm", context="source-address"),
    Domain(2, "site-2", "198.51.100.{}", 1600, 1.7, options=False),
)


class Network:
    def __init__(self, keyweave, directory):
        self.keyweave, self.directory = keyweave, directory
        self.authority = Authority(directory, "authority")
        administrator = self.authority.issue("admin/alice")
        self.node = sandbox.Node("controllers")
        self.node.address("lo", "10.9.0.1/32")
        for domain in DOMAINS:
            domain.controller = NamespacedController(
                self.node, 8441 + domain.number, keyweave, directory, self.authority, administrator, domain.name,
                "trust-region", "root", authority_of_ids=True)
        self.hosts = [sandbox.Node("host-1"), sandbox.Node("host-2")]
        self.gateways, self.identities = [], []
        for number, name in enumerate(("gateway-1", "proxy-1", "proxy-2", "gateway-2")):
            identity = self.authority.issue(f"dpu/{name}")
            self.identities.append(identity)
            gateway = sandbox.Gateway(name, keyweave, directory, **self.configuration(number, name, identity))
            self.gateways.append(gateway)
            sandbox.link(self.node, f"to-{number}", gateway, "control")
            self.node.address(f"to-{number}", f"10.9.{number + 1}.1/24")
            gateway.address("control", f"10.9.{number + 1}.2/24")
            gateway.route(f"10.9.{number + 1}.1", to="10.9.0.1/32")
        for side, host in enumerate(self.hosts):
            sandbox.link(host, "eth0", self.gateways[3 * side], "clear")
            host.address("eth0", f"{HOSTS[side]}/24", f"{HOSTS6[side]}/64")
            host.route(f"10.{side + 1}.0.1", f"2001:db8:{side + 1}::1")
        self.hosts[0].address("eth0", f"{STRANGER}/32")
        for domain in DOMAINS:
            ends = self.gateways[domain.number : domain.number + 2]
            sandbox.link(ends[0], "east", ends[1], "west", domain.mtu)
            # Packets are taken where they arrive: the sending end does not show what bypasses its queue.
            domain.sniffers = [
                sandbox.Sniffer(ends[0], "east", outgoing=False, mtu=domain.mtu),
                sandbox.Sniffer(ends[1], "west", outgoing=False, mtu=domain.mtu)]

    def configuration(self, number, name, identity):
        """Gateway n is between wires n - 1 (west) and n (east); the first and the last have a host instead."""
        here = [domain for domain in DOMAINS if domain.number in (number - 1, number)]
        ports, peers, routes, groups = [], [], [], []
        for side in (0, 1):
            if number == 3 * side:
                ports.append({
                    "name": "clear", "device": "clear", "role": "clear",
                    "addresses": [f"10.{side + 1}.0.1/24", f"2001:db8:{side + 1}::1/64"]})
                if side == 0:
                    # The way to host 1's other address.
                    routes.append({"to": f"{STRANGER}/32", "via": HOSTS[0]})
        for domain in here:
            is_east = domain.number == number
            port, end = ("east", 0) if is_east else ("west", 1)
            length = 64 if ":" in domain.networks else 24
            ports.append({
                "name": port, "device": port, "role": "protected", "mtu": domain.mtu,
                "addresses": [f"{domain.address(end)}/{length}"], "default_group": domain.name})
            peers.append({"name": port, "address": domain.address(1 - end), "carriage": domain.carriage})
            # Eastward lies domain 2 with its hosts.
            far = INNER[1 if is_east else 0]
            routes += [{"to": to, "peers": [port], "group": domain.name, **domain.route} for to in far]
            groups.append({"name": domain.name, "may_speak": far})
        proxies = []
        if len(here) == 2:
            west, east = here[0].name, here[1].name
            proxies = [
                {"from": west, "to": east, "sources": ALLOWED[0], "destinations": ALLOWED[1]},
                {"from": east, "to": west, "sources": ALLOWED[1], "destinations": ALLOWED[0]}]
        with open(os.open(f"{self.directory}/{name}.kek", os.O_CREAT | os.O_WRONLY, 0o600), "w") as file:
            file.write(os.urandom(32).hex() + "\n")
        return {
            "keys": None,
            "identity": {
                "controller": here[0].name,
                "groups": [{"group": domain.name, "controller": domain.name} for domain in here[1:]]},
            "key_agent": {
                "certificate": identity.certificate, "key": identity.keyfile, "authority": self.authority.path,
                "state": f"{self.directory}/{name}.state", "wrapping_key": {"file": f"{self.directory}/{name}.kek"},
                "controllers": [
                    {"name": domain.name, "url": f"https://{domain.controller.address}",
                     "id": domain.controller.identity.id, "pin": domain.controller.identity.pin} for domain in here],
                "trust_groups": [
                    {"name": domain.name, "epoch_period": "60s", "root_keys": [f"{domain.name}/root"]} for domain in here]},
            "ports": ports, "peers": peers, "routes": routes, "groups": groups, "proxies": proxies or None,
        }

    def start(self):
        for domain in DOMAINS:
            domain.controller.start()
            for identity in self.identities[domain.number : domain.number + 2]:
                self.enrol(domain, identity)
        for gateway in self.gateways:
            gateway.launch()
        for gateway in self.gateways:
            gateway.ready()
        # Keys come a moment after the gateway, and not to all at once: what the first one sealed the others would refuse.
        for domain in DOMAINS:
            for gateway in self.gateways[domain.number : domain.number + 2]:
                sandbox.wait(lambda: self.current(gateway, domain), f"{gateway.name} has keys of {domain.name}", 30)
        for addresses in (HOSTS, HOSTS6):
            sandbox.wait(lambda a=addresses: self.reaches(a[1]), f"host 1 reaches {addresses[1]}", 30)

    def enrol(self, domain, identity):
        body = {"id": identity.id, "public_keys": [identity.pin], "root_keys": ["root"]}
        return domain.controller.do("POST", "/v1/members", body)

    def reaches(self, address):
        return "1 received" in self.hosts[0].run("ping", "-n", "-q", "-c1", "-W1", address, check=False)

    def current(self, gateway, domain):
        for one in gateway.ask("status")["key_agent"]["controllers"]:
            if one["name"] == domain.name:
                return next((key.get("current") for key in one["root_keys"]), None)
        return None


class Member(threading.Thread):
    """A foreign member of one domain: takes over every generation, so that packets can be judged."""

    def __init__(self, network, domain):
        super().__init__(daemon=True)
        self.network, self.domain, self.stopping, self.failure = network, domain, threading.Event(), None
        identity = network.authority.issue(f"dpu/auditor-{domain.name}")
        network.enrol(domain, identity)
        with network.node.inside():
            self.client = Client(domain.controller, identity)
        self.version = 0
        self.poll(0)
        self.start()

    def poll(self, wait):
        with self.network.node.inside():
            assert self.client.lease().status == 200
            held = holds({"root_keys": [self.domain.series]}) if self.domain.series else []
            answer = self.client.poll(self.version, wait, held)
            if answer.status == 204:
                return
            assert answer.status == 200, answer.text
            self.domain.series, = answer.json["root_keys"]
            self.domain.keys.update(self.client.keys(answer.json))
            self.version = answer.json["version"]

    def run(self):
        try:
            while not self.stopping.is_set():
                self.poll(1)
        except Exception as error:  # told by the main thread
            self.failure = error

    def stop(self):
        self.stopping.set()
        self.join(10)
        assert self.failure is None, f"{self.domain.name}: {self.failure}"


class Rotator(threading.Thread):
    """Asks a domain's controller for a rotation again and again, at a pace of its own."""

    def __init__(self, domain):
        super().__init__(daemon=True)
        self.domain, self.stopping = domain, threading.Event()
        self.first = self.now()
        self.start()

    def now(self):
        states = self.domain.controller.report()["generations"]
        return next(one["index"] for one in states if one["state"] == "current")

    def run(self):
        while not self.stopping.wait(self.domain.pause):
            self.domain.controller.ask("POST", "/v1/root-keys/root/rotate", {"force": False})

    def stop(self):
        self.stopping.set()
        self.join()
        self.domain.rotations = self.now() - self.first


def ping(network):
    pattern = f"-p{MARK[:16].hex()}"
    host = network.hosts[0]
    for family, far in (("-4", HOSTS[1]), ("-6", HOSTS6[1])):
        for size in (56, 1000, 1300, 1452, 4000):
            words = ["ping", family, "-c3", "-i0.05", "-W2", "-Mdont", f"-s{size}", pattern, far]
            # The first one beyond the path's MTU teaches the host.
            sandbox.wait(lambda w=words: "3 received" in host.run(*w, check=False), " ".join(words), 12)
    # Each hop says so when it is the last: the gateway in clear, the proxies in their domain.
    for hops in (1, 2, 3, 4, 5):
        said = sandbox.wait(
            lambda h=hops: answered(host.run("ping", "-4", "-n", "-c1", "-W2", f"-t{h}", HOSTS[1], check=False)),
            f"an answer about {hops} hops", 12)
        assert ("exceeded" in said) == (hops < 5), f"{hops} hops: {said}"
    # A packet that may not be cut is told the narrowest domain's MTU: the world's, whose proxy says it.
    host.run("ip", "route", "flush", "cache")
    said = host.run("ping", "-4", "-n", "-c2", "-W2", "-Mdo", "-s1452", HOSTS[1], check=False)
    assert "Frag needed" in said or "too long" in said.lower(), said


def answered(said):
    return said if "exceeded" in said or "1 received" in said else None


def stranger(network):
    """Spoken for, but outside of the policy: nothing of it reaches the world."""
    before = network.gateways[1].ask("status")["drops"].get("policy-domain", 0)
    sealed = network.gateways[1].ask("status")["totals"]["sealed"]
    network.hosts[0].run("ping", "-n", "-c3", "-i0.1", "-W1", "-I", STRANGER, HOSTS[1], check=False)
    status = network.gateways[1].ask("status")
    assert status["drops"].get("policy-domain", 0) == before + 3, status["drops"]
    assert status["totals"]["sealed"] == sealed, "something was sealed"


def download(network):
    site = f"{network.directory}/site"
    os.makedirs(site, exist_ok=True)
    content = (MARK * (FILE_SIZE // len(MARK) + 1))[:FILE_SIZE]
    with open(f"{site}/file", "wb") as file:
        file.write(content)
    server = network.hosts[1].start("busybox", "httpd", "-f", "-p", "[::]:80", "-h", site)
    for address in (HOSTS[1], f"[{HOSTS6[1]}]"):
        target = f"{network.directory}/downloaded"
        network.hosts[0].run(
            "curl", "-sS", "--retry", "5", "--retry-connrefused", "--retry-delay", "1", "-m", "50", "-o", target,
            f"http://{address}/file")
        with open(target, "rb") as file:
            assert hashlib.sha256(file.read()).digest() == hashlib.sha256(content).digest(), f"another file at {address}"
    server.kill()
    server.wait()


def iperf(network):
    server = network.hosts[1].start("iperf3", "-s", "-1", "-B", HOSTS[1])
    time.sleep(0.5)
    answer = json.loads(network.hosts[0].run("iperf3", "-c", HOSTS[1], "-t", "3", "-b", "40M", "-J"))
    server.wait(20)
    rate = answer["end"]["sum_received"]["bits_per_second"] / 1e6
    assert rate > 10, f"{rate:.1f} Mb/s"
    return rate


def opened_under(auditor, groups, found):
    """The opened packet, and the groups with the one that opened it first: the next packet is likely to be its."""
    for place, group in enumerate(groups):
        auditor.groups = [group]
        with contextlib.suppress(reference.Drop):
            opened = auditor.open(*found)
            return opened, [group, *groups[:place], *groups[place + 1 :]]
    raise AssertionError(f"no generation opens {found[0].hex()}")


def judge(domain):
    """Every frame of a wire, under this domain's keys alone."""
    auditor, groups = audit.Audit([]), list(domain.groups())
    for sniffer in domain.sniffers:
        frames = [frame for _, frame, _ in sniffer.stop()]
        assert sniffer.lost == 0, f"{domain.name}: the sniffer lost {sniffer.lost} frames"
        frames = [frame for frame in frames if not audit.is_housekeeping(frame)]
        for frame in frames:
            for needle in NEEDLES:
                assert needle not in frame, f"{domain.name}: inner packet in clear: {frame.hex()}"
        for frame in audit.whole(frames):
            found = audit.protected(frame)
            assert found, f"{domain.name}: not protected: {frame.hex()}"
            auditor.nonce(found[0])
            opened, groups = opened_under(auditor, groups, found)
            domain.variants.add(opened.variant)
            domain.marked += MARK[:16] in opened.payload
    domain.opened = auditor.opened
    assert domain.opened > 500 and domain.marked > 100, f"{domain.name}: {domain.opened} packets, {domain.marked} marked"


def balance(network):
    for host in network.hosts:
        host.run("ip", "link", "set", "eth0", "down")
    fair = {"handled", "reassembled", "no-route", "too-big", "hop-limit", "neighbour-unresolved", "transmit-full", "port-down",
            "policy-domain"}
    for gateway in network.gateways:
        def idle(gateway=gateway):
            one = gateway.ask("status")
            time.sleep(0.15)
            two = gateway.ask("status")
            return two if one["totals"] == two["totals"] else None

        status = sandbox.wait(idle, f"{gateway.name} idle", 10)
        totals = status["totals"]
        assert totals["in"] == totals["out"] + totals["drops"], f"{gateway.name}: {totals} {status['drops']}"
        assert set(status["drops"]) <= fair, f"{gateway.name}: {status['drops']}"
        if gateway.name.startswith("proxy"):
            packets = [one["packets"] for one in status["proxies"]]
            assert min(packets) > 100, f"{gateway.name}: {status['proxies']}"


def identities(network):
    """A proxy has in each domain the numbers that this domain's controller gave it."""
    for number in (1, 2):
        status = network.gateways[number].ask("status")["key_agent"]
        for domain in DOMAINS[number - 1 : number + 1]:
            given = next(one for one in status["controllers"] if one["name"] == domain.name)
            listed = domain.controller.do("GET", "/v1/members")
            mine = next(one for one in listed if one["id"] == network.identities[number].id)
            assert given["device_id"] == mine["assignment"]["device_id"], (given, mine)


def main():
    arguments = argparse.ArgumentParser()
    arguments.add_argument("keyweave")
    arguments.add_argument("directory")
    arguments.add_argument("--seconds", type=int, default=10, help="of datagrams while every domain rotates")
    arguments.add_argument("--iperf", action="store_true")
    given = arguments.parse_args()
    sandbox.enter()
    network = Network(os.path.abspath(given.keyweave), os.path.abspath(given.directory))
    network.start()
    identities(network)
    members = [Member(network, domain) for domain in DOMAINS]
    stranger(network)
    rotators = [Rotator(domain) for domain in DOMAINS]
    flows = [
        Flow(f"host {side + 1} to host {2 - side}", network.hosts[side], network.hosts[1 - side], HOSTS[1 - side], 7000 + side)
        for side in (0, 1)]
    begin = time.monotonic()
    ping(network)
    download(network)
    rate = iperf(network) if given.iperf else None
    time.sleep(max(0, begin + given.seconds - time.monotonic()))
    sent = unharmed(flows, network.gateways)
    for rotator in rotators:
        rotator.stop()
    for member in members:
        member.stop()
    balance(network)
    for domain in DOMAINS:
        judge(domain)
        assert domain.rotations >= 3, f"{domain.name}: {domain.rotations} rotations"
    wanted = [{0}, {5}, {0}]
    assert [domain.variants for domain in DOMAINS] == wanted, [domain.variants for domain in DOMAINS]
    print(f"{sent} datagrams, 0 lost, 0 twice" + (f", TCP {rate:.0f} Mb/s" if rate else "") + "; "
          + "; ".join(f"{d.name}: {d.rotations} rotations, {d.opened} packets opened, no nonce twice, nothing in clear"
                      for d in DOMAINS))


main()
