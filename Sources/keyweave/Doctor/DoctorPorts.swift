import Control
import Foundation

/// The ports of a configuration, compared with the machine's interfaces.
struct DoctorPorts {
  private let configuration: Configuration

  init(_ configuration: Configuration) {
    self.configuration = configuration
  }

  /// How many ports are kernel interfaces, which need packet sockets and their rings.
  var interfaces: Int { configuration.ports.count { $0.interface != nil } }

  func findings() -> [DoctorFinding] {
    var findings = configuration.ports.flatMap { port -> [DoctorFinding] in
      switch port.device {
      case .interface(let interface): port.interfaceFindings(interface)
      case .pci(let address): [port.pciFinding(address)]
      case .vdev(let text): [.ok("port \(port.name)", "virtual device \(text)")]
      }
    }
    if configuration.lcores.isDedicated { findings += coreFindings(configuration.lcores.cores) }
    return findings
  }

  private func coreFindings(_ cores: [UInt16]) -> [DoctorFinding] {
    let isolated = Kernel.text("/sys/devices/system/cpu/isolated") ?? ""
    let list = cores.map(String.init).joined(separator: ",")
    var findings: [DoctorFinding] = []
    if isolated.isEmpty {
      findings.append(
        .warn(
          "dedicated cores", "the kernel schedules other work on cores \(list)",
          fix: "add isolcpus=\(list) nohz_full=\(list) rcu_nocbs=\(list) to the kernel's command line"))
    } else {
      findings.append(.ok("dedicated cores", "isolated: \(isolated)"))
    }
    let slow = cores.filter { core in
      let governor = Kernel.text("/sys/devices/system/cpu/cpu\(core)/cpufreq/scaling_governor")
      return governor != nil && governor != "performance"
    }
    if !slow.isEmpty {
      findings.append(
        .warn(
          "CPU governor", "cores \(slow) change their clock rate", fix: "sudo cpupower frequency-set -g performance"))
    }
    // The eighth number of /proc/stat's first line: time that the hypervisor gave to others.
    let words = (Kernel.text("/proc/stat") ?? "").split(separator: "\n").first?.split(separator: " ").dropFirst() ?? []
    let times = words.compactMap { Double($0) }
    let all = times.reduce(0, +)
    if times.count > 7, all > 0, times[7] / all > 0.01 {
      findings.append(
        .warn(
          "steal", "the hypervisor took \(Figures.fixed(times[7] / all * 100, 1)) % of the CPU time since boot",
          fix: "pin the virtual machine's CPUs on its host"))
    }
    return findings
  }
}

extension Configuration.Port {
  fileprivate var interface: String? {
    if case .interface(let name) = device { name } else { nil }
  }

  /// Link, MTU, offloads and addresses of a kernel interface.
  fileprivate func interfaceFindings(_ interface: String) -> [DoctorFinding] {
    let subject = "port \(name)"
    let base = "/sys/class/net/\(interface)"
    guard Kernel.exists(base) else {
      let all = Kernel.names(in: "/sys/class/net").joined(separator: ", ")
      return [
        .fail(
          subject, "no interface \(interface) here; there are: \(all)", fix: "set the port's `device` to one of them")
      ]
    }
    var findings: [DoctorFinding] = []
    let flags = Int((Kernel.text("\(base)/flags") ?? "").dropFirst(2), radix: 16) ?? 0
    if flags & 1 == 0 {
      findings.append(.fail(subject, "\(interface) is down", fix: "sudo ip link set \(interface) up"))
    }
    let mtuHere = Kernel.number("\(base)/mtu") ?? 0
    if mtuHere < Int(mtu) {
      findings.append(
        .fail(
          subject, "\(interface) has MTU \(mtuHere), the configuration says \(mtu)",
          fix: "sudo ip link set \(interface) mtu \(mtu)"))
    }
    let features = Self.features(of: interface)
    let merging = ["generic-receive-offload", "large-receive-offload"].filter { features[$0] == "on" }
    if !merging.isEmpty {
      findings.append(
        .fail(
          subject, "\(interface) merges received packets into larger ones (\(merging.joined(separator: ", ")))",
          fix: "sudo ethtool -K \(interface) gro off lro off"))
    }
    if Self.driver(of: interface) == "veth" {
      findings.append(
        .warn(
          subject, "\(interface) is one end of a veth pair: packets from its other end may have unfinished checksums",
          fix: "at the other end: sudo ethtool -K PEER tx off tso off gso off"))
    }
    if vlan != nil, features["rx-vlan-offload"] == "on" {
      findings.append(
        .warn(
          subject, "\(interface) takes VLAN tags off received frames",
          fix: "sudo ethtool -K \(interface) rxvlan off txvlan off"
        ))
    }
    let addresses = Self.addresses(of: interface)
    if !addresses.isEmpty {
      findings.append(
        .warn(
          subject,
          "the kernel has addresses on \(interface) (\(addresses.joined(separator: ", "))) and answers for itself",
          fix: "sudo ip address flush dev \(interface); sudo sysctl -w net.ipv6.conf.\(interface).disable_ipv6=1"))
    }
    if findings.isEmpty { findings.append(.ok(subject, "\(interface): up, MTU \(mtuHere), nothing in the way")) }
    return findings
  }

