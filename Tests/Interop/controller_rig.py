"""Controllers under test, and a foreign member and administrator: Python's ssl, http.client and cryptography."""

import base64
import datetime
import hashlib
import http.client
import json
import os
import signal
import ssl
import subprocess
import time
import urllib.parse

from cryptography import x509
from cryptography.hazmat.primitives import hashes, keywrap, serialization
from cryptography.hazmat.primitives.asymmetric import ec, x25519
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

DOMAIN = "region1.example"
DAY = datetime.timedelta(days=1)


def spiffe(path):
    return f"spiffe://{DOMAIN}/{path}"


class Authority:
    def __init__(self, directory, name):
        self.directory, self.name = directory, name
        self.key = ec.generate_private_key(ec.SECP256R1())
        self.subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])
        now = datetime.datetime.utcnow()
        builder = x509.CertificateBuilder().subject_name(self.subject).issuer_name(self.subject)
        builder = builder.public_key(self.key.public_key()).serial_number(x509.random_serial_number())
        builder = builder.not_valid_before(now - DAY).not_valid_after(now + 30 * DAY)
        builder = builder.add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
        self.certificate = builder.sign(self.key, hashes.SHA256())
        self.path = f"{directory}/{name}.ca.pem"
        with open(self.path, "wb") as file:
            file.write(self.certificate.public_bytes(serialization.Encoding.PEM))

    def issue(self, path, file=None, key=None, days=(-1, 20), uris=None):
        """A certificate with its key in FILE.pem and FILE.key; returns its identity."""
        identity = Identity(self, f"{self.directory}/{(file or path).replace('/', '-')}", spiffe(path))
        identity.key = key or ec.generate_private_key(ec.SECP256R1())
        now = datetime.datetime.utcnow()
        names = [x509.UniformResourceIdentifier(uri) for uri in (uris or [identity.id])]
        builder = x509.CertificateBuilder().issuer_name(self.subject).public_key(identity.key.public_key())
        builder = builder.subject_name(x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, path[-60:])]))
        builder = builder.serial_number(x509.random_serial_number())
        builder = builder.not_valid_before(now + days[0] * DAY).not_valid_after(now + days[1] * DAY)
        builder = builder.add_extension(x509.SubjectAlternativeName(names), critical=False)
        usage = x509.ExtendedKeyUsage([ExtendedKeyUsageOID.CLIENT_AUTH, ExtendedKeyUsageOID.SERVER_AUTH])
        builder = builder.add_extension(usage, critical=False)
        certificate = builder.sign(self.key, hashes.SHA256())
        with open(identity.certificate, "wb") as out:
            out.write(certificate.public_bytes(serialization.Encoding.PEM))
        pem = identity.key.private_bytes(
            serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
        with open(os.open(identity.keyfile, os.O_CREAT | os.O_WRONLY | os.O_TRUNC, 0o600), "wb") as out:
            out.write(pem)
        info = identity.key.public_key().public_bytes(
            serialization.Encoding.DER, serialization.PublicFormat.SubjectPublicKeyInfo)
        identity.pin = "sha256:" + hashlib.sha256(info).hexdigest()
        return identity


class Identity:
    def __init__(self, authority, prefix, name):
        self.authority, self.id, self.domain = authority, name, f"spiffe://{DOMAIN}"
        self.certificate, self.keyfile = prefix + ".pem", prefix + ".key"
        self.key = self.pin = None

    def context(self, trust=None):
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
        context.check_hostname = False
        context.load_verify_locations(trust or self.authority.path)
        context.load_cert_chain(self.certificate, self.keyfile)
        return context


class Controller:
    """One `keyweave controller`, with its configuration and its store in DIRECTORY."""

    def __init__(self, keyweave, directory, authority, administrator, name, level, root, authority_of_ids=False,
                 lease="5s", limits=None, share=50, **extra):
        self.keyweave, self.directory, self.name, self.root = keyweave, directory, name, root
        self.identity = authority.issue(f"controller/{name}")
        self.administrator = administrator
        self.store = f"{directory}/{name}.db"
        configuration = {
            "name": name, "listen": "127.0.0.1:0", "certificate": self.identity.certificate,
            "key": self.identity.keyfile, "authority": authority.path, "wrapping_key": {"file": f"{directory}/{name}.kek"},
            "store": {"file": self.store}, "audit_file": f"{directory}/{name}.audit.jsonl", "lease": lease,
            "administrators": [{"id": administrator.id, "public_keys": [administrator.pin]}],
            "root_keys": [{"name": root, "level": level, "epoch_period": "60s", "lifetime": "24h", "share": share}],
        }
        if authority_of_ids:
            configuration["identity_authority"] = {"first_device_id": "00000100"}
        if limits:
            configuration["limits"] = limits
        configuration.update(extra)
        self.path = f"{directory}/{name}.yaml"
        with open(self.path, "w") as file:
            json.dump(configuration, file)
        with open(os.open(f"{directory}/{name}.kek", os.O_CREAT | os.O_WRONLY, 0o600), "w") as file:
            file.write(os.urandom(32).hex() + "\n")
        self.process = None

    def start(self):
        self.errors = open(f"{self.directory}/{self.name}.log", "a")
        self.process = subprocess.Popen(
            [self.keyweave, "controller", "--config", self.path], stdout=subprocess.PIPE, stderr=self.errors, text=True)
        line = self.process.stdout.readline()
        if "ready on https://" not in line:
            self.process.wait(10)
            raise SystemExit(f"{self.name} did not start: {line}{open(self.errors.name).read()}")
        address = line.split("https://")[1].split()[0]
        self.host, self.port = address.rsplit(":", 1)[0], int(address.rsplit(":", 1)[1])
        self.admin = Client(self, self.administrator)
        return self

    def kill(self):
        self.process.send_signal(signal.SIGKILL)
        self.process.wait()
        self.errors.close()

    def stop(self):
        self.process.send_signal(signal.SIGTERM)
        status = self.process.wait(20)
        self.errors.close()
        return status

    def memory(self):
        with open(f"/proc/{self.process.pid}/status") as file:
            return next(int(line.split()[1]) for line in file if line.startswith("VmRSS"))


class Answer:
    def __init__(self, response, body):
        self.status, self.headers, self.text = response.status, response.headers, body
        self.json = json.loads(body) if body else None


class Client:
    """One identity's connection to one controller; every answer is handed to `observe`."""

    observe = None

    def __init__(self, controller, identity):
        self.controller, self.identity = controller, identity
        self.token = None
        self.connection = None

    def ask(self, method, path, body=None, raw=None, headers=None, timeout=30):
        for attempt in (1, 2):
            if self.connection is None:
                self.connection = http.client.HTTPSConnection(
                    self.controller.host, self.controller.port, context=self.identity.context(), timeout=timeout)
            try:
                data = raw if raw is not None else None if body is None else json.dumps(body).encode()
                self.connection.request(method, path, data, headers or {})
                response = self.connection.getresponse()
                answer = Answer(response, response.read())
                break
            except (http.client.HTTPException, ConnectionError, ssl.SSLEOFError):
                # The server may have closed an idle connection.
                self.close()
                if attempt == 2:
                    raise
        assert answer.headers["Date"], f"{method} {path}: no Date header"
        if Client.observe:
            Client.observe(method, path, answer)
        return answer

    def close(self):
        if self.connection:
            self.connection.close()
        self.connection = None

    def do(self, method, path, body=None, status=200):
        answer = self.ask(method, path, body)
        assert answer.status == status, f"{method} {path}: {answer.status} {answer.text}"
        return answer.json

    # A member

    def lease(self, shown="last", following=None):
        following = following or os.urandom(32).hex()
        request = {"next": following}
        shown = self.token if shown == "last" else shown
        if shown:
            request["shown"] = shown
        answer = self.ask("POST", "/v1/lease", request)
        if answer.status == 200:
            self.token = following
        return answer

    def poll(self, version=0, wait=0, acknowledgements=(), token=None):
        self.recipient = x25519.X25519PrivateKey.generate()
        return self.ask("POST", "/v1/keys", poll_body(
            self.recipient, token or self.token, version, wait, acknowledgements), timeout=wait + 30)

    def keys(self, key_set):
        return unwrap(self.recipient, key_set)


def poll_body(recipient, token, version, wait, acknowledgements):
    public = recipient.public_key().public_bytes(serialization.Encoding.Raw, serialization.PublicFormat.Raw)
    return {
        "version": version, "wait": wait, "token": token, "acknowledgements": list(acknowledgements),
        "recipient": {"kty": "OKP", "crv": "X25519", "x": encode(public)},
    }


def encode(octets):
    return base64.urlsafe_b64encode(octets).rstrip(b"=").decode()


def decode(text):
    return base64.urlsafe_b64decode(text + "=" * (-len(text) % 4))


def unwrap(recipient, key_set):
    """{(id, generation): key}, by RFC 7518, section 4.6; fingerprints are compared."""
    shared = recipient.exchange(x25519.X25519PublicKey.from_public_bytes(decode(key_set["epk"]["x"])))
    algorithm = key_set["alg"].encode()
    other = len(algorithm).to_bytes(4, "big") + algorithm + bytes(8) + (256).to_bytes(4, "big")
    wrapping = hashlib.sha256((1).to_bytes(4, "big") + shared + other).digest()
    keys = {}
    for series in key_set["root_keys"]:
        for key in series["keys"]:
            octets = keywrap.aes_key_unwrap(wrapping, decode(key["k"]))
            assert len(octets) == 32 and hashlib.sha256(octets).hexdigest() == key["fingerprint"]
            assert key["kid"] == f"{series['id']}.{key['index']}" and key["nbf"] < key["exp"]
            keys[series["id"], key["index"]] = octets
    return keys


def holds(key_set):
    """What a member that has taken everything over acknowledges."""
    acknowledgements = []
    for series in key_set["root_keys"]:
        newest = max((key["index"] for key in series["keys"]), default=0)
        current = max((key["index"] for key in series["keys"] if key["state"] == "current"), default=0)
        acknowledgements.append({"id": series["id"], "staged": newest, "promoted": current})
    return acknowledgements


def quote(text):
    return urllib.parse.quote(text, safe="")


def wait_for(condition, seconds, what):
    end = time.time() + seconds
    while time.time() < end:
        if (value := condition()) is not None and value is not False:
            return value
        time.sleep(0.02)
    raise AssertionError(f"{what}: not within {seconds} s")
