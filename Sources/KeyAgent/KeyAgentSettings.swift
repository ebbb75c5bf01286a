package import Identity
internal import Keys
package import Vault

/// What a member's key agent is started with.
package struct KeyAgentSettings: Sendable {
  /// Names the node in reports.
  package var name: String
  package var tls: TLSFiles
  package var controllers: [ControllerEndpoint]
  package var groups: [AgentGroup]
  /// The sealed file: keys, rotations, tokens.
  package var stateFile: String
  package var wrappingKey: WrappingKeySource
  /// Waits before an offer is taken over: for tests of slow members only.
  package var delay: Duration
  /// Seconds within which an answer must be whole, beyond those that a poll may wait.
  package var answerTime: Int

  package init(
    name: String, tls: TLSFiles, controllers: [ControllerEndpoint], groups: [AgentGroup], stateFile: String,
    wrappingKey: WrappingKeySource, delay: Duration = .zero, answerTime: Int = 10
  ) {
    self.name = name
    self.tls = tls
    self.controllers = controllers
    self.groups = groups
    self.stateFile = stateFile
    self.wrappingKey = wrappingKey
    self.delay = delay
    self.answerTime = answerTime
  }

  /// Those that say who this node is in one of its groups.
  var identityControllers: Set<String> { Set(groups.compactMap(\.identityController)) }

  /// The shortest epoch of the groups that use a root key, in seconds: what the life of its generations is held
  /// against.
  func shortestPeriod(of reference: RootKeyReference) -> Int? {
    groups.filter { $0.rootKeys.contains(reference) }.map(\.epochPeriod).min()
  }

  /// Milliseconds that the clock may be off: half of the shortest epoch.
  var clockTolerance: Int64 {
    Int64(groups.map(\.epochPeriod).min() ?? TrustGroup.epochPeriods.lowerBound) * 500
  }
}

/// A controller, and by what it is known.
package struct ControllerEndpoint: Sendable, Equatable {
  package var name: String
  /// `https://HOST:PORT`.
  package var url: String
  package var id: SPIFFEID
  /// Its public key as well, where the holder of the certificate authority shall not be able to pose as it.
  package var pin: PublicKeyPin?

  package init(name: String, url: String, id: SPIFFEID, pin: PublicKeyPin? = nil) {
    self.name = name
    self.url = url
    self.id = id
    self.pin = pin
  }
}

/// A root key by its controller's name and the controller's name for it.
package struct RootKeyReference: Hashable, Sendable, CustomStringConvertible {
  package var controller: String
  package var name: String

  package init(controller: String, name: String) {
    self.controller = controller
    self.name = name
  }

  package var description: String { "\(controller)/\(name)" }
}

/// A trust group as the node's configuration knows it: everything but the keys.
package struct AgentGroup: Sendable, Equatable {
  package var name: String
  package var isDefault: Bool
  /// Seconds.
  package var epochPeriod: Int
  package var maxCOffset: Int
  package var maxIOffset: Int
  package var rootKeys: [RootKeyReference]
  /// The one controller that says who this node is in the group; nothing when its configuration does.
  package var identityController: String?

  package init(
    name: String, isDefault: Bool, epochPeriod: Int, maxCOffset: Int, maxIOffset: Int, rootKeys: [RootKeyReference],
    identityController: String? = nil
  ) {
    self.name = name
    self.isDefault = isDefault
    self.epochPeriod = epochPeriod
    self.maxCOffset = maxCOffset
    self.maxIOffset = maxIOffset
    self.rootKeys = rootKeys
    self.identityController = identityController
  }
}

/// Operator text: what was found, what was expected, what to do.
package struct KeyAgentError: Error, Equatable, CustomStringConvertible {
  package let description: String

  package init(_ description: String) { self.description = description }
}
