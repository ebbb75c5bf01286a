"""Members in numbers: how long until a rotation has reached every one that waits. Arguments: keyweave, directory."""

import asyncio
import json
import os
import resource
import ssl
import sys
import time

from controller_rig import Authority, Controller, poll_body
from cryptography.hazmat.primitives.asymmetric import ec, x25519

KEYWEAVE, DIRECTORY = sys.argv[1], sys.argv[2]
MEMBERS = int(os.environ.get("MEMBERS", "1000"))
LIMIT = 1.0 if MEMBERS <= 1000 else 60.0


class Member:
    """A member that waits; reads just enough HTTP to see when its answer came."""

    def __init__(self, controller, context):
        self.controller, self.context, self.body = controller, context, b""

    async def connect(self):
        self.reader, self.writer = await asyncio.open_connection(
            "127.0.0.1", self.controller.port, ssl=self.context, ssl_handshake_timeout=300)

    async def ask(self, path, body):
        data = json.dumps(body).encode()
        self.writer.write(
            b"POST %s HTTP/1.1\r\nHost: x\r\nContent-Length: %d\r\n\r\n" % (path.encode(), len(data)) + data)
        head = await self.reader.readuntil(b"\r\n\r\n")
        self.arrived = time.time()
        status = int(head.split()[1])
        length = next(
            (int(line.split(b":")[1]) for line in head.lower().split(b"\r\n") if line.startswith(b"content-length")), 0)
        self.body = await self.reader.readexactly(length) if length else b""
        return status

    async def start(self, recipient):
        await self.connect()
        self.token = os.urandom(32).hex()
        assert await self.ask("/v1/lease", {"next": self.token}) == 200, self.body
        self.recipient = recipient
        assert await self.ask("/v1/keys", poll_body(recipient, self.token, 0, 0, [])) == 200, self.body
        self.version = json.loads(self.body)["version"]

    async def wait(self):
        status = await self.ask("/v1/keys", poll_body(self.recipient, self.token, self.version, 60, []))
        assert status == 200, (status, self.body)
        self.version = json.loads(self.body)["version"]
        return self.arrived


async def some(tasks, width=64):
    gate = asyncio.Semaphore(width)

    async def one(task):
        async with gate:
            return await task

    return await asyncio.gather(*(one(task) for task in tasks))


async def main():
    wanted = MEMBERS + 512
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (min(hard, max(soft, wanted)), hard))
    assert min(hard, max(soft, wanted)) >= wanted, f"found {hard} descriptors, expected {wanted}: raise `ulimit -Hn`"
    authority = Authority(DIRECTORY, "region")
    controller = Controller(
        KEYWEAVE, DIRECTORY, authority, authority.issue("admin/alice"), "region", "trust-region", "region1", lease="1h",
        limits={"requests_per_second": 100000, "connections": 20000}).start()
    key = ec.generate_private_key(ec.SECP256R1())
    members = []
    for number in range(MEMBERS):
        identity = authority.issue(f"dpu/host{number}", key=key)
        controller.admin.do(
            "POST", "/v1/members", {"id": identity.id, "public_keys": [identity.pin], "root_keys": ["region1"]})
        members.append(Member(controller, identity.context()))
    empty = controller.memory()
    recipient = x25519.X25519PrivateKey.generate()
    started = time.time()
    await some([member.start(recipient) for member in members])
    connected = time.time() - started
    took = []
    loop = asyncio.get_running_loop()
    for action in ("stage", "promote", "stage", "revoke"):
        waiting = [asyncio.create_task(member.wait()) for member in members]
        while controller.admin.do("GET", "/v1/health")["waiting"] < MEMBERS:
            await asyncio.sleep(0.05)
        started = time.time()
        await loop.run_in_executor(
            None, lambda: controller.admin.do("POST", f"/v1/root-keys/region1/{action}", {"force": True}))
        took.append(max(await asyncio.gather(*waiting)) - started)
    memory = controller.memory()
    health = controller.admin.do("GET", "/v1/health")
    assert health["members"] == MEMBERS and health["connected"] == MEMBERS, health
    print(f"{MEMBERS} members: connected in {connected:.1f} s; the last was reached after "
          f"{', '.join(f'{1000 * t:.0f}' for t in took)} ms; memory {memory >> 10} MiB, {empty >> 10} MiB without "
          f"connections; {len(os.listdir(f'/proc/{controller.process.pid}/fd'))} descriptors")
    assert max(took) < LIMIT, took
    for member in members:
        member.writer.transport.abort()
    assert controller.stop() == 0


asyncio.run(main())
