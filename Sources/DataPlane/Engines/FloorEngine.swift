internal import CIPsecMB
package import Keys
internal import Wire

/// No cipher: what is left of the gateway when sealing and opening cost nothing. Only perf's own build has this file
/// (Package.swift, KEYWEAVE_FLOOR); the program that people run cannot be talked into it, as it is not there.
struct FloorEngine: AEADEngine {
  static let name = "floor"
  private let engine: IPsecMBEngine

  init() throws(EngineError) { engine = try IPsecMBEngine() }

  var build: String { "no cipher" }
  var slotSize: Int { engine.slotSize }
  var lockedSize: Int { engine.lockedSize }

  func prepareSlot(_ slot: UnsafeMutableRawPointer) { engine.prepareSlot(slot) }
  func expand(_ key: UnsafeRawPointer, suite: Suite, into slot: UnsafeMutableRawPointer) {
    engine.expand(key, suite: suite, into: slot)
  }
  func expandBatch(
    _: UnsafeRawPointer, for _: UnsafePointer<KeyUse>, count _: Int, into _: UnsafeMutableRawPointer
  ) {}
  func eraseBatch(_: UnsafeMutableRawPointer, count _: Int, mostBlocks _: Int) {}
  func eraseSlot(_ slot: UnsafeMutableRawPointer) { engine.eraseSlot(slot) }
  func releaseSlot(_ slot: UnsafeMutableRawPointer) { engine.releaseSlot(slot) }
  func shutdown() { engine.shutdown() }

  @inline(__always)
  func seal(
    _: UnsafeMutableRawPointer, suite _: Suite, nonce _: UnsafeRawPointer, aad _: UnsafeRawPointer, aadLength _: Int,
    text _: UnsafeMutableRawPointer, length _: Int, tag _: UnsafeMutableRawPointer
  ) {}

  @inline(__always)
  func seal(_: UnsafeMutableRawPointer, stride _: Int, count _: Int, suite _: Suite) {}

  @inline(__always)
  func open(
    _: UnsafeMutableRawPointer, suite _: Suite, nonce _: UnsafeRawPointer, aad _: UnsafeRawPointer, aadLength _: Int,
    text _: UnsafeMutableRawPointer, length _: Int, tag _: UnsafeRawPointer
  ) -> Bool { true }

  func hmacSHA256(
    key: UnsafeRawBufferPointer, message: UnsafeRawBufferPointer, into output: UnsafeMutableRawPointer
  ) {
    engine.hmacSHA256(key: key, message: message, into: output)
  }
  func expandAES256(_ key: UnsafeRawPointer, into schedule: UnsafeMutableRawPointer) {
    engine.expandAES256(key, into: schedule)
  }
  func encryptBlocks(_ schedule: UnsafeRawPointer, _ blocks: UnsafeMutableRawPointer, count: Int) {
    engine.encryptBlocks(schedule, blocks, count: count)
  }
}

@c(keyweave_lcore_floor)
func runFloorWorker(_ worker: UnsafeMutableRawPointer?) -> Int32 {
  worker?.assumingMemoryBound(to: Worker<FloorEngine>.self).pointee.run()
  return 0
}

@c(keyweave_lcore_round_floor)
func roundOfFloorWorker(_ worker: UnsafeMutableRawPointer?) -> Int {
  worker?.assumingMemoryBound(to: Worker<FloorEngine>.self).pointee.iterate(receiving: true) ?? 0
}

extension FloorEngine: LcoreEngine {
  static var lcoreEntry: @convention(c) (UnsafeMutableRawPointer?) -> Int32 { runFloorWorker }
  static var lcoreRound: @convention(c) (UnsafeMutableRawPointer?) -> Int { roundOfFloorWorker }
}

extension GatewaySettings {
  /// A gateway without a cipher, for its owner to move.
  package func prepareFloor(plan: GatewayPlan, groups: [TrustGroup]) throws -> any SteppedGateway {
    try Gateway<FloorEngine>(settings: self, plan: plan, groups: groups)
  }
}
