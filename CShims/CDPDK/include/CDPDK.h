// The door to DPDK. Every function is named after the rte_ function it wraps. No DPDK header is included here, so that
// only this target needs DPDK's compiler flags; the mbuf is mirrored, and CDPDK.c asserts each mirrored offset.
#pragma once
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/// Mirror of struct rte_mbuf (which is 64-aligned, and therefore not importable into Swift), followed by our private area.
typedef struct dpdk_mbuf {
  uint8_t *buf_addr;
  uint64_t buf_iova;
  uint16_t data_off;
  uint16_t refcnt;
  uint16_t nb_segs;
  uint16_t port;
  uint64_t ol_flags;
  uint32_t packet_type;
  uint32_t pkt_len;
  uint16_t data_len;
  uint16_t vlan_tci;
  uint32_t hash[2];
  uint16_t vlan_tci_outer;
  uint16_t buf_len;
  void *pool;
  struct dpdk_mbuf *next;
  uint64_t tx_offload;
  void *shinfo;
  uint16_t priv_size;
  uint16_t timesync;
  uint32_t dynfield[9];
} dpdk_mbuf;

/// What an lcore tells the slow path of a packet that it hands over, in the mbuf's private area.
typedef struct dpdk_mbuf_private {
  uint64_t next_hop_high, next_hop_low;
  uint16_t port, mtu, l3_offset;
  uint8_t intent, flags;
  uint64_t reserved;
} dpdk_mbuf_private;

static inline dpdk_mbuf_private *dpdk_mbuf_to_priv(dpdk_mbuf *m) { return (dpdk_mbuf_private *)(m + 1); }
static inline uint8_t *dpdk_pktmbuf_mtod(const dpdk_mbuf *m) { return m->buf_addr + m->data_off; }
static inline uint16_t dpdk_pktmbuf_headroom(const dpdk_mbuf *m) { return m->data_off; }
static inline uint16_t dpdk_pktmbuf_tailroom(const dpdk_mbuf *m) {
  return (uint16_t)(m->buf_len - m->data_off - m->data_len);
}
/// Sets where a single-segment packet starts in its buffer and how long it is. The caller has checked both.
static inline void dpdk_pktmbuf_set(dpdk_mbuf *m, uint16_t data_off, uint16_t length) {
  m->data_off = data_off;
  m->data_len = length;
  m->pkt_len = length;
}

static inline uint64_t dpdk_rdtsc(void) {
#if defined(__x86_64__)
  uint32_t low, high;
  __asm__ volatile("rdtsc" : "=a"(low), "=d"(high));
  return (uint64_t)high << 32 | low;
#else
  uint64_t count;
  __asm__ volatile("mrs %0, cntvct_el0" : "=r"(count));
  return count;
#endif
}

// Words that one thread writes and others read: plain moves on x86-64 and Arm, and data races for no one.
static inline uint64_t dpdk_load_relaxed(const uint64_t *p) { return __atomic_load_n(p, __ATOMIC_RELAXED); }
static inline uint64_t dpdk_load_acquire(const uint64_t *p) { return __atomic_load_n(p, __ATOMIC_ACQUIRE); }
static inline void dpdk_store_release(uint64_t *p, uint64_t v) { __atomic_store_n(p, v, __ATOMIC_RELEASE); }
/// For a counter with one writer: no locked instruction.
static inline void dpdk_add(uint64_t *p, uint64_t n) {
  __atomic_store_n(p, __atomic_load_n(p, __ATOMIC_RELAXED) + n, __ATOMIC_RELAXED);
}
static inline void *dpdk_load_pointer(void *const *p) { return __atomic_load_n(p, __ATOMIC_ACQUIRE); }
static inline void dpdk_store_pointer(void **p, void *v) { __atomic_store_n(p, v, __ATOMIC_RELEASE); }

