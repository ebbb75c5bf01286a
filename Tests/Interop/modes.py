"""Two gateways, two hosts with real programs, one case at a time: every mode, carriage and kind of key.

    modes.py KEYWEAVE DIRECTORY CASE      `modes.py list` names the cases

Each case: ping, UDP of many sizes up to beyond the MTU, and a download cross the gateways whole. When they are idle,
their totals must balance. Then every frame that was on the cable between them is judged: nothing of the payload in
clear, each packet opened by the reference implementation, no nonce twice.
"""

import hashlib
import os
import shutil
import socket
import subprocess
import sys
import time

import audit
import sandbox
import outer
import reference

MARK = b"in clear this would be seen. "
GROUP = "modes"
V4, V6 = ("10.1.0.2", "10.2.0.2"), ("2001:db8:1::2", "2001:db8:2::2")
FABRIC4, FABRIC6 = ("192.0.2.1", "192.0.2.2"), ("2001:db8:f::1", "2001:db8:f::2")
TAG = 5 << 13 | 7  # priority 5, VLAN 7
FILE_SIZE = 1_500_000


class Case:
    """A case's differences from a plain tunnel over IPv4 and UDP; its checks of what was seen on the cable."""

    def __init__(self, mode="tunnel", route=None, peers=((4, "udp"),), mtu=1500, fabric_mtu=None, vlan=None, **more):
        self.mode, self.route, self.peers = mode, route or {}, peers
        self.mtu, self.fabric_mtu, self.vlan = mtu, fabric_mtu or mtu, vlan
        self.carriage = more.get("carriage", "udp")  # transport mode
        self.engines = more.get("engines", ("auto", "auto"))
        self.lcores = more.get("lcores", 1)
        self.ids = more.get("ids", ("00000001", "00000002"))
        self.tagged = more.get("tagged", False)  # the hosts speak in VLANs
        self.sizes = more.get("sizes", (1, 18, 64, 512, 1280, 1472, 1473, 3000, 8000))
        self.expect = more.get("expect", lambda seen: None)


class Seen:
    """What the cable carried, by kinds, for a case's own check."""

    def __init__(self):
        self.variants, self.carriages, self.families, self.options, self.coffsets = set(), set(), set(), set(), set()
        self.forms, self.tags, self.inner_tags, self.lcores, self.fragments = set(), set(), set(), set(), 0
        self.ids, self.marked = set(), 0


def only(field, *values):
    def check(seen):
        found = getattr(seen, field)
        assert found == set(values), f"{field}: expected {set(values)}, found {found}"

    return check


def every(*checks):
    return lambda seen: [check(seen) for check in checks]


def fragmented(seen):
    assert seen.fragments, "nothing was fragmented"


def headers_only(seen):
    # 28 octets of IPv4 and UDP are 7 units, 40 of TCP or IPv6 are more: cut at the route's 10.
    assert {7, 10} <= seen.coffsets and max(seen.coffsets) == 10, seen.coffsets


BUMP = {"mode": "transport", "fabric_mtu": 1600}
CASES = {
    "tunnel": Case(
        expect=every(only("families", 4), only("carriages", "udp"), only("variants", 0), only("options", 1))
    ),
    "tunnel-over-ipv6": Case(peers=((6, "udp"),), expect=every(only("families", 6), only("carriages", "udp"))),
    "ip-carriage": Case(peers=((4, "ip"),), expect=every(only("families", 4), only("carriages", "ip"))),
    "ip-carriage-over-ipv6": Case(peers=((6, "ip"),), expect=every(only("families", 6), only("carriages", "ip"))),
    "aes-128": Case(route={"suite": "aes-128-gcm"}, expect=only("variants", 1)),
    "source-address": Case(
        route={"context": "source-address"},
        peers=((4, "udp"), (6, "udp")),
        expect=every(only("variants", 4), only("families", 4, 6)),
    ),
    "wide-ids": Case(
        ids=("0000000100000001", "0000000100000002"),
        expect=every(only("variants", 8), only("ids", b"\0\0\0\1\0\0\0\1", b"\0\0\0\1\0\0\0\2")),
    ),
    "no-options": Case(route={"options": False}, expect=only("options", 0)),
    "coffset": Case(route={"coffset": 10}, expect=headers_only),
    "several-peers": Case(
        peers=((4, "udp"), (6, "ip"), (4, "ip")), expect=every(only("families", 4, 6), only("carriages", "udp", "ip"))
    ),
    "two-lcores": Case(lcores=2, expect=only("lcores", 0, 1)),
    "two-engines": Case(engines=("openssl", "auto")),
    "vlan": Case(vlan=100, fabric_mtu=1600, expect=only("tags", 100)),
    "jumbo": Case(mtu=9000, sizes=(1, 1472, 4000, 8800, 8972, 8973, 20000)),
    "transport-udp": Case(**BUMP, expect=every(only("forms", 0), only("carriages", "udp"), only("families", 4, 6))),
    "transport-ip": Case(
        **BUMP, carriage="ip", expect=every(only("forms", 0), only("carriages", "ip"), only("families", 4, 6))
    ),
    "transport-same-mtu": Case(mode="transport", expect=fragmented),
    "transport-source-address": Case(**BUMP, route={"context": "source-address"}, expect=only("variants", 4)),
    "transport-coffset": Case(**BUMP, route={"coffset": 3}, expect=only("coffsets", 3)),
    "ethernet": Case(mode="ethernet", fabric_mtu=1700, expect=every(only("forms", 0), only("inner_tags", None))),
    "ethernet-vlan": Case(mode="ethernet", fabric_mtu=1700, tagged=True, expect=only("inner_tags", TAG)),
    "ethernet-same-mtu": Case(mode="ethernet", peers=((6, "udp"),), tagged=True, expect=fragmented),
}


