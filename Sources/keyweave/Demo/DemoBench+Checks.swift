import Foundation

/// The programs that talk through the gateways, and what is read from their answers.
extension DemoBench {
  /// The 16 octets that fill every ping: the capture is searched for them.
  static let pingPattern = "keyweave ping ok"
  /// A label of every name that is asked for.
  static let nameLabel = "a-host-name-in-clear"
  static let header = "X-Keyweave-Demo: a-header-in-clear-text"

  /// `ping` with packets of `size` octets, IP header included, that may not be fragmented.
  func ping(_ name: String, _ address: String, size: Int) throws(LabError) -> DemoCheck {
    narrator.say(name)
    let count = 20
    let finished = try lab.run(
      in: client, Self.pingCommand(address, size: size, count: count, interval: "0.02"), deadline: 15)
    let received = finished.output.number(before: " received") ?? 0
    let average = finished.output.split(separator: "\n").last { $0.hasPrefix("rtt") }?
      .split(separator: "/").dropFirst(4).first.map { "\($0) ms" }
    return DemoCheck(
      name, sent: "\(count) requests", arrived: "\(received) answers", rate: average ?? "", passed: received == count,
      finished)
  }

  /// A ping that cannot fit: somebody must say what would.
  func tooBig(_ name: String, _ address: String, size: Int) throws(LabError) -> DemoCheck {
    narrator.say(name)
    let finished = try lab.run(
      in: client, Self.pingCommand(address, size: size, count: 3, interval: "0.1"), deadline: 15)
    let text = finished.output + finished.errors
    let mtu = text.number(after: "mtu = ") ?? text.number(after: "mtu=") ?? text.number(after: "mtu: ")
    let passed = mtu.map { $0 >= 1280 && $0 < size } ?? false
    return DemoCheck(
      name, sent: "\(size) octets", arrived: mtu.map { "told: MTU \($0)" } ?? "not told", passed: passed, finished)
  }

  private static func pingCommand(_ address: String, size: Int, count: Int, interval: String) -> [String] {
    let headers = address.contains(":") ? 48 : 28
    let pattern = pingPattern.utf8.map { ($0 < 16 ? "0" : "") + String($0, radix: 16) }.joined()
    return [
      "ping", "-n", "-c", "\(count)", "-i", interval, "-W", "2", "-M", "do", "-p", pattern, "-s", "\(size - headers)",
      address,
    ]
  }

  /// Questions and answers of a real name server: datagrams of 60 and 480 octets.
  func names(count: Int, from server: String) throws(LabError) -> DemoCheck {
    let name = "DNS over UDP, 60 and 480 octets"
    narrator.say(name)
    let script = """
      i=0; while [ $i -lt \(count) ]; do i=$((i+1)); \
      busybox nslookup -type=txt host-$i.\(Self.nameLabel).example \(server); done
      """
    let finished = try lab.run(in: client, ["sh", "-c", script])
    let answers = finished.output.components(separatedBy: "text = ").count - 1
    return DemoCheck(
      name, sent: "\(count) questions", arrived: "\(answers) answers", passed: answers == count, finished)
  }

  /// The whole file with curl, compared by checksum.
  func download(_ name: String, from server: String) throws(LabError) -> DemoCheck {
    narrator.say("\(name): \(Figures.size(DemoFile.size))")
    return try finishDownload(name, try startDownload(from: server))
  }

  /// A download under way, slowed down to `rate` octets per second where there is one.
  struct Download {
    let child: Child
    let file: String
    let rate: Int?
  }

  func startDownload(from server: String, rate: Int? = nil) throws(LabError) -> Download {
    downloads += 1
    let file = "\(Lab.directory)/downloaded-\(downloads)"
    let limit = rate.map { ["--limit-rate", "\($0)"] } ?? []
    let child = try lab.start(
      in: client,
      ["curl", "-sS", "--fail", "--max-time", "30", "--connect-timeout", "5", "-H", Self.header, "-o", file] + limit + [
        "-w", "%{size_download} %{speed_download}", "http://\(server)/\(DemoFile.name)",
      ])
    return Download(child: child, file: file, rate: rate)
  }

  /// `underWay`: what was to happen during the download did.
  func finishDownload(_ name: String, _ download: Download, underWay: Bool = true) throws(LabError) -> DemoCheck {
    let finished = download.child.finish(deadline: 40)
    let numbers = finished.output.split(separator: " ").compactMap { Double($0) }
    let sums = try lab.run(in: client, ["sha256sum", DemoFile.served, download.file])
    let digests = sums.output.split(separator: "\n").compactMap { $0.split(separator: " ").first }
    let equal = digests.count == 2 && digests[0] == digests[1]
    unlink(download.file)
    let speed = numbers.count > 1 ? Figures.rate(numbers[1] * 8) : ""
    return DemoCheck(
      name, sent: "\(Figures.size(DemoFile.size)) by httpd",
      arrived: Figures.size(Int(numbers.first ?? 0)) + (equal ? ", same SHA-256" : ", other SHA-256")
        + (underWay ? "" : ", ended too early"),
      rate: speed, passed: finished.succeeded && equal && underWay, finished)
  }

