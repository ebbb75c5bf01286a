import Foundation
import Keys
import Testing

@Suite struct RecordFileTests {
  private let folder: URL
  private var path: String { folder.appending(path: "node.record").path }

  init() throws {
    folder = FileManager.default.temporaryDirectory.appending(path: "keyweave-\(UUID().uuidString)")
    try FileManager.default.createDirectory(at: folder, withIntermediateDirectories: true)
  }

  private func keeper(at clock: UInt64 = 1_200_000) throws -> RecordKeeper {
    try RecordKeeper(medium: RecordFile(path: path), path: path, periods: [600], clock: clock)
  }

  private func run(_ body: () throws -> Void) throws {
    defer { try? FileManager.default.removeItem(at: folder) }
    try body()
  }

  @Test func firstStartThenContinues() throws {
    try run {
      #expect(try keeper().start == .first)
      for _ in 0..<20 { #expect(try keeper().start == .continued) }
      for file in [path, path + ".lock"] {
        let mode = try FileManager.default.attributesOfItem(atPath: file)[.posixPermissions] as? Int
        #expect(mode == 0o600)
      }
      #expect(try Data(contentsOf: URL(filePath: path)).count == 1024)
    }
  }

  @Test func onlyOneMayHaveIt() throws {
    try run {
      let holder = try RecordFile(path: path)
      let error = try #require(throws: RecordError.self) { try RecordFile(path: path) }
      #expect(error == .locked(path: path, process: UInt64(getpid())))
      #expect(error.description.contains("process \(getpid()) seals with the identity"))
      withExtendedLifetime(holder) {}
    }
  }

  @Test func aLockedRecordIsNotTakenEvenWithoutItsLockFile() throws {
    try run {
      let holder = try RecordFile(path: path)
      try FileManager.default.removeItem(atPath: path + ".lock")
      let error = try #require(throws: RecordError.self) { try RecordFile(path: path) }
      #expect(error == .locked(path: path, process: 0))
      withExtendedLifetime(holder) {}
    }
  }

  @Test func theLockEndsWithItsHolder() throws {
    try run {
      _ = try RecordFile(path: path)
      _ = try RecordFile(path: path)
    }
  }

  /// Copied into the file, over it, or with the lock file together: an old record is never taken for the last one.
  @Test(arguments: ["write", "replace", "both", "touch"])
  func anOldRecordPutBackIsSeen(way: String) throws {
    try run {
      _ = try keeper()
      let record = try Data(contentsOf: URL(filePath: path))
      let lock = try Data(contentsOf: URL(filePath: path + ".lock"))
      #expect(try keeper(at: 1_201_000).start == .continued)
      func overwrite(_ path: String, _ data: Data) throws {
        let handle = try FileHandle(forWritingTo: URL(filePath: path))
        try handle.write(contentsOf: data)
        try handle.close()
      }
      // The kernel's file times have the step of its tick.
      usleep(20_000)
      switch way {
      case "write": try overwrite(path, record)
      case "replace":
        try FileManager.default.removeItem(atPath: path)
        try record.write(to: URL(filePath: path))
      case "both":
        try overwrite(path, record)
        try overwrite(path + ".lock", lock)
      default: try overwrite(path, try Data(contentsOf: URL(filePath: path)))
      }
      #expect(try keeper(at: 1_201_000).start == .putBack)
    }
  }

  @Test func aRecordDeletedWhileInUseStopsSealing() throws {
    try run {
      let keeper = try keeper()
      try FileManager.default.removeItem(atPath: path)
      keeper.tick(clock: 1_201_000)
      #expect(keeper.problem == .replaced(path: path))
    }
  }

  @Test func saysWhatToDoAboutAMissingDirectory() throws {
    try run {
      let missing = folder.appending(path: "none/node.record").path
      let error = try #require(throws: RecordError.self) { try RecordFile(path: missing) }
      #expect(error.description.contains("`mkdir -p \(folder.path)/none`"))
    }
  }

  @Test func saysWhatTheSystemSaid() throws {
    try run {
      let error = try #require(throws: RecordError.self) { try RecordFile(path: folder.path) }
      #expect(error.description.contains("cannot open the counter record"))
    }
  }

  @Test func readsTheBootID() throws {
    let text = try String(contentsOfFile: "/proc/sys/kernel/random/boot_id", encoding: .utf8)
    let digits = NodeSystem.bootID().map { ($0 < 16 ? "0" : "") + String($0, radix: 16) }.joined()
    #expect(digits == text.filter(\.isHexDigit))
    #expect(abs(Double(NodeSystem.clock()) - Date().timeIntervalSince1970) < 2)
  }
}
