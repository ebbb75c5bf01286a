"""A gateway that starts while frames come in: each counts at the port that it came to, none at the other.

    start.py KEYWEAVE DIRECTORY

A packet socket takes frames of all interfaces until it is bound to one. A clear host's frame among those of the network,
or the reverse, would be judged by the wrong rules.
"""

import os
import socket
import sys
import threading

import reference
import sandbox

STARTS = 3


class Flood:
    """Sends broadcast frames at a device, as fast as a thread can, until it is stopped."""

    def __init__(self, node, device):
        with node.inside():
            self.socket = socket.socket(socket.AF_PACKET, socket.SOCK_RAW, 0)
            self.socket.bind((device, 0))
        self.frame = b"\xff" * 6 + bytes.fromhex("0200000000018ff0") + bytes(46)
        self.sent, self.running = 0, True
        self.thread = threading.Thread(target=self.run, daemon=True)
        self.thread.start()

    def run(self):
        while self.running:
            self.socket.send(self.frame)
            self.sent += 1

    def stop(self):
        self.running = False
        self.thread.join()
        self.socket.close()
        return self.sent


def run(keyweave, directory):
    root = reference.RootKey(1, os.urandom(16), 1, {1: os.urandom(32), 2: os.urandom(32)})
    with open(os.open(f"{directory}/keys.yaml", os.O_CREAT | os.O_TRUNC | os.O_WRONLY, 0o600), "w") as file:
        file.write(reference.keys_yaml([reference.Group("start", [root], default=True)]))
    gateway = sandbox.Gateway(
        "gateway", keyweave, directory, identity={"device_id": "00000001", "member": 0},
        ports=[{"name": "clear", "device": "clear", "role": "clear", "mode": "transport", "pair": "fabric"},
               {"name": "fabric", "device": "fabric", "role": "protected"}],
        routes=[{"to": "10.1.0.0/24", "group": "start", "mode": "transport", "carriage": "udp"}],
        groups=[{"name": "start", "may_speak": ["10.1.0.0/24"], "forms": ["transport"]}])
    ends = {"clear": sandbox.Node("host"), "fabric": sandbox.Node("network")}
    for port, node in ends.items():
        sandbox.link(node, "eth0", gateway, port)
        # Nothing but the flood speaks.
        node.run("sysctl", "-qw", "net.ipv6.conf.eth0.disable_ipv6=1")
    for port, node in ends.items():
        for _ in range(STARTS):
            flood = Flood(node, "eth0")
            gateway.launch()
            gateway.ready()
            taken = sandbox.wait(lambda p=port: received(gateway)[p], f"frames at {port}", 10)
            sent = flood.stop()
            counts = received(gateway)
            other, = counts.keys() - {port}
            print(f"{sent} frames sent at {port}, {taken} taken at once: {counts}")
            assert counts[other] == 0, f"{counts[other]} frames at {other}, where nobody sends: they came in at {port}"
            gateway.stop()


def received(gateway):
    return {port["name"]: port["received"] for port in gateway.ask("status")["ports"]}


if __name__ == "__main__":
    sandbox.enter()
    run(os.path.abspath(sys.argv[1]), os.path.abspath(sys.argv[2]))
