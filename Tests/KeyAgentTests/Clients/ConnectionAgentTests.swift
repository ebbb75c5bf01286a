import Foundation
import Identity
import KeyAgent
import Keys
import Rotation
import Support
import Testing
import Wire

/// A client against the services of two members, over TLS on this machine.
@Suite(.serialized) struct ConnectionAgentTests {
  /// Certificates of a client and two members, and the members' services.
  private final class Lab: Sendable {
    let directory: URL
    let clock = TestClock(UInt64(ClientLab.start) + 10)
    let ledgers: [TestLedger]
    let services: [ClientService]
    let sink = TestConnectionSink()
    let agent: ConnectionAgent

    init(_ directory: URL) throws {
      self.directory = directory
      let authority = directory.appending(path: "ca").path(percentEncoded: false)
      try CertificateAuthority.create(directory: authority, trustDomain: "region1.example", days: 2)
      let ca = try CertificateAuthority(directory: authority)
      func files(_ name: String) throws -> TLSFiles {
        let out = directory.appending(path: name.replacing("/", with: "-")).path(percentEncoded: false)
        let id = try #require(SPIFFEID("spiffe://region1.example/\(name)"))
        _ = try ca.issue(id: id, out: out, days: 1, addresses: ["127.0.0.1"])
        return TLSFiles(certificate: out + ".pem", key: out + ".key", authority: authority + "/ca.pem")
      }
      let tls = try files("client/one")
      let pin = try tls.load().identity.pin.description
      let group = try ClientLab.group()
      var ledgers: [TestLedger] = []
      var services: [ClientService] = []
      var pool: [ControllerEndpoint] = []
      for member in [UInt8(2), 9] {
        let ledger = TestLedger(ClientLab.view(group, member: member, clients: [ClientLab.record(pin: pin)]))
        let service = ClientService(
          try ClientLab.settings(), desk: try ConnectionDesk(ClientLab.settings(), ledger: ledger, keys: TestKeys()),
          identity: try TLSIdentity(files: files("dpu/\(member)")), clock: { [clock] in clock.now })
        try service.start()
        ledgers.append(ledger)
        services.append(service)
        pool.append(
          ControllerEndpoint(
            name: "m\(member)", url: "https://127.0.0.1:\(try #require(service.port))",
            id: try #require(SPIFFEID("spiffe://region1.example/dpu/\(member)"))))
      }
      (self.ledgers, self.services) = (ledgers, services)
      agent = try ConnectionAgent(
        settings: ConnectionSettings(tls: tls, pool: pool, group: "outside"), sink: sink,
        clock: { [clock] in clock.now })
    }

    func finish() {
      agent.stop()
      services.forEach { $0.stop() }
    }
  }

  /// Starting and stopping wait for tasks: on a thread that no task needs.
  private func blocking<Result: Sendable>(_ body: @escaping @Sendable () throws -> Result) async throws -> Result {
    try await withCheckedThrowingContinuation { continuation in
      DispatchQueue.global().async { continuation.resume(with: Swift.Result(catching: body)) }
    }
  }

  private func withLab(_ body: (Lab) async throws -> Void) async throws {
    let directory = FileManager.default.temporaryDirectory.appending(path: "keyweave-clients-\(UUID().uuidString)")
    try FileManager.default.createDirectory(at: directory, withIntermediateDirectories: true)
    defer { try? FileManager.default.removeItem(at: directory) }
    let lab = try await blocking { try Lab(directory) }
    do {
      try await body(lab)
    } catch {
      try await blocking { lab.finish() }
      throw error
    }
    try await blocking { lab.finish() }
  }

  private func epochs(_ view: ConnectionView?) -> Set<Int64> {
    Set((view?.group.grant?.keys ?? []).map { Int64($0.epoch) - ClientLab.epoch })
  }

  /// A connection, its renewals over four epochs, whichever member answers, and a member that dies.
  @Test func renewals() async throws {
    try await withLab { lab in
      await lab.agent.step()
      let first = try #require(lab.sink.last)
      #expect(lab.agent.status.problem == nil)
      let member = try #require(lab.agent.status.member)
      #expect(first.group.name == "outside" && first.group.rootKeys.map(\.current.index) == [7, 7])
      #expect(["10.128.48.128", "10.128.50.64"].contains("\(first.address)") && epochs(first) == [0])
      #expect(first.group.grant?.id == first.id && first.id.device == 0x2a02)
      // The member that made it dies; the other renews the same connection.
      let dead = member == "m2" ? 0 : 1
      lab.services[dead].stop()
      try await Task.sleep(for: .milliseconds(200))
      for epoch in 0..<4 as Range<Int64> {
        for second in stride(from: 0, to: 600, by: 30) as StrideTo<Int64> {
          lab.clock.now = UInt64(ClientLab.start + epoch * 600 + second) + 20
          await lab.agent.step()
          if lab.agent.status.problem != nil { await lab.agent.step() }
          let view = try #require(lab.sink.last)
          #expect(view.id == first.id && view.address == first.address)
          // There is always a key to seal with, in every second.
          let now = UInt64(ClientLab.epoch + epoch)
          let sealing = view.group.grant?.keys.filter {
            !$0.isFromPool && $0.epoch == now && $0.generations == [7, 7]
          }
          #expect(sealing?.count == 2, "epoch \(epoch), second \(second)")
          #expect(view.group.grant?.keys.allSatisfy { $0.epoch + 1 >= now } == true)
        }
      }
      #expect(lab.agent.status.member != member && lab.agent.status.problem == nil)
    }
  }

  /// A rotation: the keys of the old generation stay for what is under way, those of the next are there before.
  @Test func rotation() async throws {
    try await withLab { lab in
      await lab.agent.step()
      let first = try #require(lab.sink.last)
      #expect(Set((first.group.grant?.keys ?? []).map(\.generations)) == [[7, 7], [7, 8], [8, 7], [8, 8]])
      let rotated = try ClientLab.group(8)
      for ledger in lab.ledgers { ledger.change { $0.groups = [rotated] } }
      lab.clock.now += 200
      await lab.agent.step()
      let view = try #require(lab.sink.last)
      #expect(view.id == first.id)
      #expect(
        view.group.rootKeys.map { [$0.previous?.index, $0.current.index, $0.next?.index] } == [[7, 8, 9], [7, 8, 9]])
      let generations = Set((view.group.grant?.keys ?? []).map(\.generations))
      #expect(generations == [[7, 7], [7, 8], [8, 7], [8, 8], [8, 9], [9, 8], [9, 9]])
    }
  }

