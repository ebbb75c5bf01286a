import ArgumentParser
import Foundation
import Vault

/// `keyweave keys wrapping-key`: what the keys in stores and sealed files are wrapped under.
struct KeysWrappingKey: ParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "wrapping-key", abstract: "Make a wrapping key, in a file or on a PKCS#11 token.",
    discussion: """
      Controllers and gateways keep root keys wrapped under it. A file is written with mode 600 and never replaces another.
      On a token the key is made there and never leaves it. For a systemd credential:
        openssl rand -hex 32 | systemd-creds encrypt --name=kek - kek.cred

      EXAMPLES
        keyweave keys wrapping-key --out controller.kek
        keyweave keys wrapping-key --module /usr/lib/softhsm/libsofthsm2.so --token keyweave --label region \\
          --pin-file token.pin

      \(ExitCodes.help)
      """)

  @Option(help: ArgumentHelp("The file to make.", valueName: "file"), completion: .file())
  var out: String?

  @Option(help: ArgumentHelp("The PKCS#11 module of the token.", valueName: "file"), completion: .file())
  var module: String?

  @Option(help: ArgumentHelp("The token's label.", valueName: "name"))
  var token: String?

  @Option(help: ArgumentHelp("The new key's label.", valueName: "name"))
  var label: String?

  @Option(help: ArgumentHelp("A file with the token's user PIN, mode 600.", valueName: "file"), completion: .file())
  var pinFile: String?

  func validate() throws { _ = try source() }

  private func source() throws -> WrappingKeySource {
    switch (out, module, token, label, pinFile) {
    case (let out?, nil, nil, nil, nil): .file(out)
    case (nil, let module?, let token?, let label?, let pinFile?):
      .pkcs11(module: module, token: token, label: label, pinFile: pinFile)
    default: throw ValidationError("say where: either --out, or --module, --token, --label and --pin-file")
    }
  }

  func run() throws {
    do {
      let source = try source()
      try source.create()
      print(
        "\(source): made. \(out == nil ? "It cannot leave its token: no backup is possible." : "Keep a copy apart.")")
    } catch let error as VaultError {
      StandardError.write("keyweave keys wrapping-key: \(error)\n")
      throw ExitCodes.failure.exit
    }
  }
}
