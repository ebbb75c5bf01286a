import ArgumentParser
import Control
import Foundation
import Identity
import KeyAgent
import Synchronization

/// Which controllers are asked, and as whom.
struct AdministratorOptions: ParsableArguments {
  static let environmentName = "KEYWEAVE_ADMINISTRATOR"

  @Option(
    name: .long,
    help: ArgumentHelp(
      "An administrator's file: certificate, key, authority and controllers. $\(environmentName) names it otherwise.",
      valueName: "file"), completion: .file(extensions: ["yaml", "yml"]))
  var config: String?

  @Option(name: .long, help: ArgumentHelp("A controller's name in that file, or its URL.", valueName: "name"))
  var controller: String?

  @Option(name: .long, help: ArgumentHelp("With a URL: the controller's own SPIFFE ID.", valueName: "spiffe-id"))
  var id: String?

  @Option(name: .long, help: ArgumentHelp("The administrator's certificate.", valueName: "file"), completion: .file())
  var cert: String?

  @Option(name: .long, help: ArgumentHelp("The certificate's key.", valueName: "file"), completion: .file())
  var key: String?

  @Option(name: .long, help: ArgumentHelp("The authority of all certificates.", valueName: "file"), completion: .file())
  var ca: String?

  private var isDirect: Bool { controller?.hasPrefix("https://") ?? false }

  func validate() throws {
    if isDirect {
      guard let id, cert != nil, key != nil, ca != nil else {
        throw ValidationError("with a controller's URL, also say --id, --cert, --key and --ca")
      }
      guard SPIFFEID(id) != nil else {
        throw ValidationError("found the ID \"\(id)\", expected \(SPIFFEID.expected)")
      }
    } else if id != nil {
      throw ValidationError("found --id, expected it beside a controller's URL only; the file names the others' IDs")
    }
  }

  /// Every controller that is meant.
  func clients() throws -> [AdministratorClient] {
    if isDirect, let controller, let id = id.flatMap({ SPIFFEID($0) }), let cert, let key, let ca {
      let endpoint = ControllerEndpoint(name: controller, url: controller, id: id, pin: nil)
      return [try AdministratorClient(endpoint, tls: TLSFiles(certificate: cert, key: key, authority: ca))]
    }
    guard let path = config ?? ProcessInfo.processInfo.environment[Self.environmentName], !path.isEmpty else {
      throw AdministrationError(
        "found no administrator's file, expected --config FILE or $\(Self.environmentName), or a controller's URL with "
          + "--id, --cert, --key and --ca; docs/keys.md has an example")
    }
    let file = try AdministratorFile.load(path)
    let tls = TLSFiles(
      certificate: cert ?? file.certificate, key: key ?? file.key, authority: ca ?? file.authority)
    let chosen = file.controllers.filter { controller == nil || $0.name == controller }
    guard !chosen.isEmpty else {
      throw AdministrationError(
        "\(path): found no controller \"\(controller ?? "")\", expected one of "
          + file.controllers.map(\.name).joined(separator: ", "))
    }
    return try chosen.map { entry in
      guard let id = SPIFFEID(entry.id) else {
        throw AdministrationError("\(path): found the ID \"\(entry.id)\", expected \(SPIFFEID.expected)")
      }
      return try AdministratorClient(
        ControllerEndpoint(name: entry.name, url: entry.url, id: id, pin: entry.pin.flatMap { PublicKeyPin($0) }),
        tls: tls)
    }
  }

  /// The one controller that is meant.
  func client() throws -> AdministratorClient {
    let clients = try clients()
    guard let client = clients.first, clients.count == 1 else {
      throw AdministrationError(
        "found \(clients.count) controllers, expected one: say --controller "
          + clients.map(\.endpoint.name).joined(separator: " or "))
    }
    return client
  }

  /// Runs what asks controllers, to its end; what goes wrong becomes a sentence and the exit code of a failure.
  func run(_ command: String, _ body: @escaping @Sendable () async throws -> Void) throws {
    let ended = DispatchSemaphore(value: 0)
    let failure = Mutex<String?>(nil)
    let task = Task {
      do {
        try await body()
      } catch {
        failure.withLock { $0 = "\(error)" }
      }
      ended.signal()
    }
    ended.wait()
    _ = task
    if let text = failure.withLock({ $0 }) {
      StandardError.write("keyweave \(command): \(text)\n")
      throw ExitCodes.failure.exit
    }
  }
}

struct AdministrationError: Error, CustomStringConvertible {
  let description: String

  init(_ description: String) { self.description = description }
}

extension AdministratorClient {
  func get<Value: Decodable>(_ path: String) async throws -> Value {
    try Self.decode(try await ask(.get, path), path)
  }

  func post<Value: Decodable>(_ path: String, _ body: some Encodable) async throws -> Value {
    try Self.decode(try await ask(.post, path, body: Array(try JSONEncoder().encode(body))), path)
  }

  private static func decode<Value: Decodable>(_ octets: [UInt8], _ path: String) throws -> Value {
    do {
      return try JSONDecoder().decode(Value.self, from: Data(octets))
    } catch {
      throw AdministrationError(
        "\(path): found an answer of another form, expected this version's; upgrade the older one")
    }
  }

  /// A SPIFFE ID as a query's value.
  static func query(_ id: String) -> String {
    id.addingPercentEncoding(withAllowedCharacters: .alphanumerics) ?? id
  }
}

/// Text for people and JSON for programs.
enum Output {
  static func json(_ value: some Encodable) throws {
    let encoder = JSONEncoder()
    encoder.outputFormatting = [.prettyPrinted, .sortedKeys, .withoutEscapingSlashes]
    print(String(decoding: try encoder.encode(value), as: UTF8.self))
  }

  /// "3 d 04:05:06" since, or until.
  static func span(_ from: Int64, _ to: Int64) -> String { to < from ? "ended" : Figures.time(Double(to - from)) }

  static var now: Int64 { Int64(Date().timeIntervalSince1970) }
}
