package import Wire

extension Configuration {
  /// A gateway outside the trust group: it has data keys of one connection with a pool, whose members it asks.
  package struct Connection: Equatable, Sendable {
    /// What routes and groups here call the pool's trust group.
    package var group: String
    /// Absolute paths of PEM files.
    package var certificate, key, authority: String
    package var pool: [KeyAgent.Controller]
    /// The clear port on whose side the host with the connection's address is.
    package var port: String

    package enum Field: String, SectionField {
      case trustGroup = "trust_group"
      case certificate, key, authority, pool, port
    }
  }

  /// Outside clients of this node's pool: where they ask for connections, and how packets for them are sealed.
  package struct Clients: Equatable, Sendable {
    package var host: String
    package var port: UInt16
    package var group: String
    /// Inner addresses: base + n.
    package var prefix: IPPrefix
    /// Where the pool's members take packets: told to the clients.
    package var members: [IPAddress]
    /// The neighbour that leads to clients that are not on-link.
    package var via: IPAddress?
    package var suite: Suite
    package var sendsOptions: Bool
    package var carriage: Carriage

    package enum Field: String, SectionField {
      case listen
      case trustGroup = "trust_group"
      case prefix, members, via, suite, options, carriage
      case udpPort = "udp_port"
    }
  }
}

extension Configuration.Connection {
  init?(_ section: Section<Field>, directory: String) {
    func file(_ field: Field) -> String? { section.required(field, .path).map { absolute($0, in: directory) } }
    let group = section.required(.trustGroup, .name)
    let certificate = file(.certificate)
    let key = file(.key)
    let authority = file(.authority)
    let port = section.required(.port, .name)
    let pool = section.sections(.pool, Configuration.KeyAgent.Controller.Field.self).compactMap { inner in
      Configuration.KeyAgent.Controller(inner).map { Placed(path: inner.path, value: $0) }
    }
    reportRepeats(pool.map { Placed(path: "\($0.path).name", value: $0.value.name) }, section.findings, "member")
    if section.count(.pool) == 0 {
      section.missing(
        .pool, expected: "at least one member of the pool",
        fix: "add `pool: [{ name: one, url: \"https://HOST:8450\", id: \"spiffe://...\" }]`")
    }
    guard let group, let certificate, let key, let authority, let port else { return nil }
    self.init(
      group: group, certificate: certificate, key: key, authority: authority, pool: pool.map(\.value), port: port)
  }
}

extension Configuration.Clients {
  init?(_ section: Section<Field>) {
    let listen = section.required(.listen, .listenAddress)
    let group = section.required(.trustGroup, .name)
    let prefix = section.required(.prefix, .clientPrefix)
    let members = section.list(.members, Kind<IPAddress>.host)
    let via = section.value(.via, Kind<IPAddress>.host)
    let suite = section.value(.suite, .suite, default: .aes256)
    let options = section.value(.options, .boolean, default: true)
    let carriage = Configuration.Carriage(section, .carriage, .udpPort)
    guard let listen, let group, let prefix else { return nil }
    self.init(
      host: listen.host, port: listen.port, group: group, prefix: prefix, members: members.map(\.value), via: via,
      suite: suite, sendsOptions: options, carriage: carriage)
  }
}

extension Kind where Value == IPPrefix {
  /// n is slot, member (6 bits) and serial (6 bits).
  fileprivate static var clientPrefix: Kind {
    Kind(expected: "a prefix that leaves 13 to 31 bits for hosts", example: "10.128.0.0/9") { text throws(Misread) in
      let prefix = try Kind.network.read(text)
      guard (13...ConnectionNumber.bits).contains(prefix.hostBits) else {
        throw Misread(text: "write an IPv4 prefix of /1 to /19, or an IPv6 prefix of /97 to /115")
      }
      return prefix
    }
  }
}

/// Where a service listens.
struct ListenAddress {
  var host: String
  var port: UInt16
}

extension Kind where Value == ListenAddress {
  static var listenAddress: Kind {
    Kind(expected: "ADDRESS:PORT", example: "\"192.0.2.1:8450\"") { text throws(Misread) in
      guard let colon = text.lastIndex(of: ":") else { throw Misread() }
      var host = String(text[..<colon])
      if host.hasPrefix("["), host.hasSuffix("]") { host = String(host.dropFirst().dropLast()) }
      guard IPAddress(host) != nil else { throw Misread(text: "write the address in numbers, IPv6 in brackets") }
      let port = try Kind<UInt16>.integer(1...UInt16.max).read(String(text[text.index(after: colon)...]))
      return ListenAddress(host: host, port: port)
    }
  }
}

extension ConfigurationDraft {
  /// What a client's configuration cannot have beside its connection.
  func checkConnection() {
    guard let connection else { return }
    let place = "connection.port"
    if let port = port(named: connection.port, at: place), port.role != .clear || port.mode != .tunnel {
      findings.mistake(
        place, found: "the \(port.role.rawValue) port \"\(port.name)\" in mode \(port.mode.rawValue)",
        expected: "a clear port in mode tunnel", fix: "name the port where the host with the connection's address is")
    }
    for route in routes {
      guard let protection = route.value.protection else { continue }
      if protection.mode != .tunnel {
        findings.mistake(
          "\(route.path).mode", found: protection.mode.rawValue, expected: "tunnel on a connection",
          fix: "leave the field out")
      }
      if protection.context != .device {
        findings.mistake(
          "\(route.path).context", found: "a context of its own", expected: "none: the connection is the context",
          fix: "leave the field out")
      }
    }
  }

  /// Clients whose group is one of the agent's.
  func checkClients() {
    guard let keyAgent, let clients = keyAgent.clients else { return }
    if !keyAgent.groups.contains(where: { $0.name == clients.group }) {
      findings.mistake(
        "key_agent.clients.trust_group", found: findings.quote(clients.group),
        expected: "one of " + keyAgent.groups.map(\.name).joined(separator: ", "), fix: "name one of `trust_groups`")
    }
    if let identity, identity.numbers(towards: clients.group).isWide {
      findings.mistake(
        "identity.device_id", found: "16 hexadecimal digits", expected: "8 in a pool that serves clients",
        fix: "have another device ID assigned")
    }
    if let via = clients.via {
      _ = egress(
        to: via, at: "key_agent.clients.via", role: .protected, portName: nil, portPath: "key_agent.clients",
        fix: "name a router on one of them")
    }
  }
}

extension Configuration.Identity {
  /// A client has none: its connection's ID is its name, and its counts begin with it.
  static let connection = Self(
    numbers: Numbers(deviceID: 0, isWide: false, member: 0, controller: nil), groups: [], record: "")
}

extension GroupShape {
  /// Known when the pool answers; until then the most that a group can have counts.
  init(_ connection: Configuration.Connection) {
    self.init(
      name: connection.group, isDefault: true, epochPeriod: Configuration.Defaults.epochPeriod, maxCOffset: 255,
      maxIOffset: 15, idLengths: [32, 32, 32], rootKeys: ["as the pool says"])
  }
}
