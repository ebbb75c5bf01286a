import DataPlane
import Foundation
import Keys
import Support
import Testing
import Wire

/// One gateway on which packets go both ways: the general one right after a reload, when it knows no flow, and the one
/// of known flows, after others have shown it. One gateway, as ports of the outer header come from a key of its own.
final class TwoWays {
  let station: Station
  private let groups: [TrustGroup]
  private let opener: PacketOpener
  /// Epochs and counters of all packets that it sealed.
  private var sequences: Set<[UInt8]> = []
  private(set) var repeated = 0

  init(_ station: Station, groups: [TrustGroup]) throws {
    Foreign.awaitEpoch()
    self.station = station
    self.groups = groups
    opener = try PacketOpener(groups: groups)
  }

  /// What came of a burst: all that is not each packet's own.
  struct Fate: Equatable, CustomStringConvertible {
    var drops: [String: UInt64]
    /// Out of the clear and the protected port, in an order of their own.
    var sent: [[[UInt8]]]
    /// Of peers, groups, policies and the whole.
    var counts: [String: UInt64]

    var description: String {
      "\(drops) \(counts.sorted { $0.key < $1.key }.map { "\($0.key) \($0.value)" }.joined(separator: ", ")) "
        + sent.map { "[\($0.map(\.hex).joined(separator: " "))]" }.joined(separator: " ")
    }
  }

  /// From here on the general way, until packets have shown another: a burst as a whole, as it looks before it learns.
  func forget() throws {
    try station.gateway.reload(plan: station.plan, groups: groups)
    station.run()
    _ = (station.taken(), station.takenClear())
  }

  /// - Parameter frames: no more than a burst has.
  func fate(of frames: [[UInt8]], on wire: RingWire) -> Fate {
    let before = station.gateway.status
    for frame in frames { station.put(frame, on: wire, then: false) }
    station.run()
    let after = station.gateway.status
    var drops = after.drops.merging(before.drops) { $0 - $1 }.filter { $0.value > 0 }
    // Fragments that never become whole are counted when their time is up.
    drops["outer-fragment"] = nil
    let counts = Self.counts(after).merging(Self.counts(before)) { $0 - $1 }.filter { $0.value > 0 }
    let sent = zip([station.takenClear(), station.taken()], station.plan.ports).map { frames, port in
      port.role == .protected ? look(frames) : Self.sorted(frames.filter { !Self.isQuestion($0) })
    }
    return Fate(drops: drops, sent: sent, counts: counts)
  }

  private static func counts(_ status: GatewayStatus) -> [String: UInt64] {
    var counts = [
      "in": status.totals.in, "sealed": status.totals.sealed, "opened": status.totals.opened,
    ]
    for peer in status.peers { counts["peer \(peer.name)"] = peer.sealed }
    for group in status.groups { counts["group \(group.name)"] = group.opened }
    for (index, policy) in status.proxies.enumerated() { counts["policy \(index)"] = policy.packets }
    return counts
  }

  // MARK: Frames without what each has for itself

  private func look(_ frames: [[UInt8]]) -> [[UInt8]] {
    var looks: [[UInt8]] = []
    var pieces: [[UInt8]: [[UInt8]]] = [:]
    for frame in frames {
      let ip = Self.start(frame)
      if Self.isQuestion(frame) { continue }
      if let name = Self.pieceName(frame, ip) {
        pieces[name, default: []].append(frame)
      } else {
        looks.append(look(frame))
      }
    }
    for datagram in pieces.values {
      let sorted = datagram.sorted { Self.place($0) < Self.place($1) }
      let shape = sorted.flatMap { Packet.word($0.count) + Packet.word(Self.place($0)) }
      looks.append(shape + look(Self.joined(sorted)))
    }
    return Self.sorted(looks)
  }

  private static func sorted(_ frames: [[UInt8]]) -> [[UInt8]] {
    frames.sorted { $0.lexicographicallyPrecedes($1) }
  }

  /// About a neighbour, by ARP: those come when they are due.
  private static func isQuestion(_ frame: [UInt8]) -> Bool {
    let ip = start(frame)
    return frame.count < ip + 20 || frame.word(at: ip - 2) == 0x0806
  }

  private static func start(_ frame: [UInt8]) -> Int { frame.count > 18 && frame.word(at: 12) == 0x8100 ? 18 : 14 }

  /// What the fragments of one datagram have in common.
  private static func pieceName(_ frame: [UInt8], _ ip: Int) -> [UInt8]? {
    if frame[ip] >> 4 == 4 {
      return frame.word(at: ip + 6) & 0x3FFF == 0 ? nil : Array(frame[ip + 4..<ip + 6] + frame[ip + 12..<ip + 20])
    }
    return frame.count > ip + 48 && frame[ip + 6] == 44 ? Array(frame[ip + 44..<ip + 48]) : nil
  }

  /// Where a fragment's octets go.
  private static func place(_ frame: [UInt8]) -> Int {
    let ip = start(frame)
    return frame[ip] >> 4 == 4 ? frame.word(at: ip + 6) & 0x1FFF * 8 : frame.word(at: ip + 42) & 0xFFF8
  }

