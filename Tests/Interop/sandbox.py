"""Hosts and gateways on one machine, without root: namespaces, veth pairs, and real `keyweave run` processes.

A script calls `enter` first: it goes on in user, mount, PID and network namespaces of its own, and however it ends,
every process and interface in them disappears. As root on a machine without user namespaces it does without that one.
"""

import contextlib
import ctypes
import json
import mmap
import os
import select
import shutil
import signal
import socket
import struct
import subprocess
import sys
import threading
import time

ETH_P_ALL = 3
CLONE_NEWNET = 0x40000000
# linux/if_packet.h
SOL_PACKET, PACKET_RX_RING, PACKET_STATISTICS, PACKET_VERSION = 263, 5, 6, 10
TPACKET2 = struct.Struct("IIIHHIIHH")
PACKET_AUXDATA, AUXDATA = 8, struct.Struct("IIIHHHH")
TPACKET2_ADDRESS, PACKET_TYPE = 32, 10
STATUS_USER, STATUS_VLAN_VALID = 1, 16
INSIDE = "KEYWEAVE_LAB_INSIDE"
libc = ctypes.CDLL(None, use_errno=True)


def enter():
    """Runs the script again in namespaces of its own, and returns there."""
    if os.environ.get(INSIDE):
        subprocess.run(["mount", "-t", "tmpfs", "tmpfs", "/run"], check=True)
        os.mkdir("/run/netns")
        return
    for flags in ("-Urnmpf", "-nmpf"):
        if subprocess.run(["unshare", flags, "true"], stderr=subprocess.DEVNULL).returncode == 0:
            os.environ[INSIDE] = "1"
            script = [sys.executable, "-B", *sys.argv]
            os.execvp("unshare", ["unshare", flags, "--kill-child", "--mount-proc", *script])
    sys.exit("no namespaces: allow user namespaces (sysctl kernel.unprivileged_userns_clone=1), or run this as root")


class Node:
    """A network namespace: a host, or what a gateway runs in."""

    def __init__(self, name):
        self.name = name
        subprocess.run(["ip", "netns", "add", name], check=True)
        self.run("ip", "link", "set", "lo", "up")

    def command(self, *words):
        return ["ip", "netns", "exec", self.name, *words]

    def run(self, *words, check=True, timeout=60):
        """What the program printed, both ways; a failure is an error that shows it."""
        done = subprocess.run(
            self.command(*words),
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            timeout=timeout,
        )
        if check and done.returncode:
            raise AssertionError(f"{self.name}: {' '.join(words)}: exit {done.returncode}\n{done.stdout}")
        return done.stdout

    def start(self, *words, log=subprocess.DEVNULL, environment=None):
        return subprocess.Popen(
            self.command(*words),
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=subprocess.STDOUT,
            env={**os.environ, **(environment or {})},
        )

    @contextlib.contextmanager
    def inside(self):
        """Sockets made within belong to this namespace. For this thread only."""
        with open("/proc/thread-self/ns/net") as home, open(f"/run/netns/{self.name}") as away:
            switch(away)
            try:
                yield
            finally:
                switch(home)

    def address(self, device, *addresses):
        for address in addresses:
            words = ["nodad"] if ":" in address else []
            self.run("ip", "address", "add", address, "dev", device, *words)

    def route(self, *gateways, to="default"):
        for gateway in gateways:
            self.run("ip", "-6" if ":" in gateway else "-4", "route", "add", to, "via", gateway)


def switch(namespace):
    if libc.setns(namespace.fileno(), CLONE_NEWNET):
        raise OSError(ctypes.get_errno(), "setns")


def link(one, device, other, other_device, mtu=1500):
    """A veth pair between two nodes; what the kernel would say by itself or leave to hardware is turned off."""
    pair = ["ip", "link", "add", device, "netns", one.name, "type", "veth", "peer", other_device, "netns", other.name]
    subprocess.run(pair, check=True)
    for node, name in ((one, device), (other, other_device)):
        node.run("ip", "link", "set", name, "mtu", str(mtu))
        if isinstance(node, Gateway):
            node.run("sysctl", "-qw", f"net.ipv6.conf.{name}.disable_ipv6=1")
        else:
            # A veth neither computes nor checks a sum that was left to it, and passes on segments larger than its MTU.
            node.run("ethtool", "-K", name, "tx", "off", "tso", "off", "gso", "off", "gro", "off")
    for node, name in ((one, device), (other, other_device)):
        node.run("ip", "link", "set", name, "up")


