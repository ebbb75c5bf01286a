/// One reason why key material is refused. Says where and what, never a key's octets.
package struct KeyProblem: Error, Equatable, Sendable, CustomStringConvertible {
  /// The place in the vocabulary of the keys file, such as `trust_groups[0].root_keys[1].next.index`.
  package let path: String
  /// What was found, what was expected.
  package let message: String

  package init(path: String, message: String) {
    self.path = path
    self.message = message
  }

  package var description: String { "\(path): \(message)" }
}

/// Everything that is wrong with the groups of one installation, which is refused as a whole.
package struct KeyProblems: Error, Equatable, Sendable, CustomStringConvertible {
  package let problems: [KeyProblem]

  package var description: String { problems.map(\.description).joined(separator: "\n") }
}
