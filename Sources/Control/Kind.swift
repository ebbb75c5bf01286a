/// A kind of value that one text of the file can hold: how to read it and how to say what it should have been.
struct Kind<Value> {
  /// Completes "found ..., expected ...".
  let expected: String
  /// A right value as it would be written.
  let example: String
  /// A key: not even a wrong one is shown.
  var isSecret = false
  let read: (String) throws(Misread) -> Value
}

/// A text that is not of the kind, with the fix when it is a known slip.
struct Misread: Error {
  var text: String?
}

extension Kind where Value == String {
  /// The name of a port, peer or group, by which the file refers to it and commands print it.
  static var name: Kind {
    Kind(expected: "a name of 1 to 32 letters, digits, dots, dashes and underscores", example: "fabric") {
      text throws(Misread) in
      guard isName(text) else { throw Misread() }
      return text
    }
  }

  static var path: Kind {
    Kind(expected: "the path of a file", example: "keys.yaml") { text throws(Misread) in
      guard text.utf8.count < 1024, !text.unicodeScalars.contains(where: { $0.value < 32 }) else { throw Misread() }
      return text
    }
  }

  static func isName(_ text: String) -> Bool {
    guard (1...32).contains(text.utf8.count), text.utf8.first != UInt8(ascii: "."), text.utf8.first != UInt8(ascii: "-")
    else { return false }
    return text.utf8.allSatisfy { octet in
      (octet | 0x20) >= UInt8(ascii: "a") && (octet | 0x20) <= UInt8(ascii: "z")
        || octet >= UInt8(ascii: "0") && octet <= UInt8(ascii: "9") || ".-_".utf8.contains(octet)
    }
  }
}

extension Kind where Value == Bool {
  static var boolean: Kind {
    Kind(expected: "true or false", example: "true") { text throws(Misread) in
      switch text {
      case "true": return true
      case "false": return false
      case "yes", "on", "True", "TRUE", "Yes", "On": throw Misread(text: "write true")
      case "no", "off", "False", "FALSE", "No", "Off": throw Misread(text: "write false")
      default: throw Misread()
      }
    }
  }
}

extension Kind where Value: RawRepresentable<String> & CaseIterable {
  static var choice: Kind {
    let names = Value.allCases.map(\.rawValue)
    return Kind(expected: "one of " + names.joined(separator: ", "), example: names.first ?? "") {
      text throws(Misread) in
      guard let value = Value(rawValue: text) else { throw Misread() }
      return value
    }
  }
}

extension Kind where Value: FixedWidthInteger {
  static func integer(_ range: ClosedRange<Value>) -> Kind {
    Kind(expected: "a number from \(range.lowerBound) to \(range.upperBound)", example: "\(range.lowerBound)") {
      text throws(Misread) in
      let value: Value = try decimal(text)
      guard range.contains(value) else { throw Misread(text: "choose a number in that range") }
      return value
    }
  }

  /// Digits only. YAML 1.1 reads 010 as eight, 0x10 as sixteen and 1_000 as a thousand, 1.2 does not: refused, so that
  /// nobody has to know.
  private static func decimal(_ text: String) throws(Misread) -> Value {
    guard text.utf8.allSatisfy({ $0 >= UInt8(ascii: "0") && $0 <= UInt8(ascii: "9") }),
      text == "0" || text.utf8.first != UInt8(ascii: "0")
    else { throw Misread(text: "write it in decimal digits, without sign, prefix or leading zeros") }
    guard let value = Value(text) else { throw Misread(text: "choose a number in that range") }
    return value
  }
}

extension Kind where Value == UInt64 {
  /// A time in seconds: `600s`, `10m`, `1h`; a bare number is seconds.
  static func seconds(_ range: ClosedRange<UInt64>) -> Kind {
    quantity(
      [("s", 1), ("m", 60), ("h", 3600)], range, expected: "a time from \(range.lowerBound)s to \(range.upperBound)s",
      example: "600s")
  }

  /// A time in milliseconds, always with its unit: `50ms`, `1s`.
  static func milliseconds(_ range: ClosedRange<UInt64>) -> Kind {
    let kind = quantity(
      [("ms", 1), ("s", 1000)], range, expected: "a time from \(range.lowerBound)ms to \(range.upperBound)ms",
      example: "50ms")
    return Kind(expected: kind.expected, example: kind.example) { text throws(Misread) in
      guard text.hasSuffix("s") else { throw Misread(text: "add the unit, as in \(kind.example)") }
      return try kind.read(text)
    }
  }

  /// A size in octets: `268435456`, `256MiB`.
  static func octets(_ range: ClosedRange<UInt64>) -> Kind {
    quantity(
      [("KiB", 1 << 10), ("MiB", 1 << 20), ("GiB", 1 << 30), ("TiB", 1 << 40)], range,
      expected: "a size from \(range.lowerBound) octets to \(range.upperBound) octets", example: "256MiB")
  }

  private static func quantity(
    _ units: [(name: String, factor: UInt64)], _ range: ClosedRange<UInt64>, expected: String, example: String
  ) -> Kind {
    Kind(expected: expected, example: example) { text throws(Misread) in
      let unit = units.first { text.hasSuffix($0.name) }
      let number = try Kind.integer(0...UInt64.max).read(String(text.dropLast(unit?.name.count ?? 0)))
      let (value, overflow) = number.multipliedReportingOverflow(by: unit?.factor ?? 1)
      guard !overflow, range.contains(value) else { throw Misread(text: "choose a value in that range") }
      return value
    }
  }
}

extension Kind where Value == [UInt8] {
  /// Hexadecimal digits, two per octet, of one of the given lengths in octets.
  static func hex(octets: [Int], isSecret: Bool = false) -> Kind {
    let digits = octets.map { "\($0 * 2)" }.joined(separator: ", ")
    return Kind(
      expected: "\(digits) hexadecimal digits", example: String(repeating: "0", count: 2) + "...", isSecret: isSecret
    ) { text throws(Misread) in
      guard octets.contains(where: { $0 * 2 == text.utf8.count }) else {
        throw Misread(text: "write every digit, leading zeros too, without spaces or colons")
      }
      var value: [UInt8] = []
      value.reserveCapacity(text.utf8.count / 2)
      var half: UInt8?
      for octet in text.utf8 {
        guard let digit = digit(octet) else {
          throw Misread(text: "use the digits 0 to 9 and a to f only")
        }
        if let high = half {
          value.append(high << 4 | digit)
          half = nil
        } else {
          half = digit
        }
      }
      return value
    }
  }

  private static func digit(_ octet: UInt8) -> UInt8? {
    switch octet {
    case UInt8(ascii: "0")...UInt8(ascii: "9"): octet &- UInt8(ascii: "0")
    case UInt8(ascii: "a")...UInt8(ascii: "f"): octet &- UInt8(ascii: "a") &+ 10
    case UInt8(ascii: "A")...UInt8(ascii: "F"): octet &- UInt8(ascii: "A") &+ 10
    default: nil
    }
  }
}
