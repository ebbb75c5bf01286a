import Foundation
import Identity
import Support
import TestAuthority
import Testing

@Suite struct TLSFilesTests {
  private func message(_ files: TLSFiles, at time: Date = Date()) -> String {
    do {
      return "\(try files.load(at: time).identity.id)"
    } catch {
      return "\(error)"
    }
  }

  @Test("three files that fit are an identity")
  func fit() throws {
    try Program.withTemporaryDirectory { directory in
      let (files, pin, id) = try TestAuthority(in: directory).issue("dpu/host42", days: 30)
      let material = try files.load()
      #expect(material.identity.id == id)
      #expect(material.identity.pin == pin)
      #expect(abs(material.expires.timeIntervalSinceNow - 30 * 86400) < 60)
    }
  }

  @Test("a key of another certificate, a file that others can read, and missing files are named")
  func mistakes() throws {
    try Program.withTemporaryDirectory { directory in
      let authority = try TestAuthority(in: directory)
      let first = try authority.issue("a").files
      let second = try authority.issue("b").files
      func with(certificate: String? = nil, key: String? = nil, authority: String? = nil) -> TLSFiles {
        TLSFiles(
          certificate: certificate ?? first.certificate, key: key ?? first.key, authority: authority ?? first.authority)
      }
      #expect(message(with(key: second.key)).contains("a key that does not belong to the certificate"))
      #expect(message(with(certificate: second.certificate)).contains("a key that does not belong to the certificate"))
      #expect(message(with(key: first.certificate)).contains("chmod 600"))
      #expect(message(with(key: directory.text + "/none")).contains("cannot be read"))
      #expect(message(with(certificate: directory.text + "/none")).contains("cannot be read"))
      #expect(message(with(certificate: first.key)).contains("a file without a certificate"))
      #expect(message(with(authority: first.key)).contains("a file without a certificate"))
      let text = directory.appending(path: "text")
      try Data("-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n".utf8).write(to: text)
      #expect(message(with(certificate: text.text)).contains("a certificate that cannot be read"))
      try Data([0xFF, 0xFE, 0]).write(to: text)
      #expect(message(with(authority: text.text)).contains("not PEM"))
      // The authority's own certificate is nobody's name.
      #expect(message(with(certificate: first.authority)).contains("expected"))
      try FileManager.default.setAttributes([.posixPermissions: 0o640], ofItemAtPath: first.key)
      #expect(message(with()).contains("mode 640"))
      try FileManager.default.setAttributes([.posixPermissions: 0o600], ofItemAtPath: first.key)
      #expect(message(with()) == "spiffe://region1.example/a")
    }
  }

  @Test("certificates that have ended or not begun are refused, with their date")
  func dates() throws {
    try Program.withTemporaryDirectory { directory in
      let authority = try TestAuthority(in: directory)
      let old = try authority.issue("old", days: 1, at: Date(timeIntervalSinceNow: -3 * 86400)).files
      #expect(message(old).contains("a certificate that ended on"))
      let early = try authority.issue("early", at: Date(timeIntervalSinceNow: 3 * 86400)).files
      #expect(message(early).contains("a certificate that begins on"))
      let good = try authority.issue("good").files
      #expect(message(good, at: Date(timeIntervalSinceNow: 31 * 86400)).contains("ended on"))
    }
  }

  @Test(
    "certificates without exactly one SPIFFE ID are refused",
    arguments: [
      ("DNS:gateway.example", "no URI"), ("URI:https://td/a", "another URI"),
      ("URI:spiffe://td/a,URI:spiffe://td/b", "several URIs"), ("URI:spiffe://TD/a", "another URI"),
      ("URI:spiffe://td/a/../b", "another URI"), ("URI:spiffe://td/a%2fb", "another URI"),
    ])
  func names(_ alternatives: String, _ found: String) throws {
    try Program.withTemporaryDirectory { directory in
      let (certificate, key) = (directory.appending(path: "x.pem").text, directory.appending(path: "x.key").text)
      let made = try Program.run(
        "openssl",
        [
          "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-keyout", key, "-out",
          certificate, "-days", "2", "-subj", "/CN=spiffe", "-addext", "subjectAltName=" + alternatives, "-addext",
          "basicConstraints=critical,CA:FALSE",
        ])
      #expect(made.status == 0, "\(made.errors)")
      let files = TLSFiles(certificate: certificate, key: key, authority: certificate)
      #expect(message(files).contains("found \(found)"), "\(message(files))")
    }
  }

  @Test("openssl's own certificates serve as well: RSA, Ed25519 and a chain with an intermediate authority")
  func foreign() throws {
    try Program.withTemporaryDirectory { directory in
      let script = """
        set -e
        cd "$1"
        openssl req -x509 -newkey rsa:2048 -nodes -keyout root.key -out root.pem -days 9 -subj /CN=root \
          -addext basicConstraints=critical,CA:TRUE -addext keyUsage=critical,keyCertSign
        openssl req -new -newkey ec -pkeyopt ec_paramgen_curve:P-384 -nodes -keyout mid.key -out mid.csr -subj /CN=mid
        openssl x509 -req -in mid.csr -CA root.pem -CAkey root.key -CAcreateserial -days 9 -out mid.pem \
          -extfile <(printf 'basicConstraints=critical,CA:TRUE\\nkeyUsage=critical,keyCertSign\\n')
        openssl req -new -newkey ed25519 -nodes -keyout leaf.key -out leaf.csr -subj /CN=leaf
        openssl x509 -req -in leaf.csr -CA mid.pem -CAkey mid.key -CAcreateserial -days 9 -out leaf.pem \
          -extfile <(printf 'subjectAltName=URI:spiffe://td/leaf\\nbasicConstraints=CA:FALSE\\n')
        cat leaf.pem mid.pem > chain.pem
        chmod 600 leaf.key
        """
      let made = try Program.run("/bin/bash", ["-c", script, "make", directory.text])
      #expect(made.status == 0, "\(made.errors)")
      let files = TLSFiles(
        certificate: directory.text + "/chain.pem", key: directory.text + "/leaf.key",
        authority: directory.text + "/root.pem")
      #expect(message(files) == "spiffe://td/leaf")
      #expect(try files.load().chain.count == 2)
    }
  }
}
