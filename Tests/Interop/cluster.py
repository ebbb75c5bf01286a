"""One controller of three nodes over three nodes of etcd, while they are killed at random during rotations: after each kill
all members converge, no generation has two values or is lost, and no member sees a version go back. Arguments: keyweave,
directory. SECONDS and SEED in the environment: how long (40), and which random numbers."""

import json
import os
import random
import signal
import socket
import subprocess
import sys
import threading
import time

from controller_rig import Authority, Client, Controller, holds, quote, unwrap, wait_for

KEYWEAVE, DIRECTORY = sys.argv[1], sys.argv[2]
SECONDS = int(os.environ.get("SECONDS", "40"))
RANDOM = random.Random(int(os.environ.get("SEED", "1")))
PREFIX = "/keyweave/region"
MEMBERS = 8


def free_ports(count):
    sockets = [socket.create_server(("127.0.0.1", 0)) for _ in range(count)]
    ports = [each.getsockname()[1] for each in sockets]
    for each in sockets:
        each.close()
    return ports


class Etcd:
    def __init__(self, index, ports):
        self.index, self.url = index, f"http://127.0.0.1:{ports[index]}"
        peers = [f"http://127.0.0.1:{port}" for port in ports[3:]]
        self.command = [
            "etcd", "--name", f"e{index}", "--data-dir", f"{DIRECTORY}/e{index}", "--log-level", "error",
            "--listen-client-urls", self.url, "--advertise-client-urls", self.url,
            "--listen-peer-urls", peers[index], "--initial-advertise-peer-urls", peers[index],
            "--initial-cluster", ",".join(f"e{number}={url}" for number, url in enumerate(peers)),
        ]
        self.process = None

    def start(self):
        self.process = subprocess.Popen(self.command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)

    def kill(self):
        self.process.send_signal(signal.SIGKILL)
        self.process.wait()


class Node(Controller):
    """A node of the controller: the same store and wrapping key, its own name, port and certificate."""

    def __init__(self, index, endpoints, port, authority, administrator, kek):
        super().__init__(
            KEYWEAVE, DIRECTORY, authority, administrator, f"c{index}", "trust-region", "region1", authority_of_ids=True,
            lease="5s", listen=f"127.0.0.1:{port}", wrapping_key={"file": kek},
            store={"etcd": {"endpoints": endpoints, "prefix": PREFIX, "node": f"c{index}"}})
        self.is_up = False

    def start(self):
        super().start()
        self.is_up = True
        return self

    def kill(self):
        self.is_up = False
        super().kill()


class Truth:
    """What all members saw together."""

    def __init__(self):
        self.lock = threading.Lock()
        self.values, self.problems = {}, []

    def see(self, member, keys):
        with self.lock:
            for name, octets in keys.items():
                if self.values.setdefault(name, octets) != octets:
                    self.problems.append(f"{member} has another value of {name} than others")

    def fail(self, problem):
        with self.lock:
            self.problems.append(problem)


