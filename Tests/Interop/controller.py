"""A controller against foreign clients: what its OpenAPI document promises, who is refused, what a kill -9 leaves, and
that no controller's store holds another's keys. Arguments: keyweave, directory."""

import http.client
import json
import os
import random
import re
import signal
import socket
import sqlite3
import ssl
import subprocess
import sys
import threading
import time

import jsonschema

from controller_rig import Authority, Client, Controller, holds, poll_body, quote, spiffe, unwrap, wait_for
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import x25519

KEYWEAVE, DIRECTORY = sys.argv[1], sys.argv[2]
KILLS = int(os.environ.get("KILLS", "50"))


class Contract:
    """Holds every answer against the OpenAPI document and remembers which were seen."""

    def __init__(self, document):
        self.document, self.seen = document, set()
        assert document["openapi"].startswith("3.1")
        for schema in document["components"]["schemas"].values():
            jsonschema.Draft202012Validator.check_schema(schema)

    def resolve(self, value):
        """What a reference into the document stands for; any other value is itself."""
        if "$ref" not in value:
            return value
        place = self.document
        for word in value["$ref"].removeprefix("#/").split("/"):
            place = place[word]
        return place

    def observe(self, method, path, answer):
        path = path.split("?")[0]
        for template, operations in self.document["paths"].items():
            if re.fullmatch(re.sub(r"\{[^}]*\}", "[^/]+", template), path) and method.lower() in operations:
                break
        else:
            assert answer.status in (403, 404, 405, 429), f"{method} {path} is in no document: {answer.status}"
            return
        responses = operations[method.lower()]["responses"]
        assert str(answer.status) in responses, f"{method} {path}: {answer.status} is in no document: {answer.text}"
        content = self.resolve(responses[str(answer.status)]).get("content")
        if content is None:
            assert not answer.text, f"{method} {path}: a body with {answer.status}"
        else:
            assert answer.headers["Content-Type"].startswith("application/json")
            schema = {**content["application/json"]["schema"], "components": self.document["components"]}
            jsonschema.validate(answer.json, schema, jsonschema.Draft202012Validator)
        self.seen.add((template, method.lower(), str(answer.status)))

    def unseen(self):
        """Operations without a good answer, and kinds of error that no answer had."""
        good = {(template, method) for template, method, status in self.seen if status.startswith("2")}
        for template, operations in self.document["paths"].items():
            for method in operations:
                if (template, method) not in good:
                    yield f"{method} {template}"
        # 429 is the flood's, which counts it.
        for status in ("400", "403", "404", "409", "413"):
            if not any(status == seen for _, _, seen in self.seen):
                yield status


def enrolment(identity, roots, **more):
    return {"id": identity.id, "public_keys": [identity.pin], "root_keys": roots, **more}


def refused(answer, status, word):
    assert answer.status == status and answer.json["error"] == word, f"{answer.status} {answer.text}"


