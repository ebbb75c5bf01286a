internal import Foundation
internal import GRDB
internal import Glibc

/// The embedded store: one SQLite file with a write-ahead log, for one process at a time.
package final class SQLiteStore: ControllerStore {
  private static let schema = 1
  private let path: String
  private let queue: DatabaseQueue

  /// Opens the file, or makes it with mode 600.
  package init(path: String) throws(StoreError) {
    self.path = path
    let descriptor = Glibc.open(path, O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0o600)
    guard descriptor >= 0 else { throw .unavailable("\(path): \(String(cString: strerror(errno)))") }
    Glibc.close(descriptor)
    let attributes = try? FileManager.default.attributesOfItem(atPath: path)
    let mode = (attributes?[.posixPermissions] as? Int ?? 0o777) & 0o777
    guard mode & 0o077 == 0 else {
      throw .unavailable("\(path): found mode \(String(mode, radix: 8)), expected 600; run: chmod 600 \(path)")
    }
    do {
      queue = try Self.open(path)
    } catch let error as DatabaseError where error.resultCode == .SQLITE_BUSY {
      throw .unavailable("\(path): found another process that uses it, expected none; stop the other controller")
    } catch let error as StoreError {
      throw error
    } catch {
      throw .damaged("\(path): \(error)")
    }
  }

  private static func open(_ path: String) throws -> DatabaseQueue {
    var configuration = Configuration()
    configuration.journalMode = .wal
    configuration.busyMode = .immediateError
    configuration.prepareDatabase { database in
      // Before the first access, so that no second process ever shares the file.
      try database.execute(
        sql: "PRAGMA locking_mode = EXCLUSIVE; PRAGMA secure_delete = ON; PRAGMA trusted_schema = OFF")
    }
    let queue = try DatabaseQueue(path: path, configuration: configuration)
    // GRDB sets NORMAL for a write-ahead log after `prepareDatabase`: a commit would not be on the disk yet.
    try queue.writeWithoutTransaction { database in
      try database.execute(sql: "PRAGMA synchronous = FULL")
      let synchronous = try Int.fetchOne(database, sql: "PRAGMA synchronous")
      let isSecure = try Int.fetchOne(database, sql: "PRAGMA secure_delete")
      let mode = try String.fetchOne(database, sql: "PRAGMA journal_mode")
      guard synchronous == 2, isSecure == 1, mode == "wal" else {
        throw StoreError.unavailable("\(path): this SQLite does not take synchronous FULL, secure_delete and WAL")
      }
      guard try String.fetchOne(database, sql: "PRAGMA quick_check(1)") == "ok" else {
        throw StoreError.damaged("\(path): SQLite's check fails; restore the newest copy, then rotate every root key")
      }
    }
    try queue.write(migrate)
    try queue.writeWithoutTransaction { try $0.execute(sql: "PRAGMA wal_checkpoint(TRUNCATE)") }
    return queue
  }

  private static func migrate(_ database: Database) throws {
    let found = try Int.fetchOne(database, sql: "PRAGMA user_version") ?? 0
    guard found != schema else { return }
    guard found == 0 else {
      throw StoreError.damaged("found a file of format \(found), expected \(schema); use the keyweave that wrote it")
    }
    try database.execute(
      sql: """
        CREATE TABLE records (name TEXT PRIMARY KEY, value BLOB NOT NULL, version INTEGER NOT NULL) WITHOUT ROWID;
        CREATE TABLE revision (only INTEGER PRIMARY KEY CHECK (only = 1), number INTEGER NOT NULL);
        INSERT INTO revision VALUES (1, 0);
        CREATE TABLE audit (sequence INTEGER PRIMARY KEY AUTOINCREMENT, name TEXT NOT NULL UNIQUE, value BLOB NOT NULL);
        CREATE TRIGGER audit_never_changed BEFORE UPDATE ON audit
          BEGIN SELECT RAISE(ABORT, 'the audit log is append-only'); END;
        CREATE TRIGGER audit_never_deleted BEFORE DELETE ON audit
          BEGIN SELECT RAISE(ABORT, 'the audit log is append-only'); END;
        CREATE TRIGGER audit_never_replaced BEFORE INSERT ON audit
          WHEN EXISTS (SELECT 1 FROM audit WHERE name = NEW.name OR sequence = NEW.sequence)
          BEGIN SELECT RAISE(ABORT, 'the audit log is append-only'); END;
        PRAGMA user_version = \(schema);
        """)
  }

  package func load() async throws(StoreError) -> (records: [String: StoredRecord], revision: UInt64) {
    try await access { queue in
      try await queue.read { database in
        let revision = try Self.revision(database)
        var records: [String: StoredRecord] = [:]
        let rows = try Row.fetchCursor(database, sql: "SELECT name, value, version FROM records")
        while let row = try rows.next() {
          let name: String = row[0]
          let value: Data = row[1]
          let version: Int64 = row[2]
          records[name] = StoredRecord(
            name: name, value: Array(value), version: UInt64(version), revision: revision)
        }
        return (records, revision)
      }
    }
  }

  package func commit(_ changes: [StoreChange]) async throws(StoreError) -> UInt64 {
    try await access { queue in
      try await queue.write { database in
        let revision = try Self.revision(database) + 1
        var conflicts: [String] = []
        for change in changes where try !Self.make(change, revision, database) { conflicts.append(change.name) }
        guard conflicts.isEmpty else { throw StoreError.conflict(conflicts) }
        try database.cachedStatement(sql: "UPDATE revision SET number = ?").execute(arguments: [Int64(revision)])
        return revision
      }
    }
  }

  private static func revision(_ database: Database) throws -> UInt64 {
    UInt64(try Int64.fetchOne(database, sql: "SELECT number FROM revision") ?? 0)
  }

  /// - Returns: false when the record is not at the version expected.
  private static func make(_ change: StoreChange, _ revision: UInt64, _ database: Database) throws -> Bool {
    if change.name.hasPrefix(auditPrefix) {
      guard let value = change.value else { return false }
      let known = try database.cachedStatement(sql: "SELECT count(*) FROM audit WHERE name = ?")
      guard try Int.fetchOne(known, arguments: [change.name]) == 0 else { return false }
      try database.cachedStatement(sql: "INSERT INTO audit (name, value) VALUES (?, ?)")
        .execute(arguments: [change.name, Data(value)])
      return true
    }
    if let expected = change.expecting {
      let known = try database.cachedStatement(sql: "SELECT version FROM records WHERE name = ?")
      guard try Int64.fetchOne(known, arguments: [change.name]) ?? 0 == Int64(expected) else { return false }
    }
    if let value = change.value {
      try database.cachedStatement(sql: "INSERT OR REPLACE INTO records (name, value, version) VALUES (?, ?, ?)")
        .execute(arguments: [change.name, Data(value), Int64(revision)])
    } else {
      try database.cachedStatement(sql: "DELETE FROM records WHERE name = ?").execute(arguments: [change.name])
    }
    return true
  }

  package func changes(after revision: UInt64) -> AsyncThrowingStream<[StoredRecord], any Error> {
    AsyncThrowingStream { _ in }
  }

  package func mayRotate() async -> Bool { true }

  /// Old values are overwritten in the file (secure_delete) and leave the write-ahead log when it is cut to nothing.
  package func purge() async throws(StoreError) {
    try await access { queue in
      try await queue.writeWithoutTransaction { try $0.execute(sql: "PRAGMA wal_checkpoint(TRUNCATE)") }
    }
  }

  package func auditLog(last count: Int) async throws(StoreError) -> [[UInt8]] {
    try await access { queue in
      try await queue.read { database in
        try Data.fetchAll(
          database,
          sql: """
            SELECT value FROM (SELECT sequence, value FROM audit WHERE name >= ? AND name < ? ORDER BY sequence DESC LIMIT ?)
            ORDER BY sequence
            """, arguments: [Self.auditLogPrefix, Self.auditLogPrefix + "~", count]
        ).map { Array($0) }
      }
    }
  }

  package func close() async { try? queue.close() }

  private func access<Result: Sendable>(
    _ body: (DatabaseQueue) async throws -> Result
  ) async throws(StoreError) -> Result {
    do {
      return try await body(queue)
    } catch let error as StoreError {
      throw error
    } catch let error as DatabaseError where [.SQLITE_CORRUPT, .SQLITE_NOTADB].contains(error.resultCode) {
      throw .damaged("\(path): \(error.message ?? "SQLite finds it damaged")")
    } catch {
      throw .unavailable("\(path): \(error)")
    }
  }
}
