import Foundation
import Glibc

/// Two hosts and two gateways in network namespaces, joined by veth pairs:
/// host A - gateway A === fabric === gateway B - host B. Only works inside the `Sandbox`.
struct Lab {
  /// Everything the lab writes: a tmpfs that nobody else sees and that is gone with the mount namespace.
  static let directory = "/run/keyweave"
  static let packages = "busybox curl ethtool iperf3 iproute2 iputils-ping util-linux"
  static let programs = ["busybox", "curl", "ethtool", "iperf3", "ip", "ping", "setpriv", "unshare", "sha256sum"]

  /// One side of the fabric.
  struct Side {
    let letter: String
    let number: Int
    var host: String { "host-\(letter)" }
    var gateway: String { "gateway-\(letter)" }
    var hostIPv4: String { "10.\(number).0.2" }
    var hostIPv6: String { "2001:db8:\(number)::2" }
    var gatewayIPv4: String { "10.\(number).0.1" }
    var gatewayIPv6: String { "2001:db8:\(number)::1" }
    var fabricIPv4: String { "192.0.2.\(number)" }
    var fabricIPv6: String { "2001:db8:f::\(number)" }
    var prefixIPv4: String { "10.\(number).0.0/24" }
    var prefixIPv6: String { "2001:db8:\(number)::/64" }
  }

  static let a = Side(letter: "a", number: 1)
  static let b = Side(letter: "b", number: 2)
  static let sides = [a, b]

  /// Sizes of one run: what the hosts see and what the fabric carries.
  struct Sizes {
    let host: Int
    let fabric: Int
    static let usual = Sizes(host: 1500, fabric: 1500)
    /// 9216 leaves room for the outer headers, so that hosts use 9000 end to end.
    static let jumbo = Sizes(host: 9000, fabric: 9216)
  }

  private(set) var sizes: Sizes
  private var logs = 0

  /// Makes the namespaces and the wires.
  init(sizes: Sizes) throws(LabError) {
    self.sizes = sizes
    // These commands run before there is a private place for logs; the two files go at once.
    let log = NSTemporaryDirectory() + "keyweave-lab-\(UInt64.random(in: 0...UInt64.max))"
    defer { [".out", ".err"].forEach { unlink(log + $0) } }
    try Self.check(Child.run(["sh", "-ec", Self.ground], log: log))
    try shell(Self.wires(sizes))
  }

  /// Changes the MTU of every wire; hosts forget what they learned about the old path.
  mutating func resize(_ new: Sizes) throws(LabError) {
    sizes = new
    try shell(
      Self.sides.map { side in
        """
        ip -n \(side.gateway) link set fabric mtu \(new.fabric)
        ip -n \(side.gateway) link set clear mtu \(new.host)
        ip -n \(side.host) link set eth0 mtu \(new.host)
        ip -n \(side.host) -4 route flush cache
        ip -n \(side.host) -6 route flush cache
        """
      }.joined(separator: "\n"))
  }

  /// A program's command line inside a namespace.
  static func inside(_ namespace: String, _ command: [String]) -> [String] {
    ["ip", "netns", "exec", namespace] + command
  }

  /// Runs a program in a namespace to its end.
  mutating func run(
    in namespace: String, _ command: [String], deadline: Double = 20
  ) throws(LabError) -> Finished {
    try Child.run(Self.inside(namespace, command), log: nextLog(command), deadline: deadline)
  }

  /// Starts a program in a namespace that runs until it is stopped.
  mutating func start(
    in namespace: String, _ command: [String], environment: [String: String] = [:]
  ) throws(LabError) -> Child {
    try Child.start(Self.inside(namespace, command), log: nextLog(command), environment: environment)
  }

  private mutating func nextLog(_ command: [String]) -> String {
    logs += 1
    let name = command.first?.split(separator: "/").last ?? "program"
    return "\(Self.directory)/log/\(logs)-\(name)"
  }

  /// Commands that make the lab.
  mutating func shell(_ script: String) throws(LabError) {
    try Self.check(Child.run(["sh", "-ec", script], log: nextLog(["sh"])))
  }

  private static func check(_ finished: Finished) throws(LabError) {
    guard finished.succeeded else { throw .failed("the lab could not be made:\n\(finished.account)") }
  }
}

extension Lab {
  fileprivate static let ground = """
    mount -t tmpfs -o mode=755 keyweave /run
    mkdir -p /run/netns \(directory)/log \(directory)/www
    for namespace in \(sides.flatMap { [$0.host, $0.gateway] }.joined(separator: " ")); do
      ip netns add $namespace
      ip -n $namespace link set lo up
    done
    """

  /// Hosts are ordinary Linux machines. The gateways' kernels keep out of their interfaces: no address, no IPv6, no ARP, so that
  /// only the gateway answers. Offloads are off at both ends, since a veth pair passes on packets whose checksums nobody computed
  /// and segments of up to 64 KiB, neither of which a real wire carries.
  fileprivate static func wires(_ sizes: Sizes) -> String {
    let quiet = "for f in /proc/sys/net/ipv6/conf/*/disable_ipv6; do echo 1 > $f; done"
    let hosts = sides.map { side in
      """
      ip netns exec \(side.gateway) sh -c '\(quiet)'
      ip link add name eth0 netns \(side.host) mtu \(sizes.host) type veth peer name clear netns \(side.gateway) \
      mtu \(sizes.host)
      ip netns exec \(side.host) sh -c 'echo 0 > /proc/sys/net/ipv6/conf/eth0/accept_ra'
      ip -n \(side.host) address add \(side.hostIPv4)/24 dev eth0
      ip -n \(side.host) address add \(side.hostIPv6)/64 dev eth0 nodad
      ip -n \(side.host) link set eth0 up
      ip -n \(side.gateway) link set clear arp off up
      ip -n \(side.host) route add default via \(side.gatewayIPv4)
      ip -n \(side.host) route add default via \(side.gatewayIPv6)
      ip netns exec \(side.host) ethtool -K eth0 \(offloads)
      ip netns exec \(side.gateway) ethtool -K clear \(offloads)
      """
    }
    let fabric = """
      ip link add name fabric netns gateway-a mtu \(sizes.fabric) type veth peer name fabric netns gateway-b \
      mtu \(sizes.fabric)
      for gateway in gateway-a gateway-b; do
        ip -n $gateway link set fabric arp off up
        ip netns exec $gateway ethtool -K fabric \(offloads)
      done
      """
    return (hosts + [fabric]).joined(separator: "\n")
  }

  private static let offloads = "tx off rx off tso off gso off gro off"
}