  /// Bound to a driver through which DPDK reaches it.
  fileprivate func pciFinding(_ address: String) -> DoctorFinding {
    let subject = "port \(name)"
    let base = "/sys/bus/pci/devices/\(address)"
    guard Kernel.exists(base) else {
      return .fail(subject, "no PCI device \(address)", fix: "list them with: lspci -D | grep -i ethernet")
    }
    let driver = (try? FileManager.default.destinationOfSymbolicLink(atPath: "\(base)/driver"))?
      .split(separator: "/").last.map(String.init)
    // Mellanox devices stay with their kernel driver; DPDK drives them beside it.
    let fitting: Set = ["vfio-pci", "uio_pci_generic", "igb_uio", "mlx5_core", "mlx4_core"]
    guard let driver, fitting.contains(driver) else {
      return .fail(
        subject, "\(address) is bound to \(driver ?? "no driver"), DPDK needs vfio-pci",
        fix: "sudo modprobe vfio-pci; sudo dpdk-devbind.py --bind=vfio-pci \(address)")
    }
    if driver == "vfio-pci", Kernel.names(in: "/sys/kernel/iommu_groups").isEmpty {
      return .fail(
        subject, "\(address) is bound to vfio-pci, but there is no IOMMU",
        fix: "add intel_iommu=on (or amd_iommu=on) to the kernel's command line")
    }
    let node = Kernel.text("\(base)/numa_node") ?? "-1"
    return .ok(subject, "\(address): \(driver), NUMA node \(node == "-1" ? "0" : node)")
  }

  /// `ethtool -k`: feature names and "on" or "off".
  private static func features(of interface: String) -> [String: String] {
    var features: [String: String] = [:]
    for line in output(["ethtool", "-k", interface]).split(separator: "\n") {
      let parts = line.split(separator: ":", maxSplits: 1)
      guard parts.count == 2, let state = parts[1].split(separator: " ").first else { continue }
      features[parts[0].trimmingCharacters(in: .whitespaces)] = String(state)
    }
    return features
  }

  private static func driver(of interface: String) -> String? {
    output(["ethtool", "-i", interface]).split(separator: "\n").first { $0.hasPrefix("driver:") }?
      .split(separator: " ").last.map(String.init)
  }

  private static func addresses(of interface: String) -> [String] {
    output(["ip", "-o", "address", "show", "dev", interface]).split(separator: "\n").compactMap { line in
      let words = line.split(separator: " ")
      guard let place = words.firstIndex(where: { $0 == "inet" || $0 == "inet6" }), place + 1 < words.count else {
        return nil
      }
      return String(words[place + 1])
    }
  }

  private static func output(_ command: [String]) -> String {
    let log = NSTemporaryDirectory() + "keyweave-doctor-\(UInt64.random(in: 0...UInt64.max))"
    defer { [".out", ".err"].forEach { try? FileManager.default.removeItem(atPath: log + $0) } }
    return (try? Child.run(command, log: log, deadline: 5))?.output ?? ""
  }
}