  /// TCP as fast as it goes.
  func stream(_ name: String, to address: String, seconds: Int) throws(LabError) -> DemoCheck {
    narrator.say("\(name), \(seconds) s")
    let finished = try lab.run(
      in: client, ["iperf3", "-J", "-c", address, "-t", "\(seconds)", "--connect-timeout", "3000"],
      deadline: Double(seconds) + 10)
    let end = IperfReport(finished.output)
    let sent = end?.sent?.bytes ?? 0
    let received = end?.received?.bytes ?? 0
    let again = end?.sent?.retransmits ?? 0
    return DemoCheck(
      name, sent: Figures.size(Int(sent)),
      arrived: Figures.size(Int(received)) + (again > 0 ? ", \(Figures.count(again)) sent again" : ""),
      rate: Figures.rate(end?.received?.bitsPerSecond ?? 0), passed: finished.succeeded && received > 0, finished)
  }

  /// UDP at a fixed rate; one datagram in a hundred lost on the way is too many.
  func datagrams(
    _ name: String, to address: String, on server: String, size: Int, rate: Int
  ) throws(LabError) -> DemoCheck {
    let name = "\(name), \(size) octets"
    narrator.say("\(name), 3 s at \(Figures.rate(Double(rate)))")
    return try finishDatagrams(
      name, try startDatagrams(to: address, on: server, size: size, rate: rate, seconds: 3), permille: 10)
  }

  /// Datagrams under way to a host, whose sockets had lost so many before.
  struct Datagrams {
    let child: Child
    let server: String
    let overflows: Int
  }

  func startDatagrams(
    to address: String, on server: String, size: Int, rate: Int, seconds: Int
  ) throws(LabError) -> Datagrams {
    let overflows = try overflows(in: server)
    let child = try lab.start(
      in: client,
      [
        "iperf3", "-J", "-u", "-c", address, "-b", "\(rate)", "-l", "\(size)", "-t", "\(seconds)",
        "--connect-timeout", "3000",
      ])
    return Datagrams(child: child, server: server, overflows: overflows)
  }

  /// `permille` may be lost on the way. What the server's own socket had no room for, when its program did not get the
  /// processor in time, arrived there and is not the gateways' loss.
  func finishDatagrams(_ name: String, _ datagrams: Datagrams, permille: Int) throws(LabError) -> DemoCheck {
    let finished = datagrams.child.finish(deadline: 20)
    let overflows = try overflows(in: datagrams.server) - datagrams.overflows
    let sum = IperfReport(finished.output)?.datagrams
    let packets = Int(sum?.packets ?? 0)
    let lost = Int(sum?.lostPackets ?? 0)
    let onTheWay = max(0, lost - overflows)
    let fate =
      lost > 0 && onTheWay == 0
      ? "\(Figures.count(lost)) lost in \(datagrams.server)" : "\(Figures.count(onTheWay)) lost"
    return DemoCheck(
      name, sent: "\(Figures.count(packets)) datagrams",
      arrived: "\(Figures.count(max(0, packets - lost))), \(fate)", rate: Figures.rate(sum?.bitsPerSecond ?? 0),
      passed: finished.succeeded && packets > 0 && lost < packets && onTheWay * 1000 <= packets * permille, finished)
  }

  /// Datagrams that a host's sockets had no room for.
  func overflows(in host: String) throws(LabError) -> Int {
    let text = try lab.run(in: host, ["cat", "/proc/net/snmp", "/proc/net/snmp6"]).output
    let lines = text.split(separator: "\n").map { $0.split(whereSeparator: \.isWhitespace) }
    // /proc/net/snmp has a line of names, then a line of numbers; /proc/net/snmp6 a name and a number per line.
    let udp = lines.filter { $0.first == "Udp:" }
    let place = udp.first?.firstIndex(of: "RcvbufErrors")
    let four = place.flatMap { place in udp.last.flatMap { $0.count > place ? Int($0[place]) : nil } } ?? 0
    let six = lines.first { $0.first == "Udp6RcvbufErrors" }?.last.flatMap { Int($0) } ?? 0
    return four + six
  }
}

/// The end of an iperf3 report, of which we read the sums.
struct IperfReport {
  struct Sum: Decodable {
    var bytes: Double?
    var bitsPerSecond: Double?
    var retransmits: Int?
    var packets: Double?
    var lostPackets: Double?
  }
  private struct End: Decodable {
    var sumSent: Sum?
    var sumReceived: Sum?
    var sum: Sum?
  }
  private struct Whole: Decodable {
    var end: End
  }

  let sent: Sum?
  let received: Sum?
  let datagrams: Sum?

  init?(_ text: String) {
    let decoder = JSONDecoder()
    decoder.keyDecodingStrategy = .convertFromSnakeCase
    guard let whole = try? decoder.decode(Whole.self, from: Data(text.utf8)) else { return nil }
    sent = whole.end.sumSent
    received = whole.end.sumReceived
    datagrams = whole.end.sum
  }
}

extension String {
  /// The decimal number that directly follows `text`, at its first place.
  func number(after text: String) -> Int? {
    guard let place = range(of: text) else { return nil }
    return Int(self[place.upperBound...].prefix { $0.isASCII && $0.isNumber })
  }

  /// The decimal number that directly precedes `text`.
  fileprivate func number(before text: String) -> Int? {
    guard let place = range(of: text) else { return nil }
    return Int(String(self[..<place.lowerBound].reversed().prefix { $0.isASCII && $0.isNumber }.reversed()))
  }
}
