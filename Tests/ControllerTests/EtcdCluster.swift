import Controller
import Foundation
import Support

/// Three nodes of etcd on loopback, with their data in a temporary directory; gone when `with` returns.
final class EtcdCluster: @unchecked Sendable {
  struct Node {
    var name: String
    var client, peer: Int
  }

  private let directory: URL
  private let nodes: [Node]
  private var processes: [Int: Process] = [:]
  /// As `https`, and with client certificates.
  private let tls: EtcdCertificates?

  var endpoints: [String] { nodes.map { "\(tls == nil ? "http" : "https")://127.0.0.1:\($0.client)" } }

  private init(directory: URL, size: Int, tls: EtcdCertificates?) throws {
    self.directory = directory
    self.tls = tls
    let ports = try Self.freePorts(2 * size)
    nodes = (0..<size).map { Node(name: "node\($0)", client: ports[2 * $0], peer: ports[2 * $0 + 1]) }
  }

  static func with<Result>(
    size: Int = 3, tls: Bool = false, _ body: (EtcdCluster) async throws -> Result
  ) async throws -> Result {
    let directory = FileManager.default.temporaryDirectory.appending(path: "keyweave-etcd-\(UUID().uuidString)")
    try FileManager.default.createDirectory(at: directory, withIntermediateDirectories: true)
    defer { try? FileManager.default.removeItem(at: directory) }
    let cluster = try EtcdCluster(
      directory: directory, size: size, tls: tls ? try EtcdCertificates(in: directory) : nil)
    defer { for index in 0..<size { cluster.kill(index) } }
    for index in 0..<size { try cluster.start(index) }
    try await cluster.waitUntilHealthy()
    return try await body(cluster)
  }

  func settings(_ node: String, leaseSeconds: Int64 = 3) -> EtcdSettings {
    EtcdSettings(
      endpoints: endpoints, prefix: "/keyweave/test", node: node, authority: tls?.authority,
      certificate: tls?.certificate, key: tls?.key, requestTimeout: 1000, leaseSeconds: leaseSeconds)
  }

  func start(_ index: Int) throws {
    let node = nodes[index]
    let process = Process()
    process.executableURL = URL(filePath: "/usr/bin/etcd")
    process.arguments =
      [
        "--name", node.name, "--data-dir", directory.appending(path: node.name).path,
        "--listen-client-urls", endpoints[index], "--advertise-client-urls", endpoints[index],
        "--listen-peer-urls", "http://127.0.0.1:\(node.peer)",
        "--initial-advertise-peer-urls", "http://127.0.0.1:\(node.peer)",
        "--initial-cluster", nodes.map { "\($0.name)=http://127.0.0.1:\($0.peer)" }.joined(separator: ","),
        "--initial-cluster-token", directory.lastPathComponent, "--log-level", "error",
      ] + (tls?.serverArguments ?? [])
    process.standardInput = FileHandle.nullDevice
    process.standardOutput = FileHandle.nullDevice
    process.standardError = FileHandle.nullDevice
    try process.run()
    processes[index] = process
  }

  func kill(_ index: Int) {
    guard let process = processes.removeValue(forKey: index) else { return }
    Foundation.kill(process.processIdentifier, SIGKILL)
    process.waitUntilExit()
  }

  func signal(_ index: Int, _ number: Int32) {
    if let process = processes[index] { Foundation.kill(process.processIdentifier, number) }
  }

  /// Which node leads now.
  func leader() throws -> Int {
    for index in 0..<nodes.count {
      let status = try etcdctl(["endpoint", "status", "-w", "json"], at: index, mayFail: true).joined()
      let object = try? JSONSerialization.jsonObject(with: Data(status.utf8)) as? [[String: Any]]
      guard let answer = object?.first?["Status"] as? [String: Any],
        let header = answer["header"] as? [String: Any], let id = header["member_id"] as? NSNumber,
        let leader = answer["leader"] as? NSNumber
      else { continue }
      if id == leader { return index }
    }
    throw EtcdClusterError.noLeader
  }

