import ArgumentParser
import Foundation
import Glibc

/// What the demo can show, by name.
enum DemoScenarioName: String, CaseIterable, ExpressibleByArgument {
  case basic, pool, proxy, client
}

/// One scenario: a lab, what happens in it, and what is reported of it.
protocol DemoScenario {
  /// The topology, as the demo draws it.
  static var drawing: String { get }
  /// What making the lab is called.
  static var making: String { get }

  init(_ options: Demo, _ narrator: Narrator) throws(LabError)
  /// Plays everything and adds its runs to the report.
  mutating func play(_ report: inout DemoReport) throws(LabError)
  /// Starts again what `play` stopped, for `--keep`; gives commands to try inside.
  mutating func stayUp() throws(LabError) -> [String]
}

extension DemoScenarioName {
  private var scenario: any DemoScenario.Type {
    switch self {
    case .basic: BasicScenario.self
    case .pool: PoolScenario.self
    case .proxy: ProxyScenario.self
    case .client: ClientScenario.self
    }
  }

  /// Runs the scenario inside the sandbox, as the options ask for it; true when everything passed.
  func perform(_ options: Demo, door: Int32) throws(LabError) -> Bool {
    // Programs of the lab have no use for it.
    _ = fcntl(door, F_SETFD, FD_CLOEXEC)
    let paint = Paint(enabled: !options.json && isatty(STDOUT_FILENO) == 1 && getenv("NO_COLOR") == nil)
    let narrator = Narrator(toErrors: options.json, paint: paint)
    if !options.json { narrator.plain("\n\(scenario.drawing)\n") }
    narrator.say(scenario.making)
    var scenario = try scenario.init(options, narrator)

    var report = DemoReport(scenario: rawValue)
    try scenario.play(&report)
    report.seconds = narrator.elapsed
    report.verdict = report.passed ? "PASS" : "FAIL"
    if options.json {
      FileHandle.standardOutput.write(Data((try Self.json(report) + "\n").utf8))
    } else {
      narrator.plain(report.lines(paint).joined(separator: "\n"))
    }
    guard options.keep else { return report.passed }
    let examples = try scenario.stayUp()
    narrator.plain(Self.invitation(pid: Sandbox.outerPID(door: door), examples))
    while true { pause() }
  }

  private static func json(_ report: DemoReport) throws(LabError) -> String {
    let encoder = JSONEncoder()
    encoder.outputFormatting = [.prettyPrinted, .sortedKeys, .withoutEscapingSlashes]
    do {
      return String(decoding: try encoder.encode(report), as: UTF8.self)
    } catch { throw .failed("the report cannot be encoded: \(error)") }
  }

  private static func invitation(pid: Int32, _ examples: [String]) -> String {
    let enter =
      getuid() == 0 && Sandbox.isMapped
      ? "nsenter -t \(pid) -U --preserve-credentials -m -n -p" : "nsenter -t \(pid) -m -n -p"
    return """

      The lab stays up until Ctrl-C. To enter it from another terminal:

        \(enter)

      and inside, for example:

      \(examples.map { "  \($0)" }.joined(separator: "\n"))

      """
  }
}

/// Says what is being done now, with the time since the start.
struct Narrator {
  private let start = Clock.seconds
  private let toErrors: Bool
  private let paint: Paint

  init(toErrors: Bool, paint: Paint) {
    self.toErrors = toErrors
    self.paint = paint
  }

  var elapsed: Double { Clock.seconds - start }

  func say(_ text: String) {
    let time = Figures.fixed(elapsed, 1)
    plain("\(paint.faint(String(repeating: " ", count: max(0, 6 - time.count)) + time + " s"))  \(text)")
  }

  func plain(_ text: String) {
    let handle = toErrors ? FileHandle.standardError : FileHandle.standardOutput
    handle.write(Data((text + "\n").utf8))
  }
}
