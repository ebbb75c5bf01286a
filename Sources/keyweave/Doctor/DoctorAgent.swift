import Control
import Foundation
import Identity
import KeyAgent
import Vault

/// What a key agent needs: certificate, wrapping key, a place for its state.
enum DoctorAgent {
  static func findings(_ configuration: Configuration) -> [DoctorFinding] {
    guard let agent = configuration.keyAgent else { return [] }
    return [certificate(agent), wrappingKey(agent), state(agent)]
  }

  private static func certificate(_ agent: Configuration.KeyAgent) -> DoctorFinding {
    let subject = "certificate"
    do {
      let files = TLSFiles(certificate: agent.certificate, key: agent.key, authority: agent.authority)
      let material = try files.load()
      let days = Int(material.expires.timeIntervalSinceNow / 86400)
      let found = "\(material.identity.id), valid for \(days) more days"
      guard days >= 7 else {
        return .warn(
          subject, found, fix: "keyweave ca issue --id \(material.identity.id) ..., or your authority's command")
      }
      return .ok(subject, found)
    } catch {
      return .fail(subject, "\(error.place): \(error.found)", fix: error.fix)
    }
  }

  private static func wrappingKey(_ agent: Configuration.KeyAgent) -> DoctorFinding {
    let subject = "wrapping key"
    do {
      _ = try agent.wrappingKey.source.open()
      return .ok(subject, agent.wrappingKey.source.description)
    } catch {
      return .fail(subject, "\(error.place): \(error.found)", fix: error.fix)
    }
  }

  private static func state(_ agent: Configuration.KeyAgent) -> DoctorFinding {
    let subject = "sealed state"
    let directory = (agent.state as NSString).deletingLastPathComponent
    guard access(directory, W_OK) == 0 else {
      return .fail(
        subject, "\(directory) cannot be written (\(String(cString: strerror(errno))))",
        fix: "sudo mkdir -p \(directory)")
    }
    guard FileManager.default.fileExists(atPath: agent.state) else {
      return .ok(subject, "none yet: it is made at the first start")
    }
    do {
      _ = try SealedFile(path: agent.state, key: try agent.wrappingKey.source.open()).load()
      return .ok(subject, "\(agent.state) opens under its wrapping key")
    } catch {
      return .fail(subject, "\(error.place): \(error.found)", fix: error.fix)
    }
  }
}
