import Wire

/// What `body` wrote onto `count` octets that were not zero before, and the offset that it returned.
func onDirtyBuffer(_ count: Int, _ body: (inout MutableRawSpan) -> Int?) -> (octets: [UInt8], end: Int?) {
  var octets = [UInt8](repeating: 0xA5, count: count)
  var span = octets.mutableSpan
  var bytes = span.mutableBytes
  let end = body(&bytes)
  return (octets, end)
}

/// The same for a change in place.
func changed<Result>(_ original: [UInt8], _ body: (inout MutableRawSpan) -> Result) -> (octets: [UInt8], result: Result)
{
  var octets = original
  var span = octets.mutableSpan
  var bytes = span.mutableBytes
  let result = body(&bytes)
  return (octets, result)
}

/// Writing into every length below `count` must say no and leave the octets as they were.
func refusesShortBuffers(_ count: Int, _ body: (inout MutableRawSpan) -> Int?) -> Bool {
  (0..<count).allSatisfy { length in
    let (octets, end) = onDirtyBuffer(length, body)
    return end == nil && octets.allSatisfy { $0 == 0xA5 }
  }
}

extension [UInt8] {
  /// A copy with one octet replaced.
  func with(_ value: UInt8, at offset: Int) -> [UInt8] {
    var copy = self
    copy[offset] = value
    return copy
  }

  func dropping(_ count: Int) -> [UInt8] { Array(dropFirst(count)) }
}

extension SecurityHeader {
  static func decode(_ octets: [UInt8], overUDP: Bool = true, sourceIsMapped: Bool = false) -> Decoded {
    decode(octets.span.bytes, overUDP: overUDP, sourceIsMapped: sourceIsMapped)
  }
}

extension SecurityHeader.Decoded {
  var header: SecurityHeader? {
    if case .header(let header) = self { header } else { nil }
  }

  var reason: DropReason? {
    if case .drop(let reason) = self { reason } else { nil }
  }
}

extension InnerPayload.Classified {
  var inner: InnerPayload? {
    if case .inner(let inner) = self { inner } else { nil }
  }

  var reason: DropReason? {
    if case .drop(let reason) = self { reason } else { nil }
  }
}

struct Missing: Error {}

/// `#require` for views, which do not escape.
@_lifetime(copy view)
func required<View: ~Escapable>(_ view: View?) throws -> View {
  guard let view else { throw Missing() }
  return view
}
