internal import CDPDK
internal import Glibc
internal import Synchronization

/// A thread of the control side that does its round again and again until it is told to stop.
final class ControlThread: @unchecked Sendable {
  private let stopping = Atomic<Bool>(false)
  private var thread = pthread_t()
  private let round: () -> Bool
  private let interval: UInt32

  /// - Parameters:
  ///   - interval: microseconds of rest after a round that found nothing to do.
  ///   - round: true when it found something and wants to be called at once.
  init(name: String, interval: UInt32, round: @escaping () -> Bool) {
    self.interval = interval
    self.round = round
    pthread_create(
      &thread, nil,
      { context in
        guard let context else { return nil }
        Unmanaged<ControlThread>.fromOpaque(context).takeRetainedValue().loop()
        return nil
      }, Unmanaged.passRetained(self).toOpaque())
    dpdk_thread_setname(thread, name)
  }

  private func loop() {
    while !stopping.load(ordering: .relaxed) {
      if !round() { usleep(interval) }
    }
    // What came in until now.
    while round() {}
  }

  func stop() {
    stopping.store(true, ordering: .relaxed)
    pthread_join(thread, nil)
  }
}
