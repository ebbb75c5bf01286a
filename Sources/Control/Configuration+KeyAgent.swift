internal import Foundation

extension Configuration {
  /// Root keys from controllers instead of a keys file: where they are, who this node is to them, and which of their keys
  /// make its trust groups.
  package struct KeyAgent: Equatable, Sendable {
    /// Absolute paths of PEM files.
    package var certificate, key, authority: String
    /// Absolute path of the sealed file.
    package var state: String
    package var wrappingKey: WrappingKey
    package var controllers: [Controller]
    package var groups: [Group]
    /// Milliseconds that the agent waits before it takes new keys over: for tests of slow members only.
    package var delay: UInt64
    /// Outside clients that this node's pool serves.
    package var clients: Clients?

    package enum Field: String, SectionField {
      case certificate, key, authority, state
      case wrappingKey = "wrapping_key"
      case controllers
      case trustGroups = "trust_groups"
      case delay, clients
    }

    package enum WrappingKey: Equatable, Sendable {
      case file(String)
      case credential(String)
      case pkcs11(module: String, token: String, label: String, pinFile: String)

      package enum Field: String, SectionField { case file, credential, pkcs11 }

      package enum TokenField: String, SectionField {
        case module, token, label
        case pinFile = "pin_file"
      }
    }

    package struct Controller: Equatable, Sendable {
      package var name, url, id: String
      package var pin: String?

      package enum Field: String, SectionField { case name, url, id, pin }
    }

    /// A trust group without its keys.
    package struct Group: Equatable, Sendable {
      package var name: String
      package var isDefault: Bool
      /// Seconds.
      package var epochPeriod: Int
      package var maxCOffset, maxIOffset: Int
      package var rootKeys: [RootKeyReference]

      package enum Field: String, SectionField {
        case name
        case isDefault = "default"
        case epochPeriod = "epoch_period"
        case maxCOffset = "max_coffset"
        case maxIOffset = "max_ioffset"
        case rootKeys = "root_keys"
      }
    }

    /// `CONTROLLER/NAME`.
    package struct RootKeyReference: Hashable, Sendable, CustomStringConvertible {
      package var controller, name: String
      package var description: String { "\(controller)/\(name)" }
    }
  }
}

extension Configuration.KeyAgent {
  init?(_ section: Section<Field>, directory: String) {
    func file(_ field: Field) -> String? { section.required(field, .path).map { absolute($0, in: directory) } }
    let certificate = file(.certificate)
    let key = file(.key)
    let authority = file(.authority)
    let state = file(.state)
    var wrappingKey: WrappingKey?
    if let inner = section.section(.wrappingKey, WrappingKey.Field.self) {
      wrappingKey = WrappingKey(inner, directory: directory)
    } else if !section.has(.wrappingKey) {
      section.missing(
        .wrappingKey, expected: "the key that seals the state", fix: "add `wrapping_key: { file: agent.kek }`")
    }
    let controllers = section.sections(.controllers, Controller.Field.self).compactMap { inner in
      Controller(inner).map { Placed(path: inner.path, value: $0) }
    }
    reportRepeats(
      controllers.map { Placed(path: "\($0.path).name", value: $0.value.name) }, section.findings, "controller")
    if section.count(.controllers) == 0 {
      section.missing(
        .controllers, expected: "at least one controller",
        fix: "add `controllers: [{ name: region, url: \"https://HOST:8441\", id: \"spiffe://...\" }]`")
    }
    let groups = section.sections(.trustGroups, Group.Field.self).compactMap { inner in
      Group(inner).map { Placed(path: inner.path, value: $0) }
    }
    if section.count(.trustGroups) == 0 {
      section.missing(
        .trustGroups, expected: "at least one trust group",
        fix: "add `trust_groups: [{ name: train, default: true, root_keys: [region/NAME] }]`")
    }
    Self.check(groups, controllers.map(\.value.name), section)
    let delay = section.value(.delay, .integer(UInt64(0)...600_000), default: Configuration.Defaults.agentDelay)
    if delay > 0 { section.findings.warning(section.path(.delay), "new keys are taken over late: for tests only") }
    guard let certificate, let key, let authority, let state, let wrappingKey else { return nil }
    self.init(
      certificate: certificate, key: key, authority: authority, state: state, wrappingKey: wrappingKey,
      controllers: controllers.map(\.value), groups: groups.map(\.value), delay: delay,
      clients: section.section(.clients, Configuration.Clients.Field.self).flatMap { Configuration.Clients($0) })
  }

