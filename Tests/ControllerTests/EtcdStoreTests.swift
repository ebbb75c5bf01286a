import Controller
import Foundation
import Support
import Testing

/// What etcd adds: other nodes, a right to rotate, and every way to lose a node.
@Suite(.serialized) struct EtcdStoreTests {
  /// What others did, in order, those of one revision together, also when a node of etcd is lost in between.
  @Test func changesComeInOrder() async throws {
    try await EtcdCluster.with { cluster in
      let (writer, reader) = (try EtcdStore(cluster.settings("a")), try EtcdStore(cluster.settings("b")))
      let (_, start) = try await reader.load()
      let seen = Task {
        var seen: [[StoredRecord]] = []
        for try await records in reader.changes(after: start) {
          seen.append(records)
          if records.contains(where: { $0.name == "member/last" }) { break }
        }
        return seen
      }
      var versions: [UInt64] = []
      for round in 0..<60 {
        // The endpoint that both prefer is killed, then another one hangs.
        if round == 20 { cluster.kill(0) }
        if round == 40 {
          try cluster.start(0)
          try await Task.sleep(for: .seconds(3))
          cluster.signal(1, SIGSTOP)
        }
        versions.append(
          try await retry(writer, name: "member/a", value: "\(round)", also: .make("member/\(round)", "x")))
      }
      _ = try await writer.commit([.init(name: "member/0", value: nil, expecting: nil)])
      _ = try await writer.commit([.make("member/last", "x")])
      let all = try await seen.value
      cluster.signal(1, SIGCONT)
      #expect(all.count == 62)
      #expect(all.prefix(60).map { $0.map(\.name).sorted() } == (0..<60).map { ["member/\($0)", "member/a"].sorted() })
      #expect(all.prefix(60).map { $0[0].version } == versions)
      #expect(all[60].map(\.name) == ["member/0"] && all[60][0].value == nil)
      await writer.close()
      await reader.close()
    }
  }

  /// What was compacted away while nobody watched is read again, deletions included.
  @Test func changesAfterCompaction() async throws {
    try await EtcdCluster.with(size: 1) { cluster in
      let (writer, reader) = (try EtcdStore(cluster.settings("a")), try EtcdStore(cluster.settings("b")))
      _ = try await writer.commit([.make("member/a", "1"), .make("member/b", "1"), .make("member/c", "1")])
      let (_, start) = try await reader.load()
      _ = try await writer.commit([.init(name: "member/a", value: nil, expecting: nil)])
      _ = try await writer.commit([.init(name: "member/b", value: text("2"), expecting: nil)])
      _ = try await writer.commit([.init(name: "member/b", value: text("3"), expecting: nil)])
      try await writer.purge()
      var seen: [StoredRecord] = []
      for try await records in reader.changes(after: start) {
        seen += records
        if seen.contains(where: { $0.name == "member/last" }) { break }
        _ = try await writer.commit([.make("member/last", "x")])
      }
      #expect(seen.prefix(2).map(\.name) == ["member/a", "member/b"])
      #expect(seen[0].value == nil && seen[1].value == text("3"))
      await writer.close()
      await reader.close()
    }
  }

  /// The leader is killed again and again under two writers: every increment that was reported as made was, once.
  @Test func noIncrementIsLostWithTheLeader() async throws {
    try await EtcdCluster.with { cluster in
      let stores = [try EtcdStore(cluster.settings("a")), try EtcdStore(cluster.settings("b"))]
      _ = try await stores[0].commit([.make("counter/device", "0")])
      let isOver = Flag()
      let tallies = try await withThrowingTaskGroup(of: (made: Int, unknown: Int).self) { group in
        for store in stores {
          group.addTask {
            var tally = (made: 0, unknown: 0)
            while !isOver.isSet {
              do {
                guard let record = try await store.load().records["counter/device"], let count = number(record) else {
                  throw StoreError.damaged("no counter")
                }
                do {
                  _ = try await store.commit([
                    .init(name: "counter/device", value: text("\(count + 1)"), expecting: record.version)
                  ])
                  tally.made += 1
                } catch StoreError.unavailable {
                  tally.unknown += 1
                }
              } catch StoreError.conflict {
              } catch StoreError.unavailable {
              }
            }
            return tally
          }
        }
        group.addTask {
          for round in 0..<4 {
            try await Task.sleep(for: .milliseconds(700))
            let leader = try cluster.leader()
            if round.isMultiple(of: 2) { cluster.kill(leader) } else { cluster.signal(leader, SIGSTOP) }
            try await Task.sleep(for: .seconds(3))
            if round.isMultiple(of: 2) { try cluster.start(leader) } else { cluster.signal(leader, SIGCONT) }
            try await Task.sleep(for: .seconds(1))
          }
          isOver.set()
          return (0, 0)
        }
        var total = (made: 0, unknown: 0)
        for try await tally in group { total = (total.made + tally.made, total.unknown + tally.unknown) }
        return total
      }
      let value = Int(try await contents(stores[0])["counter/device"] ?? "") ?? -1
      #expect(tallies.made > 100)
      #expect(value >= tallies.made && value <= tallies.made + tallies.unknown, "\(value) of \(tallies)")
      for store in stores { await store.close() }
    }
  }