class Gateway(Node):
    """A namespace with a `keyweave run`, its files in `directory`."""

    def __init__(self, name, keyweave, directory, **configuration):
        super().__init__(name)
        self.keyweave = keyweave
        self.directory = directory
        self.socket_path = f"{directory}/{name}.sock"
        self.record = f"{directory}/{name}.record"
        self.log = f"{directory}/{name}.log"
        self.process = None
        self.configure(**configuration)

    def configure(self, **configuration):
        """Writes the file: JSON is YAML too."""
        own = {"name": self.name, "control_socket": self.socket_path, "keys": "keys.yaml"}
        if configuration.get("identity") is not None:
            configuration["identity"].setdefault("record", self.record)
        self.path = f"{self.directory}/{self.name}.yaml"
        with open(self.path, "w") as file:
            json.dump({k: v for k, v in {**own, **configuration}.items() if v is not None}, file, indent=1)

    def rewrite(self, **changes):
        """Changes fields of the file; None takes one out."""
        with open(self.path) as file:
            configuration = {**json.load(file), **changes}
        with open(self.path, "w") as file:
            json.dump({k: v for k, v in configuration.items() if v is not None}, file, indent=1)

    def launch(self, environment=None):
        with open(self.log, "a") as log:
            self.process = self.start(self.keyweave, "run", "--config", self.path, log=log, environment=environment)

    def ready(self, timeout=20):
        """Waits until the control socket answers."""
        deadline = time.monotonic() + timeout
        while time.monotonic() < deadline:
            status = self.process.poll()
            assert status is None, f"{self.name} ended, exit {status}: {self.output()}"
            with contextlib.suppress(OSError):
                self.ask("ping")
                return self
            time.sleep(0.005)
        raise AssertionError(f"{self.name} is not ready after {timeout} s: {self.output()}")

    def ask(self, command):
        with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as channel:
            channel.settimeout(10)
            channel.connect(self.socket_path)
            channel.sendall(json.dumps({"command": command}).encode() + b"\n")
            answer = b""
            while not answer.endswith(b"\n"):
                octets = channel.recv(65536)
                if not octets:
                    break
                answer += octets
        return json.loads(answer)

    def output(self):
        with open(self.log) as log:
            return log.read()

    def kill(self):
        self.process.kill()
        self.process.wait()

    def stop(self):
        self.process.send_signal(signal.SIGTERM)
        status = self.process.wait(20)
        assert status == 0, f"{self.name}: exit {status}\n{self.output()}"


class Clock:
    """The clock of every program that `environment` is given to: the system's, set off by seconds that a test may change
    while they run (clock_shim.c)."""

    def __init__(self, directory):
        library, self.path, self.offset = f"{directory}/clock_shim.so", f"{directory}/clock", 0
        source = os.path.join(os.path.dirname(os.path.abspath(__file__)), "clock_shim.c")
        compiler = next(filter(None, map(shutil.which, ("cc", "clang", "gcc"))), "cc")
        subprocess.run([compiler, "-O1", "-shared", "-fPIC", "-o", library, source, "-ldl"], check=True)
        with open(self.path, "wb") as file:
            file.write(struct.pack("q", 0))
        self.environment = {"LD_PRELOAD": library, "CLOCK_OFFSET": self.path}

    def set(self, offset):
        self.offset = offset
        with open(self.path, "r+b") as file:
            file.write(struct.pack("q", offset))

    def time(self):
        return time.time() + self.offset


def tag(node, device, inner, control, mtu=1500):
    """Gives the node a device whose frames pass `device` with a VLAN tag (priority and number).

    It is what a VLAN interface would be, which not every kernel has: a child copies frames until the script ends.
    """
    link(node, inner, node, f"{inner}-tagged", mtu)
    for silent in (device, f"{inner}-tagged"):
        node.run("sysctl", "-qw", f"net.ipv6.conf.{silent}.disable_ipv6=1")
    with node.inside():
        sides = [socket.socket(socket.AF_PACKET, socket.SOCK_RAW, 0) for _ in range(2)]
        for side, name in zip(sides, (f"{inner}-tagged", device)):
            side.setsockopt(SOL_PACKET, PACKET_AUXDATA, 1)
            side.bind((name, ETH_P_ALL))
    if os.fork():
        return
    while True:
        for side in select.select(sides, [], [])[0]:
            # A device that goes down says so once; a frame that does not fit is lost.
            with contextlib.suppress(OSError):
                frame, ancillary, _, address = side.recvmsg(65536, 64)
                if address[2] == socket.PACKET_OUTGOING:
                    continue
                status, *_, tci, tpid = AUXDATA.unpack(ancillary[0][2])
                if side is sides[0]:
                    sides[1].send(frame[:12] + struct.pack(">HH", 0x8100, control) + frame[12:])
                elif status & STATUS_VLAN_VALID and (tpid, tci) == (0x8100, control):
                    sides[0].send(frame)


