internal import Keys

extension ControllerConfiguration {
  /// Everything that is right; what is not is in the section's findings.
  init?(_ section: Section<Field>, fallbackName: String, directory: String) {
    let name = section.has(.name) ? section.value(.name, .name) : Self.name(fallbackName, section)
    let listen = section.required(.listen, .listen)
    func file(_ field: Field) -> String? { section.required(field, .path).map { absolute($0, in: directory) } }
    let certificate = file(.certificate)
    let key = file(.key)
    let authority = file(.authority)
    let wrappingKey = section.section(.wrappingKey, WrappingKey.Field.self).flatMap {
      WrappingKey($0, directory: directory)
    }
    if !section.has(.wrappingKey) {
      section.missing(
        .wrappingKey, expected: "the key that wraps root keys in the store",
        fix: "add `wrapping_key: { file: controller.kek }`")
    }
    let store = section.section(.store, Store.Field.self).flatMap { Store($0, directory: directory) }
    if !section.has(.store) {
      section.missing(.store, expected: "where the state is kept", fix: "add `store: { file: controller.db }`")
    }
    let auditFile = section.value(.auditFile, .path).map { absolute($0, in: directory) }
    let lease = section.value(.lease, .seconds(3...3600), default: Defaults.lease)
    let isAuthority = section.has(.identityAuthority)
    let firstDeviceID = section.section(.identityAuthority, AuthorityField.self)
      .flatMap { $0.required(.firstDeviceID, .hex(octets: [4])) }
      .map { $0.reduce(UInt32(0)) { $0 << 8 | UInt32($1) } }
    let administrators = Self.administrators(section)
    let rootKeys = Self.rootKeys(section)
    let limits = section.section(.limits, Limits.Field.self).map(Limits.init) ?? Limits()
    guard let name, let listen, let certificate, let key, let authority, let wrappingKey, let store,
      !isAuthority || firstDeviceID != nil
    else { return nil }
    self.init(
      name: name, listen: listen, certificate: certificate, key: key, authority: authority, wrappingKey: wrappingKey,
      store: store, auditFile: auditFile, lease: Int(lease), firstDeviceID: firstDeviceID,
      administrators: administrators, rootKeys: rootKeys, limits: limits)
  }

  private static func name(_ fallback: String, _ section: Section<Field>) -> String? {
    if Kind.isName(fallback) { return fallback }
    section.missing(.name, expected: Kind.name.expected, fix: "add `name: region`")
    return nil
  }

  private static func administrators(_ section: Section<Field>) -> [Administrator] {
    if section.count(.administrators) == 0 {
      section.missing(
        .administrators, expected: "at least one administrator",
        fix: "add `administrators: [{ id: \"spiffe://...\", public_keys: [\"sha256:...\"] }]`, as `keyweave ca issue` "
          + "printed it")
    }
    let administrators = section.sections(.administrators, Administrator.Field.self).compactMap { inner in
      Administrator(inner).map { Placed(path: inner.path, value: $0) }
    }
    reportRepeats(
      administrators.map { Placed(path: "\($0.path).id", value: $0.value.id) }, section.findings, "administrator")
    return administrators.map(\.value)
  }

  private static func rootKeys(_ section: Section<Field>) -> [RootKey] {
    if section.count(.rootKeys) == 0 {
      section.missing(
        .rootKeys, expected: "at least one root key", fix: "add `root_keys: [{ name: region1, level: trust-region }]`")
    }
    let keys = section.sections(.rootKeys, RootKey.Field.self).compactMap { inner in
      RootKey(inner).map { Placed(path: inner.path, value: $0) }
    }
    reportRepeats(keys.map { Placed(path: "\($0.path).name", value: $0.value.name) }, section.findings, "root key")
    return keys.map(\.value)
  }
}

extension ControllerConfiguration.Store {
  init?(_ section: Section<Field>, directory: String) {
    guard let given = oneOf(section, example: "store: { file: controller.db }") else { return nil }
    switch given {
    case .file:
      guard let path = section.value(.file, .path) else { return nil }
      self = .file(absolute(path, in: directory))
    case .etcd:
      guard
        let etcd = section.section(.etcd, ControllerConfiguration.Etcd.Field.self).flatMap({ inner in
          ControllerConfiguration.Etcd(inner, directory: directory)
        })
      else { return nil }
      self = .etcd(etcd)
    }
  }
}