  private static func joined(_ pieces: [[UInt8]]) -> [UInt8] {
    let ip = start(pieces[0])
    var whole = pieces[0]
    if whole[ip] >> 4 == 4 {
      for piece in pieces.dropFirst() { whole += piece[(ip + 20)...] }
      whole.replaceSubrange(ip + 2..<ip + 4, with: Packet.word(whole.count - ip))
      whole.replaceSubrange(ip + 6..<ip + 8, with: [0, 0])
      return mended(whole)
    }
    whole[ip + 6] = whole[ip + 40]
    whole.removeSubrange(ip + 40..<ip + 48)
    for piece in pieces.dropFirst() { whole += piece[(ip + 48)...] }
    whole.replaceSubrange(ip + 4..<ip + 6, with: Packet.word(whole.count - ip - 40))
    return whole
  }

  /// A protected packet opened and without its counter, identification and checksum, which are looked at here; others
  /// as they are.
  private func look(_ frame: [UInt8]) -> [UInt8] {
    let ip = Self.start(frame)
    var frame = frame
    let isIPv4 = frame[ip] >> 4 == 4
    let upper = ip + (isIPv4 ? 20 : 40)
    if isIPv4, Packet.checksum(Array(frame[ip..<ip + Int(frame[ip] & 0xF) * 4])) != 0 {
      Issue.record("wrong checksum: \(frame.hex)")
    }
    let number = frame[ip + (isIPv4 ? 9 : 6)]
    let start = number == 253 ? upper : upper + 8
    guard number == 253 || number == 17, frame.count > start + 32, number == 253 || frame.word(at: upper + 2) == 4500
    else { return frame }
    if isIPv4 {
      // One that may not be fragmented needs none.
      if frame[ip + 6] & 0x40 == 0 { frame.replaceSubrange(ip + 4..<ip + 6, with: [0, 0]) }
      frame.replaceSubrange(ip + 10..<ip + 12, with: [0, 0])
    }
    let length = 8 + 8 * Int(frame[start] & 0xF)
    guard frame.count >= start + length + 16 else { return frame }
    let sequence = Array(frame[start + length - 8..<start + length])
    if !sequences.insert(sequence).inserted { repeated += 1 }
    var packet = Array(frame[start...])
    let source = Self.address(frame[ip + (isIPv4 ? 12 : 8)..<ip + (isIPv4 ? 16 : 24)])
    let verdict = packet.withUnsafeMutableBytes {
      opener.open($0, overUDP: number == 17, source: source, sourceIsMapped: false, time: nil)
    }
    if case .drop(let reason) = verdict { Issue.record("\(reason): \(frame.hex)") }
    frame.replaceSubrange(start + length - 6..<start + length, with: [UInt8](repeating: 0, count: 6))
    return Array(frame[..<(start + length)] + packet[length..<packet.count - 16])
  }

  private static func address(_ octets: ArraySlice<UInt8>) -> IPAddress {
    let words = octets.reduce(into: (high: UInt64(0), low: UInt64(0))) { words, octet in
      words = (words.high << 8 | words.low >> 56, words.low << 8 | UInt64(octet))
    }
    return octets.count == 4
      ? IPAddress(ipv4: UInt32(words.low)) : IPAddress(high: words.high, low: words.low)
  }

  /// With the right checksum, where there is an IPv4 header.
  static func mended(_ frame: [UInt8]) -> [UInt8] {
    let ip = start(frame)
    guard frame.count >= ip + 20, frame[ip] >> 4 == 4 else { return frame }
    let length = min(max(20, Int(frame[ip] & 0xF) * 4), frame.count - ip) & ~1
    var frame = frame
    frame.replaceSubrange(ip + 10..<ip + 12, with: [0, 0])
    let checksum = Packet.checksum(Array(frame[ip..<ip + length]))
    frame.replaceSubrange(ip + 10..<ip + 12, with: Packet.word(Int(checksum)))
    return frame
  }

  // MARK: Comparing

  /// A packet that is not quite as others of its flow are.
  struct Odd {
    /// Frames that show its way.
    var usual: [[UInt8]]
    var frame: [UInt8]
    var name: String
  }

  /// The burst goes both ways; then what it taught, wrongly perhaps, is held against a burst of usual packets.
  func compare(_ odds: [Odd], on wire: RingWire, _ comment: String, location: SourceLocation = #_sourceLocation) throws
  {
    let usual = Array(Set(odds.flatMap(\.usual))).sorted { $0.lexicographicallyPrecedes($1) }
    let bursts = stride(from: 0, to: usual.count, by: 32).map { Array(usual[$0..<min($0 + 32, usual.count)]) }
    try forget()
    let plain = bursts.map { fate(of: $0, on: wire) }
    try forget()
    let cold = fate(of: odds.map(\.frame), on: wire)
    for _ in 0..<3 {
      for (burst, plain) in zip(bursts, plain) where fate(of: burst, on: wire) != plain {
        Issue.record("\(comment): after \(odds.map(\.name)) usual packets go another way", sourceLocation: location)
      }
    }
    guard fate(of: odds.map(\.frame), on: wire) != cold else { return }
    // Which of them?
    for odd in odds {
      try forget()
      let cold = fate(of: [odd.frame], on: wire)
      for frame in odd.usual + odd.usual + odd.usual { _ = fate(of: [frame], on: wire) }
      let warm = fate(of: [odd.frame], on: wire)
      guard warm != cold else { continue }
      Issue.record(
        "\(comment): \(odd.name): \(odd.frame.hex)\nis \(cold)\nbut in a known flow \(warm)", sourceLocation: location)
      return
    }
    Issue.record("\(comment): together \(odds.map(\.name)) \(cold)", sourceLocation: location)
  }
}