def check_life(region, authority):
    """Members, numbers, clients, leases and a rotation with every answer held against the document."""
    admin = region.admin
    report = admin.do("GET", "/v1/root-keys")[0]
    assert report["generations"][0]["index"] == 1 and report["level"] == "trust-region"
    hosts = [authority.issue(f"dpu/host{number}") for number in range(3)]
    members = [Client(region, host) for host in hosts]
    numbers = [
        admin.do("POST", "/v1/members", enrolment(host, ["region1"], pool="rack"))["assignment"] for host in hosts]
    assert [n["member"] for n in numbers] == [0, 1, 2] and len({n["device_id"] for n in numbers}) == 1
    alone = admin.do("POST", "/v1/members", enrolment(authority.issue("dpu/alone"), ["region1"]))["assignment"]
    assert alone["device_id"] != numbers[0]["device_id"] and alone["member"] == 0
    refused(admin.ask("POST", "/v1/members", enrolment(hosts[0], ["nothing"])), 400, "bad-request")
    refused(admin.ask("POST", "/v1/members", {"id": "spiffe://UPPER/x", "public_keys": [], "root_keys": []}), 400,
            "bad-request")
    refused(admin.ask("POST", "/v1/members", raw=b"{"), 400, "bad-request")

    # Leases: repeated, swapped, copied, lost
    first = members[0]
    refused(first.poll(token="00" * 32), 409, "lease")
    assert first.lease(shown=None).json == {"expires_in": 5, "rolled_back": False}
    token = first.token
    assert first.lease(shown=None, following=token).status == 200, "a repeated first request"
    refused(first.lease(shown=None), 409, "instance")
    assert "second instance" in admin.do("GET", f"/v1/members?id={quote(first.identity.id)}")[0]["problem"]
    first.token = token
    assert first.lease().status == 200
    following = first.token
    assert first.lease(shown=token, following=following).status == 200, "the request whose answer was lost"
    refused(first.lease(shown=token), 409, "instance")
    assert "same token" in admin.do("GET", f"/v1/members?id={quote(first.identity.id)}")[0]["problem"]
    refused(first.lease(shown="ab" * 32), 409, "instance")
    admin.do("POST", f"/v1/members/reset?id={quote(first.identity.id)}", status=204)
    assert first.lease(shown="ab" * 32).json["rolled_back"] is True
    for member in members[1:]:
        assert member.lease(shown=None).status == 200
    admin.do("POST", "/v1/members", enrolment(hosts[2], ["region1"], pool="rack"))

    # Keys, and a rotation that waits for its members
    held = []
    for member in members:
        answer = member.poll()
        held.append(answer.json)
        keys = member.keys(answer.json)
        assert len(keys) == 1 and answer.json["assignment"]["device_id"] == numbers[0]["device_id"]
    for member, key_set in zip(members, held):
        assert member.poll(key_set["version"], acknowledgements=holds(key_set)).status == 204
    root = report["id"]
    admin.do("POST", "/v1/root-keys/region1/stage")
    refused(admin.ask("POST", "/v1/root-keys/region1/stage", {"force": False}), 409, "staged")
    waiting = admin.ask("POST", "/v1/root-keys/region1/promote", {"force": False})
    refused(waiting, 409, "waiting")
    assert set(waiting.json["missing"]) >= {host.id for host in hosts}
    admin.do("POST", "/v1/root-keys/region1/rotate")
    finished = []
    for round in range(12):
        for index, member in enumerate(members):
            answer = member.poll(held[index]["version"], wait=1, acknowledgements=holds(held[index]))
            if answer.status == 200:
                held[index] = answer.json
                generations = sorted(generation for _, generation in member.keys(answer.json))
            member.lease()
        state = admin.do("GET", "/v1/root-keys")[0]
        current = [g["index"] for g in state["generations"] if g["state"] == "current"]
        if current == [2] and all(holds(key_set)[0]["promoted"] == 2 for key_set in held):
            finished.append(round)
            break
    assert finished, state
    assert generations == [1, 2]
    assert {a["id"] for a in admin.do("GET", "/v1/acknowledgements")[0]["acknowledgements"]} <= {root}

    # Outside clients: a slot each, not given again before a rotation
    client = {"id": spiffe("client/c1"), "public_keys": [hosts[0].pin], "pool": "rack", "address": "198.51.100.7"}
    assert admin.do("POST", "/v1/clients", client)["slot"] == 1
    refused(admin.ask("POST", "/v1/clients", {**client, "address": "here"}), 400, "bad-request")
    refused(admin.ask("POST", "/v1/clients", {**client, "id": spiffe("client/c2"), "pool": "none"}), 404, "unknown")
    assert members[0].poll(held[0]["version"]).json["clients"][0]["address"] == "198.51.100.7"
    admin.do("DELETE", f"/v1/clients?id={quote(client['id'])}", status=204)
    assert admin.do("POST", "/v1/clients", client)["slot"] == 2, "a slot is not given again"
    assert len(admin.do("GET", "/v1/clients")) == 1
    refused(admin.ask("DELETE", f"/v1/clients?id={quote(spiffe('client/none'))}"), 404, "unknown")
    admin.do("DELETE", f"/v1/clients?id={quote(client['id'])}", status=204)

    # A member that releases its number, and one that is removed
    members[1].do("DELETE", "/v1/lease", status=204)
    admin.do("DELETE", f"/v1/members?id={quote(hosts[2].id)}", status=204)
    refused(members[2].lease(), 403, "unauthorized")
    refused(members[2].poll(), 403, "unauthorized")
    again = admin.do("POST", "/v1/members", enrolment(hosts[2], ["region1"], pool="rack"))["assignment"]
    assert again["member"] == 3, "numbers 1 and 2 are in quarantine"
    refused(admin.ask("DELETE", f"/v1/members?id={quote(spiffe('dpu/none'))}"), 404, "unknown")
    refused(admin.ask("POST", "/v1/root-keys/none/rotate"), 404, "unknown")
    refused(admin.ask("GET", "/v1/nothing"), 404, "unknown")
    audit = admin.do("GET", "/v1/audit?last=1000")
    actions = [entry["action"] for entry in audit]
    assert {"create", "enrol", "stage", "promote", "refuse-instance", "reset-member", "release"} <= set(actions)
    assert [entry["time"] for entry in audit] == sorted(entry["time"] for entry in audit)
    with open(f"{DIRECTORY}/region.audit.jsonl") as file:
        assert [json.loads(line)["action"] for line in file][-len(actions):] == actions
    admin.do("GET", "/v1/health")
    members[0].do("GET", "/v1/health")

    # Revocation, with nothing staged: nothing is left, and the floor is above everything
    revoked = admin.do("POST", "/v1/root-keys/region1/revoke")
    assert revoked["generations"] == [] and revoked["floor"] == 3
    key_set = members[0].poll(held[0]["version"]).json
    assert key_set["root_keys"][0]["keys"] == [] and key_set["root_keys"][0]["floor"] == 3
    # With a share of half of all members, most of whom are away, only force goes on.
    admin.do("POST", "/v1/root-keys/region1/stage")
    refused(admin.ask("POST", "/v1/root-keys/region1/promote", {"force": False}), 409, "waiting")
    forced = admin.do("POST", "/v1/root-keys/region1/promote", {"force": True})
    assert [(g["index"], g["state"]) for g in forced["generations"]] == [(3, "current")]
    assert "forced" in admin.do("GET", "/v1/audit?last=1")[0]["details"]
    return members[0]


