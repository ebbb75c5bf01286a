import Control
import Foundation
import Keys
import Testing
import Wire

@Suite struct ConfigurationTests {
  let workspace: Workspace

  init() throws { workspace = try Workspace() }

  @Test(arguments: ["gateway-a", "gateway-b", "gateway-pool", "transport", "ethernet", "pcap"])
  func examplesLoad(_ name: String) throws {
    try workspace.writeKeys()
    let text = try String(contentsOf: repository.appending(path: "config/\(name).yaml"), encoding: .utf8)
    let file = try ConfigurationFile.load(workspace.write("\(name).yaml", text))
    #expect(file.warnings == [])
    #expect(file.configuration.keysFile == workspace.path("keys.yaml"))
    #expect(file.configuration.identity.record.hasPrefix(workspace.directory))
    #expect(!file.configuration.routes.isEmpty)
  }

  @Test func theExampleOfAKeyAgentLoads() throws {
    let text = try String(contentsOf: repository.appending(path: "config/gateway-agent.yaml"), encoding: .utf8)
    let file = try ConfigurationFile.load(workspace.write("gateway-agent.yaml", text))
    #expect(file.warnings == [] && file.keys == nil && file.configuration.keysFile == nil)
    let agent = try #require(file.configuration.keyAgent)
    #expect(agent.controllers.map(\.name) == ["region", "users", "tasks"])
    #expect(
      agent.certificate == workspace.path("gateway-a.pem")
        && agent.wrappingKey == .file(workspace.path("gateway-a.kek")))
    #expect(agent.groups.map { $0.rootKeys.map(\.description) } == [["region/region1", "users/hpc", "tasks/train"]])
    #expect(agent.groups[0].epochPeriod == 600 && agent.groups[0].maxCOffset == 16 && agent.delay == 0)
    #expect(file.configuration.identity.numbers.controller == "region")
    let summary = CheckReport(path: workspace.path("gateway-agent.yaml")).description
    #expect(summary.contains("device as region assigns it") && summary.contains("https://192.0.2.11:8442"))
  }

  @Test func everythingIsReadAndResolved() throws {
    let configuration = try workspace.load(Tree.gateway.text).configuration
    #expect(configuration.name == "gateway")
    #expect(configuration.identity.numbers.deviceID == 0x2a)
    #expect(!configuration.identity.numbers.isWide)
    #expect(configuration.identity.numbers.member == 3)
    #expect(configuration.lcores.count == 2)
    #expect(!configuration.lcores.isDedicated)
    #expect(configuration.lcores.cores == [])
    #expect(configuration.ports.map(\.device) == [.interface("veth0"), .interface("veth1")])
    #expect(configuration.ports[0].addresses[0].address == IPAddress("10.1.0.1"))
    #expect(configuration.ports[0].neighbours[0].hardware == MACAddress("02:00:00:00:00:01"))
    #expect(configuration.ports[1].defaultGroup == "train")
    #expect(configuration.ports[1].udpPort == 4500)
    #expect(configuration.peers.map(\.port) == ["fabric", "fabric"])
    #expect(configuration.peers[1].nextHop == IPAddress("192.0.2.254"))
    #expect(configuration.peers[0].carriage == .udp(port: 4500))
    guard case .protect(let protection) = configuration.routes[0].action else {
      Issue.record("found \(configuration.routes[0])")
      return
    }
    #expect(protection.peers == ["b", "c"])
    #expect(protection.mode == .tunnel)
    #expect(protection.suite == .aes256)
    #expect(protection.context == .device)
    #expect(protection.sendsOptions)
    #expect(protection.dscp == .copy)
    #expect(protection.spread == .flow)
    #expect(protection.carriage == nil)
    let router = try #require(IPAddress("10.1.0.254"))
    #expect(configuration.routes[1].action == .forward(nextHop: router, port: "clear"))
    #expect(configuration.routes[2].action == .bypass(nextHop: nil, port: "fabric"))
    #expect(configuration.unmatched == .drop)
    #expect(configuration.clampsMSS)
    #expect(configuration.icmpRate == 100)
    #expect(configuration.capture?.maxOctets == 256 << 20)
  }

  @Test func allMistakesAtOnceWithTheirPlaces() throws {
    let mistakes = try workspace.mistakes(
      in: """
        identity: { device_id: 2a, member: 64, record: a.record }
        keys: keys.yaml
        egnine: auto
        ports:
          - name: clear
            device: veth0
            role: clear
            mtu: 010
            addresses: [10.1.0.1]
          - name: fabric
            device: veth1
            role: protected
            mtu: 1600
            mtu: 1700
            addresses: [192.0.2.1/24]
        peers:
          - { name: b, address: 203.0.113.1 }
        routes:
          - { to: 10.2.0.5/24, peers: [bb], group: trian }
        icmp_rate: yes
        """)
    let places = mistakes.map { "\($0.line):\($0.column) \($0.path)" }
    #expect(
      places == [
        "1:24 identity.device_id", "1:36 identity.member", "3:1 egnine", "8:10 ports[0].mtu",
        "9:17 ports[0].addresses[0]", "13:5 ", "17:25 peers[0].address", "19:11 routes[0].to",
        "19:32 routes[0].peers[0]", "19:44 routes[0].group", "20:12 icmp_rate",
      ])
    #expect(mistakes[2].fix == "did you mean `engine`?")
    #expect(mistakes[3].fix.contains("decimal"))
    #expect(mistakes[4].fix.contains("10.1.0.1/24"))
    #expect(mistakes[5].found == "the field \"mtu\" twice")
    #expect(mistakes[7].fix == "write 10.2.0.0/24")
    #expect(mistakes.allSatisfy { !$0.found.isEmpty && !$0.expected.isEmpty && !$0.fix.isEmpty })
  }

  /// One change of a right configuration, and the path that must be named, alone.
  @Test(arguments: [
    ("ports[1].name", "clear", "ports[1].name"),
    ("ports[1].device", "veth0", "ports[1].device"),
    ("ports[1].device", "a-name-that-is-too-long", "ports[1].device"),
    ("ports[1].device", "net_null0, size=64", "ports[1].device"),
    ("ports[1].addresses[0]", "10.1.0.9/16", "ports[1].addresses[0]"),
    ("ports[1].addresses[0]", "192.0.2.0/24", "ports[1].addresses[0]"),
    ("ports[1].addresses[0]", "192.0.2.255/24", "ports[1].addresses[0]"),
    ("ports[1].addresses[1]", "10.1.0.1/32", "ports[1].addresses[1]"),
    ("ports[1].default_group", "other", "ports[1].default_group"),
    ("ports[0].neighbours[0].address", "10.7.0.2", "ports[0].neighbours[0].address"),
    ("ports[0].neighbours[0].address", "10.1.0.1", "ports[0].neighbours[0].address"),
    ("ports[0].neighbours[0].mac", "01:00:5e:00:00:01", "ports[0].neighbours[0].mac"),
    ("ports[0].pair", "fabric", "ports[0].pair"),
    ("ports[0].default_group", "train", "ports[0].default_group"),
    ("ports[0].vlan", "4095", "ports[0].vlan"),
    ("peers[0].address", "192.0.2.1", "peers[0].address"),
    ("peers[0].address", "198.51.100.1", "peers[0].address"),
    ("peers[0].address", "224.0.0.1", "peers[0].address"),
    ("peers[1].address", "192.0.2.2", "peers[1].address"),
    ("peers[1].name", "b", "peers[1].name"),
    ("peers[1].via", "198.51.100.9", "peers[1].via"),
    ("peers[1].via", "2001:db8:f::9", "peers[1].via"),
    ("peers[1].via", "192.0.2.1", "peers[1].via"),
    ("peers[1].port", "clear", "peers[1].port"),
    ("peers[1].port", "none", "peers[1].port"),
    ("routes[0].group", "other", "routes[0].group"),
    ("routes[0].peers[1]", "d", "routes[0].peers[1]"),
    ("routes[0].peers[1]", "b", "routes[0].peers[1]"),
    ("routes[0].to", "10.1.0.0/24", "routes[0].to"),
    ("routes[0].to", "10.9.0.0/16", "routes[2].to"),
    ("routes[0].mode", "transport", "routes[0].peers"),
    ("routes[0].mode", "ethernet", "routes[0].mode"),
    ("routes[0].carriage", "ip", "routes[0].carriage"),
    ("routes[0].via", "192.0.2.254", "routes[0].via"),
    ("routes[0].context", "connection", "routes[0].context"),
    ("routes[0].coffset", "17", "routes[0].coffset"),
    ("routes[0].ioffset", "1", "routes[0].ioffset"),
    ("routes[0].dscp", "64", "routes[0].dscp"),
    ("routes[0].spread", "both", "routes[0].spread"),
    ("routes[1].spread", "packet", "routes[1].spread"),
    ("routes[1].via", "192.0.2.254", "routes[1].via"),
    ("routes[1].via", "fe80::1", "routes[1].via"),
    ("routes[2].port", "clear", "routes[2].port"),
    ("routes[2].group", "train", "routes[2].group"),
    ("groups[0].name", "other", "groups[0].name"),
    ("groups[0].may_speak[0]", "10.2.0.1/24", "groups[0].may_speak[0]"),
    ("capture.port", "none", "capture.port"),
    ("capture.max_octets", "1MB", "capture.max_octets"),
    ("lcores.count", "33", "lcores.count"),
    ("control_socket", String(repeating: "s", count: 108), "control_socket"),
    ("keys", "no-such-file.yaml", ""),
    ("name", "two words", "name"),
  ])
  func aMistakeIsNamed(_ path: String, _ value: String, _ named: String) throws {
    let mistakes = try workspace.mistakes(in: Tree.gateway.setting(path, to: value).text)
    #expect(mistakes.contains { $0.path == named }, "\(mistakes)")
    // What follows from a wrong address, at most: both peers out of reach.
    #expect(mistakes.count <= 3, "\(mistakes)")
  }

  @Test(arguments: [
    ("identity", "identity"), ("keys", "keys"), ("ports", "ports"), ("ports[0].addresses", "ports[0].addresses"),
    ("ports[1].addresses", "ports[1].addresses"), ("ports[1].role", "ports[1].role"),
    ("peers[0].name", "peers[0].name"),
    ("routes[0].group", "routes[0].group"), ("routes[0].peers", "routes[0].peers"), ("routes[0].to", "routes[0].to"),
    ("groups[0].may_speak", "groups[0].may_speak"), ("ports[1]", "ports"),
  ])
  func whatIsMissingIsNamed(_ path: String, _ named: String) throws {
    let mistakes = try workspace.mistakes(in: Tree.gateway.setting(path, to: nil).text)
    #expect(mistakes.contains { $0.path == named }, "\(mistakes)")
  }

  @Test func anMTUTooSmallForTheOverheadSaysWhatItMustBe() throws {
    let tree = Tree.gateway.setting("ports[0].addresses", to: ["10.1.0.1/24"])
      .setting("ports[1].addresses", to: ["192.0.2.1/24"])
    let mistakes = try workspace.mistakes(in: tree.setting("ports[1].mtu", to: 660).text)
    // Outer IPv4 20, UDP 8, header 8 + 20 + 4 + 8 (an option with an ID of 16 octets, padding), tag 16: 84 in all.
    #expect(mistakes.map(\.path) == [])
    let smaller = try workspace.mistakes(in: tree.setting("ports[1].mtu", to: 659).text)
    #expect(Set(smaller.map(\.path)) == ["ports[1].mtu"])
    #expect(smaller.first?.expected == "at least 660")
  }

  @Test func ethernetAndTransportPortsNeedTheirPartners() throws {
    var tree = Tree.gateway.setting("ports[0].mode", to: "transport").setting("ports[0].addresses", to: nil)
      .setting("ports[0].neighbours", to: nil)
    #expect(try workspace.mistakes(in: tree.text).contains { $0.path == "ports[0].pair" })
    tree = tree.setting("ports[0].pair", to: "clear")
    #expect(try workspace.mistakes(in: tree.text).contains { $0.path == "ports[0].pair" })
    let bridge = Tree.gateway.setting(
      "routes", to: [["from": "e1", "peers": ["b"], "group": "train"] as [String: Any]]
    )
    .setting("ports[2]", to: ["name": "e1", "device": "eth1", "role": "clear", "mode": "ethernet"])
    #expect(try workspace.mistakes(in: bridge.text) == [])
    let second = bridge.setting("ports[3]", to: ["name": "e2", "device": "eth2", "role": "clear", "mode": "ethernet"])
      .setting("routes[1]", to: ["from": "e2", "peers": ["b"], "group": "train"] as [String: Any])
    #expect(try workspace.mistakes(in: second.text).map(\.path) == ["routes[1].group"])
  }

  @Test func optionsMayBeLeftOutForADefaultGroupOnly() throws {
    let tree = Tree.gateway.setting("routes[0].options", to: false)
    #expect(try workspace.mistakes(in: tree.text) == [])
    try workspace.write("keys.yaml", KeysText(isDefault: false).text)
    #expect(try workspace.mistakes(in: tree.text) == [])
    let without = tree.setting("ports[1].default_group", to: nil)
    #expect(try workspace.mistakes(in: without.text).map(\.path) == ["routes[0].options"])
  }

  @Test func aGroupWithoutPolicyIsWarnedAbout() throws {
    let file = try workspace.load(Tree.gateway.setting("groups", to: nil).text)
    #expect(file.warnings.map(\.path) == ["routes[0].group"])
  }

  @Test func onlyRestartFieldsAreNamed() throws {
    let running = try workspace.load(Tree.gateway.text).configuration
    func fields(_ tree: Tree) throws -> [String] {
      try workspace.load(tree.text).configuration.restartFields(comparedTo: running)
    }
    let live = Tree.gateway.setting("unmatched", to: "bypass").setting("routes[1]", to: nil)
      .setting("peers[0].carriage", to: "ip").setting("groups[0].may_speak[0]", to: "10.2.0.0/16")
      .setting("mss_clamp", to: false).setting("icmp_rate", to: 7).setting("ports[0].neighbours", to: nil)
      .setting("ports[1].default_group", to: nil)
    #expect(try fields(live) == [])
    let device = Tree.gateway.setting("identity.member", to: 4).setting("engine", to: "openssl")
      .setting("lcores.count", to: 1).setting("ports[0].device", to: "veth9").setting("ports[1].mtu", to: 1700)
      .setting("ports[1].vlan", to: 5).setting("control_socket", to: "x.sock").setting("capture", to: nil)
    #expect(
      try fields(device) == [
        "identity.member", "engine", "lcores.count", "control_socket", "ports[clear].device", "ports[fabric].mtu",
        "ports[fabric].vlan", "capture",
      ])
    let replay = Tree.gateway.setting("groups[0].replay_window", to: 1024)
    #expect(try fields(replay) == [])
    #expect(try fields(replay.setting("replay_capacity", to: 64)) == ["replay_capacity"])
    let renamed = Tree.gateway.setting("ports[0].name", to: "inside")
    #expect(try fields(renamed) == ["ports[inside] (added)", "ports[clear] (removed)"])
  }

  @Test func replayWindows() throws {
    #expect(try workspace.load(Tree.gateway.text).configuration.replay == nil)
    let on = Tree.gateway.setting("groups[0].replay_window", to: 1024)
    let shape = try #require(try workspace.load(on.text).configuration.replay)
    #expect(shape.capacity == 16384 && shape.largestWindow == 1024)
    let small = try workspace.load(on.setting("replay_capacity", to: 100).text)
    #expect(small.configuration.replay?.capacity == 128 && small.warnings == [])
    let report = CheckReport(path: workspace.path("gateway.yaml"))
    #expect(report.description.contains("replay window of 1024 packets"))
    #expect(report.description.contains("replay: 128 windows of up to 1024 packets, 0.1 MiB"))
    #expect(report.json.contains("\"replay\":{\"capacity\":128,\"largest_window\":1024,\"octets\":74752}"))
    let unused = try workspace.load(Tree.gateway.setting("replay_capacity", to: 100).text)
    #expect(unused.warnings.map(\.path) == ["replay_capacity"])
    for (value, fix) in [
      ("1000", "write 1024"), ("32", "write 64"), ("5000", "write `replay_window: 1024`"), ("-1", "for example"),
      ("064", "write 64"), ("on", "for example"),
    ] {
      let mistakes = try workspace.mistakes(in: Tree.gateway.setting("groups[0].replay_window", to: value).text)
      #expect(mistakes.map(\.path) == ["groups[0].replay_window"], "\(value)")
      #expect(mistakes.allSatisfy { $0.expected.contains("64, 128") && $0.fix.contains(fix) }, "\(mistakes)")
    }
  }

  @Test func checkSaysTheSameToPeopleAndPrograms() throws {
    try workspace.writeKeys()
    let good = CheckReport(path: try workspace.write("good.yaml", Tree.gateway.text))
    #expect(good.ok)
    #expect(good.description.contains("10.2.0.0/24: protect as train to b or c"))
    #expect(good.description.contains("packets up to 1516 octets"))
    let bad = CheckReport(path: try workspace.write("bad.yaml", Tree.gateway.setting("icmp_rate", to: -1).text))
    #expect(!bad.ok)
    let object = try #require(try JSONSerialization.jsonObject(with: Data(bad.json.utf8)) as? [String: Any])
    let mistakes = try #require(object["mistakes"] as? [[String: Any]])
    #expect(object["ok"] as? Bool == false)
    #expect(mistakes.map { $0["path"] as? String } == ["icmp_rate"])
    #expect(bad.description.contains("found:    \"-1\""))
  }
}
