package import Foundation
package import NIOSSL
internal import SwiftASN1
package import X509

/// A certificate with its key, and the authority that the other ends' certificates come from: PEM files.
package struct TLSFiles: Sendable, Equatable {
  /// The own certificate, first, and those between it and the authority.
  package var certificate: String
  package var key: String
  /// One or more authorities.
  package var authority: String

  package init(certificate: String, key: String, authority: String) {
    self.certificate = certificate
    self.key = key
    self.authority = authority
  }

  /// Reads all three; refuses them together when they do not fit.
  ///
  /// - Parameter evenIfEnded: takes certificates whose time is over as well.
  package func load(at time: Date = Date(), evenIfEnded: Bool = false) throws(IdentityError) -> TLSMaterial {
    let chain = try Self.certificates(certificate)
    let authorities = try Self.certificates(authority)
    try checkMode(key)
    let privateKey: NIOSSLPrivateKey
    do {
      privateKey = try NIOSSLPrivateKey(file: key, format: .pem)
    } catch {
      throw IdentityError(
        key, found: "a file without a private key", expected: "one in PEM, without a passphrase",
        fix: "name the key that belongs to \(certificate)")
    }
    guard let leaf = chain.first else { throw Self.noCertificate(certificate, "a file without a certificate") }
    let identity: PeerIdentity
    do {
      identity = try PeerIdentity(certificate: leaf.tls)
    } catch {
      throw IdentityError(certificate, found: error.found, expected: error.expected, fix: error.fix)
    }
    for certificate in [leaf] + authorities { try certificate.checkDates(at: time, evenIfEnded: evenIfEnded) }
    let material = TLSMaterial(
      identity: identity, chain: chain.map(\.tls), key: privateKey, authorities: authorities.map(\.tls),
      roots: authorities.map(\.parsed),
      expires: ([leaf] + authorities).map(\.parsed.notValidAfter).min() ?? identity.expires)
    do {
      _ = try NIOSSLContext(configuration: material.server)
    } catch {
      throw IdentityError(
        key, found: "a key that does not belong to the certificate \(certificate)",
        expected: "the certificate's own key",
        fix: "name the two files that were made together")
    }
    return material
  }

  private func checkMode(_ path: String) throws(IdentityError) {
    guard let status = FileStatus(of: path) else {
      throw IdentityError(
        path, found: "a file that cannot be read (\(FileStatus.reason))", expected: "a private key",
        fix: "correct the path")
    }
    guard status.mode & 0o077 == 0 else {
      throw IdentityError(
        path, found: "mode \(String(status.mode, radix: 8)): others can read or write it",
        expected: "a file that only its owner can read and write", fix: "run: chmod 600 \(path)")
    }
  }

  struct Loaded {
    let path: String
    let tls: NIOSSLCertificate
    let parsed: Certificate

    func checkDates(at time: Date, evenIfEnded: Bool) throws(IdentityError) {
      if time > parsed.notValidAfter, !evenIfEnded {
        throw IdentityError(
          path, found: "a certificate that ended on \(parsed.notValidAfter.formatted(.iso8601))",
          expected: "one that is valid now, \(time.formatted(.iso8601))", fix: "renew it, or set the clock")
      }
      if time < parsed.notValidBefore {
        throw IdentityError(
          path, found: "a certificate that begins on \(parsed.notValidBefore.formatted(.iso8601))",
          expected: "one that is valid now, \(time.formatted(.iso8601))", fix: "set the clock, or make another one")
      }
    }
  }

  static func certificates(_ path: String) throws(IdentityError) -> [Loaded] {
    guard let data = FileManager.default.contents(atPath: path) else {
      throw noCertificate(path, "a file that cannot be read (\(FileStatus.reason))")
    }
    guard let text = String(data: data, encoding: .utf8),
      let documents = try? PEMDocument.parseMultiple(pemString: text)
    else { throw noCertificate(path, "a file that is not PEM") }
    var loaded: [Loaded] = []
    for document in documents where document.discriminator == "CERTIFICATE" {
      guard let tls = try? NIOSSLCertificate(bytes: document.derBytes, format: .der),
        let parsed = try? Certificate(derEncoded: document.derBytes)
      else { throw noCertificate(path, "a certificate that cannot be read") }
      loaded.append(Loaded(path: path, tls: tls, parsed: parsed))
    }
    guard !loaded.isEmpty else { throw noCertificate(path, "a file without a certificate") }
    return loaded
  }

  private static func noCertificate(_ path: String, _ found: String) -> IdentityError {
    IdentityError(
      path, found: found, expected: "certificates in PEM",
      fix: "correct the path, or make one with `keyweave ca init` and `keyweave ca issue`")
  }
}

/// What the three files hold, once they fit together.
package struct TLSMaterial: Sendable {
  package let identity: PeerIdentity
  package let chain: [NIOSSLCertificate]
  package let key: NIOSSLPrivateKey
  package let authorities: [NIOSSLCertificate]
  package let roots: [Certificate]
  /// The earliest end of the own certificate and the authorities'.
  package let expires: Date

  var server: TLSConfiguration {
    var configuration = TLSConfiguration.makeServerConfiguration(
      certificateChain: chain.map { .certificate($0) }, privateKey: .privateKey(key))
    restrict(&configuration)
    return configuration
  }

  var client: TLSConfiguration {
    var configuration = TLSConfiguration.makeClientConfiguration()
    configuration.certificateChain = chain.map { .certificate($0) }
    configuration.privateKey = .privateKey(key)
    restrict(&configuration)
    return configuration
  }

  private func restrict(_ configuration: inout TLSConfiguration) {
    configuration.minimumTLSVersion = .tlsv13
    configuration.trustRoots = .certificates(authorities)
    // The other end's name is its SPIFFE ID, wherever it is reached: no host name is compared.
    configuration.certificateVerification = .noHostnameVerification
  }
}
