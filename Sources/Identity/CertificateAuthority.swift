internal import Crypto
package import Foundation
internal import Glibc
internal import SwiftASN1
internal import X509

/// A small authority for tests, demonstrations and first steps: P-256, one level, two files in a directory.
package struct CertificateAuthority {
  package static let certificateName = "ca.pem"
  package static let keyName = "ca.key"

  private let certificate: Certificate
  private let key: Certificate.PrivateKey
  private let place: String

  /// Makes DIRECTORY/ca.pem and DIRECTORY/ca.key, for SPIFFE IDs of one trust domain. Never replaces another.
  package static func create(
    directory: String, trustDomain: String, days: Int = 3650, at time: Date = Date()
  ) throws(IdentityError) {
    guard let domain = SPIFFEID("spiffe://\(trustDomain)"), domain.path.isEmpty else {
      throw IdentityError(
        "the trust domain", found: "\"\(trustDomain)\"", expected: "lower-case letters, digits, dots, - and _",
        fix: "choose a name such as region1.example")
    }
    try check(days: days)
    let key = Certificate.PrivateKey(P256.Signing.PrivateKey())
    let name = domain.description
    let place = directory + "/" + certificateName
    let certificate = try signing(place) {
      let subject = try DistinguishedName {
        OrganizationName("Keyweave")
        CommonName("\(trustDomain) authority")
      }
      return try Certificate(
        version: .v3, serialNumber: Certificate.SerialNumber(), publicKey: key.publicKey,
        notValidBefore: time - Self.skew, notValidAfter: time + Double(days) * day, issuer: subject, subject: subject,
        signatureAlgorithm: .ecdsaWithSHA256,
        extensions: Certificate.Extensions {
          Critical(BasicConstraints.isCertificateAuthority(maxPathLength: 0))
          Critical(KeyUsage(keyCertSign: true, cRLSign: true))
          SubjectKeyIdentifier(hash: key.publicKey)
          SubjectAlternativeNames([.uniformResourceIdentifier(name)])
        }, issuerPrivateKey: key)
    }
    do {
      try FileManager.default.createDirectory(
        atPath: directory, withIntermediateDirectories: true, attributes: [.posixPermissions: 0o700])
    } catch {
      throw IdentityError(
        directory, found: "a directory that cannot be made", expected: "one for the authority's files",
        fix: "choose another one")
    }
    try write(key, certificate, place, directory + "/" + keyName)
  }

  package init(directory: String) throws(IdentityError) {
    place = directory + "/" + Self.certificateName
    guard let first = try TLSFiles.certificates(place).first else { throw Self.unusable(directory) }
    let keyPath = directory + "/" + Self.keyName
    guard let text = try? String(contentsOfFile: keyPath, encoding: .utf8),
      let key = try? Certificate.PrivateKey(pemEncoded: text)
    else {
      throw IdentityError(
        keyPath, found: "no private key that can be read", expected: "the authority's",
        fix: "name the directory that "
          + "`keyweave ca init` made, as the user who made it")
    }
    guard key.publicKey == first.parsed.publicKey else { throw Self.unusable(directory) }
    certificate = first.parsed
    self.key = key
  }

  package var trustDomain: String {
    let names = (try? certificate.extensions.subjectAlternativeNames).flatMap { $0 } ?? SubjectAlternativeNames()
    for case .uniformResourceIdentifier(let uri) in names {
      if let id = SPIFFEID(uri) { return id.trustDomain }
    }
    return ""
  }

  /// Makes PREFIX.pem and PREFIX.key (mode 600) for a client and server of that name.
  ///
  /// - Parameter addresses: IP addresses and host names for programs that compare them, such as curl.
  /// - Returns: the new key's pin, for `keyweave members enrol`.
  @discardableResult
  package func issue(
    id: SPIFFEID, out: String, days: Int = 365, addresses: [String] = [], at time: Date = Date()
  ) throws(IdentityError) -> PublicKeyPin {
    try Self.check(days: days)
    guard trustDomain.isEmpty || id.trustDomain == trustDomain else {
      throw IdentityError(
        "--id", found: "\(id), of another trust domain", expected: "spiffe://\(trustDomain)/...",
        fix: "name the authority of \(id.trustDomain)")
    }
    let names =
      try [.uniformResourceIdentifier(id.description)]
      + addresses.map { address throws(IdentityError) in
        try Self.name(of: address)
      }
    let made = Certificate.PrivateKey(P256.Signing.PrivateKey())
    let issued = try Self.signing(out) {
      let end = min(time + Double(days) * Self.day, certificate.notValidAfter)
      return try Certificate(
        version: .v3, serialNumber: Certificate.SerialNumber(), publicKey: made.publicKey,
        notValidBefore: time - Self.skew, notValidAfter: end, issuer: certificate.subject,
        subject: try DistinguishedName {
          OrganizationName("Keyweave")
          // RFC 5280 allows 64 characters.
          CommonName(String(id.path.isEmpty ? id.trustDomain : String(id.path.dropFirst())).suffix(64).description)
        }, signatureAlgorithm: .ecdsaWithSHA256,
        extensions: Certificate.Extensions {
          Critical(BasicConstraints.notCertificateAuthority)
          Critical(KeyUsage(digitalSignature: true))
          try ExtendedKeyUsage([.serverAuth, .clientAuth])
          SubjectKeyIdentifier(hash: made.publicKey)
          AuthorityKeyIdentifier(keyIdentifier: SubjectKeyIdentifier(hash: key.publicKey).keyIdentifier)
          SubjectAlternativeNames(names)
        }, issuerPrivateKey: key)
    }
    try Self.write(made, issued, out + ".pem", out + ".key")
    return try PeerIdentity(certificateFile: out + ".pem").pin
  }

  /// Clocks differ; a certificate is valid at once.
  private static let skew = 300.0
  private static let day = 86400.0

  private static func check(days: Int) throws(IdentityError) {
    guard (1...36500).contains(days) else {
      throw IdentityError("--days", found: "\(days)", expected: "1 to 36500", fix: "correct the number")
    }
  }

  private static func name(of address: String) throws(IdentityError) -> GeneralName {
    var octets = [UInt8](repeating: 0, count: 16)
    if inet_pton(AF_INET, address, &octets) == 1 { return .ipAddress(ASN1OctetString(contentBytes: octets[..<4])) }
    if inet_pton(AF_INET6, address, &octets) == 1 { return .ipAddress(ASN1OctetString(contentBytes: octets[...])) }
    let isName =
      !address.isEmpty && address.utf8.count <= 253
      && address.utf8.allSatisfy {
        (UInt8(ascii: "a")...UInt8(ascii: "z")).contains($0 | 0x20)
          || (UInt8(ascii: "0")...UInt8(ascii: "9")).contains($0)
          || $0 == UInt8(ascii: "-") || $0 == UInt8(ascii: ".")
      }
    guard isName else {
      throw IdentityError(
        "--address", found: "\"\(address)\"", expected: "an IP address or a host name", fix: "correct it")
    }
    return .dnsName(address)
  }

  private static func signing<Result>(_ place: String, _ body: () throws -> Result) throws(IdentityError) -> Result {
    do {
      return try body()
    } catch {
      throw IdentityError(
        place, found: "a certificate that could not be made (\(error))", expected: "one", fix: "report this")
    }
  }

  private static func unusable(_ directory: String) -> IdentityError {
    IdentityError(
      directory, found: "a certificate and a key that do not belong together", expected: "an authority's two files",
      fix: "name the directory that `keyweave ca init` made")
  }

  private static func write(
    _ key: Certificate.PrivateKey, _ certificate: Certificate, _ certificatePath: String, _ keyPath: String
  ) throws(IdentityError) {
    let texts = try signing(certificatePath) {
      (try key.serializeAsPEM().pemString + "\n", try certificate.serializeAsPEM().pemString + "\n")
    }
    try write(texts.0, to: keyPath, mode: 0o600)
    do throws(IdentityError) {
      try write(texts.1, to: certificatePath, mode: 0o644)
    } catch {
      unlink(keyPath)
      throw error
    }
  }

  private static func write(_ text: String, to path: String, mode: mode_t) throws(IdentityError) {
    let descriptor = open(path, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC | O_NOFOLLOW, mode)
    guard descriptor >= 0 else {
      let code = errno
      throw IdentityError(
        path, found: code == EEXIST ? "a file that exists already" : String(cString: strerror(code)),
        expected: "a new file",
        fix: code == EEXIST ? "choose another name: keys are never overwritten" : "choose another path")
    }
    let count = text.utf8.count
    let isWritten = text.withCString { Foundation.write(descriptor, $0, count) } == count && fsync(descriptor) == 0
    let code = errno
    close(descriptor)
    guard isWritten else {
      unlink(path)
      throw IdentityError(
        path, found: "a file that could not be written (\(String(cString: strerror(code))))", expected: "a new file",
        fix: "look at the disk; nothing was left behind")
    }
  }
}
