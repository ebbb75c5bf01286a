import ArgumentParser

/// What the process says when it ends; scripts and the systemd unit rely on it.
enum ExitCodes: Int32, CaseIterable {
  case success = 0
  case failure = 1
  case cut = 2
  case usage = 64

  var meaning: String {
    switch self {
    case .success: "everything asked for was done"
    case .failure: "mistakes were found, a file was refused, or what was asked for did not work"
    case .cut: "the input file is cut: what was whole has been used"
    case .usage: "the command line is wrong"
    }
  }

  /// For the end of `--help`.
  static var help: String {
    "EXIT CODES\n"
      + allCases.map { "  \($0.rawValue)\($0.rawValue < 10 ? " " : "")  \($0.meaning)" }.joined(separator: "\n")
  }

  /// To be thrown, as ArgumentParser ends a command.
  var exit: ExitCode { ExitCode(rawValue) }
}
