/// Who may speak with whom: one to three root keys, one per level, and the limits that the group sets (wire format,
/// section 2).
package struct TrustGroup: Sendable {
  package var name: String
  /// Used for packets without master key options.
  package var isDefault: Bool
  /// Seconds, 60 to 1800.
  package var epochPeriod: Int
  /// The largest COffset accepted, 0 to 255, in 4-octet units.
  package var maxCOffset: Int
  /// The largest IOffset accepted, 0 to 15, in 4-octet units; above 0 attackers can rewrite what lies before it.
  package var maxIOffset: Int
  package var rootKeys: [RootKey]
  /// A group that this node is outside of: it holds these data keys, and of the root keys their numbers only.
  package var grant: ConnectionGrant?

  package init(
    name: String, isDefault: Bool = false, epochPeriod: Int = 600, maxCOffset: Int = 16, maxIOffset: Int = 0,
    rootKeys: [RootKey], grant: ConnectionGrant? = nil
  ) {
    self.name = name
    self.isDefault = isDefault
    self.epochPeriod = epochPeriod
    self.maxCOffset = maxCOffset
    self.maxIOffset = maxIOffset
    self.rootKeys = rootKeys
    self.grant = grant
  }

  package static let epochPeriods = 60...1800
  package static let cOffsets = 0...255
  package static let iOffsets = 0...15
  package static let rootKeyCounts = 1...3

  /// The root keys in the order in which options name them.
  package var orderedKeys: [RootKey] { rootKeys.sorted { $0.level < $1.level } }
}
