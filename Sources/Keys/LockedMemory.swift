internal import Glibc

/// Octets that hold keys: locked into RAM, left out of core dumps, zero in a forked child, zeroed before they are given
/// back.
@usableFromInline package struct LockedMemory: ~Copyable, @unchecked Sendable {
  /// Page aligned, zero at first.
  @usableFromInline package let base: UnsafeMutableRawPointer
  /// The size asked for, rounded up to whole pages.
  package let count: Int

  /// - Throws: when the kernel refuses the mapping or the lock; RLIMIT_MEMLOCK is the usual cause.
  package init(octets: Int) throws(LockedMemoryError) {
    let page = Self.pageSize
    guard octets > 0, octets <= Int.max - page else { throw LockedMemoryError(octets: octets, code: EINVAL) }
    let size = (octets + page - 1) / page * page
    guard let base = mmap(nil, size, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0), base != MAP_FAILED
    else { throw LockedMemoryError(octets: size, code: errno) }
    guard mlock(base, size) == 0, madvise(base, size, MADV_DONTDUMP) == 0, madvise(base, size, MADV_WIPEONFORK) == 0
    else {
      let code = errno
      munmap(base, size)
      throw LockedMemoryError(octets: size, code: code)
    }
    self.base = base
    count = size
  }

  deinit {
    eraseOctets(base, count: count)
    munmap(base, count)
  }

  package static var pageSize: Int { max(sysconf(Int32(_SC_PAGESIZE)), 4096) }

  /// The soft RLIMIT_MEMLOCK of this process in octets; nil when there is none.
  package static var limit: UInt64? {
    var limit = rlimit()
    guard getrlimit(__rlimit_resource_t(__RLIMIT_MEMLOCK.rawValue), &limit) == 0 else { return 0 }
    return limit.rlim_cur == rlim_t.max ? nil : UInt64(limit.rlim_cur)
  }
}

/// Key memory could not be locked.
package struct LockedMemoryError: Error, CustomStringConvertible, Equatable {
  /// What was asked for, in octets.
  package let octets: Int
  /// The system's error number.
  package let code: Int32

  package var description: String {
    let limit = LockedMemory.limit.map { "\($0) octets" } ?? "unlimited"
    let reason = String(cString: strerror(code))
    return "cannot lock \(octets) octets of key memory (\(reason)); RLIMIT_MEMLOCK is \(limit): "
      + "raise it with `ulimit -l` or LimitMEMLOCK= in the systemd unit, or make the key cache smaller"
  }
}

/// Zeroes octets in a way that the optimizer does not drop.
@usableFromInline package func eraseOctets(_ octets: UnsafeMutableRawPointer, count: Int) {
  explicit_bzero(octets, count)
}
