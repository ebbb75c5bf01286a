import AsyncHTTPClient
import Foundation
import Hummingbird
import HummingbirdTLS
import Identity
import Logging
import NIOCore
import NIOSSL
import Support
import Synchronization
import TestAuthority
import Testing

/// A server that answers each request with the SPIFFE ID of who asked.
private final class Server: Sendable {
  let port: Int
  private let task: Task<Void, any Error>

  struct Context: RequestContext {
    var coreContext: CoreRequestContextStorage
    let channel: any Channel

    init(source: ApplicationRequestContextSource) {
      coreContext = .init(source: source)
      channel = source.channel
    }
  }

  init(_ identity: TLSIdentity) async throws {
    let router = Router(context: Context.self)
    router.get("/") { _, context in
      "\(try await PeerIdentity.peer(of: context.channel).get().id)"
    }
    let (ports, port) = AsyncStream<Int>.makeStream()
    let configuration = TLSChannelConfiguration(
      tlsConfiguration: identity.serverConfiguration(), customVerificationCallback: identity.verifyClient)
    let application = Application(
      router: router, server: try .tls(.http1(), configuration: configuration),
      configuration: .init(address: .hostname("127.0.0.1", port: 0)),
      onServerRunning: { channel in
        port.yield(channel.localAddress?.port ?? 0)
        port.finish()
      }, logger: Logger(label: "test") { _ in SwiftLogNoOpLogHandler() })
    task = Task { try await application.run() }
    self.port = await ports.first { _ in true } ?? 0
  }

  func stop() async {
    task.cancel()
    _ = await task.result
  }
}

private func withTemporaryDirectory(_ body: (URL) async throws -> Void) async throws {
  let directory = FileManager.default.temporaryDirectory.appending(path: "keyweave-\(UUID().uuidString)")
  try FileManager.default.createDirectory(at: directory, withIntermediateDirectories: true)
  defer { try? FileManager.default.removeItem(at: directory) }
  try await body(directory)
}

@Suite struct TLSIdentityTests {
  /// What the server says of us; throws when the handshake or the check of the server's name fails.
  private func ask(
    _ port: Int, as files: TLSFiles, expecting id: SPIFFEID, pins: [PublicKeyPin] = []
  ) async throws -> String {
    var configuration = HTTPClient.Configuration(tlsConfiguration: try TLSIdentity(files: files).clientConfiguration())
    configuration.httpVersion = .http1Only
    configuration.connectionPool.retryConnectionEstablishment = false
    configuration.http1_1ConnectionDebugInitializer = { PeerIdentity.check($0, is: id, pins: pins) }
    let client = HTTPClient(eventLoopGroupProvider: .singleton, configuration: configuration)
    do {
      let response = try await client.execute(
        HTTPClientRequest(url: "https://127.0.0.1:\(port)/"), timeout: .seconds(10))
      let text = String(buffer: try await response.body.collect(upTo: 4096))
      try await client.shutdown()
      return text
    } catch {
      try await client.shutdown()
      throw error
    }
  }

