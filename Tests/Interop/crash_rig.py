"""A gateway between a host that floods it and the far end of its cable; tests set its clock and its boot ID."""

import os
import socket
import struct
import subprocess
import time

import audit
import reference
import sandbox

PERIOD = 60
HOST_ADDRESS, FAR_ADDRESS = "10.1.0.2", "10.2.0.2"
MARK = b"crash test of the counter"


class Rig:
    def __init__(self, keyweave, directory):
        self.keyweave, self.directory = keyweave, directory
        root = reference.RootKey(1, os.urandom(16), 1, {1: os.urandom(32)})
        self.group = reference.Group("crash", [root], period=PERIOD)
        self.audit = audit.Audit([self.group])
        with open(os.open(f"{directory}/keys.yaml", os.O_CREAT | os.O_WRONLY, 0o600), "w") as file:
            file.write(reference.keys_yaml([self.group]))
        self.host, self.far = sandbox.Node("host"), sandbox.Node("far")
        self.gateway = sandbox.Gateway("gateway", keyweave, directory, **self.configuration())
        sandbox.link(self.host, "eth0", self.gateway, "clear")
        sandbox.link(self.gateway, "fabric", self.far, "eth0")
        self.host.address("eth0", f"{HOST_ADDRESS}/24")
        self.host.route("10.1.0.1")
        self.mac = self.gateway.run("cat", "/sys/class/net/clear/address").strip()
        self.host.run("ip", "neighbour", "add", "10.1.0.1", "lladdr", self.mac, "dev", "eth0")
        self.sniffer = sandbox.Sniffer(self.far, "eth0", outgoing=False, frames=16384)
        self.clock = sandbox.Clock(directory)
        self.boot("a")
        self.last_epoch = None
        self.sample = 40
        self.flood = self.start_flood()

    def configuration(self, lcores=1):
        fabric = {"name": "fabric", "device": "fabric", "role": "protected", "addresses": ["192.0.2.1/24"]}
        fabric["neighbours"] = [{"address": "192.0.2.2", "mac": "02:00:00:00:00:02"}]
        return {
            "identity": {"device_id": "0000002a", "member": 5},
            "lcores": {"count": lcores},
            "ports": [{"name": "clear", "device": "clear", "role": "clear", "addresses": ["10.1.0.1/24"]}, fabric],
            "peers": [{"name": "far", "address": "192.0.2.2"}],
            "routes": [{"to": "10.2.0.0/24", "peers": ["far"], "group": "crash"}],
            "groups": [{"name": "crash", "may_speak": ["10.0.0.0/8"]}],
        }

    # The clock and the boot, as this gateway sees them

    def epoch(self):
        """The clock's, before the reduction modulo 2^16."""
        return int(self.clock.time()) // PERIOD

    def whole(self, epoch):
        """The number that a packet's 16 bits stand for: the one closest to the last, or to the clock's."""
        near = self.epoch() if self.last_epoch is None else self.last_epoch
        return near + (epoch - near + 32768) % 65536 - 32768

    def boot(self, name):
        """From now on the kernel's boot ID is another one."""
        path = f"/run/boot-{name}"
        with open(path, "w") as file:
            file.write("-".join(os.urandom(n).hex() for n in (4, 2, 2, 2, 6)) + "\n")
        subprocess.run(["mount", "--bind", path, "/proc/sys/kernel/random/boot_id"], check=True)

    # Traffic

    def start_flood(self):
        """A child that sends small datagrams of several flows, about 25,000 a second, until the script ends."""
        child = os.fork()
        if child:
            return child
        with self.host.inside():
            sockets = [socket.socket(socket.AF_INET, socket.SOCK_DGRAM) for _ in range(8)]
        for one in sockets:
            one.connect((FAR_ADDRESS, 9))
        while True:
            for one in sockets:
                for _ in range(8):
                    try:
                        one.send(MARK)
                    except OSError:
                        pass
            time.sleep(0.002)

    # One life of the gateway

    def launch(self, lcores=1):
        self.gateway.configure(**self.configuration(lcores))
        self.gateway.launch(self.clock.environment)

    def sealing(self, timeout=20):
        """Waits until packets come out."""

        def found():
            assert self.gateway.process.poll() is None, self.gateway.output()
            return self.sniffer.frames

        sandbox.wait(found, "a sealed packet", timeout, interval=0.002)

    def check(self, low=None, high=None):
        """Judges what came out since the last call; its epochs must not go back, and lie within low...high if given."""
        frames = self.sniffer.take()
        epochs = []
        for number, (_, frame, _) in enumerate(frames):
            # What is not IPv4 here is ARP.
            if frame[12:14] != b"\x08\x00":
                continue
            packet = frame[14 + 20 + 8 :]
            epochs.append(self.audit.nonce(packet))
            if number % self.sample == 0 or number == len(frames) - 1:
                found = audit.protected(frame)
                assert found and found[0] == packet, "not the plain outer headers that were configured"
                opened = self.audit.open(*found)
                assert opened.payload[28 : 28 + len(MARK)] == MARK, "another payload than the one sent"
        if epochs:
            epochs = [self.whole(epoch) for epoch in epochs]
            least, most = min(epochs), max(epochs)
            assert self.last_epoch is None or least >= self.last_epoch, f"epoch {least} after {self.last_epoch}"
            assert low is None or least >= low, f"epoch {least}, expected {low} at least"
            assert high is None or most <= high, f"epoch {most}, expected {high} at most"
            self.last_epoch = most
        return len(epochs)
