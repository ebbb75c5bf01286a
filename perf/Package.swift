// swift-tools-version: 6.2
import Foundation
import PackageDescription

/// `package` declarations are visible within one package name, which SwiftPM takes from the folder of the clone.
let keyweave = URL(fileURLWithPath: Context.packageDirectory).deletingLastPathComponent().lastPathComponent.lowercased()
let packageName = String(keyweave.map { $0.isASCII && ($0.isLetter || $0.isNumber) ? $0 : "_" })

/// As in the root's manifest.
#if arch(x86_64)
  let ipsecMB = Context.environment["KEYWEAVE_WITHOUT_IPSEC_MB"] == nil
#else
  let ipsecMB = false
#endif
/// The loop without a cipher is in the build that `make perf` makes.
let floor = ipsecMB && Context.environment["KEYWEAVE_FLOOR"] != nil

let package = Package(
  name: "perf",
  dependencies: [.package(path: "..")],
  targets: [
    .target(
      name: "CPerf", path: "CPerf",
      cSettings: [
        .unsafeFlags([
          "-I/usr/include/dpdk", "-I/usr/include/x86_64-linux-gnu/dpdk", "-I/usr/include/aarch64-linux-gnu/dpdk",
        ]),
        .unsafeFlags(["-march=corei7"], .when(platforms: [.linux])),
        .define("ALLOW_EXPERIMENTAL_API"),
      ], linkerSettings: ["rte_eal", "rte_ethdev", "rte_mbuf", "rte_mempool", "crypto"].map { .linkedLibrary($0) }),
    .executableTarget(
      name: "keyweave-perf",
      dependencies: ["CPerf", .product(name: "KeyweaveDataPlane", package: keyweave)], packageAccess: false,
      swiftSettings: [
        .enableUpcomingFeature("MemberImportVisibility"),
        .unsafeFlags(["-package-name", packageName]),
      ] + (ipsecMB ? [.define("IPSEC_MB")] : []) + (floor ? [.define("FLOOR")] : [])),
  ]
)
