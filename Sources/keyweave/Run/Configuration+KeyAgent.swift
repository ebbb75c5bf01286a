import Control
import Identity
import KeyAgent
import Vault

extension Configuration {
  /// The key agent's form of this configuration; nothing for a gateway with a keys file.
  func keyAgentSettings() throws -> KeyAgentSettings? {
    guard let keyAgent else { return nil }
    return KeyAgentSettings(
      name: name,
      tls: TLSFiles(certificate: keyAgent.certificate, key: keyAgent.key, authority: keyAgent.authority),
      controllers: try keyAgent.controllers.map { try $0.endpoint() },
      groups: keyAgent.groups.map { group in
        AgentGroup(
          name: group.name, isDefault: group.isDefault, epochPeriod: group.epochPeriod, maxCOffset: group.maxCOffset,
          maxIOffset: group.maxIOffset,
          rootKeys: group.rootKeys.map { RootKeyReference(controller: $0.controller, name: $0.name) },
          identityController: identity.numbers(towards: group.name).controller)
      },
      stateFile: keyAgent.state, wrappingKey: keyAgent.wrappingKey.source,
      delay: .milliseconds(Int64(clamping: keyAgent.delay)))
  }
}

extension Configuration.KeyAgent.WrappingKey {
  var source: WrappingKeySource {
    switch self {
    case .file(let path): .file(path)
    case .credential(let name): .credential(name)
    case .pkcs11(let module, let token, let label, let pinFile):
      .pkcs11(module: module, token: token, label: label, pinFile: pinFile)
    }
  }
}

extension Configuration.KeyAgent.Controller {
  func endpoint() throws -> ControllerEndpoint {
    // Control reads both by the same rules; a difference would show here.
    guard let id = SPIFFEID(id) else { throw KeyAgentError("found \(id), expected \(SPIFFEID.expected)") }
    let pin = try pin.map { text in
      guard let pin = PublicKeyPin(text) else {
        throw KeyAgentError("found \(text), expected \(PublicKeyPin.expected)")
      }
      return pin
    }
    return ControllerEndpoint(name: name, url: url, id: id, pin: pin)
  }
}