class Network:
    def __init__(self, case, keyweave, directory):
        self.case, self.keyweave, self.directory = case, keyweave, directory
        root = reference.RootKey(1, os.urandom(16), 1, {1: os.urandom(32), 2: os.urandom(32)})
        group = reference.Group(GROUP, [root], default=True)
        self.audit = audit.Audit([group])
        with open(os.open(f"{directory}/keys.yaml", os.O_CREAT | os.O_TRUNC | os.O_WRONLY, 0o600), "w") as file:
            file.write(reference.keys_yaml([group]))
        self.hosts = [sandbox.Node("host-a"), sandbox.Node("host-b")]
        self.gateways = []
        for side, (host, letter) in enumerate(zip(self.hosts, "ab")):
            gateway = sandbox.Gateway(f"gateway-{letter}", keyweave, directory, **self.configuration(side))
            sandbox.link(host, "eth0", gateway, "clear", case.mtu)
            self.gateways.append(gateway)
        sandbox.link(self.gateways[0], "fabric", self.gateways[1], "fabric", case.fabric_mtu + (4 if case.vlan else 0))
        self.address_hosts()
        # Each gateway's packets are taken where they arrive: the sending end does not show what bypasses its queue.
        frame = max(case.mtu, case.fabric_mtu) + 22
        ends = reversed(self.gateways)
        self.sniffers = [sandbox.Sniffer(end, "fabric", outgoing=False, mtu=frame) for end in ends]

    def configuration(self, side):
        case, far = self.case, 1 - side
        clear = {"name": "clear", "device": "clear", "role": "clear", "mtu": case.mtu, "mode": case.mode}
        fabric = {"name": "fabric", "device": "fabric", "role": "protected", "mtu": case.fabric_mtu}
        if case.vlan:
            fabric["vlan"] = case.vlan
        sealing = {"group": GROUP, "mode": case.mode, **case.route}
        speaks = [f"10.{2 - side}.0.0/24", f"2001:db8:{2 - side}::/64"]
        peers = []
        if case.mode == "transport":
            clear["pair"] = "fabric"
            routes = [{"to": to, "carriage": case.carriage, **sealing} for to in ("10.1.0.0/24", "2001:db8:1::/64")]
            speaks = ["10.1.0.0/24", "2001:db8:1::/64"]
        else:
            fabric["addresses"] = [f"{FABRIC4[side]}/24", f"{FABRIC6[side]}/64"]
            for number, (family, carriage) in enumerate(case.peers):
                address = (FABRIC4 if family == 4 else FABRIC6)[far]
                peers.append({"name": f"peer-{number}", "address": address, "carriage": carriage})
            sealing["peers"] = [peer["name"] for peer in peers]
            if case.mode == "ethernet":
                routes = [{"from": "clear", **sealing}]
            else:
                clear["addresses"] = [f"10.{side + 1}.0.1/24", f"2001:db8:{side + 1}::1/64"]
                routes = [{"to": to, **sealing} for to in (f"10.{far + 1}.0.0/24", f"2001:db8:{far + 1}::/64")]
        return {
            "identity": {"device_id": case.ids[side], "member": side},
            "engine": case.engines[side],
            "lcores": {"count": case.lcores},
            "ports": [clear, fabric],
            "peers": peers,
            "routes": routes,
            "groups": [{"name": GROUP, "may_speak": [] if case.mode == "ethernet" else speaks, "forms": [case.mode]}],
        }

    def address_hosts(self):
        """On one network where the gateways are bumps or bridges, else on two."""
        self.v4, self.v6, device = V4, V6, "eth0"
        if self.case.mode != "tunnel":
            self.v4, self.v6 = (V4[0], "10.1.0.3"), (V6[0], "2001:db8:1::3")
        for side, host in enumerate(self.hosts):
            if self.case.tagged:
                device = "vlan7"
                sandbox.tag(host, "eth0", device, TAG, self.case.mtu)
            host.address(device, f"{self.v4[side]}/24", f"{self.v6[side]}/64")
            if self.case.mode == "tunnel":
                host.route(f"10.{side + 1}.0.1", f"2001:db8:{side + 1}::1")

    def start(self):
        for gateway in self.gateways:
            gateway.launch()
        for gateway in self.gateways:
            gateway.ready()

    # Real programs

    def ping(self):
        a = self.hosts[0]
        sizes = (56, 1000, 1400, 4000)
        for family, far in (("-4", self.v4[1]), ("-6", self.v6[1])):
            # The first may wait for neighbours to be found.
            first = ["ping", family, "-c1", "-W1", far]
            sandbox.wait(lambda w=first: "1 received" in a.run(*w, check=False), " ".join(first))
            for size in sizes:
                # Without DF: the host cuts what is larger than its own link, as it would for any destination.
                words = ["ping", family, "-c3", "-i0.05", "-W2", "-Mdont", f"-s{size}", f"-p{MARK[:16].hex()}", far]
                # The first one beyond the path's MTU teaches an IPv6 host, which may not leave it to routers.
                said = sandbox.wait(lambda w=words: self.answered(a.run(*w, check=False)), f"{' '.join(words)}", 12)
                assert "3 received" in said, said

    @staticmethod
    def answered(said):
        return said if "3 received" in said else None

    def udp(self):
        """Datagrams of every size there and back, until each has come once: a first one may meet a smaller path MTU."""
        for family, addresses in ((socket.AF_INET, self.v4), (socket.AF_INET6, self.v6)):
            with self.hosts[1].inside():
                echo = socket.socket(family, socket.SOCK_DGRAM)
            echo.bind((addresses[1], 5300))
            child = os.fork()
            if child == 0:
                while True:
                    octets, sender = echo.recvfrom(65535)
                    try:
                        echo.sendto(octets, sender)
                    except OSError:
                        pass  # larger than the path's MTU, which is known now
            with self.hosts[0].inside():
                flows = [socket.socket(family, socket.SOCK_DGRAM) for _ in range(8)]
            for flow in flows:
                flow.connect((addresses[1], 5300))
                flow.settimeout(0.5)
            for number, size in enumerate(self.case.sizes):
                text = (MARK * (size // len(MARK) + 1))[:size]
                for flow in flows if size < 100 else flows[number % 8 : number % 8 + 1]:
                    sandbox.wait(lambda f=flow, t=text: self.echoed(f, t), f"UDP, {size} octets to {addresses[1]}", 15)
            os.kill(child, 9)
            os.waitpid(child, 0)
            for one in [*flows, echo]:
                one.close()

    @staticmethod
    def echoed(flow, text):
        try:
            flow.send(text)
            while True:
                # An answer to an earlier try may still come.
                if flow.recv(65535) == text:
                    return True
        except OSError:
            return False

    def download(self):
        site = f"{self.directory}/site"
        os.makedirs(site, exist_ok=True)
        with open(f"{site}/file", "wb") as file:
            file.write((MARK * (FILE_SIZE // len(MARK) + 1))[:FILE_SIZE])
        wanted = hashlib.sha256(open(f"{site}/file", "rb").read()).digest()
        server = self.hosts[1].start("busybox", "httpd", "-f", "-p", "[::]:80", "-h", site)
        for address in (self.v4[1], f"[{self.v6[1]}]"):
            target = f"{self.directory}/downloaded"
            fetch = ["curl", "-sS", "--retry", "5", "--retry-connrefused", "--retry-delay", "1", "-m", "40"]
            self.hosts[0].run(*fetch, "-o", target, f"http://{address}/file")
            assert hashlib.sha256(open(target, "rb").read()).digest() == wanted, f"another file than {address} has"
        server.kill()
        server.wait()

    # What was on the cable

    def judge(self, sealed):
        """All frames since the start; `sealed` is how many packets each gateway says it sealed and could not send."""
        seen = Seen()
        for sniffer, (count, unsent) in zip(self.sniffers, sealed):
            frames = [frame for _, frame, _ in sniffer.stop()]
            assert sniffer.lost == 0, f"the sniffer lost {sniffer.lost} frames"
            for frame in frames:
                link, packet = audit.split(frame)
                seen.tags.add(int.from_bytes(link[14:16], "big") & 4095 if len(link) > 14 else None)
                assert MARK[:16] not in frame and MARK[-16:] not in frame, f"payload in clear: {frame.hex()}"
                is_fragment = packet and not audit.is_housekeeping(frame) and audit.fragment(packet) is not None
                seen.fragments += bool(is_fragment)
            before = self.audit.opened
            for frame in audit.whole(frame for frame in frames if not audit.is_housekeeping(frame)):
                self.open(frame, seen)
            found = self.audit.opened - before
            assert count - unsent <= found <= count, f"a gateway sealed {count} packets, {found} were on the cable"
            assert found > 100, f"{found} packets"
        assert seen.marked > 100, f"{seen.marked} packets with a payload to look for"
        self.case.expect(seen)

    def open(self, frame, seen):
        link, packet = audit.split(frame)
        found = audit.protected(frame)
        assert found, f"not protected: {frame.hex()}"
        if packet[0] >> 4 == 4:
            assert outer.checksum(packet[: 4 * (packet[0] & 15)]) == 0, f"outer checksum: {frame.hex()}"
        self.audit.nonce(found[0])
        opened = self.audit.open(*found, time=int(time.time()))
        seen.variants.add(opened.variant)
        seen.carriages.add("udp" if found[1] else "ip")
        seen.families.add(found[2].version)
        seen.options.add(len(opened.options))
        seen.coffsets.add(opened.coffset)
        seen.forms.add(opened.payload[0] >> 4)
        seen.lcores.add(opened.counter >> 37 & 31)
        seen.ids.add(opened.id)
        seen.marked += MARK[:16] in opened.payload
        if opened.payload[0] >> 4 == 0 and opened.payload[2] == 143:
            inner, _ = audit.split(opened.payload[4 : len(opened.payload) - opened.payload[3]])
            seen.inner_tags.add(int.from_bytes(inner[14:16], "big") if len(inner) > 14 else None)

    def balance(self):
        """in = out + drops at both gateways once they are idle, and nothing was dropped but for a reason of this test.

        Gives how many packets each sealed, and how many of all it could not send.
        """
        for host in self.hosts:
            host.run("ip", "link", "set", "eth0", "down")
        fair = {"handled", "reassembled", "no-route", "too-big", "neighbour-unresolved", "transmit-full"}
        sealed = []
        for gateway in self.gateways:
            last = None

            def idle(gateway=gateway):
                nonlocal last
                now = gateway.ask("status")
                settled, last = last is not None and last["totals"] == now["totals"], now
                return now if settled else None

            status = sandbox.wait(idle, f"{gateway.name} idle", 10, interval=0.15)
            totals = status["totals"]
            for number, ways in (("in", ("out", "drops")), ("generated", ("generated_out", "generated_drops"))):
                assert totals[number] == sum(totals[way] for way in ways), f"{gateway.name}: {totals}"
            assert set(status["drops"]) <= fair, f"{gateway.name}: {status['drops']}"
            assert self.case.engines[len(sealed)] in ("auto", status["engine"]), status["engine"]
            sealed.append((totals["sealed"], status["drops"].get("transmit-full", 0)))
            print(f"{gateway.name}: {status['engine']}, {totals}, drops {status['drops']}")
        return sealed


def run(name, keyweave, directory):
    network = Network(CASES[name], keyweave, directory)
    network.start()
    try:
        network.ping()
        network.udp()
        network.download()
        network.judge(network.balance())
        for gateway in network.gateways:
            gateway.stop()
    except BaseException:
        for gateway in network.gateways:
            print(gateway.output())
            if gateway.process.poll() is None:
                status = gateway.ask("status")
                print(gateway.name, status["totals"], status["drops"], status["neighbours"])
        raise
    print(f"{name}: {network.audit.opened} packets opened by the reference implementation, none with a used nonce")


if __name__ == "__main__":
    if sys.argv[1:] == ["list"]:
        print("\n".join(CASES))
    else:
        sandbox.enter()
        run(sys.argv[3], os.path.abspath(sys.argv[1]), os.path.abspath(sys.argv[2]))
