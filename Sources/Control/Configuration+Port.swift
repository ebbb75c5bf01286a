package import Wire

extension Configuration {
  package struct Port: Equatable, Sendable {
    package var name: String
    package var device: Device
    package var role: Role
    /// Largest IP packet, outer headers included, in octets.
    package var mtu: UInt16
    /// 802.1Q tag of everything that this port sends and takes.
    package var vlan: UInt16?
    /// What a clear port carries; tunnel on protected ports, where it has no meaning.
    package var mode: Mode
    /// Transport mode: the protected port on the other side of the bump.
    package var pair: String?
    /// Own addresses with their networks; none on the clear ports of modes transport and ethernet.
    package var addresses: [IPPrefix]
    package var neighbours: [Neighbour]
    /// Addresses of a pool, of which one member at a time answers for each.
    package var shared: [SharedAddress]
    /// Protected ports: the group of packets without master key options; nil: the keys file's default group.
    package var defaultGroup: String?
    /// Protected ports: destination port of the security header over UDP.
    package var udpPort: UInt16

    package enum Field: String, SectionField {
      case name, device, role, mtu, vlan, mode, pair, addresses, neighbours, shared
      case defaultGroup = "default_group"
      case udpPort = "udp_port"
    }
  }

  package enum Role: String, CaseIterable, Sendable {
    case clear, protected
  }

  /// How a port's device is named; the text is safe to hand to EAL.
  package enum Device: Hashable, Sendable, CustomStringConvertible {
    /// A network interface of the kernel, through af_packet.
    case interface(String)
    /// `0000:03:00.0`.
    case pci(String)
    /// A DPDK virtual device with its arguments: `net_null0,size=64`.
    case vdev(String)

    package var description: String {
      switch self {
      case .interface(let name), .pci(let name), .vdev(let name): name
      }
    }
  }

  /// A neighbour that is not asked for by ARP or NDP.
  package struct Neighbour: Equatable, Sendable {
    package var address: IPAddress
    package var hardware: MACAddress

    package enum Field: String, SectionField {
      case address
      case mac
    }
  }
}

extension Configuration.Port {
  /// Reads one item of `ports`; its addresses and neighbours come with their places for the checks across ports.
  init?(_ section: Section<Field>) {
    let name = section.required(.name, .name)
    let device = section.required(.device, .device)
    let role = section.required(.role, Kind<Configuration.Role>.choice)
    let mtu = section.value(.mtu, .integer(UInt16(576)...9600), default: Configuration.Defaults.mtu)
    let vlan = section.value(.vlan, .integer(UInt16(1)...4094))
    // What a wrong mode was meant to be is unknown, so that nothing more can be said about the port.
    let mode = section.has(.mode) ? section.value(.mode, Kind<Configuration.Mode>.choice) : .tunnel
    let pair = section.value(.pair, .name)
    let addresses = section.list(.addresses, .interfaceAddress)
    let neighbours = section.sections(.neighbours, Configuration.Neighbour.Field.self)
      .compactMap(Configuration.Neighbour.init)
    let shared = section.sections(.shared, Configuration.SharedAddress.Field.self)
      .compactMap(Configuration.SharedAddress.init)
    let defaultGroup = section.value(.defaultGroup, .name)
    let udpPort = section.value(
      .udpPort, .integer(UInt16(1)...UInt16.max), default: Configuration.Defaults.udpPort)

    // Without one of its addresses, a port would seem not to reach what it does.
    guard let name, let device, let role, let mode, addresses.count == section.count(.addresses) else { return nil }
    let port = Self(
      name: name, device: device, role: role, mtu: mtu, vlan: vlan, mode: mode, pair: pair,
      addresses: addresses.map(\.value), neighbours: neighbours, shared: shared, defaultGroup: defaultGroup,
      udpPort: udpPort)
    port.checkFields(section)
    self = port
  }

  /// Which fields go with which role and mode.
  private func checkFields(_ section: Section<Field>) {
    switch role {
    case .protected:
      section.refuse([.mode, .pair], because: "on a protected port: they belong to clear ports")
    case .clear:
      section.refuse([.defaultGroup, .udpPort], because: "on a clear port: it opens nothing")
      switch mode {
      case .tunnel:
        section.refuse([.pair], because: "in mode tunnel, where routes choose the port")
        requireAddresses(section)
      case .transport:
        section.refuse(
          [.addresses, .neighbours, .shared, .vlan], because: "in mode transport, which keeps every frame's header")
        if pair == nil {
          section.missing(.pair, expected: "the protected port on the other side", fix: "add `pair: NAME`")
        }
      case .ethernet:
        section.refuse(
          [.addresses, .neighbours, .shared, .vlan, .pair], because: "in mode ethernet, which carries whole frames")
      }
    }
  }

  private func requireAddresses(_ section: Section<Field>) {
    if !section.has(.addresses) {
      section.missing(.addresses, expected: "at least one address", fix: "add `addresses: [192.0.2.1/24]`")
    } else if addresses.isEmpty {
      section.findings.mistake(
        section.path(.addresses), found: "no address", expected: "at least one address",
        fix: "write `addresses: [192.0.2.1/24]`, for example")
    }
  }
}

extension Configuration.Neighbour {
  init?(_ section: Section<Field>) {
    let address = section.required(.address, Kind<IPAddress>.host)
    let hardware = section.required(.mac, .hardwareAddress)
    guard let address, let hardware else { return nil }
    self.init(address: address, hardware: hardware)
  }
}

extension Kind where Value == Configuration.Device {
  static var device: Kind {
    Kind(
      expected: "an interface's name, a PCI address or a DPDK vdev (net_...)", example: "eth0"
    ) { text throws(Misread) in
      if text.hasPrefix("net_") {
        // EAL splits its arguments at white space never, but prints its whole usage for what it cannot parse.
        guard text.utf8.count < 512, text.unicodeScalars.allSatisfy({ $0.value > 32 && $0.value < 127 }) else {
          throw Misread(text: "write it without spaces, as in net_null0,size=64")
        }
        return .vdev(text)
      }
      if let address = pciAddress(text) { return .pci(address) }
      // IFNAMSIZ is 16 with the closing zero; the kernel refuses '/', ':' and white space.
      guard text.utf8.count <= 15, text != ".", text != "..",
        text.unicodeScalars.allSatisfy({ $0.value > 32 && $0.value < 127 && !"/:,".unicodeScalars.contains($0) })
      else { throw Misread() }
      return .interface(text)
    }
  }

  /// `03:00.0` or `0000:03:00.0`; the result always has the domain.
  private static func pciAddress(_ text: String) -> String? {
    var parts = text.split(separator: ":", omittingEmptySubsequences: false)
    if parts.count == 2 { parts.insert("0000", at: 0) }
    guard parts.count == 3 else { return nil }
    let last = parts[2].split(separator: ".", omittingEmptySubsequences: false)
    guard last.count == 2, isHex(parts[0], 4), isHex(parts[1], 2), isHex(last[0], 2), isHex(last[1], 1) else {
      return nil
    }
    return parts.joined(separator: ":").lowercased()
  }

  private static func isHex(_ text: Substring, _ count: Int) -> Bool {
    text.utf8.count == count && text.unicodeScalars.allSatisfy { $0.isASCII && $0.properties.isASCIIHexDigit }
  }
}
