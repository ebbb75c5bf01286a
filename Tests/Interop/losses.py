"""What the kernel drops because a port's ring is full is told: received + missed of the port is what was sent to it."""

import os
import signal
import socket
import time

from lab import HOSTS, PIDS, expect, inside, reaches, settled

SENT = 8000


def clear_port():
    port = next(port for port in settled("gateway-a")["ports"] if port["role"] == "clear")
    return port["received"], port["missed"]


expect(reaches(), "host B does not answer at the start")
received, missed = clear_port()
with inside("host-a"):
    sender = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
# A gateway that stands still takes nothing out of its rings. Slow enough for the queues before them.
os.kill(PIDS["gateway-a"], signal.SIGSTOP)
try:
    for number in range(SENT):
        sender.sendto(b"x" * 200, (HOSTS["host-b"], 9))
        if number % 50 == 49:
            time.sleep(0.002)
finally:
    os.kill(PIDS["gateway-a"], signal.SIGCONT)
time.sleep(1)
received, missed = (now - before for now, before in zip(clear_port(), (received, missed)))
expect(missed > SENT // 4, f"{missed} missed of {SENT}: the ring cannot have held the others")
expect(SENT <= received + missed <= SENT + 50, f"{received} received and {missed} missed of {SENT}")
expect(reaches(), "host B does not answer at the end")
print(f"{SENT} datagrams to a gateway that stood still: {received} received, {missed} missed")
