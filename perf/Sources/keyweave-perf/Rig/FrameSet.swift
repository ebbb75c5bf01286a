import CPerf
import Wire

/// Frames in memory of their own, as a feeder takes them.
final class FrameSet {
  let frames: UnsafeMutablePointer<perf_frame>
  let count: Int

  /// - Parameter copied: octets of each that are written into every buffer; nil is all. What sealing overwrites of a clear
  ///   frame is its first 64 octets: for what it encrypts, any octets will do.
  init(_ list: [[UInt8]], copied: Int? = nil) {
    count = list.count
    frames = .allocate(capacity: list.count)
    for (index, octets) in list.enumerated() {
      // Apart and aligned as a device's own memory would be.
      let place = UnsafeMutableRawPointer.allocate(byteCount: (octets.count + 127) & ~63, alignment: 64)
      place.copyMemory(from: octets, byteCount: octets.count)
      (frames + index).initialize(
        to: perf_frame(
          octets: place.assumingMemoryBound(to: UInt8.self), length: UInt32(octets.count),
          copied: UInt32(min(copied ?? octets.count, octets.count))))
    }
  }

  deinit {
    for index in 0..<count { UnsafeMutableRawPointer(mutating: frames[index].octets).deallocate() }
    frames.deallocate()
  }

  /// The octets of a frame, to be changed between two rounds.
  func octets(_ index: Int) -> UnsafeMutableRawPointer { UnsafeMutableRawPointer(mutating: frames[index].octets) }
}

extension [[UInt8]] {
  /// The same frames for another station.
  func readdressed(to mac: MACAddress) -> [[UInt8]] {
    let octets = (0..<6).map { UInt8(truncatingIfNeeded: mac.rawValue >> UInt64(40 - 8 * $0)) }
    return map { octets + $0.dropFirst(6) }
  }
}
