import Foundation
import Support
import Testing

import Controller

@Suite struct SQLiteStoreTests {
  private func withStore(_ body: @escaping @Sendable (SQLiteStore, String) async throws -> Void) async throws {
    let directory = FileManager.default.temporaryDirectory.appending(path: "keyweave-\(UUID())")
    try FileManager.default.createDirectory(at: directory, withIntermediateDirectories: true)
    defer { try? FileManager.default.removeItem(at: directory) }
    let path = directory.appending(path: "test.db").path
    let store = try SQLiteStore(path: path)
    try await body(store, path)
    await store.close()
  }

  @Test func aCommitIsAllOrNothing() async throws {
    try await withStore { store, _ in
      let first = try await store.commit([
        StoreChange(name: "root/a", value: [1], expecting: 0), StoreChange(name: "root/b", value: [2], expecting: 0),
      ])
      await #expect(throws: StoreError.conflict(["root/b"])) {
        try await store.commit([
          StoreChange(name: "root/a", value: [3], expecting: first),
          StoreChange(name: "root/b", value: [4], expecting: first - 1),
        ])
      }
      let (records, revision) = try await store.load()
      #expect(revision == first && records["root/a"]?.value == [1] && records["root/b"]?.version == first)
      let second = try await store.commit([StoreChange(name: "root/a", value: nil, expecting: first)])
      #expect(second > first)
      #expect(try await store.load().records.keys.sorted() == ["root/b"])
    }
  }

  @Test func anAuditEntryIsWrittenOnce() async throws {
    try await withStore { store, _ in
      for (name, octet) in [("audit/log/1", UInt8(1)), ("audit/log/2", 2), ("audit/fingerprint/x.1", 3)] {
        _ = try await store.commit([StoreChange(name: name, value: [octet], expecting: 0)])
      }
      await #expect(throws: StoreError.conflict(["audit/fingerprint/x.1"])) {
        try await store.commit([StoreChange(name: "audit/fingerprint/x.1", value: [4], expecting: 0)])
      }
      await #expect(throws: StoreError.conflict(["audit/log/1"])) {
        try await store.commit([StoreChange(name: "audit/log/1", value: nil, expecting: nil)])
      }
      #expect(try await store.load().records.isEmpty)
      #expect(try await store.auditLog(last: 10) == [[1], [2]])
      #expect(try await store.auditLog(last: 1) == [[2]])
    }
  }

  @Test func aFileThatOthersCanReadIsRefused() async throws {
    try await withStore { store, path in
      await store.close()
      try FileManager.default.setAttributes([.posixPermissions: 0o644], ofItemAtPath: path)
      #expect(throws: StoreError.self) { try SQLiteStore(path: path) }
      try FileManager.default.setAttributes([.posixPermissions: 0o600], ofItemAtPath: path)
      await (try SQLiteStore(path: path)).close()
    }
  }
}
