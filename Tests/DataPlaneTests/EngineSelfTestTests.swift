import DataPlane
import Keys
import Testing
import Wire

/// An engine that computes anything wrong is refused, and the choice of the engine says why.
@Suite struct EngineSelfTestTests {
  @Test(arguments: Fault.allCases)
  func refusesABrokenEngine(_ fault: Fault) throws {
    try refuses(Broken<OpenSSLEngine>(fault))
    #if IPSEC_MB
      try refuses(Broken<IPsecMBEngine>(fault))
    #endif
  }

  private func refuses<Base: AEADEngine>(_ engine: Broken<Base>) throws {
    defer { engine.shutdown() }
    guard let check = engine.fault.check else {
      try SelfTest.run(engine)
      return
    }
    let error = #expect(throws: EngineError.self) { try SelfTest.run(engine) }
    #expect(error == .selfTestFailed(engine: Base.name, check: check))
    #expect(error?.description.contains("self-test failed at \(check)") == true)
  }

  // MARK: The choice

  @Test func autoTakesTheFirstThatRuns() throws {
    let both = try EngineChoice.auto.decide(trying: succeed)
    #if IPSEC_MB
      #expect(both.engine == .ipsecMB && both.build == "ipsec-mb" && both.passedOver == nil)
      let one = try EngineChoice.auto.decide(trying: failUnlessOpenSSL)
      #expect(one.engine == .openSSL && one.build == "openssl" && one.passedOver == Self.broken)
    #else
      #expect(both.engine == .openSSL && both.passedOver?.description.contains("this build is without it") == true)
    #endif
  }

  @Test func whatIsForcedRunsOrFails() throws {
    let decision = try EngineChoice.openSSL.decide(trying: failUnlessOpenSSL)
    #expect(decision.engine == .openSSL && decision.build == "openssl" && decision.passedOver == nil)
    #expect(throws: EngineError.self) { try EngineChoice.ipsecMB.decide(trying: failUnlessOpenSSL) }
    for choice in EngineChoice.allCases {
      #expect(throws: EngineError.self) { try choice.decide(trying: fail) }
    }
  }

  private static let broken = EngineError.selfTestFailed(engine: "any", check: "opening")

  private func succeed(_ engine: EngineDecision.Engine) throws(EngineError) -> String { engine.name }

  private func fail(_: EngineDecision.Engine) throws(EngineError) -> String { throw Self.broken }

  private func failUnlessOpenSSL(_ engine: EngineDecision.Engine) throws(EngineError) -> String {
    guard engine == .openSSL else { throw Self.broken }
    return engine.name
  }

  @Test func realEnginesSayWhatTheyAre() throws {
    let openSSL = try EngineChoice.openSSL.decide()
    #expect(openSSL.engine.name == "openssl" && openSSL.build.hasPrefix("OpenSSL 3."))
    #if IPSEC_MB
      let ipsecMB = try EngineChoice.ipsecMB.decide()
      #expect(ipsecMB.engine.name == "ipsec-mb" && ipsecMB.build.hasPrefix("IPsec-MB "))
    #else
      #expect(throws: EngineError.self) { try EngineChoice.ipsecMB.decide() }
    #endif
    #expect(EngineChoice(rawValue: "ipsec-mb") == .ipsecMB && EngineChoice(rawValue: "openssl") == .openSSL)
  }
}

/// One thing done wrong.
enum Fault: CaseIterable {
  case none, sealedText, sealedTag, openedText, acceptsAnyTag, refusesAll, keepsErasedKey, ignoresSuite
  case lastBlockOfMany, singleBlock, hmac

  /// The check that must find it; nil where there is nothing to find.
  var check: String? {
    switch self {
    case .none: nil
    case .sealedText, .sealedTag: "sealing with AES-256-GCM"
    case .openedText, .refusesAll: "opening with AES-256-GCM"
    case .acceptsAnyTag: "refusing a wrong tag with AES-256-GCM"
    case .keepsErasedKey: "erasing with AES-256-GCM"
    case .ignoresSuite: "sealing with AES-128-GCM"
    case .lastBlockOfMany, .singleBlock: "AES-256-ECB"
    case .hmac: "HMAC-SHA-256"
    }
  }
}

