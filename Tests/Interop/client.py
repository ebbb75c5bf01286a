"""An outside client, end to end: a controller, the two members of a pool, the client, and a host at each side.

    KEYWEAVE=.build/release/keyweave python3 -B Tests/Interop/client.py

Numbered datagrams go to the pool's host and back, through an epoch's end and a staged and promoted generation; then the
member that made the connection dies, and the client renews it at the other one and goes on there. Then the client is
taken off the list.
"""

import contextlib
import json
import os
import pathlib
import socket
import subprocess
import sys
import tempfile
import threading
import time

import sandbox

KEYWEAVE = os.path.abspath(os.environ.get("KEYWEAVE", ".build/release/keyweave"))
DOMAIN = "spiffe://region1.example"
PERIOD = 60
PREFIX = "10.128.0.0/9"
SERVER = "10.2.0.9"
UDP = 9000


def keyweave(node, *words):
    return node.run(KEYWEAVE, *words)


class Lab:
    """The nodes and their files. Every node but the hosts has a kernel address 10.50.N.2 for HTTPS, over the router."""

    def __init__(self, directory):
        self.directory = directory
        self.router = sandbox.Node("router")
        self.router.run("sysctl", "-qw", "net.ipv4.ip_forward=1")
        self.controller = sandbox.Node("controller")
        self.manage(self.controller, 10)
        self.authority()
        self.server = sandbox.Node("server")
        self.server.address("lo", f"{SERVER}/32")
        self.members = [self.member(number) for number in (1, 2)]
        self.client = self.outside()

    def manage(self, node, number):
        sandbox.link(self.router, f"m{number}", node, "manage")
        self.router.address(f"m{number}", f"10.50.{number}.1/24")
        node.address("manage", f"10.50.{number}.2/24")
        node.route(f"10.50.{number}.1", to="10.50.0.0/16")

    def authority(self):
        keyweave(self.router, "ca", "init", "--out", f"{self.directory}/ca", "--trust-domain", "region1.example")
        names = ["controller/region", "dpu/m1", "dpu/m2", "client/one"]
        for name in names:
            out = f"{self.directory}/{name.split('/')[1]}"
            words = ["--id", f"{DOMAIN}/{name}", "--out", out, "--days", "2"]
            keyweave(self.router, "ca", "issue", "--ca", f"{self.directory}/ca", *words)
        text = keyweave(self.router, "ca", "issue", "--ca", f"{self.directory}/ca", "--id", f"{DOMAIN}/admin/bob",
                        "--out", f"{self.directory}/bob", "--days", "2")  # fmt: skip
        self.administrator = next(word for word in text.replace(",", " ").split() if word.startswith("sha256:"))
        common = {"authority": f"{self.directory}/ca/ca.pem"}
        tls = {"certificate": f"{self.directory}/region.pem", "key": f"{self.directory}/region.key", **common}
        self.write("region.yaml", {
            "name": "region", "listen": "10.50.10.2:8441", **tls,
            "wrapping_key": {"file": f"{self.directory}/region.kek"}, "store": {"file": f"{self.directory}/region.db"},
            "identity_authority": {"first_device_id": "00002a00"},
            "administrators": [{"id": f"{DOMAIN}/admin/bob", "public_keys": [self.administrator]}],
            "root_keys": [{"name": "region1", "level": "trust-region", "epoch_period": f"{PERIOD}s", "clients": True}],
        })  # fmt: skip
        endpoint = {"name": "region", "url": "https://10.50.10.2:8441", "id": f"{DOMAIN}/controller/region"}
        self.endpoint = endpoint
        self.write("bob.yaml", {"certificate": f"{self.directory}/bob.pem", "key": f"{self.directory}/bob.key",
                                **common, "controllers": [endpoint]})  # fmt: skip
        self.log = open(f"{self.directory}/region.log", "w")
        self.process = self.controller.start(
            KEYWEAVE, "controller", "--config", f"{self.directory}/region.yaml", "--create-wrapping-key", log=self.log)
        ready = lambda: "ready on" in pathlib.Path(f"{self.directory}/region.log").read_text()  # noqa: E731
        sandbox.wait(ready, "the controller is ready", timeout=30)
        for name in ("m1", "m2"):
            self.administer("members", "enrol", "--certificate", f"{self.directory}/{name}.pem", "--root-key", "region1",
                            "--pool", "front")  # fmt: skip
        self.administer("clients", "add", "--certificate", f"{self.directory}/one.pem", "--pool", "front", "--address",
                        "198.51.3.1")  # fmt: skip

    def administer(self, *words):
        return keyweave(self.controller, *words, "--config", f"{self.directory}/bob.yaml")

    def write(self, name, value):
        path = f"{self.directory}/{name}"
        with open(path, "w") as file:
            json.dump(value, file, indent=1)
        os.chmod(path, 0o600)

    def ports(self, number, inside):
        return [
            {"name": "clear", "device": "clear", "role": "clear", "addresses": [inside]},
            {"name": "fabric", "device": "fabric", "role": "protected", "mtu": 1700,
             "addresses": [f"198.51.{number}.1/24"]},
        ]  # fmt: skip

    def connect(self, node, number, host, device, inside):
        sandbox.link(self.router, f"f{number}", node, "fabric", mtu=1700)
        self.router.address(f"f{number}", f"198.51.{number}.2/24")
        sandbox.link(host, device, node, "clear")
        host.address(device, inside)

    def member(self, number):
        name = f"m{number}"
        wrapping = f"{self.directory}/{name}.kek"
        keyweave(self.router, "keys", "wrapping-key", "--out", wrapping)
        tls = {word: f"{self.directory}/{name}.{end}" for word, end in (("certificate", "pem"), ("key", "key"))}
        gateway = sandbox.Gateway(
            name, KEYWEAVE, self.directory,
            identity={"controller": "region"},
            key_agent={
                **tls, "authority": f"{self.directory}/ca/ca.pem", "state": f"{self.directory}/{name}.state",
                "wrapping_key": {"file": wrapping}, "controllers": [self.endpoint],
                "trust_groups": [{"name": "front", "default": True, "epoch_period": f"{PERIOD}s",
                                  "root_keys": ["region/region1"]}],
                "clients": {"listen": f"10.50.{number}.2:8450", "trust_group": "front", "prefix": PREFIX,
                            "members": [f"198.51.{number}.1" for number in (1, 2)], "via": f"198.51.{number}.2"},
            },
            ports=self.ports(number, f"10.2.{number}.1/24"),
            routes=[{"to": f"{SERVER}/32", "via": f"10.2.{number}.2"}],
            groups=[{"name": "front", "may_speak": ["192.0.2.0/24"]}],
        )  # fmt: skip
        self.rewrite(gateway, keys=None)
        self.manage(gateway, number)
        self.connect(gateway, number, self.server, f"s{number}", f"10.2.{number}.2/24")
        gateway.launch()
        gateway.ready()
        return gateway

    def rewrite(self, gateway, **changes):
        with open(gateway.path) as file:
            configuration = json.load(file)
        for name, value in changes.items():
            configuration.pop(name, None)
            if value is not None:
                configuration[name] = value
        with open(gateway.path, "w") as file:
            json.dump(configuration, file, indent=1)

    def outside(self):
        self.host = sandbox.Node("outside")
        tls = {word: f"{self.directory}/one.{end}" for word, end in (("certificate", "pem"), ("key", "key"))}
        gateway = sandbox.Gateway(
            "one", KEYWEAVE, self.directory, identity={},
            connection={
                **tls, "trust_group": "front", "authority": f"{self.directory}/ca/ca.pem", "port": "clear",
                "pool": [{"name": f"m{n}", "url": f"https://10.50.{n}.2:8450", "id": f"{DOMAIN}/dpu/m{n}"}
                         for n in (1, 2)],
            },
            ports=self.ports(3, "10.9.0.1/24"),
            peers=[{"name": f"m{n}", "address": f"198.51.{n}.1", "via": "198.51.3.2"} for n in (1, 2)],
            routes=[{"to": f"{SERVER}/32", "peers": ["m1", "m2"], "group": "front"}],
            groups=[{"name": "front", "may_speak": [f"{SERVER}/32"]}],
        )  # fmt: skip
        self.rewrite(gateway, keys=None, identity=None)
        self.manage(gateway, 3)
        self.connect(gateway, 3, self.host, "eth0", "10.9.0.2/24")
        gateway.launch()
        gateway.ready()
        return gateway

    def use(self, number):
        """Both ways through one member, as a routing protocol would say."""
        self.server.run("ip", "route", "replace", PREFIX, "via", f"10.2.{number}.1")
        self.rewrite(self.client, routes=[{"to": f"{SERVER}/32", "peers": [f"m{number}"], "group": "front"}])
        answer = self.client.ask("reload")
        assert "result" in answer, answer


