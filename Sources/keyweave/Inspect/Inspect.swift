import ArgumentParser
internal import Wire

/// `keyweave inspect`: what became of each packet of a capture.
struct Inspect: ParsableCommand {
  static let configuration = CommandConfiguration(
    abstract: "Explain the packets of a capture.",
    discussion: """
      Reads pcap and pcapng files of Ethernet or raw IP packets and opens what is protected with the given keys. \
      Outer fragments, packets that were not captured whole and other ports are "other".

      EXAMPLES
        keyweave inspect --keys keys.yaml --in fabric.pcapng
        keyweave inspect --keys keys.yaml --in fabric.pcapng --packet 7
        keyweave inspect --keys keys.yaml --in old.pcap --any-epoch --json

      EXIT CODES
        0   every packet was read
        1   the capture or the keys file cannot be read, or the capture has no such packet
        2   the capture is cut or damaged; what was read is printed
        64  wrong usage
      """)

  @Option(help: ArgumentHelp("The keys file.", valueName: "file"))
  var keys: String

  @Option(name: .customLong("in"), help: ArgumentHelp("The capture, or - for standard input.", valueName: "file"))
  var input: String

  @Flag(help: "Print one JSON object per packet.")
  var json = false

  @Flag(help: "Accept every epoch; without it the capture time is the clock.")
  var anyEpoch = false

  @Flag(help: "Explain every field.")
  var verbose = false

  @Option(help: ArgumentHelp("Only this packet, explained field by field; the first is 1.", valueName: "number"))
  var packet: Int?

  func validate() throws {
    if let packet, packet < 1 { throw ValidationError("--packet \(packet): packets count from 1.") }
    if json, verbose { throw ValidationError("--json and --verbose cannot be combined; --json prints every field.") }
  }

  func run() throws {
    var opener: InspectOpener
    var capture: CaptureReader
    do {
      opener = try InspectOpener(keysFile: keys)
      capture = try CaptureReader(path: input)
    } catch {
      complain("\(error)")
      throw ExitCode(1)
    }
    var number = 0
    var totals = FindingTotals()
    var unknown: Set<LinkType> = []
    defer { if !json, packet == nil { print(totals.text) } }
    do {
      while var record = try capture.next() {
        number += 1
        guard packet == nil || packet == number else { continue }
        if case .other(let type) = record.linkType, unknown.insert(record.linkType).inserted {
          complain("\(input): packets of link type \(type) are \"other\"; Ethernet (1) and RAW (101) are understood.")
        }
        let finding = inspect(&record, &opener)
        totals.count(finding)
        print(line(number, record, finding))
      }
    } catch {
      complain("\(input): nothing can be read after packet \(number): \(error).")
      throw ExitCode(2)
    }
    if let packet, packet > number {
      complain("--packet \(packet): the capture has \(number) packets.")
      throw ExitCode(1)
    }
  }

  private func inspect(_ record: inout CaptureRecord, _ opener: inout InspectOpener) -> Finding {
    guard let found = ProtectedPacket(in: record.octets.span.bytes, linkType: record.linkType) else { return .other }
    let time = anyEpoch ? nil : record.seconds
    return record.octets.withUnsafeMutableBytes { octets in
      .protected(found, opener.open(UnsafeMutableRawBufferPointer(rebasing: octets[found.range]), found, time: time))
    }
  }

  private func line(_ number: Int, _ record: CaptureRecord, _ finding: Finding) -> String {
    if json { return finding.json(number: number, record) }
    if verbose || packet != nil { return finding.explanation(number: number, record) }
    return finding.summary(number: number, record)
  }

  private func complain(_ sentence: String) {
    var standardError = StandardError()
    print("keyweave inspect: \(sentence)", to: &standardError)
  }
}
