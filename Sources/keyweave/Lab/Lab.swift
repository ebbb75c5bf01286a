import Foundation
import Glibc

/// Hosts, routers and gateways in network namespaces, joined by veth pairs. Only works inside the `Sandbox`.
final class Lab {
  /// Everything the lab writes: a tmpfs that nobody else sees and that is gone with the mount namespace.
  static let directory = "/run/keyweave"
  static let packages = "busybox curl ethtool iperf3 iproute2 iputils-ping util-linux"
  static let programs = ["busybox", "curl", "ethtool", "iperf3", "ip", "ping", "setpriv", "unshare", "sha256sum"]

  private(set) var topology = Topology()
  private(set) var sizes: LabSizes
  private var logs = 0

  /// Makes the namespaces and the wires.
  init(_ topology: Topology, sizes: LabSizes = .usual) throws(LabError) {
    self.sizes = sizes
    // These commands run before there is a private place for logs; the two files go at once.
    let log = NSTemporaryDirectory() + "keyweave-lab-\(UInt64.random(in: 0...UInt64.max))"
    defer { [".out", ".err"].forEach { unlink(log + $0) } }
    try Self.check(Child.run(["sh", "-ec", Self.ground], log: log))
    try build(topology)
  }

  private static let ground = """
    mount -t tmpfs -o mode=755 keyweave /run
    mkdir -p /run/netns \(directory)/log \(directory)/www
    """

  /// Makes one more part; its wires may end at nodes that are there already.
  func build(_ part: Topology) throws(LabError) {
    topology = topology + part
    try shell(part.commands(sizes, gateways: topology.gateways))
  }

  /// Changes the MTU of every wire.
  func resize(_ new: LabSizes) throws(LabError) {
    guard new != sizes else { return }
    sizes = new
    try shell(topology.resizing(new))
  }

  /// Packets for which a wire's end had no room in the kernel's queue, in all namespaces together.
  func receiveDrops() throws(LabError) -> Int {
    let script = "cat /sys/class/net/*/statistics/rx_dropped"
    var sum = 0
    for node in topology.nodes {
      let counts = try run(in: node.name, ["sh", "-c", script]).output.split(separator: "\n")
      sum += counts.reduce(0) { $0 + (Int($1) ?? 0) }
    }
    return sum
  }

  /// A program's command line inside a namespace.
  static func inside(_ namespace: String, _ command: [String]) -> [String] {
    ["ip", "netns", "exec", namespace] + command
  }

  /// Runs a program in a namespace to its end.
  func run(in namespace: String, _ command: [String], deadline: Double = 20) throws(LabError) -> Finished {
    try Child.run(Self.inside(namespace, command), log: nextLog(command), deadline: deadline)
  }

  /// Starts a program in a namespace that runs until it is stopped.
  func start(
    in namespace: String, _ command: [String], environment: [String: String] = [:]
  ) throws(LabError) -> Child {
    try Child.start(Self.inside(namespace, command), log: nextLog(command), environment: environment)
  }

  private func nextLog(_ command: [String]) -> String {
    logs += 1
    let name = command.first?.split(separator: "/").last ?? "program"
    return "\(Self.directory)/log/\(logs)-\(name)"
  }

  /// Commands that make or change the lab.
  func shell(_ script: String) throws(LabError) {
    try Self.check(Child.run(["sh", "-ec", script], log: nextLog(["sh"])))
  }

  private static func check(_ finished: Finished) throws(LabError) {
    guard finished.succeeded else { throw .failed("the lab could not be made:\n\(finished.account)") }
  }

  /// Writes a file that only we can read.
  static func write(_ text: String, to path: String) throws(LabError) {
    let made = FileManager.default.createFile(
      atPath: path, contents: Data(text.utf8), attributes: [.posixPermissions: 0o600])
    guard made else { throw .failed("cannot write \(path): \(String(cString: strerror(errno)))") }
  }
}