class Echo(threading.Thread):
    """Numbered datagrams to the server, which sends them back."""

    def __init__(self, lab, address):
        super().__init__(daemon=True)
        with lab.server.inside():
            self.far = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
            self.far.bind((SERVER, UDP))
        with lab.host.inside():
            self.near = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
            self.near.bind((address, 0))
        self.near.settimeout(0.2)
        self.sent, self.got, self.running = 0, [], True
        threading.Thread(target=self.reflect, daemon=True).start()
        threading.Thread(target=self.listen, daemon=True).start()

    def reflect(self):
        while self.running:
            data, peer = self.far.recvfrom(2048)
            self.far.sendto(data, peer)

    def listen(self):
        while self.running:
            with contextlib.suppress(TimeoutError):
                self.got.append(int.from_bytes(self.near.recv(2048)[:8], "big"))

    def run(self):
        while self.running:
            self.near.sendto(self.sent.to_bytes(8, "big") + bytes(200), (SERVER, UDP))
            self.sent += 1
            time.sleep(0.005)

    def check(self, since, what):
        """Everything from `since` on came back once."""
        until = self.sent
        sandbox.wait(lambda: until - 1 in self.got[-400:], f"{what}: the last datagram is back", timeout=5)
        got = [number for number in self.got if since <= number < until]
        lost = until - since - len(set(got))
        assert lost == 0 and len(got) == len(set(got)), f"{what}: {lost} of {until - since} lost, {len(got)} came"
        return until - since


