import CDPDK
import DataPlane
import Foundation
import Keys
import Wire

/// A whole gateway on one lcore: packets come from a file that a pcap port repeats for ever and go to a null port. So a
/// packet's cost includes receiving it (a copy), routes, keys, headers, AES-GCM and sending it.
///
/// DPDK starts once per process, so each measurement runs in a process of its own, this program with `--loop`.
enum LoopBenchmark {
  enum Direction: String, CaseIterable {
    case seal, open
  }

  /// Different flows in the file.
  private static let packets = 256
  /// What DPDK's pcap driver gives the first port of a process: 02, "pcap", 00. A group address would do for a port, but
  /// what a link gave to many stations is not routed.
  private static let mac = MACAddress(rawValue: 0x0270_6361_7000)
  private static let clear = IPAddress(ipv4: 0x0A01_0001)
  private static let fabric = IPAddress(ipv4: 0xC000_0201)
  private static let peer = IPAddress(ipv4: 0xC000_0202)

  /// Measures in a child; packets of `length` octets.
  static func measure(_ direction: Direction, length: Int, windows: Int) throws -> Measurement {
    let folder = FileManager.default.temporaryDirectory.appending(path: "keyweave-perf-\(UUID().uuidString)")
    try FileManager.default.createDirectory(at: folder, withIntermediateDirectories: true)
    defer { try? FileManager.default.removeItem(at: folder) }
    if direction == .open { _ = try child("record", length, folder, 1) }
    let words = try child(direction.rawValue, length, folder, windows).split(separator: " ").compactMap { Double($0) }
    guard words.count == 2 else { throw PerfError("the loop measured nothing") }
    return Measurement(median: words[0], spread: words[1])
  }

  private static func child(_ what: String, _ length: Int, _ folder: URL, _ windows: Int) throws -> String {
    let process = Process()
    let output = Pipe()
    process.executableURL = URL(filePath: "/proc/self/exe").resolvingSymlinksInPath()
    process.arguments = ["--loop", what, "\(length)", folder.path, "\(windows)"]
    process.standardOutput = output
    try process.run()
    let text = String(decoding: output.fileHandleForReading.readDataToEndOfFile(), as: UTF8.self)
    process.waitUntilExit()
    guard process.terminationStatus == 0 else { throw PerfError("the loop (\(what), \(length) octets) failed") }
    return text.trimmingCharacters(in: .whitespacesAndNewlines)
  }

  /// In the child: prints median and spread in core cycles per packet.
  static func run(_ what: String, length: Int, folder: String, windows: Int) throws {
    let isOpening = what == Direction.open.rawValue
    let source = "\(folder)/\(isOpening ? "sealed" : "clear").pcap"
    if !isOpening { try write(length: length, to: source) }
    let repeating = what == "record" ? "" : ",infinite_rx=1"
    let input = "net_pcap0,rx_pcap=\(source)\(repeating)"
    let output = what == "record" ? "net_pcap1,tx_pcap=\(folder)/sealed.pcap" : "net_null0,no-rx=1"
    var settings = GatewaySettings(time: .record(path: "\(folder)/\(what).record"))
    settings.isDedicated = what != "record"
    let gateway = try settings.start(
      plan: isOpening ? openingPlan(from: input, to: output) : sealingPlan(from: input, to: output),
      groups: [try group()])
    defer { gateway.stop() }
    usleep(300_000)
    if what == "record" { return }
    guard let lcore = CoreClock.thread(named: "rte-worker") else { throw PerfError("no lcore runs") }
    func count() -> UInt64 { isOpening ? gateway.status.totals.opened : gateway.status.totals.sealed }
    let values = try (0..<windows).map { _ in
      let before = count()
      let cycles = CoreClock.cycles(ofThread: lcore) { usleep(50_000) }
      let packets = count() - before
      guard packets > 0 else { throw PerfError("no packet passed: \(gateway.status.drops)") }
      return cycles / Double(packets)
    }.sorted()
    let dropped = gateway.status.drops.filter { !["handled"].contains($0.key) }
    guard dropped.isEmpty else { throw PerfError("packets were dropped: \(dropped)") }
    let measurement = Measurement(sorted: values)
    print(measurement.median, measurement.spread)
  }

