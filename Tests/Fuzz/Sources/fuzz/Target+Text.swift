import Wire

extension Target {
  /// Addresses and prefixes as people write them.
  static let text = Target(
    name: "text",
    seeds: { _ in
      [
        "192.0.2.1", "192.0.2.0/24", "0.0.0.0/0", "2001:db8::1", "2001:db8::/32", "::", "::ffff:192.0.2.1", "fe80::1",
        "1:2:3:4:5:6:7:8", "02:00:00:00:00:01", "2001:db8:0:0:1::/80",
      ].map { Array($0.utf8) }
    },
    run: { bytes in
      let text = String(decoding: bytes.octets, as: UTF8.self)
      if let address = IPAddress(text) {
        require(IPAddress(address.description) == address, "\(address) reads what it wrote")
      }
      if let prefix = IPPrefix(text) {
        require(IPPrefix(prefix.description) == prefix, "\(prefix) reads what it wrote")
        require(prefix.contains(prefix.address) && prefix.network.contains(prefix), "a prefix contains itself")
      }
      if let mac = MACAddress(text) {
        require(MACAddress(mac.description) == mac, "\(mac) reads what it wrote")
      }
    })
}
