/// One state of the model in a few words of memory: a controller, up to three members, and everything under way.
struct RotationWorld: Hashable {
  /// Numbers of `RotationModel.controllers`: what the controller goes by, and what is durable of it.
  var controller = 0
  var durable = 0
  /// A bit for every (generation, key) that any member was ever offered.
  var offered: UInt16 = 0
  /// Keys made and not committed before the controller died.
  var attempt = 0
  /// What may still happen.
  var revocations = 0
  var rollbacks = 0
  var removals = 0
  /// A revocation has not reached everybody.
  var isDisturbed = false
  var members = Members()

  /// Packed, as millions of them are kept.
  struct Packed: Hashable {
    var common: UInt64
    var first: UInt128
    var second: UInt128
    var third: UInt128

    func hash(into hasher: inout Hasher) {
      var mixed = common &* 0x9e37_79b9_7f4a_7c15
      for word in [first, second, third] {
        mixed = (mixed ^ UInt64(truncatingIfNeeded: word)) &* 0xbf58_476d_1ce4_e5b9
        mixed ^= mixed >> 29
        mixed = (mixed ^ UInt64(truncatingIfNeeded: word >> 64)) &* 0x94d0_49bb_1331_11eb
        mixed ^= mixed >> 32
      }
      hasher.combine(mixed)
    }
  }

  /// Members are alike, so that their order is no difference.
  var packed: Packed {
    var common = UInt64(controller) | UInt64(durable) << 8 | UInt64(offered) << 16 | UInt64(attempt) << 32
    common |= UInt64(revocations) << 36 | UInt64(rollbacks) << 40 | UInt64(removals) << 44
    common |= UInt64(isDisturbed ? 1 : 0) << 48 | UInt64(members.count) << 52
    var bits = (members.first.bits, members.second.bits, members.third.bits)
    if bits.0 < bits.1 { bits = (bits.1, bits.0, bits.2) }
    if bits.1 < bits.2 { bits = (bits.0, bits.2, bits.1) }
    if bits.0 < bits.1 { bits = (bits.1, bits.0, bits.2) }
    return Packed(common: common, first: bits.0, second: bits.1, third: bits.2)
  }

  init() {}

  init(_ packed: Packed) {
    let common = packed.common
    controller = Int(common & 0xff)
    durable = Int(common >> 8 & 0xff)
    offered = UInt16(truncatingIfNeeded: common >> 16)
    attempt = Int(common >> 32 & 15)
    revocations = Int(common >> 36 & 15)
    rollbacks = Int(common >> 40 & 15)
    removals = Int(common >> 44 & 15)
    isDisturbed = common >> 48 & 1 == 1
    members.count = Int(common >> 52 & 3)
    members.first.bits = packed.first
    members.second.bits = packed.second
    members.third.bits = packed.third
  }

  /// Up to three, without memory of their own.
  struct Members: Hashable {
    var count = 0
    var first = Member()
    var second = Member()
    var third = Member()

    var indices: Range<Int> { 0..<count }

    subscript(index: Int) -> Member {
      get { index == 0 ? first : index == 1 ? second : third }
      set {
        switch index {
        case 0: first = newValue
        case 1: second = newValue
        default: third = newValue
        }
      }
    }
  }

  /// Up to two different messages under way to the same place; 0: none.
  struct Messages: Hashable, Sequence, IteratorProtocol {
    var first = 0
    var second = 0

    var count: Int { (first == 0 ? 0 : 1) + (second == 0 ? 0 : 1) }

    mutating func insert(_ message: Int) {
      if first == message || second == message { return }
      if first == 0 { first = message } else { second = message }
      if second != 0, first < second { (first, second) = (second, first) }
    }

    mutating func remove(_ message: Int) {
      if first == message { (first, second) = (second, 0) }
      if second == message { second = 0 }
    }

    mutating func next() -> Int? {
      guard first != 0 else { return nil }
      defer { (first, second) = (second, 0) }
      return first
    }
  }

  struct Member: Hashable {
    var bits: UInt128 = 0

    private subscript(at: Int, width: Int) -> Int {
      get { Int(truncatingIfNeeded: bits >> UInt128(at)) & ((1 << width) - 1) }
      set {
        let mask = (UInt128(1) << UInt128(width) - 1) << UInt128(at)
        bits = bits & ~mask | UInt128(newValue) << UInt128(at)
      }
    }

    /// Numbers of `RotationModel.rotations`: the sealed file, what was in it before, and what the lcores have. Where the
    /// last differs, a new table is on its way to the lcores: some may have it and others not.
    var sealed: Int {
      get { self[0, 8] }
      set { self[0, 8] = newValue }
    }
    var sealedBefore: Int {
      get { self[8, 8] }
      set { self[8, 8] = newValue }
    }
    var table: Int {
      get { self[16, 8] }
      set { self[16, 8] = newValue }
    }
    /// 0: not yet enrolled, 1: authorized, 2: removed.
    var enrolment: Int {
      get { self[24, 2] }
      set { self[24, 2] = newValue }
    }
    /// It has an answer that it got under its lease, which lives: in the sealed file (`isJoining`), and on every lcore.
    var isInContact: Bool {
      get { self[26, 1] == 1 }
      set { self[26, 1] = newValue ? 1 : 0 }
    }
    var isJoining: Bool {
      get { self[44, 1] == 1 }
      set { self[44, 1] = newValue ? 1 : 0 }
    }
    /// The rest of this block is what the controller knows.
    var wasAnswered: Bool {
      get { self[27, 1] == 1 }
      set { self[27, 1] = newValue ? 1 : 0 }
    }
    /// All that the controller knows of it, as a whole.
    var known: UInt128 { bits & 0x3ff_f800_0000 }
    /// 1: it lives, and may end at any time; 0: it ended in this second; -1: there is none.
    var lease: Int {
      get { self[28, 4] - 1 }
      set { self[28, 4] = newValue + 1 }
    }
    var staged: Int {
      get { self[32, 4] }
      set { self[32, 4] = newValue }
    }
    var promoted: Int {
      get { self[36, 4] }
      set { self[36, 4] = newValue }
    }
    /// Seconds since its last new acknowledgement; 1: a second or more.
    var age: Int {
      get { self[40, 2] }
      set { self[40, 2] = newValue }
    }
    /// Polls under way: the acknowledgements in them, 0: none.
    var polls: Messages {
      get { Messages(first: self[48, 9], second: self[57, 9]) }
      set {
        self[48, 9] = newValue.first
        self[57, 9] = newValue.second
      }
    }
    /// Answers under way: the number of the controller's state then, and whether it was under the lease that lives.
    var answers: Messages {
      get { Messages(first: self[66, 10], second: self[76, 10]) }
      set {
        self[66, 10] = newValue.first
        self[76, 10] = newValue.second
      }
    }
    /// Generations of its packets that may be under way.
    var sending: Int {
      get { self[96, 8] }
      set { self[96, 8] = newValue }
    }

    /// The lease is over: polls are refused, and answers count no more as got under it.
    mutating func loseContact() {
      polls = Messages()
      isInContact = false
      isJoining = false
      var before = Messages()
      for answer in answers { before.insert(answer & ~1) }
      answers = before
    }

    static func poll(staged: Int, promoted: Int) -> Int { 256 | staged << 4 | promoted }
    static func answer(_ controller: Int, underLease: Bool) -> Int { 512 | controller << 1 | (underLease ? 1 : 0) }
  }
}
