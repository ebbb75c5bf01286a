/// Core cycles per packet over many samples.
struct Measurement {
  let median: Double
  /// Half of what lies between the tenth and the ninetieth percentile.
  let spread: Double

  /// Runs `work`, which handles `packets` packets, until a sample takes some 20 µs, `samples` times.
  init(packets: Int, samples: Int, work: () -> Void) {
    work()
    let once = max(CoreClock.cycles(work), 1)
    let rounds = max(Int(50_000 / once), 1)
    let values = (0..<samples).map { _ in
      CoreClock.cycles { for _ in 0..<rounds { work() } } / Double(rounds * packets)
    }
    self.init(sorted: values.sorted())
  }

  init(sorted values: [Double]) {
    median = values[values.count / 2]
    spread = (values[values.count * 9 / 10] - values[values.count / 10]) / 2
  }

  init(median: Double, spread: Double) {
    self.median = median
    self.spread = spread
  }
}
