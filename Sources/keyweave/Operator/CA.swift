import ArgumentParser
import Foundation
import Identity

/// `keyweave ca`: a small certificate authority.
struct CACommand: ParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "ca", abstract: "A small certificate authority, for tests, demonstrations and first steps.",
    subcommands: [CAInit.self, CAIssue.self])

  /// Runs one of them; what goes wrong becomes a sentence and the exit code of a failure.
  static func run(_ command: String, _ body: () throws -> Void) throws {
    do {
      try body()
    } catch let error as IdentityError {
      StandardError.write("keyweave ca \(command): \(error)\n")
      throw ExitCodes.failure.exit
    }
  }
}

/// `keyweave ca init`.
struct CAInit: ParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "init", abstract: "Make an authority for one trust domain.",
    discussion: """
      Writes DIR/ca.pem, which every controller and member gets, and DIR/ca.key, which stays where certificates are issued.
      Never replaces another. Whoever has ca.key can make certificates of every name of the trust domain; controllers take
      nobody by name alone, but also by the key that was enrolled.

      EXAMPLES
        keyweave ca init --out ca --trust-domain region1.example

      \(ExitCodes.help)
      """)

  @Option(help: ArgumentHelp("The directory to make.", valueName: "dir"), completion: .directory)
  var out: String

  @Option(help: ArgumentHelp("What all names begin with after spiffe://, such as region1.example.", valueName: "name"))
  var trustDomain: String

  @Option(help: "How long it is valid, from 1 to 36500 days.")
  var days = 3650

  func run() throws {
    try CACommand.run("init") {
      try CertificateAuthority.create(directory: out, trustDomain: trustDomain, days: days)
      print(
        "\(out)/\(CertificateAuthority.certificateName): the authority of spiffe://\(trustDomain), valid for \(days) days. "
          + "Keep \(out)/\(CertificateAuthority.keyName) safe.")
    }
  }
}

/// `keyweave ca issue`.
struct CAIssue: ParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "issue", abstract: "Make a key and a certificate for one name.",
    discussion: """
      Writes PREFIX.key (mode 600) and PREFIX.pem, for a server as for a client, and prints the pin of the key: a controller
      takes a member by its name and its pin. Names and addresses after --address are for programs that compare them, such
      as curl; Keyweave compares the SPIFFE ID.

      EXAMPLES
        keyweave ca issue --ca ca --id spiffe://region1.example/controller/region --out region --address 127.0.0.1
        keyweave ca issue --ca ca --id spiffe://region1.example/dpu/host42 --out host42 --days 90

      \(ExitCodes.help)
      """)

  @Option(help: ArgumentHelp("The authority's directory.", valueName: "dir"), completion: .directory)
  var ca: String

  @Option(help: ArgumentHelp("The name: spiffe://TRUST-DOMAIN/PATH.", valueName: "spiffe-id"))
  var id: String

  @Option(help: ArgumentHelp("The files to make, without .pem and .key.", valueName: "prefix"), completion: .file())
  var out: String

  @Option(help: "How long it is valid, from 1 to 36500 days; never longer than the authority.")
  var days = 365

  @Option(help: ArgumentHelp("An IP address or host name; may be given several times.", valueName: "address"))
  var address: [String] = []

  func validate() throws {
    guard SPIFFEID(id) != nil else { throw ValidationError("found the ID \"\(id)\", expected \(SPIFFEID.expected)") }
  }

  func run() throws {
    guard let id = SPIFFEID(id) else { throw ExitCodes.usage.exit }
    try CACommand.run("issue") {
      let pin = try CertificateAuthority(directory: ca).issue(id: id, out: out, days: days, addresses: address)
      print("\(out).pem: \(id)\n\(pin)")
    }
  }
}
