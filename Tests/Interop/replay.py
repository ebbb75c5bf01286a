"""Replay protection between two gateways: what crossed the fabric is captured and sent again, as it was and with other UDP source
ports. Each copy is counted as a duplicate or as late, and none reaches the host; forged senders change neither memory nor windows.

    keyweave lab python3 replay.py [SECONDS OF TRAFFIC]
"""

import os
import random
import signal
import socket
import sys
import time

from scapy.all import UDP, Ether, rdpcap, wrpcap

from lab import HOSTS, LAB, PIDS, Flow, expect, inside, is_alive, reaches, resident, settled, start

random.seed(1)
WINDOW = 1024
SECONDS = float(sys.argv[1]) if len(sys.argv) > 1 else 3
PORT = 7001
# Ethernet, IPv4 and UDP stand before the security header, whose ID follows four octets.
ID = 14 + 20 + 8 + 4


def raw(namespace, interface):
    with inside(namespace):
        door = socket.socket(socket.AF_PACKET, socket.SOCK_RAW, socket.htons(3))
        door.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 32 << 20)
        door.bind((interface, 0))
    return door


def configure():
    """Gateway B begins anew with replay protection."""
    os.kill(PIDS["gateway-b"], signal.SIGKILL)
    while is_alive("gateway-b"):
        time.sleep(0.02)
    with open(f"{LAB}/gateway-b.yaml", "r+") as file:
        text = file.read()
        if "replay_window" not in text:
            file.seek(0)
            file.write(text.replace("forms: [tunnel] }", f"forms: [tunnel], replay_window: {WINDOW} }}"))
            file.truncate()
    start("gateway-b")


def captured(door):
    """What gateway B has received of sealed packets by now, octet for octet."""
    door.setblocking(False)
    frames = []
    while True:
        try:
            frame, source = door.recvfrom(65536)
        except BlockingIOError:
            return frames
        if source[2] != socket.PACKET_OUTGOING and frame[12:14] == b"\x08\x00" and frame[36:38] == b"\x11\x94":
            frames.append(frame)


def send(frames):
    """Not faster than the gateway empties its ring; what it has dropped of them, by reason."""
    before = settled("gateway-b")
    for number, frame in enumerate(frames):
        throw.send(frame)
        if number % 64 == 63:
            time.sleep(0.002)
    time.sleep(0.1)
    after = settled("gateway-b")
    drops = {reason: count - before["drops"].get(reason, 0) for reason, count in after["drops"].items()}
    return {reason: count for reason, count in drops.items() if count and reason != "handled"}, after


def listen():
    with inside("host-b"):
        listener = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 8 << 20)
        listener.bind((HOSTS["host-b"], PORT))
    listener.setblocking(False)
    return listener


def arrived(listener):
    count = 0
    while True:
        try:
            listener.recv(65536)
            count += 1
        except BlockingIOError:
            return count


configure()
expect(reaches(), "host B does not answer at the start")
watch = raw("gateway-b", "fabric")
throw = raw("gateway-a", "fabric")
flow = Flow("host-a", "host-b", PORT)
time.sleep(SECONDS)
missing, twice = flow.stop()
expect(flow.sent > WINDOW + 500 and not missing and not twice, f"{flow.sent} sent, {missing} missing, {twice} twice")
wrpcap(f"{LAB}/fabric.pcap", [Ether(frame) for frame in captured(watch)])
frames = [bytes(packet) for packet in rdpcap(f"{LAB}/fabric.pcap")]
expect(len(frames) >= flow.sent, f"{len(frames)} captured of {flow.sent}")
windows = settled("gateway-b")["replay"]["windows"]

# The capture, sent again as it was.
listener = listen()
drops, after = send(frames)
expect(set(drops) == {"replay-late", "replay-duplicate"} and sum(drops.values()) == len(frames), f"{drops} of {len(frames)}")
# What is no further back than the window is a duplicate; a few pings crossed the flow.
expect(WINDOW - 10 <= drops["replay-duplicate"] <= WINDOW, f"{drops}")
print(f"{len(frames)} packets sent again: {drops}")

# With source ports that would lead to other queues and other paths.
altered = []
for frame in frames[-500:]:
    packet = Ether(frame)
    packet[UDP].sport = random.randrange(49152, 65536)
    altered.append(bytes(packet))
drops, after = send(altered)
expect(drops == {"replay-duplicate": len(altered)}, f"{drops} of {len(altered)} with other source ports")

# Forged: any ID, any counter, under a tag that nobody made.
memory = resident("gateway-b")
forged = []
for frame in random.choices(frames, k=20000):
    forged.append(frame[:ID] + random.randbytes(4) + frame[ID + 4:])
drops, after = send(forged)
came = sum(drops.values())
expect(set(drops) == {"authentication"} and came > 19000, f"{drops} of {len(forged)} forged")
growth = resident("gateway-b") - memory
expect(growth < 1 << 20, f"gateway B grew by {growth} octets")
expect(after["replay"]["windows"] == windows, f"{windows} windows before the flood, {after['replay']} after it")
expect(after["replay"]["untracked"] == 0, f"{after['replay']}")
drops, after = send(frames[-200:])
expect(drops == {"replay-duplicate": 200}, f"{drops} after the flood")
expect(arrived(listener) == 0, "host B has got a packet again")
expect(reaches(5), "host B does not answer after the flood")
print(f"{came} forged packets: {growth >> 10} KiB more, {windows} windows as before")

# What a gateway saw before it was killed it does not know: the bound is the epoch then, and each copy passes once.
configure()
throw = raw("gateway-a", "fabric")
reaches(1)
copies = frames[-200:]
first, after = send(copies)
second, after = send(copies)
expect("replay-duplicate" not in first and second == {"replay-duplicate": 200}, f"after a restart: {first}, then {second}")
expect(arrived(listener) >= 190, "after a restart the copies do not arrive")
print("after a restart each copy passes once")
