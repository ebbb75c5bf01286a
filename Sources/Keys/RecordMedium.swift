/// Where the counter record lies: one file with two slots, and beside it a lock file that also keeps the witness.
///
/// Its holder has the exclusive lock as long as it lives. Tests put a simulated disk in its place.
package protocol RecordMedium: AnyObject {
  /// The record's file, whole; empty when there was none.
  func readRecord() throws(RecordError) -> [UInt8]
  func writeRecord(_ slot: [UInt8], at offset: Int) throws(RecordError)
  /// Returns when everything written, and the file's name, outlasts a loss of power.
  func syncRecord() throws(RecordError)
  /// Tells this state of the file from any that is put back later; throws when the path no longer leads to the file.
  func stamp() throws(RecordError) -> RecordStamp
  /// Empty when there was none.
  func readWitness() throws(RecordError) -> [UInt8]
  func writeWitness(_ octets: [UInt8]) throws(RecordError)
}

/// A file's inode and status-change time: the kernel sets the latter, so nobody who restores a file can give it the old
/// one.
package struct RecordStamp: Equatable, Sendable {
  package var inode: UInt64
  package var changeSeconds: UInt64
  package var changeNanoseconds: UInt64

  package init(inode: UInt64, changeSeconds: UInt64, changeNanoseconds: UInt64) {
    self.inode = inode
    self.changeSeconds = changeSeconds
    self.changeNanoseconds = changeNanoseconds
  }
}

/// Why the record cannot be used or written. Operator text, with what to do.
package enum RecordError: Error, Equatable, Sendable, CustomStringConvertible {
  case missingDirectory(path: String, directory: String)
  case locked(path: String, process: UInt64)
  case notARecord(path: String)
  case replaced(path: String)
  case system(operation: String, path: String, reason: String)

  package var description: String {
    switch self {
    case .missingDirectory(let path, let directory):
      "the counter record \(path) has no directory: `mkdir -p \(directory)`, or name another path under identity.record"
    case .locked(let path, let process):
      "\(process == 0 ? "another process" : "process \(process)") seals with the identity of \(path), and only one may: "
        + "stop it, or give this gateway an identity and a record of its own"
    case .notARecord(let path):
      "\(path) is not a counter record and is left as it is: name another path under identity.record, or move it away"
    case .replaced(let path):
      "the counter record \(path) was moved or deleted while in use, so sealing stopped: restart the gateway"
    case .system(let operation, let path, let reason):
      "cannot \(operation) the counter record \(path): \(reason); sealing needs it, so mend the disk or name another path"
    }
  }
}
