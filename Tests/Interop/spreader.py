"""Routers that spread packets over the members of a pool, and what they know of who is up."""

import ipaddress
import mmap
import os
import socket
import struct
import threading
import time

import outer
import sandbox


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


class Health(threading.Thread):
    """Asks every member for an echo again and again, as the routers' liveness protocol: one that misses three in a row is
    withdrawn at both routers; one that answers three, and has keys, comes back."""

    INTERVAL, MISSES = 0.05, 3

    def __init__(self, node, addresses, is_fit, spreaders):
        """is_fit(member): whether one that answers may be sent packets."""
        super().__init__(daemon=True)
        self.addresses, self.is_fit, self.spreaders = addresses, is_fit, spreaders
        self.events = []  # (time, member, up)
        self.identifier = os.getpid() & 0xFFFF
        with node.inside():
            self.socket = socket.socket(socket.AF_INET, socket.SOCK_RAW, socket.IPPROTO_ICMP)
        self.socket.setblocking(False)
        self.running = True

    def run(self):
        sequence, answered = 0, {}
        misses, hits = [0] * len(self.addresses), [0] * len(self.addresses)
        while self.running:
            sequence = sequence % 60000 + 1
            for address in self.addresses:
                message = struct.pack("!BBHHH", 8, 0, 0, self.identifier, sequence)
                message = message[:2] + struct.pack("!H", outer.checksum(message)) + message[4:]
                try:
                    self.socket.sendto(message, (address, 0))
                except OSError:
                    pass
            time.sleep(self.INTERVAL)
            for address, number in self.answers():
                answered[address] = max(number, answered.get(address, 0)) if number <= sequence else number
            for member, address in enumerate(self.addresses):
                is_answered = answered.get(address) == sequence
                misses[member] = 0 if is_answered else misses[member] + 1
                hits[member] = hits[member] + 1 if is_answered else 0
                is_up = self.spreaders[0].is_up(member)
                if is_up and misses[member] >= self.MISSES:
                    self.set(member, False)
                elif not is_up and hits[member] >= self.MISSES and self.is_fit(member):
                    self.set(member, True)

    def answers(self):
        while True:
            try:
                packet, (address, _) = self.socket.recvfrom(2048)
            except BlockingIOError:
                return
            kind, _, _, identifier, number = struct.unpack("!BBHHH", packet[20:28])
            if kind == 0 and identifier == self.identifier:
                yield address, number

    def set(self, member, is_up):
        for spreader in self.spreaders:
            spreader.set_up(member, is_up)
        self.events.append((time.time(), member, is_up))
