import ArgumentParser
import Foundation
import Glibc

extension Lab {
  /// `keyweave lab`: the demo's hosts and gateways for a program of one's own.
  struct Command: ParsableCommand {
    static let configuration = CommandConfiguration(
      commandName: "lab",
      abstract: "Run a program between two hosts and two gateways, then take everything down.",
      discussion: """
        The lab is the demo's: network namespaces host-a, gateway-a, gateway-b and host-b, both gateways running. The \
        program finds them with `ip netns exec NAME ...`, the gateways' files in $KEYWEAVE_LAB, this command in $KEYWEAVE \
        and the gateways' process IDs in $GATEWAY_A and $GATEWAY_B.

        EXAMPLES
          keyweave lab ip netns exec host-a ping -c 3 10.2.0.2
          keyweave lab --mtu 9000 bash
          keyweave lab bash -c '$KEYWEAVE status --socket $KEYWEAVE_LAB/gateway-a.sock'

        EXIT CODES
          the program's own; 1 when the lab cannot be made
        """)

    @Option(help: "MTU of the hosts; the fabric's is the same, or 9216 above 1500.")
    var mtu = 1500

    @Option(help: .hidden)
    var inside: Int32?

    @Argument(parsing: .captureForPassthrough, help: "The program and its arguments.")
    var program: [String]

    func validate() throws {
      guard (1280...9000).contains(mtu) else { throw ValidationError("--mtu \(mtu): 1280 to 9000 is possible") }
      guard !program.isEmpty else { throw ValidationError("say which program to run, for example bash") }
    }

    func run() throws {
      let code: Int32
      do {
        code =
          try inside == nil
          ? Sandbox.enter { door in ["lab", "--mtu", "\(mtu)", "--inside", "\(door)"] + program } : perform()
      } catch {
        StandardError.write("\(error)\n")
        throw ExitCodes.failure.exit
      }
      throw ExitCode(code)
    }

    private func perform() throws(LabError) -> Int32 {
      if let inside { _ = fcntl(inside, F_SETFD, FD_CLOEXEC) }
      let lab = try Lab(Pair.topology, sizes: LabSizes(host: mtu, fabric: mtu > 1500 ? 9216 : mtu))
      try Lab.makeKeys(at: "\(Lab.directory)/keys.yaml")
      var gateways: [LabGateway] = []
      for side in Pair.sides {
        let gateway = LabGateway(side.gateway)
        try gateway.configure(Pair.text(of: side), in: lab)
        try gateway.start(in: lab)
        gateways.append(gateway)
      }
      for gateway in gateways { try gateway.awaitReady() }
      let child = try Child.start(
        program,
        environment: [
          "KEYWEAVE": Sandbox.program, "KEYWEAVE_LAB": Lab.directory, "GATEWAY_A": "\(gateways[0].pid)",
          "GATEWAY_B": "\(gateways[1].pid)",
        ])
      switch child.wait(deadline: .infinity) {
      case .code(let code): return code
      case .signal(let number): return 128 + number
      case .deadline: return ExitCodes.failure.rawValue
      }
    }
  }
}
