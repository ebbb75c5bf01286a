package import Foundation
package import Identity

/// A certificate authority of a test's own, with certificates on demand.
package struct TestAuthority: Sendable {
  package let directory: URL
  package let trustDomain: String

  /// Makes it in DIRECTORY/ca.
  package init(in directory: URL, trustDomain: String = "region1.example") throws {
    self.directory = directory
    self.trustDomain = trustDomain
    try CertificateAuthority.create(directory: path("ca"), trustDomain: trustDomain)
  }

  private func path(_ name: String) -> String { directory.appending(path: name).path(percentEncoded: false) }

  package func id(_ path: String) -> SPIFFEID? { SPIFFEID("spiffe://\(trustDomain)/\(path)") }

  /// The files of a new certificate for spiffe://TRUST-DOMAIN/NAME (`dpu/host42`), and its pin.
  ///
  /// - Parameter file: another name for the files, for a second certificate of one name.
  package func issue(
    _ name: String, file: String? = nil, days: Int = 30, addresses: [String] = ["127.0.0.1"], at time: Date = Date()
  ) throws -> (files: TLSFiles, pin: PublicKeyPin, id: SPIFFEID) {
    guard let id = id(name) else { throw CocoaError(.coderInvalidValue) }
    let prefix = path((file ?? name).replacing("/", with: "-"))
    let pin = try CertificateAuthority(directory: path("ca")).issue(
      id: id, out: prefix, days: days, addresses: addresses, at: time)
    let files = TLSFiles(
      certificate: prefix + ".pem", key: prefix + ".key",
      authority: path("ca/" + CertificateAuthority.certificateName))
    return (files, pin, id)
  }
}
