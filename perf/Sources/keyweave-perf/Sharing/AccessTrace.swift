import Foundation

/// Which octets of which cache lines each of two lcores read and wrote, from what the tool in perf/Accesses tells.
///
/// Between its lines stand the program's own notes: "case NAME", "zone FROM TO NAME", "map LINE" (of /proc/self/maps), and
/// "lcore NUMBER" before each turn.
struct AccessTrace {
  struct Case {
    let name: String
    var memory = MemoryMap()
    var lines: [UInt64: CacheLine] = [:]
    var turns = [0, 0]
  }

  private(set) var cases: [Case] = []
  /// What was neither the tool's nor a note.
  private(set) var otherWords: [String] = []
  private var lcore = 0
  /// Where the Swift runtime is. The loop does not call it (`make check-loop`); what moves the loop counts references by it.
  private var runtime: Range<UInt64> = 0..<0

  init(reading file: FileHandle) throws {
    var rest: [UInt8] = []
    while let data = try file.read(upToCount: 1 << 20), !data.isEmpty {
      rest.append(contentsOf: data)
      let used = rest.withUnsafeBytes { take(wholeLines: $0) }
      rest.removeFirst(used)
    }
  }

  /// The octets of whole lines, which are done with.
  private mutating func take(wholeLines bytes: UnsafeRawBufferPointer) -> Int {
    guard let base = bytes.baseAddress else { return 0 }
    var start = 0
    while start < bytes.count, let end = memchr(base + start, 0x0A, bytes.count - start) {
      let length = UnsafeRawPointer(end) - (base + start)
      take(UnsafeRawBufferPointer(start: base + start, count: length))
      start += length + 1
    }
    return start
  }

  private mutating func take(_ line: UnsafeRawBufferPointer) {
    guard line.count > 1 else { return }
    switch (line[0], line[1]) {
    case (UInt8(ascii: "L"), UInt8(ascii: " ")), (UInt8(ascii: "S"), UInt8(ascii: " ")):
      access(line)
    case (UInt8(ascii: "*"), UInt8(ascii: "*")):
      // **PID** TEXT
      note(String(decoding: line, as: UTF8.self).split(separator: " ", maxSplits: 1).last.map(String.init) ?? "")
    default:
      otherWords.append(String(decoding: line, as: UTF8.self))
    }
  }

  /// "L ADDRESS SIZE PLACE", of which SIZE is decimal; S for a store.
  private mutating func access(_ line: UnsafeRawBufferPointer) {
    var at = 2
    func number(_ base: UInt64) -> UInt64 {
      var value: UInt64 = 0
      while at < line.count, line[at] != UInt8(ascii: " ") {
        value = value &* base &+ UInt64(line[at] & 15) &+ (line[at] > UInt8(ascii: "9") ? 9 : 0)
        at += 1
      }
      at += 1
      return value
    }
    let address = number(16)
    let last = address &+ max(number(10), 1) &- 1
    let place = number(16)
    guard !runtime.contains(place), !cases.isEmpty, address <= last else { return }
    for number in (address >> 6)...(last >> 6) {
      let first = number == address >> 6 ? Int(address & 63) : 0
      let end = number == last >> 6 ? Int(last & 63) : 63
      cases[cases.count - 1].lines[number, default: CacheLine()].touch(
        CacheLine.Access(lcore: lcore, isWritten: line[0] == UInt8(ascii: "S"), place: place), octets: first...end)
    }
  }

  private mutating func note(_ text: String) {
    let words = text.split(separator: " ", maxSplits: 1).map(String.init)
    let rest = words.count > 1 ? words[1] : ""
    switch words.first {
    case "case": cases.append(Case(name: rest))
    case "lcore":
      lcore = rest == "1" ? 1 : 0
      if !cases.isEmpty { cases[cases.count - 1].turns[lcore] += 1 }
    case "zone": if !cases.isEmpty { cases[cases.count - 1].memory.add(zone: rest) }
    case "map":
      if !cases.isEmpty {
        cases[cases.count - 1].memory.add(map: rest)
        runtime = cases[cases.count - 1].memory.span(ofFile: "libswiftCore.so") ?? 0..<0
      }
    default: otherWords.append(text)
    }
  }
}

/// What was done to 64 octets.
struct CacheLine {
  struct Access: Hashable {
    let lcore: Int
    let isWritten: Bool
    /// The instruction's address.
    let place: UInt64
  }

  /// By lcore, a bit for each octet.
  private(set) var read: [2 of UInt64] = [0, 0]
  private(set) var written: [2 of UInt64] = [0, 0]
  private(set) var accesses: Set<Access> = []

  mutating func touch(_ access: Access, octets: ClosedRange<Int>) {
    let mask = UInt64.max << UInt64(octets.lowerBound) & UInt64.max >> UInt64(63 - octets.upperBound)
    if access.isWritten { written[access.lcore] |= mask } else { read[access.lcore] |= mask }
    accesses.insert(access)
  }

  func isTouched(by lcore: Int) -> Bool { read[lcore] | written[lcore] != 0 }
  var isWritten: Bool { written[0] | written[1] != 0 }
  var isOfBoth: Bool { isTouched(by: 0) && isTouched(by: 1) }
}
