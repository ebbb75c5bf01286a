internal import Keys
package import Wire

extension Configuration {
  /// What is passed on of a trust group's opened packets (wire format, section 3, after the tag).
  package struct GroupPolicy: Equatable, Sendable {
    package var name: String
    /// Prefixes in which a packet's source must lie, also one in an Ethernet frame; none: frames are not looked into.
    package var maySpeak: [IPPrefix]
    package var forms: Set<Mode>
    /// Packets that replay protection looks back; 0 is without.
    package var replayWindow: Int

    package enum Field: String, SectionField {
      case name
      case maySpeak = "may_speak"
      case forms
      case replayWindow = "replay_window"
    }
  }
}

extension Configuration.GroupPolicy {
  init?(_ section: Section<Field>) {
    let name = section.required(.name, .name)
    let maySpeak = section.list(.maySpeak, .network)
    let forms = section.list(.forms, Kind<Configuration.Mode>.choice)
    reportRepeats(maySpeak, section.findings, "prefix")
    reportRepeats(forms, section.findings, "form")
    let chosen: Set<Configuration.Mode> = section.has(.forms) ? Set(forms.map(\.value)) : [.tunnel]
    if section.has(.forms), section.count(.forms) == 0 {
      section.findings.mistake(
        section.path(.forms), found: "no form", expected: "at least one of tunnel, transport, ethernet",
        fix: "list the forms that this group sends, or leave the field out for tunnel")
    }
    if section.count(.maySpeak) == 0, !chosen.isDisjoint(with: [.tunnel, .transport]) {
      section.findings.mistake(
        section.path(.maySpeak), found: "no prefix", expected: "the prefixes that the group's packets may come from",
        fix: "add `may_speak: [10.0.0.0/8]`; without it everything received from the group would be dropped")
    }
    let window = section.value(.replayWindow, .replayWindow, default: Configuration.Defaults.replayWindow)
    guard let name else { return nil }
    self.init(name: name, maySpeak: maySpeak.map(\.value), forms: chosen, replayWindow: window)
  }
}

extension Kind where Value == Int {
  static var replayWindow: Kind {
    let sizes = ReplayShape.windows
    return Kind(
      expected: "0 (no replay protection) or a window of \(sizes.map(String.init).joined(separator: ", ")) packets",
      example: "1024"
    ) { text throws(Misread) in
      guard let value = Int(text), value == 0 || sizes.contains(value), text == "\(value)" else {
        let wider = Int(text).flatMap { wanted in sizes.first { wanted > 0 && $0 >= wanted } }
        throw Misread(text: wider.map { "write \($0), the next size" })
      }
      return value
    }
  }
}
