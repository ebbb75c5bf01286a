"""Many members that long-poll one controller over TLS 1.3 with certificates of their own: how long a rotation takes to reach
them all, and what the controller needs for it. Arguments: keyweave, directory, members (1000).

The members are in two processes of their own; both clocks are the machine's monotonic one."""

import asyncio
import json
import multiprocessing
import os
import resource
import ssl
import sys
import threading
import time

from controller_rig import Authority, Client, Controller, holds, poll_body, unwrap
from cryptography.hazmat.primitives.asymmetric import x25519

KEYWEAVE, DIRECTORY = sys.argv[1], sys.argv[2]
MEMBERS = int(sys.argv[3]) if len(sys.argv) > 3 else 1000
PROCESSES = 2
ROTATIONS = 100
# Of members that see the hundred rotations for the memory.
FEW = 100


class Member:
    def __init__(self, identity, crowd):
        self.identity, self.crowd = identity, crowd
        self.token = os.urandom(32).hex()
        self.version, self.acknowledgements, self.key_set, self.recipient = 0, [], None, None

    async def connect(self, port):
        # Each has a context of its own: the certificates differ.
        self.reader, self.writer = await asyncio.open_connection(
            "127.0.0.1", port, ssl=self.identity.context(), ssl_handshake_timeout=120)
        assert self.writer.get_extra_info("ssl_object").version() == "TLSv1.3"
        status, _ = await self.ask("/v1/lease", {"next": self.token})
        assert status == 200, status

    async def ask(self, path, body):
        data = json.dumps(body).encode()
        self.writer.write(b"POST %s HTTP/1.1\r\nHost: c\r\nContent-Length: %d\r\n\r\n%s" % (path.encode(), len(data), data))
        head = await self.reader.readuntil(b"\r\n\r\n")
        length = next(
            (int(line.split(b":")[1]) for line in head.split(b"\r\n") if line.lower().startswith(b"content-length:")), 0)
        return int(head.split(b" ", 2)[1]), await self.reader.readexactly(length)

    async def run(self):
        while True:
            recipient = x25519.X25519PrivateKey.generate()
            status, body = await self.ask(
                "/v1/keys", poll_body(recipient, self.token, self.version, 50, self.acknowledgements))
            arrived = time.monotonic()
            assert status in (200, 204), (status, body)
            if status == 200:
                key_set = json.loads(body)
                assert key_set["version"] > self.version
                self.version, self.key_set, self.recipient = key_set["version"], key_set, recipient
                self.acknowledgements = holds(key_set)
                self.crowd.arrived(self, arrived)


class Crowd:
    """The members of one process. Every answer that brings another newest generation or another current one is counted."""

    def __init__(self, identities, port, pipe):
        asyncio.sslproto.SSLProtocol.max_size = 16384
        self.members = [Member(identity, self) for identity in identities]
        self.port, self.pipe = port, pipe
        self.seen = {}

    def arrived(self, member, at):
        step = tuple((series["staged"], series["promoted"]) for series in member.acknowledgements)[0]
        count, _ = self.seen.get(step, (0, 0))
        self.seen[step] = (count + 1, at)
        if count + 1 == len(self.members):
            self.pipe.send((step, at))

    async def serve(self):
        gate = asyncio.Semaphore(64)

        async def connect(member):
            async with gate:
                await member.connect(self.port)

        await asyncio.gather(*(connect(member) for member in self.members))
        tasks = [asyncio.create_task(member.run()) for member in self.members]
        commands = asyncio.get_running_loop().run_in_executor(None, self.pipe.recv)
        done, _ = await asyncio.wait([commands, *tasks], return_when=asyncio.FIRST_COMPLETED)
        for task in done:
            task.result()
        # The keys themselves, of every member: opened now, so that it takes nothing from the time that is measured.
        keys = {}
        for member in self.members:
            for name, octets in unwrap(member.recipient, member.key_set).items():
                assert keys.setdefault(name, octets) == octets, f"{name} has two values"
        self.pipe.send({name: octets.hex() for name, octets in keys.items()})
        for task in tasks:
            task.cancel()


def crowd(identities, port, pipe):
    asyncio.run(Crowd(identities, port, pipe).serve())
    os._exit(0)


class Meter:
    def __init__(self, controller):
        self.controller = controller

    def descriptors(self):
        return len(os.listdir(f"/proc/{self.controller.process.pid}/fd"))

    def __str__(self):
        return f"{self.controller.memory() / 1024:.0f} MB, {self.descriptors()} descriptors"


class Crowds:
    def __init__(self, identities, port):
        self.workers = []
        for index in range(PROCESSES):
            ours, theirs = multiprocessing.Pipe()
            part = identities[index::PROCESSES]
            process = multiprocessing.Process(target=crowd, args=(part, port, theirs), daemon=True)
            process.start()
            theirs.close()
            self.workers.append((process, ours))

    def wait(self, step, seconds):
        """When the last member was at (newest, current)."""
        last, end = 0, time.monotonic() + seconds
        for _, pipe in self.workers:
            while True:
                assert pipe.poll(max(0, end - time.monotonic())), f"not all members are at {step} within {seconds} s"
                message = pipe.recv()
                if message[0] == step:
                    last = max(last, message[1])
                    break
        return last

    def finish(self):
        keys = {}
        for process, pipe in self.workers:
            pipe.send("finish")
        for process, pipe in self.workers:
            while not isinstance(message := pipe.recv(), dict):
                pass
            for name, value in message.items():
                assert keys.setdefault(name, value) == value, f"{name} has two values"
            process.join(30)
        return keys

    def kill(self):
        for process, _ in self.workers:
            process.kill()