def check_revocation_speed(region, member):
    """A revocation reaches a waiting member within a second."""
    member.lease()
    version = member.poll().json["version"]
    arrived = []

    def wait():
        answer = member.poll(version, wait=20)
        arrived.append((time.time(), answer))

    thread = threading.Thread(target=wait)
    thread.start()
    wait_for(lambda: region.admin.do("GET", "/v1/health")["waiting"] > 0, 5, "the poll to wait")
    started = time.time()
    region.admin.do("POST", "/v1/root-keys/region1/revoke")
    thread.join(10)
    took = arrived[0][0] - started
    assert arrived[0][1].status == 200 and took < 1, took
    return took


# Those who must not get in


def handshake(region, context):
    """The HTTP status, or the reason why there is none."""
    try:
        with socket.create_connection((region.host, region.port), timeout=10) as plain:
            with context.wrap_socket(plain) as connection:
                connection.sendall(b"POST /v1/keys HTTP/1.1\r\nHost: x\r\nContent-Length: 0\r\n\r\n")
                head = connection.recv(4096)
                return int(head.split()[1]) if head else "closed"
    except (ssl.SSLError, ConnectionError) as error:
        return type(error).__name__


def check_strangers(region, authority):
    bare = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    bare.check_hostname = False
    bare.load_verify_locations(authority.path)
    seen = {"none": handshake(region, bare)}
    other = Authority(DIRECTORY, "other")
    seen["other CA"] = handshake(region, other.issue("dpu/host0", file="forged").context(authority.path))
    seen["expired"] = handshake(region, authority.issue("dpu/host0", file="expired", days=(-9, -1)).context())
    seen["not yet"] = handshake(region, authority.issue("dpu/host0", file="early", days=(3, 9)).context())
    for name in ("none", "other CA", "expired", "not yet"):
        assert not isinstance(seen[name], int), seen
    # Known to the authority, but not to the controller; the right name, but a key that was not pinned
    seen["unauthorized"] = handshake(region, authority.issue("dpu/stranger").context())
    minted = authority.issue("dpu/host0", file="minted")
    seen["another key"] = handshake(region, minted.context())
    seen["minted administrator"] = handshake(region, authority.issue("admin/alice", file="mallory").context())
    seen["two names"] = handshake(
        region, authority.issue("dpu/two", uris=[spiffe("dpu/host0"), spiffe("dpu/host1")]).context())
    seen["removed"] = handshake(region, authority.issue("dpu/host9").context())
    for name in ("unauthorized", "another key", "minted administrator", "two names", "removed"):
        assert seen[name] == 403, seen
    old = region.administrator.context()
    old.maximum_version = ssl.TLSVersion.TLSv1_2
    seen["TLS 1.2"] = handshake(region, old)
    assert not isinstance(seen["TLS 1.2"], int), seen
    # The same by programs that share no code with Python's ssl
    arguments = ["--cacert", authority.path, "--cert", region.administrator.certificate, "--key",
                 region.administrator.keyfile, "-sS", "-o", "/dev/null", "-w", "%{http_code}", "-k"]
    url = f"https://{region.host}:{region.port}/v1/health"
    assert subprocess.run(["curl", *arguments, url], capture_output=True, text=True).stdout == "200"
    assert subprocess.run(["curl", "-k", "-sS", url], capture_output=True).returncode != 0
    result = subprocess.run(
        ["openssl", "s_client", "-connect", f"{region.host}:{region.port}", "-tls1_2"], stdin=subprocess.DEVNULL,
        capture_output=True, text=True, timeout=20)
    assert "Cipher is (NONE)" in result.stdout, result.stdout[-300:]
    member = Client(region, authority.issue("dpu/plain"))
    region.admin.do("POST", "/v1/members", enrolment(member.identity, ["region1"]))
    for method, path in (("GET", "/v1/members"), ("POST", "/v1/root-keys/region1/revoke"), ("GET", "/v1/audit")):
        refused(member.ask(method, path), 403, "unauthorized")
    refused(region.admin.ask("POST", "/v1/lease", {"next": "00" * 32}), 403, "unauthorized")
    return seen


