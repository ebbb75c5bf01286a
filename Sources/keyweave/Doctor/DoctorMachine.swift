import Control
import DataPlane
import Foundation
import Glibc

/// What the machine is: CPU, engine, memory, libraries.
enum DoctorMachine {
  static func findings(_ engine: Configuration.Engine?) -> [DoctorFinding] {
    [cpu(), self.engine(engine ?? .auto), hugepages(), numa(), drivers()]
  }

  private static var flags: Set<String> {
    let text = Kernel.field("flags", of: "/proc/cpuinfo") ?? Kernel.field("Features", of: "/proc/cpuinfo") ?? ""
    return Set(text.split(separator: " ").map(String.init))
  }

  private static var isX86: Bool {
    #if arch(x86_64)
      true
    #else
      false
    #endif
  }

  private static func cpu() -> DoctorFinding {
    let model = Kernel.field("model name", of: "/proc/cpuinfo") ?? "this CPU"
    let flags = flags
    let interesting = ["aes", "pclmulqdq", "avx2", "vaes", "vpclmulqdq", "avx512f", "pmull", "sha2"]
    let present = interesting.filter(flags.contains).joined(separator: " ")
    if isX86, !flags.contains("sse4_2") {
      return .fail(
        "CPU", "\(model) has no SSE 4.2, without which DPDK does not start", fix: "use a CPU made after 2010")
    }
    guard flags.contains("aes"), flags.contains("pclmulqdq") || flags.contains("pmull") else {
      return .warn(
        "CPU", "\(model) has no AES and carry-less multiplication instructions: sealing will be slow",
        fix: "in a virtual machine, pass the host's CPU through (QEMU: -cpu host)")
    }
    return .ok("CPU", "\(model): \(present)")
  }

  /// The engine that would run, brought to life for a moment: its self-test is part of that.
  private static func engine(_ wanted: Configuration.Engine) -> DoctorFinding {
    do throws(EngineError) {
      let decision = try (EngineChoice(rawValue: wanted.rawValue) ?? .auto).decide()
      let found = "\(decision.engine.name): \(decision.build), self-test passed"
      guard let reason = decision.passedOver else { return .ok("engine", found) }
      return .ok("engine", "\(found) (ipsec-mb not: \(reason))")
    } catch {
      return .fail(
        "engine", "\(error)", fix: "set `engine: auto`, or install: sudo apt-get install libipsec-mb1 libssl3")
    }
  }

  private static func hugepages() -> DoctorFinding {
    let base = "/sys/kernel/mm/hugepages"
    let pools = Kernel.names(in: base).compactMap { name -> (size: Int, all: Int, free: Int)? in
      guard let kilobytes = Int(name.dropFirst("hugepages-".count).dropLast(2)) else { return nil }
      return (
        kilobytes, Kernel.number("\(base)/\(name)/nr_hugepages") ?? 0,
        Kernel.number("\(base)/\(name)/free_hugepages") ?? 0
      )
    }
    let free = pools.reduce(0) { $0 + $1.size * $1.free } / 1024
    let fix = "echo 256 | sudo tee \(base)/hugepages-2048kB/nr_hugepages"
    guard pools.contains(where: { $0.all > 0 }) else {
      return .warn("hugepages", "none: a gateway runs, but each packet costs about 20 cycles more", fix: fix)
    }
    guard free >= 128 else {
      return .warn("hugepages", "\(free) MB are free, a gateway wants 128 MB or more", fix: fix)
    }
    return .ok("hugepages", "\(free) MB are free")
  }

  private static func numa() -> DoctorFinding {
    let nodes = Kernel.names(in: "/sys/devices/system/node").filter {
      $0.hasPrefix("node") && Int($0.dropFirst(4)) != nil
    }
    let cores = sysconf(Int32(_SC_NPROCESSORS_ONLN))
    guard nodes.count > 1 else { return .ok("NUMA", "one node, \(cores) cores") }
    let lists = nodes.map { "\($0): cores \(Kernel.text("/sys/devices/system/node/\($0)/cpulist") ?? "?")" }
    return .ok("NUMA", lists.joined(separator: "; ") + "; give lcores the cores of their ports' node")
  }

  /// DPDK loads a driver per kind of port at run time; a missing one makes the port vanish without a word.
  private static func drivers() -> DoctorFinding {
    let wanted = ["af_packet", "null", "pcap", "ring", "mlx5", "i40e", "ice", "ixgbe"]
    let roots = Kernel.names(in: "/usr/lib").map { "/usr/lib/\($0)/dpdk" }.filter(Kernel.exists)
    let libraries = roots.flatMap { root in
      Kernel.names(in: root).filter { $0.hasPrefix("pmds-") }.flatMap { Kernel.names(in: "\(root)/\($0)") }
    }
    let present = wanted.filter { name in libraries.contains { $0.hasPrefix("librte_net_\(name).so") } }
    let fix = "sudo apt-get install dpdk"
    guard present.contains("af_packet") else {
      return .fail("DPDK drivers", "librte_net_af_packet is missing: no port on a kernel interface", fix: fix)
    }
    guard present.count == wanted.count else {
      let missing = wanted.filter { !present.contains($0) }
      return .warn("DPDK drivers", "missing: \(missing.joined(separator: " "))", fix: fix)
    }
    return .ok("DPDK drivers", present.joined(separator: " "))
  }
}
