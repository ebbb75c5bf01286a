internal import Identity
internal import Rotation

/// A root key: its rotation, and its generations' wrapped octets.
struct RootKeyRecord: Codable, Equatable, Sendable {
  struct Stored: Codable, Equatable, Sendable {
    var index: UInt64
    /// Under the wrapping key, in base64url, bound to the ID and the index.
    var wrapped: String
    var fingerprint: Fingerprint
    /// Unix seconds.
    var created, expires: Int64
  }

  /// 32 hex digits.
  var id: String
  var level: String
  var rotation: RotationState
  /// Exactly those of `rotation.generations`.
  var generations: [Stored]
  /// A rotation is under way: what is staged becomes current as soon as it may.
  var isRotating = false
  /// It becomes current although members are missing.
  var isForced = false
  /// No longer in the configuration: nobody is given it.
  var isRetired = false

  func stored(_ index: UInt64) -> Stored? { generations.first { $0.index == index } }

  /// What `wrapped` is bound to.
  static func context(_ id: String, _ index: UInt64) -> String { "root key \(id) generation \(index)" }
}

/// Who is let in, and to what.
struct MemberRecord: Codable, Equatable, Sendable {
  var pins: [PublicKeyPin]
  var rootKeys: [String]
  /// Every root key of which it may know a generation.
  var known: [String]
  var pool: String?
  var assignment: Assignment?
}

/// A member's instance: whoever shows the token of the last swap.
struct LeaseRecord: Codable, Equatable, Sendable {
  /// Shown next; nothing after a release.
  var token: String?
  /// What was shown when `token` was set.
  var shown: String?
  /// Milliseconds since 1970: of the last swap, and when it ends.
  var swapped: Int64
  var expires: Int64
  /// A poll was answered since the lease began.
  var isAnswered = false
  var problem: String?
  /// An administrator lets the next instance in, whatever it shows.
  var isReset = false
}

/// What a member holds, as it said itself.
struct AcknowledgementRecord: Codable, Equatable, Sendable {
  struct Entry: Codable, Equatable, Sendable {
    var staged, promoted: UInt64
    /// Milliseconds since 1970, when it last said something new.
    var at: Int64
  }

  /// By the root key's ID.
  var entries: [String: Entry]
  var problem: String?
}

/// When a number may be handed on (wire format, section 4).
struct Quarantine: Codable, Equatable, Sendable {
  /// Milliseconds since 1970: its holder released it, and three epochs have passed then. Nothing: it was taken away.
  var until: Int64?
  /// By root key: the newest generation that the holder may know. All must be erased.
  var generations: [String: UInt64]

  func isOver(at time: Int64, roots: (String) -> RootKeyRecord?) -> Bool {
    if let until, time >= until { return true }
    guard !generations.isEmpty else { return false }
    return generations.allSatisfy { name, newest in roots(name).map { $0.rotation.floor > newest } ?? false }
  }
}

/// The members and outside clients that share a device ID.
struct PoolRecord: Codable, Equatable, Sendable {
  struct Holder: Codable, Equatable, Sendable {
    /// SPIFFE ID; nothing in quarantine.
    var id: String?
    var quarantine: Quarantine?
  }

  static let memberNumbers: Range<UInt32> = 0..<64
  /// A client's number has 31 bits, 12 of them below its slot. Slot 0 would hold the prefix's network address, which no
  /// host can have.
  static let slotNumbers: Range<UInt32> = 1..<1 << 19

  var deviceID: String
  var members: [UInt32: Holder] = [:]
  var slots: [UInt32: Holder] = [:]
  var changes: UInt64 = 0

  /// The lowest number that nobody has or may still use.
  static func free(
    _ holders: [UInt32: Holder], of numbers: Range<UInt32>, at time: Int64, roots: (String) -> RootKeyRecord?
  ) -> UInt32? {
    numbers.prefix(holders.count + 1).first { number in
      guard let holder = holders[number] else { return true }
      return holder.id == nil && holder.quarantine?.isOver(at: time, roots: roots) ?? true
    }
  }
}

struct ClientStored: Codable, Equatable, Sendable {
  var pins: [PublicKeyPin]
  var pool: String
  var address: String
  var slot: UInt32
}

struct CounterRecord: Codable, Equatable, Sendable {
  /// The next number that was never given; nothing when all were.
  var next: UInt32?
}

/// Rises with every change of who is connected and of what is current: two nodes cannot miss each other's.
struct GateRecord: Codable, Equatable, Sendable {
  var count: UInt64 = 0
}
