import Foundation
import Support
import Testing

/// Two hosts in domains of their own, and two proxies with a third domain between them.
@Suite(.serialized) struct ProxyTests {
  /// Longer, and with iperf3: `proxy.py KEYWEAVE DIRECTORY --seconds 300 --iperf`.
  @Test func chain() throws {
    try Program.withTemporaryDirectory { directory in
      let path = Program.repository.appending(path: "Tests/Interop/proxy.py").path
      let result = try Program.run(
        Program.python, ["-B", path, Program.keyweave, directory.path], timeout: .seconds(180))
      #expect(result.status == 0, "\(result.output)\(result.errors)")
      print(result.output)
    }
  }
}
