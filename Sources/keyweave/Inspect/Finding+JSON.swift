internal import Wire

// Written by hand: the order of the members is part of the format, and nothing in them ever needs escaping.
extension Finding {
  /// One line of `inspect --json`.
  func json(number: Int, _ record: CaptureRecord) -> String {
    switch self {
    case .other:
      #"{"packet":\#(number),"verdict":"other"}"#
    case .protected(_, .drop(let reason)):
      #"{"packet":\#(number),"verdict":"drop","reason":"\#(reason.name)"}"#
    case .protected(let found, .open(let header)):
      #"{"packet":\#(number),"verdict":"open","v":\#(header.variant.rawValue),"#
        + #""id":"\#(header.idText)","epoch":\#(header.epoch),"counter":\#(header.counter),"#
        + #""options":[\#(options(header, found, record))],"coffset":\#(header.coffset),"ioffset":\#(header.ioffset),"#
        + #""payload":"\#(hex(record.octets[found.payload(header)]))"}"#
    }
  }

  private func options(_ header: SecurityHeader, _ found: ProtectedPacket, _ record: CaptureRecord) -> String {
    (0..<Int(header.optionCount)).map { index in
      let option = header.option(index)
      let id = hex(record.octets[found.rootKeyID(option)])
      return #"{"level":"\#(option.levelName)","id":"\#(id)","index":\#(option.index)}"#
    }.joined(separator: ",")
  }
}

extension SecurityHeader {
  /// 8 or 16 lower-case digits, as wide as the ID is in the packet.
  var idText: String {
    let digits = String(id, radix: 16)
    return String(repeating: "0", count: max(0, 2 * variant.idLength - digits.count)) + digits
  }
}

extension MasterKeyOption {
  var levelName: String {
    switch level {
    case 1: "trust-region"
    case 2: "user-group"
    default: "task-group"
    }
  }
}

/// Lower-case hexadecimal digits.
func hex(_ octets: some Sequence<UInt8>) -> String {
  let digits = Array("0123456789abcdef".utf8)
  var text: [UInt8] = []
  for octet in octets {
    text.append(digits[Int(octet >> 4)])
    text.append(digits[Int(octet & 15)])
  }
  return String(decoding: text, as: UTF8.self)
}
