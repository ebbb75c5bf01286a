internal import Rotation

/// A request that is not done, with the HTTP status that says so.
struct Refusal: Error, Sendable {
  var status: Int
  var error: APIError

  init(_ status: Int, _ word: String, _ message: String, missing: [String]? = nil) {
    self.status = status
    error = APIError(error: word, message: message, missing: missing)
  }

  static func bad(_ message: String) -> Refusal { Refusal(400, "bad-request", message) }
  static func unknown(_ what: String, _ name: String) -> Refusal {
    Refusal(404, "unknown", "found no \(what) \(name)")
  }
}