def connect(region, identity):
    plain = socket.create_connection((region.host, region.port), timeout=60)
    return identity.context().wrap_socket(plain)


def check_abuse(region, authority):
    """Large and cut bodies, replays, slow clients, floods: the service stays up and its memory flat."""
    client = Client(region, authority.issue("dpu/abuser"))
    region.admin.do("POST", "/v1/members", enrolment(client.identity, ["region1"]))
    for _ in range(20):
        region.admin.do("GET", "/v1/health")
    before = region.memory()
    # One gigabyte, announced and not, as fast as it goes
    for head in (b"Content-Length: 1073741824", b"Transfer-Encoding: chunked"):
        sent, started = 0, time.time()
        with connect(region, client.identity) as connection:
            connection.sendall(b"POST /v1/keys HTTP/1.1\r\nHost: x\r\n" + head + b"\r\n\r\n")
            block = b"x" * 65536
            if b"chunked" in head:
                block = b"10000\r\n" + block + b"\r\n"
            try:
                while sent < 1 << 30 and time.time() - started < 60:
                    connection.sendall(block)
                    sent += len(block)
            except (ssl.SSLError, ConnectionError):
                pass
        assert sent < 64 << 20, f"{sent} octets were taken"
    refused(client.ask("POST", "/v1/keys", raw=b"[" + b"1," * 40000 + b"1]"), 413, "too-large")
    client.close()
    assert client.ask("GET", "/v1/health").status == 200

    # Cut in the head, in the body, in the middle of TLS; then the same connection's octets again
    for cut in (b"POST /v1/lea", b"POST /v1/lease HTTP/1.1\r\nHost: x\r\nContent-Length: 90\r\n\r\n{\"ne"):
        with connect(region, client.identity) as connection:
            connection.sendall(cut)
    recorded = b""
    with socket.create_connection((region.host, region.port)) as plain:
        incoming, outgoing = ssl.MemoryBIO(), ssl.MemoryBIO()
        tls = client.identity.context().wrap_bio(incoming, outgoing)
        body = json.dumps({"next": "12" * 32}).encode()
        request = b"POST /v1/lease HTTP/1.1\r\nHost: x\r\nContent-Length: %d\r\n\r\n" % len(body) + body
        stage, answer = "handshake", b""
        plain.settimeout(10)
        while not answer:
            try:
                if stage == "handshake":
                    tls.do_handshake()
                    stage = "request"
                if stage == "request":
                    tls.write(request)
                    stage = "answer"
                answer = tls.read(4096)
            except ssl.SSLWantReadError:
                pass
            octets = outgoing.read()
            recorded += octets
            plain.sendall(octets)
            if not answer:
                incoming.write(plain.recv(65536))
    assert b" 200 " in answer.split(b"\r\n")[0] + b" "
    with socket.create_connection((region.host, region.port)) as plain:
        plain.settimeout(10)
        plain.sendall(recorded)
        replies = b""
        try:
            while octets := plain.recv(65536):
                replies += octets
        except (ConnectionError, socket.timeout):
            pass
    lease = region.admin.do("GET", f"/v1/members?id={quote(client.identity.id)}")[0]
    assert "problem" not in lease, "a replayed connection must not be a second instance"

    # Slow clients: no handshake, a head and a body octet by octet
    def slow(send, limit):
        started = time.time()
        with (socket.create_connection((region.host, region.port)) if send is None
              else connect(region, client.identity)) as connection:
            connection.settimeout(limit)
            try:
                if send is None:
                    assert connection.recv(1) == b""
                else:
                    connection.sendall(send)
                    connection.settimeout(0.5)
                    while time.time() - started < limit:
                        connection.sendall(b"a")
                        try:
                            if connection.recv(4096) == b"":
                                break
                        except TimeoutError:
                            pass
            except (ssl.SSLError, ConnectionError):
                pass
        took.append(time.time() - started)

    took, threads = [], []
    body = b"POST /v1/lease HTTP/1.1\r\nHost: x\r\nContent-Length: 60000\r\n\r\n"
    for send in [None] * 20 + [body] * 20:
        threads.append(threading.Thread(target=slow, args=(send, 30)))
    [thread.start() for thread in threads]
    [thread.join() for thread in threads]
    assert len(took) == 40 and max(took) < 20, took
    # A flood of requests of one member is cut to its rate; others are served
    with connect(region, client.identity) as connection:
        connection.sendall(b"GET /v1/health HTTP/1.1\r\nHost: x\r\n\r\n" * 400)
        replies = b""
        while replies.count(b"HTTP/1.1 ") < 400:
            replies += connection.recv(65536)
    limited = replies.count(b"HTTP/1.1 429")
    assert limited > 0 and region.admin.ask("GET", "/v1/health").status == 200
    grown = region.memory() - before
    assert grown < 64 << 10, f"{grown} KiB more"
    return {"memory KiB": grown, "slowest s": round(max(took), 1), "429s": limited}


