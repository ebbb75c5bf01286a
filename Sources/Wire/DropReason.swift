/// Why a packet was not passed on. One list gives the reason, its counter and the operator's sentence.
///
/// The names of the first group are normative (wire format, sections 1 to 6); the others are the gateway's own.
/// One octet wide, so that a verdict costs nothing to return.
package enum DropReason: UInt8, CaseIterable, Sendable {
  // Wire format, in the order of section 6.
  case keepalive
  case malformed
  case version
  case variant
  case unknownKey
  case epoch
  case policyOffset
  case replayLate
  case replayDuplicate
  case authentication
  case malformedInner
  case dummy
  case policyInner
  case counterExhausted
}
