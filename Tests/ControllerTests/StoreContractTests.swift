import Controller
import Foundation
import Support
import Testing

/// What every store keeps to, whatever it is made of.
@Suite(.serialized) struct StoreContractTests {
  enum Kind: CaseIterable { case sqlite, etcd }

  @Test(arguments: Kind.allCases) func commitsAreAllOrNothing(kind: Kind) async throws {
    try await Self.with(kind) { store, _ in
      let first = try await store.commit([.make("member/a", "1"), .make("member/b", "2")])
      #expect(first > 0)
      // One of three is not as expected: nothing of it happens.
      await #expect(throws: StoreError.conflict(["member/b"])) {
        try await store.commit([
          .make("member/c", "3"), .init(name: "member/b", value: text("4"), expecting: first + 7),
          .init(name: "member/a", value: nil, expecting: first),
        ])
      }
      #expect(try await contents(store) == ["member/a": "1", "member/b": "2"])
      await #expect(throws: StoreError.conflict(["member/a", "member/b"])) {
        try await store.commit([.make("member/a", "5"), .make("member/b", "6")])
      }
      let second = try await store.commit([
        .init(name: "member/a", value: nil, expecting: first),
        .init(name: "member/b", value: text("7"), expecting: nil),
      ])
      #expect(second > first)
      let (records, revision) = try await store.load()
      #expect(records["member/b"]?.version == second)
      #expect(records.count == 1 && revision >= second)
      // A deleted record is one that does not exist.
      let third = try await store.commit([.make("member/a", "8")])
      #expect(try await store.load().records["member/a"]?.version == third)
      try await store.purge()
      #expect(try await contents(store) == ["member/a": "8", "member/b": "7"])
    }
  }

  /// More than one etcd transaction takes without more ado, and still all or nothing.
  @Test(arguments: Kind.allCases) func longCommits(kind: Kind) async throws {
    try await Self.with(kind) { store, _ in
      let count = 2500
      let first = try await store.commit((0..<count).map { .make("ack/\($0)", "\($0)") })
      let (records, _) = try await store.load()
      #expect(records.count == count)
      #expect(records.values.allSatisfy { $0.version == first })
      var changes = (0..<count).map {
        StoreChange(name: "ack/\($0)", value: text("\($0 + 1)"), expecting: first)
      }
      changes[count - 3].expecting = first + 1
      changes[1].expecting = 0
      await #expect(throws: StoreError.conflict(["ack/1", "ack/\(count - 3)"])) { try await store.commit(changes) }
      #expect(try await contents(store)["ack/7"] == "7")
      changes[count - 3].expecting = first
      changes[1].expecting = first
      let second = try await store.commit(changes)
      #expect(try await store.load().records.values.allSatisfy { $0.version == second })
      #expect(try await contents(store)["ack/7"] == "8")
    }
  }

  @Test(arguments: Kind.allCases) func theAuditLogIsApart(kind: Kind) async throws {
    try await Self.with(kind) { store, _ in
      for number in 0..<30 {
        _ = try await store.commit([
          .make("audit/log/\(100 + number)", "\(number)"),
          .init(name: "root/a", value: text("\(number)"), expecting: nil),
        ])
      }
      _ = try await store.commit([.make("audit/fingerprint/a.1", "f")])
      #expect(try await store.auditLog(last: 3) == ["27", "28", "29"].map(text))
      #expect(try await contents(store) == ["root/a": "29"])
      await #expect(throws: StoreError.conflict(["audit/log/105"])) {
        try await store.commit([.make("audit/log/105", "other")])
      }
      await #expect(throws: StoreError.conflict(["audit/fingerprint/a.1"])) {
        try await store.commit([.make("audit/fingerprint/a.1", "g"), .make("member/a", "1")])
      }
      #expect(try await contents(store) == ["root/a": "29"])
    }
  }

  /// Two writers, in etcd two nodes: 10,000 increments of one counter, and none is lost.
  @Test(arguments: Kind.allCases) func racingWriters(kind: Kind) async throws {
    try await Self.with(kind) { store, other in
      _ = try await store.commit([.make("counter/device", "0")])
      let each = 5000
      try await withThrowingTaskGroup(of: Int.self) { group in
        for writer in [store, other] {
          group.addTask {
            var (conflicts, left) = (0, each)
            while left > 0 {
              guard let record = try await writer.load().records["counter/device"], let count = number(record) else {
                throw StoreError.damaged("no counter")
              }
              // In steps, so that it is 10,000 increments and not 10,000 waits for three disks.
              let step = min(left, 10)
              do {
                _ = try await writer.commit([
                  .init(name: "counter/device", value: text("\(count + step)"), expecting: record.version)
                ])
                left -= step
              } catch StoreError.conflict {
                conflicts += 1
              }
            }
            return conflicts
          }
        }
        for try await _ in group {}
      }
      #expect(try await contents(store)["counter/device"] == "\(2 * each)")
    }
  }

  /// A store, and another process's view of the same records; SQLite's file is one process's only.
  private static func with(
    _ kind: Kind, _ body: (any ControllerStore, any ControllerStore) async throws -> Void
  ) async throws {
    switch kind {
    case .sqlite:
      let directory = FileManager.default.temporaryDirectory.appending(path: "keyweave-\(UUID().uuidString)")
      try FileManager.default.createDirectory(at: directory, withIntermediateDirectories: true)
      defer { try? FileManager.default.removeItem(at: directory) }
      let store = try SQLiteStore(path: directory.appending(path: "store").path)
      try await body(store, store)
      await store.close()
    case .etcd:
      try await EtcdCluster.with { cluster in
        let (store, other) = (try EtcdStore(cluster.settings("a")), try EtcdStore(cluster.settings("b")))
        // The right to rotate, which changes of root keys need.
        #expect(await store.mayRotate())
        try await body(store, other)
        await store.close()
        await other.close()
      }
    }
  }
}

func text(_ text: String) -> [UInt8] { Array(text.utf8) }

func number(_ record: StoredRecord) -> Int? { record.value.flatMap { Int(String(decoding: $0, as: UTF8.self)) } }

func contents(_ store: any ControllerStore) async throws -> [String: String] {
  try await store.load().records.mapValues { String(decoding: $0.value ?? [], as: UTF8.self) }
}

extension StoreChange {
  /// A record that must not exist.
  static func make(_ name: String, _ value: String) -> Self { Self(name: name, value: text(value), expecting: 0) }
}
