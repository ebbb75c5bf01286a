// DPDK's packet socket driver joins a fan-out group that has the kernel put IPv4 fragments together first. What comes out is
// larger than a ring's frame and arrives cut. The flag cannot be taken back from a socket, and the driver has no option for
// it: so the driver's call is intercepted, and goes on without the flag. All other calls pass as they are.
//
// The driver makes a socket for every frame and binds it to its interface only after it has made its rings: until then it
// takes what comes in at all interfaces, and a host's frame would count as one that came from the network. So its sockets
// begin without a protocol, for no frame; its bind names the protocol again.
//
// Nor does the driver tell what the kernel dropped because a ring was full. Its receiving sockets are noted here as it
// makes their rings, so that they can be asked.
#include "CDPDK.h"
#include <arpa/inet.h>
#include <errno.h>
#include <linux/if_ether.h>
#include <linux/if_packet.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <unistd.h>

// Ports are opened one after the other, by one thread; a port has a socket per queue.
static int made[64];
static int made_count;

int socket(int family, int type, int protocol) {
  return (int)syscall(SYS_socket, family, type, family == AF_PACKET && protocol == htons(ETH_P_ALL) ? 0 : protocol);
}

int setsockopt(int socket, int level, int option, const void *value, socklen_t length) {
  unsigned fanout;
  if (level == SOL_PACKET && option == PACKET_FANOUT && length == sizeof fanout) {
    memcpy(&fanout, value, sizeof fanout);
    fanout &= ~((unsigned)PACKET_FANOUT_FLAG_DEFRAG << 16);
    value = &fanout;
  }
  int result = (int)syscall(SYS_setsockopt, socket, level, option, value, length);
  if (result == 0 && level == SOL_PACKET && option == PACKET_RX_RING && made_count < (int)(sizeof made / sizeof *made))
    made[made_count++] = socket;
  return result;
}

int dpdk_af_packet_take_sockets(int *sockets, int room) {
  int count = made_count < room ? made_count : room;
  memcpy(sockets, made, (size_t)count * sizeof *sockets);
  made_count = 0;
  return count;
}

uint64_t dpdk_af_packet_drops(int socket) {
  struct tpacket_stats stats;
  socklen_t length = sizeof stats;
  int before = errno;
  bool known = getsockopt(socket, SOL_PACKET, PACKET_STATISTICS, &stats, &length) == 0;
  errno = before;
  return known ? stats.tp_drops : 0;
}