# What a kill leaves


def check_kills(authority, administrator):
    """kill -9 at any moment of rotations that follow each other: no generation lost, none with two values."""
    controller = Controller(
        KEYWEAVE, DIRECTORY, authority, administrator, "killed", "user-group", "hpc", lease="60s",
        limits={"requests_per_second": 5000}).start()
    host = authority.issue("dpu/steady")
    controller.admin.do("POST", "/v1/members", enrolment(host, ["hpc"]))
    member = Client(controller, host)
    assert member.lease(shown=None).status == 200
    values, fingerprints, floor, newest, answered = {}, {}, 0, 0, 0
    for number in range(KILLS):
        stop = threading.Event()
        errors = []

        def rotate():
            """Stages and promotes as fast as it can; remembers what was answered."""
            nonlocal answered
            client = Client(controller, administrator)
            action = "stage"
            while not stop.is_set():
                try:
                    answer = client.ask("POST", f"/v1/root-keys/hpc/{action}", {"force": True})
                    if answer.status == 200:
                        answered = max(g["index"] for g in answer.json["generations"])
                    elif answer.status != 409:
                        errors.append(answer.text)
                    action = "promote" if action == "stage" else "stage"
                except (OSError, http.client.HTTPException):
                    return

        thread = threading.Thread(target=rotate)
        thread.start()
        version = 0
        end = time.time() + random.uniform(0.02, 0.4)
        while time.time() < end:
            answer = member.poll(version)
            if answer.status != 200:
                continue
            version = answer.json["version"]
            for key, octets in member.keys(answer.json).items():
                assert values.setdefault(key, octets) == octets, f"{key} has two values"
            assert answer.json["root_keys"][0]["floor"] >= floor, "the floor fell"
            floor = answer.json["root_keys"][0]["floor"]
            newest = max([newest] + [key["index"] for key in answer.json["root_keys"][0]["keys"]])
        controller.kill()
        stop.set()
        thread.join()
        assert not errors, errors
        member.close()
        controller.start()
        report = controller.admin.do("GET", "/v1/root-keys")[0]
        generations = [g["index"] for g in report["generations"]]
        assert generations == list(range(generations[0], generations[0] + len(generations))) and len(generations) <= 3
        assert generations[-1] >= max(newest, answered), f"lost: {generations} after {newest} and {answered}"
        assert report["floor"] >= floor and sum(g["state"] == "current" for g in report["generations"]) == 1
        for generation in report["generations"]:
            known = fingerprints.setdefault(generation["index"], generation["fingerprint"])
            assert known == generation["fingerprint"], f"{generation['index']} has two values"
        answer = member.poll()
        if answer.status == 409:
            # The very swap may have been cut off.
            assert member.lease().status == 200
            answer = member.poll()
        for key, octets in member.keys(answer.json).items():
            assert values.setdefault(key, octets) == octets
    assert len(set(values.values())) == len(values)
    assert controller.stop() == 0
    return {"kills": KILLS, "generations": generations[-1]}


