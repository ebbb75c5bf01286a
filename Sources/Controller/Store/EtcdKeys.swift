internal import Foundation

/// Where things are in etcd, under the controller's prefix: `records/NAME`, `audit/NAME`, `writer/NODE`, `rotation`.
struct EtcdKeys: Sendable {
  struct Range: Sendable {
    var key, end: Data

    /// All keys that begin with `prefix`, whose last octet is below 0xFF.
    init(prefix: String) {
      key = Data(prefix.utf8)
      end = key
      if let last = end.popLast() { end.append(last &+ 1) }
    }
  }

  /// Ends with a stroke.
  let prefix: String
  /// What this node wrote last: every commit compares and puts it.
  let writer: Data
  /// Exists while a node may rotate, bound to its lease; the value is the node's name.
  let rotation: Data

  init(_ settings: EtcdSettings) {
    prefix = settings.prefix.hasSuffix("/") ? settings.prefix : settings.prefix + "/"
    writer = Data((prefix + "writer/" + settings.node).utf8)
    rotation = Data((prefix + "rotation").utf8)
  }

  var all: Range { Range(prefix: prefix) }
  var records: Range { Range(prefix: prefix + "records/") }
  var writers: Range { Range(prefix: prefix + "writer/") }

  /// The audit log is apart from what `load` reads.
  func key(_ name: String) -> Data {
    Data((prefix + (name.hasPrefix(EtcdStore.auditPrefix) ? "" : "records/") + name).utf8)
  }

  func audit(_ names: String) -> Range { Range(prefix: prefix + names) }

  /// Nil for a key that is not a record's.
  func name(_ key: Data) throws(StoreError) -> String? {
    let records = Data((prefix + "records/").utf8)
    guard key.starts(with: records) else { return nil }
    guard let name = String(bytes: key.dropFirst(records.count), encoding: .utf8) else {
      throw .damaged("found a key under \(prefix)records/ that is not UTF-8, expected only this controller's")
    }
    return name
  }

  /// A key-value pair as a record; nil for one that is not.
  func record(_ pair: EtcdKeyValue, deleted: Bool = false, at revision: Int64) throws(StoreError) -> StoredRecord? {
    guard let name = try name(pair.key) else { return nil }
    return StoredRecord(
      name: name, value: deleted ? nil : [UInt8](pair.value ?? Data()),
      version: deleted ? 0 : UInt64(clamping: pair.modified?.value ?? 0), revision: UInt64(clamping: revision))
  }
}
