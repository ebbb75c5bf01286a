"""A pool of members that share keys, in front of the same server, and two who speak to it:

    outside host -- one (outside client) ---+             +-- m1 --+
                                            upstream =====+-- m2 --+===== inside -- server
    branch host -- branch (trust group) ----+             +-- m3 --+

The pool has one address, which every member takes packets at. Upstream and inside are routers; which member a packet goes
to is theirs to say, by kernel routes (`use`) or packet by packet (pool.py). The controller and the members' HTTPS are
reached over a management network, 10.50.0.0/16.
"""

import json
import os
import time

import sandbox
from controller_rig import Authority, Client
from flows import Flow
from rotation_rig import CONTROLLERS, NamespacedController

PERIOD = 60
POOL = "198.51.100.10"
PREFIX = "10.128.0.0/9"
SERVER, OUTSIDE, BRANCH = "10.2.0.2", "10.9.0.2", "10.1.0.2"


class Pool:
    def __init__(self, keyweave, directory, members=2, clock=None, branch=False, lease="3s", period=PERIOD,
                 prefix=PREFIX, bfd=False, **controller):
        """bfd: members have a session with the router upstream."""
        self.keyweave, self.directory, self.clock, self.period = keyweave, directory, clock, period
        self.prefix, self.bfd = prefix, bfd
        self.upstream, self.inside = self.router("upstream"), self.router("inside")
        self.server = sandbox.Node("server")
        sandbox.link(self.inside, "servers", self.server, "eth0")
        self.inside.address("servers", "10.2.0.1/24")
        self.server.address("eth0", f"{SERVER}/24")
        self.server.route("10.2.0.1")
        self.control(lease, controller)
        self.members = [self.pool_member(number + 1) for number in range(members)]
        self.branch = self.member_elsewhere() if branch else None
        self.client = self.outside_client()

    @staticmethod
    def router(name):
        node = sandbox.Node(name)
        node.run("sysctl", "-qw", "net.ipv4.ip_forward=1")
        return node

    def now(self):
        return self.clock.time() if self.clock else time.time()

    # Nodes

    def control(self, lease, more):
        node = sandbox.Node("controllers")
        node.address("lo", f"{CONTROLLERS}/32")
        self.manage(node, 50)
        self.upstream.route("10.50.50.2", to=f"{CONTROLLERS}/32")
        self.authority = Authority(self.directory, "authority")
        administrator = self.authority.issue("admin/bob")
        root = {"name": "region1", "level": "trust-region", "epoch_period": f"{self.period}s", "clients": True}
        self.node = node
        self.region = NamespacedController(
            node, 8441, self.keyweave, self.directory, self.authority, administrator, "region", "trust-region",
            "region1", authority_of_ids=True, lease=lease, root_keys=[root], **more)
        self.controllers = {"region": self.region}
        if self.clock:
            # Everything that is started from here on; this script's own clock stays as it is.
            os.environ.update(self.clock.environment)
        self.region.start()
        self.write("bob.yaml", {
            "certificate": administrator.certificate, "key": administrator.keyfile, "authority": self.authority.path,
            "controllers": [{"name": "region", "url": f"https://{CONTROLLERS}:8441", "id": self.region.identity.id}],
        })  # fmt: skip

    def enrol(self, controller, identity, **more):
        body = {"id": identity.id, "public_keys": [identity.pin], "root_keys": [controller.root], **more}
        return controller.do("POST", "/v1/members", body)

    def enrol_client(self, identity, address):
        body = {"id": identity.id, "public_keys": [identity.pin], "pool": "front", "address": address}
        return self.region.do("POST", "/v1/clients", body)

    def member(self, name, identity):
        """A connection of one more member's own."""
        with self.node.inside():
            return Client(self.controllers[name], identity)

    def administer(self, *words):
        """The command line, as the administrator."""
        return self.node.run(self.keyweave, *words, "--config", f"{self.directory}/bob.yaml")

    def write(self, name, value):
        with open(os.open(f"{self.directory}/{name}", os.O_CREAT | os.O_WRONLY | os.O_TRUNC, 0o600), "w") as file:
            file.write(value if isinstance(value, str) else json.dumps(value, indent=1))
        return f"{self.directory}/{name}"

    def manage(self, node, number):
        sandbox.link(self.upstream, f"m{number}", node, "manage")
        self.upstream.address(f"m{number}", f"10.50.{number}.1/24")
        node.address("manage", f"10.50.{number}.2/24")
        node.route(f"10.50.{number}.1")

    def fabric(self, node, number):
        sandbox.link(self.upstream, f"f{number}", node, "fabric", mtu=1700)
        self.upstream.address(f"f{number}", f"198.51.{number}.2/24")

    def ports(self, number, inside, *more):
        return [
            {"name": "clear", "device": "clear", "role": "clear", "addresses": [inside]},
            {"name": "fabric", "device": "fabric", "role": "protected", "mtu": 1700,
             "addresses": [f"198.51.{number}.1/24", *more]},
        ]  # fmt: skip

    def agent(self, name, identity, **more):
        return {
            "certificate": identity.certificate, "key": identity.keyfile, "authority": self.authority.path,
            "state": f"{self.directory}/{name}.state",
            "wrapping_key": {"file": self.write(f"{name}.kek", os.urandom(32).hex() + "\n")},
            "controllers": [
                {"name": "region", "url": f"https://{CONTROLLERS}:8441", "id": self.region.identity.id}],
            "trust_groups": [{
                "name": "front", "default": True, "epoch_period": f"{self.period}s", "root_keys": ["region/region1"]}],
            **more,
        }  # fmt: skip

    def pool_member(self, number):
        name = f"m{number}"
        identity = self.authority.issue(f"dpu/{name}")
        self.enrol(self.region, identity, pool="front")
        clients = {
            "listen": f"10.50.{number}.2:8450", "trust_group": "front", "prefix": self.prefix, "members": [POOL],
            "via": f"198.51.{number}.2"}
        gateway = sandbox.Gateway(
            name, self.keyweave, self.directory, keys=None, identity={"controller": "region"},
            key_agent=self.agent(name, identity, clients=clients),
            ports=self.ports(number, f"10.3.{number}.1/24", f"{POOL}/32"),
            peers=[{"name": "branch", "address": "198.51.82.1", "via": f"198.51.{number}.2"}],
            routes=[{"to": "10.2.0.0/24", "via": f"10.3.{number}.2"},
                    {"to": "10.1.0.0/24", "peers": ["branch"], "group": "front"}],
            groups=[{"name": "front", "may_speak": ["10.1.0.0/24"]}],
            bfd={"sessions": [{"neighbour": f"198.51.{number}.2"}]} if self.bfd else None,
        )  # fmt: skip
        self.manage(gateway, number)
        self.fabric(gateway, number)
        sandbox.link(self.inside, f"c{number}", gateway, "clear")
        self.inside.address(f"c{number}", f"10.3.{number}.2/24")
        return gateway

    def member_elsewhere(self):
        """Of the same trust group, with a device ID of its own."""
        identity = self.authority.issue("dpu/branch")
        self.enrol(self.region, identity)
        self.branch_host = sandbox.Node("branch-host")
        gateway = sandbox.Gateway(
            "branch", self.keyweave, self.directory, keys=None, identity={"controller": "region"},
            key_agent=self.agent("branch", identity), ports=self.ports(82, "10.1.0.1/24"),
            peers=[{"name": "pool", "address": POOL, "via": "198.51.82.2"}],
            routes=[{"to": "10.2.0.0/24", "peers": ["pool"], "group": "front"}],
            groups=[{"name": "front", "may_speak": ["10.2.0.0/24"]}],
        )  # fmt: skip
        self.manage(gateway, 82)
        self.fabric(gateway, 82)
        sandbox.link(self.branch_host, "eth0", gateway, "clear")
        self.branch_host.address("eth0", f"{BRANCH}/24")
        self.branch_host.route("10.1.0.1")
        return gateway

    def outside_client(self):
        identity = self.authority.issue("client/one")
        self.enrol_client(identity, "198.51.81.1")
        self.client_host = sandbox.Node("outside")
        gateway = sandbox.Gateway(
            "one", self.keyweave, self.directory, keys=None, identity=None,
            connection={
                "certificate": identity.certificate, "key": identity.keyfile, "authority": self.authority.path,
                "trust_group": "front", "port": "clear",
                "pool": [{"name": f"m{n + 1}", "url": f"https://10.50.{n + 1}.2:8450", "id": f"{identity.domain}/dpu/m{n + 1}"}
                         for n in range(len(self.members))],
            },
            ports=self.ports(81, "10.9.0.1/24"),
            peers=[{"name": "pool", "address": POOL, "via": "198.51.81.2"}],
            routes=[{"to": "10.2.0.0/24", "peers": ["pool"], "group": "front"}],
            groups=[{"name": "front", "may_speak": ["10.2.0.0/24"]}],
        )  # fmt: skip
        self.manage(gateway, 81)
        self.fabric(gateway, 81)
        sandbox.link(self.client_host, "eth0", gateway, "clear")
        self.client_host.address("eth0", f"{OUTSIDE}/24")
        return gateway

    # What happens

    @property
    def gateways(self):
        """Those that run."""
        all = [*self.members, self.branch, self.client]
        return [one for one in all if one and one.process and one.process.poll() is None]

    def start(self):
        """Everything runs, has its keys and reaches the server; the members' first epoch, one ahead of the clock, has come."""
        for gateway in [*self.members, *([self.branch] if self.branch else [])]:
            gateway.launch()
        for gateway in self.gateways:
            gateway.ready()
            sandbox.wait(lambda g=gateway: self.seals(g), f"{gateway.name} has keys", 30)
        self.client.launch()
        self.client.ready()
        found = sandbox.wait(lambda: self.connection().get("id") and self.connection(), "a connection", timeout=60)
        self.client_host.address("eth0", f"{found['address']}/32")
        self.client_host.run("ip", "route", "add", "10.2.0.0/16", "via", "10.9.0.1", "src", found["address"])
        return found

    def seals(self, gateway):
        status = gateway.ask("status")
        return status["counter"]["sealing"] and status["groups"] and status["groups"][0].get("seal_epoch")

    def connection(self):
        return self.client.ask("status")["connection"]

    def use(self, number):
        """Both ways through one member, as a routing protocol would say."""
        self.upstream.run("ip", "route", "replace", f"{POOL}/32", "via", f"198.51.{number}.1")
        for prefix in (PREFIX, "10.1.0.0/24"):
            self.inside.run("ip", "route", "replace", prefix, "via", f"10.3.{number}.1")

    def flows(self, first, address, rate=200):
        """One each way between the outside client's host and the server."""
        return [
            Flow("outside to server", self.client_host, self.server, SERVER, first, bind=address, rate=rate),
            Flow("server to outside", self.server, self.client_host, address, first + 1, rate=rate)]

    def branch_flows(self, first, rate=200):
        return [
            Flow("branch to server", self.branch_host, self.server, SERVER, first, rate=rate),
            Flow("server to branch", self.server, self.branch_host, BRANCH, first + 1, rate=rate)]

    def reaches(self, host, source):
        done = host.run("ping", "-n", "-q", "-c1", "-W1", "-I", source, SERVER, check=False)
        return "1 received" in done

    # Time

    def phase(self):
        """Seconds since the running epoch began."""
        return self.now() % self.period

    def skip(self, seconds):
        """The clocks of all go on by so many seconds, in steps of less than a quarter of an epoch: a member bears half an epoch
        between its clock and the last time that it heard from the controller."""
        while seconds > 0:
            step = min(seconds, self.period // 4 - 1)
            self.clock.set(self.clock.offset + step)
            seconds -= step
            self.hear()

    def hear(self):
        """Every member has heard the controller's time since the last step; an answer that was under way may be older."""
        after = int(self.now()) + 1

        def heard():
            agents = [gateway.ask("status").get("key_agent") for gateway in self.gateways]
            return all((agent["controllers"][0].get("last_contact") or 0) >= after for agent in agents if agent)

        sandbox.wait(heard, "every member hears the controller's time", 20)

    def last_quarter(self):
        """The last quarter of an epoch has begun, and the client has the next one's keys."""
        quarter = self.period * 3 // 4
        if self.phase() < quarter and self.clock:
            self.skip(int(quarter - self.phase()))
        begun = self.now() // self.period * self.period + quarter

        def renewed():
            return (self.connection().get("renewed") or 0) >= begun and self.now() >= begun

        sandbox.wait(renewed, "the client has the next epoch's keys", self.period + 10)

    def next_epoch(self):
        """Through the last quarter and an epoch's end, whose last seconds nobody skips."""
        self.last_quarter()
        end = (self.now() // self.period + 1) * self.period
        if self.clock:
            self.skip(int(end - self.now() - 3))
        sandbox.wait(lambda: self.now() > end + 1, "the epoch's end", self.period)
