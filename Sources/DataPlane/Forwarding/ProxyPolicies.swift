internal import Keys
internal import Wire

// The proxy's policies as bits of the prefix table's sets: after those of the groups, two for each policy.
extension GatewayPlan {
  private func bits(of place: Int, groupCount: Int) -> (sources: Int, destinations: Int) {
    (groupCount + 2 * place, groupCount + 2 * place + 1)
  }

  /// Bits with the prefixes that set them.
  func proxyPrefixes(groupCount: Int) -> [(bit: Int, prefixes: [IPPrefix])] {
    proxies.enumerated().flatMap { place, policy in
      let bits = bits(of: place, groupCount: groupCount)
      return [(bits.sources, policy.sources), (bits.destinations, policy.destinations)]
    }
  }

  /// Entries in the order of the groups that they are for, and the range of each group.
  func proxyEntries(groupCount: Int) -> (entries: [ProxyEntry], ranges: [ProxyRange]) {
    var entries: [ProxyEntry] = []
    let ranges = (0..<max(1, groupCount)).map { group in
      let first = entries.count
      for (place, policy) in proxies.enumerated() where policy.from == group {
        let bits = bits(of: place, groupCount: groupCount)
        entries.append(
          ProxyEntry(
            to: policy.to, sources: policy.sources.isEmpty ? -1 : bits.sources,
            destinations: policy.destinations.isEmpty ? -1 : bits.destinations, admitsClients: policy.clients,
            place: place))
      }
      return ProxyRange(first: Int32(first), end: Int32(entries.count))
    }
    return (entries, ranges)
  }

  /// What is wrong with the proxy's policies.
  func proxyFault(_ groups: [TrustGroup]) -> String? {
    guard proxies.count <= Counters.maxProxies else {
      return "proxies: found \(proxies.count), expected at most \(Counters.maxProxies)"
    }
    for policy in proxies {
      guard groups.indices.contains(policy.from), groups.indices.contains(policy.to), policy.from != policy.to else {
        return "proxies: found a policy from group \(policy.from) to group \(policy.to), expected two that there are"
      }
    }
    return nil
  }
}
