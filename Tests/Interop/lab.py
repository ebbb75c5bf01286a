"""What the end-to-end scripts share. They run inside `keyweave lab`, between two hosts and two gateways."""

import contextlib
import ctypes
import json
import os
import socket
import struct
import subprocess
import sys
import threading
import time

KEYWEAVE = os.environ["KEYWEAVE"]
LAB = os.environ["KEYWEAVE_LAB"]
PIDS = {"gateway-a": int(os.environ["GATEWAY_A"]), "gateway-b": int(os.environ["GATEWAY_B"])}
HOSTS = {"host-a": "10.1.0.2", "host-b": "10.2.0.2"}
CLONE_NEWNET = 0x40000000
libc = ctypes.CDLL(None, use_errno=True)


def expect(condition, sentence):
    """Ends the script with a sentence when the condition does not hold."""
    if not condition:
        sys.exit(f"FAIL: {sentence}")


@contextlib.contextmanager
def inside(namespace):
    """Sockets that are made in here live in the namespace, for good."""
    here = os.open("/proc/thread-self/ns/net", os.O_RDONLY)
    there = os.open(f"/run/netns/{namespace}", os.O_RDONLY)
    try:
        expect(libc.setns(there, CLONE_NEWNET) == 0, f"no way into {namespace}")
        yield
    finally:
        libc.setns(here, CLONE_NEWNET)
        os.close(here)
        os.close(there)


def run(*command, check=True):
    """A program's output; it must succeed unless told otherwise."""
    done = subprocess.run(command, capture_output=True, text=True, timeout=30)
    if check:
        expect(done.returncode == 0, f"{' '.join(command)}: {done.stdout}{done.stderr}")
    return done


def ask(gateway, command):
    """The gateway's answer on its control socket."""
    with socket.socket(socket.AF_UNIX) as control:
        control.settimeout(10)
        control.connect(f"{LAB}/{gateway}.sock")
        control.sendall(json.dumps({"command": command}).encode() + b"\n")
        answer = b""
        while not answer.endswith(b"\n"):
            piece = control.recv(65536)
            expect(piece, f"{gateway} closed its control socket")
            answer += piece
    return json.loads(answer)


def status(gateway):
    return ask(gateway, "status")


def is_alive(gateway):
    try:
        with open(f"/proc/{PIDS[gateway]}/stat") as file:
            return file.read().rsplit(")", 1)[1].split()[0] != "Z"
    except FileNotFoundError:
        return False


def resident(gateway):
    """Octets of memory in use."""
    with open(f"/proc/{PIDS[gateway]}/statm") as file:
        return int(file.read().split()[1]) * os.sysconf("SC_PAGE_SIZE")


def start(gateway):
    """Starts a gateway that was killed and waits until it answers."""
    log = open(f"{LAB}/log/{gateway}-again", "w")
    process = subprocess.Popen(
        ["ip", "netns", "exec", gateway, KEYWEAVE, "run", "--config", f"{LAB}/{gateway}.yaml"],
        stdout=log, stderr=log, env=dict(os.environ, RUNTIME_DIRECTORY=LAB))
    PIDS[gateway] = process.pid
    for _ in range(200):
        time.sleep(0.05)
        expect(process.poll() is None, f"{gateway} ended: {open(log.name).read()}")
        with contextlib.suppress(OSError):
            return status(gateway)
    sys.exit(f"FAIL: {gateway} does not answer")


def settled(gateway):
    """The status when nothing is under way (fragments wait two seconds for the others, packets three for a neighbour): every
    packet must have been counted exactly once."""
    last = None
    for _ in range(100):
        now = status(gateway)
        totals = now["totals"]
        if last == totals and totals["in"] == totals["out"] + totals["drops"]:
            return now
        last = totals
        time.sleep(0.1)
    sys.exit(f"FAIL: {gateway} does not come to rest with in = out + drops: {last}")


def reaches(count=3):
    """Whether host A's pings to host B are answered."""
    done = run("ip", "netns", "exec", "host-a", "ping", "-n", "-q", "-c", str(count), "-i", "0.1", "-W", "1",
               HOSTS["host-b"], check=False)
    return f" {count} received" in done.stdout


def wait_until_reached(seconds, why):
    begin = time.monotonic()
    while time.monotonic() - begin < seconds:
        if reaches(1):
            return time.monotonic() - begin
    sys.exit(f"FAIL: no answer from host B within {seconds} s {why}")


class Flow:
    """Datagrams with sequence numbers from one host to the other, at a steady rate, and what became of each."""

    def __init__(self, source, destination, port, rate=1000, size=200):
        self.source, self.destination, self.rate, self.size = source, destination, rate, size
        with inside(source):
            self.sender = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        with inside(destination):
            self.receiver = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
            self.receiver.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 8 << 20)
            self.receiver.bind((HOSTS[destination], port))
        self.receiver.settimeout(0.2)
        self.address = (HOSTS[destination], port)
        self.sent = 0
        self.arrived = {}
        self.stopping = threading.Event()
        self.done = threading.Event()
        self.threads = [threading.Thread(target=self.send, daemon=True), threading.Thread(target=self.receive, daemon=True)]
        for thread in self.threads:
            thread.start()

    def send(self):
        begin = time.monotonic()
        while not self.stopping.is_set():
            due = int((time.monotonic() - begin) * self.rate)
            while self.sent < due and not self.stopping.is_set():
                with contextlib.suppress(OSError):
                    self.sender.sendto(struct.pack("!Q", self.sent).ljust(self.size, b"x"), self.address)
                self.sent += 1
            time.sleep(0.001)

    def receive(self):
        while True:
            try:
                number, = struct.unpack("!Q", self.receiver.recv(65536)[:8])
                self.arrived[number] = self.arrived.get(number, 0) + 1
            except TimeoutError:
                if self.done.is_set():
                    return

    def stop(self):
        """Ends the flow, waits for the last datagrams and says what is missing or came twice."""
        self.stopping.set()
        self.threads[0].join()
        time.sleep(0.5)
        self.done.set()
        self.threads[1].join()
        self.sender.close()
        self.receiver.close()
        missing = [number for number in range(self.sent) if number not in self.arrived]
        twice = [number for number, count in self.arrived.items() if count > 1]
        return missing, twice

    @property
    def name(self):
        return f"{self.source} to {self.destination}"