extension ControllerConfiguration.Etcd {
  init?(_ section: Section<Field>, directory: String) {
    let endpoints = section.list(.endpoints, .endpoint)
    reportRepeats(endpoints, section.findings, "endpoint")
    if section.count(.endpoints) == 0 {
      section.missing(
        .endpoints, expected: "at least one URL", fix: "add `endpoints: [\"https://192.0.2.1:2379\"]`")
    }
    let prefix = section.required(.prefix, .etcdPrefix)
    let node = section.required(.node, .name)
    let files = [Field.authority, .certificate, .key].map {
      section.value($0, .path).map { absolute($0, in: directory) }
    }
    if section.has(.certificate) != section.has(.key) {
      let present = section.has(.certificate) ? "certificate" : "key"
      section.findings.mistake(
        section.path, found: "only `\(present)`", expected: "certificate and key together",
        fix: "name both files, or neither")
    }
    guard !endpoints.isEmpty, let prefix, let node else { return nil }
    self.init(
      endpoints: endpoints.map(\.value), prefix: prefix, node: node, authority: files[0], certificate: files[1],
      key: files[2])
  }
}

extension ControllerConfiguration.Administrator {
  init?(_ section: Section<Field>) {
    let id = section.required(.id, .spiffeID)
    let keys = section.list(.publicKeys, .publicKeyPin)
    reportRepeats(keys, section.findings, "public key")
    if section.count(.publicKeys) == 0 {
      section.missing(
        .publicKeys, expected: "the pin of its certificate's key",
        fix: "add `public_keys: [\"sha256:...\"]`: a name alone could be minted by whoever holds the authority")
    }
    guard let id else { return nil }
    self.init(id: id, publicKeys: keys.map(\.value))
  }
}

extension ControllerConfiguration.RootKey {
  init?(_ section: Section<Field>) {
    typealias Defaults = ControllerConfiguration.Defaults
    let name = section.required(.name, .name)
    let level = section.required(.level, .level)
    let period = section.value(.epochPeriod, .seconds(60...1800), default: Defaults.epochPeriod)
    let lifetime = section.value(.lifetime, .seconds(60...1 << 26), default: Defaults.lifetime)
    let every = section.value(.rotateEvery, .seconds(1...1 << 25))
    let share = section.value(.share, .integer(0...100), default: Defaults.share)
    let clients = section.value(.clients, .boolean, default: false)
    if lifetime >= period << 15 {
      section.findings.mistake(
        section.path(.lifetime), found: "\(lifetime) s with epochs of \(period) s",
        expected: "less than \(period << 15) s",
        fix: "shorten it: epochs count in 16 bits, and no generation may outlive half of them")
    }
    if let every, lifetime < 3 * every + (clients ? period : 0) {
      section.findings.mistake(
        section.path(.rotateEvery), found: "a rotation every \(every) s and a lifetime of \(lifetime) s",
        expected: "a lifetime of three rotations or more\(clients ? ", and an epoch" : "")",
        fix:
          "rotate more often, or lengthen `lifetime`: receivers still open what was sealed with the generation before")
    }
    if every == nil {
      section.findings.warning(
        section.path(.rotateEvery),
        "no schedule: members stop sending \(lifetime) s after the last rotation; rotate on demand before")
    }
    guard let name, let level else { return nil }
    self.init(
      name: name, level: level, epochPeriod: Int(period), lifetime: Int(lifetime), rotateEvery: every.map { Int($0) },
      share: share, servesClients: clients)
  }
}

extension ControllerConfiguration.Limits {
  init(_ section: Section<Field>) {
    typealias Defaults = ControllerConfiguration.Defaults
    connections = section.value(.connections, .integer(16...1_000_000), default: Defaults.connections)
    body = Int(section.value(.body, .octets(4096...1 << 24), default: Defaults.body))
    requestsPerSecond = section.value(.requestsPerSecond, .integer(1...100_000), default: Defaults.requestsPerSecond)
    longPolls = section.value(.longPolls, .integer(1...64), default: Defaults.longPolls)
  }
}

/// The one field that is there, of a mapping that takes exactly one.
private func oneOf<Field: SectionField>(_ section: Section<Field>, example: String) -> Field? {
  let given = Field.allCases.filter(section.has)
  guard given.count == 1 else {
    section.findings.mistake(
      section.path, found: given.isEmpty ? "nothing" : given.map(\.rawValue).joined(separator: " and "),
      expected: "one of \(Field.allCases.map(\.rawValue).joined(separator: ", "))",
      fix: "write `\(example)`, for example")
    return nil
  }
  return given[0]
}
