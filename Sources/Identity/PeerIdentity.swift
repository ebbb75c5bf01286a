package import Foundation
package import NIOCore
package import NIOSSL
internal import SwiftASN1
internal import X509

/// Who a certificate says its holder is. Whether the certificate is to be believed, the TLS handshake decides.
package struct PeerIdentity: Hashable, Sendable {
  package let id: SPIFFEID
  package let pin: PublicKeyPin
  package let expires: Date

  package init(id: SPIFFEID, pin: PublicKeyPin, expires: Date) {
    self.id = id
    self.pin = pin
    self.expires = expires
  }

  /// Whether it is this name with one of these keys; without keys, the name is enough.
  package func matches(_ id: SPIFFEID, pins: [PublicKeyPin]) -> Bool {
    self.id == id && (pins.isEmpty || pins.contains(pin))
  }
}

extension PeerIdentity {
  /// From a leaf certificate with exactly one URI among its alternative names, a SPIFFE ID (X.509-SVID, section 2).
  package init(certificate: NIOSSLCertificate) throws(IdentityError) {
    guard let octets = try? certificate.toDERBytes(), let parsed = try? Certificate(derEncoded: octets) else {
      throw IdentityError(
        "a certificate", found: "one that cannot be read", expected: "an X.509 certificate", fix: "make another one")
    }
    try self.init(parsed, pin: PublicKeyPin(certificate: certificate))
  }

  init(_ certificate: Certificate, pin: PublicKeyPin) throws(IdentityError) {
    let place = "the certificate of \(certificate.subject)"
    let extensions = certificate.extensions
    let names = (try? extensions.subjectAlternativeNames).flatMap { $0 } ?? SubjectAlternativeNames()
    let uris = names.compactMap { name -> String? in
      guard case .uniformResourceIdentifier(let uri) = name else { return nil }
      return uri
    }
    guard uris.count == 1, let id = SPIFFEID(uris[0]) else {
      throw IdentityError(
        place,
        found: uris.isEmpty ? "no URI among its alternative names" : uris.count == 1 ? "another URI" : "several URIs",
        expected: "exactly one, \(SPIFFEID.expected)", fix: "issue it with: keyweave ca issue --id spiffe://...")
    }
    if let constraints = (try? extensions.basicConstraints).flatMap({ $0 }), case .isCertificateAuthority = constraints
    {
      throw IdentityError(
        place, found: "an authority's certificate", expected: "a member's own", fix: "issue one under the authority")
    }
    self.init(id: id, pin: pin, expires: certificate.notValidAfter)
  }

  /// Who is at the other end of a TLS connection whose handshake is done.
  package static func peer(of channel: any Channel) -> EventLoopFuture<PeerIdentity> {
    channel.nioSSL_peerCertificate().flatMapThrowing { certificate in
      guard let certificate else {
        throw IdentityError(
          "the connection", found: "no certificate of the peer's", expected: "one", fix: "use mutual TLS at both ends")
      }
      return try PeerIdentity(certificate: certificate)
    }
  }

  /// For AsyncHTTPClient's `http1_1ConnectionDebugInitializer`, which runs after the handshake and before the first
  /// request: closes the connection and fails when another peer than this answers.
  package static func check(
    _ channel: any Channel, is id: SPIFFEID, pins: [PublicKeyPin] = []
  ) -> EventLoopFuture<Void> {
    peer(of: channel).flatMapThrowing { peer in
      guard peer.matches(id, pins: pins) else {
        throw IdentityError(
          "the peer", found: "\(peer.id), \(peer.pin)",
          expected: ([id.description] + pins.map(\.description)).joined(separator: ", "),
          fix: "correct the address or the name in the configuration; if both are right, somebody is in between")
      }
    }.flatMapErrorThrowing { error in
      channel.close(promise: nil)
      throw error
    }
  }
}

extension PeerIdentity {
  /// Of the first certificate in a PEM file.
  package init(certificateFile path: String) throws(IdentityError) {
    guard let leaf = try TLSFiles.certificates(path).first else {
      throw IdentityError(path, found: "no certificate", expected: "one in PEM", fix: "correct the path")
    }
    do {
      try self.init(certificate: leaf.tls)
    } catch {
      throw IdentityError(path, found: error.found, expected: error.expected, fix: error.fix)
    }
  }
}