  /// The same root key in every child.
  private static func group() throws -> TrustGroup {
    let key = try [UInt8](repeating: 0x42, count: 32).withUnsafeBytes { octets throws(SecretKeyError) in
      try SecretKey.copying(octets)
    }
    let root = RootKey(
      level: .trustRegion, id: [UInt8](repeating: 7, count: 16), current: Generation(index: 1, key: key))
    return TrustGroup(name: "perf", isDefault: true, rootKeys: [root])
  }

  private static func sealingPlan(from input: String, to output: String) -> GatewayPlan {
    var plan = plan(clearDevice: input, fabricDevice: output, fabric: fabric, deviceID: 1)
    var peer = GatewayPlan.Peer(name: "b", address: peer, source: fabric, port: 1, nextHop: peer)
    peer.carriage = .udp
    plan.peers = [peer]
    var sealing = GatewayPlan.Sealing(group: 0)
    sealing.peers = [0]
    plan.routes = [GatewayPlan.Route(prefix: prefix("10.2.0.0/16"), action: .seal(sealing))]
    return plan
  }

  private static func openingPlan(from input: String, to output: String) -> GatewayPlan {
    var plan = plan(clearDevice: output, fabricDevice: input, fabric: peer, deviceID: 2)
    plan.policies = [GatewayPlan.GroupPolicy(group: 0, speaks: [prefix("10.1.0.0/16")], forms: [.ipv4])]
    plan.routes = [GatewayPlan.Route(prefix: prefix("10.2.0.0/16"), action: .forward(port: 0, via: clear.next))]
    return plan
  }

  private static func plan(
    clearDevice: String, fabricDevice: String, fabric: IPAddress, deviceID: UInt64
  ) -> GatewayPlan {
    var plan = GatewayPlan(name: "perf-\(deviceID)", deviceID: deviceID)
    var inside = GatewayPlan.Port(name: "clear", device: clearDevice, role: .clear)
    inside.addresses = [prefix("10.1.0.1/24")]
    inside.neighbours = [GatewayPlan.Neighbour(address: clear.next, mac: mac)]
    var outside = GatewayPlan.Port(name: "fabric", device: fabricDevice, role: .protected)
    outside.addresses = IPPrefix(address: fabric, length: 24).map { [$0] } ?? []
    outside.neighbours = [GatewayPlan.Neighbour(address: peer, mac: mac)]
    outside.defaultGroup = 0
    inside.mtu = 9000
    outside.mtu = 9200
    plan.ports = [inside, outside]
    return plan
  }

  private static func prefix(_ text: String) -> IPPrefix {
    IPPrefix(text) ?? IPPrefix(host: .unspecifiedIPv4)
  }

  /// A pcap file of UDP packets, each of a flow of its own; `length` counts from the IP header.
  private static func write(length: Int, to path: String) throws {
    var file = Data()
    func add(_ values: [UInt32]) { for value in values { withUnsafeBytes(of: value) { file.append(contentsOf: $0) } } }
    add([0xA1B2_C3D4, 0x0004_0002, 0, 0, 65535, 1])
    for packet in 0..<packets {
      let frame = frame(length: length, flow: UInt16(packet))
      add([0, 0, UInt32(frame.count), UInt32(frame.count)])
      file.append(contentsOf: frame)
    }
    try file.write(to: URL(filePath: path))
  }

  private static func frame(length: Int, flow: UInt16) -> [UInt8] {
    var octets = [UInt8](repeating: 0x5A, count: EthernetHeader.minimumLength + length)
    var span = octets.mutableSpan
    var bytes = span.mutableBytes
    _ = EthernetHeader(destination: mac, source: MACAddress(rawValue: 0x0200_0000_0002), etherType: EtherType.ipv4)
      .write(into: &bytes)
    let ip = IPv4Header(
      totalLength: UInt16(length), protocolNumber: IPProtocol.udp, source: clear.next,
      destination: IPAddress(ipv4: 0x0A02_0002))
    let start = ip.write(into: &bytes, at: EthernetHeader.minimumLength) ?? 0
    _ = UDPHeader(
      sourcePort: 10_000 + flow, destinationPort: 9, datagramLength: UInt16(length - IPv4Header.minimumLength)
    ).write(into: &bytes, at: start)
    return octets
  }
}

extension IPAddress {
  fileprivate var next: IPAddress { IPAddress(ipv4: ipv4 + 1) }
}
