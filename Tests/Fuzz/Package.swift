// swift-tools-version: 6.2
import Foundation
import PackageDescription

/// `package` declarations are visible within one package name, which SwiftPM takes from the folder of the clone.
let keyweave = URL(fileURLWithPath: Context.packageDirectory).deletingLastPathComponent().deletingLastPathComponent()
  .lastPathComponent.lowercased()
let packageName = String(keyweave.map { $0.isASCII && ($0.isLetter || $0.isNumber) ? $0 : "_" })

let package = Package(
  name: "fuzz",
  dependencies: [.package(path: "../..")],
  targets: [
    .target(name: "CLibFuzzer", path: "CLibFuzzer"),
    .executableTarget(
      name: "fuzz",
      dependencies: ["CLibFuzzer", .product(name: "KeyweaveModules", package: keyweave)], packageAccess: false,
      swiftSettings: [
        .enableUpcomingFeature("InternalImportsByDefault"), .enableUpcomingFeature("MemberImportVisibility"),
        .unsafeFlags(["-package-name", packageName]),
      ]),
  ]
)
