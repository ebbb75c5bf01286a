internal import Foundation

/// A 64-bit number as protobuf writes it in JSON: in quotation marks, and left out when it is zero.
struct EtcdNumber: Codable, Equatable {
  var value: Int64

  init(_ value: Int64) { self.value = value }

  init(from decoder: any Decoder) throws {
    let container = try decoder.singleValueContainer()
    guard let value = Int64(try container.decode(String.self)) else {
      throw DecodingError.dataCorruptedError(in: container, debugDescription: "expected a number of 64 bits")
    }
    self.value = value
  }

  func encode(to encoder: any Encoder) throws {
    var container = encoder.singleValueContainer()
    try container.encode(String(value))
  }
}

/// etcd's revision counts from 1 and never falls.
struct EtcdHeader: Decodable {
  var revision: EtcdNumber?
}

/// Keys and values travel as base64, which `Data` is in JSON.
struct EtcdKeyValue: Decodable {
  var key: Data
  var value: Data?
  var lease: EtcdNumber?
  var created, modified: EtcdNumber?

  enum CodingKeys: String, CodingKey {
    case key, value, lease
    case created = "create_revision"
    case modified = "mod_revision"
  }
}

struct EtcdRange: Codable {
  var key: Data
  var end: Data?
  var limit: EtcdNumber?
  var revision: EtcdNumber?
  var keysOnly: Bool?
  /// `DESCEND`: the last keys first.
  var order: String?

  enum CodingKeys: String, CodingKey {
    case key, limit, revision
    case end = "range_end"
    case keysOnly = "keys_only"
    case order = "sort_order"
  }
}

struct EtcdRangeAnswer: Decodable {
  var header: EtcdHeader
  var kvs: [EtcdKeyValue]?
  var more: Bool?
}

struct EtcdTransaction: Encodable {
  /// Holds when the key's revision is this one; 0: when the key does not exist.
  struct Comparison: Encodable {
    var key: Data
    /// For all keys from `key` up to this one.
    var end: Data?
    var target: String
    var result = "EQUAL"
    var modified, created: EtcdNumber?

    static func modified(_ key: Data, _ revision: Int64) -> Self {
      Self(key: key, target: "MOD", modified: EtcdNumber(revision))
    }

    static func created(_ key: Data, _ revision: Int64) -> Self {
      Self(key: key, target: "CREATE", created: EtcdNumber(revision))
    }

    /// Holds when no key of the range was changed after the revision.
    static func unchanged(_ range: EtcdKeys.Range, since revision: Int64) -> Self {
      Self(key: range.key, end: range.end, target: "MOD", result: "LESS", modified: EtcdNumber(revision + 1))
    }

    enum CodingKeys: String, CodingKey {
      case key, target, result
      case end = "range_end"
      case modified = "mod_revision"
      case created = "create_revision"
    }
  }

  struct Put: Encodable {
    var key, value: Data
    var lease: EtcdNumber?
  }

  struct Delete: Encodable { var key: Data }

  indirect enum Operation: Encodable {
    case put(Put)
    case delete(Delete)
    case range(EtcdRange)
    /// Within the same revision as everything around it.
    case all([Operation])

    enum CodingKeys: String, CodingKey {
      case put = "request_put"
      case delete = "request_delete_range"
      case range = "request_range"
      case all = "request_txn"
    }

    func encode(to encoder: any Encoder) throws {
      var container = encoder.container(keyedBy: CodingKeys.self)
      switch self {
      case .put(let put): try container.encode(put, forKey: .put)
      case .delete(let delete): try container.encode(delete, forKey: .delete)
      case .range(let range): try container.encode(range, forKey: .range)
      case .all(let operations):
        try container.encode(EtcdTransaction(compare: [], success: operations, failure: []), forKey: .all)
      }
    }
  }

  var compare: [Comparison]
  var success: [Operation]
  var failure: [Operation]
}

struct EtcdTransactionAnswer: Decodable {
  struct Response: Decodable {
    struct Range: Decodable { var kvs: [EtcdKeyValue]? }
    var range: Range?

    enum CodingKeys: String, CodingKey { case range = "response_range" }
  }

  var header: EtcdHeader
  /// Left out when it is false.
  var succeeded: Bool?
  var responses: [Response]?
}

/// A lease that is asked for, kept alive or revoked.
struct EtcdLease: Codable {
  var id: EtcdNumber?
  var seconds: EtcdNumber?

  enum CodingKeys: String, CodingKey {
    case id = "ID"
    case seconds = "TTL"
  }
}

/// An answer on a stream.
struct EtcdStreamed<Content: Decodable & Sendable>: Decodable, Sendable {
  var result: Content?
  var error: EtcdRefusal?
}

struct EtcdWatch: Encodable {
  struct Create: Encodable {
    var key, end: Data
    var start: EtcdNumber
    /// Lets etcd cut long answers, which the gateway would refuse.
    var fragment = true

    enum CodingKeys: String, CodingKey {
      case key, fragment
      case end = "range_end"
      case start = "start_revision"
    }
  }

  var create: Create

  enum CodingKeys: String, CodingKey { case create = "create_request" }
}

struct EtcdWatchAnswer: Decodable {
  struct Event: Decodable {
    /// `DELETE`, or left out for a put.
    var type: String?
    var kv: EtcdKeyValue
  }

  var header: EtcdHeader
  var created, canceled, fragment: Bool?
  /// The watch began before this revision, and what was between is gone.
  var compacted: EtcdNumber?
  var events: [Event]?

  enum CodingKeys: String, CodingKey {
    case header, created, canceled, fragment, events
    case compacted = "compact_revision"
  }
}

struct EtcdCompaction: Encodable {
  var revision: EtcdNumber
  /// Answered when the old values are out of the database, not only unreadable.
  var physical: Bool
}

/// A request with nothing to say in the answer.
struct EtcdAnswer: Decodable { var header: EtcdHeader? }

/// gRPC's status as the gateway writes it; within a stream under other names.
struct EtcdRefusal: Decodable {
  var code, status: Int?
  var message: String?

  enum CodingKeys: String, CodingKey {
    case code, message
    case status = "grpc_code"
  }
}
