"""Ports that go down and come back, one after the other, under traffic."""

import time

from lab import Flow, expect, is_alive, reaches, run, settled, status, wait_until_reached


def link(gateway, port):
    return next(entry for entry in status(gateway)["ports"] if entry["name"] == port)["link"]


def shows(gateway, port, is_up):
    """Whether the gateway's status comes to say so: the kernel tells of a link's state up to a second late."""
    for _ in range(50):
        if link(gateway, port) == is_up:
            return True
        time.sleep(0.1)
    return False


expect(reaches(), "host B does not answer at the start")
for port in ["fabric", "clear"]:
    flow = Flow("host-a", "host-b", 7001)
    time.sleep(0.5)
    run("ip", "-n", "gateway-a", "link", "set", port, "down")
    time.sleep(1.5)
    expect(is_alive("gateway-a"), f"gateway A died when {port} went down")
    expect(shows("gateway-a", port, False), f"gateway A does not see that {port} is down")
    before = len(flow.arrived)
    time.sleep(0.5)
    expect(len(flow.arrived) == before, f"datagrams arrive although {port} is down")
    run("ip", "-n", "gateway-a", "link", "set", port, "up")
    seconds = wait_until_reached(10, f"after {port} came up")
    expect(shows("gateway-a", port, True), f"gateway A does not see that {port} is up")
    time.sleep(0.5)
    _, twice = flow.stop()
    expect(not twice, f"{len(twice)} datagrams came twice")
    expect(len(flow.arrived) > before, f"the flow did not go on after {port} came up")
    print(f"{port}: host B answers {seconds:.1f} s after the port came up")
    for gateway in ["gateway-a", "gateway-b"]:
        settled(gateway)