class Member(threading.Thread):
    """Polls one node, and another one as soon as that fails; acknowledges what it holds."""

    def __init__(self, identity, nodes, truth):
        super().__init__(daemon=True)
        self.identity, self.nodes, self.truth = identity, nodes, truth
        self.random = random.Random(identity.id)
        # What its sealed file would have.
        self.token = self.following = None
        self.version, self.floor, self.held, self.acknowledgements = 0, 0, {}, []
        self.current = 0
        self.is_over = False

    def run(self):
        while not self.is_over:
            client = Client(self.random.choice(self.nodes), self.identity)
            try:
                self.serve(client)
            except (OSError, EOFError, ValueError):
                time.sleep(0.05)
            except Exception as error:  # Whatever it is, it is a finding.
                self.truth.fail(f"{self.identity.id}: {type(error).__name__}: {error}")
                return
            finally:
                client.close()

    def lease(self, client):
        # A request whose answer was lost is repeated as it was.
        self.following = self.following or os.urandom(32).hex()
        request = {"next": self.following, **({"shown": self.token} if self.token else {})}
        answer = client.ask("POST", "/v1/lease", request, timeout=5)
        if answer.status == 200:
            if answer.json["rolled_back"]:
                self.truth.fail(f"{self.identity.id}: told that it was rolled back")
            self.token, self.following = self.following, None
            return True
        if answer.status != 503:
            self.truth.fail(f"{self.identity.id}: lease refused: {answer.status} {answer.text}")
        return False

    def serve(self, client):
        renewed = 0
        for _ in range(self.random.randrange(5, 60)):
            if self.is_over:
                return
            if time.monotonic() - renewed > 1.5:
                if not self.lease(client):
                    time.sleep(0.1)
                    return
                renewed = time.monotonic()
            answer = client.poll(self.version, 1, self.acknowledgements, token=self.token)
            if answer.status == 200:
                self.take(client, answer.json)
            elif answer.status == 409:
                renewed = 0
            elif answer.status == 503:
                time.sleep(0.1)
                return
            elif answer.status != 204:
                self.truth.fail(f"{self.identity.id}: poll refused: {answer.status} {answer.text}")
                return

    def take(self, client, key_set):
        if key_set["version"] < self.version:
            self.truth.fail(f"{self.identity.id}: version {key_set['version']} after {self.version}")
        keys = client.keys(key_set)
        self.truth.see(self.identity.id, keys)
        series, = key_set["root_keys"]
        numbers = [key["index"] for key in series["keys"]]
        current = max(key["index"] for key in series["keys"] if key["state"] == "current")
        if numbers != list(range(numbers[0], numbers[0] + len(numbers))) or len(numbers) > 3:
            self.truth.fail(f"{self.identity.id}: offered generations {numbers}")
        if series["floor"] < self.floor or current < self.current:
            self.truth.fail(f"{self.identity.id}: floor {series['floor']} after {self.floor}, current {current} after {self.current}")
        # Who seals with a generation that another connected member does not hold loses packets.
        self.held, self.floor, self.current = keys, series["floor"], current
        self.version, self.acknowledgements = key_set["version"], holds(key_set)