  @Test func removed() async throws {
    try await withLab { lab in
      for ledger in lab.ledgers { ledger.change { $0.clients = [:] } }
      await lab.agent.step()
      #expect(lab.sink.count == 0 && lab.agent.status.problem?.contains("is no client of this pool") == true)
    }
  }

  /// A connection that has seen too many rotations gives way to a new one.
  @Test func replaced() async throws {
    try await withLab { lab in
      await lab.agent.step()
      let first = try #require(lab.sink.last)
      let rotated = try ClientLab.group(30)
      for ledger in lab.ledgers { ledger.change { $0.groups = [rotated] } }
      lab.clock.now += 200
      await lab.agent.step()
      let second = try #require(lab.sink.last)
      #expect(second.id != first.id && second.group.rootKeys.map(\.current.index) == [30, 30])
      #expect(lab.agent.status.problem == nil)
    }
  }

  /// Two members whose root keys differ are told apart before anything is sealed.
  @Test func membersThatDisagree() async throws {
    try await withLab { lab in
      await lab.agent.step()
      #expect(lab.sink.count == 1)
      var other = try ClientLab.group()
      other.rootKeys[0].current = try ClientLab.generation(99, 7)
      let impostor = other
      for ledger in lab.ledgers { ledger.change { $0.groups = [impostor] } }
      lab.clock.now += 200
      await lab.agent.step()
      #expect(lab.sink.count == 1 && lab.agent.status.problem?.contains("their root keys differ") == true)
    }
  }
}
