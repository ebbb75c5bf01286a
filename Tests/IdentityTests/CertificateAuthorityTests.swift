import Foundation
import Identity
import Support
import TestAuthority
import Testing

extension URL {
  var text: String { path(percentEncoded: false) }
}

@Suite struct CertificateAuthorityTests {
  @Test("openssl verifies what the authority makes, for a client and for a server, and reads the names")
  func openssl() throws {
    try Program.withTemporaryDirectory { directory in
      let authority = try TestAuthority(in: directory)
      let (files, pin, _) = try authority.issue(
        "dpu/host42", addresses: ["127.0.0.1", "2001:db8::1", "gateway.example"])
      for purpose in ["sslclient", "sslserver"] {
        let result = try Program.run(
          "openssl",
          ["verify", "-x509_strict", "-purpose", purpose, "-CAfile", files.authority, files.certificate])
        #expect(result.status == 0, "\(result.errors)")
      }
      let text = try Program.run("openssl", ["x509", "-in", files.certificate, "-noout", "-text"]).output
      #expect(text.contains("URI:spiffe://region1.example/dpu/host42"))
      #expect(text.contains("IP Address:127.0.0.1, IP Address:2001:DB8:0:0:0:0:0:1, DNS:gateway.example"))
      #expect(text.contains("CA:FALSE"))
      #expect(text.contains("TLS Web Server Authentication, TLS Web Client Authentication"))
      // The pin is SHA-256 of the SubjectPublicKeyInfo, as openssl has it too.
      let script = """
        set -o pipefail
        openssl x509 -in "$1" -noout -pubkey | openssl pkey -pubin -outform DER | sha256sum | cut -c1-64
        """
      let digest = try Program.run("/bin/bash", ["-c", script, "pin", files.certificate])
      #expect("sha256:" + digest.output.trimmingCharacters(in: .newlines) == pin.description)
      for file in [files.key, directory.appending(path: "ca/ca.key").text] {
        let mode = try FileManager.default.attributesOfItem(atPath: file)[.posixPermissions] as? NSNumber
        #expect(mode?.intValue == 0o600)
        #expect(try Program.run("openssl", ["pkey", "-in", file, "-noout", "-check"]).status == 0)
      }
    }
  }

  @Test("another authority's certificate does not verify, nor one that was changed")
  func others() throws {
    try Program.withTemporaryDirectory { directory in
      let (first, second) = (directory.appending(path: "1"), directory.appending(path: "2"))
      for url in [first, second] {
        try FileManager.default.createDirectory(at: url, withIntermediateDirectories: false)
      }
      let own = try TestAuthority(in: first).issue("dpu/a")
      let other = try TestAuthority(in: second).issue("dpu/a")
      let result = try Program.run("openssl", ["verify", "-CAfile", other.files.authority, own.files.certificate])
      #expect(result.status != 0)
    }
  }

  @Test("nothing is ever replaced, and what cannot be made is named")
  func mistakes() throws {
    try Program.withTemporaryDirectory { directory in
      let authority = try TestAuthority(in: directory)
      let place = directory.appending(path: "ca").text
      let before = try Data(contentsOf: directory.appending(path: "ca/ca.key"))
      #expect { try CertificateAuthority.create(directory: place, trustDomain: "other.example") } throws: {
        "\($0)".contains("exists already")
      }
      #expect(try Data(contentsOf: directory.appending(path: "ca/ca.key")) == before)
      _ = try authority.issue("dpu/a")
      #expect { try authority.issue("dpu/a") } throws: { "\($0)".contains("exists already") }
      let ca = try CertificateAuthority(directory: place)
      let foreign = try #require(SPIFFEID("spiffe://other.example/a"))
      let out = directory.appending(path: "x").text
      #expect { try ca.issue(id: foreign, out: out) } throws: { "\($0)".contains("of another trust domain") }
      let id = try #require(authority.id("a"))
      #expect { try ca.issue(id: id, out: out, days: 0) } throws: { "\($0)".contains("found 0, expected 1 to 36500") }
      #expect { try ca.issue(id: id, out: out, addresses: ["a b"]) } throws: { "\($0)".contains("\"a b\"") }
      #expect { try ca.issue(id: id, out: directory.text + "/none/x") } throws: { $0 is IdentityError }
      #expect(!FileManager.default.fileExists(atPath: out + ".key"))
      for domain in ["", "a/b", "Region", "a b", "a:1"] {
        #expect(throws: IdentityError.self) {
          try CertificateAuthority.create(directory: directory.text + "/new", trustDomain: domain)
        }
      }
      #expect(!FileManager.default.fileExists(atPath: directory.text + "/new"))
      // A key of another authority beside the certificate.
      try CertificateAuthority.create(directory: directory.text + "/ca2", trustDomain: "region1.example")
      try FileManager.default.removeItem(atPath: place + "/ca.key")
      try FileManager.default.copyItem(atPath: directory.text + "/ca2/ca.key", toPath: place + "/ca.key")
      #expect { try CertificateAuthority(directory: place) } throws: { "\($0)".contains("do not belong together") }
    }
  }

  @Test("no certificate outlives its authority")
  func ends() throws {
    try Program.withTemporaryDirectory { directory in
      let place = directory.appending(path: "ca").text
      try CertificateAuthority.create(directory: place, trustDomain: "td", days: 2)
      let out = directory.appending(path: "x").text
      try CertificateAuthority(directory: place).issue(id: try #require(SPIFFEID("spiffe://td/a")), out: out, days: 365)
      let identity = try PeerIdentity(certificateFile: out + ".pem")
      #expect(identity.expires < Date(timeIntervalSinceNow: 2 * 86400 + 1))
    }
  }
}
