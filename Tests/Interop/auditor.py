"""A member in Python that is authorized like any other, and so knows the keys that a test looks for or opens packets with."""

import reference
import sandbox
from controller_rig import holds

NUMBERS = {name: number for number, name in reference.LEVELS.items()}


class Auditor:
    """One more authorized member, in Python: it takes every generation over and keeps what it had."""

    def __init__(self, network):
        self.network = network
        self.identity = network.authority.issue("dpu/auditor")
        self.members, self.sets, self.keys, self.roots = {}, {}, {}, {}
        for name, one in network.controllers.items():
            network.enrol(one, self.identity)
            self.members[name] = network.member(name, self.identity)
        self.poll()

    def poll(self):
        for name, member in self.members.items():
            with self.network.node.inside():
                assert member.lease().status == 200
                acknowledged = holds(self.sets[name]) if name in self.sets else []
                answer = member.poll(acknowledgements=acknowledged)
                assert answer.status == 200, answer.text
                self.sets[name] = answer.json
                self.keys.update(member.keys(answer.json))
            series, = answer.json["root_keys"]
            self.roots[name] = series

    def generations(self, name):
        return {key["index"]: key["state"] for key in self.roots[name]["keys"]}

    def current(self):
        return tuple(
            next(key["index"] for key in series["keys"] if key["state"] == "current") for series in self.roots.values())

    def root_keys(self):
        return [
            reference.RootKey(
                NUMBERS[series["level"]], bytes.fromhex(series["id"]), 0,
                {number: key for (id, number), key in self.keys.items() if id == series["id"]})
            for series in self.roots.values()]

    def master(self, combination):
        return reference.master_key(self.root_keys(), combination)

    def rotate(self):
        """Every level once."""
        for name, one in self.network.controllers.items():
            before = next(key["index"] for key in self.roots[name]["keys"] if key["state"] == "current")
            one.do("POST", f"/v1/root-keys/{one.root}/rotate", {"force": False})

            def is_current():
                self.poll()
                return self.generations(name).get(before + 1) == "current"

            sandbox.wait(is_current, f"{one.root} {before + 1} is current", 20, 0.2)
        wanted = dict(zip((one.root for one in self.network.controllers.values()), self.current()))
        for gateway in self.network.gateways:
            sandbox.wait(lambda g=gateway: self.network.current(g) == wanted, f"{gateway.name} has it", 10)
