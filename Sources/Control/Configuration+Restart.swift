package import Keys

extension Configuration {
  /// Fields that differ from those of a running gateway and that only a restart can change, by name; empty: `reload`
  /// can apply everything. What can change while running: the keys file's name and content, routes, peers, groups,
  /// proxies, addresses, shared ones, neighbours, default groups, `unmatched`, `mss_clamp`, `icmp_rate` and `bfd`.
  package func restartFields(comparedTo running: Configuration) -> [String] {
    var fields: [String] = []
    func compare<Value: Equatable>(_ path: String, _ value: (Configuration) -> Value) {
      if value(self) != value(running) { fields.append(path) }
    }
    compare("name", \.name)
    compare("identity.device_id", { [$0.identity.numbers.deviceID, $0.identity.numbers.isWide ? 1 : 0] })
    compare("identity.member", \.identity.numbers.member)
    compare("identity.record", \.identity.record)
    compare("identity.controller", \.identity.numbers.controller)
    compare("identity.groups", \.identity.groups)
    compare("key_agent", \.keyAgent)
    compare("connection", \.connection)
    compare("engine", \.engine)
    compare("replay_capacity", \.replayCapacity)
    compare("lcores.count", \.lcores.count)
    compare("lcores.dedicated", \.lcores.isDedicated)
    compare("lcores.cores", \.lcores.cores)
    compare("control_socket", \.controlSocket)
    let names = running.ports.map(\.name)
    for port in ports {
      let path = "ports[\(port.name)]"
      guard let old = running.ports.first(where: { $0.name == port.name }) else {
        fields.append("\(path) (added)")
        continue
      }
      func comparePort<Value: Equatable>(_ field: Port.Field, _ value: (Port) -> Value) {
        if value(port) != value(old) { fields.append("\(path).\(field.rawValue)") }
      }
      comparePort(.device, \.device)
      comparePort(.role, \.role)
      comparePort(.mtu, \.mtu)
      comparePort(.vlan, \.vlan)
      comparePort(.mode, \.mode)
      comparePort(.pair, \.pair)
      comparePort(.udpPort, \.udpPort)
    }
    for name in names where !ports.contains(where: { $0.name == name }) { fields.append("ports[\(name)] (removed)") }
    compare("capture", \.capture)
    return fields
  }

  /// The table of replay windows, where any group has one.
  package var replay: ReplayShape? {
    let largest = groups.map(\.replayWindow).max() ?? 0
    return largest > 0 ? ReplayShape(windows: replayCapacity, largestWindow: largest) : nil
  }
}
