internal import Wire

extension Kind where Value == IPAddress {
  /// One host's address: what a peer, a neighbour or a next hop can have.
  static var host: Kind {
    Kind(expected: "the IPv4 or IPv6 address of one host", example: "192.0.2.1") { text throws(Misread) in
      guard let address = IPAddress(text) else {
        throw Misread(text: text.contains("/") ? "leave out the prefix length" : nil)
      }
      guard !address.isUnspecified, !address.isMulticast, !address.isLoopback, !address.isBroadcast else {
        throw Misread(text: "choose an address that a host on the network can have")
      }
      return address
    }
  }
}

extension Kind where Value == IPPrefix {
  /// An address of a port with its network's length.
  static var interfaceAddress: Kind {
    Kind(expected: "an address with its network's prefix length", example: "192.0.2.1/24") { text throws(Misread) in
      guard let prefix = IPPrefix(text) else {
        throw Misread(text: IPAddress(text) == nil ? nil : "add the prefix length, as in \(text)/24")
      }
      let address = try Kind<IPAddress>.host.read(prefix.address.description)
      // RFC 3021 and RFC 6164 use both addresses of a /31 and of a /127.
      let isNetwork = prefix.network.address == address && prefix.length + 1 < address.bitWidth
      guard !isNetwork, prefix.broadcast != address else {
        throw Misread(text: "choose an address inside the network, not the network's own or its broadcast")
      }
      return prefix
    }
  }

  /// A set of destinations or sources: no bits outside the prefix.
  static var network: Kind {
    Kind(expected: "a prefix", example: "10.2.0.0/16") { text throws(Misread) in
      guard let prefix = IPPrefix(text) else {
        guard let address = IPAddress(text) else { throw Misread() }
        throw Misread(text: "add the prefix length, as in \(IPPrefix(host: address))")
      }
      guard !prefix.hasHostBits else { throw Misread(text: "write \(prefix.network)") }
      return prefix
    }
  }
}

extension Kind where Value == MACAddress {
  static var hardwareAddress: Kind {
    Kind(expected: "the Ethernet address of one host", example: "02:00:00:00:00:01") { text throws(Misread) in
      guard let address = MACAddress(text), !address.isZero, !address.isMulticast else { throw Misread() }
      return address
    }
  }
}
