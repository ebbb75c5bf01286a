internal import Glibc

/// The counter record as a file of mode 0600, with `PATH.lock` beside it for the exclusive lock and the witness.
///
/// The lock is on the lock file, which nobody restores from a backup, and on the record too, for whoever looks there.
package final class RecordFile: RecordMedium {
  private let path: String
  private let directory: String
  private let lock: Int32
  private let record: Int32
  private var isNameDurable = false

  /// In the lock file: 0 the witness (40 octets), 40 the holder's process ID (8).
  private static let witnessSize = 40

  /// Opens or creates both files and takes the lock, which the process keeps until this object or the process goes.
  package init(path: String) throws(RecordError) {
    self.path = path
    directory = path.lastIndex(of: "/").map { $0 == path.startIndex ? "/" : String(path[..<$0]) } ?? "."
    guard access(directory, F_OK) == 0 else { throw .missingDirectory(path: path, directory: directory) }
    lock = try Self.openLocked(path + ".lock", of: path)
    do throws(RecordError) {
      record = try Self.openLocked(path, of: path)
    } catch {
      close(lock)
      throw error
    }
    var process = UInt64(getpid()).bigEndian
    pwrite(lock, &process, 8, off_t(Self.witnessSize))
  }

  deinit {
    close(record)
    close(lock)
  }

  private static func openLocked(_ file: String, of path: String) throws(RecordError) -> Int32 {
    // Again when the file was replaced between opening and locking it: a lock on a file without a name locks nobody
    // out.
    for _ in 0..<16 {
      let handle = open(file, O_RDWR | O_CREAT | O_CLOEXEC, 0o600)
      guard handle >= 0 else { throw failure("open", file) }
      guard flock(handle, LOCK_EX | LOCK_NB) == 0 else {
        let code = errno
        var process: UInt64 = 0
        if file != path { pread(handle, &process, 8, off_t(witnessSize)) }
        close(handle)
        guard code == EWOULDBLOCK else { throw failure("lock", file, code) }
        throw .locked(path: path, process: UInt64(bigEndian: process))
      }
      if leads(file, to: handle) { return handle }
      close(handle)
    }
    throw .replaced(path: path)
  }

  private static func leads(_ path: String, to file: Int32) -> Bool {
    var named = stat()
    var held = stat()
    return stat(path, &named) == 0 && fstat(file, &held) == 0 && named.st_ino == held.st_ino
      && named.st_dev == held.st_dev
  }

  package func readRecord() throws(RecordError) -> [UInt8] {
    // One octet more than a record has shows a file that is something else.
    try read(record, count: 2 * CounterRecord.slotSize + 1)
  }

  package func writeRecord(_ slot: [UInt8], at offset: Int) throws(RecordError) {
    try write(record, slot, at: offset)
  }

  package func syncRecord() throws(RecordError) {
    guard fdatasync(record) == 0 else { throw Self.failure("sync", path) }
    guard !isNameDurable else { return }
    let folder = open(directory, O_RDONLY | O_DIRECTORY | O_CLOEXEC)
    guard folder >= 0 else { throw Self.failure("sync the directory of", path) }
    defer { close(folder) }
    guard fsync(folder) == 0 else { throw Self.failure("sync the directory of", path) }
    isNameDurable = true
  }

  package func stamp() throws(RecordError) -> RecordStamp {
    guard Self.leads(path, to: record) else { throw .replaced(path: path) }
    var status = stat()
    guard fstat(record, &status) == 0 else { throw Self.failure("read", path) }
    return RecordStamp(
      inode: UInt64(status.st_ino), changeSeconds: UInt64(bitPattern: Int64(status.st_ctim.tv_sec)),
      changeNanoseconds: UInt64(bitPattern: Int64(status.st_ctim.tv_nsec)))
  }

  package func readWitness() throws(RecordError) -> [UInt8] { try read(lock, count: Self.witnessSize) }

  package func writeWitness(_ octets: [UInt8]) throws(RecordError) { try write(lock, octets, at: 0) }

  private func read(_ file: Int32, count: Int) throws(RecordError) -> [UInt8] {
    var octets = [UInt8](repeating: 0, count: count)
    let found = pread(file, &octets, count, 0)
    guard found >= 0 else { throw Self.failure("read", path) }
    return Array(octets.prefix(found))
  }

  private func write(_ file: Int32, _ octets: [UInt8], at offset: Int) throws(RecordError) {
    let written = pwrite(file, octets, octets.count, off_t(offset))
    guard written == octets.count else { throw Self.failure("write", path, written < 0 ? errno : ENOSPC) }
  }

  private static func failure(_ operation: String, _ path: String, _ code: Int32 = errno) -> RecordError {
    .system(operation: operation, path: path, reason: String(cString: strerror(code)))
  }
}

/// What the system knows and tests replace.
package enum NodeSystem {
  /// The kernel's boot ID, 16 octets; empty when it cannot be read, which is like another boot at every start.
  package static func bootID() -> [UInt8] {
    let file = open("/proc/sys/kernel/random/boot_id", O_RDONLY | O_CLOEXEC)
    guard file >= 0 else { return [] }
    defer { close(file) }
    var text = [UInt8](repeating: 0, count: 36)
    guard read(file, &text, 36) == 36 else { return [] }
    let digits = text.compactMap(SecretKey.hexDigit)
    guard digits.count == 32 else { return [] }
    return (0..<16).map { digits[2 * $0] << 4 | digits[2 * $0 + 1] }
  }

  /// Milliseconds since the machine was started, suspended or not: nobody can set it.
  package static func sinceBoot() -> Int64 {
    var now = timespec()
    clock_gettime(CLOCK_BOOTTIME, &now)
    return Int64(now.tv_sec) * 1000 + Int64(now.tv_nsec) / 1_000_000
  }

  /// The clock in Unix seconds.
  package static func clock() -> UInt64 { UInt64(max(time(nil), 0)) }
}
