import Foundation
import Support
import Testing

/// Two hosts in domains of their own, and two proxies with a third domain between them.
@Suite(.serialized) struct ProxyTests {
  /// Longer, and with iperf3: `proxy.py KEYWEAVE DIRECTORY --seconds 300 --iperf`.
  @Test func chain() throws { try playScript("proxy") }
}
