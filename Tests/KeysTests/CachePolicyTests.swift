import Keys
import Testing

/// When the cache is asked, and when it is fed.
@Suite struct CachePolicyTests {
  private static let burst = 32

  /// Bursts of packets of which a share finds its key when looked for: how many bursts looked, and how many keys were kept.
  private func run(_ policy: inout CachePolicy, bursts: Int, hits: Int) -> (looked: Int, kept: Int) {
    var (looked, kept) = (0, 0)
    for _ in 0..<bursts {
      let found = policy.isLooking ? hits : 0
      looked += policy.isLooking ? 1 : 0
      guard policy.endBurst(packets: Self.burst, hits: found) else { continue }
      kept += 1
      policy.kept()
    }
    return (looked, kept)
  }

  @Test func keepsSomeMissesAtOnceAndThenFew() {
    var policy = CachePolicy(leastHits: 128)
    func mayKeep(hits: Int) -> Bool { policy.endBurst(packets: 1, hits: hits) }
    for _ in 0..<2 {
      for _ in 0..<CachePolicy.keptAtOnce {
        #expect(!mayKeep(hits: 1))
        #expect(mayKeep(hits: 0))
        policy.kept()
      }
      for _ in 1..<CachePolicy.missesPerKept { #expect(!mayKeep(hits: 0)) }
      #expect(mayKeep(hits: 0))
      // Until one authenticated and was kept, the next may be.
      #expect(mayKeep(hits: 1))
      policy.kept()
      policy.refill()
    }
  }

  /// A gateway with 16 peers or fewer and little traffic: a tenth of a second after an epoch began it has all keys.
  @Test(arguments: [1, 4, 16]) func fewKeysStayWithLittleTraffic(keys: Int) {
    var policy = CachePolicy(leastHits: 216)
    var held: Set<Int> = []
    for packet in 0..<(CachePolicy.sample * 20) {
      if packet % 500 == 0 { held = [] }
      if packet % 50 == 0 { policy.refill() }
      let key = packet % keys
      #expect(policy.isLooking)
      if policy.endBurst(packets: 1, hits: held.contains(key) ? 1 : 0) {
        held.insert(key)
        policy.kept()
      }
      if packet % 500 >= 50 { #expect(held.contains(key)) }
    }
  }

  /// 16 bursts in 256 look, and one packet in 64 of those is kept: next to nothing is spent on a cache that is no use.
  @Test func restsWhenHitsAreRare() {
    var policy = CachePolicy(leastHits: 128)
    let sample = CachePolicy.sample / Self.burst
    let rounds = 1 + CachePolicy.rest
    let poor = run(&policy, bursts: sample * rounds * 10, hits: 15)
    #expect(poor.looked == sample * 10)
    #expect(poor.kept <= sample * 10 * (Self.burst - 15) / CachePolicy.missesPerKept + CachePolicy.keptAtOnce)
    // The traffic changes: at the next sample it is noticed, and every burst looks from then on.
    let good = run(&policy, bursts: sample * rounds * 10, hits: 16)
    #expect(good.looked >= sample * rounds * 9)
  }

  @Test func looksWhileHitsAreEnough() {
    var policy = CachePolicy(leastHits: 128)
    let all = run(&policy, bursts: 10_000, hits: 32)
    #expect(all.looked == 10_000 && all.kept == 0)
    let half = run(&policy, bursts: 10_000, hits: 16)
    #expect(half.looked == 10_000)
    #expect(half.kept <= 10_000 * 16 / CachePolicy.missesPerKept + CachePolicy.keptAtOnce)
  }

  @Test func neverLooksWithoutACache() {
    var policy = CachePolicy(leastHits: nil)
    let result = run(&policy, bursts: 100_000, hits: 32)
    #expect(result == (0, 0))
  }
}
