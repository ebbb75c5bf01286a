/// The engine that the configuration asks for.
package enum EngineChoice: String, CaseIterable, Sendable {
  /// IPsec-MB where it runs and computes rightly, else OpenSSL.
  case auto
  case ipsecMB = "ipsec-mb"
  case openSSL = "openssl"

  /// Tries the engines in order of preference, self-test included; throws when what was asked for cannot be had.
  package func decide() throws(EngineError) -> EngineDecision {
    try decide(trying: EngineDecision.Engine.build)
  }

  /// The decision itself; the trial gives the engine's build or throws.
  package func decide(
    trying trial: (EngineDecision.Engine) throws(EngineError) -> String
  ) throws(EngineError) -> EngineDecision {
    var passedOver: EngineError?
    #if IPSEC_MB
      if self != .openSSL {
        do throws(EngineError) {
          return EngineDecision(engine: .ipsecMB, build: try trial(.ipsecMB), passedOver: nil)
        } catch {
          if self == .ipsecMB { throw error }
          passedOver = error
        }
      }
    #else
      let missing = EngineError.unavailable(
        engine: Self.ipsecMB.rawValue, found: "this build is without it (it exists for x86-64 only)",
        remedy: "use engine: auto or openssl")
      if self == .ipsecMB { throw missing }
      if self == .auto { passedOver = missing }
    #endif
    return EngineDecision(engine: .openSSL, build: try trial(.openSSL), passedOver: passedOver)
  }
}

/// The engine that runs.
package struct EngineDecision: Equatable, Sendable {
  package enum Engine: CaseIterable, Sendable {
    #if IPSEC_MB
      case ipsecMB
    #endif
    case openSSL
  }

  package let engine: Engine
  /// Library, version and code path.
  package let build: String
  /// Why `auto` did not take IPsec-MB.
  package let passedOver: EngineError?
}

/// Code that is generic over the engine, to be run with the one that was decided on.
///
/// Not for other modules: only inside this one is such code specialised, and the lcore loop's calls direct.
protocol EngineUser {
  associatedtype Result
  func use<Engine: LcoreEngine>(_ engine: Engine.Type) throws -> Result
}

extension EngineDecision.Engine {
  /// As configuration and status name it.
  package var name: String {
    switch self {
    #if IPSEC_MB
      case .ipsecMB: IPsecMBEngine.name
    #endif
    case .openSSL: OpenSSLEngine.name
    }
  }

  /// Runs the user's code with this engine's type: the one place where the engine is looked up at run time, so that
  /// everything behind it can be specialised.
  @inline(__always)
  func run<User: EngineUser>(_ user: User) throws -> User.Result {
    switch self {
    #if IPSEC_MB
      case .ipsecMB: try user.use(IPsecMBEngine.self)
    #endif
    case .openSSL: try user.use(OpenSSLEngine.self)
    }
  }

  /// Brings the engine to life for a moment.
  package static func build(_ engine: Self) throws(EngineError) -> String {
    switch engine {
    #if IPSEC_MB
      case .ipsecMB: try build(of: IPsecMBEngine.self)
    #endif
    case .openSSL: try build(of: OpenSSLEngine.self)
    }
  }

  private static func build<Engine: AEADEngine>(of _: Engine.Type) throws(EngineError) -> String {
    let engine = try Engine()
    defer { engine.shutdown() }
    return engine.build
  }
}