def account(lab):
    """What every gateway dropped: for the sentence of a failure."""
    words = []
    for gateway in [lab.client, *lab.members]:
        status = gateway.ask("status")
        words.append(f"{status['name']}: dropped {status['drops']}, {status['totals']}, {status['neighbours']}")
    return "\n".join(["", *words])


def connection(lab):
    return lab.client.ask("status")["connection"]


def main():
    with tempfile.TemporaryDirectory() as directory:
        os.chmod(directory, 0o700)
        lab = Lab(directory)
        first = sandbox.wait(lambda: connection(lab).get("id") and connection(lab), "a connection", timeout=60)
        print(f"connection {first['id']}, inner address {first['address']}, from {first['member']}")
        lab.host.address("eth0", f"{first['address']}/32")
        lab.host.run("ip", "route", "add", "10.2.0.0/16", "via", "10.9.0.1", "src", first["address"])
        made = int(first["member"][1])
        lab.use(made)
        echo = Echo(lab, first["address"])
        echo.start()
        try:
            # A member without a record seals one epoch ahead, of which a client has keys in the last quarter only.
            sandbox.wait(lambda: len(echo.got) > 10, "datagrams come back", timeout=PERIOD + 20)
        except Exception as error:
            raise AssertionError(f"{error}{account(lab)}") from error
        start = echo.sent
        end = time.time() + PERIOD + 5
        while time.time() < end:
            time.sleep(1)
        count = echo.check(start, "an epoch's end")
        print(f"{count} datagrams there and back through an epoch's end: none lost, none twice")

        other = 3 - made
        lab.use(other)
        time.sleep(0.5)
        start = echo.sent
        lab.members[made - 1].kill()
        renewed = sandbox.wait(
            lambda: connection(lab)["member"] == f"m{other}" and connection(lab), "a renewal at the other member", PERIOD)
        assert (renewed["id"], renewed["address"]) == (first["id"], first["address"]), renewed
        end = time.time() + PERIOD + 5
        while time.time() < end:
            time.sleep(1)
        count = echo.check(start, "a dead member")
        print(f"m{made} killed; the same connection renewed at m{other}; {count} datagrams there and back: none lost")

        lab.administer("clients", "remove", f"{DOMAIN}/client/one")
        removed = time.monotonic()
        sandbox.wait(
            lambda: lab.members[other - 1].ask("status")["drops"].get("policy-inner", 0) > 0, "the client is denied", 10)
        print(f"removed from the list: denied after {time.monotonic() - removed:.2f} s")
        echo.running = False
        drops = lab.client.ask("status")["drops"]
        print(f"the client's drops: {drops}")


if __name__ == "__main__":
    sandbox.enter()
    try:
        main()
    except Exception as error:  # the logs go with the directory
        print(f"FAIL: {error}", file=sys.stderr)
        sys.exit(1)
