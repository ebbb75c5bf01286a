/// What a gateway does, as read from its configuration file: complete (defaults filled in, names resolved, paths
/// absolute) and consistent, or it does not exist.
package struct Configuration: Equatable, Sendable {
  /// Names the gateway in its socket, its files and its output.
  package var name: String
  package var identity: Identity
  /// Absolute path of the keys file; nothing with a key agent.
  package var keysFile: String?
  package var keyAgent: KeyAgent?
  /// Instead of both, for a gateway outside the trust group.
  package var connection: Connection?
  package var engine: Engine
  package var lcores: LCores
  /// Absolute path; nil: `ControlSocket.defaultPath(name:)`.
  package var controlSocket: String?
  package var ports: [Port]
  package var peers: [Peer]
  package var routes: [Route]
  package var groups: [GroupPolicy]
  package var proxies: [Proxy]
  /// What happens to clear traffic that no route names.
  package var unmatched: Unmatched
  /// Whether TCP's maximum segment size is lowered to what fits after encapsulation.
  package var clampsMSS: Bool
  /// Generated ICMP errors per second, of the whole gateway.
  package var icmpRate: UInt32
  package var bfd: BFD?
  /// Replay windows that the gateway has room for, where a group has any.
  package var replayCapacity: Int
  package var capture: Capture?

  package enum Field: String, SectionField {
    case name, identity, keys
    case keyAgent = "key_agent"
    case connection
    case engine, lcores
    case controlSocket = "control_socket"
    case ports, peers, routes, groups, proxies, unmatched
    case mssClamp = "mss_clamp"
    case icmpRate = "icmp_rate"
    case bfd
    case replayCapacity = "replay_capacity"
    case capture
  }

  /// Values for what a file leaves out, all in one place. The schema repeats them for its readers; a test compares.
  enum Defaults {
    static let engine = Engine.auto
    static let lcoreCount = 1
    static let mtu: UInt16 = 1500
    static let udpPort: UInt16 = 4500
    static let icmpRate: UInt32 = 100
    /// Milliseconds.
    static let bfdInterval: UInt64 = 100
    static let bfdMultiplier: UInt8 = 3
    static let bfdDrain: UInt64 = 500
    static let replayCapacity = 16384
    static let replayWindow = 0
    static let captureOctets: UInt64 = 256 << 20
    static let epochPeriod = 600
    static let maxCOffset = 16
    static let maxIOffset = 0
    static let agentDelay: UInt64 = 0
  }

  package enum Engine: String, CaseIterable, Sendable {
    case auto
    case ipsecMB = "ipsec-mb"
    case openSSL = "openssl"
  }

  package enum Unmatched: String, CaseIterable, Sendable {
    case drop, bypass
  }

  /// What a packet's payload is (wire format, section 3).
  package enum Mode: String, CaseIterable, Sendable {
    case tunnel, transport, ethernet
  }
}

extension Configuration {
  /// Who this gateway is towards its groups: assigned by a group's controller, never twice (wire format, section 4).
  package struct Identity: Equatable, Sendable {
    package struct Numbers: Equatable, Sendable {
      /// 0, as the member, until the controller has said it.
      package var deviceID: UInt64
      /// Written with 16 digits: packets carry the 8-octet ID.
      package var isWide: Bool
      /// 0 to 63.
      package var member: UInt8
      /// The one controller of `key_agent` that assigns device ID and member; nothing when they stand here.
      package var controller: String?
    }

    /// Towards a trust group that has another authority than the others.
    package struct Group: Equatable, Sendable {
      package var group: String
      package var numbers: Numbers

      package enum Field: String, SectionField {
        case group
        case deviceID = "device_id"
        case member, controller
      }
    }

    package var numbers: Numbers
    package var groups: [Group]
    /// Absolute path of the counter's durable record, one for everything that is sealed.
    package var record: String

    package enum Field: String, SectionField {
      case deviceID = "device_id"
      case member, controller, record, groups
    }

    package func numbers(towards group: String) -> Numbers {
      groups.first { $0.group == group }?.numbers ?? numbers
    }
  }

  package struct LCores: Equatable, Sendable {
    /// 1 to 32: the counter has five bits for the lcore (wire format, section 4).
    package var count: Int
    /// Whether their cores do nothing else: then an idle lcore spins instead of sleeping.
    package var isDedicated: Bool
    /// One CPU per lcore, or none: then the kernel places them.
    package var cores: [UInt16]

    package enum Field: String, SectionField {
      case count, dedicated, cores
    }
  }

