/// What the text forms of addresses share.
enum TextForm {
  static func hexDigit(_ octet: UInt8) -> UInt8? {
    switch octet {
    case UInt8(ascii: "0")...UInt8(ascii: "9"): octet - UInt8(ascii: "0")
    case UInt8(ascii: "a")...UInt8(ascii: "f"): octet - UInt8(ascii: "a") + 10
    case UInt8(ascii: "A")...UInt8(ascii: "F"): octet - UInt8(ascii: "A") + 10
    default: nil
    }
  }

  /// A decimal number of one to three digits, without sign and without leading zeros.
  static func decimal<Text: Collection>(_ text: Text, upTo limit: UInt32) -> UInt32? where Text.Element == UInt8 {
    guard (1...3).contains(text.count), text.count == 1 || text.first != UInt8(ascii: "0") else { return nil }
    var value: UInt32 = 0
    for octet in text {
      guard (UInt8(ascii: "0")...UInt8(ascii: "9")).contains(octet) else { return nil }
      value = value * 10 + UInt32(octet - UInt8(ascii: "0"))
    }
    return value <= limit ? value : nil
  }
}
