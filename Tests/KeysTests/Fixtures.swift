import Foundation
import Keys
import Support
import Wire

/// A key of 32 equal octets: enough where a test looks at structure only.
func key(_ octet: UInt8) throws -> SecretKey {
  try SecretKey.copying([UInt8](repeating: octet, count: 32))
}

extension SecretKey {
  static func copying(_ octets: [UInt8]) throws -> SecretKey {
    try octets.withUnsafeBytes { try SecretKey.copying($0) }
  }

  var copy: [UInt8] { withOctets(Array.init) }
}

func generation(_ index: UInt64, _ octet: UInt8) throws -> Generation {
  Generation(index: index, key: try key(octet))
}

/// A root key with generations 6, 7 and 8, whose keys' octets follow `first`.
func rootKey(_ level: RootKeyLevel, _ id: UInt8, first: UInt8, idLength: Int = 16) throws -> RootKey {
  RootKey(
    level: level, id: Array(repeating: id, count: idLength), previous: try generation(6, first),
    current: try generation(7, first + 1), next: try generation(8, first + 2))
}

func primitives() throws -> LibcryptoPrimitives {
  guard let primitives = LibcryptoPrimitives() else { throw MissingLibrary() }
  return primitives
}

struct MissingLibrary: Error, CustomStringConvertible {
  let description = "libcrypto.so.3 is not there: install libssl3"
}

extension RootKey {
  init(_ vector: VectorFile.RootKey) throws {
    func generation(_ vector: VectorFile.Generation) throws -> Generation {
      Generation(index: vector.index, key: try SecretKey.copying(vector.key))
    }
    guard let level = RootKeyLevel(rawValue: vector.type) else { throw CocoaError(.coderInvalidValue) }
    self.init(
      level: level, id: vector.id, previous: try vector.previous.map(generation),
      current: try generation(vector.current),
      next: try vector.next.map(generation))
  }
}

/// A root key as an option names it.
typealias Named = (level: UInt8, index: UInt8, id: [UInt8])

/// A header with one option for each of `named`, taken apart again by Wire, and its octets.
func makeHeader(naming named: [Named], reserve: UInt8 = 0) -> (header: SecurityHeader, octets: [UInt8])? {
  var options = [UInt8](repeating: 0, count: 108)
  var length = 0
  for (level, index, id) in named {
    var elements = options.mutableSpan
    var span = elements.mutableBytes
    guard
      let end = MasterKeyOption.write(level: level, index: index, id: id.span.bytes, into: &span, at: length)
    else { return nil }
    length = end
  }
  var packet = [UInt8](repeating: 0, count: 128 + 16)
  let variant = Variant(context: .device, suite: .aes256, isWide: false)
  let encoded = Array(options.prefix(length))
  var elements = packet.mutableSpan
  var span = elements.mutableBytes
  guard
    SecurityHeader(variant: variant, reserve: reserve, id: 1).write(encodedOptions: encoded.span.bytes, into: &span)
      != nil,
    case .header(let header) = SecurityHeader.decode(packet.span.bytes, overUDP: false, sourceIsMapped: false)
  else { return nil }
  return (header, packet)
}
