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

let package = Package(
  name: "perf",
  dependencies: [.package(path: "..")],
  targets: [
    .executableTarget(
      name: "keyweave-perf",
      dependencies: [.product(name: "KeyweaveModules", package: keyweave)], packageAccess: false,
      swiftSettings: [
        .enableUpcomingFeature("MemberImportVisibility"),
        .unsafeFlags(["-package-name", packageName]),
      ] + (ipsecMB ? [.define("IPSEC_MB")] : []))
  ]
)
