"""A pool of two members behind a router that watches them by BFD, with a far gateway and hosts on both sides:

    host -- far ====+                        +==== member-1 ---+
                    |  fabric (192.0.2.0/24) |                 +-- server (10.8.0.0/24)
          router ===+                        +==== member-2 ---+

The far gateway seals for 198.51.100.8, which every member has and the router leads to all of them, or for an address on the
fabric that the members share.
"""

import json
import os
import re
import socket
import struct
import threading
import time

import reference
import sandbox

MEMBERS = (1, 2)
ROUTER = {4: "192.0.2.254", 6: "2001:db8:f::fe"}
POOL = {4: "198.51.100.8", 6: "2001:db8:8::8"}
SHARED = {4: "192.0.2.8", 6: "2001:db8:f::8"}
# The members' on the servers' side.
SHARED_SERVERS = "10.8.0.8"
SERVER, HOST = "10.8.0.100", "10.1.0.2"


def address(number, family=4):
    return f"192.0.2.{number}" if family == 4 else f"2001:db8:f::{number:x}"


def routes(interval=50):
    """BIRD's configuration: routes to the pool's addresses by way of the members whose BFD sessions are up."""
    hops = {
        family: "\n".join(f"    via {address(member, family)} bfd" for member in MEMBERS) for family in POOL}
    return f"""
router id {ROUTER[4]};
protocol device {{ scan time 1; }}
protocol kernel {{ merge paths on; ipv4 {{ export all; import none; }}; }}
protocol kernel {{ merge paths on; ipv6 {{ export all; import none; }}; }}
protocol bfd {{ interface "eth0" {{ min rx interval {interval} ms; min tx interval {interval} ms; multiplier 3; }}; }}
protocol static {{ ipv4; route {POOL[4]}/32
{hops[4]}; }}
protocol static {{ ipv6; route {POOL[6]}/128
{hops[6]}; }}
"""


class Bird:
    """BIRD in a node, asked over its control socket, since starting birdc takes longer than what is measured."""

    def __init__(self, node, directory, configuration):
        self.path = f"{directory}/bird.ctl"
        with open(f"{directory}/bird.conf", "w") as file:
            file.write(configuration)
        self.log = open(f"{directory}/bird.log", "w")
        self.process = node.start(
            "bird", "-f", "-c", f"{directory}/bird.conf", "-s", self.path, "-P", f"{directory}/bird.pid", log=self.log)
        sandbox.wait(lambda: os.path.exists(self.path), "BIRD's socket")
        self.channel = socket.socket(socket.AF_UNIX)
        self.channel.connect(self.path)
        self.reply()

    def reply(self):
        """Everything up to the line whose code is not followed by a dash: the last."""
        text = ""
        while not re.search(r"(?:^|\n)\d{4} [^\n]*\n$", text):
            piece = self.channel.recv(65536).decode()
            assert piece, "BIRD closed its control socket"
            text += piece
        return text

    def ask(self, command):
        self.channel.sendall(command.encode() + b"\n")
        return self.reply()

    def hops(self, family=4):
        """The members among the next-hops of the pool's address."""
        text = self.ask(f"show route for {POOL[family]}")
        return {member for member in MEMBERS if f"via {address(member, family)} " in text}

    def sessions(self):
        """{address: state}."""
        found = re.findall(r"(?:^|\n)(?:\d{4}-| )([0-9a-f.:]+) +\S+ +(\S+) ", self.ask("show bfd sessions"))
        return {name: state for name, state in found if name not in ("IP",)}