# Three controllers


def check_three(region, authority, administrator):
    """Each store holds its own level only, wrapped; none of the three can compute a master key."""
    host = authority.issue("dpu/gateway")
    users = Controller(KEYWEAVE, DIRECTORY, authority, administrator, "users", "user-group", "hpc").start()
    tasks = Controller(KEYWEAVE, DIRECTORY, authority, administrator, "tasks", "task-group", "train").start()
    region.admin.do("POST", "/v1/root-keys/region1/stage")
    region.admin.do("POST", "/v1/root-keys/region1/promote", {"force": True})
    keys = {}
    for controller in (region, users, tasks):
        body = enrolment(host, [controller.root])
        controller.admin.do("POST", "/v1/members", body)
        member = Client(controller, host)
        assert member.lease(shown=None).status == 200
        answer = member.poll().json
        assert [series["name"] for series in answer["root_keys"]] == [controller.root]
        keys[controller.name] = list(member.keys(answer).values())
        if controller is not region:
            assert "assignment" not in answer
            refused(controller.admin.ask("POST", "/v1/members", {**body, "pool": "rack"}), 400, "bad-request")
    assert all(keys.values()) and len({key for held in keys.values() for key in held}) == sum(map(len, keys.values()))
    for controller in (region, users, tasks):
        assert controller.stop() == 0
        with sqlite3.connect(f"file:{controller.store}?mode=ro", uri=True) as database:
            names = [name for (name,) in database.execute("SELECT name FROM records WHERE name LIKE 'root/%'")]
            assert names == [f"root/{controller.root}"], names
            levels = [json.loads(value)["level"] for (value,) in database.execute(
                "SELECT value FROM records WHERE name LIKE 'root/%'")]
            assert len(levels) == 1
        database.close()
    # No file of any controller has any key in clear, in whatever form.
    files = [f"{DIRECTORY}/{name}" for name in os.listdir(DIRECTORY)]
    contents = b"".join(open(path, "rb").read() for path in files if os.path.isfile(path))
    for held in keys.values():
        for key in held:
            for form in (key, key.hex().encode(), key.hex().upper().encode(), __import__("base64").b64encode(key)[:40]):
                assert form not in contents, "a root key in clear"
    assert os.stat(region.store).st_mode & 0o777 == 0o600
    # The audit log cannot be changed, not even by its owner with SQLite at hand.
    with sqlite3.connect(region.store) as database:
        count = database.execute("SELECT count(*) FROM audit").fetchone()[0]
        for change in ("DELETE FROM audit", "UPDATE audit SET value = 'x'",
                       "INSERT OR REPLACE INTO audit SELECT 1, name, value FROM audit LIMIT 1"):
            try:
                database.execute(change)
                raise AssertionError(f"{change} was done")
            except sqlite3.IntegrityError:
                pass
        assert count > 20
    database.close()


