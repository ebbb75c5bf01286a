"""Two hosts, two gateways with key agents, and three controllers that they reach by links of their own:

    host-a -- gateway-a ===== gateway-b -- host-b
                   \\             /
                    controllers (region, users, tasks)
"""

import contextlib
import http.client
import os

import sandbox
from controller_rig import Authority, Client, Controller
from flows import Flow

CONTROLLERS = "10.9.0.1"
LEVELS = {"region": ("region1", "trust-region"), "users": ("hpc", "user-group"), "tasks": ("train", "task-group")}
HOSTS = ("10.1.0.2", "10.2.0.2")


class NamespacedController(Controller):
    """A controller in the namespace, at an address that its members know."""

    def __init__(self, node, port, *arguments, **more):
        self.node = node
        super().__init__(*arguments, listen=f"{CONTROLLERS}:{port}", **more)
        self.address = f"{CONTROLLERS}:{port}"

    def start(self):
        with self.node.inside():
            return super().start()

    def do(self, method, path, body=None, status=200):
        with self.node.inside():
            return self.admin.do(method, path, body, status)

    def ask(self, *words):
        """The answer, or nothing while the controller is down."""
        with self.node.inside(), contextlib.suppress(OSError, http.client.HTTPException):
            return self.admin.ask(*words)

    def report(self):
        return self.do("GET", "/v1/root-keys")[0]

    def is_up(self):
        return self.process is not None and self.process.poll() is None


class Network:
    def __init__(self, keyweave, directory, delays=(0, 0), lease="5s", epoch_period="60s"):
        self.keyweave, self.directory = keyweave, directory
        self.authority = Authority(directory, "authority")
        administrator = self.authority.issue("admin/alice")
        self.node = sandbox.Node("controllers")
        self.node.address("lo", f"{CONTROLLERS}/32")
        self.controllers = {}
        for number, (name, (root, level)) in enumerate(LEVELS.items()):
            self.controllers[name] = NamespacedController(
                self.node, 8441 + number, keyweave, directory, self.authority, administrator, name, level, root,
                authority_of_ids=name == "region", lease=lease)
        self.hosts = [sandbox.Node("host-a"), sandbox.Node("host-b")]
        self.gateways, self.identities = [], []
        for side, letter in enumerate("ab"):
            self.identities.append(self.authority.issue(f"dpu/gateway-{letter}"))
            gateway = sandbox.Gateway(
                f"gateway-{letter}", keyweave, directory, **self.configuration(side, delays[side], epoch_period))
            self.gateways.append(gateway)
            sandbox.link(self.hosts[side], "eth0", gateway, "clear")
            sandbox.link(self.node, f"to-{letter}", gateway, "control")
            self.node.address(f"to-{letter}", f"10.9.{side + 1}.1/24")
            gateway.address("control", f"10.9.{side + 1}.2/24")
            gateway.route(f"10.9.{side + 1}.1", to=f"{CONTROLLERS}/32")
            self.hosts[side].address("eth0", f"{HOSTS[side]}/24")
            self.hosts[side].route(f"10.{side + 1}.0.1")
        sandbox.link(self.gateways[0], "fabric", self.gateways[1], "fabric", 1600)

    def configuration(self, side, delay, epoch_period):
        letter, far = "ab"[side], 1 - side
        identity = self.identities[side]
        with open(os.open(f"{self.directory}/agent-{letter}.kek", os.O_CREAT | os.O_WRONLY, 0o600), "w") as file:
            file.write(os.urandom(32).hex() + "\n")
        agent = {
            "certificate": identity.certificate, "key": identity.keyfile, "authority": self.authority.path,
            "state": f"{self.directory}/gateway-{letter}.state",
            "wrapping_key": {"file": f"{self.directory}/agent-{letter}.kek"},
            "controllers": [
                {"name": name, "url": f"https://{one.address}", "id": one.identity.id, "pin": one.identity.pin}
                for name, one in self.controllers.items()],
            "trust_groups": [{
                "name": "train", "default": True, "epoch_period": epoch_period,
                "root_keys": [f"{name}/{root}" for name, (root, _) in LEVELS.items()]}],
        }
        if delay:
            agent["delay"] = delay
        return {
            "keys": None, "identity": {"controller": "region"}, "key_agent": agent,
            "ports": [
                {"name": "clear", "device": "clear", "role": "clear", "addresses": [f"10.{side + 1}.0.1/24"]},
                {"name": "fabric", "device": "fabric", "role": "protected", "mtu": 1600,
                 "addresses": [f"192.0.2.{side + 1}/24"]}],
            "peers": [{"name": "peer", "address": f"192.0.2.{far + 1}"}],
            "routes": [{"to": f"10.{far + 1}.0.0/24", "peers": ["peer"], "group": "train"}],
            "groups": [{"name": "train", "may_speak": [f"10.{far + 1}.0.0/24"]}],
        }

    def start(self):
        for one in self.controllers.values():
            one.start()
            for identity in self.identities:
                self.enrol(one, identity)
        for gateway in self.gateways:
            gateway.launch()
        for gateway in self.gateways:
            gateway.ready()
        sandbox.wait(self.reaches, "host B answers host A", 30)

    def enrol(self, controller, identity, **more):
        body = {"id": identity.id, "public_keys": [identity.pin], "root_keys": [controller.root], **more}
        return controller.do("POST", "/v1/members", body)

    def member(self, name, identity):
        """A connection of one more member's own."""
        with self.node.inside():
            return Client(self.controllers[name], identity)

    def reaches(self):
        return "1 received" in self.hosts[0].run("ping", "-n", "-q", "-c1", "-W1", HOSTS[1], check=False)

    def flow(self, source, port):
        """From one host to the other."""
        name = f"host-{'ab'[source]} to host-{'ba'[source]}, port {port}"
        return Flow(name, self.hosts[source], self.hosts[1 - source], HOSTS[1 - source], port)

    def current(self, gateway):
        """{root key's name: current generation} on the gateway's lcores."""
        agent = gateway.ask("status")["key_agent"]
        return {key["name"]: key.get("current") for one in agent["controllers"] for key in one["root_keys"]}

    def rest(self):
        """The gateways' drops when nothing is under way; every packet must have been counted once."""
        drops = {}
        for gateway in self.gateways:
            def balanced(gateway=gateway):
                status = gateway.ask("status")
                totals = status["totals"]
                return status if totals["in"] == totals["out"] + totals["drops"] else None

            for reason, count in sandbox.wait(balanced, f"{gateway.name}: in = out + drops")["drops"].items():
                drops[reason] = drops.get(reason, 0) + count
        return drops
