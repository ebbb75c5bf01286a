// swift-tools-version: 6.2
import PackageDescription

/// DPDK's headers need these flags; CDPDK's own public header does not include DPDK, so only that target carries them.
let dpdk: [CSetting] = [
  .unsafeFlags([
    "-I/usr/include/dpdk", "-I/usr/include/x86_64-linux-gnu/dpdk", "-I/usr/include/aarch64-linux-gnu/dpdk",
  ]),
  .unsafeFlags(["-march=corei7"], .when(platforms: [.linux])),
  .define("ALLOW_EXPERIMENTAL_API"),
]

let swift: [SwiftSetting] = [
  .enableExperimentalFeature("Lifetimes"),
  .enableUpcomingFeature("MemberImportVisibility"),
  .enableUpcomingFeature("InternalImportsByDefault"),
]

/// IPsec-MB exists for x86-64 only; KEYWEAVE_WITHOUT_IPSEC_MB=1 leaves it out there as well.
#if arch(x86_64)
  let ipsecMB = Context.environment["KEYWEAVE_WITHOUT_IPSEC_MB"] == nil
#else
  let ipsecMB = false
#endif

/// Settings of the modules that name an engine.
let engines: [SwiftSetting] = swift + (ipsecMB ? [.define("IPSEC_MB")] : [])

/// Functions are bound when the program starts: the resolver would save vector registers, with keys in them, on the stack.
let bindNow = LinkerSetting.unsafeFlags(["-Xlinker", "-z", "-Xlinker", "now"])

let package = Package(
  name: "keyweave",
  products: [
    .executable(name: "keyweave", targets: ["keyweave"]),
    // For Tests/Fuzz and perf, packages of their own beside this one.
    .library(name: "KeyweaveModules", targets: ["Control", "DataPlane", "Keys", "Wire"]),
  ],
  dependencies: [
    .package(url: "https://github.com/apple/swift-argument-parser", from: "1.8.2"),
    .package(url: "https://github.com/jpsim/Yams", from: "6.2.2"),
  ],
  targets: [
    .target(
      name: "CDPDK", path: "CShims/CDPDK", cSettings: dpdk,
      linkerSettings: [
        "rte_eal", "rte_ethdev", "rte_mbuf", "rte_mempool", "rte_ring", "rte_fib", "rte_rcu", "rte_ip_frag",
        "rte_hash", "rte_pcapng", "rte_net", "rte_net_ring", "rte_net_af_packet", "rte_bus_vdev",
      ].map { .linkedLibrary($0) } + [bindNow]),
    .target(name: "COpenSSL", path: "CShims/COpenSSL", linkerSettings: [.linkedLibrary("crypto")]),
    .target(name: "Wire", swiftSettings: swift + [.strictMemorySafety()]),
    .target(name: "Keys", dependencies: ["Wire"], swiftSettings: swift),
    .target(
      name: "DataPlane",
      dependencies: ["CDPDK", "COpenSSL", "Keys", "Wire"] + (ipsecMB ? ["CIPsecMB"] : []),
      exclude: ipsecMB ? [] : ["Engines/IPsecMBEngine.swift"], swiftSettings: engines),
    .target(
      name: "Control", dependencies: ["Keys", "Wire", .product(name: "Yams", package: "Yams")], swiftSettings: swift),
    .executableTarget(
      name: "keyweave",
      dependencies: [
        "Control", "DataPlane", "Keys", "Wire",
        .product(name: "ArgumentParser", package: "swift-argument-parser"),
      ], swiftSettings: swift),
    .target(name: "Support", dependencies: ["Keys", "Wire"], path: "Tests/Support", swiftSettings: swift),
    .testTarget(name: "WireTests", dependencies: ["Support", "Wire"], swiftSettings: swift),
    .testTarget(name: "KeysTests", dependencies: ["Keys", "Support", "Wire"], swiftSettings: swift),
    .testTarget(
      name: "DataPlaneTests", dependencies: ["DataPlane", "Keys", "Support", "Wire"], swiftSettings: engines),
    .testTarget(name: "ControlTests", dependencies: ["Control", "Keys", "Support", "Wire"], swiftSettings: swift),
    .testTarget(name: "InteropTests", dependencies: ["Support"], swiftSettings: swift),
  ]
    + (ipsecMB
      ? [.target(name: "CIPsecMB", path: "CShims/CIPsecMB", linkerSettings: [.linkedLibrary("IPSec_MB")])] : []),
  swiftLanguageModes: [.v6]
)