def check_erasure(authority, administrator):
    """What was rotated away stands in no file, not even wrapped, and two processes never share a store."""
    controller = Controller(KEYWEAVE, DIRECTORY, authority, administrator, "erased", "task-group", "train").start()

    def wrapped():
        # The running controller holds the file: read what is on the disk.
        content = open(controller.store, "rb").read()
        log = f"{controller.store}-wal"
        return content + (open(log, "rb").read() if os.path.exists(log) else b"")

    def current():
        found = re.findall(rb'"wrapped":"([A-Za-z0-9_-]{60,})"', wrapped())
        return set(found)

    first = current()
    assert len(first) == 1
    for _ in range(2):
        controller.admin.do("POST", "/v1/root-keys/train/stage")
        controller.admin.do("POST", "/v1/root-keys/train/promote", {"force": True})
    wait_for(lambda: next(iter(first)) not in wrapped(), 5, "the erased generation to leave the store")
    second = subprocess.run(
        [KEYWEAVE, "controller", "--config", controller.path], capture_output=True, text=True, timeout=30)
    assert second.returncode == 1 and "another process" in second.stderr, second.stderr
    assert controller.stop() == 0


def check_reload(region, authority):
    """SIGHUP: the certificate on the disk is taken over, or it is said why not and the old one stays."""

    def shown():
        with socket.create_connection((region.host, region.port)) as plain:
            with region.administrator.context().wrap_socket(plain) as channel:
                return channel.getpeercert(binary_form=True)

    def said():
        return open(region.errors.name).read()

    before, process, place = shown(), region.process.pid, region.identity.certificate
    with open(place) as file:
        good = file.read()
    with open(place, "w") as file:
        file.write("no certificate\n")
    region.process.send_signal(signal.SIGHUP)
    wait_for(lambda: f"certificates: {place}: found" in said(), 10, "the word that it cannot be read")
    assert shown() == before
    with open(place, "w") as file:
        file.write(good)
    renewed = authority.issue("controller/region", file="renewed", key=region.identity.key)
    os.replace(renewed.certificate, place)
    region.process.send_signal(signal.SIGHUP)
    wait_for(lambda: shown() != before, 10, "the new certificate")
    with open(place) as file:
        assert shown() == ssl.PEM_cert_to_DER_cert(file.read())
    assert region.process.poll() is None and region.process.pid == process
    region.admin.close()
    region.admin.do("GET", "/v1/health")


def main():
    authority = Authority(DIRECTORY, "region")
    administrator = authority.issue("admin/alice")
    region = Controller(
        KEYWEAVE, DIRECTORY, authority, administrator, "region", "trust-region", "region1", authority_of_ids=True).start()
    contract = Contract(region.admin.do("GET", "/v1/openapi.json"))
    Client.observe = contract.observe
    contract.observe("GET", "/v1/openapi.json", region.admin.ask("GET", "/v1/openapi.json"))
    member = check_life(region, authority)
    print("life: ok")
    print(f"revocation: {check_revocation_speed(region, member) * 1000:.0f} ms")
    print("strangers:", check_strangers(region, authority))
    print("abuse:", check_abuse(region, authority))
    unseen = list(contract.unseen())
    assert not unseen, f"nothing was seen of {unseen}"
    print(f"contract: {len(contract.seen)} kinds of answers")
    check_reload(region, authority)
    print("SIGHUP: ok")
    check_three(region, authority, administrator)
    print("three controllers: ok")
    check_erasure(authority, administrator)
    print("erasure: ok")
    Client.observe = None
    print("kills:", check_kills(authority, administrator))


main()