class Pool:
    def __init__(self, keyweave, directory, lcores=1, shared=False, bird=True, interval=50, drain="500ms"):
        self.directory, self.lcores, self.shared = directory, lcores, shared
        self.interval, self.drain = interval, drain
        root = reference.RootKey(1, os.urandom(16), 1, {1: os.urandom(32)})
        group = reference.Group("pool", [root])
        with open(os.open(f"{directory}/keys.yaml", os.O_CREAT | os.O_WRONLY, 0o600), "w") as file:
            file.write(reference.keys_yaml([group]))
        self.host, self.router, self.server = sandbox.Node("host"), sandbox.Node("router"), sandbox.Node("server")
        self.far = sandbox.Gateway("far", keyweave, directory, **self.far_configuration())
        self.members = {
            number: sandbox.Gateway(f"member-{number}", keyweave, directory, **self.configuration(number))
            for number in MEMBERS}
        sandbox.segment(
            self.router, "eth0", (self.far, "fabric"), *((member, "fabric") for member in self.members.values()), mtu=1600)
        sandbox.segment(self.server, "eth0", *((member, "clear") for member in self.members.values()))
        sandbox.link(self.host, "eth0", self.far, "clear")
        self.host.address("eth0", f"{HOST}/24")
        self.host.route("10.1.0.1")
        self.server.address("eth0", f"{SERVER}/24")
        self.router.address("eth0", f"{ROUTER[4]}/24", f"{ROUTER[6]}/64")
        for setting in ("ipv4.ip_forward=1", "ipv4.conf.all.send_redirects=0", "ipv4.conf.eth0.send_redirects=0",
                        "ipv4.fib_multipath_hash_policy=1", "ipv6.conf.all.forwarding=1"):
            self.router.run("sysctl", "-qw", f"net.{setting}")
        self.far.launch()
        self.far.ready()
        self.bird = Bird(self.router, directory, routes(interval)) if bird else None

    def far_configuration(self):
        target = SHARED[4] if self.shared else POOL[4]
        peer = {"name": "pool", "address": target} | ({} if self.shared else {"via": ROUTER[4]})
        return {
            "identity": {"device_id": "000000a0", "member": 0},
            "ports": [
                {"name": "clear", "device": "clear", "role": "clear", "addresses": ["10.1.0.1/24"]},
                {"name": "fabric", "device": "fabric", "role": "protected", "mtu": 1600,
                 "addresses": [f"{address(10)}/24"]}],
            "peers": [peer],
            "routes": [{"to": "10.8.0.0/24", "peers": ["pool"], "group": "pool"}],
            "groups": [{"name": "pool", "may_speak": ["10.8.0.0/24"]}],
        }

    def configuration(self, number, **more):
        fabric = {
            "name": "fabric", "device": "fabric", "role": "protected", "mtu": 1600,
            "addresses": [f"{address(number)}/24", f"{address(number, 6)}/64", f"{POOL[4]}/32", f"{POOL[6]}/128"]}
        servers = {"name": "servers", "device": "clear", "role": "clear", "addresses": [f"10.8.0.{number}/24"]}
        sessions = [{"neighbour": ROUTER[4]}, {"neighbour": ROUTER[6]}]
        if self.shared:
            others = [member for member in MEMBERS if member != number]
            sessions = [{"neighbour": address(other)} for other in others]
            before = [address(other) for other in others if other < number]
            fabric["shared"] = [{"address": SHARED[family], "after": before} for family in SHARED]
            servers["shared"] = [{"address": SHARED_SERVERS, "after": before}]
        return {
            "identity": {"device_id": "000000b0", "member": number},
            "lcores": {"count": self.lcores},
            "ports": [servers, fabric],
            "peers": [{"name": "far", "address": address(10)}],
            "routes": [{"to": "10.1.0.0/24", "peers": ["far"], "group": "pool"}],
            "groups": [{"name": "pool", "may_speak": ["10.1.0.0/24"]}],
            "bfd": {"interval": f"{self.interval}ms", "drain": self.drain, "sessions": sessions},
        } | more

    def start(self, *numbers):
        for number in numbers:
            self.members[number].launch()
        for number in numbers:
            self.members[number].ready()

    def session(self, number, neighbour):
        """One of the member's sessions as its status tells it."""
        bfd = self.members[number].ask("status")["bfd"]
        return next(session for session in bfd["sessions"] if session["neighbour"] == neighbour)

    def until_hops(self, wanted, begin=None, families=(4, 6), timeout=15):
        """Waits until the members in BIRD's next-hops are those; how long after `begin` that was, in milliseconds."""
        begin = begin or time.monotonic()
        while any(self.bird.hops(family) != wanted for family in families):
            assert time.monotonic() < begin + timeout, (
                f"next-hops {[self.bird.hops(family) for family in families]} instead of {wanted}: "
                f"{self.bird.ask('show bfd sessions')}")
            time.sleep(0.001)
        return (time.monotonic() - begin) * 1000

    def kernel_hops(self):
        routes = json.loads(self.router.run("ip", "-j", "route", "show", POOL[4]))
        hops = [hop["gateway"] for route in routes for hop in route.get("nexthops", [route])]
        return {member for member in MEMBERS if address(member) in hops}


class Flows:
    """Numbered datagrams from the host to the server over several flows, so that both members have some."""

    def __init__(self, pool, count=16, rate=800):
        self.count, self.rate, self.sent = count, rate, 0
        with pool.host.inside():
            self.senders = [socket.socket(socket.AF_INET, socket.SOCK_DGRAM) for _ in range(count)]
        for sender in self.senders:
            sender.connect((SERVER, 7000))
        with pool.server.inside():
            self.receiver = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self.receiver.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 8 << 20)
        self.receiver.bind((SERVER, 7000))
        self.receiver.settimeout(0.2)
        self.arrived = {}
        self.stopping, self.done = threading.Event(), threading.Event()
        self.threads = [threading.Thread(target=work, daemon=True) for work in (self.send, self.receive)]
        for thread in self.threads:
            thread.start()

    def send(self):
        begin = time.monotonic()
        while not self.stopping.is_set():
            due = int((time.monotonic() - begin) * self.rate)
            while self.sent < due:
                self.senders[self.sent % self.count].send(struct.pack("!Q", self.sent).ljust(200, b"x"))
                self.sent += 1
            time.sleep(0.002)

    def receive(self):
        while True:
            try:
                number, = struct.unpack("!Q", self.receiver.recv(65536)[:8])
                self.arrived[number] = self.arrived.get(number, 0) + 1
            except TimeoutError:
                if self.done.is_set():
                    return

    def stop(self):
        """Numbers sent, and those that are missing; none may have come twice."""
        self.stopping.set()
        self.threads[0].join()
        time.sleep(0.5)
        self.done.set()
        self.threads[1].join()
        for one in [*self.senders, self.receiver]:
            one.close()
        twice = [number for number, count in self.arrived.items() if count > 1]
        assert not twice, f"{len(twice)} datagrams came twice"
        return self.sent, [number for number in range(self.sent) if number not in self.arrived]


def bfd_packets(frames):
    """(time, source address, state, diagnostic) of the BFD packets among a sniffer's frames, IPv4 only."""
    for moment, frame, _ in frames:
        if frame[12:14] == b"\x08\x00" and frame[23] == 17 and frame[36:38] == struct.pack("!H", 3784):
            yield moment, socket.inet_ntoa(frame[26:30]), frame[43] >> 6, frame[42] & 31
