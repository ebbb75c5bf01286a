package import Foundation
package import NIOCore
package import NIOSSL
internal import Synchronization
internal import SwiftASN1
internal import X509

/// A process's TLS identity, which follows its files: a certificate, key or authority that is replaced on disk is used
/// for the next connection. Files that do not fit together change nothing; `problem` says why.
package final class TLSIdentity: Sendable {
  private struct State {
    var material: TLSMaterial
    var stamps: [FileStatus?]
    var problem: String?
    var observers: [@Sendable () -> Void] = []
  }

  package let files: TLSFiles
  private let state: Mutex<State>
  private let watcher = Mutex<Task<Void, Never>?>(nil)

  /// - Parameters:
  ///   - period: how often the files are looked at.
  ///   - evenIfEnded: for who can do without for a while: certificates whose time is over are taken as well, and `problem`
  ///     says so until they are renewed.
  package init(files: TLSFiles, period: Duration = .seconds(3), evenIfEnded: Bool = false) throws(IdentityError) {
    self.files = files
    // Stamps first: a file that is replaced meanwhile is read again.
    let stamps = Self.stamps(files)
    state = Mutex(State(material: try files.load(evenIfEnded: evenIfEnded), stamps: stamps))
    let task = Task { [weak self] in
      while !Task.isCancelled {
        try? await Task.sleep(for: period)
        guard let self else { return }
        self.refresh()
      }
    }
    watcher.withLock { $0 = task }
  }

  deinit { watcher.withLock { $0?.cancel() } }

  package var material: TLSMaterial { state.withLock { $0.material } }
  package var identity: PeerIdentity { material.identity }
  /// When the own certificate or the authority's ends, whichever is first.
  package var expires: Date { material.expires }

  /// Why the files are not used as they are now, or that what is used has ended.
  package var problem: String? {
    let (problem, expires) = state.withLock { ($0.problem, $0.material.expires) }
    if let problem { return problem }
    guard expires < Date() else { return nil }
    return
      "\(files.certificate): found a certificate that ended on \(expires.formatted(.iso8601)), expected one that is "
      + "valid now; renew it: it is taken over without a restart"
  }

  /// Called after every change, not on the thread of whoever registered it.
  package func onChange(_ body: @escaping @Sendable () -> Void) {
    state.withLock { $0.observers.append(body) }
  }

  /// Looks at the files now.
  package func refresh() {
    let stamps = Self.stamps(files)
    guard state.withLock({ $0.stamps != stamps }) else { return }
    do {
      let material = try files.load()
      let observers = state.withLock { state in
        state.material = material
        state.stamps = stamps
        state.problem = nil
        return state.observers
      }
      for observer in observers { observer() }
    } catch {
      // The stamps stay: certificate and key are two files, and the second comes a moment later.
      state.withLock { $0.problem = "\(error); what was read before is used until then" }
    }
  }

  private static func stamps(_ files: TLSFiles) -> [FileStatus?] {
    [files.certificate, files.key, files.authority].map { FileStatus(of: $0) }
  }
}

extension TLSIdentity {
  /// TLS 1.3, a client certificate from the authority. The own certificate is the newest at each handshake; with
  /// `verifyClient` as the server's verification callback, so is the authority.
  package func serverConfiguration() -> TLSConfiguration {
    let start = material
    var configuration = start.server
    configuration.sslContextCallback = { [weak self] _, promise in
      let material = self?.material ?? start
      var override = NIOSSLContextConfigurationOverride()
      override.certificateChain = material.chain.map { .certificate($0) }
      override.privateKey = .privateKey(material.key)
      promise.succeed(override)
    }
    return configuration
  }

  /// TLS 1.3 with what is current now; made anew `onChange`. No host name is compared: check the peer's SPIFFE ID
  /// (`PeerIdentity.check`) before anything is sent.
  package func clientConfiguration() -> TLSConfiguration { material.client }

  /// For NIOSSL's custom verification of client certificates: against the authority as it is now.
  package func verifyClient(_ chain: [NIOSSLCertificate], _ promise: EventLoopPromise<NIOSSLVerificationResult>) {
    let roots = material.roots
    promise.completeWithTask { await Self.verify(chain, roots) ? .certificateVerified : .failed }
  }

  private static func verify(_ chain: [NIOSSLCertificate], _ roots: [Certificate]) async -> Bool {
    let parsed = chain.compactMap { certificate in
      (try? certificate.toDERBytes()).flatMap { try? Certificate(derEncoded: $0) }
    }
    guard let leaf = parsed.first, parsed.count == chain.count, parsed.count <= 8 else { return false }
    let usages = (try? leaf.extensions.extendedKeyUsage).flatMap { $0 }
    if let usages, !usages.contains(.clientAuth), !usages.contains(.any) { return false }
    var verifier = Verifier(rootCertificates: CertificateStore(roots)) {
      RFC5280Policy()
      NamesPolicy()
    }
    if case .validCertificate = await verifier.validate(leaf: leaf, intermediates: CertificateStore(parsed.dropFirst()))
    {
      return true
    }
    return false
  }
}

/// Names and uses may be marked critical: `PeerIdentity` reads the names, and the uses are checked before.
private struct NamesPolicy: VerifierPolicy {
  let verifyingCriticalExtensions: [ASN1ObjectIdentifier] = [
    .X509ExtensionID.subjectAlternativeName, .X509ExtensionID.extendedKeyUsage,
  ]

  func chainMeetsPolicyRequirements(chain: UnverifiedCertificateChain) async -> PolicyEvaluationResult {
    .meetsPolicy
  }
}
