import Foundation
import Glibc

extension DemoBench {
  /// One rotation: from the controller's PROMOTE until both gateways' lcores seal with the new generation.
  func rotate(
    _ controller: LabControllers.Controller, by controllers: LabControllers, gateways: [LabGateway]
  ) throws(LabError) -> DemoCheck {
    let name = "rotate \(controller.rootKey), \(controller.level)"
    let old = gateways.map { $0.generation(of: controller.rootKey) }
    let asked = try controllers.administer(["keys", "rotate", controller.rootKey, "--controller", controller.name])
    let start = Clock.seconds
    var new = old
    while asked.succeeded, Clock.seconds - start < 10 {
      new = gateways.map { $0.generation(of: controller.rootKey) }
      if zip(old, new).allSatisfy({ before, now in now.map { $0 > before ?? 0 } ?? false }) { break }
      usleep(2000)
    }
    let now = Date().timeIntervalSince1970 * 1000
    let moved = zip(old, new).count { before, now in now.map { $0 > before ?? 0 } ?? false }
    let late = LabControllers.promotion(by: controller).map { max(0, now - $0) }
    let numbers = [old.first, new.first].map { $0.flatMap { $0 }.map { "\($0)" } ?? "none" }
    narrator.say("\(name): generation \(numbers[0]) to \(numbers[1])")
    return DemoCheck(
      name, sent: "generation \(numbers[0]) to \(numbers[1])", arrived: "\(moved) of \(gateways.count) gateways",
      rate: late.map { "\(Figures.fixed($0, 0)) ms" } ?? "",
      passed: moved == gateways.count && old.allSatisfy { $0 != nil }, asked)
  }
}