class Cluster:
    def __init__(self):
        ports = free_ports(9)
        self.etcds = [Etcd(index, ports[:6]) for index in range(3)]
        self.endpoints = [etcd.url for etcd in self.etcds]
        authority = Authority(DIRECTORY, "region1")
        self.administrator = authority.issue("admin/alice")
        kek = f"{DIRECTORY}/region.kek"
        with open(os.open(kek, os.O_CREAT | os.O_WRONLY, 0o600), "w") as file:
            file.write(os.urandom(32).hex() + "\n")
        self.nodes = [
            Node(index, self.endpoints, ports[6 + index], authority, self.administrator, kek) for index in range(3)]
        self.truth = Truth()
        self.members = [Member(authority.issue(f"dpu/host{number}"), self.nodes, self.truth) for number in range(MEMBERS)]
        self.newest = 0
        self.rotations = 0

    def start(self):
        for etcd in self.etcds:
            etcd.start()
        wait_for(lambda: self.etcdctl("endpoint", "health").returncode == 0, 30, "etcd is healthy")
        for node in self.nodes:
            node.start()
        for member in self.members:
            self.nodes[0].admin.do(
                "POST", "/v1/members",
                {"id": member.identity.id, "public_keys": [member.identity.pin], "root_keys": ["region1"], "pool": "train"})
        for member in self.members:
            member.start()

    def etcdctl(self, *arguments):
        return subprocess.run(
            ["etcdctl", "--endpoints", ",".join(self.endpoints), *arguments], env={**os.environ, "ETCDCTL_API": "3"},
            capture_output=True, text=True, timeout=30)

    def ask(self, method, path, body=None):
        """At any node that answers."""
        for node in RANDOM.sample(self.nodes, 3):
            if not node.is_up:
                continue
            client = Client(node, self.administrator)
            try:
                answer = client.ask(method, path, body, timeout=15)
                if answer.status == 200:
                    return answer.json
            except (OSError, EOFError, ValueError):
                pass
            finally:
                client.close()
        return None

    def report(self):
        reports = self.ask("GET", "/v1/root-keys")
        return reports and reports[0]

    def rotate(self):
        """Asks until some node takes it: one that answered may yet be killed."""
        return wait_for(lambda: self.ask("POST", "/v1/root-keys/region1/rotate", {"force": False}), 40, "a rotation begins")

    def converge(self, least, what):
        """All members hold the same, and as much as any node has ever said there is."""

        def converged():
            assert not self.truth.problems, self.truth.problems
            report = self.report()
            if not report or report["missing"] or report["converged"] != MEMBERS:
                return None
            numbers = {generation["index"] for generation in report["generations"]}
            current = max(generation["index"] for generation in report["generations"] if generation["state"] == "current")
            if current < least or any(generation["state"] == "next" for generation in report["generations"]):
                return None
            if any({number for _, number in member.held} != numbers or member.current != current
                   for member in self.members):
                return None
            assert max(numbers) >= self.newest, f"generation {self.newest} was lost: there is {sorted(numbers)}"
            self.newest = max(numbers)
            return report

        return wait_for(converged, 60, what)

    def rotating(self):
        for node in self.nodes:
            if node.is_up:
                client = Client(node, self.administrator)
                try:
                    if client.ask("GET", "/v1/health", timeout=5).json["rotates"]:
                        return node
                except (OSError, EOFError, ValueError):
                    pass
                finally:
                    client.close()
        return None

    def round(self, number):
        goal = self.newest + 1
        started = self.rotate()
        self.rotations += 1
        # Anywhere between the staging and the end of the promotion.
        time.sleep(RANDOM.random() * 2)
        kind = RANDOM.choice(["etcd", "controller", "rotating", "both"])
        victims = []
        if kind in ("etcd", "both"):
            victims.append(RANDOM.choice(self.etcds))
        if kind in ("controller", "both"):
            victims.append(RANDOM.choice(self.nodes))
        if kind == "rotating":
            victims.append(self.rotating() or RANDOM.choice(self.nodes))
        for victim in victims:
            victim.kill()
        time.sleep(RANDOM.random() * 1.5)
        if RANDOM.random() < 0.5:
            # Two of three are enough.
            self.converge(goal, f"round {number}, {kind} killed: converged with what is left")
        for victim in victims:
            victim.start()
        self.converge(goal, f"round {number}, {kind} killed: converged ({started['generations'][-1]['index']} was begun)")

    def check_store(self):
        """Every generation that there ever was has one fingerprint, and it is that of the octets that members had."""
        import hashlib
        lines = self.etcdctl("get", "--prefix", f"{PREFIX}/audit/fingerprint/").stdout.split()
        fingerprints = dict(zip(lines[::2], lines[1::2]))
        name, = {name for name, _ in self.truth.values}
        numbers = sorted(int(key.rsplit(".", 1)[1]) for key in fingerprints)
        assert numbers == list(range(1, self.newest + 1)), f"generations {numbers}, expected 1 to {self.newest}"
        for (_, number), octets in self.truth.values.items():
            written = fingerprints[f"{PREFIX}/audit/fingerprint/{name}.{number}"]
            assert written == hashlib.sha256(octets).hexdigest(), f"generation {number} has two values"
        raw = self.etcdctl("get", "--prefix", PREFIX, "-w", "json").stdout
        import base64
        stored = b"".join(base64.b64decode(pair["value"]) for pair in json.loads(raw)["kvs"])
        for octets in self.truth.values.values():
            assert octets not in stored and base64.urlsafe_b64encode(octets).rstrip(b"=") not in stored
            assert octets.hex().encode() not in stored

    def stop(self):
        for member in self.members:
            member.is_over = True
        for process in [*self.nodes, *self.etcds]:
            if process.process and process.process.poll() is None:
                process.kill()


def main():
    cluster = Cluster()
    try:
        cluster.start()
        cluster.converge(1, "the first generation")
        end = time.monotonic() + SECONDS
        rounds = 0
        while time.monotonic() < end:
            rounds += 1
            cluster.round(rounds)
        cluster.check_store()
        # Ten members at least must have seen something, or this showed nothing.
        assert len(cluster.truth.values) >= rounds + 1 and not cluster.truth.problems, cluster.truth.problems
        print(f"{rounds} rounds, {cluster.newest} generations, {MEMBERS} members: all converged, none lost, none forked")
    finally:
        cluster.stop()


main()
