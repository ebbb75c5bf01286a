internal import Keys
internal import Synchronization

/// The two calls of replay protection: `look` before a packet's tag is verified, which changes nothing; `mark` after it.
extension ReplayView {
  /// Late or a duplicate, as far as can be told now; of a sender without a window yet every packet is the first.
  @inline(__always)
  package func look(_ subject: inout ReplaySubject) -> ReplayVerdict {
    guard let place = find(subject) else { return .first }
    subject.place = place
    let head = place[1].load(ordering: .acquiring)
    guard head >> 37 == subject.deadline else { return .first }
    guard let behind = Self.behind(head, subject) else { return .first }
    guard behind < subject.window else { return .late }
    let (word, label, bit) = position(of: subject, in: place)
    let found = word.pointee.load(ordering: .acquiring)
    return found ^ label < 1 << 32 && found & bit != 0 ? .duplicate : .first
  }

  /// Enters an authenticated packet. Of all lcores that mark the same packet, exactly one is told `first`.
  @inline(__always)
  package func mark(_ subject: ReplaySubject) -> ReplayVerdict {
    var place = subject.place
    if place == nil {
      let entered = enter(subject)
      guard entered.verdict == .first else { return entered.verdict }
      place = entered.place
    }
    guard let place, advance(place + 1, to: subject) else { return .late }
    let (word, label, bit) = position(of: subject, in: place)
    var found = word.pointee.load(ordering: .acquiring)
    while true {
      var wanted = label | bit
      if found ^ label < 1 << 32 {
        guard found & bit == 0 else { return .duplicate }
        wanted |= found
      } else {
        // An older block's, or what a former sender left. If it were a newer block's, its head had moved before.
        let head = place[1].load(ordering: .acquiring)
        guard head >> 37 == subject.deadline, let behind = Self.behind(head, subject), behind < subject.window else {
          return .late
        }
      }
      let swap = word.pointee.weakCompareExchange(
        expected: found, desired: wanted, ordering: .acquiringAndReleasing)
      if swap.exchanged { return .first }
      found = swap.original
    }
  }

  // MARK: Inside a window

  /// How far a sequence lies behind the head, mod 2^37; nil when it is ahead.
  @inline(__always)
  private static func behind(_ head: UInt64, _ subject: ReplaySubject) -> UInt64? {
    let distance = (head &- subject.sequence) & ReplayTable.low
    return distance <= ReplayTable.low >> 1 ? distance : nil
  }

  /// The word of a sequence's block, how the word begins when it is that block's, and the sequence's bit.
  @inline(__always)
  private func position(
    of subject: ReplaySubject, in place: UnsafeMutablePointer<ReplayTable.Word>
  ) -> (word: UnsafeMutablePointer<ReplayTable.Word>, label: UInt64, bit: UInt64) {
    let block = subject.sequence >> 5
    return (
      place + (2 &+ Int(truncatingIfNeeded: block & wordMask)),
      UInt64(UInt32(truncatingIfNeeded: block) &+ subject.salt) << 32, 1 << (subject.sequence & 31)
    )
  }

  /// Moves the head up to the sequence, or starts it there; false when the sequence is late, or the place another sender's by
  /// now.
  @inline(__always)
  private func advance(_ head: UnsafeMutablePointer<ReplayTable.Word>, to subject: ReplaySubject) -> Bool {
    var found = head.pointee.load(ordering: .acquiring)
    while true {
      guard found >> 37 <= subject.deadline else { return false }
      if found >> 37 == subject.deadline, let behind = Self.behind(found, subject) { return behind < subject.window }
      let swap = head.pointee.weakCompareExchange(
        expected: found, desired: subject.deadline << 37 | subject.sequence, ordering: .acquiringAndReleasing)
      if swap.exchanged { return true }
      found = swap.original
    }
  }

  // MARK: Finding and entering

  @inline(__always)
  private func find(_ subject: ReplaySubject) -> UnsafeMutablePointer<ReplayTable.Word>? {
    for probe in 0..<probes {
      let first = bucket(subject, probe) &* ReplayShape.ways
      for way in first..<first &+ ReplayShape.ways {
        let name = names[way].load(ordering: .acquiring)
        if name == subject.name {
          let place = places + way &* stride
          if place[0].load(ordering: .acquiring) == subject.check { return place }
        } else if name >> 37 <= subject.free {
          return nil
        }
      }
    }
    return nil
  }

  /// The sender's window, or the first free place of the search, which becomes it.
  @inline(never)
  private func enter(
    _ subject: ReplaySubject
  ) -> (verdict: ReplayVerdict, place: UnsafeMutablePointer<ReplayTable.Word>?) {
    var siblings = 0
    for probe in 0..<probes {
      let first = bucket(subject, probe) &* ReplayShape.ways
      for way in first..<first &+ ReplayShape.ways {
        guard take(names + way, subject) else { continue }
        let place = places + way &* stride
        if confirm(place, subject) { return (.first, place) }
        // A client's windows all have one name.
        siblings &+= 1
        if subject.isClient, siblings == ReplayTable.windowsPerConnection { return (.connectionFull, nil) }
      }
    }
    return (.tableFull, nil)
  }

  /// Whether the place has the subject's name, or had none that is still needed and has it now.
  @inline(__always)
  private func take(_ name: UnsafeMutablePointer<ReplayTable.Word>, _ subject: ReplaySubject) -> Bool {
    var found = name.pointee.load(ordering: .acquiring)
    while found != subject.name {
      guard found >> 37 <= subject.free else { return false }
      let swap = name.pointee.compareExchange(
        expected: found, desired: subject.name, ordering: .acquiringAndReleasing)
      if swap.exchanged { return true }
      found = swap.original
    }
    return true
  }

  /// Whether the place is this sender's: who writes the second name first has it, and a name that two senders share is settled
  /// here.
  @inline(__always)
  private func confirm(_ place: UnsafeMutablePointer<ReplayTable.Word>, _ subject: ReplaySubject) -> Bool {
    var found = place[0].load(ordering: .acquiring)
    while found >> 37 < subject.deadline {
      let swap = place[0].compareExchange(
        expected: found, desired: subject.check, ordering: .acquiringAndReleasing)
      if swap.exchanged { return true }
      found = swap.original
    }
    return found == subject.check
  }

  private var probes: Int { @inline(__always) get { min(ReplayTable.probes, bucketMask &+ 1) } }

  /// In odd steps through a power of two: no bucket comes twice.
  @inline(__always)
  private func bucket(_ subject: ReplaySubject, _ probe: Int) -> Int {
    let home = Int(truncatingIfNeeded: subject.home)
    return (home &+ probe &* (home >> 17 | 1)) & bucketMask
  }
}
