package import Foundation

/// Tests/Vectors/eesp-stateless.json: packets made by an independent implementation of the wire format.
package struct VectorFile: Decodable, Sendable {
  package struct Generation: Decodable, Sendable {
    package let index: UInt64
    @Hex package var key: [UInt8]
  }

  package struct RootKey: Decodable, Sendable {
    /// The level: 1 trust-region, 2 user-group, 3 task-group.
    package let type: UInt8
    @Hex package var id: [UInt8]
    /// previous, current or next.
    package let used: String
    package let previous: Generation?
    package let current: Generation
    package let next: Generation?

    /// The generation that the packet was sealed with.
    package var usedGeneration: Generation {
      switch used {
      case "previous": previous ?? current
      case "next": next ?? current
      default: current
      }
    }
  }

  package struct Positive: Decodable, Sendable {
    package let name: String
    package let rootKeys: [RootKey]
    @Hex package var xor: [UInt8]
    @Hex package var masterKey: [UInt8]
    /// How many options the packet has; with 0 the root keys are those of the default group.
    package let options: Int
    package let outerSource: String
    package let v: UInt8
    /// 4 or 8 octets.
    @Hex package var id: [UInt8]
    package let epoch: UInt16
    package let counter: UInt64
    package let reserve: UInt8
    /// In units of 4 octets.
    package let coffset: UInt8
    package let ioffset: UInt8
    @Hex package var dataKey: [UInt8]
    @Hex package var nonce: [UInt8]
    /// ipv4, ipv6, transport-udp, ethernet or dummy.
    package let payloadForm: String
    @Hex package var payload: [UInt8]
    /// Security header, payload and ICV, without outer headers.
    @Hex package var packet: [UInt8]
  }

  package struct Negative: Decodable, Sendable {
    package let name: String
    /// The drop's name.
    package let drop: String
    /// Name of the positive vector whose keys and outer source it has.
    package let basedOn: String
    @Hex package var packet: [UInt8]
  }

  package let note: String
  package let positive: [Positive]
  package let negative: [Negative]

  package static func load(from file: URL = VectorFile.folder.appending(path: "eesp-stateless.json")) throws -> Self {
    let decoder = JSONDecoder()
    decoder.keyDecodingStrategy = .convertFromSnakeCase
    return try decoder.decode(VectorFile.self, from: Data(contentsOf: file))
  }

  /// Tests/Vectors of the checkout that the tests were built from.
  package static let folder = URL(filePath: #filePath).deletingLastPathComponent().deletingLastPathComponent()
    .appending(path: "Vectors")

  /// The positive vector that a negative one was made from.
  package func base(of negative: Negative) -> Positive? {
    positive.first { $0.name == negative.basedOn }
  }
}

/// Octets written as hexadecimal digits in JSON.
@propertyWrapper
package struct Hex: Decodable, Sendable {
  package var wrappedValue: [UInt8]

  package init(from decoder: any Decoder) throws {
    let container = try decoder.singleValueContainer()
    let text = try container.decode(String.self)
    guard let octets = [UInt8](hex: text) else {
      throw DecodingError.dataCorruptedError(in: container, debugDescription: "not hexadecimal: \(text)")
    }
    wrappedValue = octets
  }
}

extension [UInt8] {
  /// Pairs of hexadecimal digits; white space between them does not count.
  package init?(hex text: String) {
    let digits = text.filter { !$0.isWhitespace }.map(\.hexDigitValue)
    guard digits.count.isMultiple(of: 2) else { return nil }
    self = []
    for index in stride(from: 0, to: digits.count, by: 2) {
      guard let high = digits[index], let low = digits[index + 1] else { return nil }
      append(UInt8(high << 4 | low))
    }
  }

  package var hex: String {
    map { ($0 < 16 ? "0" : "") + String($0, radix: 16) }.joined()
  }
}
