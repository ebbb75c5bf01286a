import ArgumentParser
import DataPlane
import Foundation
import Keys

/// What `seal` and `open` share.
struct FileOptions: ParsableArguments {
  @Option(
    name: .long, help: "The configuration file; its ports are replaced by the captures.",
    completion: .file(extensions: ["yaml", "yml"]))
  var config: String

  @Option(
    name: .customLong("in"), help: "A pcap or pcapng file of Ethernet frames.",
    completion: .file(extensions: ["pcap", "pcapng"]))
  var input: String

  @Option(name: .customLong("out"), help: "The pcap file to write.", completion: .file(extensions: ["pcap"]))
  var output: String

  @Option(name: .long, help: "The clear port, where the configuration has several.")
  var port: String?

  @Flag(name: .long, help: "Print the counters as one JSON object.")
  var json = false

  func run(_ direction: FileGateway.Direction, time: UInt64?) throws {
    let outcome: FileGateway.Outcome
    do {
      outcome = try FileGateway(
        config: config, input: input, output: output, port: port, direction: direction, time: time
      ).run()
    } catch {
      StandardError.write("\(error)\n")
      throw ExitCodes.failure.exit
    }
    if json {
      let encoder = JSONEncoder()
      encoder.outputFormatting = [.sortedKeys, .withoutEscapingSlashes]
      print(String(decoding: try encoder.encode(outcome.status), as: UTF8.self))
    } else {
      print("\(output): \(outcome.status.sentence)")
    }
    if let damage = outcome.damage {
      StandardError.write("\(input): \(damage); what was whole has been used\n")
      throw ExitCodes.cut.exit
    }
  }
}

extension GatewayStatus {
  /// What came in, what left, what was dropped and why, in one line.
  var sentence: String {
    let reasons = drops.sorted { ($0.value, $1.key) > ($1.value, $0.key) }.map { "\($0.value) \($0.key)" }
    return "\(totals.in) packets in, \(totals.out) out, \(totals.drops) dropped"
      + (reasons.isEmpty ? "" : " (\(reasons.joined(separator: ", ")))")
      + "; \(totals.sealed) sealed, \(totals.opened) opened, \(totals.generated) made by the gateway"
  }
}

/// `keyweave seal`: clear frames from a capture, sealed into another.
struct Seal: ParsableCommand {
  static let configuration = CommandConfiguration(
    abstract: "Seal the frames of a capture as a gateway would; needs no network and no privileges.",
    discussion: """
      Uses the identity of the configuration with its counter record, so that no nonce is used twice: while a gateway runs with
      it, this command is refused.

      EXAMPLES
        keyweave seal --config gateway-a.yaml --in clear.pcap --out sealed.pcap

      \(ExitCodes.help)
      """)

  @OptionGroup var options: FileOptions

  func run() throws { try options.run(.seal, time: nil) }
}

/// `keyweave open`: protected frames from a capture, opened into another.
struct Open: ParsableCommand {
  static let configuration = CommandConfiguration(
    abstract: "Open the frames of a capture as a gateway would; needs no network and no privileges.",
    discussion: """
      Epochs are judged by the clock as it is now, unless --at or --any-epoch says otherwise.

      EXAMPLES
        keyweave open --config gateway-b.yaml --in sealed.pcap --out clear.pcap
        keyweave open --config gateway-b.yaml --in old.pcap --out clear.pcap --at 2026-11-21T12:00:00Z
        keyweave open --config gateway-b.yaml --in old.pcap --out clear.pcap --any-epoch

      \(ExitCodes.help)
      """)

  @OptionGroup var options: FileOptions

  @Option(name: .long, help: "The receiver's clock: Unix seconds, or a time such as 2026-11-21T12:00:00Z.")
  var at: String?

  @Flag(name: .long, help: "Accept every epoch.")
  var anyEpoch = false

  func validate() throws {
    if at != nil, anyEpoch { throw ValidationError("found --at and --any-epoch, expected one of them") }
    if let at, Self.time(at) == nil {
      throw ValidationError("found the time \"\(at)\", expected Unix seconds or a time such as 2026-11-21T12:00:00Z")
    }
  }

  func run() throws {
    try options.run(.open, time: anyEpoch ? nil : at.flatMap(Self.time) ?? NodeSystem.clock())
  }

  static func time(_ text: String) -> UInt64? {
    if let seconds = UInt64(text) { return seconds }
    guard let date = ISO8601DateFormatter().date(from: text), date.timeIntervalSince1970 >= 0 else { return nil }
    return UInt64(date.timeIntervalSince1970)
  }
}
