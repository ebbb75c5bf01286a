/// `POST /v1/lease`: a member's instance takes or renews its lease and swaps its token. The new token is the member's
/// choice and is in its sealed file before it is sent, so that a request whose answer was lost can be repeated; a token
/// that is shown again with another successor means two instances.
package struct LeaseRequest: Codable, Equatable, Sendable {
  /// The token of the last swap; nothing at the first start, or when the sealed file is lost.
  package var shown: String?
  /// 32 random octets in hex.
  package var next: String

  package init(shown: String?, next: String) {
    self.shown = shown
    self.next = next
  }
}

package struct LeaseGrant: Codable, Equatable, Sendable {
  /// Seconds until the lease ends; renew after a third.
  package var expiresIn: Int
  /// The member's state is older than what this controller remembers of it: its counter record may have been rolled
  /// back with it (wire format, section 4).
  package var rolledBack: Bool

  package init(expiresIn: Int, rolledBack: Bool) {
    self.expiresIn = expiresIn
    self.rolledBack = rolledBack
  }

  enum CodingKeys: String, CodingKey {
    case expiresIn = "expires_in"
    case rolledBack = "rolled_back"
  }
}