class Sniffer:
    """Takes every frame at a device, from outside of the program that sends it: (time, frame, sent by this side).

    The kernel's ring is used because a socket's own queue is too short without root, and because it tells the VLAN tag
    that the kernel took off. `lost` counts frames that found the ring full.
    """

    VERSION2, TIMEOUT = 1, 0.05

    def __init__(self, node, device, outgoing=True, mtu=1500, frames=4096, each=None):
        """each: called with every frame, in the place of keeping it."""
        self.size = 2048 if mtu <= 1500 else 16384
        self.count = frames if mtu <= 1500 else frames // 4
        block = max(65536, self.size)
        with node.inside():
            self.socket = socket.socket(socket.AF_PACKET, socket.SOCK_RAW, 0)
            self.socket.setsockopt(SOL_PACKET, PACKET_VERSION, self.VERSION2)
            ring = struct.pack("IIII", block, self.size * self.count // block, self.size, self.count)
            self.socket.setsockopt(SOL_PACKET, PACKET_RX_RING, ring)
            self.socket.bind((device, ETH_P_ALL))
        self.ring = mmap.mmap(self.socket.fileno(), self.size * self.count)
        self.next = 0
        self.outgoing = outgoing
        self.frames = []
        self.each = each
        self.lost = 0
        self.running = True
        self.thread = threading.Thread(target=self.run, daemon=True)
        self.thread.start()

    def run(self):
        while self.running:
            if not self.read():
                select.select([self.socket], [], [], self.TIMEOUT)

    def read(self):
        """Empties the ring; whether there was anything in it."""
        found = False
        while True:
            start = self.next * self.size
            status, length, kept, mac, _, seconds, nanoseconds, tci, tpid = TPACKET2.unpack_from(self.ring, start)
            if not status & STATUS_USER:
                return found
            sent = self.ring[start + TPACKET2_ADDRESS + PACKET_TYPE] == socket.PACKET_OUTGOING
            if self.outgoing or not sent:
                assert kept == length, "a frame that is larger than the ring's"
                frame = self.ring[start + mac : start + mac + length]
                if status & STATUS_VLAN_VALID:
                    frame = frame[:12] + struct.pack(">HH", tpid or 0x8100, tci) + frame[12:]
                if self.each:
                    self.each(seconds + nanoseconds * 1e-9, frame, sent)
                else:
                    self.frames.append((seconds + nanoseconds * 1e-9, frame, sent))
            struct.pack_into("I", self.ring, start, 0)
            self.next = (self.next + 1) % self.count
            found = True

    def take(self):
        """The frames so far, which are then forgotten."""
        taken, self.frames = self.frames, []
        self.count_lost()
        return taken

    def count_lost(self):
        _, lost = struct.unpack("II", self.socket.getsockopt(SOL_PACKET, PACKET_STATISTICS, 8))
        self.lost += lost
        return self.lost

    def stop(self):
        """The frames that were not taken."""
        self.running = False
        self.thread.join()
        self.read()
        frames = self.take()
        self.ring.close()
        self.socket.close()
        return frames


def wait(condition, what, timeout=10, interval=0.02):
    """The first true value of condition()."""
    deadline = time.monotonic() + timeout
    while time.monotonic() < deadline:
        value = condition()
        if value:
            return value
        time.sleep(interval)
    raise AssertionError(f"not within {timeout} s: {what}")


def segment(node, device, *gateways, mtu=1500):
    """One Ethernet segment with a node and gateways, given as (gateway, device): what a switch would be, without a bridge.

    The gateways' devices are macvlans at the end of the node's cable; a node's own could not leave checksums to itself.
    """
    switch = Node(f"{node.name}-{device}")
    link(node, device, switch, "trunk", mtu)
    switch.run("sysctl", "-qw", "net.ipv6.conf.trunk.disable_ipv6=1")
    for gateway, name in gateways:
        words = ["link", "trunk", "netns", gateway.name, "type", "macvlan", "mode", "bridge"]
        switch.run("ip", "link", "add", name, *words)
        gateway.run("sysctl", "-qw", f"net.ipv6.conf.{name}.disable_ipv6=1")
        gateway.run("ip", "link", "set", name, "mtu", str(mtu), "up")
