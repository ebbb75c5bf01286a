// DPDK's packet socket driver joins a fan-out group that has the kernel put IPv4 fragments together first. What comes out is
// larger than a ring's frame and arrives cut. The flag cannot be taken back from a socket, and the driver has no option for
// it: so the driver's call is intercepted, and goes on without the flag. All other calls pass as they are.
#include <linux/if_packet.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <unistd.h>

int setsockopt(int socket, int level, int option, const void *value, socklen_t length) {
  unsigned fanout;
  if (level == SOL_PACKET && option == PACKET_FANOUT && length == sizeof fanout) {
    memcpy(&fanout, value, sizeof fanout);
    fanout &= ~((unsigned)PACKET_FANOUT_FLAG_DEFRAG << 16);
    value = &fanout;
  }
  return (int)syscall(SYS_setsockopt, socket, level, option, value, length);
}
