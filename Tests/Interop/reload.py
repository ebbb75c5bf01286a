"""Reloads under traffic: configurations change, keys rotate, mistakes are refused, and not one datagram is lost."""

import re
import secrets
import time

from lab import KEYWEAVE, LAB, Flow, ask, expect, run, settled, status

GATEWAYS = ["gateway-a", "gateway-b"]


def read(name):
    with open(f"{LAB}/{name}") as file:
        return file.read()


def write(name, text):
    """In place, so that the file keeps its mode."""
    with open(f"{LAB}/{name}", "r+") as file:
        file.write(text)
        file.truncate()


def reload(gateway):
    answer = ask(gateway, "reload")
    expect("result" in answer, f"{gateway} refused to reload: {answer}")


def rotate():
    """The next generation becomes current, the current one previous, and there is a new next."""
    text = read("keys.yaml")
    expires = re.search(r'expires: ("[^"]*")', text)
    more = f", expires: {expires.group(1)}" if expires else ""
    generations = dict(re.findall(r"(previous|current|next):\s*(\{[^}]*\})", text))
    number = int(re.search(r"index: (\d+)", generations["next"]).group(1))
    fresh = f"{{ index: {number + 1}{more}, key: {secrets.token_hex(32)} }}"
    head = text[: re.search(r"\n\s*(previous|current):", text).start()]
    write("keys.yaml", head + f"\n        previous: {generations['current']}\n        current: {generations['next']}\n"
          f"        next: {fresh}\n")


original = {gateway: read(f"{gateway}.yaml") for gateway in GATEWAYS}
run("ip", "netns", "exec", "host-a", "ping", "-c", "2", "-i", "0.2", "10.2.0.2")
flows = [Flow("host-a", "host-b", 7001), Flow("host-b", "host-a", 7002)]
time.sleep(0.3)

reloads = 0
for turn in range(20):
    for gateway in GATEWAYS:
        extra = "".join(f"  - {{ to: 10.{100 + number}.0.0/16, action: drop }}\n" for number in range(turn % 5))
        text = original[gateway].replace("groups:\n", extra + "groups:\n", 1)
        write(f"{gateway}.yaml", text + f"icmp_rate: {50 + turn}\nmss_clamp: {'true' if turn % 2 else 'false'}\n")
        reload(gateway)
        reloads += 1
        time.sleep(0.05)

for _ in range(3):
    rotate()
    for gateway in GATEWAYS:
        reload(gateway)
        reloads += 1
        time.sleep(0.1)
generation = status("gateway-a")["groups"][0]["root_keys"][0]["current"]
expect(generation == 4, f"the current generation is {generation} after three rotations, not 4")

# A mistake, and a change that needs a restart: refused whole, and said why.
for change, word in [(("10.2.0.0/24", "10.2.0.0/99"), "10.2.0.0/99"), (("mtu: 1500", "mtu: 1400"), "restart")]:
    write("gateway-a.yaml", original["gateway-a"].replace(*change))
    done = run(KEYWEAVE, "reload", "--socket", f"{LAB}/gateway-a.sock", check=False)
    expect(done.returncode == 1 and word in done.stdout, f"a bad configuration got: {done.returncode} {done.stdout}")
write("gateway-a.yaml", original["gateway-a"])
reload("gateway-a")
time.sleep(0.3)

for flow in flows:
    missing, twice = flow.stop()
    expect(flow.sent > 3000, f"{flow.name}: only {flow.sent} datagrams were sent")
    expect(not missing, f"{flow.name}: {len(missing)} of {flow.sent} datagrams are missing: {missing[:20]}")
    expect(not twice, f"{flow.name}: {len(twice)} datagrams came twice: {twice[:20]}")
    print(f"{flow.name}: {flow.sent} datagrams, none lost, {reloads} reloads")
for gateway in GATEWAYS:
    settled(gateway)
