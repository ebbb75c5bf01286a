"""Routers that spread packets over the members of a pool that are up."""

import ipaddress
import mmap
import os
import socket
import struct
import threading
import time

import outer
import sandbox
from bfd_rig import Bird


class Spreader:
    """In front of one side of a pool: IPv4 packets to `prefixes` that come in at `sources` go to the members that are up,
    each packet to the next one. It is a process of its own, which does what a router does to a packet and no more."""

    FORWARDED, LOST, NOBODY = range(3)

    def __init__(self, node, sources, members, prefixes):
        """members: device and MAC address of each, in order."""
        self.node, self.members = node, members
        self.prefixes = [ipaddress.ip_network(prefix) for prefix in prefixes]
        for prefix in prefixes:
            # The kernel of this node is not to forward them, nor to complain.
            node.run("ip", "route", "replace", "blackhole", prefix)
        self.shared = mmap.mmap(-1, 4096)
        if not os.fork():
            self.run(sources)

    # For the parent

    def set_up(self, member, is_up):
        self.shared[64 + member] = is_up

    def is_up(self, member):
        return bool(self.shared[64 + member])

    def count(self, which):
        return struct.unpack_from("Q", self.shared, 8 * which)[0]

    # The child

    def run(self, sources):
        try:
            self.lock, self.turn, self.counts = threading.Lock(), 0, [0, 0, 0]
            self.doors = []
            with self.node.inside():
                for device, mac in self.members:
                    door = socket.socket(socket.AF_PACKET, socket.SOCK_RAW, 0)
                    door.bind((device, 0))
                    own = door.getsockname()[4]
                    self.doors.append((door, bytes.fromhex(mac.replace(":", "")) + own))
            sniffers = [
                sandbox.Sniffer(self.node, source, outgoing=False, mtu=1700, frames=16384, each=self.forward)
                for source in sources]
            while True:
                time.sleep(0.2)
                self.counts[self.LOST] = sum(sniffer.count_lost() for sniffer in sniffers)
                struct.pack_into("QQQ", self.shared, 0, *self.counts)
        finally:
            os._exit(1)

    def forward(self, _, frame, sent):
        if frame[12:14] != b"\x08\x00" or not any(
                ipaddress.ip_address(frame[30:34]) in prefix for prefix in self.prefixes):
            return
        header = bytearray(frame[14:34])
        header[8] -= 1
        header[10:12] = bytes(2)
        header[10:12] = struct.pack("!H", outer.checksum(bytes(header)))
        with self.lock:
            order = [(self.turn + step) % len(self.doors) for step in range(len(self.doors))]
            chosen = next((member for member in order if self.is_up(member)), None)
            if chosen is None:
                # All at once are not dead, but a busy machine answers late: as load balancers do, it takes any then.
                chosen = order[0]
                self.counts[self.NOBODY] += 1
            self.turn = chosen + 1
            door, addresses = self.doors[chosen]
            door.send(addresses + frame[12:14] + header + frame[34:])
            self.counts[self.FORWARDED] += 1


class Routes(threading.Thread):
    """What both routers know of the members: BIRD, upstream, has a BFD session with each of them, and its next-hops are those
    that are up."""

    def __init__(self, node, directory, pool, members, spreaders):
        """members: device and address of each, in order."""
        super().__init__(daemon=True)
        self.pool, self.addresses, self.spreaders = pool, [address for _, address in members], spreaders
        hops = "\n".join(f"    via {address} bfd" for address in self.addresses)
        devices = ", ".join(f'"{device}"' for device, _ in members)
        self.bird = Bird(node, directory, f"""
router id {self.addresses[0]};
protocol device {{ scan time 1; }}
protocol bfd {{ interface {devices} {{ min rx interval 50 ms; min tx interval 50 ms; multiplier 3; }}; }}
protocol static {{ ipv4; route {pool}/32
{hops}; }}
""")

    def run(self):
        while True:
            text = self.bird.ask(f"show route for {self.pool}")
            for member, address in enumerate(self.addresses):
                for spreader in self.spreaders:
                    spreader.set_up(member, f"via {address} " in text)
            time.sleep(0.005)
