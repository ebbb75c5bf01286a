import Foundation

/// The clock names epochs: packets of a gateway whose clock is off by more than one epoch period are dropped.
enum DoctorClock {
  static func findings() -> [DoctorFinding] { [synchronised(), source()] }

  private static func synchronised() -> DoctorFinding {
    let subject = "clock"
    switch isSynchronised() {
    case true?: return .ok(subject, "synchronised")
    case false?:
      return .warn(
        subject, "not synchronised: receivers drop packets whose epoch is two or more away from theirs",
        fix: "sudo timedatectl set-ntp true, or sudo apt-get install chrony")
    case nil:
      return .warn(subject, "nothing here says whether it is synchronised", fix: "sudo apt-get install chrony")
    }
  }

  /// The kernel's own view where a tool shows it: bit STA_UNSYNC (0x40) of adjtimex's status.
  private static func isSynchronised() -> Bool? {
    let log = NSTemporaryDirectory() + "keyweave-doctor-\(UInt64.random(in: 0...UInt64.max))"
    defer { [".out", ".err"].forEach { try? FileManager.default.removeItem(atPath: log + $0) } }
    if let busybox = try? Child.run(["busybox", "adjtimex"], log: log, deadline: 5), busybox.succeeded {
      for line in busybox.output.split(separator: "\n") where line.contains("status:") {
        let words = line.split(whereSeparator: { " :".contains($0) })
        if words.count > 1, let status = Int(words[1]) { return status & 0x40 == 0 }
      }
    }
    if let answer = try? Child.run(["timedatectl", "show", "-p", "NTPSynchronized", "--value"], log: log, deadline: 5),
      answer.succeeded
    {
      return answer.output.hasPrefix("yes")
    }
    return nil
  }

  private static func source() -> DoctorFinding {
    let path = "/sys/devices/system/clocksource/clocksource0/current_clocksource"
    let source = Kernel.text(path) ?? "unknown"
    let slow: Set = ["hpet", "acpi_pm", "jiffies", "refined-jiffies"]
    guard slow.contains(source) else { return .ok("clock source", source) }
    return .warn("clock source", "\(source) is slow to read", fix: "echo tsc | sudo tee \(path)")
  }
}
