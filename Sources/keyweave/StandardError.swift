internal import Glibc

/// Where sentences for the operator go, apart from the output that programs read.
struct StandardError: TextOutputStream {
  mutating func write(_ text: String) {
    var text = text
    text.withUTF8 { octets in
      var rest = UnsafeRawBufferPointer(octets)
      while !rest.isEmpty {
        let count = Glibc.write(STDERR_FILENO, rest.baseAddress, rest.count)
        guard count > 0 else { return }
        rest = UnsafeRawBufferPointer(rebasing: rest.dropFirst(count))
      }
    }
  }

  static func write(_ text: String) {
    var stream = StandardError()
    stream.write(text)
  }
}