  /// Without a majority nothing is made, read or promised; with it everything goes on.
  @Test func withoutAMajority() async throws {
    try await EtcdCluster.with { cluster in
      let store = try EtcdStore(cluster.settings("a"))
      #expect(await store.mayRotate())
      let version = try await store.commit([.make("root/a", "1")])
      cluster.signal(1, SIGSTOP)
      cluster.signal(2, SIGSTOP)
      await #expect(throws: StoreError.self) {
        try await store.commit([.init(name: "root/a", value: text("2"), expecting: version)])
      }
      await #expect(throws: StoreError.self) { try await store.load() }
      #expect(await store.mayRotate() == false)
      cluster.signal(1, SIGCONT)
      cluster.signal(2, SIGCONT)
      // The commit that was not answered is found out about before the next: made once, or never.
      let found = try await eventually { try await store.load().records["root/a"] }
      let value = number(found)
      #expect(value == 1 || value == 2)
      #expect(try await eventually { await store.mayRotate() ? true : nil })
      let next = try await store.commit([.init(name: "root/a", value: text("3"), expecting: found.version)])
      #expect(next > found.version)
      #expect(try await contents(store) == ["root/a": "3"])
      await store.close()
    }
  }

  @Test func oneNodeRotatesAtATime() async throws {
    try await EtcdCluster.with(size: 1) { cluster in
      let (first, second) = (try EtcdStore(cluster.settings("a")), try EtcdStore(cluster.settings("b")))
      #expect(await first.mayRotate())
      #expect(await second.mayRotate() == false)
      let made = try await second.commit([.make("root/a", "1")])
      await #expect(throws: StoreError.unavailable("node b may not rotate now, a does; ask that node, or again")) {
        try await second.commit([.init(name: "root/a", value: text("2"), expecting: made)])
      }
      _ = try await second.commit([.init(name: "member/a", value: text("2"), expecting: 0)])
      // The first goes: the second takes over, at once as the lease is given back.
      await first.close()
      #expect(try await eventually { await second.mayRotate() ? true : nil })
      _ = try await second.commit([.init(name: "root/a", value: text("2"), expecting: made)])
      await second.close()
    }
  }

  /// A node whose lease has ended without its knowing cannot write, although its record versions are right.
  @Test func aLostLeaseFences() async throws {
    try await EtcdCluster.with(size: 1) { cluster in
      let store = try EtcdStore(cluster.settings("a", leaseSeconds: 30))
      #expect(await store.mayRotate())
      let version = try await store.commit([.make("root/a", "1")])
      let fields = try cluster.etcdctl(["get", "/keyweave/test/rotation", "-w", "json"], at: 0).joined()
      let object = try JSONSerialization.jsonObject(with: Data(fields.utf8)) as? [String: Any]
      let lease = ((object?["kvs"] as? [[String: Any]])?.first?["lease"] as? NSNumber)?.int64Value ?? 0
      _ = try cluster.etcdctl(["lease", "revoke", String(lease, radix: 16)], at: 0)
      // It believes that it may, for up to a second.
      #expect(await store.mayRotate())
      await #expect(
        throws: StoreError.unavailable("node a lost the right to rotate before it could commit; nothing was changed")
      ) { try await store.commit([.init(name: "root/a", value: text("2"), expecting: version)]) }
      #expect(await store.mayRotate() == false)
      #expect(try await contents(store) == ["root/a": "1"])
      #expect(try await eventually { await store.mayRotate() ? true : nil })
      _ = try await store.commit([.init(name: "root/a", value: text("2"), expecting: version)])
      await store.close()
    }
  }

  /// What a rotation erased cannot be read back at an old revision.
  @Test func purgedValuesAreGone() async throws {
    try await EtcdCluster.with { cluster in
      let store = try EtcdStore(cluster.settings("a"))
      #expect(await store.mayRotate())
      let first = try await store.commit([.make("root/a", "wrapped-1")])
      let key = "/keyweave/test/records/root/a"
      let second = try await store.commit([.init(name: "root/a", value: text("wrapped-2"), expecting: first)])
      #expect(try cluster.etcdctl(["get", key, "--rev", "\(first)"], at: 0).contains("wrapped-1"))
      try await store.purge()
      let answer = try cluster.etcdctl(["get", key, "--rev", "\(first)"], at: 0, mayFail: true).joined()
      #expect(answer.contains("required revision has been compacted"))
      #expect(try cluster.etcdctl(["get", key, "--rev", "\(second)"], at: 0).contains("wrapped-2"))
      // Nothing to do is no error.
      try await store.purge()
      await store.close()
    }
  }

  /// Two processes under one node name would find each other's commits in doubt: the later one says so.
  @Test func twoProcessesOfOneName() async throws {
    try await EtcdCluster.with(size: 1) { cluster in
      let (first, second) = (try EtcdStore(cluster.settings("a")), try EtcdStore(cluster.settings("a")))
      _ = try await first.commit([.make("member/a", "1")])
      _ = try await second.commit([.make("member/b", "1")])
      await #expect(
        throws: StoreError.unavailable(
          "found that another process writes as node a, expected a name for each node of its own")
      ) { try await first.commit([.make("member/c", "1")]) }
      #expect(try await contents(second) == ["member/a": "1", "member/b": "1"])
      await first.close()
      await second.close()
    }
  }

  @Test func tlsWithClientCertificates() async throws {
    try await EtcdCluster.with(size: 1, tls: true) { cluster in
      let store = try EtcdStore(cluster.settings("a"))
      _ = try await store.commit([.make("member/a", "1")])
      #expect(try await contents(store) == ["member/a": "1"])
      var settings = cluster.settings("b")
      settings.certificate = nil
      settings.key = nil
      let stranger = try EtcdStore(settings)
      await #expect(throws: StoreError.self) { try await stranger.load() }
      settings = cluster.settings("c")
      settings.authority = nil
      let trusting = try EtcdStore(settings)
      await #expect(throws: StoreError.self) { try await trusting.load() }
      settings.key = nil
      #expect(
        throws: StoreError.unavailable("found only one of certificate and key for etcd, expected both or neither")
      ) { try EtcdStore(settings) }
      for store in [store, stranger, trusting] { await store.close() }
    }
  }

  /// Commits a value until it is known to be made; the record that comes with it is new each time.
  private func retry(
    _ store: EtcdStore, name: String, value: String, also: StoreChange
  ) async throws -> UInt64 {
    try await eventually {
      if let made = try await store.load().records[also.name] { return made.version }
      return try await store.commit([.init(name: name, value: text(value), expecting: nil), also])
    }
  }

  /// Tries for half a minute.
  private func eventually<Result>(_ body: () async throws -> Result?) async throws -> Result {
    let until = ContinuousClock.now + .seconds(30)
    while true {
      do {
        if let result = try await body() { return result }
      } catch let error as StoreError {
        guard case .unavailable = error, ContinuousClock.now < until else { throw error }
      }
      guard ContinuousClock.now < until else { throw EtcdClusterError.notHealthy }
      try await Task.sleep(for: .milliseconds(100))
    }
  }
}

/// Set by one task, looked at by others.
final class Flag: @unchecked Sendable {
  private let lock = NSLock()
  private var value = false

  var isSet: Bool { lock.withLock { value } }

  func set() { lock.withLock { value = true } }
}
