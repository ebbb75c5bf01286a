/// Three domains that share no key. Domains 1 and 2 have one gateway with a host each, and a proxy into the global domain
/// between them, which is an IPv6 router and has a gateway with a host of its own:
///
///     host-1 - gateway-1 === proxy-1 === exchange === proxy-2 === gateway-2 - host-2
///                                           ||
///                                       gateway-g - host-g
enum ProxyLab {
  /// A gateway with its host.
  struct Site {
    let letter: String
    let number: Int
    /// The domain's trust group, and its controller.
    let group: String
    var host: String { "host-\(letter)" }
    var gateway: String { "gateway-\(letter)" }
    var hostAddress: String { "10.\(number).0.2" }
    var gatewayAddress: String { "10.\(number).0.1" }
    var prefix: String { "10.\(number).0.0/16" }
  }

  /// Between a domain and the global one.
  struct Proxy {
    let site: Site
    let other: Site
    var name: String { "proxy-\(site.letter)" }
    /// On the domain's own fabric.
    var inside: String { site.number == 1 ? "192.0.2.2" : "203.0.113.2" }
    var gateway: String { site.number == 1 ? "192.0.2.1" : "203.0.113.1" }
    var outside: String { "2001:db8:e\(site.number)::2" }
    var exchange: String { "2001:db8:e\(site.number)::1" }
  }

  static let one = Site(letter: "1", number: 1, group: "site-1")
  static let two = Site(letter: "2", number: 2, group: "site-2")
  static let global = Site(letter: "g", number: 3, group: "world")
  static let sites = [one, two, global]
  static let proxies = [Proxy(site: one, other: two), Proxy(site: two, other: one)]
  /// Where the global domain's own gateway is.
  static let globalAddress = "2001:db8:e3::2"
  static let globalExchange = "2001:db8:e3::1"

  static var topology: Topology {
    var topology = Topology(nodes: [.init(name: "exchange", kind: .router)])
    for site in sites {
      topology.nodes += [.init(name: site.host, kind: .host), .init(name: site.gateway, kind: .gateway)]
      topology.wires.append(
        .init(
          .clear, .init(node: site.host, device: "eth0", addresses: ["\(site.hostAddress)/24"]),
          .init(node: site.gateway, device: "clear", addresses: ["\(site.gatewayAddress)/24"])))
      topology.routes.append(.init(site.host, "default via \(site.gatewayAddress)"))
    }
    for proxy in proxies {
      topology.nodes.append(.init(name: proxy.name, kind: .gateway))
      topology.wires += [
        .init(
          .protected, .init(node: proxy.site.gateway, device: "fabric", addresses: ["\(proxy.gateway)/24"]),
          .init(node: proxy.name, device: "local", addresses: ["\(proxy.inside)/24"])),
        .init(
          .protected, .init(node: proxy.name, device: "global", addresses: ["\(proxy.outside)/64"]),
          .init(node: "exchange", device: proxy.name, addresses: ["\(proxy.exchange)/64"])),
      ]
    }
    topology.wires.append(
      .init(
        .protected, .init(node: global.gateway, device: "fabric", addresses: ["\(globalAddress)/64"]),
        .init(node: "exchange", device: global.gateway, addresses: ["\(globalExchange)/64"])))
    return topology
  }

  /// A domain's gateway knows its proxy and nothing of what lies beyond.
  static func text(of proxy: Proxy, keys: String) -> LabGateway.Text {
    let group = proxy.site.group
    let far = "\(proxy.other.prefix), \(global.prefix)"
    return LabGateway.Text(
      keys: keys, peers: ["{ name: proxy, address: \(proxy.inside) }"],
      routes: [proxy.other, global].map { "{ to: \($0.prefix), peers: [proxy], group: \(group) }" },
      groups: ["{ name: \(group), may_speak: [\(far)] }"])
  }

  /// The global domain's gateway.
  static func globalText(keys: String) -> LabGateway.Text {
    LabGateway.Text(
      keys: keys,
      peers: proxies.map { "{ name: \($0.name), address: \"\($0.outside)\", via: \"\(globalExchange)\" }" },
      routes: proxies.map {
        "{ to: \($0.site.prefix), peers: [\($0.name)], group: world, suite: aes-128-gcm, context: source-address }"
      },
      groups: ["{ name: world, may_speak: [\(one.prefix), \(two.prefix)] }"])
  }

  /// What crosses is sealed for the other domain with another suite, another context and another outer family. 10.N.9.0/24
  /// is routed, but no policy lets it cross.
  static func text(of proxy: Proxy, proxyKeys: String) -> LabGateway.Text {
    let (own, other) = (proxy.site, proxy.other)
    let opposite = proxies.first { $0.site.letter == other.letter }
    let far = "10.\(other.number).0.0/24, \(global.prefix)"
    let way = "group: world, suite: aes-128-gcm, context: source-address"
    return LabGateway.Text(
      keys: proxyKeys, defaultGroups: ["local": own.group, "global": "world"],
      peers: [
        "{ name: gateway, address: \(proxy.gateway) }",
        "{ name: far, address: \"\(opposite?.outside ?? "")\", via: \"\(proxy.exchange)\" }",
        "{ name: global, address: \"\(globalAddress)\", via: \"\(proxy.exchange)\" }",
      ],
      routes: [
        "{ to: \(own.prefix), peers: [gateway], group: \(own.group) }",
        "{ to: \(other.prefix), peers: [far], \(way) }", "{ to: \(global.prefix), peers: [global], \(way) }",
      ],
      groups: [
        "{ name: \(own.group), may_speak: [\(own.prefix)] }",
        "{ name: world, may_speak: [\(other.prefix), \(global.prefix)] }",
      ],
      proxies: [
        "{ from: \(own.group), to: world, sources: [\(own.prefix)], destinations: [\(far)] }",
        "{ from: world, to: \(own.group), sources: [\(far)], destinations: [\(own.prefix)] }",
      ])
  }
}
