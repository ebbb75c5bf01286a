package import Keys
internal import Synchronization

/// Derives connections' data keys with an engine of its own, as an engine belongs to one thread at a time.
package final class ConnectionKeyMaker: ConnectionKeys {
  private let maker: Mutex<any ConnectionKeyDeriving>

  /// - Throws: what is wrong with the engine, as a sentence.
  package init(engine choice: EngineChoice = .auto) throws {
    let maker = try choice.decide().engine.run(MakingDeriver())
    self.maker = Mutex(maker)
  }

  package func keys(for requests: [ConnectionKeyRequest], of group: TrustGroup) throws -> [SecretKey] {
    try maker.withLock { try $0.keys(for: requests, of: group) }
  }
}

private protocol ConnectionKeyDeriving: Sendable {
  func keys(for requests: [ConnectionKeyRequest], of group: TrustGroup) throws -> [SecretKey]
}

private final class EngineKeyDeriver<Engine: AEADEngine>: ConnectionKeyDeriving {
  private let engine: Engine

  init(_ engine: Engine) { self.engine = engine }

  deinit { engine.shutdown() }

  func keys(for requests: [ConnectionKeyRequest], of group: TrustGroup) throws -> [SecretKey] {
    try KeyTable.connectionKeys(for: requests, of: group, with: engine)
  }
}

private struct MakingDeriver: EngineUser {
  func use<Engine: LcoreEngine>(_: Engine.Type) throws -> any ConnectionKeyDeriving {
    EngineKeyDeriver(try Engine())
  }
}