// EAL
int dpdk_eal_init(int argc, char **argv);
void dpdk_eal_cleanup(void);
const char *dpdk_last_error(void);
uint64_t dpdk_get_tsc_hz(void);
int dpdk_eal_remote_launch(int (*function)(void *), void *argument, unsigned lcore);
int dpdk_eal_wait_lcore(unsigned lcore);
int dpdk_socket_id(void);
/// Glibc's own function is not in Swift's module. 15 octets of the name count.
void dpdk_thread_setname(unsigned long thread, const char *name);
/// Sleeps; the calling thread gives its processor away.
void dpdk_pause_us(unsigned microseconds);

// Memory pools
void *dpdk_pktmbuf_pool_create(const char *name, unsigned count, unsigned cache, uint16_t data_room);
void dpdk_mempool_free(void *pool);
unsigned dpdk_mempool_avail_count(const void *pool);
dpdk_mbuf *dpdk_pktmbuf_alloc(void *pool);
void dpdk_pktmbuf_free(dpdk_mbuf *m);
void dpdk_pktmbuf_free_bulk(dpdk_mbuf **mbufs, unsigned count);
/// Copies a chain into one new segment; null where the pool is empty or its buffers are too small.
dpdk_mbuf *dpdk_pktmbuf_copy(const dpdk_mbuf *m, void *pool);

// Ports
typedef struct dpdk_port_info {
  uint8_t mac[6];
  uint16_t mtu, max_mtu, min_mtu, max_rx_queues, max_tx_queues;
  uint64_t rss;
  int socket;
  bool link_up;
  uint32_t link_mbps;
  char driver[32];
} dpdk_port_info;
typedef struct dpdk_port_stats {
  uint64_t ipackets, opackets, ibytes, obytes, imissed, ierrors, oerrors, rx_nombuf;
} dpdk_port_stats;
/// Makes a virtual device and gives its port number; negative on failure (dpdk_last_error).
int dpdk_vdev_init(const char *name, const char *arguments);
int dpdk_vdev_uninit(const char *name);
int dpdk_eth_dev_get_port_by_name(const char *name);
/// Configures `queues` receive and transmit queues with RSS where the device has it. An mtu of 0 leaves the device's own, as
/// virtual devices want it. 0, or a negative errno.
int dpdk_eth_dev_configure(uint16_t port, uint16_t queues, uint16_t descriptors, uint16_t mtu, void *pool);
int dpdk_eth_dev_start(uint16_t port, bool promiscuous);
int dpdk_eth_dev_stop(uint16_t port);
int dpdk_eth_dev_close(uint16_t port);
int dpdk_eth_dev_info_get(uint16_t port, dpdk_port_info *info);
int dpdk_eth_stats_get(uint16_t port, dpdk_port_stats *stats);

/// The receiving packet sockets that were made since the last call, at most room; returns how many.
int dpdk_af_packet_take_sockets(int *sockets, int room);
/// Packets that found a socket's ring full since the last call; 0 for what is no packet socket.
uint64_t dpdk_af_packet_drops(int socket);
uint16_t dpdk_eth_rx_burst(uint16_t port, uint16_t queue, dpdk_mbuf **mbufs, uint16_t count);
uint16_t dpdk_eth_tx_burst(uint16_t port, uint16_t queue, dpdk_mbuf **mbufs, uint16_t count);
/// A port whose wire is a pair of rings (tests and benchmarks). Negative on failure.
int dpdk_eth_from_rings(const char *name, void *const *rx_rings, void *const *tx_rings, unsigned queues);

// Rings
void *dpdk_ring_create(const char *name, unsigned count, bool single_producer, bool single_consumer);
void dpdk_ring_free(void *ring);
unsigned dpdk_ring_enqueue_burst(void *ring, dpdk_mbuf **mbufs, unsigned count);
unsigned dpdk_ring_dequeue_burst(void *ring, dpdk_mbuf **mbufs, unsigned count);
bool dpdk_ring_empty(const void *ring);