def enrol(controller, identities):
    """Over eight connections, as one waits for the disk each time."""

    def part(index):
        client = Client(controller, controller.administrator)
        for identity in identities[index::8]:
            client.do("POST", "/v1/members", {"id": identity.id, "public_keys": [identity.pin], "root_keys": ["region1"]})
        client.close()

    threads = [threading.Thread(target=part, args=(index,)) for index in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()


def start(name, administrator, authority):
    # Leases outlast the test: what is measured is the rotation.
    return Controller(
        KEYWEAVE, DIRECTORY, authority, administrator, name, "trust-region", "region1", authority_of_ids=True, lease="1h",
        limits={"requests_per_second": 100000, "connections": 16384}).start()


def reach(controller, identities):
    """One rotation through both phases."""
    meter = Meter(controller)
    before = str(meter)
    crowds = Crowds(identities, controller.port)
    try:
        begun = time.monotonic()
        crowds.wait((1, 1), 60 + len(identities) / 20)
        print(f"{len(identities)} members connected and answered in {time.monotonic() - begun:.1f} s; "
              f"controller {before}, then {meter}", flush=True)
        times = []
        for generation in (2, 3, 4):
            controller.admin.do("POST", "/v1/root-keys/region1/stage")
            answered = time.monotonic()
            staged = crowds.wait((generation, generation - 1), 60) - answered
            # Acknowledgements are in, and a second has passed.
            end = time.monotonic() + 60
            while True:
                answer = controller.admin.ask("POST", "/v1/root-keys/region1/promote")
                if answer.status == 200:
                    break
                assert answer.status == 409 and time.monotonic() < end, answer.text
                time.sleep(0.1)
            answered = time.monotonic()
            promoted = crowds.wait((generation, generation), 60) - answered
            times += [staged, promoted]
            print(f"generation {generation}: staged at all {len(identities)} after {staged * 1000:.0f} ms, promoted after "
                  f"{promoted * 1000:.0f} ms; controller {meter}", flush=True)
        report, = controller.admin.do("GET", "/v1/root-keys")
        assert report["members"] == report["connected"] == len(identities)
        keys = crowds.finish()
        assert {int(name[1]) for name in keys} == {3, 4}, keys.keys()
        return times
    finally:
        crowds.kill()


def flat(controller, identities):
    """A hundred rotations, each generation at once at all by staging and revoking: the memory stays what it is."""
    meter = Meter(controller)
    crowds = Crowds(identities, controller.port)
    try:
        crowds.wait((1, 1), 60)
        memory = []
        for generation in range(2, 2 + ROTATIONS):
            controller.admin.do("POST", "/v1/root-keys/region1/stage")
            crowds.wait((generation, generation - 1), 30)
            controller.admin.do("POST", "/v1/root-keys/region1/revoke")
            crowds.wait((generation, generation), 30)
            memory.append((controller.memory(), meter.descriptors()))
        crowds.finish()
        settled, last = memory[ROTATIONS // 4], memory[-1]
        print(f"{ROTATIONS} rotations with {len(identities)} members: {settled[0]} kB after {ROTATIONS // 4}, {last[0]} kB "
              f"at the end; descriptors {settled[1]}, {last[1]}", flush=True)
        assert last[0] < settled[0] + 8192, "the controller's memory grows with rotations"
        assert last[1] <= settled[1] + 2, "the controller's descriptors grow with rotations"
    finally:
        crowds.kill()


def main():
    hard = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    assert hard == resource.RLIM_INFINITY or hard > MEMBERS + 1000, f"found a limit of {hard} descriptors, expected {MEMBERS + 1000}"
    authority = Authority(DIRECTORY, "region1")
    administrator = authority.issue("admin/alice")
    begun = time.monotonic()
    identities = [authority.issue(f"dpu/host{number}") for number in range(MEMBERS)]
    for identity in identities:
        identity.key = None
    print(f"{MEMBERS} certificates in {time.monotonic() - begun:.1f} s", flush=True)
    controllers = []
    try:
        controllers.append(start("region", administrator, authority))
        begun = time.monotonic()
        enrol(controllers[0], identities)
        print(f"{MEMBERS} members enrolled in {time.monotonic() - begun:.1f} s", flush=True)
        times = reach(controllers[0], identities)
        if MEMBERS <= 1000:
            assert max(times) < 5, "a rotation should reach 1,000 members in a second; this took longer than any load explains"
        controllers.append(start("few", administrator, authority))
        enrol(controllers[1], identities[:FEW])
        flat(controllers[1], identities[:FEW])
    finally:
        for controller in controllers:
            if controller.process.poll() is None:
                controller.kill()


main()