/// An engine with a fault.
private struct Broken<Base: AEADEngine>: AEADEngine {
  static var name: String { Base.name }
  let base: Base
  let fault: Fault

  init() throws(EngineError) {
    base = try Base()
    fault = .none
  }

  init(_ fault: Fault) throws(EngineError) {
    base = try Base()
    self.fault = fault
  }

  var build: String { base.build }
  var slotSize: Int { base.slotSize }
  var lockedSize: Int { base.lockedSize }
  func prepareSlot(_ slot: UnsafeMutableRawPointer) throws(EngineError) { try base.prepareSlot(slot) }
  func releaseSlot(_ slot: UnsafeMutableRawPointer) { base.releaseSlot(slot) }
  func shutdown() { base.shutdown() }

  func expand(_ key: UnsafeRawPointer, suite: Suite, into slot: UnsafeMutableRawPointer) {
    guard fault == .ignoresSuite else { return base.expand(key, suite: suite, into: slot) }
    // An AES-256 key has 32 octets, however many were given.
    var octets = [UInt8](repeating: 0, count: 32)
    octets.withUnsafeMutableBytes {
      $0.copyMemory(from: UnsafeRawBufferPointer(start: key, count: suite.keyLength))
    }
    base.expand(octets, suite: .aes256, into: slot)
  }

  func eraseSlot(_ slot: UnsafeMutableRawPointer) {
    if fault != .keepsErasedKey { base.eraseSlot(slot) }
  }

  func seal(
    _ slot: UnsafeMutableRawPointer, suite: Suite, nonce: UnsafeRawPointer, aad: UnsafeRawPointer, aadLength: Int,
    text: UnsafeMutableRawPointer, length: Int, tag: UnsafeMutableRawPointer
  ) {
    base.seal(slot, suite: suite, nonce: nonce, aad: aad, aadLength: aadLength, text: text, length: length, tag: tag)
    if fault == .sealedText, length > 0 { flip(text + (length - 1)) }
    if fault == .sealedTag { flip(tag + 15) }
  }

  func open(
    _ slot: UnsafeMutableRawPointer, suite: Suite, nonce: UnsafeRawPointer, aad: UnsafeRawPointer, aadLength: Int,
    text: UnsafeMutableRawPointer, length: Int, tag: UnsafeRawPointer
  ) -> Bool {
    let opened = base.open(
      slot, suite: suite, nonce: nonce, aad: aad, aadLength: aadLength, text: text, length: length, tag: tag)
    if fault == .openedText, length > 0 { flip(text) }
    return fault == .acceptsAnyTag || (opened && fault != .refusesAll)
  }

  func hmacSHA256(
    key: UnsafeRawBufferPointer, message: UnsafeRawBufferPointer, into output: UnsafeMutableRawPointer
  ) {
    base.hmacSHA256(key: key, message: message, into: output)
    if fault == .hmac { flip(output + 31) }
  }

  func expandAES256(_ key: UnsafeRawPointer, into schedule: UnsafeMutableRawPointer) {
    base.expandAES256(key, into: schedule)
  }

  func encryptBlocks(_ schedule: UnsafeRawPointer, _ blocks: UnsafeMutableRawPointer, count: Int) {
    base.encryptBlocks(schedule, blocks, count: count)
    if fault == .singleBlock, count == 1 { flip(blocks) }
    if fault == .lastBlockOfMany, count > 16 { flip(blocks + (16 * count - 1)) }
  }

  private func flip(_ octet: UnsafeMutableRawPointer) {
    octet.storeBytes(of: octet.load(as: UInt8.self) ^ 1, as: UInt8.self)
  }
}