// Longest prefix match. A next hop is at most 0x7ffe.
void *dpdk_fib_create(const char *name, unsigned routes, unsigned long_prefixes, uint64_t default_next_hop);
void dpdk_fib_free(void *fib);
int dpdk_fib_add(void *fib, uint32_t address, uint8_t length, uint64_t next_hop);
void dpdk_fib_lookup_bulk(void *fib, uint32_t *addresses, uint64_t *next_hops, int count);
void *dpdk_fib6_create(const char *name, unsigned routes, uint64_t default_next_hop);
void dpdk_fib6_free(void *fib);
int dpdk_fib6_add(void *fib, const uint8_t address[16], uint8_t length, uint64_t next_hop);
void dpdk_fib6_lookup_bulk(void *fib, const uint8_t *addresses /* count x 16 */, uint64_t *next_hops, int count);

// Quiescent-state RCU
void *dpdk_rcu_qsbr_create(unsigned threads);
void dpdk_rcu_qsbr_free(void *qsbr);
int dpdk_rcu_qsbr_thread_register(void *qsbr, unsigned thread);
void dpdk_rcu_qsbr_thread_online(void *qsbr, unsigned thread);
void dpdk_rcu_qsbr_thread_offline(void *qsbr, unsigned thread);
void dpdk_rcu_qsbr_quiescent(void *qsbr, unsigned thread);
uint64_t dpdk_rcu_qsbr_start(void *qsbr);
bool dpdk_rcu_qsbr_check(void *qsbr, uint64_t token);

// Hash with lock-free readers and one writer; keys are 24 octets, values 64-bit.
void *dpdk_hash_create(const char *name, unsigned entries);
void dpdk_hash_free(void *hash);
int dpdk_hash_add_key_data(void *hash, const uint64_t key[3], uint64_t value);
/// Takes the key out; its slot stays until dpdk_hash_free_key_with_position, when no reader can be looking at it any more.
/// The slot's position, or a negative errno.
int dpdk_hash_del_key(void *hash, const uint64_t key[3]);
void dpdk_hash_free_key_with_position(void *hash, int position);
/// True and the value where the key is there.
bool dpdk_hash_lookup_data(const void *hash, const uint64_t key[3], uint64_t *value);

// Fragments
void *dpdk_ip_frag_table_create(unsigned flows, uint64_t timeout_cycles);
void dpdk_ip_frag_table_destroy(void *table);
void *dpdk_ip_frag_death_row_create(void);
/// Takes a fragment whose IP header starts l3_offset into it. Gives the whole chain, or null while some are missing (or it
/// was refused: then it is on the death row). `now` in cycles.
dpdk_mbuf *dpdk_ipv4_frag_reassemble_packet(
    void *table, void *death_row, dpdk_mbuf *m, uint64_t now, uint16_t l3_offset);
dpdk_mbuf *dpdk_ipv6_frag_reassemble_packet(
    void *table, void *death_row, dpdk_mbuf *m, uint64_t now, uint16_t l3_offset, uint16_t fragment_header_offset);
void dpdk_frag_table_del_expired_entries(void *table, void *death_row, uint64_t now);
/// Frees what is on the death row and says how many packets that were.
unsigned dpdk_ip_frag_free_death_row(void *death_row);
/// Splits an IP packet (no Ethernet header) into copies of at most mtu octets. Their number, or a negative errno.
int dpdk_ipv4_fragment_packet(dpdk_mbuf *m, dpdk_mbuf **out, uint16_t capacity, uint16_t mtu, void *pool);
int dpdk_ipv6_fragment_packet(dpdk_mbuf *m, dpdk_mbuf **out, uint16_t capacity, uint16_t mtu, void *pool);

// Capture
void *dpdk_pcapng_fdopen(int fd, const char *application, const char *comment);
/// Octets of buffer that a captured packet of this length needs.
uint32_t dpdk_pcapng_mbuf_size(uint32_t length);
dpdk_mbuf *dpdk_pcapng_copy(uint16_t port, uint16_t queue, const dpdk_mbuf *m, void *pool, bool outgoing);
long dpdk_pcapng_write_packets(void *file, dpdk_mbuf **mbufs, uint16_t count);
void dpdk_pcapng_close(void *file);
