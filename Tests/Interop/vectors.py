"""The published vectors: checks the reference implementation against them, and wraps them for `inspect`.

    vectors.py check VECTORS            prints how many verdicts, keys and packets the reference agrees on
    vectors.py write VECTORS DIRECTORY  writes NAME.yaml, NAME.pcap and NAME.json for each positive vector and those based on it
"""

import json
import os
import sys

import captures
import outer
import reference


def groups_of(vector):
    roots = []
    for root in vector["root_keys"]:
        held = [root[name] for name in ("previous", "current", "next") if name in root]
        keys = {generation["index"]: bytes.fromhex(generation["key"]) for generation in held}
        roots.append(reference.RootKey(root["type"], bytes.fromhex(root["id"]), root["current"]["index"], keys))
    default = vector["options"] == 0
    return [reference.Group("vector", roots, default=default, max_coffset=255, max_ioffset=15)]


def check(vectors):
    agreed = 0
    positive = {vector["name"]: vector for vector in vectors["positive"]}
    for vector in vectors["positive"]:
        groups, source = groups_of(vector), reference.address(vector["outer_source"])
        roots = groups[0].roots
        generations = [root[root["used"]]["index"] for root in vector["root_keys"]]
        master = reference.master_key(roots, generations)
        identifier = bytes.fromhex(vector["id"])
        key = reference.data_key(master, vector["v"], identifier, vector["epoch"], source)
        options = b""
        if vector["options"]:
            options = b"".join(reference.option(r.level, r.id, g) for r, g in zip(roots, generations))
        header = reference.Header(vector["v"], identifier, vector["epoch"], vector["counter"], options)
        header.reserve, header.coffset, header.ioffset = vector["reserve"], vector["coffset"], vector["ioffset"]
        payload = bytes.fromhex(vector["payload"])
        assert master.hex() == vector["master_key"], vector["name"]
        assert key.hex() == vector["data_key"], vector["name"]
        assert header.nonce().hex() == vector["nonce"], vector["name"]
        assert reference.seal(header, payload, key).hex() == vector["packet"], vector["name"]
        found = json.loads(verdict(1, vector, vector))
        if vector["payload_form"] == "dummy":
            assert found == {"packet": 1, "verdict": "drop", "reason": "dummy"}, vector["name"]
        else:
            assert found["verdict"] == "open" and found["payload"] == vector["payload"], vector["name"]
            assert (found["id"], found["epoch"], found["counter"]) == tuple(vector[k] for k in ("id", "epoch", "counter"))
        agreed += 1
    for vector in vectors["negative"]:
        found = json.loads(verdict(1, vector, positive[vector["based_on"]]))
        assert found == {"packet": 1, "verdict": "drop", "reason": vector["drop"]}, (vector["name"], found)
        agreed += 1
    print(f"{agreed} vectors agree")


def verdict(number, vector, base):
    source = reference.address(base["outer_source"])
    return reference.verdict_line(number, bytes.fromhex(vector["packet"]), groups_of(base), True, source)


def write(vectors, directory):
    """What is expected comes from the vectors' own fields, the header's fields of an opened packet from the reference."""
    for base in vectors["positive"]:
        records, expected = [], []
        based = [vector for vector in vectors["negative"] if vector["based_on"] == base["name"]]
        for vector in [base] + based:
            packet = bytes.fromhex(vector["packet"])
            source = reference.address(base["outer_source"])
            for protocol, upper in ((outer.UDP, outer.udp(packet)), (outer.EESP, packet)):
                frame = outer.ethernet(outer.ip(source, protocol, upper))
                records.append((0, frame, len(frame)))
                reason = vector.get("drop") or ("dummy" if base["payload_form"] == "dummy" else None)
                if reason:
                    expected.append(reference.line(len(records), "drop", reason=reason))
                else:
                    expected.append(verdict(len(records), vector, base))
        stem = os.path.join(directory, base["name"])
        write_private(stem + ".yaml", reference.keys_yaml(groups_of(base)))
        with open(stem + ".pcap", "wb") as file:
            file.write(captures.capture("pcap", "little", captures.ETHERNET, records))
        with open(stem + ".json", "w", encoding="ascii") as file:
            file.write("\n".join(expected) + "\n")


def write_private(path, text):
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
    with os.fdopen(descriptor, "w", encoding="ascii") as file:
        file.write(text)


if __name__ == "__main__":
    with open(sys.argv[2], encoding="ascii") as file:
        loaded = json.load(file)
    if sys.argv[1] == "check":
        check(loaded)
    else:
        write(loaded, sys.argv[3])
