/// What is wrong with a certificate, its key, or an authority.
package struct IdentityError: Error, Equatable, Sendable, CustomStringConvertible {
  /// A file, or whose certificate.
  package let place: String
  package let found: String
  package let expected: String
  package let fix: String

  package init(_ place: String, found: String, expected: String, fix: String) {
    self.place = place
    self.found = found
    self.expected = expected
    self.fix = fix
  }

  package var description: String { "\(place): found \(found), expected \(expected); \(fix)" }
}