  /// The gateway's own recording of one port.
  package struct Capture: Equatable, Sendable {
    package var port: String
    /// Absolute path of the pcapng file.
    package var file: String
    /// The file's largest size; later packets are not recorded.
    package var maxOctets: UInt64

    package enum Field: String, SectionField {
      case port, file
      case maxOctets = "max_octets"
    }
  }
}

extension Configuration.Identity {
  init?(_ section: Section<Field>, directory: String) {
    let record = section.required(.record, .path)
    let numbers = Numbers(section, .deviceID, .member, .controller)
    let groups = section.sections(.groups, Group.Field.self).compactMap { inner -> Placed<Group>? in
      let name = inner.required(.group, .name)
      let numbers = Numbers(inner, .deviceID, .member, .controller)
      guard let name, let numbers else { return nil }
      return Placed(path: inner.path, value: Group(group: name, numbers: numbers))
    }
    reportRepeats(groups.map { Placed(path: "\($0.path).group", value: $0.value.group) }, section.findings, "group")
    guard let numbers, let record else { return nil }
    self.init(numbers: numbers, groups: groups.map(\.value), record: absolute(record, in: directory))
  }
}

extension Configuration.Identity.Numbers {
  init?<Field>(_ section: Section<Field>, _ deviceID: Field, _ member: Field, _ controller: Field) {
    if section.has(controller) {
      section.refuse([deviceID, member], because: "beside `controller`, which assigns it")
      guard let controller = section.value(controller, .name) else { return nil }
      self.init(deviceID: 0, isWide: false, member: 0, controller: controller)
      return
    }
    let octets = section.required(deviceID, .hex(octets: [4, 8]))
    let member = section.required(member, .integer(UInt8(0)...63))
    guard let octets, let member else { return nil }
    self.init(
      deviceID: octets.reduce(0) { $0 << 8 | UInt64($1) }, isWide: octets.count == 8, member: member, controller: nil)
  }
}

extension Configuration.LCores {
  static let `default` = Self(count: Configuration.Defaults.lcoreCount, isDedicated: false, cores: [])

  init(_ section: Section<Field>) {
    let cores = section.list(.cores, .integer(UInt16(0)...1023))
    let count = section.value(.count, .integer(1...32), default: cores.isEmpty ? Self.default.count : cores.count)
    if !cores.isEmpty, count != cores.count {
      section.findings.mistake(
        section.path(.cores), found: "\(cores.count) cores for \(count) lcores", expected: "one core per lcore",
        fix: "list \(count) cores, or leave `count` out")
    }
    if cores.count > 32 {
      section.findings.mistake(
        section.path(.cores), found: "\(cores.count) cores", expected: "at most 32",
        fix: "the packet counter has room for 32 lcores: list fewer")
    }
    reportRepeats(cores, section.findings, "core")
    let isDedicated = section.value(.dedicated, .boolean, default: Self.default.isDedicated)
    if isDedicated, cores.isEmpty {
      section.findings.warning(
        section.path(.dedicated),
        "lcores without cores of their own will spin wherever the kernel puts them; name them in `cores`")
    }
    self.init(count: count, isDedicated: isDedicated, cores: cores.map(\.value))
  }
}

extension Configuration.Capture {
  init?(_ section: Section<Field>, directory: String) {
    let port = section.required(.port, .name)
    let file = section.required(.file, .path)
    let maxOctets = section.value(
      .maxOctets, .octets(4096...1 << 44), default: Configuration.Defaults.captureOctets)
    guard let port, let file else { return nil }
    self.init(port: port, file: absolute(file, in: directory), maxOctets: maxOctets)
  }
}

/// Paths in a file are relative to the file, so that a configuration works from any directory.
func absolute(_ path: String, in directory: String) -> String {
  path.hasPrefix("/") ? path : directory.hasSuffix("/") ? directory + path : directory + "/" + path
}

/// Reports every value of a list that stood there before.
func reportRepeats<Value: Hashable>(_ values: [Placed<Value>], _ findings: Findings, _ noun: String) {
  var first: [Value: String] = [:]
  for item in values {
    if let earlier = first.updateValue(first[item.value] ?? item.path, forKey: item.value) {
      findings.mistake(
        item.path, found: "the \(noun) \(item.value), which \(earlier) has too", expected: "each \(noun) once",
        fix: "change or remove one of them")
    }
  }
}
