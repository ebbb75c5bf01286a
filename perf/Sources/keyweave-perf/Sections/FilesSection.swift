import Foundation

/// The line to hold beside VPP and ipsec-secgw: packets from a capture that a pcap port repeats, to a null port.
struct FilesSection {
  let effort: Section.Effort

  func tables() throws -> [Table] {
    let sizes = effort.isQuick ? [64] : [64, 512, 1420]
    var table = Table(
      id: "files", title: "pcap port in, null port out", unit: "core cycles per packet", axis: "octets",
      columns: sizes.map { "\($0)" })
    for direction in Direction.allCases {
      let cells = try sizes.map { size in
        let sizes = Sizes.fixed(size)
        let rig = try Rig(Kind(direction))
        let raw = try RawBenchmark(rig, samples: effort.samples).measure(sizes).median
        return Cell(try measure(Kind(direction), sizes), raw: raw)
      }
      table.rows.append(Table.Row(name: direction.rawValue, cells: cells))
    }
    table.notes.append("A pcap port copies every packet into its buffer, which is part of these figures.")
    return [table]
  }

  private func measure(_ kind: Kind, _ sizes: Sizes) throws -> Measurement {
    let file = FileManager.default.temporaryDirectory.appending(path: "keyweave-perf-\(getpid()).pcap")
    defer { try? FileManager.default.removeItem(at: file) }
    let mac = Rig.nextCaptureMAC
    let frames =
      kind.direction == .seal
      ? sizes.lengths.enumerated().map { Network(kind.family).frame(length: $1, flow: UInt16($0), to: mac) }
      : try Rig.sealed(kind, sizes).readdressed(to: mac)
    try Self.capture(frames).write(to: file)
    return try Rig(kind, capture: file).measure(samples: effort.samples)
  }

  private static func capture(_ frames: [[UInt8]]) -> Data {
    var file = Data()
    func add(_ values: [UInt32]) { for value in values { withUnsafeBytes(of: value) { file.append(contentsOf: $0) } } }
    add([0xA1B2_C3D4, 0x0004_0002, 0, 0, 65535, 1])
    for frame in frames {
      add([0, 0, UInt32(frame.count), UInt32(frame.count)])
      file.append(contentsOf: frame)
    }
    return file
  }
}
