import Foundation

/// `fuzz list` names the targets, `fuzz seed TARGET FOLDER` writes the inputs a target starts from (from the root of the
/// clone, where the vectors are), `fuzz run TARGET ARGUMENTS...` hands the rest to libFuzzer.
let arguments = CommandLine.arguments
switch (arguments.dropFirst().first, arguments.count) {
case ("list", 2):
  for target in Target.all { print(target.name) }
case ("seed", 4):
  let folder = URL(fileURLWithPath: arguments[3])
  for (number, seed) in try target(named: arguments[2]).seeds(try Seeds()).enumerated() {
    try Data(seed).write(to: folder.appendingPathComponent("seed-\(number)"))
  }
case ("run", 3...):
  exit(drive(try target(named: arguments[2]), arguments: [arguments[0]] + arguments.dropFirst(3)))
default:
  print("usage: fuzz list | fuzz seed TARGET FOLDER | fuzz run TARGET LIBFUZZER-ARGUMENTS...")
  exit(64)
}

func target(named name: String) throws -> Target {
  guard let target = Target.all.first(where: { $0.name == name }) else {
    print("no target \(name); there are \(Target.all.map(\.name).joined(separator: ", "))")
    exit(64)
  }
  return target
}
