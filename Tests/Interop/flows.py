"""Datagrams with sequence numbers at a steady rate, and what became of each."""

import socket
import struct
import threading
import time


class Flow:
    """From one node to an address of another, by a thread at either end, until it is stopped."""

    # Seconds that the last datagrams may be under way: far more than they ever are on a machine with other work.
    PATIENCE = 10

    def __init__(self, name, source, sink, address, port, bind=None, rate=200, size=200):
        self.name, self.port, self.rate, self.size = name, port, rate, size
        self.sent = 0
        self.arrived = bytearray()
        with source.inside():
            self.sender = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
            if bind:
                self.sender.bind((bind, 0))
        with sink.inside():
            self.receiver = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self.receiver.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 8 << 20)
        self.receiver.bind((address, port))
        self.receiver.settimeout(0.2)
        self.address = (address, port)
        self.stopping, self.done = threading.Event(), threading.Event()
        self.threads = [threading.Thread(target=work, daemon=True) for work in (self.send, self.receive)]
        for thread in self.threads:
            thread.start()

    def send(self):
        begin = time.monotonic()
        while not self.stopping.is_set():
            due = int((time.monotonic() - begin) * self.rate)
            while self.sent < due:
                self.sender.sendto(struct.pack("!Q", self.sent).ljust(self.size, b"x"), self.address)
                self.sent += 1
            time.sleep(0.002)

    def receive(self):
        while True:
            try:
                number, = struct.unpack("!Q", self.receiver.recv(65536)[:8])
            except TimeoutError:
                if self.done.is_set():
                    return
                continue
            if number >= len(self.arrived):
                self.arrived.extend(bytes(number + 1 - len(self.arrived)))
            self.arrived[number] = min(self.arrived[number] + 1, 255)

    def missing(self):
        """How many have not arrived."""
        return self.sent - len(self.arrived) + self.arrived.count(0)

    def stop_sending(self):
        self.stopping.set()
        self.threads[0].join()

    def stop(self, patience=PATIENCE):
        """Ends it, waits for the last datagrams, and says which are missing and which came twice."""
        self.stop_sending()
        # Longer than a moment only where something is lost.
        end = time.monotonic() + patience
        while self.missing() and time.monotonic() < end:
            time.sleep(0.05)
        time.sleep(0.2)
        self.done.set()
        self.threads[1].join()
        self.sender.close()
        self.receiver.close()
        arrived = self.arrived.ljust(self.sent, b"\0")
        return [n for n, c in enumerate(arrived) if not c], [n for n, c in enumerate(arrived) if c > 1]


def account(gateways):
    """What every gateway dropped: for the sentence of a failure."""
    return "".join(
        f"\n{status['name']}: dropped {status['drops']}, {status['totals']}, counter {status['counter']}, ports "
        f"{[(port['name'], port['missed'], port['errors']) for port in status['ports']]}, {status.get('connection')}"
        for gateway in gateways for status in [gateway.ask("status")])


def unharmed(flows, gateways):
    """Datagrams sent; not one of them may be lost or come twice."""
    sent = 0
    for flow in flows:
        flow.stopping.set()
    for flow in flows:
        missing, twice = flow.stop()
        assert flow.sent > 100, f"{flow.name}: only {flow.sent} datagrams were sent"
        assert not missing, (
            f"{flow.name}: {len(missing)} of {flow.sent} datagrams are missing, {missing[0]} to {missing[-1]}"
            f"{account(gateways)}")
        assert not twice, f"{flow.name}: {len(twice)} datagrams came twice: {twice[:20]}"
        sent += flow.sent
    return sent
