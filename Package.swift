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

/// KEYWEAVE_WITHOUT_SERVICES=1 leaves out what needs SwiftNIO, and the executable: for the sanitizer's build, which would
/// take three times as long.
let services: Set = [
  "Controller", "ControllerTests", "Identity", "IdentityTests", "InteropTests", "KeyAgent", "KeyAgentTests",
  "TestAuthority",
  "keyweave",
]
let hasServices = Context.environment["KEYWEAVE_WITHOUT_SERVICES"] == nil

/// KEYWEAVE_FLOOR=1 is perf's own: a data plane that can also run without a cipher, to show what the cipher costs.
let floor = ipsecMB && Context.environment["KEYWEAVE_FLOOR"] != nil

/// Settings of the modules that name an engine.
let engines: [SwiftSetting] = swift + (ipsecMB ? [.define("IPSEC_MB")] : [])

/// Functions are bound when the program starts: the resolver would save vector registers, with keys in them, on the stack.
let bindNow = LinkerSetting.unsafeFlags(["-Xlinker", "-z", "-Xlinker", "now"])

let package = Package(
  name: "keyweave",
  products: [
    // For Tests/Fuzz and perf, packages of their own beside this one.
    .library(name: "KeyweaveModules", targets: ["Control", "DataPlane", "Keys", "Wire"]),
    .library(name: "KeyweaveDataPlane", targets: ["DataPlane", "Keys", "Wire"]),
  ] + (hasServices ? [.executable(name: "keyweave", targets: ["keyweave"])] : []),
  dependencies: [
    .package(url: "https://github.com/apple/swift-argument-parser", from: "1.8.2"),
    .package(url: "https://github.com/jpsim/Yams", from: "6.2.2"),
    .package(url: "https://github.com/apple/swift-nio", from: "2.101.2"),
    .package(url: "https://github.com/apple/swift-nio-ssl", from: "2.37.6"),
    .package(url: "https://github.com/apple/swift-crypto", from: "4.5.2"),
    .package(url: "https://github.com/apple/swift-certificates", from: "1.21.1"),
    .package(url: "https://github.com/apple/swift-asn1.git", from: "1.7.1"),
    .package(url: "https://github.com/apple/swift-log", from: "1.16.2"),
    .package(url: "https://github.com/hummingbird-project/hummingbird", from: "2.28.1"),
    .package(url: "https://github.com/swift-server/async-http-client", from: "1.37.0"),
    .package(url: "https://github.com/groue/GRDB.swift", from: "7.10.0"),
  ],
  targets: ([
    .target(
      name: "CDPDK", path: "CShims/CDPDK", cSettings: dpdk,
      linkerSettings: [
        "rte_eal", "rte_ethdev", "rte_mbuf", "rte_mempool", "rte_ring", "rte_fib", "rte_rcu", "rte_ip_frag",
        "rte_hash", "rte_pcapng", "rte_net", "rte_net_ring", "rte_net_af_packet", "rte_bus_vdev",
      ].map { .linkedLibrary($0) } + [bindNow]),
    .target(name: "CLinux", path: "CShims/CLinux"),
    .target(name: "COpenSSL", path: "CShims/COpenSSL", linkerSettings: [.linkedLibrary("crypto")]),
    .target(name: "Wire", swiftSettings: swift + [.strictMemorySafety()]),
    .target(name: "Keys", dependencies: ["Wire"], swiftSettings: swift),
    .target(
      name: "DataPlane",
      dependencies: ["CDPDK", "COpenSSL", "Keys", "Wire"] + (ipsecMB ? ["CIPsecMB"] : []),
      exclude: (ipsecMB ? [] : ["Engines/IPsecMB"]) + (floor ? [] : ["Engines/FloorEngine.swift"]),
      swiftSettings: engines + (floor ? [.define("FLOOR")] : [])),
    .target(
      name: "Control", dependencies: ["Keys", "Wire", .product(name: "Yams", package: "Yams")], swiftSettings: swift),
    .target(name: "Rotation", swiftSettings: swift),
    .systemLibrary(name: "CPKCS11", path: "CShims/CPKCS11", pkgConfig: "p11-kit-1"),
    .target(
      name: "Vault",
      dependencies: ["COpenSSL", "CPKCS11", "Keys", "Rotation", .product(name: "Crypto", package: "swift-crypto")],
      swiftSettings: swift),
    .target(
      name: "Identity",
      dependencies: [
        .product(name: "Crypto", package: "swift-crypto"),
        .product(name: "NIOCore", package: "swift-nio"),
        .product(name: "NIOSSL", package: "swift-nio-ssl"),
        .product(name: "SwiftASN1", package: "swift-asn1"),
        .product(name: "X509", package: "swift-certificates"),
      ], swiftSettings: swift),
    .target(
      name: "Controller",
      dependencies: [
        "Identity", "Keys", "Rotation", "Vault",
        .product(name: "AsyncHTTPClient", package: "async-http-client"),
        .product(name: "Crypto", package: "swift-crypto"),
        .product(name: "GRDB", package: "GRDB.swift"),
        .product(name: "Hummingbird", package: "hummingbird"),
        .product(name: "HummingbirdTLS", package: "hummingbird"),
        .product(name: "Logging", package: "swift-log"),
        .product(name: "NIOCore", package: "swift-nio"),
        .product(name: "NIOHTTP1", package: "swift-nio"),
        .product(name: "NIOSSL", package: "swift-nio-ssl"),
      ], swiftSettings: swift),
    .target(
      name: "KeyAgent",
      dependencies: [
        "Identity", "Keys", "Rotation", "Vault", "Wire",
        .product(name: "AsyncHTTPClient", package: "async-http-client"),
        .product(name: "Crypto", package: "swift-crypto"),
        .product(name: "Hummingbird", package: "hummingbird"),
        .product(name: "HummingbirdTLS", package: "hummingbird"),
        .product(name: "Logging", package: "swift-log"),
        .product(name: "NIOCore", package: "swift-nio"),
        .product(name: "NIOHTTP1", package: "swift-nio"),
      ], swiftSettings: swift),
    .executableTarget(
      name: "keyweave",
      dependencies: [
        "CLinux", "Control", "Controller", "DataPlane", "Identity", "KeyAgent", "Keys", "Rotation", "Vault", "Wire",
        .product(name: "ArgumentParser", package: "swift-argument-parser"),
      ], swiftSettings: swift),
    .target(name: "Support", dependencies: ["Keys", "Wire"], path: "Tests/Support", swiftSettings: swift),
    .target(name: "TestAuthority", dependencies: ["Identity"], path: "Tests/TestAuthority", swiftSettings: swift),
    .testTarget(name: "WireTests", dependencies: ["Support", "Wire"], swiftSettings: swift),
    .testTarget(name: "KeysTests", dependencies: ["Keys", "Support", "Wire"], swiftSettings: swift),
    .testTarget(
      name: "DataPlaneTests", dependencies: ["DataPlane", "Keys", "Support", "Wire"], swiftSettings: engines),
    .testTarget(name: "ControlTests", dependencies: ["Control", "Keys", "Support", "Wire"], swiftSettings: swift),
    .testTarget(name: "RotationTests", dependencies: ["Rotation", "Support"], swiftSettings: swift),
    .testTarget(
      name: "VaultTests", dependencies: ["COpenSSL", "Keys", "Rotation", "Support", "Vault"], swiftSettings: swift),
    .testTarget(
      name: "IdentityTests",
      dependencies: [
        "Identity", "Support", "TestAuthority",
        .product(name: "AsyncHTTPClient", package: "async-http-client"),
        .product(name: "Hummingbird", package: "hummingbird"),
        .product(name: "HummingbirdTLS", package: "hummingbird"),
        .product(name: "Logging", package: "swift-log"),
        .product(name: "NIOCore", package: "swift-nio"),
        .product(name: "NIOSSL", package: "swift-nio-ssl"),
      ], swiftSettings: swift),
    .testTarget(
      name: "ControllerTests",
      dependencies: [
        "Controller", "Identity", "Keys", "Rotation", "Support", "Vault",
        .product(name: "AsyncHTTPClient", package: "async-http-client"),
      ], swiftSettings: swift),
    .testTarget(
      name: "KeyAgentTests",
      dependencies: [
        "Controller", "Identity", "KeyAgent", "Keys", "Rotation", "Support", "TestAuthority", "Vault", "Wire",
        .product(name: "NIOCore", package: "swift-nio"),
        .product(name: "NIOPosix", package: "swift-nio"),
        .product(name: "NIOSSL", package: "swift-nio-ssl"),
      ],
      swiftSettings: swift),
    .testTarget(name: "InteropTests", dependencies: ["Support"], swiftSettings: swift),
  ]
    + (ipsecMB
      ? [.target(name: "CIPsecMB", path: "CShims/CIPsecMB", linkerSettings: [.linkedLibrary("IPSec_MB")])] : []))
    .filter { hasServices || !services.contains($0.name) },
  swiftLanguageModes: [.v6]
)
