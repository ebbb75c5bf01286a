import CPerf

/// Core cycles per packet over many samples.
struct Measurement {
  let median: Double
  /// Half of what lies between the tenth and the ninetieth percentile.
  let spread: Double

  /// Runs `work`, which handles `packets` packets, until a sample takes some 50 µs, `samples` times.
  init(packets: Int, samples: Int, work: () -> Void) {
    work()
    let once = max(CoreClock.cycles(work), 1)
    let rounds = max(Int(150_000 / once), 1)
    self.init(samples: samples) { CoreClock.cycles { for _ in 0..<rounds { work() } } / Double(rounds * packets) }
  }

  /// Takes `samples` samples, and others for those in which the thread lost its core, up to ten times as many.
  init(samples: Int, _ sample: () -> Double) {
    var values: [Double] = []
    var all: [Double] = []
    while values.count < samples, all.count < 10 * samples {
      let before = perf_switches()
      let value = sample()
      all.append(value)
      if perf_switches() == before { values.append(value) }
    }
    self.init(sorted: (values.isEmpty ? all : values).sorted())
  }

  init(sorted values: [Double]) {
    median = values[values.count / 2]
    spread = (values[values.count * 9 / 10] - values[values.count / 10]) / 2
  }
}