  private static func check(_ groups: [Placed<Group>], _ controllers: [String], _ section: Section<Field>) {
    reportRepeats(groups.map { Placed(path: "\($0.path).name", value: $0.value.name) }, section.findings, "trust group")
    let defaults = groups.filter(\.value.isDefault)
    for group in defaults.dropFirst() {
      section.findings.mistake(
        "\(group.path).default", found: "a second default group after \(defaults[0].value.name)", expected: "one",
        fix: "remove one of them")
    }
    var seen: [Set<RootKeyReference>: String] = [:]
    for group in groups {
      for (index, reference) in group.value.rootKeys.enumerated() where !controllers.contains(reference.controller) {
        guard !controllers.isEmpty else { break }
        section.findings.mistake(
          "\(group.path).root_keys[\(index)]",
          found: "the controller \(section.findings.quote(reference.controller)), which is not defined",
          expected: "one of " + controllers.joined(separator: ", "), fix: "correct the name or add the controller")
      }
      if let first = seen.updateValue(group.value.name, forKey: Set(group.value.rootKeys)) {
        section.findings.mistake(
          "\(group.path).root_keys", found: "the same root keys as in \(first)", expected: "a set of its own",
          fix: "change one of them: a packet names its group by its root keys")
      }
    }
  }
}

extension Configuration.KeyAgent.WrappingKey {
  init?(_ section: Section<Field>, directory: String) {
    let given = Field.allCases.filter(section.has)
    guard given.count == 1 else {
      section.findings.mistake(
        given.count > 1 ? section.path(given[1]) : section.path,
        found: given.isEmpty ? "nothing" : given.map(\.rawValue).joined(separator: " and "),
        expected: "one of file, credential, pkcs11", fix: "write `wrapping_key: { file: agent.kek }`, for example")
      return nil
    }
    switch given[0] {
    case .file:
      guard let path = section.value(.file, .path) else { return nil }
      self = .file(absolute(path, in: directory))
    case .credential:
      guard let name = section.value(.credential, .name) else { return nil }
      self = .credential(name)
    case .pkcs11:
      guard let inner = section.section(.pkcs11, TokenField.self) else { return nil }
      let module = inner.required(.module, .path)
      let token = inner.required(.token, .label)
      let label = inner.required(.label, .label)
      let pinFile = inner.required(.pinFile, .path)
      guard let module, let token, let label, let pinFile else { return nil }
      self = .pkcs11(
        module: absolute(module, in: directory), token: token, label: label, pinFile: absolute(pinFile, in: directory))
    }
  }
}

extension Configuration.KeyAgent.Controller {
  init?(_ section: Section<Field>) {
    let name = section.required(.name, .name)
    let url = section.required(.url, .controllerURL)
    let id = section.required(.id, .spiffeID)
    let pin = section.value(.pin, .publicKeyPin)
    guard let name, let url, let id, pin != nil || !section.has(.pin) else { return nil }
    self.init(name: name, url: url, id: id, pin: pin)
  }
}

extension Configuration.KeyAgent.Group {
  init?(_ section: Section<Field>) {
    let name = section.required(.name, .name)
    let isDefault = section.value(.isDefault, .boolean, default: false)
    let period = section.value(.epochPeriod, .seconds(60...1800), default: UInt64(Configuration.Defaults.epochPeriod))
    let maxCOffset = section.value(.maxCOffset, .integer(0...255), default: Configuration.Defaults.maxCOffset)
    let maxIOffset = section.value(.maxIOffset, .integer(0...15), default: Configuration.Defaults.maxIOffset)
    if maxIOffset > 0 {
      section.findings.warning(
        section.path(.maxIOffset),
        "packets of this group may leave up to \(4 * maxIOffset) octets unprotected: an attacker can rewrite them, inner"
          + " addresses included, without anyone noticing; 0 is safe")
    }
    let rootKeys = section.list(.rootKeys, .rootKeyReference)
    reportRepeats(rootKeys, section.findings, "root key")
    if !(1...3).contains(section.count(.rootKeys)) {
      section.findings.mistake(
        section.path(.rootKeys), found: "\(section.count(.rootKeys)) root keys",
        expected: "one to three, one per level",
        fix: "write `root_keys: [region/NAME, users/NAME, tasks/NAME]`")
    }
    guard let name else { return nil }
    self.init(
      name: name, isDefault: isDefault, epochPeriod: Int(period), maxCOffset: maxCOffset, maxIOffset: maxIOffset,
      rootKeys: rootKeys.map(\.value))
  }
}

