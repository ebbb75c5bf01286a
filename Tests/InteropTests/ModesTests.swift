import Foundation
import Support
import Testing

/// Hosts, gateways and a cable in namespaces: each mode, carriage and kind of key, with real programs.
@Suite(.serialized) struct ModesTests {
  private static let script = Program.repository.appending(path: "Tests/Interop/modes.py").path
  private static let cases = [
    "tunnel", "tunnel-over-ipv6", "ip-carriage", "ip-carriage-over-ipv6", "aes-128", "source-address", "wide-ids",
    "no-options", "coffset", "several-peers", "two-lcores", "two-engines", "vlan", "jumbo", "transport-udp",
    "transport-ip", "transport-same-mtu", "transport-source-address", "transport-coffset", "ethernet", "ethernet-vlan",
    "ethernet-same-mtu",
  ]

  @Test func everyCaseIsRun() throws {
    let listed = try Program.run(Program.python, ["-B", Self.script, "list"])
    #expect(listed.lines.map(String.init) == Self.cases, "\(listed.errors)")
  }

  @Test(arguments: cases) func mode(_ name: String) throws {
    try playScript("modes", [name])
  }
}