  @Test("both ends know each other's name and key; wrong names, keys and authorities end before a request is answered")
  func handshakes() async throws {
    try await withTemporaryDirectory { directory in
      let authority = try TestAuthority(in: directory)
      let server = try authority.issue("controller/region")
      let member = try authority.issue("dpu/host42")
      let running = try await Server(try TLSIdentity(files: server.files))
      let port = running.port
      #expect(try await ask(port, as: member.files, expecting: server.id) == "spiffe://region1.example/dpu/host42")
      #expect(try await ask(port, as: member.files, expecting: server.id, pins: [member.pin, server.pin]) != "")
      await #expect(throws: IdentityError.self) { try await ask(port, as: member.files, expecting: member.id) }
      await #expect(throws: IdentityError.self) {
        try await ask(port, as: member.files, expecting: server.id, pins: [member.pin])
      }
      let elsewhere = directory.appending(path: "elsewhere")
      try FileManager.default.createDirectory(at: elsewhere, withIntermediateDirectories: false)
      let stranger = try TestAuthority(in: elsewhere).issue("dpu/host42")
      var foreign = stranger.files
      // A certificate of another authority, by a client that trusts the server.
      foreign.authority = member.files.authority
      await #expect(throws: (any Error).self) { try await ask(port, as: foreign, expecting: server.id) }
      // A server of another authority.
      var trusting = member.files
      trusting.authority = stranger.files.authority
      await #expect(throws: (any Error).self) { try await ask(port, as: trusting, expecting: server.id) }
      await running.stop()
    }
  }

  @Test("curl, openssl and Python use the certificates; TLS 1.2, no certificate and an expired one are refused")
  func programs() async throws {
    try await withTemporaryDirectory { directory in
      let authority = try TestAuthority(in: directory)
      let server = try authority.issue("controller/region", addresses: ["127.0.0.1"])
      let member = try authority.issue("dpu/host42").files
      let expired = try authority.issue("dpu/old", days: 1, at: Date(timeIntervalSinceNow: -3 * 86400)).files
      let running = try await Server(try TLSIdentity(files: server.files))
      let url = "https://127.0.0.1:\(running.port)/"
      func curl(_ arguments: [String]) throws -> ProgramResult {
        try Program.run("curl", ["-sS", "--max-time", "10", "--cacert", member.authority] + arguments + [url])
      }
      let own = ["--cert", member.certificate, "--key", member.key]
      let answer = try curl(own)
      #expect(answer.output == "spiffe://region1.example/dpu/host42", "\(answer.errors)")
      #expect(try curl([]).status != 0)
      #expect(try curl(["--cert", expired.certificate, "--key", expired.key]).status != 0)
      #expect(try curl(own + ["--tls-max", "1.2"]).status != 0)
      let script = """
        import ssl, sys, urllib.request
        context = ssl.create_default_context(cafile=sys.argv[1])
        context.load_cert_chain(sys.argv[2], sys.argv[3])
        print(urllib.request.urlopen(sys.argv[4], context=context, timeout=10).read().decode(), end="")
        """
      let python = try Program.run(
        Program.python, ["-c", script, member.authority, member.certificate, member.key, url])
      #expect(python.output == "spiffe://region1.example/dpu/host42", "\(python.errors)")
      let openssl = try Program.run(
        "openssl",
        [
          "s_client", "-connect", "127.0.0.1:\(running.port)", "-CAfile", member.authority, "-cert", member.certificate,
          "-key", member.key, "-verify_return_error",
        ])
      #expect(openssl.output.contains("Verify return code: 0 (ok)"), "\(openssl.errors)")
      #expect(openssl.output.contains("TLSv1.3"))
      await running.stop()
    }
  }

  @Test("renewed certificates and authorities are used by the next connection, without a restart")
  func reload() async throws {
    try await withTemporaryDirectory { directory in
      let authority = try TestAuthority(in: directory)
      let server = try authority.issue("controller/region")
      let member = try authority.issue("dpu/host42").files
      let identity = try TLSIdentity(files: server.files, period: .milliseconds(50))
      let changes = Mutex(0)
      identity.onChange { changes.withLock { $0 += 1 } }
      let running = try await Server(identity)
      #expect(try await ask(running.port, as: member, expecting: server.id, pins: [server.pin]) != "")

      // Half a renewal: the certificate is new and the key still old. Nothing changes, and it is said.
      let renewed = try authority.issue("controller/region", file: "renewed")
      try replace(server.files.certificate, with: renewed.files.certificate)
      try await until { identity.problem != nil }
      #expect(identity.problem?.contains("a key that does not belong to the certificate") == true)
      #expect(identity.identity.pin == server.pin)
      #expect(try await ask(running.port, as: member, expecting: server.id, pins: [server.pin]) != "")
      try replace(server.files.key, with: renewed.files.key)
      try await until { identity.identity.pin == renewed.pin }
      #expect(identity.problem == nil)
      #expect(changes.withLock { $0 } == 1)
      #expect(try await ask(running.port, as: member, expecting: server.id, pins: [renewed.pin]) != "")

      // Another authority beside the first: its members are let in, those of the first still are.
      let second = directory.appending(path: "second")
      try FileManager.default.createDirectory(at: second, withIntermediateDirectories: false)
      let newcomer = try TestAuthority(in: second).issue("dpu/host43").files
      var asking = newcomer
      asking.authority = directory.appending(path: "ca-before.pem").text
      try FileManager.default.copyItem(atPath: server.files.authority, toPath: asking.authority)
      await #expect(throws: (any Error).self) { try await ask(running.port, as: asking, expecting: server.id) }
      let both =
        try String(contentsOfFile: server.files.authority, encoding: .utf8)
        + String(contentsOfFile: newcomer.authority, encoding: .utf8)
      let bundle = directory.appending(path: "both.pem").text
      try both.write(toFile: bundle, atomically: true, encoding: .utf8)
      try replace(server.files.authority, with: bundle)
      try await until { changes.withLock { $0 } == 2 }
      #expect(try await ask(running.port, as: asking, expecting: server.id) == "spiffe://region1.example/dpu/host43")
      #expect(try await ask(running.port, as: member, expecting: server.id) == "spiffe://region1.example/dpu/host42")
      await running.stop()
    }
  }

  private func replace(_ path: String, with other: String) throws {
    try FileManager.default.removeItem(atPath: path)
    try FileManager.default.copyItem(atPath: other, toPath: path)
  }

  private func until(_ condition: () -> Bool) async throws {
    for _ in 0..<200 {
      if condition() { return }
      try await Task.sleep(for: .milliseconds(50))
    }
    Issue.record("it did not happen within ten seconds")
  }
}
