"""A peer that is killed and comes back: the other gateway goes on, counts what it cannot deliver, and finds it again."""

import os
import signal
import time

from lab import PIDS, Flow, expect, is_alive, reaches, settled, start, status, wait_until_reached

expect(reaches(), "host B does not answer at the start")
sealed = settled("gateway-a")["totals"]["sealed"]
os.kill(PIDS["gateway-b"], signal.SIGKILL)
flow = Flow("host-a", "host-b", 7001)
time.sleep(3)
flow.stop()
expect(not flow.arrived, "datagrams arrived through a gateway that was killed")
expect(is_alive("gateway-a"), "gateway A died with its peer")
alone = settled("gateway-a")
fate = alone["totals"]["sealed"] - sealed + alone["drops"].get("neighbour-unresolved", 0)
expect(fate >= flow.sent, f"{flow.sent} datagrams were sent, but gateway A accounts for {fate}: {alone['drops']}")

begin = time.monotonic()
start("gateway-b")
print(f"gateway B was back after {time.monotonic() - begin:.1f} s")
print(f"host B answers {wait_until_reached(10, 'after gateway B came back'):.1f} s later")
flow = Flow("host-b", "host-a", 7002)
time.sleep(1)
missing, _ = flow.stop()
expect(not missing, f"{len(missing)} datagrams are missing after gateway B came back")
for gateway in ["gateway-a", "gateway-b"]:
    drops = settled(gateway)["drops"]
    expect("authentication" not in drops and "malformed" not in drops, f"{gateway} dropped {drops}")
expect(status("gateway-b")["counter"]["sealing"], "gateway B does not seal after its restart")