  /// What `etcdctl` prints, line by line.
  func etcdctl(_ arguments: [String], at index: Int, mayFail: Bool = false) throws -> [String] {
    var flags = ["--endpoints", endpoints[index], "--command-timeout", "5s"]
    if let tls { flags += ["--cacert", tls.authority, "--cert", tls.certificate, "--key", tls.key] }
    let result = try Program.run(
      "etcdctl", flags + arguments, environment: ["ETCDCTL_API": "3"], timeout: .seconds(20))
    guard result.status == 0 || mayFail else { throw EtcdClusterError.etcdctl(result.output + result.errors) }
    return (result.status == 0 ? result.output : result.errors).split(separator: "\n").map(String.init)
  }

  private func waitUntilHealthy() async throws {
    let until = ContinuousClock.now + .seconds(30)
    while ContinuousClock.now < until {
      let answer = try etcdctl(["get", "a", "-w", "fields"], at: 0, mayFail: true)
      if answer.contains(where: { $0.contains("Revision") }) { return }
      try await Task.sleep(for: .milliseconds(100))
    }
    throw EtcdClusterError.notHealthy
  }

  /// Ports that nothing listens on now; all are bound at once, so that no two are the same.
  private static func freePorts(_ count: Int) throws -> [Int] {
    var descriptors: [Int32] = []
    defer { for descriptor in descriptors { close(descriptor) } }
    return try (0..<count).map { _ -> Int in
      let descriptor = socket(AF_INET, Int32(SOCK_STREAM.rawValue), 0)
      descriptors.append(descriptor)
      var address = sockaddr_in()
      address.sin_family = sa_family_t(AF_INET)
      address.sin_addr.s_addr = UInt32(0x7F00_0001).bigEndian
      var length = socklen_t(MemoryLayout<sockaddr_in>.size)
      let status = withUnsafeMutablePointer(to: &address) { pointer in
        pointer.withMemoryRebound(to: sockaddr.self, capacity: 1) { address -> Int32 in
          guard bind(descriptor, address, length) == 0 else { return -1 }
          return getsockname(descriptor, address, &length)
        }
      }
      guard status == 0 else { throw EtcdClusterError.noPort }
      return Int(UInt16(bigEndian: address.sin_port))
    }
  }
}

enum EtcdClusterError: Error { case notHealthy, noLeader, noPort, etcdctl(String) }

/// A CA, a certificate for etcd and one for its client, made by OpenSSL.
struct EtcdCertificates {
  let authority, certificate, key: String
  let serverArguments: [String]

  init(in directory: URL) throws {
    let path = { (name: String) in directory.appending(path: name).path }
    func openssl(_ arguments: [String]) throws {
      let result = try Program.run("openssl", arguments)
      guard result.status == 0 else { throw EtcdClusterError.etcdctl(result.errors) }
    }
    try openssl([
      "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-days", "2", "-subj", "/CN=CA",
      "-keyout", path("ca.key"), "-out", path("ca.pem"),
    ])
    for name in ["server", "client"] {
      // The gateway inside etcd is a client of etcd, with the server's certificate.
      try openssl([
        "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-days", "2",
        "-subj", "/CN=\(name)", "-CA", path("ca.pem"), "-CAkey", path("ca.key"),
        "-addext", "subjectAltName=IP:127.0.0.1", "-addext", "extendedKeyUsage=serverAuth,clientAuth",
        "-addext", "basicConstraints=critical,CA:false", "-keyout", path("\(name).key"), "-out", path("\(name).pem"),
      ])
    }
    authority = path("ca.pem")
    certificate = path("client.pem")
    key = path("client.key")
    serverArguments = [
      "--cert-file", path("server.pem"), "--key-file", path("server.key"), "--trusted-ca-file", path("ca.pem"),
      "--client-cert-auth",
    ]
  }
}
