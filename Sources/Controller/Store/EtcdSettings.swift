/// Where the records are when several nodes of one controller share them: an etcd of their own (docs/keys.md).
package struct EtcdSettings: Sendable, Equatable {
  /// URLs of the JSON gateway, such as `https://10.0.0.1:2379`; any one that answers will do.
  package var endpoints: [String]
  /// Before every key, such as `/keyweave/region`: controllers that are different authorities have different ones.
  package var prefix: String
  /// This node's name: no two nodes of a controller have the same.
  package var node: String
  /// PEM file with the certificates that etcd's are verified against; the system's when there is none.
  package var authority: String?
  /// PEM files with this node's certificate and key, where etcd asks for one.
  package var certificate, key: String?
  /// How long one request to one endpoint may take, in milliseconds.
  package var requestTimeout: Int64
  /// How long another node waits for this one, when it may rotate and falls silent; etcd's least is 1.5 election time-outs.
  package var leaseSeconds: Int64

  package init(
    endpoints: [String], prefix: String, node: String, authority: String? = nil, certificate: String? = nil,
    key: String? = nil, requestTimeout: Int64 = 2000, leaseSeconds: Int64 = 6
  ) {
    self.endpoints = endpoints
    self.prefix = prefix
    self.node = node
    self.authority = authority
    self.certificate = certificate
    self.key = key
    self.requestTimeout = requestTimeout
    self.leaseSeconds = leaseSeconds
  }
}