extension Kind where Value == String {
  /// Strict as the standard is: one name has one spelling.
  static var spiffeID: Kind {
    Kind(expected: "a SPIFFE ID, at most 2048 characters", example: "spiffe://region1.example/controller/region") {
      text throws(Misread) in
      let scheme = "spiffe://"
      guard text.hasPrefix(scheme), text.utf8.count <= 2048 else { throw Misread() }
      let parts = text.dropFirst(scheme.count).split(separator: "/", omittingEmptySubsequences: false)
      guard let domain = parts.first, (1...255).contains(domain.utf8.count),
        domain.utf8.allSatisfy({ isSPIFFECharacter($0, upper: false) }),
        parts.dropFirst().allSatisfy({ part in
          !part.isEmpty && part != "." && part != ".." && part.utf8.allSatisfy { isSPIFFECharacter($0, upper: true) }
        })
      else { throw Misread(text: "use lower case in the trust domain, and letters, digits, dots, dashes, underscores") }
      return text
    }
  }

  private static func isSPIFFECharacter(_ octet: UInt8, upper: Bool) -> Bool {
    switch octet {
    case UInt8(ascii: "a")...UInt8(ascii: "z"), UInt8(ascii: "0")...UInt8(ascii: "9"), UInt8(ascii: "-"),
      UInt8(ascii: "."), UInt8(ascii: "_"):
      true
    case UInt8(ascii: "A")...UInt8(ascii: "Z"): upper
    default: false
    }
  }

  static var publicKeyPin: Kind {
    Kind(expected: "sha256: and 64 hexadecimal digits", example: "sha256:<64 hex digits>") { text throws(Misread) in
      guard text.hasPrefix("sha256:"), text.utf8.count == 71, text.dropFirst(7).allSatisfy(\.isHexDigit),
        text.utf8.allSatisfy({ $0 < 128 })
      else { throw Misread(text: "copy what `keyweave ca issue` printed") }
      return text.lowercased()
    }
  }

  /// Scheme, host and port; the paths are the protocol's.
  static var controllerURL: Kind {
    Kind(expected: "https://HOST:PORT", example: "\"https://192.0.2.10:8441\"") { text throws(Misread) in
      guard text.hasPrefix("https://") else {
        throw Misread(text: text.hasPrefix("http://") ? "use https: keys are sent over TLS only" : nil)
      }
      guard let url = URL(string: text), url.host()?.isEmpty == false, url.path().isEmpty, url.query() == nil,
        url.fragment() == nil, url.user() == nil, text.utf8.count <= 300
      else { throw Misread(text: "leave out what follows host and port") }
      return text
    }
  }

  /// Names on a token.
  static var label: Kind {
    Kind(expected: "a name of 1 to 32 characters", example: "keyweave") { text throws(Misread) in
      guard (1...32).contains(text.utf8.count), text.utf8.allSatisfy({ (32...126).contains($0) }) else {
        throw Misread()
      }
      return text
    }
  }
}

extension Kind where Value == Configuration.KeyAgent.RootKeyReference {
  static var rootKeyReference: Kind {
    Kind(expected: "CONTROLLER/NAME", example: "region/region1") { text throws(Misread) in
      let parts = text.split(separator: "/", maxSplits: 1, omittingEmptySubsequences: false).map(String.init)
      guard parts.count == 2, parts.allSatisfy(Kind<String>.isName) else {
        throw Misread(text: "write the controller's name here, a slash, and its name for the root key")
      }
      return .init(controller: parts[0], name: parts[1])
    }
  }
}
