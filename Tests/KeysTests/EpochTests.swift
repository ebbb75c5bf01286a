import Keys
import Testing

@Suite struct EpochTests {
  @Test func countsWholePeriodsSince1970() {
    #expect(Epoch.number(at: 0, period: 600) == 0)
    #expect(Epoch.number(at: 599, period: 600) == 0)
    #expect(Epoch.number(at: 600, period: 600) == 1)
    #expect(Epoch.number(at: 1_800_000_000, period: 600) == 3_000_000)
    #expect(Epoch.onWire(3_000_000) == UInt16(3_000_000 % 65_536))
    #expect(Epoch.number(at: .max, period: 0) == .max, "a period that validation refuses still does not trap")
  }

  @Test func acceptsItsOwnAndItsNeighbours() {
    for own: UInt64 in [0, 1, 65_535, 65_536, 65_537, 131_071, 3_000_000, .max] {
      let center = UInt16(truncatingIfNeeded: own)
      let accepted = (0...UInt16.max).filter { Epoch.isAccepted($0, own: own) }
      #expect(Set(accepted) == [center &- 1, center, center &+ 1])
    }
  }
}
