import Keys

/// A disk with a page cache: what is written is seen at once, and outlasts a loss of power only when it was synced.
final class SimulatedDisk {
  struct File: Equatable {
    var octets: [UInt8] = []
    var inode: UInt64
    var changed: UInt64 = 0
  }

  struct Content: Equatable {
    var record: File?
    var witness: [UInt8] = []
  }

  /// What a running system sees, and what lies on the platters.
  var cached = Content()
  var durable = Content()
  var bootID = Array(repeating: UInt8(1), count: 16)
  private var lastInode: UInt64 = 1
  private var ticks: UInt64 = 1

  /// The process ends at this write or sync, counted from 1.
  var diesAt: Int?
  private(set) var steps = 0
  var failsToSync = false
  var failsToWrite = false

  /// Set when the process has died: what it does after is not done.
  private(set) var isDead = false

  func opened() -> Medium {
    steps = 0
    isDead = false
    if cached.record == nil { cached.record = newFile([]) }
    return Medium(self)
  }

  private func newFile(_ octets: [UInt8]) -> File {
    lastInode += 1
    ticks += 1
    return File(octets: octets, inode: lastInode, changed: ticks)
  }

  /// The record as a copy that somebody puts back later, into the same file or as a new one.
  func putBack(_ octets: [UInt8]?, asNewFile: Bool) {
    guard let octets else {
      cached.record = nil
      return
    }
    if asNewFile || cached.record == nil {
      cached.record = newFile(octets)
    } else {
      ticks += 1
      cached.record?.octets = octets
      cached.record?.changed = ticks
    }
  }

  /// Power goes: what was not synced is there, is not, or is there in part.
  func losePower(random: () -> UInt64) {
    let unsynced = cached.record?.octets ?? []
    var kept = durable.record?.octets ?? []
    if random() % 2 == 0 {
      // A torn write: sectors of the old and the new in any mix of 64-octet pieces.
      kept += Array(repeating: 0, count: max(0, unsynced.count - kept.count))
      for piece in 0..<unsynced.count / 64 where random() % 2 == 0 {
        kept.replaceSubrange(piece * 64..<piece * 64 + 64, with: unsynced[piece * 64..<piece * 64 + 64])
      }
    }
    // A new inode, as nothing of the stamp may be believed after a boot.
    cached.record = durable.record == nil && kept.isEmpty ? nil : newFile(kept)
    if random() % 2 == 0 { cached.witness = durable.witness }
    durable = cached
    boot()
  }

  /// An orderly reboot.
  func reboot() {
    durable = cached
    boot()
  }

  private func boot() {
    for index in bootID.indices.reversed() {
      bootID[index] &+= 1
      if bootID[index] != 0 { break }
    }
  }

  /// Whether the step is done; a process that dies stays dead.
  private func step() -> Bool {
    steps += 1
    if steps == diesAt { isDead = true }
    return !isDead
  }

  final class Medium: RecordMedium {
    private let disk: SimulatedDisk
    private let inode: UInt64?

    fileprivate init(_ disk: SimulatedDisk) {
      self.disk = disk
      inode = disk.cached.record?.inode
    }

    private static let dead = RecordError.system(operation: "write", path: "r", reason: "killed")

    func readRecord() throws(RecordError) -> [UInt8] { disk.cached.record?.octets ?? [] }

    func writeRecord(_ slot: [UInt8], at offset: Int) throws(RecordError) {
      guard disk.step() else { throw Self.dead }
      guard !disk.failsToWrite else { throw .system(operation: "write", path: "r", reason: "no space") }
      guard disk.cached.record?.inode == inode else { return }
      var octets = disk.cached.record?.octets ?? []
      octets += Array(repeating: 0, count: max(0, offset + slot.count - octets.count))
      octets.replaceSubrange(offset..<offset + slot.count, with: slot)
      disk.ticks += 1
      disk.cached.record?.octets = octets
      disk.cached.record?.changed = disk.ticks
    }

    func syncRecord() throws(RecordError) {
      guard disk.step() else { throw Self.dead }
      guard !disk.failsToSync else { throw .system(operation: "sync", path: "r", reason: "I/O error") }
      if disk.cached.record?.inode == inode { disk.durable.record = disk.cached.record }
    }

    func stamp() throws(RecordError) -> RecordStamp {
      guard let record = disk.cached.record, record.inode == inode else { throw .replaced(path: "r") }
      return RecordStamp(inode: record.inode, changeSeconds: record.changed, changeNanoseconds: 0)
    }

    func readWitness() throws(RecordError) -> [UInt8] { disk.cached.witness }

    func writeWitness(_ octets: [UInt8]) throws(RecordError) {
      guard disk.step() else { throw Self.dead }
      disk.cached.witness = octets
    }
  }
}
