internal import Keys

/// Takes the keys out of a keys file before anything reads it as text: every run of exactly 64 hex digits becomes a
/// `SecretKey` and is overwritten with a stand-in of the same length, which keeps lines and columns.
///
/// So keys reach neither the YAML parser nor a String, whose memory nobody could zero. What this does not catch is a
/// key in a form that only YAML can undo (escapes, a text folded over lines) or one that is wrong: it is read as text.
struct SecretTexts {
  private static let digits = 2 * SecretKey.size
  /// No hex digit, so that a stand-in is never taken for a key.
  private static let mark = UInt8(ascii: "k")
  private var keys: [SecretKey] = []

  init(replacingIn octets: UnsafeMutableRawBufferPointer) throws(SecretKeyError) {
    var start = 0
    for end in 0...octets.count {
      if end < octets.count, Self.isWord(octets[end]) { continue }
      defer { start = end + 1 }
      let run = UnsafeMutableRawBufferPointer(rebasing: octets[start..<end])
      guard run.count == Self.digits, run.allSatisfy({ Self.value($0) != nil }) else { continue }
      let number = Array(String(keys.count).utf8)
      keys.append(try Self.key(UnsafeRawBufferPointer(run)))
      run.initializeMemory(as: UInt8.self, repeating: UInt8(ascii: "0"))
      run[0] = Self.mark
      for (offset, digit) in number.enumerated() { run[run.count - number.count + offset] = digit }
    }
  }

  /// The key that a text of the file stands for; nil when it is not a stand-in.
  func key(for text: String) -> SecretKey? {
    guard text.utf8.count == Self.digits, text.utf8.first == Self.mark, let index = Int(text.dropFirst()),
      keys.indices.contains(index)
    else { return nil }
    return keys[index]
  }

  private static func key(_ run: UnsafeRawBufferPointer) throws(SecretKeyError) -> SecretKey {
    var result: Result<SecretKey, SecretKeyError> = .failure(.notHex)
    withUnsafeTemporaryAllocation(byteCount: SecretKey.size, alignment: 8) { octets in
      for index in octets.indices {
        octets[index] = (value(run[2 * index]) ?? 0) << 4 | (value(run[2 * index + 1]) ?? 0)
      }
      do throws(SecretKeyError) {
        result = .success(try SecretKey.copying(UnsafeRawBufferPointer(octets)))
      } catch {
        result = .failure(error)
      }
      if let base = octets.baseAddress { eraseOctets(base, count: octets.count) }
    }
    return try result.get()
  }

  private static func isWord(_ octet: UInt8) -> Bool {
    let letter = octet | 0x20
    return octet >= UInt8(ascii: "0") && octet <= UInt8(ascii: "9") || octet == UInt8(ascii: "_")
      || letter >= UInt8(ascii: "a") && letter <= UInt8(ascii: "z") || octet >= 0x80
  }

  private static func value(_ octet: UInt8) -> UInt8? {
    switch octet {
    case UInt8(ascii: "0")...UInt8(ascii: "9"): octet &- UInt8(ascii: "0")
    case UInt8(ascii: "a")...UInt8(ascii: "f"): octet &- UInt8(ascii: "a") &+ 10
    case UInt8(ascii: "A")...UInt8(ascii: "F"): octet &- UInt8(ascii: "A") &+ 10
    default: nil
    }
  }
}
